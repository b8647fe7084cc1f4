"""Texts that two runs logged at the same path, as the lines in which they differ."""

from __future__ import annotations

import difflib
import html
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from qualia_lab.analysis.artifacts import left_out, listed, noted_tables
from qualia_lab.analysis.labels import find_run, number, plain, run_labels
from qualia_lab.analysis.show import Note
from qualia_lab.analysis.values import best_first, best_order
from qualia_lab.errors import QualiaError
from qualia_lab.model import RunSet
from qualia_lab.text import visible

_ENDINGS = (".txt", ".md", ".json", ".yaml", ".yml")
_MOST_BYTES = 500_000
# Comparing takes up to the square of the lines.
_MOST_COMPARED = 1000
_MOST_FILES, _MOST_LINES, _LONGEST = 8, 120, 160
_MOST_OF_A_FILE = 60
_CONTEXT = 2
_COLOURS = {"+": "#0072B2", "-": "#D55E00"}


@dataclass(frozen=True, slots=True)
class Preformatted:
    """Lines as they are, in letters of one width; what came or went has a colour.

    The lines may come from anybody: nothing in them is active, and what hides is shown.
    """

    lines: Sequence[str]

    def __repr__(self) -> str:
        return "\n".join(visible(line) for line in self.lines)

    def _repr_html_(self) -> str:
        shown = "\n".join(_coloured(visible(line)) for line in self.lines)
        # The classes keep MathJax from typesetting what somebody logged between dollar signs.
        return f'<pre class="tex2jax_ignore mathjax_ignore">{shown}</pre>'


def _coloured(line: str) -> str:
    colour, shown = _COLOURS.get(line[:1]), html.escape(line)
    return f'<span style="color: {colour}">{shown}</span>' if colour else shown


def compare_texts(
    runs: RunSet, metric: str | None = None, baseline: str | None = None
) -> Preformatted | Note:
    """What the texts of the best run have that those of a baseline have not, and the other way.

    Text, Markdown, JSON and YAML files of the same path in both runs, as unified diffs (``-`` the
    baseline, ``+`` the best); JSON is compared with a value a line; tables are left to
    ``compare_tables``.

    Args:
        runs: the runs.
        metric: which run is best; where that is not known, the first other run is compared.
        baseline: the id, label or name of a run; by default the first. Where it is the best
            itself, the next best is compared with it.

    Returns:
        At most eight files and 120 lines, 60 of a file; a file of up to 500 kB is read, its first
        1,000 lines are compared. What is left out or the same is said. A note where the runs have
        no text in common.

    Raises:
        NotFoundError: no run is called as ``baseline``.
    """
    if len(runs) < 2:
        return Note(
            "Texts are compared between two runs; there is one." if len(runs) else "No run."
        )
    base = str(runs.runs.index[0]) if baseline is None else find_run(runs, baseline)
    best = next(run_id for run_id in best_order(runs, metric) if run_id != base)
    names = [plain(run_labels(runs)[one], 60) for one in (base, best)]
    said = f"{names[1]}{_value(runs, best, metric)} against {names[0]}{_value(runs, base, metric)}"
    found = listed(runs, [base, best])
    tables = noted_tables(runs, base)
    paths = sorted(
        path for path, having in found.paths(_ENDINGS).items() if having == 2 and path not in tables
    )
    if not paths:
        why = f"No text of the same path: {said}."
        how = 'To log one: mlflow.log_dict(config, "config.yaml")'
        return Note("\n".join([why, *left_out(found.told), how]))
    same: list[str] = []
    problems = list(found.told)
    lines: list[str] = []
    for path in paths[:_MOST_FILES]:
        try:
            changed = _changes(runs, path, (base, best), names)
        except (QualiaError, ValueError) as error:
            problems.append(f"{plain(path, 100)}: {plain(str(error), 200)}")
            continue
        same += [] if changed else [plain(path, 100)]
        if changed and len(lines) < _MOST_LINES:
            kept = changed[: min(_MOST_OF_A_FILE, _MOST_LINES - len(lines))]
            lines += ["", *kept]
            if len(kept) < len(changed):
                lines.append(f"… {len(kept):,} of {len(changed):,} lines of {plain(path, 100)}")
        elif changed:
            problems.append(f"{plain(path, 100)} differs too")
    if len(paths) > _MOST_FILES:
        problems.append(f"{_MOST_FILES} of {len(paths):,} texts compared")
    alike = [f"The same in both: {', '.join(same)}."] if same else []
    return Preformatted([f"{said}.", *alike, *left_out(problems), *lines])


def _value(runs: RunSet, run_id: str, metric: str | None) -> str:
    values = {} if metric is None else dict(best_first(runs, metric))
    return f" ({plain(metric)} {number(values[run_id])})" if run_id in values else ""


def _changes(runs: RunSet, path: str, run_ids: tuple[str, str], names: Sequence[str]) -> list[str]:
    """The lines of a unified diff; none where both are the same to the last byte.

    Raises:
        ValueError: a file that is no text.
    """
    before, after = (runs.read_artifact(run_id, path, _MOST_BYTES) for run_id in run_ids)
    if before == after:
        return []
    old, new = (_lines(path, content) for content in (before, after))
    shown = plain(path, 100)
    of_old, of_new = (f"{shown}  {name}" for name in names)
    parts = old[:_MOST_COMPARED], new[:_MOST_COMPARED]
    diff = difflib.unified_diff(*parts, of_old, of_new, lineterm="", n=_CONTEXT)
    changed = [plain(line, _LONGEST) if place > 1 else line for place, line in enumerate(diff)]
    longest = max(len(old), len(new))
    if longest > _MOST_COMPARED:
        changed.append(f"… the first {_MOST_COMPARED:,} of {longest:,} lines of {shown} compared")
    return changed or [f"{shown}: the same but for blanks or ends of lines"]


def _lines(path: str, content: bytes) -> list[str]:
    if b"\0" in content:
        raise ValueError("it is no text")
    text = content.decode("utf-8-sig", "replace")
    if path.lower().endswith(".json"):
        # What is logged on one line would differ as a whole; what is no JSON stays as it is.
        with suppress(ValueError, RecursionError):
            text = json.dumps(json.loads(text), indent=1, ensure_ascii=False)
    return text.splitlines()
