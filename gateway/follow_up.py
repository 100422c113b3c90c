"""What becomes of a live recording that has ended: a job, made in the transaction in which it ends."""

from typing import Any

from gateway.wiring import Gateway
from parley.errors import ClientError
from parley.logs import get_logger
from parley.store import RecordingWriter
from parley.store.jobs import enqueue
from parley.store.pipelines import plan
from parley.transcript import RecordingState

LIVE = "live"
"""The pipeline's name in the settings."""
_log = get_logger(__name__)


async def finish(gateway: Gateway, writer: RecordingWriter, state: RecordingState) -> None:
    """Closes the recording, and makes its job: one for each end behind which new words stand, none without words.

    Raises what `RecordingWriter.finish` raises. Settings that are wrong keep no recording from ending.
    """

    made: list[str] = []

    async def make_job(connection: Any) -> None:
        last = await writer.last_words(connection)
        names = gateway.pipelines[LIVE]
        if last is None or not names:
            return
        try:
            steps = await plan(connection, names, {"audio", "transcript"})
            # A blank is in no key that a client can send.
            key = f"end {writer.recording_id} {last}"
            job = await enqueue(connection, writer.owner, steps, recording_id=writer.recording_id, idempotency_key=key)
            made.append(job.job_id)
        except ClientError as error:
            _log.error("no job for a recording that ended", recording=writer.recording_id, error=error.message)

    await writer.finish(state, then=make_job)
    for job_id in made[-1:]:
        await gateway.job_events.tell(writer.owner, job_id)
