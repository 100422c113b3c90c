"""What Celery is told about each broker, by nothing but its URL."""

import pytest

from batch.brokers import ANSWER_S, HOLD_S, broker_of


@pytest.mark.parametrize("url", ["redis://cache:6379/1", "rediss://:secret@cache:6380/0"])
def test_redis_is_taken_as_it_is_said(url: str) -> None:
    assert broker_of(url).url == url


@pytest.mark.parametrize(
    ("url", "as_kombu_says"),
    [
        ("unix:///run/redis.sock", "redis+socket:///run/redis.sock?virtual_host=0"),
        ("unix:///run/redis.sock?db=3", "redis+socket:///run/redis.sock?virtual_host=3"),
        ("unix://:a%2Fb@/run/redis.sock", "redis+socket://:a%2Fb@/run/redis.sock?virtual_host=0"),
    ],
)
def test_redis_on_a_socket_is_spelled_as_kombu_does(url: str, as_kombu_says: str) -> None:
    assert broker_of(url).url == as_kombu_says


def test_a_sender_to_redis_waits_for_seconds_and_a_listener_without_end() -> None:
    broker = broker_of("redis://cache")
    assert broker.sending["socket_timeout"] == ANSWER_S
    assert "socket_timeout" not in broker.hearing, "it would break off the wait for a message"
    assert broker.hearing["health_check_interval"] > 0, "a connection that is half open is noticed"


@pytest.mark.parametrize("url", ["amqp://parley:secret@rabbit//", "amqps://rabbit/parley", "pyamqp://rabbit"])
def test_rabbitmq_keeps_messages_on_several_nodes_and_confirms_them(url: str) -> None:
    broker = broker_of(url)
    assert broker.queue_arguments == {"x-queue-type": "quorum"}
    assert broker.sending["confirm_publish"] is True
    assert broker.sending["read_timeout"] == ANSWER_S
    assert broker.heartbeat_s > 0


@pytest.mark.parametrize("url", ["redis://cache", "unix:///run/redis.sock", "sqs://", "sqs://key:secret@"])
def test_a_message_whose_worker_died_comes_back_within_minutes(url: str) -> None:
    assert broker_of(url).hearing["visibility_timeout"] == HOLD_S


def test_sqs_has_its_region_and_the_names_of_its_queues_from_the_url() -> None:
    broker = broker_of("sqs://key:secret@?region=eu-central-1&prefix=notes-")
    assert broker.url == "sqs://key:secret@"
    assert (broker.hearing["region"], broker.hearing["queue_name_prefix"]) == ("eu-central-1", "notes-")
    assert broker_of("sqs://").url == "sqs://"
    assert "region" not in broker_of("sqs://").hearing
    assert broker.heartbeat_s == 0


def test_pubsub_keeps_to_what_google_allows() -> None:
    options = broker_of("gcpubsub://projects/parley-1").hearing
    assert 10 <= options["ack_deadline_seconds"] <= 600
    assert 86_400 <= options["expiration_seconds"] <= 7 * 86_400
    assert options["queue_name_prefix"] == "parley-"


def test_what_is_no_broker_is_refused() -> None:
    with pytest.raises(ValueError, match="'kafka' is no broker"):
        broker_of("kafka://somewhere")
