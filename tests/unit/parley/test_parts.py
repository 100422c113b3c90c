"""Which parts there are for given settings, where they listen, and what each is told."""

import json
from contextlib import ExitStack
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

from parley import store
from parley.embedded import nginx, parts, postgres, sockets
from parley.embedded.parts import Part, Services, Site, build_parts, shares
from parley.embedded.sockets import Place
from parley.errors import SetupError
from parley.settings import Settings

NGINX = Place("http://127.0.0.1:8000", "127.0.0.1", 8000, 9)


async def no_migration(_database_url: str) -> None:
    pass


def places(count: int, first: int) -> tuple[Place, ...]:
    return tuple(Place(f"http://127.0.0.1:{port}", "127.0.0.1", port) for port in range(first, first + count))


def built(gateways: int = 1, engines: int = 1, proxy: Place | None = None, **settings: Any) -> dict[str, Part]:
    site = Site(
        data=Path("/data"),
        sockets=Path("/sockets"),
        gateways=places(gateways, 9000),
        engines=places(engines, 9100),
        proxy=proxy,
        secret_key="secret",
    )
    elsewhere = {"database_url": "postgresql://elsewhere", "redis_url": "redis://elsewhere"}
    found = build_parts(Settings.model_validate(elsewhere | settings), site, Services(migrate=no_migration))
    return {part.name: part for part in found}


def test_each_of_several_listens_at_its_own_place_and_knows_all_engines() -> None:
    parts = built(gateways=2, engines=3)
    assert list(parts) == ["engine", "engine-2", "engine-3", "gateway", "gateway-2"]
    assert [part.title for part in parts.values()] == ["Engine", "Engine 2", "Engine 3", "Gateway", "Gateway 2"]
    assert parts["gateway-2"].env["PARLEY_GATEWAY__PORT"] == "9001"
    assert parts["engine-3"].env["PARLEY_ENGINE__PORT"] == "9102"
    engines = [f"http://127.0.0.1:{port}" for port in (9100, 9101, 9102)]
    assert all(json.loads(part.env["PARLEY_GATEWAY__ENGINE_URLS"]) == engines for part in parts.values())


@pytest.mark.parametrize("gateways", [1, 2, 64])
def test_postgresql_has_a_connection_for_each_that_the_gateways_may_open_and_some_more(gateways: int) -> None:
    pool = signature(store.connect).parameters["max_size"].default
    command = built(gateways=gateways, database_url="")["postgres"].command
    allowed = next(int(word.removeprefix("max_connections=")) for word in command if word.startswith("max_connections"))
    assert pool == postgres.POOL_SIZE
    assert allowed >= gateways * pool + 40


def test_an_engine_alone_takes_all_cores_and_several_share_them() -> None:
    assert "PARLEY_ENGINE__CORES" not in built()["engine"].env
    shared = built(engines=2, engine={"cores": 5})
    assert [part.env["PARLEY_ENGINE__CORES"] for part in shared.values() if part.kin == "engine"] == ["3", "2"]
    assert shares(2, 3) == [1, 1, 1]


def test_engines_share_gpus_where_there_are_enough() -> None:
    def gpus(*given: int) -> list[str]:
        return [part.env["PARLEY_ENGINE__GPUS"] for part in built(0, 2, engine={"gpus": given}).values()]

    assert gpus(0, 1, 2) == ["[0, 2]", "[1]"]
    assert gpus(0) == ["[0]", "[0]"]


def test_gateways_stop_before_nginx_does_and_engines_after_it() -> None:
    assert list(built(gateways=2, engines=2, proxy=NGINX))[::-1] == [
        *("gateway-2", "gateway", "nginx", "engine-2", "engine"),
    ]


@pytest.mark.parametrize(
    ("gateway", "hosts"),
    [({}, None), ({"host": "0.0.0.0"}, '["*"]'), ({"host": "0.0.0.0", "allowed_hosts": ["notes.example"]}, None)],
)
def test_a_gateway_behind_nginx_answers_to_the_names_of_the_address_before_it(
    gateway: dict[str, Any], hosts: str | None
) -> None:
    part = built(gateways=2, proxy=NGINX, gateway=gateway)["gateway"]
    assert part.env["PARLEY_GATEWAY__HOST"] == "127.0.0.1"
    assert part.env.get("PARLEY_GATEWAY__ALLOWED_HOSTS") == hosts


async def test_the_database_is_brought_up_to_date_once_for_all_gateways() -> None:
    times = 0

    async def migrate() -> None:
        nonlocal times
        times += 1
        if times == 1:
            raise ConnectionError("the database is away")

    hook = parts.once(migrate)
    with pytest.raises(ConnectionError):
        await hook()
    await hook()
    await hook()
    assert times == 2


def test_nginx_is_used_for_several_gateways_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nginx, "binary", lambda: Path("/usr/sbin/nginx"))
    assert [nginx.stands_before(None, 1), nginx.stands_before(None, 2)] == [False, True]
    assert [nginx.stands_before(True, 1), nginx.stands_before(False, 2)] == [True, False]
    monkeypatch.setattr(nginx, "binary", lambda: None)
    assert nginx.stands_before(None, 2) is False
    with pytest.raises(SetupError, match="nginx is not installed"):
        nginx.stands_before(True, 2)


def test_reserved_ports_differ_and_refuse_connections() -> None:
    with ExitStack() as stack:
        reserved = [sockets.reserved(stack, "127.0.0.1", 0) for _ in range(50)]
        assert len({place.port for place in reserved}) == 50
        assert all(place.fd is None for place in reserved)
        with sockets.listen("127.0.0.1", reserved[0].port) as service:
            assert service.getsockname()[1] == reserved[0].port


def test_a_port_on_which_someone_listens_cannot_be_reserved() -> None:
    with ExitStack() as stack:
        other = sockets.handed_down(stack, "127.0.0.1", 0)
        with pytest.raises(sockets.PortTaken):
            sockets.reserved(stack, "127.0.0.1", other.port)
