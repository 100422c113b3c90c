"""A task that lives as long as a block, one whose failure is its result, a thread that is waited for, and work on many
items at once."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

from parley.errors import ParleyError

_T = TypeVar("_T")
_I = TypeVar("_I")


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


async def to_its_end(call: Callable[[], _T]) -> _T:
    """`call` in a thread; where this is cancelled, only once the call is over: what it works on is closed then."""
    running = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


async def in_order(
    items: AsyncGenerator[_I, None], work: Callable[[_I], Coroutine[Any, Any, _T]], *, at_once: int
) -> AsyncGenerator[_T, None]:
    """What `work` makes of each item, in the order of the items; at most `at_once` are under way.

    Begun in their order too. Where one fails, or nobody iterates any more, the others are cancelled.
    """
    tasks: deque[asyncio.Task[_T]] = deque()
    try:
        async with contextlib.aclosing(items):
            async for item in items:
                tasks.append(asyncio.create_task(work(item)))
                while len(tasks) >= at_once or (tasks and tasks[0].done()):
                    yield await tasks.popleft()
        while tasks:
            yield await tasks.popleft()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
