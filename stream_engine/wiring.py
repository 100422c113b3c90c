"""Turns settings into the engine's objects; nothing else in this package reads a setting of another part."""

from parley.settings import Settings
from stream_engine.engine import Engine
from stream_engine.recognizers.choose import open_recognizer


def build(settings: Settings) -> Engine:
    """The engine as the settings want it, not yet running."""
    return Engine(settings.engine, lambda: open_recognizer(settings))
