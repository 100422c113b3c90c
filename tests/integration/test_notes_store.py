"""Notes, templates and usage in PostgreSQL: each owner's own, and a thing done twice is done once."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import uuid4

import asyncpg
import pytest

from parley import store
from parley.embedded.server import RunningServer
from parley.errors import ClientError, NotFound
from parley.jobs import PlannedStep
from parley.notes import ActionItem, Chapter, Notes, NotesDraft, Point
from parley.store import RecordingWriter
from parley.store.notes import RecordingNotes, WritingJob, save
from parley.store.templates import MOST_TEMPLATES, Templates
from parley.store.usage import Spending, Usage, Use, book, parse_month, step_entry
from parley.templates import BUILT_IN, STANDARD, Template
from tests.integration.job_store import make_job
from tests.integration.stores import own_database

DRAFT = NotesDraft(
    title="The week",
    summary=(Point(text="Costs fell.", segments=(0, 1)),),
    action_items=(ActionItem(text="Write", owner="Ann", due=date(2026, 12, 1), segments=(1,)),),
    chapters=(Chapter(title="Costs", start_ms=0, end_ms=9000, segments=(0, 1)),),
)
BY_MODEL = Notes.of(DRAFT, "llm", "ollama", "small")
EXTRACTS = Notes.of(DRAFT, "extractive")
MINE = Template("stand-up", "Stand-up", "Three questions.")
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def database(server: RunningServer) -> Iterator[str]:
    with own_database(server) as url:
        yield url


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    pool = await store.connect(database)
    await pool.execute("TRUNCATE recordings, templates, usage CASCADE")
    yield pool
    await pool.close()


async def recorded(pool: asyncpg.Pool, owner: str = "alice") -> str:
    writer = RecordingWriter.new(pool, owner)
    await writer.create()
    return writer.recording_id


async def test_notes_come_back_as_they_were_saved(pool: asyncpg.Pool) -> None:
    recording_id, before = await recorded(pool), datetime.now(UTC)
    await save(pool, "alice", recording_id, STANDARD, BY_MODEL)
    found = await RecordingNotes(pool, "alice").get(recording_id, STANDARD)
    assert found is not None
    assert (found.template, found.notes) == (STANDARD, BY_MODEL)
    assert before <= found.created_at <= datetime.now(UTC)


async def test_each_template_has_its_newest_notes(pool: asyncpg.Pool) -> None:
    recording_id, mine = await recorded(pool), RecordingNotes(pool, "alice")
    await save(pool, "alice", recording_id, STANDARD, EXTRACTS)
    await save(pool, "alice", recording_id, "diary", BY_MODEL)
    await save(pool, "alice", recording_id, STANDARD, BY_MODEL)
    await save(pool, "alice", recording_id, STANDARD, BY_MODEL)
    assert [(saved.template, saved.notes) for saved in await mine.of(recording_id)] == [
        (STANDARD, BY_MODEL),
        ("diary", BY_MODEL),
    ]
    newest = await mine.get(recording_id)
    assert newest is not None
    assert newest.template == STANDARD
    assert [saved.template for saved in await mine.of(recording_id, "diary")] == ["diary"]
    assert await mine.of(recording_id, "meeting") == []


async def test_notes_are_their_owners_alone(pool: asyncpg.Pool) -> None:
    recording_id, yours = await recorded(pool), RecordingNotes(pool, "bob")
    await save(pool, "alice", recording_id, STANDARD, BY_MODEL)
    with pytest.raises(NotFound, match=recording_id):
        await save(pool, "bob", recording_id, STANDARD, EXTRACTS)
    assert await yours.get(recording_id) is None
    with pytest.raises(NotFound):
        await save(pool, "alice", str(uuid4()), STANDARD, EXTRACTS)


async def test_the_newest_job_that_is_to_write_notes_is_found(pool: asyncpg.Pool) -> None:
    recording_id, mine = await recorded(pool), RecordingNotes(pool, "alice")
    assert await mine.job(recording_id) is None
    await make_job(pool, "alice", PlannedStep("index", "index"), recording_id=recording_id)
    standard = (await make_job(pool, recording_id=recording_id)).job_id
    diary = (await make_job(pool, recording_id=recording_id, options={"template": "diary"}, delayed="away")).job_id
    assert await mine.job(recording_id) == WritingJob(diary, "queued", "away")
    assert await mine.job(recording_id, STANDARD) == WritingJob(standard, "queued", None)
    assert await mine.job(recording_id, "meeting") is None
    assert await RecordingNotes(pool, "bob").job(recording_id) is None


async def test_notes_go_with_their_recording(pool: asyncpg.Pool) -> None:
    recording_id = await recorded(pool)
    await save(pool, "alice", recording_id, STANDARD, BY_MODEL)
    await store.Recordings(pool, "alice").delete(recording_id)
    assert await pool.fetchval("SELECT count(*) FROM notes") == 0


async def test_notes_with_a_character_that_no_database_holds_are_kept(pool: asyncpg.Pool) -> None:
    recording_id = await recorded(pool)
    odd = EXTRACTS.model_copy(update={"summary": (Point(text="\0", segments=(0,)),)})
    await save(pool, "alice", recording_id, STANDARD, odd)
    found = await RecordingNotes(pool, "alice").get(recording_id)
    assert found is not None
    assert found.notes.summary[0].text == "\N{REPLACEMENT CHARACTER}"


async def test_own_templates_stand_beside_those_that_are_built_in(pool: asyncpg.Pool) -> None:
    mine, yours = Templates(pool, "alice"), Templates(pool, "bob")
    await mine.create(MINE)
    assert await mine.available() == [*BUILT_IN.values(), MINE]
    assert await yours.available() == list(BUILT_IN.values())
    assert await mine.get("stand-up") == MINE
    assert (await mine.get(STANDARD)).built_in
    with pytest.raises(NotFound, match=r"no template 'stand-up'; there are standard, meeting"):
        await yours.get("stand-up")


async def test_templates_are_replaced_and_deleted_by_their_owner_alone(pool: asyncpg.Pool) -> None:
    mine, yours = Templates(pool, "alice"), Templates(pool, "bob")
    await mine.create(MINE)
    changed = Template("stand-up", "Daily", "Two questions.")
    with pytest.raises(NotFound):
        await yours.delete("stand-up")
    await yours.put(Template("stand-up", "Theirs", "None."))
    await mine.put(changed)
    assert await mine.get("stand-up") == changed
    await mine.delete("stand-up")
    with pytest.raises(NotFound):
        await mine.delete("stand-up")
    assert (await yours.get("stand-up")).title == "Theirs"


async def test_a_templates_name_is_taken_once_and_built_in_ones_stay(pool: asyncpg.Pool) -> None:
    mine = Templates(pool, "alice")
    await mine.create(MINE)
    with pytest.raises(ClientError) as taken:
        await mine.create(MINE)
    assert taken.value.code == "template_exists"
    standard = Template(STANDARD, "Mine", "Mine.")
    for attempt in (mine.create(standard), mine.put(standard), mine.delete(STANDARD)):
        with pytest.raises(ClientError) as refused:
            await attempt
        assert refused.value.code == "built_in_template"


async def test_an_owner_can_have_only_so_many_templates(pool: asyncpg.Pool) -> None:
    mine = Templates(pool, "alice")
    for number in range(MOST_TEMPLATES):
        await mine.create(Template(f"t{number}", "T", "T."))
    for attempt in (mine.create(MINE), mine.put(MINE)):
        with pytest.raises(ClientError) as refused:
            await attempt
        assert refused.value.code == "too_many"
    await mine.put(Template("t7", "Other", "Other."))


def used(entry: str, cost: str = "0", **values: object) -> Use:
    return Use(entry=entry, purpose="notes", provider="openai", cost=Decimal(cost), **values)  # type: ignore[arg-type]


async def test_a_use_is_booked_once_however_often_it_is_told(pool: asyncpg.Pool) -> None:
    use = used(step_entry(7, 2, 0), "0.0000000123", tokens_in=1000)
    told = await asyncio.gather(*(book(pool, "alice", use) for _ in range(5)))
    assert sorted(told) == [False] * 4 + [True]
    assert await book(pool, "alice", used(step_entry(7, 3, 0), "0.5"))
    assert await Usage(pool, "alice").month_cost() == Decimal("0.5000000123")
    assert await Usage(pool, "bob").month_cost() == 0


async def test_the_same_entry_of_two_owners_is_two_uses(pool: asyncpg.Pool) -> None:
    assert await book(pool, "alice", used("ask:1", "1"))
    assert await book(pool, "bob", used("ask:1", "2"))
    assert [await Usage(pool, owner).month_cost() for owner in ("alice", "bob")] == [1, 2]


async def test_a_month_is_summed_by_provider_step_and_job(pool: asyncpg.Pool) -> None:
    recording_id = await recorded(pool)
    job = (await make_job(pool, recording_id=recording_id)).job_id
    for number, cost in enumerate(("0.1", "0.2")):
        entry = step_entry(1, 1, number)
        await book(
            pool, "alice", used(entry, cost, model="m", tokens_in=10, tokens_out=5, step="summarise", job_id=job)
        )
    await book(pool, "alice", used("ask:1", "1", model="m"))
    local = Use("x", "transcription", "engine", audio_s=60.5, step="transcribe", job_id=job)
    await book(pool, "alice", local)
    month = await Usage(pool, "alice").of_month(NOW)
    assert month.total == Spending(4, 20, 10, 60.5, Decimal("1.3"))
    assert month.providers == (
        ("openai", "m", Spending(3, 20, 10, 0.0, Decimal("1.3"))),
        ("engine", "", Spending(1, 0, 0, 60.5, Decimal(0))),
    )
    assert month.steps == (
        (None, "notes", Spending(1, 0, 0, 0.0, Decimal(1))),
        ("summarise", "notes", Spending(2, 20, 10, 0.0, Decimal("0.3"))),
        ("transcribe", "transcription", Spending(1, 0, 0, 60.5, Decimal(0))),
    )
    assert month.jobs == ((job, recording_id, Spending(3, 20, 10, 60.5, Decimal("0.3"))),)
    assert await Usage(pool, "alice").of_job(job) == Spending(3, 20, 10, 60.5, Decimal("0.3"))


async def test_what_was_spent_stays_booked_when_its_recording_is_deleted(pool: asyncpg.Pool) -> None:
    recording_id = await recorded(pool)
    job = (await make_job(pool, recording_id=recording_id)).job_id
    await book(pool, "alice", used("a", "0.1", job_id=job))
    await store.Recordings(pool, "alice").delete(recording_id)
    month = await Usage(pool, "alice").of_month(NOW)
    assert month.jobs == ((job, None, Spending(1, 0, 0, 0.0, Decimal("0.1"))),)


async def test_a_month_holds_its_first_moment_and_not_that_of_the_next(pool: asyncpg.Pool) -> None:
    for number, at in enumerate(("2025-11-30T23:59:59Z", "2025-12-01T00:00:00Z", "2026-01-01T00:00:00Z")):
        await book(pool, "alice", used(str(number), str(number + 1)))
        moment = datetime.fromisoformat(at)
        await pool.execute("UPDATE usage SET at = $1 WHERE entry = $2", moment, str(number))
    mine = Usage(pool, "alice")
    assert [await mine.month_cost(parse_month(month)) for month in ("2025-11", "2025-12", "2026-01")] == [1, 2, 3]
    empty = await mine.of_month(parse_month("2024-02"))
    assert (empty.total, empty.providers, empty.steps, empty.jobs) == (Spending(), (), (), ())


@pytest.mark.parametrize("text", ["", "2026", "2026-13", "November", "2026-11-01", "9999-12"])
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(ClientError, match="no month such as 2026-11"):
        parse_month(text)
