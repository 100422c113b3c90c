"""Asking the rag service, with short deadlines: where it is away, search says so and everything else works."""

import base64
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Self, TypeVar

import httpx
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ValidationError

from parley import rag_wire as wire
from parley.ask import SIGN_OF_LIFE_S, AskRequest, Event, event_of
from parley.errors import BackendError, ClientError
from parley.logs import get_logger

_CONNECT_S = 1.0
_ASK_S = 5.0
_SILENT_S = 3 * SIGN_OF_LIFE_S
_EMBED_S = 60.0
"""For up to MOST_TEXTS of texts; a few take milliseconds."""
_INDEX_S = 120.0
_Answer = TypeVar("_Answer", bound=BaseModel)
_log = get_logger(__name__)


class RagClient:
    """Every call raises BackendError (`rag_unavailable`) where rag is away, too slow, or still loading."""

    def __init__(self, url: str, token: str) -> None:
        """`url` empty: there is no rag service, and every call says so."""
        self._configured = bool(url)
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(_ASK_S, connect=_CONNECT_S),
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """float32, shape (n, d), each row of length 1, of texts as they stand in passages."""
        rows = []
        for start in range(0, len(texts), wire.MOST_TEXTS):
            request = wire.EmbedRequest(texts=tuple(texts[start : start + wire.MOST_TEXTS]))
            answer = await self._post("/v1/embed", request, wire.EmbedAnswer, timeout_s=_EMBED_S)
            flat = np.frombuffer(base64.b64decode(answer.vectors), dtype="<f4")
            rows.append(flat.reshape(-1, answer.dimension))
        return np.concatenate(rows) if rows else np.zeros((0, 0), np.float32)

    async def search(self, request: wire.SearchRequest) -> wire.SearchAnswer:
        """Raises ClientError for a query without words."""
        return await self._post("/v1/search", request, wire.SearchAnswer)

    async def ask(self, request: AskRequest) -> AsyncGenerator[Event]:
        """The events of an answer as they come. Raises ClientError before the first for what cannot be looked for.

        Whoever stops reading closes the connection, and rag gives up what it still does.
        """
        if not self._configured:
            raise _away("PARLEY_RAG__URL names none")
        timeout = httpx.Timeout(_ASK_S, connect=_CONNECT_S, read=_SILENT_S)
        headers = {"Content-Type": "application/json"}
        content = request.model_dump_json()
        try:
            async with self._http.stream("POST", "/v1/ask", content=content, headers=headers, timeout=timeout) as sent:
                if sent.status_code != 200:
                    await sent.aread()
                    raise _refusal(sent)
                async for line in sent.aiter_lines():
                    if line:
                        yield event_of(line)
        except httpx.HTTPError as error:
            raise _away(str(error) or type(error).__name__) from error
        except ValueError:
            raise _away("it answered in a form that this version does not know") from None

    async def index(self, owner: str, recording_id: str) -> int:
        """Brings the passages of a recording up to date, those of a deleted one too, and waits for it. How many it has.

        rag follows PostgreSQL by itself; this is for those who need to know that it has.
        """
        request = wire.IndexRequest(owner=owner, recording_id=recording_id)
        return (await self._post("/v1/index", request, wire.IndexAnswer, timeout_s=_INDEX_S)).passages

    async def reindex(self) -> wire.StatusAnswer:
        """Begins to build the whole index anew from PostgreSQL, beside the one in use."""
        return await self._post("/v1/reindex", None, wire.StatusAnswer)

    async def status(self) -> wire.StatusAnswer:
        return _read(await self._send("GET", "/v1/status"), wire.StatusAnswer)

    async def _post(
        self, path: str, body: BaseModel | None, answer: type[_Answer], *, timeout_s: float = _ASK_S
    ) -> _Answer:
        timeout = httpx.Timeout(timeout_s, connect=_CONNECT_S)
        content = body.model_dump_json() if body else None
        headers = {"Content-Type": "application/json"}
        return _read(await self._send("POST", path, content=content, headers=headers, timeout=timeout), answer)

    async def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        if not self._configured:
            raise _away("PARLEY_RAG__URL names none")
        try:
            response = await self._http.request(method, path, **request)
        except httpx.HTTPError as error:
            raise _away(str(error) or type(error).__name__) from error
        if response.status_code != 200:
            raise _refusal(response)
        return response


def _read(response: httpx.Response, model: type[_Answer]) -> _Answer:
    try:
        return model.model_validate_json(response.content)
    except ValidationError as error:
        raise _away(f"it answered in a form that this version does not know ({error.error_count()} errors)") from None


def _refusal(response: httpx.Response) -> BackendError | ClientError:
    """What an answer other than 200 means: the request's fault, or rag's state."""
    try:
        error = response.json()["error"]
        code, message = str(error["code"]), str(error["message"])
    except (ValueError, KeyError, TypeError):
        return _away(f"it answered {response.status_code}")
    if response.status_code in (400, 404, 413):
        return ClientError(message, code=code)
    return _away(message)


def _away(why: str) -> BackendError:
    _log.warning("rag is away", why=why)
    return BackendError("The search service does not answer; try again in a moment.", code="rag_unavailable")
