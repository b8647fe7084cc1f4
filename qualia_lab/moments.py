"""Points in time and spans of it, as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from qualia_lab.errors import UsageError
from qualia_lab.text import visible

_EPOCH = datetime.fromtimestamp(0, UTC)
_MS = timedelta(milliseconds=1)
_UNITS = {
    "s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks",
}  # fmt: skip
_SPAN = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*([smhdw])")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def span(text: str) -> timedelta | None:
    """``"90s"``, ``"5m"``, ``"12h"``, ``"7d"`` or ``"2w"``; None for anything else."""
    found = _SPAN.fullmatch(text.strip())
    if not found:
        return None
    try:
        return timedelta(**{_UNITS[found[2]]: float(found[1])})
    except OverflowError:
        return None


def moment(text: str, *, now: datetime | None = None, end: bool = False) -> datetime:
    """A date, a date and time, or a span before now, in UTC.

    Args:
        text: ISO 8601; UTC where it names no offset, so that it means the same on every machine.
        now: what a span is counted back from; without it, a span is no moment.
        end: a date is its last millisecond, not its first.

    Raises:
        UsageError: it is none of these.
    """
    before = None if now is None else span(text)
    if before is not None and now is not None:
        try:
            return now.astimezone(UTC) - before
        except OverflowError:
            return datetime.min.replace(tzinfo=UTC)
    try:
        found = datetime.fromisoformat(text.strip())
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        if end and _DATE.fullmatch(text.strip()):
            found += timedelta(days=1) - timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{visible(text, 60) or 'nothing'} is no time",
            hint="Write a date (2026-11-01), a date and time (2026-11-01T14:30), in UTC"
            + (", or a span before now: 12h, 7d, 2w." if now is not None else "."),
        ) from None
    return found


def at_ms(milliseconds: int) -> datetime:
    """The time so many ms after the epoch."""
    return _EPOCH + milliseconds * _MS


def first_ms(time: datetime) -> int:
    """The first whole ms since the epoch that is not before ``time``."""
    return -((_EPOCH - time.astimezone(UTC)) // _MS)


def last_ms(time: datetime) -> int:
    """The last whole ms since the epoch that is not after ``time``."""
    return (time.astimezone(UTC) - _EPOCH) // _MS
