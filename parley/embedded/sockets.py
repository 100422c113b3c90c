"""The listening sockets. A taken port is told at once, before anything starts.

Where there is one of a service, its socket is bound here and handed down: connections wait in its queue while the
service restarts. Where there are several, each port is only reserved here and the service listens by itself: while it
is down, connections are refused, and go to another at once.
"""

import errno
import http.client
import json
import socket
import sys
from contextlib import ExitStack
from dataclasses import dataclass

from parley.errors import SetupError

BACKLOG = 2048


class PortTaken(SetupError):
    """`by_parley`: a Parley gateway answers there."""

    code = "port_taken"

    def __init__(self, host: str, port: int, *, by_parley: bool) -> None:
        who = "another Parley" if by_parley else "another program"
        use = f"Open {address(host, port)} to use it, stop it" if by_parley else "Stop it"
        super().__init__(f"Port {port} on {host} is taken by {who}. {use}, or choose another port with --port.")
        self.by_parley = by_parley


@dataclass(frozen=True, slots=True)
class Place:
    """Where a part listens: `address` as this machine reaches it (`http://host:port`), `bind` and `port` as it binds.

    `fd` is the listening socket that it inherits; None: it binds by itself.
    """

    address: str
    bind: str
    port: int
    fd: int | None = None


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket; port 0 takes a free one. Raises PortTaken, or SetupError for a host that is not here."""
    listener = _bind(host, port, listening=True)
    listener.setblocking(False)
    return listener


def handed_down(stack: ExitStack, host: str, port: int) -> Place:
    """A place whose listening socket a service inherits, open until `stack` closes. Raises as `listen` does."""
    listener = listen(host, port)
    stack.callback(listener.close)
    bind, number = listener.getsockname()[:2]
    return Place(address(host, number), bind, number, listener.fileno())


def reserved(stack: ExitStack, host: str, port: int) -> Place:
    """A place that a service binds by itself; its port is kept for it until `stack` closes. Raises as `listen` does.

    Only Linux lets the service bind beside a socket that keeps its port; elsewhere the port is merely known to be free.
    """
    if port:
        listen(host, port).close()  # many may bind a port that nobody listens on: only listening tells
    keeper = _bind(host, port, listening=False)
    stack.callback(keeper.close)
    bind, number = keeper.getsockname()[:2]
    if sys.platform != "linux":
        keeper.close()
    return Place(address(host, number), bind, number)


def _bind(host: str, port: int, *, listening: bool) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise SetupError(f"The host {host} cannot be resolved: {error.strerror}.") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # or a restart waits for TIME_WAIT
        listener.bind(address)
        if listening:
            listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _explained(error, host, port) from None
    return listener


def _explained(error: OSError, host: str, port: int) -> SetupError:
    if error.errno == errno.EADDRINUSE:
        return PortTaken(host, port, by_parley=parley_answers(host, port))
    if error.errno == errno.EACCES:
        return SetupError(f"Port {port} may not be used by an ordinary user; choose one from 1024 up with --port.")
    return SetupError(f"Cannot listen on {host} port {port}: {error.strerror}.")


def parley_answers(host: str, port: int, timeout_s: float = 1.0) -> bool:
    """Whether a Parley gateway answers there."""
    connection = http.client.HTTPConnection(reachable(host), port, timeout=timeout_s)
    try:
        connection.request("GET", "/api/v1/status")
        said = json.loads(connection.getresponse().read(65_536))
        return isinstance(said, dict) and {"version", "engine", "recognizer"} <= said.keys()
    except (OSError, ValueError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def is_loopback(host: str) -> bool:
    return host in ("localhost", "127.0.0.1", "::1", "[::1]")


def reachable(host: str) -> str:
    """The address by which this machine reaches a server that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)


def address(host: str, port: int) -> str:
    """`http://host:port`, as this machine reaches it."""
    host = reachable(host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
