"""A live transcript in a terminal: committed words plain, the tentative tail dim, finals above."""

from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from parley import wire
from parley.client import Reconnecting, Resumed, SessionEvent
from parley.demo import Outcome


class Screen:
    """Shows one session while it runs; `conclude` sums it up."""

    def __init__(self, title: str) -> None:
        self._console = Console(stderr=False, highlight=False)
        self._live = Live(console=self._console, refresh_per_second=12, transient=True)
        self._title = title

    def __enter__(self) -> Self:
        self._console.print(Text(self._title, style="bold"))
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, message: SessionEvent) -> None:
        match message:
            case wire.Ready(recognizer=None):
                self._console.print(Text("No recogniser is at hand; the text comes later.", style="yellow"))
            case wire.Ready(recognizer=wire.RecognizerInfo() as recognizer):
                self._console.print(Text(f"{recognizer.name}, {recognizer.model}: {recognizer.reason}", style="dim"))
                if recognizer.fallback:
                    self._console.print(Text(f"Fallback recogniser. {recognizer.remedy}", style="yellow"))
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
                self._live.update(Text(told(message), style="yellow"))
            case Resumed():
                self._live.update(Text(""))
                self._console.print(Text(told(message), style="dim"))
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
        return f"Connected again; nothing was lost ({event.held_s:.0f} s sent again)."
    return f"Reconnecting, nothing is lost ({event.held_s:.0f} s held)… {event.reason}"


def counted(number: int, noun: str) -> str:
    """`1 final`, `2 finals`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _line(final: wire.Final) -> Text:
    minutes, seconds = divmod(final.start_ms / 1000, 60)
    doubt = (" (suspect)", "yellow") if final.suspect else ""
    return Text.assemble((f"{minutes:02.0f}:{seconds:04.1f}  ", "dim"), final.text, doubt)
