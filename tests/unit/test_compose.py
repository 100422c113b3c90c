"""compose/: what can be known of the distributed stack without a container engine."""

import json
import re
import subprocess
import sys
import time
from fnmatch import fnmatch
from importlib.metadata import packages_distributions
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import redis
from dockerfile_parse import DockerfileParser
from packaging.utils import canonicalize_name
from pydantic import BaseModel
from ruamel.yaml import YAML
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from parley.embedded import postgres, redis_server
from parley.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "compose" / "compose.yaml"
DOCKERFILES = sorted((ROOT / "compose").glob("*.Dockerfile"))
OURS = ("gateway", "worker", "migrate", "engine", "engine-gpu", "rag")
SECRETS = {"PARLEY_SECRET_KEY", "RAG_TOKEN", "POSTGRES_PASSWORD", "REDIS_PASSWORD", "MINIO_USER", "MINIO_PASSWORD"}
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?:(:?[-?])([^}]*))?\}")


def read() -> dict[str, Any]:
    stack: dict[str, Any] = YAML(typ="safe").load(COMPOSE)
    return stack


SERVICES: dict[str, dict[str, Any]] = read()["services"]


def example() -> dict[str, str]:
    """The variables of .env.example."""
    lines = (ROOT / "compose" / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def interpolated(text: str) -> str:
    """The text as compose gives it to a container, where each secret is set to `set`."""

    def value(match: re.Match[str]) -> str:
        given = example().get(match[1]) or ""
        return given or (match[3] if match[2] in (":-", "-") else "set")

    return VARIABLE.sub(value, text).replace("$$", "$")


def environment(service: str) -> dict[str, str]:
    return {name: interpolated(str(value)) for name, value in SERVICES[service].get("environment", {}).items()}


def names_of(model: type[BaseModel], prefix: str = "PARLEY_") -> set[str]:
    """The variable of every setting."""
    names = set()
    for name, field in model.model_fields.items():
        variable = f"{prefix}{name.upper()}"
        names |= names_of(type(field.default), f"{variable}__") if isinstance(field.default, BaseModel) else {variable}
    return names


def test_the_stack_is_valid_by_the_official_schema() -> None:
    """check-jsonschema carries the Compose Specification's schema."""
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    checked = subprocess.run(check, capture_output=True, text=True, timeout=60, check=False)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("service", OURS)
def test_every_variable_of_a_service_is_a_setting_with_a_value_that_fits(
    service: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ours = {name: value for name, value in environment(service).items() if name.startswith("PARLEY_")}
    assert ours
    assert ours.keys() <= names_of(Settings)
    monkeypatch.setenv("PARLEY_DATA", str(tmp_path))
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    if service == "gateway":
        assert settings.gateway.engine_urls == ("http://engine:8001",)
        assert settings.gateway.allowed_hosts == ("set", "127.0.0.1")
        assert settings.gateway.host == "0.0.0.0"


def test_nginx_is_given_exactly_the_variables_of_its_configuration() -> None:
    template = (ROOT / "nginx" / "distributed.conf.template").read_text()
    used = set(re.findall(r"\$\{(\w+)\}", template))
    assert {name for name in environment("nginx") if name.startswith("PARLEY_")} == used


def test_plain_http_leads_to_the_name_and_the_port_that_are_published() -> None:
    given = SERVICES["nginx"]["environment"]
    assert VARIABLE.findall(given["PARLEY_HOST"])[0][0] == "PARLEY_HOST"
    assert given["PARLEY_PUBLIC_PORT"] == "${HTTPS_PORT:-443}"
    assert f"{given['PARLEY_PUBLIC_PORT']}:{given['PARLEY_HTTPS_PORT']}" in SERVICES["nginx"]["ports"]


@pytest.mark.parametrize("kind", ["embedded", "distributed"])
def test_every_variable_of_nginxs_templates_is_described(kind: str) -> None:
    used = set(re.findall(r"\$\{(\w+)\}", (ROOT / "nginx" / f"{kind}.conf.template").read_text()))
    section = (ROOT / "nginx" / "README.md").read_text().partition(f"| variable of `{kind}` |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(PARLEY_\w+)`", section)) == used


def test_every_variable_of_the_stack_is_in_the_example_and_no_secret_has_a_default() -> None:
    found = VARIABLE.findall(COMPOSE.read_text())
    # COMPOSE_PROFILES is read by compose itself.
    assert {name for name, _, _ in found} == example().keys() - {"COMPOSE_PROFILES"}
    assert {name for name, operator, _ in found if operator == ":?"} >= SECRETS
    assert {operator for name, operator, _ in found if name in SECRETS} == {":?"}
    assert not any(example()[name] for name in SECRETS)


def test_no_secret_stands_in_a_command_where_the_list_of_processes_shows_it() -> None:
    for name, service in SERVICES.items():
        said = json.dumps([service.get("command"), service.get("entrypoint"), service.get("healthcheck")])
        assert not {variable for variable, _, _ in VARIABLE.findall(said)} & SECRETS, name


def test_redis_keeps_every_write_and_asks_for_the_password_with_the_configuration_of_the_stack(tmp_path: Path) -> None:
    definition, socket = SERVICES["redis"], tmp_path / "redis.sock"
    (given,) = definition["configs"]
    assert definition["command"] == ["redis-server", given["target"]]
    config = tmp_path / "redis.conf"
    config.write_text(interpolated(read()["configs"][given["source"]]["content"]))
    command = (str(redis_server.binary()), str(config), "--port", "0", "--unixsocket", str(socket))
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as server:
        try:
            while not socket.exists() and server.poll() is None:
                time.sleep(0.02)
            with redis.Redis(unix_socket_path=str(socket), password="set", decode_responses=True) as client:
                for name, value in (("requirepass", "set"), ("appendonly", "yes"), ("maxmemory-policy", "noeviction")):
                    assert client.config_get(name) == {name: value}
        finally:
            server.kill()


def test_the_health_check_of_redis_knows_the_password_from_its_configuration(tmp_path: Path) -> None:
    (given,) = SERVICES["redis"]["configs"]
    config, client = tmp_path / "redis.conf", tmp_path / "redis-cli"
    config.write_text(interpolated(read()["configs"][given["source"]]["content"]))
    client.write_text('#!/bin/sh\n[ "$1" = ping ] && [ "$REDISCLI_AUTH" = set ] && echo PONG\n')
    client.chmod(0o755)
    check = interpolated(SERVICES["redis"]["healthcheck"]["test"][1]).replace(given["target"], str(config))
    subprocess.run(check, shell=True, check=True, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, timeout=10)


def test_what_is_published_is_nginx_alone() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["nginx"]


def test_stores_are_reached_by_gateways_and_workers_only() -> None:
    assert read()["networks"]["stores"] == {"internal": True}
    inside = {name for name, service in SERVICES.items() if "stores" in service["networks"]}
    assert inside == {"postgres", "redis", "minio", "bucket", "qdrant", "gateway", "worker", "migrate", "rag"}


async def client_as_seen(peer: str, forwarded_for: str) -> str:
    """The client's address as a gateway of the stack sees it, where `peer` connected and said who it speaks for."""
    seen = ""

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        nonlocal seen
        seen = scope["client"][0]

    scope: Any = {
        "type": "http",
        "client": (peer, 40_000),
        "headers": [(b"x-forwarded-for", forwarded_for.encode())],
    }
    believing = ProxyHeadersMiddleware(app, environment("gateway")["FORWARDED_ALLOW_IPS"])
    await believing(scope, None, None)  # type: ignore[arg-type]
    return seen


async def test_gateways_believe_nginx_alone_who_a_client_is() -> None:
    (config,) = read()["networks"]["edge"]["ipam"]["config"]
    edge = ip_network(interpolated(config["subnet"]))
    assert {name for name, service in SERVICES.items() if "edge" in service["networks"]} == {"nginx", "gateway"}
    assert await client_as_seen(str(edge[2]), "192.0.2.7") == "192.0.2.7"
    for elsewhere in ("172.18.0.5", "192.168.16.5", str(edge[-1] + 2)):
        assert await client_as_seen(elsewhere, "192.0.2.7") == elsewhere


def test_postgresql_has_connections_for_as_many_gateways_and_workers_as_the_example_starts() -> None:
    allowed = SERVICES["postgres"]["command"][-1]
    assert interpolated(allowed) == f"max_connections={example()['POSTGRES_CONNECTIONS']}"
    assert int(example()["POSTGRES_CONNECTIONS"]) >= postgres.connections(
        int(example()["GATEWAYS"]), int(example()["WORKERS"])
    )


def test_the_file_of_a_long_recording_does_not_lie_in_the_memory_of_a_gateway() -> None:
    """A tmpfs counts against the limit on memory: a day of audio in it would end the gateway with all its sessions."""
    definition = SERVICES["gateway"]
    folders = {volume.partition(":")[2] for volume in definition["volumes"]}
    assert environment("gateway")["TMPDIR"] in folders
    assert all("size=" in mount for mount in definition["tmpfs"])
    built = [value for name, value in dockerfile(ROOT / "compose" / "gateway.Dockerfile") if name == "RUN"]
    assert any("install -d -o parley -g parley /scratch" in value for value in built)


@pytest.mark.parametrize("service", [*OURS, "nginx"])
def test_what_we_run_has_no_rights_and_writes_nothing_but_its_own_folders(service: str) -> None:
    definition = SERVICES[service]
    assert definition["read_only"] is True
    assert definition["cap_drop"] == ["ALL"]
    assert definition["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("service", [name for name in SERVICES if name not in ("migrate", "bucket")])
def test_what_stays_up_is_watched_limited_and_started_again(service: str) -> None:
    definition = SERVICES[service]
    assert definition["restart"] == "unless-stopped"
    assert "memory" in definition["deploy"]["resources"]["limits"]
    built = "build" in definition
    assert built or definition["healthcheck"]["test"]


def test_a_gateway_has_time_to_drain_and_a_worker_to_give_its_steps_back() -> None:
    assert int(SERVICES["gateway"]["stop_grace_period"].removesuffix("s")) > 11
    assert int(SERVICES["worker"]["stop_grace_period"].removesuffix("s")) > Settings().batch.stop_s + 5


def test_what_is_waited_for_is_there_and_says_whether_it_is_healthy() -> None:
    for definition in SERVICES.values():
        for needed, how in definition.get("depends_on", {}).items():
            other = SERVICES[needed]
            if how["condition"] == "service_healthy":
                assert "build" in other or "healthcheck" in other


def dockerfile(path: Path) -> list[tuple[str, str]]:
    """Each instruction with its value."""
    lines = DockerfileParser(path=str(path)).structure
    return [(line["instruction"], line["value"]) for line in lines if line["instruction"] != "COMMENT"]


def images() -> list[str]:
    """Every image of the stack that others made."""
    composed = [service["image"] for service in SERVICES.values() if "build" not in service]
    built = [value.split()[0] for path in DOCKERFILES for name, value in dockerfile(path) if name == "FROM"]
    return composed + [image for image in built if ":" in image]


@pytest.mark.parametrize("image", sorted(set(images())))
def test_every_image_is_pinned_to_a_version(image: str) -> None:
    tag = image.rpartition(":")[2]
    assert re.search(r"\d+\.\d+\.\d+|^\d+\.\d+-|\d{4}-\d\d-\d\d", tag), image


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps this path out: the last pattern that fits it, or a folder above it, decides."""
    places = [path, *(str(parent) for parent in Path(path).parents if str(parent) != ".")]
    kept_out = False
    for pattern in (ROOT / ".dockerignore").read_text().split("\n"):
        if not pattern or pattern.startswith("#"):
            continue
        wanted = pattern.removeprefix("!")
        if any(fnmatch(place, wanted) or fnmatch(f"/{place}", f"/{wanted}") for place in places):
            kept_out = not pattern.startswith("!")
    return kept_out


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_what_an_image_copies_is_there_and_is_sent_to_the_builder(path: Path) -> None:
    copied = [value.split() for name, value in dockerfile(path) if name == "COPY"]
    sources = [word for words in copied if not words[0].startswith("--from=") for word in words[:-1]]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert not ignored(source.rstrip("/")), source


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_every_stage_that_is_named_exists(path: Path) -> None:
    lines = dockerfile(path)
    stages = {value.split()[-1] for name, value in lines if name == "FROM" and " AS " in value}
    for name, value in lines:
        words = value.split()
        if name == "FROM" and ":" not in words[0]:
            assert words[0] in stages
        if name == "COPY" and words[0].startswith("--from="):
            assert words[0].removeprefix("--from=") in stages
    used = [service["build"] for service in SERVICES.values() if "build" in service]
    targets = {build["target"] for build in used if build["dockerfile"] == f"compose/{path.name}" and "target" in build}
    assert targets <= stages


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_an_image_runs_as_nobody_in_particular_and_says_how_it_is(path: Path) -> None:
    instructions = dict(dockerfile(path))
    assert int(instructions["USER"]) > 0
    assert "/healthz" in instructions["HEALTHCHECK"]
    assert json.loads(instructions["CMD"])[:2] == ["python", "-m"]


@pytest.mark.parametrize(
    ("lock", "modules"),
    [
        ("gateway", "gateway.__main__, parley.silero, parley.cli, parley.store"),
        ("batch", "batch.__main__, batch.celery, batch.steps.transcribe, batch.transcription.service, openai"),
        # parley.cli: `parley models use` brings a model in where there is no network.
        ("engine", "stream_engine.__main__, stream_engine.recognizers.faster_whisper, parley.cli"),
        ("rag", "rag.__main__, rag.wiring, sentence_transformers"),
    ],
)
def test_what_an_image_installs_is_all_that_its_command_needs(lock: str, modules: str) -> None:
    lines = (ROOT / "requirements" / f"{lock}.txt").read_text().splitlines()
    installed = {canonicalize_name(re.split(r"[=<> ;\[]", line)[0]) for line in lines} | {"parley"}
    absent = [
        module
        for module, packages in packages_distributions().items()
        if not installed & {canonicalize_name(package) for package in packages}
    ]
    code = f"import sys; sys.modules.update(dict.fromkeys(sys.argv[1:])); import {modules}"
    ran = subprocess.run([sys.executable, "-c", code, *absent], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
