"""The step `index`: what was said can be found.

rag follows the record by itself, soon after each change; the step waits until it has, so that a job that is done can be
searched. Where rag is away, the step is delayed and goes on when it is back.
"""

from batch.pipeline import StepContext, StepResult, step


@step("index", kind="index", needs={"transcript"}, gives={"passages"})
async def index(context: StepContext) -> StepResult:
    """How many passages of the recording can be found; none, and that it is so, where there is no search service."""
    if context.tools.rag is None:
        return StepResult({"passages": 0, "skipped": "There is no search service here."})
    passages = await context.tools.rag.index(context.owner, context.recording_id)
    return StepResult({"passages": passages})
