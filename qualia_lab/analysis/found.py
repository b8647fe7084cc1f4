"""Findings, shown by a cell to people as a list, to ``--json`` and ``--fail-on`` as data.

The command asks this module for its words before the first question, so it loads nothing heavy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from qualia_lab.text import markdown, visible

Severity = Literal["error", "warning", "info"]
Level = Literal["note", "warning", "alarm"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
LEVELS: tuple[Level, ...] = ("note", "warning", "alarm")
# What a front end does not know it leaves alone; the command reads it out of the executed notebook.
FINDINGS_TYPE = "application/vnd.qualia-lab.findings+json"
_CLAUSES = re.compile(r"(?<=[.;:,]) ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing found. ``run`` is a run id, empty where it is about several or all.

    ``severity`` is how far it spoils a comparison; ``level`` is what ``--fail-on`` goes by: a
    "warning" asks to be looked at, an "alarm" to be acted on.
    """

    severity: Severity
    what: str
    evidence: str
    run: str = ""
    level: Level = "note"


@dataclass(frozen=True, slots=True)
class Found:
    """Findings, the highest level first, then what else is to be said. Anybody may be quoted.

    Args:
        findings: in the order in which those of a level are shown.
        notes: statements under a word in bold that are no findings, such as how small a change
            would have been seen.
    """

    findings: Sequence[Finding]
    notes: Sequence[tuple[str, str]] = ()

    @property
    def ordered(self) -> list[Finding]:
        """The findings, the highest level first."""
        return sorted(self.findings, key=lambda one: -LEVELS.index(one.level))

    def __repr__(self) -> str:
        return "\n".join(f"{visible(word)}: {visible(text)}" for word, text in self._points())

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        lines = [f"- **{markdown(word)}**: {inactive(text)}" for word, text in self._points()]
        return {
            FINDINGS_TYPE: [asdict(one) for one in self.ordered],
            "text/markdown": "\n".join(lines),
            "text/plain": repr(self),
        }

    def _points(self) -> list[tuple[str, str]]:
        found = [(one.level.capitalize(), _sentence(one)) for one in self.ordered]
        return [
            *(found or [("Nothing found", "nothing that was checked has changed.")]),
            *self.notes,
        ]


def _sentence(one: Finding) -> str:
    ending = "" if one.evidence.endswith((".", "!", "?")) else "."
    return f"{one.what}: {one.evidence}{ending}"


def inactive(text: str) -> str:
    """Inactive Markdown of a text longer than a name, clause by clause, so that none is cut."""
    return " ".join(markdown(part) for part in _CLAUSES.split(text))
