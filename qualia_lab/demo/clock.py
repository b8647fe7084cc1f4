"""Days of the simulated scenarios, in UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, time


def today() -> date:
    """The present day."""
    return datetime.now(UTC).date()


def start_of(day: date) -> int:
    """Midnight at the beginning of a day, in ms since the epoch."""
    return int(datetime.combine(day, time(), UTC).timestamp()) * 1000
