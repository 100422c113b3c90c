"""Where the next page of a list begins: behind the last entry seen, by its time and its id."""

import base64
from datetime import UTC, datetime
from uuid import UUID

from parley.errors import ClientError


def to_cursor(created_at: datetime, entry_id: str) -> str:
    return base64.urlsafe_b64encode(f"{created_at.isoformat()} {entry_id}".encode()).decode()


def from_cursor(cursor: str | None) -> tuple[datetime, str] | None:
    """Raises ClientError for what `to_cursor` did not make."""
    if cursor is None:
        return None
    try:
        created, entry_id = base64.urlsafe_b64decode(cursor).decode().split(" ")
        return datetime.fromisoformat(created).astimezone(UTC), str(UUID(entry_id))
    except (ValueError, OverflowError):
        raise ClientError(f"cursor {cursor[:80]!r} is not valid.", code="bad_request") from None
