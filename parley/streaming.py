"""What `parley demo` and `parley transcribe` share: which server, which files, and what is said of each."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from parley import wire
from parley.audio import SAMPLE_RATE
from parley.client import PATIENT, Patience, Reconnecting, Resumed, SessionEvent, is_running
from parley.demo import Outcome, printable, stream_file, to_json_line
from parley.embedded import folder
from parley.embedded.server import running_server
from parley.errors import BackendError, ClientError, ParleyError
from parley.media import check_file
from parley.screen import Outages, Screen, counted, told

USUAL = "http://127.0.0.1:8000"
START_WAIT_S = 60.0
"""Seconds to wait for a server that holds the data folder, but does not answer yet."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: the addresses of its gateways. `stays` is false for one that ends with this command."""

    urls: tuple[str, ...]
    stays: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for on the command line. `data` is None and `urls` empty where none was named."""

    files: tuple[Path, ...]
    urls: tuple[str, ...] = ()
    data: Path | None = None
    language: str | None = None
    real_time: bool = False
    as_json: bool = False

    def check(self) -> None:
        """Raises ClientError for what no server could take."""
        for url in self.urls:
            if not url.startswith(("http://", "https://")):
                raise ClientError(f"--url {url!r} must begin with http:// or https://.", code="bad_option")
        try:
            wire.Start(sample_rate=SAMPLE_RATE, language=self.language)
        except ValidationError:
            raise ClientError(f"--language {self.language!r}: give a code such as de.", code="bad_option") from None


class FilesFailed(ParleyError):
    """Some files were not transcribed to their end; each was told already."""

    code = "files_failed"


@dataclass
class Streaming:
    """The files of one request, one after the other; a file that fails does not keep the others from their turn."""

    request: Request
    patience: Patience = PATIENT
    outcomes: list[Outcome] = field(default_factory=list)
    failures: dict[Path, str] = field(default_factory=dict)

    def run(self, judge: Callable[[Outcome], str] = lambda outcome: outcome.failure) -> None:
        """Streams every file and tells what came of it. Raises ParleyError at the end where any failed.

        `judge` says what is wrong with an outcome, in one sentence; empty: nothing.
        """
        self.request.check()
        missing = [path for path in self.request.files if not path.exists()]
        for path in missing or self.request.files:  # a name that is mistyped is told before anything is done
            try:
                check_file(path)
            except ClientError as error:
                self._fail(path, error)
        left = [path for path in self.request.files if path not in self.failures]
        if left and not missing:
            asyncio.run(self._stream(left, judge))
        self._raise_failures(missing)

    async def _stream(self, files: list[Path], judge: Callable[[Outcome], str]) -> None:
        async with reach_server(self.request.urls, self.request.data) as server:
            for number, path in enumerate(files):
                try:
                    self._judge(path, await self._one(path, server), server, judge)
                except BackendError as error:
                    if not await _is_any_running(server.urls):  # nor can it take the others
                        for each in files[number:]:
                            self._fail(each, error)
                        return
                    self._fail(path, error)
                except ParleyError as error:
                    self._fail(path, error)

    def _judge(self, path: Path, outcome: Outcome, server: Server, judge: Callable[[Outcome], str]) -> None:
        self.outcomes.append(outcome)
        if not (failure := judge(outcome)):
            return
        url = outcome.link(stays=server.stays)
        if url and not outcome.closed:
            failure = f"{failure} See {url}"
        self._fail(path, ParleyError(failure, code=_code(outcome)), outcome.recording_id, url)

    async def _one(self, path: Path, server: Server) -> Outcome:
        if self.request.as_json:
            outcome = await self._stream_file(path, server, JsonLines().show)
            print(to_json_line(outcome.summary(outcome.link(stays=server.stays))), flush=True)
            return outcome
        with Screen(printable(path.name)) as screen:
            outcome = await self._stream_file(path, server, screen.show)
        screen.conclude(outcome, outcome.link(stays=server.stays))
        return outcome

    async def _stream_file(self, path: Path, server: Server, on_message: Callable[[SessionEvent], None]) -> Outcome:
        return await stream_file(
            server.urls,
            path,
            real_time=self.request.real_time,
            language=self.request.language,
            patience=self.patience,
            on_message=on_message,
        )

    def _fail(self, path: Path, error: ParleyError, recording_id: str = "", url: str | None = None) -> None:
        self.failures[path] = error.message
        if self.request.as_json:
            recording = {"recording_id": recording_id, "url": url} if recording_id else {}
            print_error(error, file=printable(path.name), **recording)
        elif len(self.request.files) > 1:
            about = "" if repr(str(path)) in error.message else f"{printable(str(path))}: "
            print(f"{about}{error.message}", file=sys.stderr)

    def _raise_failures(self, missing: Sequence[Path]) -> None:
        if not self.failures:
            return
        failed, total = len(self.failures), len(self.request.files)
        if total == 1:
            raise FilesFailed(next(iter(self.failures.values())))
        names = ", ".join(printable(str(path)) for path in self.failures)
        if missing:
            raise FilesFailed(f"{failed} of {counted(total, 'file')} do not exist: {names}; nothing was transcribed.")
        raise FilesFailed(f"{failed} of {counted(total, 'file')} failed: {names}.")


def _code(outcome: Outcome) -> str:
    if why := outcome.lost or outcome.ended_by:
        return why.code
    return outcome.errors[-1].code if outcome.errors and not outcome.closed else "incomplete"


@contextlib.contextmanager
def json_errors(request: Request) -> Iterator[None]:
    """With --json, an error that was not told of a file yet is the last object on stdout."""
    try:
        yield
    except FilesFailed:
        raise
    except ParleyError as error:
        if request.as_json:
            print_error(error)
        raise


class JsonLines:
    """Each event of a session as a line of JSON on stdout; a lost connection and its return on stderr, too."""

    def __init__(self) -> None:
        self._outages = Outages()

    def show(self, event: SessionEvent) -> None:
        match event:
            case Reconnecting() | Resumed():
                kind = "reconnecting" if isinstance(event, Reconnecting) else "resumed"
                print(to_json_line({"type": kind, **asdict(event)}), flush=True)
                if self._outages.is_news(event):
                    print(told(event), file=sys.stderr)
            case _:
                print(to_json_line(event), flush=True)


def print_error(error: ParleyError, **about: Any) -> None:
    """One line of JSON for an error; `about` says what it belongs to."""
    print(to_json_line({"type": "error", **about, "code": error.code, "message": error.message}), flush=True)


def print_total(streaming: Streaming, began: float) -> None:
    """The last line of `transcribe --json`."""
    done = len([outcome for outcome in streaming.outcomes if not outcome.failure])
    total = len(streaming.request.files)
    line = {
        "type": "total",
        "files": total,
        "transcribed": done,
        "failed": total - done,
        "duration_ms": sum(outcome.duration_ms for outcome in streaming.outcomes),
        "elapsed_s": round(time.monotonic() - began, 3),
    }
    print(to_json_line(line), flush=True)


@contextlib.asynccontextmanager
async def reach_server(urls: Sequence[str], data: Path | None) -> AsyncIterator[Server]:
    """The server at `urls`; else the one that runs on `data`; else one that lives as long as the block.

    Only where no folder is named, here or by PARLEY_DATA, does the server on the usual port count too.
    """
    if urls:
        yield Server(tuple(url.rstrip("/") for url in urls), stays=True)
        return
    named = data or (Path(os.environ["PARLEY_DATA"]) if os.environ.get("PARLEY_DATA") else None)
    place = (named or Path("data")).expanduser().absolute()
    found = await _running_on(place)
    if found is None and named is None and await is_running(USUAL):
        found = USUAL
    if found is not None:
        yield Server((found,), stays=True)
        return
    new = "" if (place / "parley.lock").exists() else " a new data folder,"
    print(f"No Parley is running; starting one on{new} {place} …", file=sys.stderr)
    with running_server(place) as server:
        yield Server(server.base_urls, stays=False)
        print(f"What was recorded is kept in {place}. To see it, run: {_up(place)}", file=sys.stderr)


async def _is_any_running(urls: Sequence[str]) -> bool:
    return any([await is_running(url) for url in urls])


async def _running_on(data: Path) -> str | None:
    """The address of the server that holds `data`, once it answers. Raises BackendError where it never does."""
    deadline = time.monotonic() + START_WAIT_S
    told = False
    while holder := folder.holder(data):
        if holder.address and await is_running(holder.address):
            return holder.address
        if time.monotonic() > deadline:
            raise BackendError(f"A Parley runs on {data} (process {holder.pid}), but does not answer.")
        if not told:
            print(f"Waiting for the Parley that starts on {data} …", file=sys.stderr)
            told = True
        await asyncio.sleep(0.25)
    return None


def _up(data: Path) -> str:
    return "parley up" if data == Path("data").absolute() else f"parley up --data {data}"
