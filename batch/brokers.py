"""What Celery is told about its broker, by the broker's URL. Pure.

A message is a hint: PostgreSQL knows what is to be done, and names again what nobody took. So no option here guards a
message; they see to it that nobody waits long for a broker that is away, and that nothing piles up in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlsplit

HOLD_S = 120
"""Seconds that a worker may have a message before another gets it: it needs it for one claim, some milliseconds."""
ANSWER_S = 5.0
"""Seconds that a broker has to take a message; then the job says that it is away."""
CONNECT_S = 2.0


@dataclass(frozen=True, slots=True)
class Broker:
    """`url` as Celery takes it; options of the transport for those who hear and for those who send; arguments of the
    queues. `heartbeat_s`: of the connection itself; 0: it has none."""

    url: str
    hearing: Mapping[str, Any]
    sending: Mapping[str, Any]
    queue_arguments: Mapping[str, Any] = field(default_factory=dict)
    heartbeat_s: int = 0


def broker_of(url: str) -> Broker:
    """The broker at `url`. Its form was checked where the settings were read."""
    scheme = urlsplit(url).scheme
    match scheme:
        case "unix":
            return _redis(_socket_url(url))
        case "redis" | "rediss":
            return _redis(url)
        case "amqp" | "amqps" | "pyamqp":
            return _rabbitmq(url)
        case "sqs":
            return _sqs(url)
        case "gcpubsub":
            return _pubsub(url)
        case _:
            raise ValueError(f"{scheme!r} is no broker")


def _redis(url: str) -> Broker:
    # The consumer waits in BRPOP, which a timeout of the socket would break off; kombu checks that connection itself.
    both = {"visibility_timeout": HOLD_S, "socket_connect_timeout": CONNECT_S, "socket_keepalive": True}
    return Broker(
        url,
        hearing={**both, "health_check_interval": 10, "unacked_restore_interval": 10, "unacked_restore_throttle": 1},
        sending={**both, "socket_timeout": ANSWER_S, "health_check_interval": 0},
    )


def _socket_url(url: str) -> str:
    """kombu's spelling of a Redis on a Unix socket; of the query only the database matters."""
    parts = urlsplit(url)
    database = next((word.partition("=")[2] for word in parts.query.split("&") if word.startswith("db=")), "0")
    login = f":{quote(unquote(parts.password), safe='')}@" if parts.password else ""
    return f"redis+socket://{login}{parts.path}?virtual_host={database}"


def _rabbitmq(url: str) -> Broker:
    """Quorum queues are replicated where there are several nodes, and kept on disk always. A message is acknowledged
    within milliseconds, so RabbitMQ's `consumer_timeout` (30 min) never strikes."""
    timeouts = {"connect_timeout": CONNECT_S, "read_timeout": ANSWER_S, "write_timeout": ANSWER_S}
    return Broker(
        url,
        hearing={"confirm_publish": True, "connect_timeout": CONNECT_S},
        sending={"confirm_publish": True, **timeouts},
        queue_arguments={"x-queue-type": "quorum"},
        heartbeat_s=10,
    )


def _sqs(url: str) -> Broker:
    """`sqs://KEY:SECRET@` or `sqs://` with the machine's own role; `?region=` names the region, `?prefix=` what stands
    before the names of the queues."""
    parts = urlsplit(url)
    query = dict(word.partition("=")[::2] for word in parts.query.split("&") if word)
    options: dict[str, Any] = {
        "visibility_timeout": HOLD_S,
        "wait_time_seconds": 10,
        "polling_interval": 0,
        "queue_name_prefix": query.get("prefix", "parley-"),
        "client-config": {"connect_timeout": CONNECT_S, "retries": {"max_attempts": 1}},
    }
    if "region" in query:
        options["region"] = query["region"]
    return Broker(parts._replace(query="").geturl() if parts.netloc else "sqs://", hearing=options, sending=options)


def _pubsub(url: str) -> Broker:
    options = {
        "ack_deadline_seconds": HOLD_S,
        "expiration_seconds": 7 * 86_400,  # kombu keeps messages as long, and Pub/Sub none for longer
        "wait_time_seconds": 10,
        "queue_name_prefix": "parley-",
        "retry_timeout_seconds": int(ANSWER_S),
    }
    return Broker(url, hearing=options, sending=options)
