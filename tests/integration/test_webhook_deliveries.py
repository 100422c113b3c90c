"""Webhooks: told once, signed, again where nobody listened, and nobody waits for one that hangs."""

import asyncio
import contextlib
import hashlib
import hmac
import re
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from batch.claims import Claims
from batch.deliveries import Deliveries
from batch.delivery_outcome import MOST_ATTEMPTS
from batch.pipeline import StepContext, step_types
from batch.retry import MOST_ATTEMPTS as MOST_STEP_ATTEMPTS
from parley import store
from parley.embedded.server import RunningServer
from parley.errors import ClientError, NotFound
from parley.jobs import JobOptions, PlannedStep, StepError
from parley.settings import WebhookSettings
from parley.store import RecordingWriter
from parley.store.jobs import Jobs
from parley.store.webhooks import MOST_WEBHOOKS, Delivery, Webhook, Webhooks
from parley.webhooks import EVENTS, verify
from tests.integration.job_store import claimed, let_waits_pass, make_job
from tests.integration.receivers import Answer, drips, floods, hangs, receiver, says
from tests.integration.stores import own_database

NOTIFY = PlannedStep("notify", "notify")
TRANSCRIBE = PlannedStep("transcribe", "stt")
no_tools: Any = None
"""What `notify` needs of a worker."""
SETTINGS = WebhookSettings(allow_private=True, timeout_s=1.0)


@pytest.fixture(scope="module")
def database(server: RunningServer) -> Iterator[str]:
    with own_database(server) as url:
        yield url


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    pool = await store.connect(database)
    await pool.execute("TRUNCATE jobs, recordings, webhooks, webhook_keys, webhook_deliveries CASCADE")
    yield pool
    await pool.close()


@pytest.fixture
def deliveries(pool: asyncpg.Pool) -> Deliveries:
    return Deliveries(pool, SETTINGS, luck=lambda: 0.5)


@pytest.fixture
def mine(pool: asyncpg.Pool) -> Webhooks:
    return Webhooks(pool, "alice")


async def notified(pool: asyncpg.Pool, owner: str = "alice", *later: PlannedStep, **values: Any) -> str:
    """A job whose step `notify` has just run as a worker runs it; its id."""
    made = await make_job(pool, owner, NOTIFY, *later, **values)
    lease = await Claims(pool).claim_step(made.message.step_id if made.message else 0, "w", 60)
    assert lease is not None
    result = await step_types()["notify"].run(StepContext(lease, no_tools))
    async with lease.transaction() as connection:
        await result.write(connection)
        await lease.succeed(result.value, connection=connection)
    return made.job_id


async def only(mine: Webhooks) -> Delivery:
    [delivery] = await mine.deliveries(count=10)
    return delivery


async def let_be_due(pool: asyncpg.Pool) -> None:
    await pool.execute("UPDATE webhook_deliveries SET not_before = now(), claimed_until = NULL WHERE state = 'pending'")


async def test_a_job_that_is_done_is_told_once_and_signed(
    pool: asyncpg.Pool, mine: Webhooks, deliveries: Deliveries
) -> None:
    async with receiver() as taker:
        webhook = await mine.create(taker.url, EVENTS)
        writer = RecordingWriter.new(pool, "alice")
        await writer.create(title="Größe & more")
        job_id = await notified(pool, recording_id=writer.recording_id)
        assert await deliveries.deliver_due() == 1
        assert await deliveries.deliver_due() == 0
    [told] = taker.told
    assert told.path == "POST /hook?of=alice HTTP/1.1"
    assert told.headers["content-type"] == "application/json"
    assert told.headers["parley-event"] == "job.succeeded"
    assert told.json["type"] == "job.succeeded"
    assert told.json["job"] | {"created_at": "", "started_at": ""} == {
        "id": job_id, "pipeline": ["notify"], "done": [], "created_at": "", "started_at": "", "error": None,
    }  # fmt: skip
    assert told.json["recording"] == {"id": writer.recording_id, "title": "Größe & more", "duration_ms": 0}
    assert (datetime.now(UTC) - datetime.fromisoformat(told.json["created_at"])).total_seconds() < 60
    # By what the page says, and no code of Parley's:
    found = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", told.headers["parley-signature"])
    assert found is not None
    assert found[2] == hmac.digest(webhook.secret.encode(), found[1].encode() + b"." + told.body, hashlib.sha256).hex()
    assert abs(time.time() - int(found[1])) < 60
    verify(webhook.secret, told.headers["parley-signature"], told.body)
    delivery = await only(mine)
    assert (delivery.state, delivery.attempts, delivery.status, delivery.error) == ("delivered", 1, 204, None)
    assert (delivery.id, delivery.webhook_id, delivery.job_id) == (told.id, webhook.id, job_id)
    assert delivery.payload == told.json
    assert delivery.finished_at is not None
    assert (await Jobs(pool, "alice").get(job_id)).state == "succeeded"


async def test_steps_behind_notify_make_it_a_message_on_the_way(
    pool: asyncpg.Pool, mine: Webhooks, deliveries: Deliveries
) -> None:
    async with receiver() as taker:
        await mine.create(taker.url, EVENTS)
        await notified(pool, "alice", PlannedStep("index", "index"))
        await deliveries.deliver_due()
    assert [told.json["type"] for told in taker.told] == ["job.progressed"]


async def test_each_webhook_hears_of_its_own_owner_and_of_what_it_wants(
    pool: asyncpg.Pool, mine: Webhooks, deliveries: Deliveries
) -> None:
    async with receiver() as wanted, receiver() as unwanted, receiver() as off, receiver() as foreign:
        await mine.create(wanted.url, ["job.succeeded", "job.dead"])
        await mine.create(unwanted.url, ["job.failed"])
        await mine.create(off.url, EVENTS, active=False)
        await Webhooks(pool, "bob").create(foreign.url, EVENTS)
        await notified(pool)
        await deliveries.deliver_due()
    assert [len(each.told) for each in (wanted, unwanted, off, foreign)] == [1, 0, 0, 0]


async def test_the_address_that_a_job_names_is_told_and_signed_with_the_owners_key(
    pool: asyncpg.Pool, mine: Webhooks, deliveries: Deliveries
) -> None:
    async with receiver() as taker:
        options = JobOptions(webhook_url=taker.url).model_dump(mode="json")
        job_id = await notified(pool, options=options)
        await deliveries.deliver_due()
        [told] = taker.told
        verify(await mine.key(), told.headers["parley-signature"], told.body)
        replaced = await mine.replace_key()
        await mine.redeliver(told.id)
        await deliveries.deliver_due()
        verify(replaced, taker.told[1].headers["parley-signature"], taker.told[1].body)
    assert replaced == await mine.key() != await Webhooks(pool, "bob").key()
    delivery = await only(mine)
    assert (delivery.webhook_id, delivery.url, delivery.job_id) == (None, taker.url, job_id)
    assert (await Jobs(pool, "alice").get(job_id)).webhooks == {"delivered": 1}


@pytest.mark.parametrize(("error_class", "state"), [("permanent", "failed"), ("retryable", "dead")])
async def test_a_job_that_falls_short_is_told_though_its_notify_never_runs(
    pool: asyncpg.Pool, mine: Webhooks, deliveries: Deliveries, error_class: str, state: str
) -> None:
    async with receiver() as taker:
        await mine.create(taker.url, EVENTS)
        job_id = (await make_job(pool, "alice", TRANSCRIBE, NOTIFY)).job_id
        for _ in range(MOST_STEP_ATTEMPTS if state == "dead" else 1):
            lease = await claimed(Claims(pool))
            await lease.fail(StepError(error_class, "corrupt", "It is corrupt."))  # type: ignore[arg-type]
            await let_waits_pass(pool)
        assert await deliveries.deliver_due() == 1
        [told] = taker.told
        assert told.json["type"] == f"job.{state}"
        assert told.json["job"]["error"] == {
            "step": "transcribe", "class": error_class, "code": "corrupt", "message": "It is corrupt.",
        }  # fmt: skip
        await Jobs(pool, "alice").discard([job_id])  # dead becomes failed: no news
        assert await deliveries.deliver_due() == 0


async def test_a_job_without_notify_tells_nobody(pool: asyncpg.Pool, mine: Webhooks, deliveries: Deliveries) -> None:
    await mine.create("http://receiver.example/", EVENTS)
    await make_job(pool, "alice", TRANSCRIBE)
    await (await claimed(Claims(pool))).fail(StepError("permanent", "corrupt", "It is corrupt."))
    assert await mine.deliveries(count=10) == []


async def test_a_notify_whose_lease_was_lost_tells_nothing(pool: asyncpg.Pool, mine: Webhooks) -> None:
    await mine.create("http://receiver.example/", EVENTS)
    made = await make_job(pool, "alice", NOTIFY)
    lease = await claimed(Claims(pool), "notify")
    result = await step_types()["notify"].run(StepContext(lease, no_tools))
    await Jobs(pool, "alice").cancel(made.job_id)
    with pytest.raises(Exception, match="cancelled"):
        async with lease.transaction() as connection:
            await result.write(connection)
    assert await mine.deliveries(count=10) == []


async def test_failures_are_logged_and_tried_again_under_the_same_id(
    pool: asyncpg.Pool, mine: Webhooks, deliveries: Deliveries
) -> None:
    async with receiver(says("500 Oh", b"database \0 away"), says("404 No"), says("200 OK", b"thanks")) as taker:
        await mine.create(taker.url, EVENTS)
        await notified(pool)
        await deliveries.deliver_due()
        first = await only(mine)
        assert (first.state, first.attempts, first.status, first.response) == ("pending", 1, 500, "database  away")
        assert first.error == "The receiver answered 500."
        assert first.next_at is not None
        assert 3 < (first.next_at - datetime.now(UTC)).total_seconds() < 6
        assert await deliveries.deliver_due() == 0  # not yet
        for _ in range(2):
            await let_be_due(pool)
            await deliveries.deliver_due()
    last = await only(mine)
    assert (last.state, last.attempts, last.status, last.response, last.next_at) == (
        "delivered",
        3,
        200,
        "thanks",
        None,
    )
    assert len({told.id for told in taker.told}) == 1
    assert len({told.body for told in taker.told}) == 1


async def test_after_the_last_attempt_it_is_given_up_and_can_be_delivered_once_more(
    pool: asyncpg.Pool, mine: Webhooks, deliveries: Deliveries
) -> None:
    async with receiver(*[says("503 No")] * MOST_ATTEMPTS, says("200 OK")) as taker:
        await mine.create(taker.url, EVENTS)
        job_id = await notified(pool)
        for _ in range(MOST_ATTEMPTS + 3):
            await deliveries.deliver_due()
            await let_be_due(pool)
        assert len(taker.told) == MOST_ATTEMPTS
        given_up = await only(mine)
        assert (given_up.state, given_up.error) == ("failed", "The receiver answered 503.")
        job = await Jobs(pool, "alice").get(job_id)
        assert (job.state, job.webhooks) == ("succeeded", {"failed": 1})
        await mine.redeliver(given_up.id)
        with pytest.raises(ClientError, match="still under way"):
            await mine.redeliver(given_up.id)
        await deliveries.deliver_due()
    assert ((await only(mine)).state, taker.told[-1].id) == ("delivered", given_up.id)


async def test_whoever_is_gone_is_switched_off(pool: asyncpg.Pool, mine: Webhooks, deliveries: Deliveries) -> None:
    async with receiver(says("410 Gone")) as taker:
        webhook = await mine.create(taker.url, EVENTS)
        await notified(pool)
        await notified(pool)
        await deliveries.deliver_due()
        await deliveries.deliver_due()
        await notified(pool)
        assert await deliveries.deliver_due() == 0
    assert len(taker.told) == 1
    off = await mine.get(webhook.id)
    assert (off.active, off.why_off) == (False, "The receiver is gone (410); the webhook is switched off.")
    assert [each.error for each in await mine.deliveries(count=9)] == ["The webhook is switched off.", off.why_off]
    assert (await mine.update(webhook.id, active=True)).why_off is None


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (hangs, "did not answer within 1 s"),
        (says("302 Found", b"", "Location: http://127.0.0.1:1/"), "answered 302: redirects are not followed"),
        (says("99 What"), "cannot be reached"),
        (floods, "answered 500"),
    ],
)
async def test_what_is_no_success_is_said(
    pool: asyncpg.Pool, mine: Webhooks, deliveries: Deliveries, answer: Answer, error: str
) -> None:
    async with receiver(answer) as taker:
        await mine.create(taker.url, EVENTS)
        await notified(pool)
        await deliveries.deliver_due()
    delivery = await only(mine)
    assert delivery.state == "pending"
    assert error in (delivery.error or "")
    assert len(delivery.response or "") <= 2000
    assert len(taker.told) == 1


async def test_a_redirect_is_followed_nowhere(pool: asyncpg.Pool, mine: Webhooks, deliveries: Deliveries) -> None:
    async with receiver() as secret, receiver(says("307 Go on", b"", f"Location: {secret.url}")) as taker:
        await mine.create(taker.url, EVENTS)
        await notified(pool)
        await deliveries.deliver_due()
    assert (len(taker.told), len(secret.told)) == (1, 0)


async def test_a_receiver_that_takes_it_and_goes_on_talking_has_taken_it(
    pool: asyncpg.Pool, mine: Webhooks, deliveries: Deliveries
) -> None:
    async with receiver(drips) as taker:
        await mine.create(taker.url, EVENTS)
        await notified(pool)
        await deliveries.deliver_due()
    assert (await only(mine)).state == "delivered"


async def test_a_closed_port_is_tried_again(pool: asyncpg.Pool, mine: Webhooks, deliveries: Deliveries) -> None:
    async with receiver() as taker:
        pass
    await mine.create(taker.url, EVENTS)
    await notified(pool)
    await deliveries.deliver_due()
    delivery = await only(mine)
    assert (delivery.state, delivery.status) == ("pending", None)
    assert "cannot be reached" in (delivery.error or "")
    assert "of=alice" not in (delivery.error or "")  # a query may hold a token


async def test_nobody_waits_for_one_that_hangs(pool: asyncpg.Pool, mine: Webhooks) -> None:
    """The loop as a worker runs it: one receiver hangs under a heap of messages, the others hear all of theirs."""
    patient = Deliveries(pool, WebhookSettings(allow_private=True, timeout_s=30), luck=lambda: 0.5)
    async with receiver(hangs) as hanging, receiver() as taker, receiver() as other:
        await mine.create(hanging.url, EVENTS)
        await mine.create(taker.url, EVENTS)
        await Webhooks(pool, "bob").create(other.url, EVENTS)
        for _ in range(20):
            await notified(pool)
            await notified(pool, "bob")
        async with running(patient), asyncio.timeout(20):
            await asyncio.gather(taker.hears(20), other.hears(20))
        assert len(hanging.told) == 1
        assert len({told.id for told in taker.told}) == 20


async def test_an_owner_with_many_that_hang_leaves_room_for_others(pool: asyncpg.Pool, mine: Webhooks) -> None:
    patient = Deliveries(pool, WebhookSettings(allow_private=True, timeout_s=30))
    async with receiver(hangs) as hanging, receiver() as other:
        for number in range(MOST_WEBHOOKS):
            await mine.create(f"{hanging.url}&number={number}", EVENTS)
        await Webhooks(pool, "bob").create(other.url, EVENTS)
        await notified(pool)
        await notified(pool)
        await notified(pool, "bob")
        async with running(patient), asyncio.timeout(20):
            await asyncio.gather(other.hears(1), hanging.hears(8))
            await asyncio.sleep(1.5)  # another look of the loop at what is left
        assert len(hanging.told) == 8


async def test_what_a_dead_worker_had_claimed_is_delivered_by_another(
    pool: asyncpg.Pool, mine: Webhooks, deliveries: Deliveries
) -> None:
    async with receiver(hangs, says("200 OK")) as taker:
        await mine.create(taker.url, EVENTS)
        await notified(pool)
        dying = asyncio.create_task(deliveries.deliver_due())
        await taker.hears(1)
        dying.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await dying
        assert await deliveries.deliver_due() == 0  # its claim holds
        await let_be_due(pool)
        assert await deliveries.deliver_due() == 1
    assert [told.id for told in taker.told] == [taker.told[0].id] * 2
    assert ((await only(mine)).state, (await only(mine)).attempts) == ("delivered", 2)


async def test_two_workers_never_make_the_same_attempt(pool: asyncpg.Pool, mine: Webhooks) -> None:
    async with receiver() as taker:
        await mine.create(taker.url, EVENTS)
        for _ in range(10):
            await notified(pool)
        workers = [Deliveries(pool, SETTINGS) for _ in range(4)]
        while sum(await asyncio.gather(*(worker.deliver_due() for worker in workers))):
            pass
    assert len(taker.told) == 10
    assert len({told.id for told in taker.told}) == 10


async def test_private_addresses_are_told_nothing_unless_allowed(pool: asyncpg.Pool, mine: Webhooks) -> None:
    async with receiver() as taker:
        await mine.create(taker.url.replace("127.0.0.1", "localhost"), EVENTS)
        await notified(pool)
        await Deliveries(pool, WebhookSettings(timeout_s=1)).deliver_due()
    assert taker.told == []
    delivery = await only(mine)
    assert delivery.state == "failed"
    assert "an address that is not public" in (delivery.error or "")


async def test_metadata_services_are_told_nothing_though_private_addresses_are_allowed(
    pool: asyncpg.Pool, mine: Webhooks, deliveries: Deliveries
) -> None:
    await mine.create("http://169.254.169.254/latest", EVENTS)
    await notified(pool)
    await deliveries.deliver_due()
    assert "metadata service" in ((await only(mine)).error or "")


async def test_a_test_is_delivered_once_even_to_one_that_is_off(
    pool: asyncpg.Pool, mine: Webhooks, deliveries: Deliveries
) -> None:
    async with receiver(says("500 Oh")) as taker:
        webhook = await mine.create(taker.url, ["job.dead"], active=False)
        delivery = await mine.test(webhook.id)
        assert (delivery.event, delivery.state) == ("webhook.test", "pending")
        await deliveries.deliver_due()
    assert [told.json["type"] for told in taker.told] == ["webhook.test"]
    assert (await only(mine)).state == "failed"


async def test_webhooks_are_their_owners_alone(pool: asyncpg.Pool, mine: Webhooks, deliveries: Deliveries) -> None:
    yours = Webhooks(pool, "bob")
    webhook = await mine.create("http://receiver.example/", EVENTS)
    delivery = await mine.test(webhook.id)
    for attempt in (
        yours.get(webhook.id),
        yours.update(webhook.id, url="http://evil.example/"),
        yours.delete(webhook.id),
        yours.test(webhook.id),
        yours.redeliver(delivery.id),
        yours.deliveries(count=1, webhook_id=webhook.id),
        mine.get("nonsense"),
        mine.get(str(uuid4())),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert (await yours.all(), await yours.deliveries(count=9)) == ([], [])
    assert await mine.all() == [webhook]


async def test_a_webhook_is_changed_and_deleted_with_its_log(pool: asyncpg.Pool, mine: Webhooks) -> None:
    made = await mine.create("http://receiver.example/", EVENTS)
    changed = await mine.update(
        made.id, url="http://other.example/", events=["job.dead"], secret="s" * 16, active=False
    )
    assert changed == Webhook(
        made.id, "alice", "http://other.example/", "s" * 16, ("job.dead",), False, None, made.created_at
    )
    assert await mine.update(made.id) == changed
    await mine.test(made.id)
    await mine.delete(made.id)
    assert await pool.fetchval("SELECT count(*) FROM webhook_deliveries") == 0


async def test_an_owner_can_have_only_so_many_webhooks(mine: Webhooks) -> None:
    for _ in range(MOST_WEBHOOKS):
        await mine.create("http://receiver.example/", EVENTS)
    with pytest.raises(ClientError, match="20 webhooks already"):
        await mine.create("http://receiver.example/", EVENTS)


async def test_a_deleted_recording_takes_what_was_to_be_told_of_it(pool: asyncpg.Pool, mine: Webhooks) -> None:
    await mine.create("http://receiver.example/", EVENTS)
    writer = RecordingWriter.new(pool, "alice")
    await writer.create()
    await notified(pool, recording_id=writer.recording_id)
    await store.Recordings(pool, "alice").delete(writer.recording_id)
    assert await mine.deliveries(count=9) == []


async def test_the_log_is_kept_for_so_many_days(pool: asyncpg.Pool, mine: Webhooks, deliveries: Deliveries) -> None:
    async with receiver() as taker:
        await mine.create(taker.url, EVENTS)
        for _ in range(3):
            await notified(pool)
            await deliveries.deliver_due()
        await notified(pool)
    first, *_, waiting = sorted(await mine.deliveries(count=9), key=lambda each: each.created_at)
    long_ago = datetime.now(UTC) - timedelta(days=31)
    await pool.execute("UPDATE webhook_deliveries SET finished_at = $1 WHERE id::text = $2", long_ago, first.id)
    await pool.execute("UPDATE webhook_deliveries SET created_at = $1 WHERE id::text = $2", long_ago, waiting.id)
    await deliveries.forget()
    left = {each.id for each in await mine.deliveries(count=9)}
    assert (len(left), first.id in left, waiting.id in left) == (3, False, True)


async def test_the_log_is_read_a_page_at_a_time(pool: asyncpg.Pool, mine: Webhooks) -> None:
    webhook = await mine.create("http://receiver.example/", EVENTS)
    made = [(await mine.test(webhook.id)).id for _ in range(5)]
    seen: list[Delivery] = []
    while page := await mine.deliveries(
        count=2, webhook_id=webhook.id, before=(seen[-1].created_at, seen[-1].id) if seen else None
    ):
        seen += page
    assert [each.id for each in seen] == made[::-1]
    assert await mine.deliveries(count=9, state="failed") == []


@contextlib.asynccontextmanager
async def running(deliveries: Deliveries) -> AsyncIterator[None]:
    task = asyncio.create_task(deliveries.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
