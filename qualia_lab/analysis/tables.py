"""Tables that several runs logged at the same path, in one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from qualia_lab.analysis.artifacts import how_many, left_out, listed, noted_tables, which
from qualia_lab.analysis.labels import plain, run_labels
from qualia_lab.analysis.logged_tables import Table, parsed
from qualia_lab.analysis.show import Note, Report
from qualia_lab.analysis.values import best_order
from qualia_lab.errors import NotFoundError, QualiaError, known_list
from qualia_lab.model import Listed, RunSet
from qualia_lab.table_files import ENDINGS, NoTableError
from qualia_lab.text import visible

_MOST_BYTES, _MOST_BYTES_IN_ALL = 5_000_000, 20_000_000
_MOST_TABLES, _MOST_TRIED = 3, 8
_MOST_RUNS, _MOST_ROWS, _MOST_COLUMNS = 6, 30, 8
_MOST_JOINED = 20_000
_MOST_TOLD = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Joined:
    """The tables of some runs at one path, and why those of others are not here."""

    path: str
    tables: Mapping[str, Table]
    problems: Sequence[str]
    is_other_json: bool

    @property
    def rows(self) -> int:
        return sum(table.of_rows for table in self.tables.values())

    @property
    def columns(self) -> int:
        return max(table.of_columns for table in self.tables.values())


def compare_tables(
    runs: RunSet, path: str | None = None, metric: str | None = None
) -> pd.DataFrame | Report | Note:
    """Tables that several runs logged at the same path, in one, with the run as first column.

    Opened are ``mlflow.log_table``'s JSON, CSV and Parquet (see ``logged_tables.parsed``), at most
    5 MB each and 20 MB in all; a file that is no table, or broken, is named with the reason.

    Args:
        runs: the runs; the first 50 are looked at.
        path: of the table; by default the first three tables that two runs have, those that MLflow
            notes as tables first.
        metric: the runs best by it come first; by default they come in their order.

    Returns:
        With a path the whole: a frame of at most 1,000 rows and 60 columns of each run, 20,000 rows
        in all; ``attrs["left out"]`` lists what is not in it. Without one a report of the first
        rows of six runs each, whose captions say of how many. A note where there is no such table.

    Raises:
        NotFoundError: no run has a file of that path.
    """
    found = listed(runs, best_order(runs, metric))
    if path is not None:
        return _one_table(runs, found, path)
    noted = {one for run_id in found.files for one in noted_tables(runs, run_id)}
    shared = sorted(
        (one for one, having in found.paths(ENDINGS).items() if having > 1),
        key=lambda one: (one not in noted, one.lower().endswith(".json"), one),
    )
    tables: list[tuple[str, pd.DataFrame]] = []
    problems = list(found.told)
    tried = 0
    for one in shared[:_MOST_TRIED]:
        if len(tables) == _MOST_TABLES:
            break
        tried += 1
        having = found.having(one)
        joined = _joined(runs, one, having[:_MOST_RUNS])
        # A report in JSON is no table that is missing here.
        problems += [] if joined.is_other_json and one not in noted else joined.problems
        if joined.tables:
            tables.append(_first_rows(runs, joined, len(having), which(runs, metric)))
    if tried < len(shared):
        problems.append(f"{tried} of {len(shared):,} files that may be tables opened")
    if tables:
        return Report(tables, "".join(left_out(problems)))
    how = 'To log one: mlflow.log_table(frame, "eval/predictions.json")'
    why = "No two runs have a table of the same path."
    return Note("\n".join([why, *left_out(problems), how]))


def _one_table(runs: RunSet, found: Listed, path: str) -> pd.DataFrame | Note:
    having = found.having(path)
    if not having:
        known = known_list(path, found.paths(ENDINGS))
        raise NotFoundError(f"no run has a file {visible(path, 100)}", hint=known)
    if not path.lower().endswith(ENDINGS):
        return Note(f"{plain(path, 100)} is not opened: tables are read from {', '.join(ENDINGS)}.")
    joined = _joined(runs, path, having)
    if not joined.tables:
        why = "\n".join(joined.problems[:_MOST_TOLD])
        return Note(f"{plain(path, 100)} is no table that can be read.\n{why}")
    frame = _frame(runs, joined, _MOST_JOINED)
    absent = [*found.told, *joined.problems]
    if len(frame) < joined.rows:
        absent.append(f"{len(frame):,} of {joined.rows:,} rows")
    if max(len(table.columns) for table in joined.tables.values()) < joined.columns:
        absent.append(f"columns past the first {len(frame.columns) - 1} of {joined.columns:,}")
    frame.attrs["left out"] = absent
    return frame


def _joined(runs: RunSet, path: str, run_ids: Sequence[str]) -> _Joined:
    labels = run_labels(runs)
    tables: dict[str, Table] = {}
    problems: list[str] = []
    left = _MOST_BYTES_IN_ALL
    is_other_json = False
    for run_id in run_ids:
        try:
            content = runs.read_artifact(run_id, path, min(_MOST_BYTES, left))
            left -= len(content)
            tables[run_id] = parsed(path, content)
        except NoTableError as error:
            problems.append(f"{plain(path, 100)}: {error}")
            is_other_json = not tables
            if is_other_json:
                break  # of one name, it is no table in the other runs either
        except (QualiaError, ValueError) as error:
            why = plain(str(error), 200)
            problems.append(f"{plain(path, 100)} of {plain(labels[run_id])}: {why}")
    return _Joined(path=path, tables=tables, problems=problems, is_other_json=is_other_json)


def _first_rows(runs: RunSet, joined: _Joined, having: int, those: str) -> tuple[str, pd.DataFrame]:
    """The first rows of each run, as many as make 30 in all, under a caption that says so."""
    tables = joined.tables.values()
    each = max(
        (n for n in range(1, _MOST_ROWS) if sum(min(n, one.rows) for one in tables) <= _MOST_ROWS),
        default=1,
    )
    frame = _frame(runs, joined, _MOST_ROWS, each)
    said = [plain(joined.path, 100)]
    if len(joined.tables) < having:
        said.append(f"{len(joined.tables)} of {how_many(having)}, {those}")
    if len(frame) < joined.rows:
        said.append(f"{len(frame)} of {joined.rows:,} rows, the first of each run")
    if joined.columns > _MOST_COLUMNS:
        said.append(f"{_MOST_COLUMNS} of {joined.columns:,} columns")
    shown = frame.iloc[:, : _MOST_COLUMNS + 1].set_index("run")
    texts = [name for name, kind in shown.dtypes.items() if kind.name in ("object", "str")]
    return "; ".join(said), shown.fillna(dict.fromkeys(texts, ""))


def _frame(
    runs: RunSet, joined: _Joined, most_rows: int, most_of_run: int | None = None
) -> pd.DataFrame:
    """The tables one after the other; a column that a run lacks has missing values there."""
    labels = run_labels(runs)
    names = dict.fromkeys(name for one in joined.tables.values() for name in one.columns)
    columns: dict[str, list[Any]] = {"run": [], **{name: [] for name in names}}
    left = most_rows
    for run_id, table in joined.tables.items():
        rows = min(left, table.rows if most_of_run is None else min(most_of_run, table.rows))
        left -= rows
        columns["run"] += [plain(labels[run_id], 60)] * rows
        for name in names:
            columns[name] += table.columns.get(name, [None] * rows)[:rows]
    return pd.DataFrame(columns)
