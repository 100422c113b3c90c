"""Sends messages to the broker, on a connection and a thread of its own: Celery's part that waits is kept off the loop.

Nothing here waits long for a broker that is away: a few seconds, then the rest is not even tried.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from celery import Celery

from batch.brokers import CONNECT_S, Broker
from parley.errors import BackendError
from parley.jobs import Message


class Sender:
    """`task` is the name of the task that the messages are about."""

    def __init__(self, app: Celery, broker: Broker, task: str) -> None:
        self._app = app
        self._broker = broker
        self._task = task
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sender")
        self._connection: Any = None

    async def send(self, messages: Sequence[Message], sent: Callable[[Message], None]) -> None:
        """Sends them in order; `sent` is called in another thread for each that the broker took.

        Raises BackendError at the first that it did not take.
        """
        await self._in_thread(self._send, messages, sent)

    async def check(self) -> None:
        """Raises BackendError unless the broker answers."""
        await self._in_thread(self._connect)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._drop)
        self._thread.shutdown(wait=False)

    async def _in_thread(self, call: Callable[..., None], *arguments: Any) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._guarded, call, *arguments)

    def _guarded(self, call: Callable[..., None], *arguments: Any) -> None:
        try:
            call(*arguments)
        except Exception as error:  # each transport has errors of its own: whatever it is, the broker did not take it
            self._drop()
            raise BackendError(
                f"The message broker does not answer: {str(error) or type(error).__name__}.", code="broker_unavailable"
            ) from error

    def _connect(self) -> None:
        if self._connection is None:
            self._connection = self._app.connection_for_write(
                self._broker.url, connect_timeout=CONNECT_S, transport_options=dict(self._broker.sending)
            )
        self._connection.ensure_connection(max_retries=1, timeout=CONNECT_S)

    def _send(self, messages: Sequence[Message], sent: Callable[[Message], None]) -> None:
        self._connect()
        with self._app.amqp.Producer(self._connection, auto_declare=False) as producer:
            for message in messages:
                self._app.send_task(
                    self._task, args=(message.step_id,), queue=message.kind, producer=producer, retry=False
                )
                sent(message)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):  # it is thrown away: what it still has to say changes nothing
                connection.close()
