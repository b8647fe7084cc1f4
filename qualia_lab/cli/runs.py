"""``qualia-lab runs``: the runs that the flags choose, as a table, CSV, JSON or ids."""

from __future__ import annotations

import csv
import io
import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from qualia_lab.cli.console import TELLING, glyphs
from qualia_lab.cli.options import Configured, Talk, Which, takes
from qualia_lab.cli.tables import Column, Table, took

if TYPE_CHECKING:
    from qualia_lab.model import RunSet

EPILOG = """Examples:

\b
qualia-lab runs --experiment churn --since 7d
qualia-lab runs --best val_loss --top 10
qualia-lab runs --where 'params.lr > 0.01' --format csv > chosen.csv
qualia-lab runs --best val_loss --top 3 --format ids | create-observation-notebook --run -
"""

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
    from qualia_lab.text import visible

    known = ("table", "csv", "json", "ids")
    if format_ not in known:
        raise UsageError(f"no format {visible(format_, 60)}", hint=known_list(format_, known))
    as_json = talk.as_json or format_ == "json"
    settings = configured.settings()
    out = replace(talk, as_json=as_json).console(settings)
    which = configured.which(which, settings)
    chosen = picked(which, out)
    found, of_runs = chosen.runs, chosen.of_runs
    for line in found.coverage.warnings:
        out.warn(line)
    record: dict[str, Any] = {}
    text = ""
    if as_json:
        record = {"of_runs": of_runs, "runs": list(_records(found))}
    elif format_ == "ids":
        text = "\n".join(found.runs.index)
    else:
        text = _csv(found) if format_ == "csv" else _table(found, which)
    out.result(text, record)
    if of_runs is not None and len(found) < of_runs:
        out.say(f"{len(found):,} of {of_runs:,} runs")


def _table(found: RunSet, which: Which) -> str:
    """A line a run: mark, id, name, start, duration, telling metrics; aligned, nothing cut off."""
    from qualia_lab.notebook.generator import ranked_metrics
    from qualia_lab.text import visible

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
    marks = glyphs(sys.stdout).marks
    rows = []
    last: Any = found.metrics.loc
    logged: Any = found.logged.loc
    for run_id, run in found.runs.iterrows():
        seconds = took(run["duration"].total_seconds())
        started = "" if run["started"] != run["started"] else f"{run['started']:%Y-%m-%d %H:%M}"
        values = [f"{last[run_id, one]:.4g}" if logged[run_id, one] else "" for one in metrics]
        mark = marks.get(run["status"], "?")
        rows.append([mark, str(run_id)[:8], visible(run["name"], 40), started, seconds, *values])
    table = Table(columns, rows)
    widths = table.widths()
    return "\n".join(table.line(row, widths) for row in (table.header, *rows))


def _records(found: RunSet) -> Iterator[dict[str, Any]]:
    """Each run with all that it logged. JSON has no NaN and no infinity: they are texts."""
    frames: dict[str, Any] = {"params": found.params, "metrics": found.metrics, "tags": found.tags}
    logged: Any = found.logged
    for run_id, run in found.runs.iterrows():
        about = {name: _plain(run[name]) if run[name] == run[name] else None for name in _ABOUT}
        record: dict[str, Any] = {"run_id": run_id, **about}
        took = run["duration"]
        record["duration"] = None if took != took else took.total_seconds()
        for what, frame in frames.items():
            row: Any = frame.loc[run_id]
            here: Any = logged.loc[run_id] if what == "metrics" else row.notna()
            record[what] = {str(key): _plain(value) for key, value in row[here].items()}
        yield record


def _plain(value: Any) -> Any:
    """A value of a frame as JSON holds it; times as ISO 8601."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    return value


def _csv(found: RunSet) -> str:
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
    return stream.getvalue().rstrip("\n")
