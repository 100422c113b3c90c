"""Claims: each step is given to one worker, in a fair order, and one that lost it can write nothing more."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from uuid import UUID

import asyncpg
import pytest

from batch.claims import BROKER_AWAY, Claims, Lease, LeaseLost
from batch.dispatcher import DUE, LOST
from batch.retry import MOST_ATTEMPTS, Decision
from parley import store
from parley.embedded.server import RunningServer
from parley.errors import NotFound
from parley.jobs import Message, PlannedStep, StepError
from parley.store import RecordingWriter
from parley.store.jobs import Jobs, enqueue
from tests.integration.job_store import LEASE_S, PIPELINE, claimed, let_leases_expire, let_waits_pass, make_job
from tests.integration.stores import own_database

PASSING = StepError("retryable", "decode_failed", "The decode failed.")
AWAY = StepError("delayed", "engine_unavailable", "No engine answers.")
ONE_STEP = (PlannedStep("transcribe", "stt"),)


@pytest.fixture(scope="module")
def database(server: RunningServer) -> Iterator[str]:
    with own_database(server) as url:
        yield url


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    pool = await store.connect(database)
    await pool.execute("TRUNCATE jobs, recordings CASCADE")
    yield pool
    await pool.close()


@pytest.fixture
def claims(pool: asyncpg.Pool) -> Claims:
    return Claims(pool, luck=lambda: 0.5)


async def step_row(pool: asyncpg.Pool, lease: Lease) -> asyncpg.Record:
    row = await pool.fetchrow("SELECT * FROM job_steps WHERE id = $1", lease.step.step_id)
    assert row is not None
    return row


async def test_a_claim_says_all_that_a_worker_needs(pool: asyncpg.Pool, claims: Claims) -> None:
    made = await make_job(pool, "alice", *PIPELINE, priority="urgent", options={"language": "de"})
    lease = await claimed(claims)
    step = lease.step
    assert made.message == Message(step.step_id, "stt")
    assert (step.job_id, step.owner, step.recording_id, step.name) == (made.job_id, "alice", None, "transcribe")
    assert (step.priority, step.attempt, step.fence, step.delays) == ("urgent", 1, 1, 0)
    assert (step.options, step.results) == ({"language": "de"}, {})
    following = await lease.succeed({"segments": 3})
    later = await claimed(claims, "llm")
    assert following == Message(later.step.step_id, "llm")
    assert later.step.results == {"transcribe": {"segments": 3}}


async def test_of_many_workers_at_once_each_step_is_given_to_one(pool: asyncpg.Pool, claims: Claims) -> None:
    made = [await make_job(pool, f"owner{number % 3}", *ONE_STEP) for number in range(6)]
    leases = await asyncio.gather(*(claims.claim("stt", f"w{number}", LEASE_S) for number in range(10)))
    given = [lease.step.job_id for lease in leases if lease]
    assert len(given) == len(set(given))
    while lease := await claims.claim("stt", "w", LEASE_S):
        given.append(lease.step.job_id)
    assert sorted(given) == sorted(one.job_id for one in made)


async def test_a_queue_gives_out_its_own_kind(pool: asyncpg.Pool, claims: Claims) -> None:
    await make_job(pool)
    assert await claims.claim("llm", "w", LEASE_S) is None


async def test_priority_goes_first_then_age(pool: asyncpg.Pool, claims: Claims) -> None:
    made = {}
    for owner, priority in (("a", "bulk"), ("b", "normal"), ("c", "bulk"), ("d", "urgent"), ("e", "normal")):
        made[(await make_job(pool, owner, *ONE_STEP, priority=priority)).job_id] = owner
    order = [made[(await claimed(claims)).step.job_id] for _ in range(5)]
    assert order == ["d", "b", "e", "a", "c"]


async def test_jobs_made_together_go_in_their_order(pool: asyncpg.Pool, claims: Claims) -> None:
    async with pool.acquire() as connection, connection.transaction():
        made = [(await enqueue(connection, "alice", ONE_STEP)).job_id for _ in range(5)]
    assert [(await claimed(claims)).step.job_id for _ in range(5)] == made


async def bulk_of(pool: asyncpg.Pool, owner: str, count: int) -> None:
    async with pool.acquire() as connection, connection.transaction():
        for _ in range(count):
            await enqueue(connection, owner, ONE_STEP, priority="bulk")


async def test_a_thousand_jobs_of_one_owner_keep_nobody_waiting(pool: asyncpg.Pool, claims: Claims) -> None:
    await bulk_of(pool, "heavy", 1000)
    running = [await claimed(claims) for _ in range(8)]
    for owner in ("b", "c"):
        await bulk_of(pool, owner, 6)
    urgent = (await make_job(pool, "heavy", *ONE_STEP, priority="urgent")).job_id
    order = []
    for _ in range(16):
        lease = await claimed(claims)
        order.append("urgent" if lease.step.job_id == urgent else lease.step.owner)
        await running.pop(0).succeed()
        running.append(lease)
    assert order[:5] == ["urgent", "b", "c", "b", "c"]
    assert all(order.count(owner) > order.count("heavy") for owner in ("b", "c"))


async def test_of_equal_owners_each_has_the_same_share_of_the_workers(pool: asyncpg.Pool, claims: Claims) -> None:
    await bulk_of(pool, "a", 60)
    await bulk_of(pool, "b", 30)
    await bulk_of(pool, "c", 30)
    running = [await claimed(claims) for _ in range(12)]
    dice = random.Random(4)
    for _ in range(40):
        assert set(Counter(lease.step.owner for lease in running).values()) <= {3, 4, 5}
        await running.pop(dice.randrange(len(running))).succeed()
        running.append(await claimed(claims))


async def test_a_message_takes_its_step_and_nothing_else(pool: asyncpg.Pool, claims: Claims) -> None:
    await make_job(pool, "other", *ONE_STEP, priority="urgent")
    message = (await make_job(pool)).message
    assert message is not None
    lease = await claims.claim_step(message.step_id, "w", LEASE_S)
    assert lease is not None
    assert lease.step.step_id == message.step_id
    assert await claims.claim_step(message.step_id, "w2", LEASE_S) is None, "it is leased"
    await let_leases_expire(pool)
    again = await claims.claim_step(message.step_id, "w2", LEASE_S)
    assert again is not None
    assert (again.step.fence, again.step.attempt) == (2, 2)
    await again.succeed()
    assert await claims.claim_step(message.step_id, "w3", LEASE_S) is None, "it is done"
    assert await claims.claim_step(message.step_id + 1000, "w3", LEASE_S) is None, "there is no such step"


async def test_a_later_step_cannot_be_taken_before_its_time(pool: asyncpg.Pool, claims: Claims) -> None:
    await make_job(pool)
    later = await pool.fetchval("SELECT id FROM job_steps WHERE position = 1")
    assert await claims.claim_step(later, "w", LEASE_S) is None


async def test_a_heartbeat_keeps_the_lease_and_progress_is_seen(pool: asyncpg.Pool, claims: Claims) -> None:
    job_id = (await make_job(pool)).job_id
    lease = await claimed(claims)
    for sign_of_life in (lease.heartbeat(), lease.progress(0.25, "decoding")):
        await let_leases_expire(pool)
        await sign_of_life
        assert await claims.reap() == []
    step = (await Jobs(pool, "alice").get(job_id)).steps[0]
    assert (step.progress, step.stage, step.worker) == (0.25, "decoding", "w")


async def test_a_worker_that_comes_back_after_its_lease_finds_it_gone(pool: asyncpg.Pool, claims: Claims) -> None:
    await pool.execute("CREATE TABLE IF NOT EXISTS said (text text)")
    await make_job(pool)
    paused = await claimed(claims, worker="paused")
    await let_leases_expire(pool)
    [reaped] = await claims.reap()
    assert (reaped.step_id, reaped.decision) == (paused.step.step_id, Decision("waiting"))
    healthy = await claimed(claims, worker="healthy")

    async def write() -> None:
        async with paused.transaction() as connection:
            await connection.execute("INSERT INTO said VALUES ('twice')")

    before = await step_row(pool, healthy)
    for attempt in (
        paused.heartbeat(),
        paused.progress(0.9, "late"),
        paused.succeed("wrong"),
        paused.fail(PASSING),
        paused.release(),
        paused.attach("00000000-0000-0000-0000-000000000000"),
        paused.same_content("c"),
        write(),
    ):
        with pytest.raises(LeaseLost, match="running under fence 2; this lease has 1") as refused:
            await attempt
        assert refused.value.code == "lease_lost"
    assert await step_row(pool, healthy) == before
    await healthy.succeed("right")
    with pytest.raises(LeaseLost):
        await paused.succeed("wrong")
    assert (await step_row(pool, healthy))["result"] == "right"
    assert await pool.fetchval("SELECT count(*) FROM said") == 0


async def test_a_step_that_is_done_is_not_done_again(pool: asyncpg.Pool, claims: Claims) -> None:
    await make_job(pool, "alice", *ONE_STEP)
    lease = await claimed(claims)
    await lease.succeed("once")
    for attempt in (lease.succeed("twice"), lease.fail(PASSING), lease.heartbeat(), lease.release()):
        with pytest.raises(LeaseLost):
            await attempt
    row = await step_row(pool, lease)
    assert (row["state"], row["result"], row["progress"]) == ("succeeded", "once", 1)


async def test_a_lease_that_is_over_is_good_while_nobody_has_taken_the_step(pool: asyncpg.Pool, claims: Claims) -> None:
    await make_job(pool, "alice", *ONE_STEP)
    lease = await claimed(claims)
    await let_leases_expire(pool)
    assert await lease.succeed() is None
    assert await claims.reap() == []


async def test_what_a_step_writes_is_there_with_its_success_or_not_at_all(pool: asyncpg.Pool, claims: Claims) -> None:
    await pool.execute("CREATE TABLE IF NOT EXISTS said (text text)")
    await make_job(pool, "alice", *ONE_STEP)
    lease = await claimed(claims)

    async def break_off() -> None:
        async with lease.transaction() as connection:
            await connection.execute("INSERT INTO said VALUES ('half')")
            await lease.succeed(connection=connection)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await break_off()
    assert await pool.fetchval("SELECT count(*) FROM said") == 0
    assert (await step_row(pool, lease))["state"] == "running"
    async with lease.transaction() as connection:
        await connection.execute("INSERT INTO said VALUES ('whole')")
        await lease.succeed(connection=connection)
    assert await pool.fetchval("DELETE FROM said RETURNING text") == "whole"
    assert (await step_row(pool, lease))["state"] == "succeeded"


async def test_a_failure_waits_its_time_and_is_tried_again(pool: asyncpg.Pool, claims: Claims) -> None:
    await make_job(pool)
    lease = await claimed(claims)
    assert await lease.fail(PASSING, usage={"tokens": 7}) == Decision("waiting", 5)
    assert await claims.claim("stt", "w", LEASE_S) is None
    wait_s = await pool.fetchval("SELECT extract(epoch FROM not_before - now()) FROM job_steps WHERE position = 0")
    assert 4 < float(wait_s) < 6
    await let_waits_pass(pool)
    again = await claimed(claims)
    assert again.step.attempt == 2
    await again.succeed(usage={"tokens": 5})
    row = await step_row(pool, again)
    assert row["usage"] == [{"tokens": 7}, {"tokens": 5}]
    assert (row["error_class"], len(row["failures"])) == (None, 1)


async def test_a_permanent_error_ends_the_job_at_once(pool: asyncpg.Pool, claims: Claims) -> None:
    job_id = (await make_job(pool)).job_id
    error = StepError("permanent", "corrupt_audio", "Cut off\0 in the middle.")
    assert await (await claimed(claims)).fail(error) == Decision("failed")
    job = await Jobs(pool, "alice").get(job_id)
    assert job.current is not None
    assert job.current.error == StepError("permanent", "corrupt_audio", "Cut off in the middle.")


async def test_delays_use_up_no_attempt_and_leave_no_history(pool: asyncpg.Pool, claims: Claims) -> None:
    await make_job(pool)
    waits = []
    for _ in range(MOST_ATTEMPTS + 4):
        lease = await claimed(claims)
        assert lease.step.attempt == 1
        waits.append((await lease.fail(AWAY)).after_s)
        await let_waits_pass(pool)
    assert waits[:6] == [2.5, 5, 10, 20, 30, 30]
    assert (await step_row(pool, lease))["failures"] == []


async def test_a_step_that_takes_its_workers_along_is_dead_in_the_end(pool: asyncpg.Pool, claims: Claims) -> None:
    await make_job(pool)
    for _ in range(MOST_ATTEMPTS):
        lease = await claimed(claims)
        await lease.progress(0.4, "the same place")
        await let_leases_expire(pool)
        await claims.reap()
    # The first time, it had never been that far: that attempt did not count.
    assert (await step_row(pool, lease))["state"] == "waiting"
    await claimed(claims)
    await let_leases_expire(pool)
    assert [reaped.decision.state for reaped in await claims.reap()] == ["dead"]
    assert (await step_row(pool, lease))["error_code"] == "worker_lost"


async def test_a_step_that_gets_further_each_time_comes_to_its_end(pool: asyncpg.Pool, claims: Claims) -> None:
    await make_job(pool, "alice", *ONE_STEP)
    for number in range(4 * MOST_ATTEMPTS):
        lease = await claimed(claims)
        assert lease.step.attempt == 1
        await lease.progress((number + 1) / 40, "decoding")
        if number % 2:
            await lease.fail(PASSING)
            await let_waits_pass(pool)
        else:
            await let_leases_expire(pool)
            await claims.reap()
    await (await claimed(claims)).succeed()


async def test_a_worker_that_stops_gives_its_step_back(pool: asyncpg.Pool, claims: Claims) -> None:
    await make_job(pool)
    lease = await claimed(claims)
    await lease.release()
    with pytest.raises(LeaseLost):
        await lease.heartbeat()
    again = await claimed(claims)
    assert (again.step.attempt, again.step.fence) == (1, 2)


async def test_a_message_is_sent_at_once_and_again_where_it_brought_nobody(pool: asyncpg.Pool, claims: Claims) -> None:
    message = (await make_job(pool)).message
    assert await claims.announce("llm", 10) == []
    assert await claims.announce("stt", 10) == [message]
    assert await claims.announce("stt", 10) == [], "it is on its way"
    await pool.execute("UPDATE job_steps SET announce_at = now()")
    assert await claims.announce("stt", 10) == [message]
    assert await claims.announce("stt", 10) == []
    await pool.execute("UPDATE job_steps SET announce_at = now()")
    await claimed(claims)
    assert await claims.announce("stt", 10) == [], "it is claimed"


async def test_a_retry_is_announced_when_it_is_due(pool: asyncpg.Pool, claims: Claims) -> None:
    message = (await make_job(pool)).message
    await (await claimed(claims)).fail(PASSING)
    assert await claims.announce("stt", 10) == []
    await let_waits_pass(pool)
    assert await claims.announce("stt", 10) == [message]


async def test_announcements_are_bounded_and_go_round(pool: asyncpg.Pool, claims: Claims) -> None:
    made = [(await make_job(pool)).message for _ in range(5)]
    await pool.execute("UPDATE job_steps SET announce_at = now()")
    first, second = await claims.announce("stt", 3), await claims.announce("stt", 3)
    assert (len(first), len(second)) == (3, 2)
    assert set(first + second) == set(made)


async def test_a_job_whose_message_cannot_be_sent_says_so_until_it_can(pool: asyncpg.Pool, claims: Claims) -> None:
    made = await make_job(pool)
    [message] = await claims.announce("stt", 10)
    assert await claims.unsent([message]) == [("alice", made.job_id)]
    assert (await Jobs(pool, "alice").get(made.job_id)).delayed == BROKER_AWAY
    assert await claims.announce("stt", 10) == [message], "it is tried again"
    assert await claims.unsent([message]) == [], "it was said already"
    assert await claims.sendable_again() == [("alice", made.job_id)]
    assert (await Jobs(pool, "alice").get(made.job_id)).delayed is None


async def test_a_step_starves_that_is_due_for_long_without_anybody_taking_it(
    pool: asyncpg.Pool, claims: Claims
) -> None:
    await make_job(pool)
    assert [await claims.starving("stt", 60), await claims.starving("llm", 0)] == [False, False]
    await pool.execute("UPDATE job_steps SET not_before = now() - interval '61 s'")
    assert await claims.starving("stt", 60)
    await claimed(claims)
    assert not await claims.starving("stt", 60)


async def test_listeners_hear_of_what_is_due_and_of_what_is_taken_away(pool: asyncpg.Pool, claims: Claims) -> None:
    heard: list[tuple[str, str]] = []
    async with pool.acquire() as connection:
        for channel in (DUE, LOST):
            await connection.add_listener(channel, lambda _c, _p, on, said: heard.append((on, said)))
        job_id = (await make_job(pool)).job_id
        lease = await claimed(claims)
        await lease.succeed()
        step = (await claimed(claims, "llm")).step
        await Jobs(pool, "alice").cancel(job_id)
        other = await make_job(pool)
        doomed = (await claimed(claims)).step
        await Jobs(pool, "alice").delete(other.job_id)
        await connection.execute("SELECT 1")
        await connection.reset()
    assert heard == [(DUE, "stt"), (DUE, "llm"), (LOST, str(step.step_id)), (DUE, "stt"), (LOST, str(doomed.step_id))]


async def test_a_step_says_which_recording_it_made(pool: asyncpg.Pool, claims: Claims) -> None:
    job_id = (await make_job(pool)).job_id
    lease = await claimed(claims)
    recordings = {}
    for owner in ("alice", "bob"):
        writer = RecordingWriter.new(pool, owner)
        await writer.create()
        recordings[owner] = writer.recording_id
    with pytest.raises(NotFound):
        await lease.attach(recordings["bob"])
    await lease.attach(recordings["alice"])
    assert lease.step.recording_id == recordings["alice"]
    assert (await Jobs(pool, "alice").get(job_id)).recording_id == recordings["alice"]
    await lease.succeed()
    assert (await claimed(claims, "llm")).step.recording_id == recordings["alice"]


async def test_a_recording_that_is_deleted_meanwhile_waits_for_what_is_being_written(
    pool: asyncpg.Pool, claims: Claims
) -> None:
    writer = RecordingWriter.new(pool, "alice")
    await writer.create()
    await make_job(pool, recording_id=writer.recording_id)
    lease = await claimed(claims)
    async with lease.transaction() as connection:
        deletion = asyncio.create_task(store.Recordings(pool, "alice").delete(writer.recording_id))
        await asyncio.sleep(0.1)
        await connection.execute(
            "INSERT INTO audio_parts (recording_id, start_sample, end_sample, blob_key) VALUES ($1, 0, 1, 'k')",
            UUID(writer.recording_id),
        )
        await lease.succeed(connection=connection)
    await deletion
    with pytest.raises(LeaseLost) as refused:
        await lease.heartbeat()
    assert refused.value.code == "deleted"


async def test_a_step_learns_that_another_job_has_the_same_audio(pool: asyncpg.Pool, claims: Claims) -> None:
    first = (await make_job(pool)).job_id
    one = await claimed(claims)
    await make_job(pool)
    other = await claimed(claims)
    await make_job(pool, "bob")
    bobs = await claimed(claims)
    assert [await lease.same_content("c") for lease in (one, one, other, bobs)] == [None, None, first, None]
    await other.heartbeat()
