"""The table of ``make torture``: what was attacked, how often, and what came of it.

A test of tests/torture names the row of the table that it belongs to, and counts what it did:

    @pytest.mark.torture("kills")
    def test_a_kill_leaves_the_old_file_or_the_new_one(saw: Saw) -> None:
        for _ in range(size(20, full=300)):
            ...
        saw(kills=300, half_files=0)

``make test`` runs the same tests at their small size. Whole numbers of a row are added up, of
fractions (seconds, megabytes) the largest stands. A full session in which every row held writes the
table into docs/security.md.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

FULL = os.environ.get("QUALIA_TORTURE") == "full"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "security.md"
ROWS = {
    "injection": "No code injection",
    "html": "Exported HTML is inert",
    "text": "Markdown, PDF, terminal",
    "secrets": "Secrets stay home",
    "kills": "A kill loses nothing",
    "writes": "Every write call may fail",
    "servers": "Servers may fail",
    "passing": "Faults that pass are survived",
    "stops": "It stops when told",
    "artifacts": "Hostile artifacts",
    "same": "Identical everywhere",
    "load": "Load",
}
_BEGIN, _END = "<!-- torture: begin -->", "<!-- torture: end -->"


class Saw(Protocol):
    """Counts for the row of the test that calls it."""

    def __call__(self, **counts: int | float) -> None: ...


def size(small: int, *, full: int) -> int:
    """How often: ``full`` under ``make torture``, ``small`` otherwise."""
    return full if FULL else small


@pytest.fixture
def saw(request: pytest.FixtureRequest, record_property: Any) -> Saw:
    """Counts what a test did, for the table."""
    marker = request.node.get_closest_marker("torture")
    row = marker.args[0]
    assert row in ROWS, row
    record_property("torture row", row)

    def note(**counts: int | float) -> None:
        record_property("torture counts", counts)

    return note


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "torture(row): an attack, a row of docs/security.md")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not FULL:
        return
    reports = [one for many in terminalreporter.stats.values() for one in many]
    lines, held = _table([one for one in reports if isinstance(one, pytest.TestReport)])
    terminalreporter.section("torture")
    for line in lines:
        terminalreporter.write_line(line)
    if held:
        text = PAGE.read_text(encoding="utf-8")
        found = re.compile(f"(?<={_BEGIN}\n).*?(?={_END})", re.DOTALL)
        new = found.sub(lambda _: "\n".join(lines) + "\n", text, count=1)
        PAGE.write_text(new, encoding="utf-8")
        terminalreporter.write_line(f"Every row held: written to {PAGE}")


def _table(reports: Iterable[pytest.TestReport]) -> tuple[list[str], bool]:
    counts: dict[str, dict[str, int | float]] = {}
    failed: set[str] = set()
    for report in reports:
        said = list(report.user_properties)
        rows = [str(value) for name, value in said if name == "torture row"]
        for row in rows:
            if report.outcome != "passed":
                failed.add(row)
            if report.when == "call":
                _add(
                    counts.setdefault(row, {}), (value for name, value in said if "counts" in name)
                )
    lines = ["| what | held | seen |", "|---|---|---|"]
    for row, title in ROWS.items():
        held = "no" if row in failed else "yes" if counts.get(row) else "not run"
        lines.append(f"| {title} | {held} | {'; '.join(_said(counts.get(row, {})))} |")
    return lines, not failed and all(counts.get(row) for row in ROWS)


def _add(total: dict[str, int | float], counts: Iterable[Any]) -> None:
    for one in counts:
        for name, value in one.items():
            had = total.get(name, 0)
            total[name] = max(had, value) if isinstance(value, float) else had + value


def _said(counts: dict[str, int | float]) -> Iterator[str]:
    for name, value in counts.items():
        number = f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"
        yield f"{number} {name.replace('_', ' ')}"
