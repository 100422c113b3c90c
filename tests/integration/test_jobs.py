"""Jobs as their owner sees them: made in one transaction, seen by nobody else, cancelled, deleted, replayed."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from batch.claims import Claims, LeaseLost
from batch.retry import MOST_ATTEMPTS
from parley import store
from parley.embedded.server import RunningServer
from parley.errors import ClientError, NotFound
from parley.jobs import Message, PlannedStep, StepError, outlook
from parley.store import RecordingWriter
from parley.store.jobs import Jobs, enqueue, step_rates
from tests.integration.job_store import PIPELINE, claimed, let_leases_expire, let_waits_pass, make_job
from tests.integration.stores import own_database

DOCS = Path(__file__).parents[2] / "docs" / "jobs.md"
STATES = ("pending", "queued", "running", "waiting", "succeeded", "failed", "dead", "cancelled")
BROKEN = StepError("permanent", "corrupt_audio", "The audio is corrupt.")
PASSING = StepError("retryable", "decode_failed", "The decode failed.")


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


@pytest.fixture
def mine(pool: asyncpg.Pool) -> Jobs:
    return Jobs(pool, "alice")


@pytest.fixture
def yours(pool: asyncpg.Pool) -> Jobs:
    return Jobs(pool, "bob")


async def recording_of(pool: asyncpg.Pool, owner: str, samples: int = 0) -> str:
    writer = RecordingWriter.new(pool, owner)
    await writer.create()
    await pool.execute("UPDATE recordings SET samples = $1 WHERE id::text = $2", samples, writer.recording_id)
    return writer.recording_id


async def dead_job(pool: asyncpg.Pool, claims: Claims, owner: str = "alice", **values: str) -> str:
    job_id = (await make_job(pool, owner, **values)).job_id
    for _ in range(MOST_ATTEMPTS):
        await (await claimed(claims)).fail(PASSING)
        await let_waits_pass(pool)
    return job_id


async def test_a_job_comes_back_as_it_was_made(pool: asyncpg.Pool, mine: Jobs) -> None:
    recording_id = await recording_of(pool, "alice", samples=32_000)
    made = await make_job(pool, recording_id=recording_id, priority="bulk", options={"language": "de"})
    job = await mine.get(made.job_id)
    assert (job.id, job.owner, job.recording_id, job.samples) == (made.job_id, "alice", recording_id, 32_000)
    assert (job.priority, job.state, job.options, job.delayed) == ("bulk", "queued", {"language": "de"}, None)
    assert job.pipeline == ("transcribe", "summarise", "notify")
    assert [(step.name, step.kind, step.state) for step in job.steps] == [
        ("transcribe", "stt", "queued"),
        ("summarise", "llm", "pending"),
        ("notify", "notify", "pending"),
    ]
    assert made.message == Message(job.steps[0].id, "stt")
    assert [listed.steps for listed in await mine.page(count=10)] == [job.steps]


async def test_a_job_is_there_exactly_if_the_transaction_it_was_made_in_is(pool: asyncpg.Pool, mine: Jobs) -> None:
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        made = await enqueue(connection, "alice", PIPELINE)
        with pytest.raises(NotFound):
            await mine.get(made.job_id)
        await transaction.rollback()
    with pytest.raises(NotFound):
        await mine.get(made.job_id)


@pytest.mark.parametrize("steps", [(), (PIPELINE[0], PIPELINE[0])])
async def test_what_is_no_pipeline_is_refused(pool: asyncpg.Pool, steps: tuple[PlannedStep, ...]) -> None:
    async with pool.acquire() as connection:
        with pytest.raises(ClientError):
            await enqueue(connection, "alice", steps)


async def test_a_job_for_anothers_recording_is_refused(pool: asyncpg.Pool, mine: Jobs) -> None:
    for recording_id in (await recording_of(pool, "bob"), str(uuid4()), "nonsense"):
        with pytest.raises(NotFound):
            await make_job(pool, "alice", recording_id=recording_id)
    assert await mine.page(count=10) == []


async def test_nothing_of_one_owner_is_seen_or_changed_by_another(
    pool: asyncpg.Pool, claims: Claims, mine: Jobs, yours: Jobs
) -> None:
    dead = await dead_job(pool, claims)
    job_id = (await make_job(pool)).job_id
    before = [(job.id, job.state, job.delayed) for job in await mine.page(count=10)]
    for attempt in (yours.get(job_id), yours.cancel(job_id), yours.delete(job_id), yours.get("nonsense")):
        with pytest.raises(NotFound):
            await attempt
    await yours.delay(job_id, "x")
    assert await yours.replay([dead]) == {}
    assert await yours.discard([dead]) == []
    assert await yours.page(count=10) == []
    assert [(job.id, job.state, job.delayed) for job in await mine.page(count=10)] == before


async def test_the_same_request_gets_the_same_job_whatever_became_of_it(pool: asyncpg.Pool, mine: Jobs) -> None:
    first = await make_job(pool, idempotency_key="k")
    again = await make_job(pool, idempotency_key="k")
    assert (again.job_id, again.message, again.same_content) == (first.job_id, None, False)
    await mine.cancel(first.job_id)
    assert (await make_job(pool, idempotency_key="k")).job_id == first.job_id
    assert (await make_job(pool, "bob", idempotency_key="k")).job_id != first.job_id


async def test_the_same_audio_is_done_once_unless_that_came_to_nothing(pool: asyncpg.Pool, mine: Jobs) -> None:
    first = await make_job(pool, content_key="c")
    again = await make_job(pool, content_key="c", idempotency_key="k")
    assert (again.job_id, again.message, again.same_content) == (first.job_id, None, True)
    assert (await make_job(pool, "bob", content_key="c")).message is not None
    await mine.cancel(first.job_id)
    assert (await make_job(pool, content_key="c")).message is not None


async def test_of_many_requests_at_once_with_one_key_one_makes_the_job(pool: asyncpg.Pool) -> None:
    made = await asyncio.gather(*(make_job(pool, idempotency_key="k", content_key="c") for _ in range(8)))
    assert len({one.job_id for one in made}) == 1
    assert sum(one.message is not None for one in made) == 1


async def test_pages_go_from_the_newest_to_the_oldest_and_by_state(
    pool: asyncpg.Pool, claims: Claims, mine: Jobs
) -> None:
    made = [(await make_job(pool)).job_id for _ in range(5)]
    first = await mine.page(count=2)
    last = first[-1]
    rest = await mine.page(count=9, before=(last.created_at, last.id))
    assert [job.id for job in first + rest] == made[::-1]
    await mine.cancel(made[2])
    assert [job.id for job in await mine.page(count=9, state="cancelled")] == [made[2]]


async def test_a_job_is_in_the_state_of_its_current_step(pool: asyncpg.Pool, claims: Claims, mine: Jobs) -> None:
    job_id = (await make_job(pool, "alice", *PIPELINE[:2])).job_id
    seen = []

    async def look() -> None:
        job = await mine.get(job_id)
        seen.append((job.state, job.started_at is not None, job.finished_at is not None))

    await look()
    lease = await claimed(claims)
    await look()
    await lease.fail(PASSING)
    await look()
    await let_waits_pass(pool)
    await (await claimed(claims)).succeed()
    await look()
    await (await claimed(claims, "llm")).succeed()
    await look()
    assert seen == [
        ("queued", False, False),
        ("running", True, False),
        ("waiting", True, False),
        ("queued", True, False),
        ("succeeded", True, True),
    ]


async def test_a_cancelled_worker_learns_it_and_writes_nothing_more(
    pool: asyncpg.Pool, claims: Claims, mine: Jobs
) -> None:
    job_id = (await make_job(pool)).job_id
    lease = await claimed(claims)
    assert await mine.cancel(job_id)
    assert not await mine.cancel(job_id)
    for attempt in (lease.heartbeat(), lease.progress(0.5, "x"), lease.succeed("r"), lease.fail(PASSING)):
        with pytest.raises(LeaseLost) as refused:
            await attempt
        assert refused.value.code == "cancelled"
    job = await mine.get(job_id)
    assert job.state == "cancelled"
    assert {step.state for step in job.steps} == {"cancelled"}
    assert [await claims.claim(kind, "w", 60) for kind in ("stt", "llm")] == [None, None]


async def test_a_job_that_ended_is_not_cancelled(pool: asyncpg.Pool, claims: Claims, mine: Jobs) -> None:
    job_id = (await make_job(pool)).job_id
    await (await claimed(claims)).fail(BROKEN)
    assert not await mine.cancel(job_id)
    job = await mine.get(job_id)
    assert (job.state, [step.state for step in job.steps]) == ("failed", ["failed", "pending", "pending"])


async def test_deleting_removes_everything_under_a_running_worker_too(
    pool: asyncpg.Pool, claims: Claims, mine: Jobs
) -> None:
    job_id = (await make_job(pool)).job_id
    lease = await claimed(claims)
    await mine.delete(job_id)
    with pytest.raises(LeaseLost) as refused:
        await lease.heartbeat()
    assert refused.value.code == "deleted"
    with pytest.raises(NotFound):
        await mine.delete(job_id)
    assert await pool.fetchval("SELECT count(*) FROM job_steps") == 0


async def test_a_deleted_recording_takes_its_jobs_along(pool: asyncpg.Pool, mine: Jobs) -> None:
    recording_id = await recording_of(pool, "alice")
    await make_job(pool, recording_id=recording_id)
    await store.Recordings(pool, "alice").delete(recording_id)
    assert await mine.page(count=9) == []


async def test_a_delay_is_said_until_a_worker_takes_the_job(pool: asyncpg.Pool, claims: Claims, mine: Jobs) -> None:
    job_id = (await make_job(pool, delayed="The broker is away.")).job_id
    assert (await mine.get(job_id)).delayed == "The broker is away."
    await mine.delay(job_id, "Still away.")
    assert (await mine.get(job_id)).delayed == "Still away."
    lease = await claimed(claims)
    await mine.delay(job_id, "Too late.")
    assert (await mine.get(job_id)).delayed is None
    await lease.fail(StepError("delayed", "engine_unavailable", "No engine answers."))
    job = await mine.get(job_id)
    assert (job.state, job.delayed) == ("waiting", "No engine answers.")


async def test_a_dead_letter_says_what_happened_and_is_replayed_from_where_it_died(
    pool: asyncpg.Pool, claims: Claims, mine: Jobs
) -> None:
    job_id = (await make_job(pool)).job_id
    await (await claimed(claims)).succeed({"segments": 3})
    for _ in range(MOST_ATTEMPTS):
        await (await claimed(claims, "llm", worker="w7")).fail(PASSING)
        await let_waits_pass(pool)
    [dead] = await mine.page(count=9, state="dead")
    step = dead.current
    assert dead.id == job_id
    assert step is not None
    assert (step.name, step.state, step.error) == ("summarise", "dead", PASSING)
    assert [(one.attempt, one.worker, one.error) for one in step.failures] == [
        (attempt, "w7", PASSING) for attempt in range(1, MOST_ATTEMPTS + 1)
    ]
    assert await claims.claim("llm", "w", 60) is None

    assert await mine.replay([job_id, str(uuid4())]) == {job_id: Message(step.id, "llm")}
    assert await mine.replay([job_id]) == {}
    lease = await claimed(claims, "llm")
    assert (lease.step.attempt, lease.step.results) == (1, {"transcribe": {"segments": 3}})
    assert (await mine.get(job_id)).finished_at is None
    await lease.succeed()
    await (await claimed(claims, "notify")).succeed()
    assert (await mine.get(job_id)).state == "succeeded"


async def test_many_dead_letters_are_replayed_or_discarded_at_once(
    pool: asyncpg.Pool, claims: Claims, mine: Jobs
) -> None:
    dead = [await dead_job(pool, claims) for _ in range(3)]
    assert await mine.discard([dead[0], str(uuid4())]) == [dead[0]]
    assert set(await mine.replay(dead)) == set(dead[1:])
    assert (await mine.get(dead[0])).state == "failed"
    assert await mine.page(count=9, state="dead") == []


async def test_a_dead_letter_whose_audio_came_again_is_not_replayed(
    pool: asyncpg.Pool, claims: Claims, mine: Jobs
) -> None:
    dead = await dead_job(pool, claims, content_key="c")
    assert (await make_job(pool, content_key="c")).message is not None
    assert await mine.replay([dead]) == {}
    assert (await mine.get(dead)).state == "dead"


async def test_the_rest_is_estimated_from_what_steps_took(pool: asyncpg.Pool, claims: Claims, mine: Jobs) -> None:
    for owner in ("alice", "bob"):
        await make_job(pool, owner, recording_id=await recording_of(pool, owner, samples=16_000 * 100))
        lease = await claimed(claims)
        await lease.succeed()
        await pool.execute("UPDATE job_steps SET started_at = finished_at - interval '20 s' WHERE state = 'succeeded'")
    rates = await step_rates(pool, ["transcribe", "summarise"])
    assert set(rates) == {"transcribe"}
    assert rates["transcribe"].mean_s == pytest.approx(20)
    assert rates["transcribe"].per_audio_s == pytest.approx(0.2)
    job = (await mine.page(count=1))[0]
    assert outlook(job, rates).remaining_s is None


async def test_the_picture_in_the_docs_is_what_the_database_allows(pool: asyncpg.Pool) -> None:
    drawn = set(re.findall(r"^ +(\w+) --> (\w+)", DOCS.read_text(), re.M))
    allowed = set()
    for before in STATES:
        for after in STATES:
            if before != after and await _allows(pool, before, after):
                allowed.add((before, after))
    assert allowed == drawn


async def _allows(pool: asyncpg.Pool, before: str, after: str) -> bool:
    """Whether the database lets a step go there, by whatever query."""
    await pool.execute("TRUNCATE jobs CASCADE")
    await make_job(pool, "alice", PIPELINE[0])
    lease = "lease_until = CASE WHEN $1 = 'running' THEN now() END"
    async with pool.acquire() as connection:
        await connection.execute("ALTER TABLE job_steps DISABLE TRIGGER job_step_moved")
        await connection.execute(f"UPDATE job_steps SET state = $1, {lease}", before)
        await connection.execute("ALTER TABLE job_steps ENABLE TRIGGER job_step_moved")
        try:
            await connection.execute(f"UPDATE job_steps SET state = $1, {lease}", after)
        except asyncpg.CheckViolationError:
            return False
    return True


async def test_a_job_has_one_current_step(pool: asyncpg.Pool) -> None:
    await make_job(pool)
    with pytest.raises(asyncpg.UniqueViolationError):
        await pool.execute("UPDATE job_steps SET state = 'queued' WHERE position = 1")


async def test_a_lost_lease_is_in_the_history(pool: asyncpg.Pool, claims: Claims, mine: Jobs) -> None:
    job_id = (await make_job(pool)).job_id
    await claimed(claims, worker="w3")
    await let_leases_expire(pool)
    await claims.reap()
    [failure] = (await mine.get(job_id)).steps[0].failures
    assert (failure.worker, failure.error.error_class) == ("w3", "lost")
