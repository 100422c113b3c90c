"""A way to Redis on which what comes back can be swallowed: whoever is connected then hears nothing any more, and is
not told. Connections that are made afterwards are as good as any."""

import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self


class DeafeningProxy:
    """`target`: the Unix socket behind it, asked for at each connection."""

    def __init__(self, target: Callable[[], Path]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._deaf: list[threading.Event] = []
        self._threads: list[threading.Thread] = []
        self._sockets = contextlib.ExitStack()
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"

    def __enter__(self) -> Self:
        self._begin(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        _hang_up(self._listener)
        self._sockets.callback(self._listener.close)
        with self._sockets:
            for thread in self._threads:
                thread.join(10)

    def deafen(self) -> None:
        """From now on nothing comes back on the connections that are open."""
        for each in self._deaf:
            each.set()

    def _begin(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client = self._sockets.enter_context(self._listener.accept()[0])
                server = self._sockets.enter_context(socket.socket(socket.AF_UNIX))
                try:
                    server.connect(str(self._target()))
                except OSError:
                    _hang_up(client)
                    continue
                self._deaf.append(threading.Event())
                self._begin(_pump, client, server, threading.Event())
                self._begin(_pump, server, client, self._deaf[-1])


def _pump(source: socket.socket, sink: socket.socket, swallow: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            if not swallow.is_set():
                sink.sendall(data)
    for end in (source, sink):
        _hang_up(end)


def _hang_up(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
