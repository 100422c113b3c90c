"""nginx with the configuration of the distributed stack, as a process of a test, with a certificate of its own."""

import contextlib
import os
import socket
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import trustme

from parley.embedded import nginx
from parley.embedded.sockets import Place


@dataclass(frozen=True, slots=True)
class Front:
    """A running nginx. `url` is `https://127.0.0.1:port`, `plain_url` that of the port without TLS."""

    url: str
    plain_url: str
    authority: Path
    folder: Path

    @property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.authority)

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, verify=self.trust, timeout=30)

    @property
    def access_log(self) -> str:
        return (self.folder / "access.log").read_text()


@contextlib.contextmanager
def front_of(gateways: Sequence[str], folder: Path, **values: str) -> Iterator[Front]:
    """Starts nginx before the gateways at these addresses. `values` replace variables of the configuration."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    certificate.private_key_pem.write_to_path(str(folder / "privkey.pem"))
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(str(folder / "fullchain.pem"), append=True)
    http, https = _free_ports(2)
    nginx.render(
        folder,
        "distributed.conf.template",
        {
            "PARLEY_HTTP_PORT": f"127.0.0.1:{http}",
            "PARLEY_HTTPS_PORT": f"127.0.0.1:{https}",
            "PARLEY_HOST": "127.0.0.1",
            "PARLEY_PUBLIC_PORT": str(https),
            "PARLEY_GATEWAYS": nginx.server_lines([Place(gateway, "", 0) for gateway in gateways]),
            "PARLEY_TLS": str(folder),
            "PARLEY_ACCESS_LOG": "access.log",
            "PARLEY_RESOLVER": "127.0.0.1",
            "PARLEY_REQUESTS_PER_S": "1000",
            "PARLEY_SESSIONS_PER_S": "1000",
            "PARLEY_EXEMPT": "",
        }
        | values,
    )
    as_root = "user root root; " if os.geteuid() == 0 else ""
    command = [*nginx.command(folder)[:-1], f"{as_root}daemon off;"]
    with (folder / "error.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            front = Front(f"https://127.0.0.1:{https}", f"http://127.0.0.1:{http}", folder / "authority.pem", folder)
            _wait_until_up(front, process)
            yield front
        finally:
            process.terminate()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in taken]


def _wait_until_up(front: Front, process: subprocess.Popen[bytes]) -> None:
    client = httpx.Client(transport=httpx.HTTPTransport(retries=8), timeout=5)  # pauses of 0.5 s, doubled
    with client:
        try:
            assert client.get(f"{front.plain_url}/healthz").status_code == 200
        except httpx.HTTPError:
            process.terminate()
            process.wait()
            raise AssertionError((front.folder / "error.log").read_text()) from None
