"""The listening sockets, bound here and handed to the services: a taken port is told at once, and connections wait
in the queue while a service restarts."""

import errno
import http.client
import json
import socket

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


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket; port 0 takes a free one. Raises PortTaken, or SetupError for a host that is not here."""
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
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _explained(error, host, port) from None
    listener.setblocking(False)
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


def reachable(host: str) -> str:
    """The address by which this machine reaches a server that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)


def address(host: str, port: int) -> str:
    """`http://host:port`, as this machine reaches it."""
    host = reachable(host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
