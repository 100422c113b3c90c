"""The batch path, from a file or a finished recording to notes. Begin with `worker.py` and `docs/jobs.md`."""

from typing import Any


def __getattr__(name: str) -> Any:
    """`celery -A batch` finds its application here; nothing else reads the settings when this is imported."""
    if name == "app":
        from batch.celery import app

        return app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
