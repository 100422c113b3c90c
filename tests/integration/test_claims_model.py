"""Whatever workers do, and in whatever order: every job ends exactly once, and nothing of it is lost or doubled.

`ClaimProtocol` takes every step of the interleaving by itself and holds the database against a model of it;
`test_jobs_survive_…` lets workers run against each other for real.
"""

import asyncio
import random
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import asyncpg
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from batch.claims import Claims, Lease, LeaseLost
from batch.retry import MOST_ATTEMPTS
from parley import store
from parley.embedded.server import RunningServer
from parley.jobs import Kind, PlannedStep, StepError
from parley.store.jobs import Jobs
from tests.integration.job_store import LEASE_S, let_leases_expire, let_waits_pass, make_job
from tests.integration.stores import own_database

PIPELINE = (PlannedStep("transcribe", "stt"), PlannedStep("summarise", "llm"))
KINDS: tuple[Kind, ...] = ("stt", "llm")
ERRORS = {
    error_class: StepError(error_class, "code", "What happened.")
    for error_class in ("retryable", "permanent", "quota", "delayed")
}
OUTCOMES = ("succeed", "heartbeat", "release", *ERRORS)
PROGRESS = (None, 0.0, 0.25, 0.5, 0.75)
ENDED = {"succeeded", "failed", "dead", "cancelled"}
_T = TypeVar("_T")


@pytest.fixture(scope="module")
def database(server: RunningServer) -> Iterator[str]:
    with own_database(server) as url:
        yield url


@dataclass
class Model:
    """What must be true of one job: where it is, who may write, and how often each step came to its end."""

    state: str = "queued"
    position: int = 0
    fence: list[int] = field(default_factory=lambda: [0] * len(PIPELINE))
    attempt: int = 0
    progress: float = 0.0
    reached: float = 0.0
    done: list[int] = field(default_factory=lambda: [0] * len(PIPELINE))

    @property
    def kind(self) -> Kind:
        return PIPELINE[self.position].kind

    def take(self) -> None:
        self.state = "running"
        self.fence[self.position] += 1
        self.attempt += 1
        self.reached = max(self.reached, self.progress)

    def succeed(self) -> None:
        self.done[self.position] += 1
        self.attempt, self.progress, self.reached = 0, 0.0, 0.0
        if self.position + 1 == len(PIPELINE):
            self.state = "succeeded"
        else:
            self.position, self.state = self.position + 1, "queued"

    def fail(self, error_class: str) -> None:
        if error_class == "permanent":
            self.state = "failed"
        elif error_class == "delayed" or self.progress > self.reached:
            self.state, self.attempt = "waiting", self.attempt - 1
        else:
            self.state = "dead" if self.attempt >= MOST_ATTEMPTS else "waiting"


class ClaimProtocol(RuleBasedStateMachine):
    """Workers never tell when they die or freeze: they are merely not heard of until their lease is over. So every
    lease that was ever given stays in `leases`, and any of them may act at any time."""

    runner: ClassVar[asyncio.Runner]
    pool: ClassVar[asyncpg.Pool]

    @initialize()
    def begin(self) -> None:
        self.run(self.pool.execute("DELETE FROM jobs"))
        self.claims = Claims(self.pool, luck=lambda: 0.5)
        self.jobs = Jobs(self.pool, "alice")
        self.models: dict[str, Model] = {}
        self.leases: list[Lease] = []

    def run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        return self.runner.run(coroutine)

    def holds(self, lease: Lease) -> bool:
        """Whether this lease is the newest of a step that runs."""
        model = self.models[lease.step.job_id]
        return (
            model.state == "running"
            and PIPELINE[model.position].name == lease.step.name
            and model.fence[model.position] == lease.step.fence
        )

    def held(self) -> list[Lease]:
        return [lease for lease in self.leases if self.holds(lease)]

    def lost(self) -> list[Lease]:
        return [lease for lease in self.leases if not self.holds(lease)]

    @precondition(lambda self: len(self.models) < 3)
    @rule()
    def a_job_is_made(self) -> None:
        self.models[self.run(make_job(self.pool, "alice", *PIPELINE)).job_id] = Model()

    @rule(
        kind=st.sampled_from(KINDS),
        after_a_while=st.booleans(),
        outcome=st.sampled_from([None, None, *OUTCOMES]),
        progress=st.sampled_from(PROGRESS),
    )
    def a_worker_claims(self, kind: Kind, after_a_while: bool, outcome: str | None, progress: float | None) -> None:
        if after_a_while:
            self.time_passes()
        lease = self.run(self.claims.claim(kind, "w", LEASE_S))
        due = [
            model for model in self.models.values() if model.state in ("queued", "waiting_due") and model.kind == kind
        ]
        assert (lease is None) == (not due)
        if lease is not None:
            self.taken(lease)
            if outcome is not None:
                self.heard_of(lease, outcome, progress)

    def taken(self, lease: Lease) -> None:
        model = self.models[lease.step.job_id]
        assert model.state in ("queued", "waiting_due")
        model.take()
        assert (lease.step.name, lease.step.fence, lease.step.attempt) == (
            PIPELINE[model.position].name,
            model.fence[model.position],
            model.attempt,
        )
        self.leases.append(lease)

    @precondition(lambda self: self.held())
    @rule(data=st.data(), outcome=st.sampled_from(OUTCOMES), progress=st.sampled_from(PROGRESS))
    def a_worker_is_heard_of(self, data: st.DataObject, outcome: str, progress: float | None) -> None:
        self.heard_of(data.draw(st.sampled_from(self.held()), label="lease"), outcome, progress)

    def heard_of(self, lease: Lease, outcome: str, progress: float | None) -> None:
        model = self.models[lease.step.job_id]
        if progress is not None:
            self.run(lease.progress(progress, "at it"))
            model.progress = progress
        self.run(self.act(lease, outcome))
        if outcome == "succeed":
            model.succeed()
        elif outcome == "release":
            model.state, model.attempt = "queued", model.attempt - 1
        elif outcome in ERRORS:
            model.fail(outcome)

    @precondition(lambda self: self.lost())
    @rule(data=st.data(), outcome=st.sampled_from(OUTCOMES))
    def a_worker_comes_back_too_late(self, data: st.DataObject, outcome: str) -> None:
        with pytest.raises(LeaseLost):
            self.run(self.act(data.draw(st.sampled_from(self.lost()), label="lease"), outcome))

    async def act(self, lease: Lease, outcome: str) -> None:
        if outcome in ERRORS:
            await lease.fail(ERRORS[outcome])
            # Time passes only where the model says so, however slow this machine is.
            await self.pool.execute(
                "UPDATE job_steps SET not_before = now() + interval '1 h' WHERE id = $1 AND state = 'waiting'",
                lease.step.step_id,
            )
        else:
            await getattr(lease, outcome)()

    @precondition(lambda self: self.held())
    @rule()
    def every_lease_is_over_and_reaped(self) -> None:
        self.run(let_leases_expire(self.pool))
        reaped = self.run(self.claims.reap())
        running = {job_id for job_id, model in self.models.items() if model.state == "running"}
        assert sorted(one.job_id for one in reaped) == sorted(running)
        for job_id in running:
            model = self.models[job_id]
            model.fail("lost")
            model.state = "waiting_due" if model.state == "waiting" else model.state

    @precondition(lambda self: self.held())
    @rule(data=st.data())
    def a_worker_freezes_and_another_has_its_step(self, data: st.DataObject) -> None:
        frozen = data.draw(st.sampled_from(self.held()), label="frozen")
        self.every_lease_is_over_and_reaped()
        again = self.run(self.claims.claim_step(frozen.step.step_id, "w", LEASE_S))
        assert (again is not None) == (self.models[frozen.step.job_id].state == "waiting_due")
        if again is not None:
            self.taken(again)

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def a_message_comes_twice(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.leases), label="lease")
        model = self.models[lease.step.job_id]
        due = model.state in ("queued", "waiting_due") and PIPELINE[model.position].name == lease.step.name
        again = self.run(self.claims.claim_step(lease.step.step_id, "w", LEASE_S))
        assert (again is not None) == due
        if again is not None:
            self.taken(again)

    def time_passes(self) -> None:
        self.run(let_waits_pass(self.pool))
        for model in self.models.values():
            model.state = "waiting_due" if model.state == "waiting" else model.state

    @precondition(lambda self: self.models)
    @rule(data=st.data(), one_in_four=st.sampled_from([False, False, False, True]))
    def somebody_cancels(self, data: st.DataObject, one_in_four: bool) -> None:
        if not one_in_four:
            return
        job_id = data.draw(st.sampled_from(list(self.models)), label="job")
        model = self.models[job_id]
        assert self.run(self.jobs.cancel(job_id)) == (model.state not in ENDED)
        model.state = model.state if model.state in ENDED else "cancelled"

    @precondition(lambda self: any(model.state == "dead" for model in self.models.values()))
    @rule()
    def the_dead_are_replayed(self) -> None:
        dead = {job_id for job_id, model in self.models.items() if model.state == "dead"}
        assert set(self.run(self.jobs.replay(list(self.models)))) == dead
        for job_id in dead:
            self.models[job_id].state, self.models[job_id].attempt, self.models[job_id].reached = "queued", 0, 0.0

    @invariant()
    def the_database_is_as_the_model(self) -> None:
        if not getattr(self, "models", None):
            return
        rows = self.run(
            self.pool.fetch(
                """SELECT j.id::text, j.state, array_agg(s.state = 'succeeded' ORDER BY s.position) AS done
                   FROM jobs j JOIN job_steps s ON s.job_id = j.id GROUP BY j.id"""
            )
        )
        found = {row["id"]: (row["state"], row["done"]) for row in rows}
        assert found == {
            job_id: (model.state.removesuffix("_due"), list(map(bool, model.done)))
            for job_id, model in self.models.items()
        }

    def teardown(self) -> None:
        """In the end the workers are well: then every job comes to its end, each step of it once."""
        if not hasattr(self, "models"):
            return
        if any(model.state == "running" for model in self.models.values()):
            self.every_lease_is_over_and_reaped()
        while any(model.state not in ENDED for model in self.models.values()):
            self.time_passes()
            for kind in KINDS:
                while (lease := self.run(self.claims.claim(kind, "w", LEASE_S))) is not None:
                    self.taken(lease)
                    self.run(lease.succeed())
                    self.models[lease.step.job_id].succeed()
        self.the_database_is_as_the_model()
        for model in self.models.values():
            assert max(model.done) <= 1
            assert (model.state == "succeeded") == (model.done == [1] * len(PIPELINE))


def test_the_claim_protocol_is_as_its_model(database: str) -> None:
    settings = hypothesis_settings(
        max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
    )
    with asyncio.Runner() as ClaimProtocol.runner:
        ClaimProtocol.pool = ClaimProtocol.runner.run(store.connect(database, max_size=2))
        try:
            run_state_machine_as_test(ClaimProtocol, settings=settings)
        finally:
            ClaimProtocol.runner.run(ClaimProtocol.pool.close())


class Crash(Exception):
    """A worker is gone, in the middle of something."""


class Chaos:
    """Workers that die, freeze until others have their steps, fail and succeed, all at once, on one database."""

    def __init__(self, pool: asyncpg.Pool, seed: int) -> None:
        self.pool = pool
        self.dice = random.Random(seed)
        self.claims = Claims(pool, luck=lambda: 0.0)
        self.lease_s = 0.25
        self.calm = False

    async def worker(self, kind: Kind) -> None:
        while True:
            lease = await self.claims.claim(kind, "w", self.lease_s)
            if lease is None:
                await asyncio.sleep(0.01)
                continue
            try:
                await self.work(lease)
            except (Crash, LeaseLost):
                continue

    async def work(self, lease: Lease) -> None:
        for _ in range(self.dice.randrange(3)):
            await asyncio.sleep(self.dice.uniform(0, 0.02))
            await lease.heartbeat()
            self.maybe_crash(0.1)
        if not self.calm and self.dice.random() < 0.1:
            await asyncio.sleep(2 * self.lease_s)
        if not self.calm and self.dice.random() < 0.1:
            await lease.fail(ERRORS["delayed"])
            return
        async with lease.transaction() as connection:
            await connection.execute("INSERT INTO done VALUES ($1)", lease.step.step_id)
            self.maybe_crash(0.1)
            await lease.succeed(connection=connection)
        self.maybe_crash(0.1)

    def maybe_crash(self, chance: float) -> None:
        if not self.calm and self.dice.random() < chance:
            raise Crash

    async def reaper(self) -> None:
        while True:
            await self.claims.reap(self.dice.randrange(1, 10))
            await asyncio.sleep(0.02)

    async def owner(self, cancelled: list[str], deleted: list[str]) -> None:
        jobs = Jobs(self.pool, "alice")
        for cancel, delete in zip(cancelled, deleted, strict=True):
            await asyncio.sleep(self.dice.uniform(0, 0.1))
            await asyncio.gather(jobs.cancel(cancel), jobs.delete(delete))


@pytest.mark.parametrize("seed", [1, 2])
async def test_jobs_survive_workers_that_die_freeze_and_fail(database: str, seed: int) -> None:
    pool = await store.connect(database)
    await pool.execute("TRUNCATE jobs CASCADE; DROP TABLE IF EXISTS done; CREATE TABLE done (step_id bigint)")
    jobs = [(await make_job(pool, "alice", *PIPELINE)).job_id for _ in range(60)]
    cancelled, deleted = jobs[::10], jobs[5::10]
    chaos = Chaos(pool, seed)
    tasks = [asyncio.create_task(chaos.worker(kind)) for kind in KINDS * 5]
    tasks += [asyncio.create_task(chaos.reaper()) for _ in range(2)]
    await chaos.owner(cancelled, deleted)
    await asyncio.sleep(1)
    chaos.calm = True
    async with asyncio.timeout(20):
        while await pool.fetchval("SELECT count(*) FROM jobs WHERE finished_at IS NULL"):
            await asyncio.sleep(0.05)
            assert not any(task.done() for task in tasks), "a worker broke"
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    states = {row["id"]: row["state"] for row in await pool.fetch("SELECT id::text, state FROM jobs")}
    assert set(states) == set(jobs) - set(deleted)
    assert {states[job_id] for job_id in set(states) - set(cancelled)} <= {"succeeded", "dead"}
    assert {states[job_id] for job_id in cancelled} <= {"succeeded", "dead", "cancelled"}
    assert await pool.fetchval("SELECT max(count) FROM (SELECT count(*) FROM done GROUP BY step_id)") == 1
    differing = """
        SELECT s.id FROM job_steps s LEFT JOIN done ON done.step_id = s.id
        WHERE (s.state = 'succeeded') <> (done.step_id IS NOT NULL)"""
    assert await pool.fetch(differing) == [], "done is what said so"
    await pool.close()
