"""Who writes down files, by the settings."""

import contextlib
from collections.abc import AsyncIterator

from batch.transcription.engines import open_engines
from batch.transcription.service import open_service
from batch.transcription.transcriber import Transcriber
from parley.settings import Settings


@contextlib.asynccontextmanager
async def open_transcriber(settings: Settings) -> AsyncIterator[Transcriber]:
    """A worker's transcriber, for as long as the block runs. Raises SetupError where it lacks something."""
    opened = (
        open_service(settings.transcription) if settings.transcription.provider == "openai" else open_engines(settings)
    )
    async with opened as transcriber:
        yield transcriber
