"""``qualia-lab runs``: the runs that the flags choose, as a table, CSV, JSON or ids."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from qualia_lab.cli.console import TELLING, as_json, glyphs
from qualia_lab.cli.options import Configured, Talk, Which, takes
from qualia_lab.cli.tables import Column, Table, took
from qualia_lab.text import visible

if TYPE_CHECKING:
    from qualia_lab.model import RunSet

EPILOG = """Examples:

\b
qualia-lab runs --experiment churn --since 7d
qualia-lab runs --best val_loss --top 10
qualia-lab runs --where 'params.lr > 0.01' --format csv > chosen.csv
qualia-lab runs --best val_loss --top 3 --format ids | create-observation-notebook --run -
"""

# Runs that are taken out of their frames together: one by one costs a hundred times as much.
_AT_ONCE = 500
_ABOUT = ("name", "experiment", "status", "started", "ended", "parent", "user")

Format = Literal["table", "csv", "json", "ids"]


@takes(Which, Configured, Talk)
def runs(
    which: Which,
    configured: Configured,
    talk: Talk,
    *,
    format_: Annotated[
        str, typer.Option("--format", metavar="table|csv|json|ids", help="How to print them.")
    ] = "table",
) -> None:
    """List runs: the same flags choose them as for a notebook.

    Without a flag, all runs of the active experiments, newest first. The table shows the metrics
    that tell runs apart best; CSV and JSON hold every param, metric and tag.
    """
    from qualia_lab.cli.picking import picked
    from qualia_lab.errors import UsageError, known_list

    known = ("table", "csv", "json", "ids")
    if format_ not in known:
        raise UsageError(f"no format {visible(format_, 60)}", hint=known_list(format_, known))
    is_json = talk.as_json or format_ == "json"
    settings = configured.settings()
    out = replace(talk, as_json=is_json).console(settings)
    which = configured.which(which, settings)
    chosen = picked(which, out)
    found, of_runs = chosen.runs, chosen.of_runs
    for line in found.coverage.warnings:
        out.warn(line)
    if is_json:
        out.stream(_json(found, of_runs))
    elif format_ == "csv":
        out.stream(_csv(found))
    else:
        lines = found.runs.index if format_ == "ids" else _table(found, which)
        out.stream(f"{line}\n" for line in lines)
    if of_runs is not None and len(found) < of_runs:
        out.say(f"{len(found):,} of {of_runs:,} runs")


def _table(found: RunSet, which: Which) -> Iterator[str]:
    """A line a run: mark, id, name, start, duration, telling metrics; aligned, nothing cut off."""
    from qualia_lab.notebook.generator import ranked_metrics

    best = which.query().best
    names = [name for name in ranked_metrics(found) if not best or name != best[0]]
    metrics = ([best[0]] if best else []) + names[: TELLING - bool(best)]
    columns = [
        *(Column(title=one) for one in ("", "run id", "name", "started (UTC)")),
        *(
            Column(title=one, right=True)
            for one in ("took", *(visible(one, 30) for one in metrics))
        ),
    ]
    table = Table(columns, _rows(found, metrics))
    widths = table.widths()
    yield table.line(table.header, widths)
    yield from (table.line(row, widths) for row in _rows(found, metrics))


def _rows(found: RunSet, metrics: Sequence[str]) -> Iterator[Sequence[str]]:
    """The cells of each run; made twice over, since all at once take as much as the runs."""
    marks = glyphs(sys.stdout).marks
    for begin in range(0, len(found), _AT_ONCE):
        rows = slice(begin, begin + _AT_ONCE)
        runs, logged = found.runs.iloc[rows], found.logged.iloc[rows]
        starts, ends = (runs[one].tolist() for one in ("started", "duration"))
        texts = [
            [
                f"{value:.4g}" if here else ""
                for value, here in zip(found.metrics[one].iloc[rows], logged[one], strict=True)
            ]
            for one in metrics
        ]
        for run_id, status, name, start, seconds, *values in zip(
            runs.index, runs["status"], runs["name"], starts, ends, *texts, strict=True
        ):
            yield [
                marks.get(status, "?"),
                str(run_id)[:8],
                visible(name, 40),
                "" if start != start else f"{start:%Y-%m-%d %H:%M}",
                took(seconds.total_seconds()),
                *values,
            ]


def _records(found: RunSet) -> Iterator[dict[str, Any]]:
    """Each run with all that it logged. JSON has no NaN and no infinity: they are texts."""
    for start in range(0, len(found), _AT_ONCE):
        yield from _some_records(found, slice(start, start + _AT_ONCE))


def _some_records(found: RunSet, rows: slice) -> Iterator[dict[str, Any]]:
    runs = found.runs.iloc[rows]
    about = {name: runs[name].tolist() for name in _ABOUT}
    frames = {"params": found.params, "metrics": found.metrics, "tags": found.tags}
    logged: dict[str, list[tuple[str, list[Any], list[bool]]]] = {}
    for what, frame in frames.items():
        part = frame.iloc[rows]
        here = found.logged.iloc[rows] if what == "metrics" else part.notna()
        logged[what] = [(str(one), part[one].tolist(), here[one].tolist()) for one in part.columns]
    for place, (run_id, time) in enumerate(runs["duration"].items()):
        record: dict[str, Any] = {"run_id": run_id}
        for name, values in about.items():
            value = values[place]
            record[name] = _plain(value) if value == value else None
        record["duration"] = None if time != time else time.total_seconds()
        for what, columns in logged.items():
            record[what] = {
                key: _plain(values[place]) for key, values, here in columns if here[place]
            }
        yield record


def _json(found: RunSet, of_runs: int | None) -> Iterator[str]:
    """One JSON object, in pieces: all of it in memory takes many times what the runs do."""
    before = f'{{"of_runs": {json.dumps(of_runs)}, "runs": ['
    for record in _records(found):
        yield before + as_json(record)
        before = ", "
    yield ("" if len(found) else before) + "]}\n"


def _plain(value: Any) -> Any:
    """A value of a frame as JSON holds it; times as ISO 8601."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    return value


def _csv(found: RunSet) -> Iterator[str]:
    """A row a run; params, metrics and tags behind their group's name and a dot."""
    frames = {"params": found.params, "metrics": found.metrics, "tags": found.tags}
    keys = [(what, str(key)) for what, frame in frames.items() for key in frame.columns]
    about = ("run_id", *_ABOUT, "duration")
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*about, *(f"{what}.{key}" for what, key in keys)])
    for record in _records(found):
        row = [record[name] for name in about] + [record[what].get(key) for what, key in keys]
        writer.writerow(["" if value is None else value for value in row])
        yield stream.getvalue()
        stream.seek(0)
        stream.truncate()
    yield stream.getvalue()
