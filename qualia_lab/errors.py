"""What can go wrong, each with the exit code of the command that meets it and the next step.

Library code raises these; only ``cli/console.py`` prints them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from qualia_lab.text import visible

_MOST_LISTED = 10


class QualiaError(Exception):
    """Base of all errors of this project.

    ``str(error)`` says what happened; ``error.hint`` says what to do next and may be empty.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(QualiaError):
    """A flag, an answer or a template that makes no sense, or an answer that is missing."""

    exit_code = 2


class TemplateError(UsageError):
    """A kind or a section that breaks the rules of the catalogue."""


class MissingPartError(QualiaError):
    """An optional part (a driver, a browser) that is not installed."""

    exit_code = 3


class ServerError(QualiaError):
    """The tracking server is unreachable, too slow, or answers nonsense."""

    exit_code = 4


class NotAllowedError(QualiaError):
    """The store refuses to let this person read."""

    exit_code = 5


class NotFoundError(QualiaError):
    """The store, experiment or runs that were named do not exist."""

    exit_code = 6


class TooFewRunsError(NotFoundError):
    """An analysis that compares runs was given fewer than it needs."""


class OutputError(QualiaError):
    """The output exists already or can't be written."""

    exit_code = 7


class NotebookFailedError(QualiaError):
    """The notebook ran and a cell raised; the notebook is saved all the same."""

    exit_code = 8


class FoundError(QualiaError):
    """A finding is at or above the level that ``--fail-on`` names; the notebook is saved."""

    exit_code = 9


def known_list(given: str, known: Iterable[str]) -> str:
    """The known names as one line, those most like ``given`` first; what is cut is counted."""
    names = sorted(set(known))
    close = difflib.get_close_matches(given, names, n=3, cutoff=0.5)
    ordered = close + [name for name in names if name not in close]
    if not ordered:
        return "there are none"
    line = ", ".join(visible(name, 60) for name in ordered[:_MOST_LISTED])
    rest = len(ordered) - _MOST_LISTED
    return f"known: {line}" + (f" and {rest} more" if rest > 0 else "")
