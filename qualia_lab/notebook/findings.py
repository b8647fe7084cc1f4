"""Findings on their way out of an executed notebook: as data, and as the head of a summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from qualia_lab.analysis.found import FINDINGS_TYPE, LEVELS, inactive

if TYPE_CHECKING:
    from nbformat import NotebookNode

FIELDS = ("severity", "level", "run", "what", "evidence")
# Levels that --fail-on can name: every notebook has notes.
FAILING: tuple[str, ...] = LEVELS[1:]
_RANK: dict[str, int] = {level: place for place, level in enumerate(LEVELS)}
_MOST_LISTED = 20


def shown_findings(notebook: NotebookNode) -> list[dict[str, str]]:
    """The findings that cells of an executed notebook show (``analysis.Found``), each once.

    Several cells may show one finding. What is under that type but is no finding is left out.
    """
    found = [
        {name: str(one[name]) for name in FIELDS}
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        for one in _listed(output.get("data", {}).get(FINDINGS_TYPE))
    ]
    return list({tuple(one.values()): one for one in found}.values())


def reached(findings: Iterable[dict[str, str]], level: str) -> list[dict[str, str]]:
    """The findings at a level or above it."""
    return [one for one in findings if _RANK[one["level"]] >= _RANK[level]]


def headline(findings: Sequence[dict[str, str]]) -> str:
    """Markdown: how many findings of which level, and those above a note, the gravest first.

    At most 20 are listed; the rest is counted.
    """
    counts = Counter(one["level"] for one in findings)
    said = ", ".join(
        f"{counts[level]:,} {level}{'s' * (counts[level] != 1)}"
        for level in reversed(LEVELS)
        if counts[level]
    )
    grave = sorted(reached(findings, FAILING[0]), key=lambda one: -_RANK[one["level"]])
    lines = [f"**Findings: {said or 'none'}.**"]
    if grave:
        lines += ["", "| level | what | evidence |", "|---|---|---|"]
    for one in grave[:_MOST_LISTED]:
        lines.append(
            "| " + " | ".join(inactive(one[name]) for name in ("level", "what", "evidence")) + " |"
        )
    if len(grave) > _MOST_LISTED:
        lines += ["", f"{len(grave) - _MOST_LISTED:,} more are in the notebook."]
    return "\n".join(lines)


def _listed(value: Any) -> list[dict[str, Any]]:
    rows = value if isinstance(value, list) else []
    return [
        one
        for one in rows
        if isinstance(one, dict) and set(FIELDS) <= set(one) and one["level"] in LEVELS
    ]
