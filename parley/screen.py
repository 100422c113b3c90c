"""A live transcript in a terminal: committed words plain, the tentative tail dim, finals above."""

from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from parley import wire
from parley.client import Reconnecting, Resumed, SessionEvent
from parley.demo import Outcome


class Outages:
    """Tells what is news of a connection: that it was lost, once, and that it is back."""

    def __init__(self) -> None:
        self._lost = False

    def is_news(self, event: Reconnecting | Resumed) -> bool:
        """False for a further attempt in an outage that was told."""
        known, self._lost = self._lost, isinstance(event, Reconnecting)
        return not (known and self._lost)


class Screen:
    """Shows one session while it runs; `conclude` sums it up."""

    def __init__(self, title: str) -> None:
        self._console = Console(stderr=False, highlight=False)
        self._live = Live(console=self._console, refresh_per_second=12, transient=True)
        self._title = title
        self._outages = Outages()
        self._waits_for_text = False

    def __enter__(self) -> Self:
        self._console.print(Text(self._title, style="bold"))
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, message: SessionEvent) -> None:
        self._note_text(message)
        match message:
            case wire.Ready(recognizer=None):
                self._console.print(Text("No recogniser is at hand; the text comes later.", style="yellow"))
            case wire.Ready(recognizer=wire.RecognizerInfo() as writes) | wire.RecognizerChange(recognizer=writes):
                self._console.print(Text(f"{writes.name}, {writes.model}: {writes.reason}", style="dim"))
                if writes.fallback:
                    self._console.print(Text(f"Fallback recogniser. {writes.remedy}", style="yellow"))
            case wire.SpeechStart():
                self._live.update(Text("…", style="dim"))
            case wire.Partial():
                committed = f"{message.committed} " if message.committed else ""
                self._live.update(Text.assemble(committed, (message.tentative, "dim italic")))
            case wire.Final():
                self._live.update(Text(""))
                if message.text:
                    self._console.print(_line(message))
            case wire.Error():
                self._console.print(Text(message.message, style="red"))
            case Reconnecting():
                self._show_outage(message)
            case Resumed():
                self._outages.is_news(message)
                self._live.update(Text(""))
                self._console.print(Text(told(message), style="dim"), soft_wrap=True)
            case _:
                pass

    def _show_outage(self, event: Reconnecting) -> None:
        """In a terminal a line that changes with each attempt; else, where nothing can change, one line in all."""
        news, text = self._outages.is_news(event), Text(told(event), style="yellow")
        if self._console.is_terminal:
            self._live.update(text)
        elif news:
            self._console.print(text, soft_wrap=True)

    def _note_text(self, message: SessionEvent) -> None:
        """Says that text comes again, where it was said that it would not come for a time."""
        match message:
            case wire.Error(code="engine_unavailable") | wire.Ready(recognizer=None):
                self._waits_for_text = True
            case wire.Final(text=""):
                pass
            case wire.Partial() | wire.Final() if self._waits_for_text:
                self._waits_for_text = False
                self._console.print(Text("The text comes again.", style="dim"))
            case _:
                pass

    def conclude(self, outcome: Outcome, link: str | None) -> None:
        """What came of the file, and where the recording is shown, if anywhere."""
        if outcome.damage:
            self._console.print(Text(outcome.damage, style="yellow"))
        if outcome.closed:
            came = f"{counted(outcome.partials, 'partial')} · {counted(len(outcome.finals), 'final')}"
            heard = came if outcome.text else "no speech was heard"
            self._console.print(
                f"{outcome.duration_ms / 1000:.1f} s of audio in {outcome.elapsed_s:.1f} s · {heard}", soft_wrap=True
            )
        if link and outcome.closed:
            self._console.print(link, soft_wrap=True)


def told(event: Reconnecting | Resumed) -> str:
    """One line for a person."""
    if isinstance(event, Resumed):
        return f"Connected again; nothing was lost ({event.held_s:.0f} s to catch up)."
    return f"Reconnecting, nothing is lost ({event.held_s:.0f} s held)… {event.reason}"


def counted(number: int, noun: str) -> str:
    """`1 final`, `2 finals`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _line(final: wire.Final) -> Text:
    minutes, seconds = divmod(final.start_ms / 1000, 60)
    doubt = (" (suspect)", "yellow") if final.suspect else ""
    return Text.assemble((f"{minutes:02.0f}:{seconds:04.1f}  ", "dim"), final.text, doubt)
