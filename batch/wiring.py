"""The one function that turns settings into what a worker's steps work with."""

from dataclasses import dataclass

import asyncpg

from batch.extracts import Embeds
from parley.blobs import Blobs
from parley.engine_pool import EnginePool
from parley.events import Events
from parley.llm.router import Router
from parley.settings import Settings


@dataclass(frozen=True, slots=True)
class Tools:
    """What the steps of one worker share."""

    settings: Settings
    pool: asyncpg.Pool
    blobs: Blobs
    events: Events
    engines: EnginePool
    models: Router
    rag: Embeds | None = None
    """None: there is no rag service."""
