"""A question in, events out: search, then an answer by a language model or in extracts, and every claim cited.

question ─ follow-up? ─▶ search ─▶ sentences, signals ─▶ is there an answer at all?
                                                          ├─ no, plainly ──────────────▶ "nothing answers this"
                                                          ├─ language model ─ checked ─▶ claims
                                                          └─ none, or away ─ decision ─▶ extracts, or "nothing …"
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass

from parley import ask as wire
from parley.errors import ParleyError
from parley.logs import get_logger
from parley.rag_wire import Hit, SearchFilters, SearchRequest
from rag.answering import terms
from rag.answering.claims import Evidence
from rag.answering.decision import HOPELESS, THRESHOLD, best_sentences, confidence
from rag.answering.history import joined
from rag.answering.question import read
from rag.answering.reading import Reading, read_sentences
from rag.answering.sentences import Sentence, sentences_of
from rag.embedding import Embedder
from rag.search import Searcher
from rag.writer import ModelAway, Writer

PASSAGES = 12
"""That an answer may rest on. Among eight, 96 % of the answers were found in calibration; among twelve, 98 %."""
_UNFOUNDED = "The language model's statements could not be found in the transcripts; these are extracts."
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """What search brought, read closely. No reading: nothing was found."""

    hits: tuple[Hit, ...]
    reading: Reading | None
    confidence: float


class Asker:
    """Answers questions; one for the whole process."""

    def __init__(self, searcher: Searcher, writer: Writer) -> None:
        self._searcher = searcher
        self._writer = writer

    async def ask(self, request: wire.AskRequest) -> AsyncGenerator[wire.Event]:
        """The events of one question, `Done` at the end; what fails on the way is an event too.

        Raises ClientError before the first event for what cannot be looked for.
        """
        wire.check_question(request.question)
        try:
            async for event in self._events(request):
                yield event
        except ParleyError as error:
            _log.warning("a question was not answered", code=error.code, error=error.message)
            yield wire.Failed(code=error.code, message=error.message, retryable=error.retryable)
        yield wire.Done()

    async def _events(self, request: wire.AskRequest) -> AsyncIterator[wire.Event]:
        yield wire.Status(stage="searching")
        question = await self._standalone(request)
        if question != request.question:
            yield wire.Status(stage="searching", question=question)
        found = await self.find(request.owner, question, request.recording_id)
        yield wire.Passages(passages=tuple(map(_passage, found.hits)))
        if found.reading is None or found.confidence < HOPELESS:
            yield _nothing(request, "extract", found.confidence)
            return
        notice = None
        if self._writer.is_there:
            yield wire.Status(stage="thinking")
            answer = await self._written(request, question, found)
            if isinstance(answer, wire.Answer):
                for claim in answer.claims:
                    yield claim
                yield answer
                return
            notice = answer
        yield wire.Status(stage="extracting")
        answer = _extracted(request, found, notice)
        for claim in answer.claims:
            yield claim
        yield answer

    async def _standalone(self, request: wire.AskRequest) -> str:
        """What to search for: the question, or what it means after those before it."""
        if not request.history:
            return request.question
        if self._writer.is_there:
            try:
                return await self._writer.standalone(request.owner, request.question, request.history)
            except ModelAway as away:
                _log.info("a follow-up is joined to what it follows", why=away.message)
        return joined(request.question, request.history, terms.of_question(self._searcher.languages))

    async def find(self, owner: str, question: str, recording_id: str | None = None) -> Found:
        """The passages for a question, read sentence by sentence."""
        filters = SearchFilters(recording_id=recording_id)
        request = SearchRequest(owner=owner, query=question, filters=filters, limit=PASSAGES)
        hits = (await self._searcher.search(request)).hits
        embedder = self._searcher.embedder
        sentences = sentences_of(hits)
        if not sentences or embedder is None:
            return Found(hits, None, 0.0)
        reading = await _read(question, hits, sentences, embedder)
        return Found(hits, reading, confidence(reading))

    async def _written(self, request: wire.AskRequest, question: str, found: Found) -> wire.Answer | str:
        """A language model's answer, also that there is none; or, where extracts have to do, why."""
        try:
            written = await self._writer.answer(request.owner, question, Evidence.of(found.hits))
        except ModelAway as away:
            return f"{away.message} These are extracts."
        if not written.claims and written.dropped:
            return _UNFOUNDED
        text = " ".join(claim.text for claim in written.claims)
        answer = _nothing(request, "llm", found.confidence)
        answered = {"answered": True, "text": text, "claims": written.claims} if written.claims else {}
        return answer.model_copy(update={**answered, "provider": written.provider, "model": written.model})


async def _read(question: str, hits: Sequence[Hit], sentences: Sequence[Sentence], embedder: Embedder) -> Reading:
    asked = await embedder.query(question)
    vectors = await embedder.sentences([sentence.text for sentence in sentences])
    languages = {hit.language for hit in hits}
    return read_sentences(read(question, terms.of_question(languages)), hits, sentences, vectors, asked, terms.of_text)


def _extracted(request: wire.AskRequest, found: Found, notice: str | None) -> wire.Answer:
    """The best sentences, word for word; nothing where the signals say that nothing answers."""
    answer = _nothing(request, "extract", found.confidence, notice)
    if found.reading is None or found.confidence < THRESHOLD:
        return answer
    claims = tuple(_extract(sentence, found.hits) for sentence in best_sentences(found.reading))
    text = " ".join(claim.text for claim in claims)
    return answer.model_copy(update={"answered": True, "text": text, "claims": claims})


def _nothing(request: wire.AskRequest, method: wire.Method, sure: float, notice: str | None = None) -> wire.Answer:
    text = wire.NOTHING if request.recording_id is None else wire.NOTHING_HERE
    return wire.Answer(answered=False, method=method, text=text, claims=(), confidence=round(sure, 4), notice=notice)


def _extract(sentence: Sentence, hits: Sequence[Hit]) -> wire.Claim:
    hit = next(hit for hit in hits if hit.recording_id == sentence.recording_id)
    citation = wire.Citation(
        recording_id=sentence.recording_id,
        title=hit.title,
        created_at=hit.created_at,
        segments=(sentence.segment,),
        start_ms=sentence.start_ms,
        end_ms=sentence.end_ms,
        quote=sentence.text,
    )
    return wire.Claim(text=sentence.text, citations=(citation,))


def _passage(hit: Hit) -> wire.FoundPassage:
    return wire.FoundPassage(
        recording_id=hit.recording_id,
        title=hit.title,
        created_at=hit.created_at,
        start_ms=hit.start_ms,
        end_ms=hit.end_ms,
        text=" ".join(segment.text for segment in hit.segments),
    )
