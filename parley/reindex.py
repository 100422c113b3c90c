"""`parley reindex`: the search index built anew from the database, beside the one in use."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from parley.errors import BackendError, SetupError
from parley.rag_client import RagClient
from parley.rag_wire import StatusAnswer
from parley.settings import Settings, load_settings

_ASK_S = 0.5
_PATIENCE = 20
"""Failed looks in a row after which rag counts as gone."""


def reindex(
    data: Annotated[Path | None, typer.Option(help="Data folder of the Parley that runs. (Default: ./data.)")] = None,
) -> None:
    """Build the search index anew from the database. Searches go on; the new index is used once it is complete."""
    settings = load_settings()
    url, token = rag_address(settings, (data or settings.data).expanduser().absolute())
    asyncio.run(_reindex(url, token))


def rag_address(settings: Settings, data: Path) -> tuple[str, str]:
    """Where rag is, and its token: by the settings, or of the Parley that runs on `data`. Raises SetupError."""
    if settings.rag.url:
        return settings.rag.url, settings.rag.token
    try:
        url = json.loads((data / "run.json").read_text())["places"]["rag"]
        return str(url), settings.rag.token or (data / "rag-token").read_text().strip()
    except (OSError, ValueError, KeyError, TypeError):
        raise SetupError(
            f"No Parley with search runs on {data}; start it, or name its rag service by PARLEY_RAG__URL."
        ) from None


async def _reindex(url: str, token: str) -> None:
    async with RagClient(url, token) as rag:
        status, failures = await rag.reindex(), 0
        wanted = status.building
        print(f"{status.building_waiting} recordings are being indexed with {status.model}.")
        while status.building == wanted and wanted is not None:
            await asyncio.sleep(_ASK_S)
            try:
                status, failures = await rag.status(), 0
            except BackendError:
                if (failures := failures + 1) == _PATIENCE:
                    raise
        print(_done(status))


def _done(status: StatusAnswer) -> str:
    return f"{status.passages} passages are in use now."
