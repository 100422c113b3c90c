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
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def deafen(self) -> None:
        """From now on nothing comes back on the connections that are open."""
        for each in self._deaf:
            each.set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                try:
                    server.connect(str(self._target()))
                except OSError:
                    client.close()
                    continue
                deaf = threading.Event()
                self._deaf.append(deaf)
                threading.Thread(target=_pump, args=(client, server, threading.Event()), daemon=True).start()
                threading.Thread(target=_pump, args=(server, client, deaf), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket, swallow: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            if not swallow.is_set():
                sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
