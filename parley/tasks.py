"""A task that lives as long as a block, and one whose failure is its result."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

from parley.errors import ParleyError

_T = TypeVar("_T")


@contextlib.asynccontextmanager
async def background(coroutine: Coroutine[Any, Any, _T]) -> AsyncIterator[asyncio.Task[_T]]:
    """Runs `coroutine` beside the block and cancels it at its end. What it raised by itself is raised then."""
    task = asyncio.create_task(coroutine)
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def outcome_of(coroutine: Coroutine[Any, Any, None]) -> ParleyError | None:
    """Runs `coroutine` to its end; the ParleyError that it raised, if it did."""
    try:
        await coroutine
    except ParleyError as error:
        return error
    return None
