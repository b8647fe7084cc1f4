"""The records that pass between the rooms: what was asked, what was read, what is written.

No I/O happens here and pandas is not imported: a ``RunSet`` holds frames that ``tracking`` made and
fetches the rest through the ``Source`` that it was given.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from qualia_lab import table_files, usage
from qualia_lab.directions import Direction, direction, is_system
from qualia_lab.errors import NotFoundError, QualiaError, ServerError
from qualia_lab.seeds import is_seed
from qualia_lab.text import visible

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

STATUSES = ("RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED")

# Listing is a request a run; beyond this it is left to what asks for one run.
_MOST_LISTED = 50
# A store that fails this often in a row is not asked on.
_MOST_FAILURES = 3
# Whether there are tables at all is looked up in so many runs, and only where nothing else tells.
LOOKED_AT = 10
_LARGEST_TABLE, _LARGEST_TABLES = 500_000_000, 2_000_000_000
# So many runs with one metric are enough to set the earlier ones against the later ones.
FEWEST_TO_SPLIT = 10

Answer = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """An MLflow experiment. ``active`` is False for a deleted one; times are ms since the epoch."""

    experiment_id: str
    name: str
    active: bool = True
    updated: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """One line of the list that a person chooses runs from. Times are ms since the epoch."""

    run_id: str
    name: str
    experiment_id: str
    status: str
    started: int | None = None
    ended: int | None = None
    parent: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which runs of a store. No experiments means all active ones; no run ids means no such limit.

    ``run_id_prefix`` is how the ids begin; ``filter`` is MLflow's own grammar; ``since`` and
    ``until`` bound the start time, both inclusive; ``order_by`` holds MLflow's order clauses;
    ``top`` cuts after ordering.

    The rest no store answers; ``ArtifactExplorer`` does (``tracking/selecting.py``): ``where`` is a
    condition (``where.Where``), ``name`` a glob, ``top_level`` leaves nested runs out, ``best`` is
    a metric and which end of it comes first, and ``children`` adds, after all that, the runs nested
    in those found.
    """

    experiment_ids: tuple[str, ...] = ()
    run_ids: tuple[str, ...] | None = None
    run_id_prefix: str = ""
    filter: str = ""
    statuses: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    order_by: tuple[str, ...] = ()
    top: int | None = None
    where: str = ""
    name: str = ""
    top_level: bool = False
    best: tuple[str, Literal["min", "max"]] | None = None
    children: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What a person chose: everything that is needed to write the notebook again.

    ``tracking_uri`` holds no password and is as the person gave it; ``run_ids`` is in the order
    of the notebook; ``query`` is what gave them, where they were not named one by one; ``of_runs``
    is how many runs the chosen experiments held, None where the store can't tell.
    """

    tracking_uri: str
    experiments: tuple[str, ...] = ()
    run_ids: tuple[str, ...] = ()
    query: Query | None = None
    of_runs: int | None = None
    kind: str = "observation"
    sections: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    parameters: Mapping[str, Answer] = field(default_factory=dict)
    title: str = ""
    output: Path = Path()


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One file of a run: its path in the run's artifact folder and its size in bytes."""

    path: str
    size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactList:
    """The files of a run, sorted by path.

    ``problem`` says why some or all could not be listed; ``cut`` is True when listing stopped at
    its limit, so that there may be more.
    """

    files: tuple[Artifact, ...] = ()
    problem: str = ""
    cut: bool = False

    @property
    def paths(self) -> frozenset[str]:
        """The path of each file."""
        return frozenset(file.path for file in self.files)

    def tree(self) -> dict[str, Any]:
        """The files in their folders: ``name/`` maps to a folder's dict, ``name`` to a file."""
        root: dict[str, Any] = {}
        for file in self.files:
            folder = root
            *parents, name = file.path.split("/")
            for parent in parents:
                folder = folder.setdefault(f"{parent}/", {})
            folder[name] = file
        return root


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """The files of runs, by run and path, and what there is to say of those that are not here."""

    files: Mapping[str, Mapping[str, Artifact]]
    told: tuple[str, ...]

    def paths(self, endings: tuple[str, ...]) -> Counter[str]:
        """In how many runs each path is that ends so."""
        return Counter(
            path
            for files in self.files.values()
            for path in files
            if path.lower().endswith(endings)
        )

    def having(self, path: str) -> list[str]:
        """The runs that have a file of that path."""
        return [run_id for run_id, files in self.files.items() if path in files]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How much of what was asked for is here.

    ``missing`` holds the ids of runs that are gone. Of the metric histories that
    were fetched up to now, ``histories`` of ``of_histories`` have points, ``points`` in all.
    """

    runs: int
    of_runs: int
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    points: int = 0
    histories: int = 0
    of_histories: int = 0

    def __str__(self) -> str:
        lines = [f"{self.runs:,} of {self.of_runs:,} runs loaded"]
        if self.of_histories:
            found = f"{self.histories:,} of {self.of_histories:,} metric histories"
            noun = "point" if self.points == 1 else "points"
            lines.append(f"{found} loaded, {self.points:,} {noun}")
        if self.missing:
            lines.append("gone from the store: " + ", ".join(self.missing))
        return "\n".join([*lines, *self.warnings])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Traces:
    """What is known of traces: the frames of ``RunSet.traces``, ``trace_tags``, ``assessments``."""

    traces: pd.DataFrame
    tags: pd.DataFrame
    assessments: pd.DataFrame


class Source(Protocol):
    """Where a ``RunSet`` fetches what it does not hold. Implemented in ``tracking``."""

    def history(self, run_ids: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
        """Every point of these metrics, sorted as ``RunSet.history``, runs as in ``run_ids``."""

    def models(self, run_ids: Sequence[str], experiment_ids: Sequence[str]) -> pd.DataFrame:
        """What these runs of these experiments logged, as the frame of ``RunSet.models``."""

    def traces(self, experiment_ids: Sequence[str]) -> Traces:
        """The traces of these experiments, with their tags and assessments."""

    def spans(self, experiment_ids: Sequence[str]) -> pd.DataFrame:
        """The spans of those traces: the frame of ``RunSet.spans``."""

    def artifacts(self, run_id: str) -> ArtifactList:
        """The files of one run."""

    def read_artifact(self, run_id: str, path: str, most_bytes: int) -> bytes:
        """The content of one file; raises ``QualiaError`` past ``most_bytes``."""

    def read_input(self, source: str, most_bytes: int) -> bytes:
        """The content of the file here that a data set came from; raises where it may not be."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunSet:
    """Runs as plain pandas.

    Attributes:
        runs: a row a run, indexed by ``run_id``: name, experiment, experiment_id, status, started
            and ended (UTC), duration, user, parent (a run id), source, commit, dataset.
        params: a row a run, a column a param; strings as logged, missing where not logged.
        metrics: the last value of each metric: a row a run, a column a metric (floats).
        logged: whether a run logged a metric, in the shape of ``metrics``: it tells a NaN that was
            logged from a value that is absent.
        tags: a row a run, a column a tag, MLflow's own (``mlflow.*``) included.
        datasets: a row an input: run_id, name, digest, context, source_type, source (as MLflow
            notes it, in JSON).
        experiments: the names, by id, of the experiments that the runs were looked for in.
        better: metrics of which somebody said whether less ("min") or more ("max") is better; of
            the others their names tell, see ``direction``.
        loaded: how many of how many runs; ``coverage`` adds the histories fetched since.
    """

    runs: pd.DataFrame
    params: pd.DataFrame
    metrics: pd.DataFrame
    logged: pd.DataFrame
    tags: pd.DataFrame
    datasets: pd.DataFrame
    loaded: Coverage
    source: Source = field(repr=False)
    experiments: Mapping[str, str] = field(default_factory=dict)
    better: Mapping[str, Direction] = field(default_factory=dict)
    _cache: dict[Any, Any] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.runs)

    def __repr__(self) -> str:
        return f"RunSet: {self.coverage}"

    @property
    def coverage(self) -> Coverage:
        """How much of what was asked for has been read up to now."""
        if "history" not in self._cache:
            return self.loaded
        points: pd.DataFrame = self._cache["history"]
        return replace(
            self.loaded,
            points=len(points),
            histories=len(points[["run_id", "metric"]].drop_duplicates()),
            of_histories=int((self._cache["fetched"] & self.logged.to_numpy(dtype=bool)).sum()),
        )

    @property
    def metric_names(self) -> list[str]:
        """Every metric that a run logged, sorted by name."""
        return list(self.metrics.columns)

    @property
    def newest(self) -> pd.Timestamp | None:
        """The newest time in the data: the last start or end of a run."""
        times = [self.runs[column].max() for column in ("started", "ended")]
        known = [time for time in times if time == time]  # NaT differs from itself
        return max(known) if known else None

    def direction(self, metric: str) -> Direction | None:
        """Whether less or more of a metric is better: as said by ``judging``, else by its name."""
        return self.better.get(metric) or direction(metric)

    def judging(self, metric: str | None, by: Direction | None) -> RunSet:
        """The same runs, with less ("min") or more ("max") of a metric taken for better.

        Nothing changes where either is None. What was fetched up to now is shared.
        """
        if metric is None or by is None:
            return self
        return replace(self, better={**self.better, metric: by})

    def afresh(self) -> RunSet:
        """The same runs, of which nothing has been fetched yet."""
        return replace(self, _cache={})

    def only(self, run_ids: Sequence[str]) -> RunSet:
        """These runs of the set, in this order, with what any of them logged."""
        index = list(run_ids)

        def columns(frame: pd.DataFrame, here: pd.DataFrame) -> pd.DataFrame:
            return frame.loc[index, here.loc[index].any(axis=0)]

        data = self.datasets[self.datasets["run_id"].isin(index)]
        place = {run_id: number for number, run_id in enumerate(index)}
        order = data["run_id"].map(place).sort_values(kind="stable").index
        return replace(
            self,
            runs=self.runs.loc[index],
            params=columns(self.params, self.params.notna()),
            metrics=columns(self.metrics, self.logged),
            logged=columns(self.logged, self.logged),
            tags=columns(self.tags, self.tags.notna()),
            datasets=data.loc[order].reset_index(drop=True),
            loaded=replace(self.loaded, runs=len(index), of_runs=len(index)),
            _cache={},
        )

    def has(self, fact: str) -> bool:
        """Whether this data has a fact (a key of ``FACTS``) that sections can need.

        Facts about traces read them.
        """
        told: dict[str, Callable[[], bool]] = {
            "runs": lambda: len(self.runs) > 0,
            "two_runs": lambda: len(self.runs) > 1,
            "params": lambda: self.params.size > 0,
            "metrics": lambda: self.metrics.size > 0,
            "datasets": lambda: len(self.datasets) > 0,
            "repeats": lambda: self._repeats,
            "varied": lambda: any(self.params[one].nunique() > 1 for one in self.params.columns),
            "nested": lambda: bool(self.runs["parent"].isin(self.runs.index).any()),
            "system_metrics": lambda: any(is_system(name) for name in self.metric_names),
            "two_samples": lambda: self._has_samples,
            "named_samples": lambda: self._has_named_samples,
            "calls": lambda: self._has_calls,
        }
        return told[fact]()

    @property
    def _has_named_samples(self) -> bool:
        """Whether MLflow noted tables whose names say that one is held against the other."""
        noted = {path for run_id in self.tags.index for path in self._noted_tables(str(run_id))}
        words = [set(re.split(r"[^a-z]+", path.rpartition(".")[0].lower())) for path in noted]
        return all(
            any(one & set(names) for one in words)
            for names in (table_files.REFERENCES, table_files.CURRENTS)
        )

    @property
    def _has_calls(self) -> bool:
        """Whether tokens or a cost are recorded: of a trace, by a run, or of a span."""
        names = {*usage.COSTS, *usage.INPUTS, *usage.OUTPUTS}
        if not names.isdisjoint(self.metric_names):
            return True
        counted = ["input_tokens", "output_tokens", "cost"]
        if bool(self._traced.traces[counted].notna().any(axis=None)):
            return True
        return bool(len(self._traced.traces)) and bool(self.spans()[counted].notna().any(axis=None))

    @property
    def _repeats(self) -> bool:
        """Whether two runs of an experiment have the same params, but for a seed."""
        if not len(self.params.columns):
            return False
        import pandas as pd

        kept = [name for name in self.params.columns if not is_seed(str(name))]
        params = self.params[self.params.notna().any(axis=1)]
        where = self.runs["experiment_id"].loc[params.index]
        # By columns: a tuple of texts a run would take more than all that is read of it.
        columns = [where, *(params[name].fillna("") for name in kept)]
        settings = pd.concat(columns, axis=1, ignore_index=True)
        return bool(settings.duplicated().any())

    def history(
        self, metrics: str | Sequence[str] | None = None, run_ids: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Every logged point of some metrics, fetched on first use and then kept.

        Args:
            metrics: a metric or several; all by default.
            run_ids: of these runs; all by default.

        Returns:
            A long frame: run_id, metric, step, timestamp (UTC), value; sorted by run (in the order
            of ``runs``), metric, step, timestamp.
        """
        import numpy as np

        names = [metrics] if isinstance(metrics, str) else metrics
        runs, columns = self.logged.index, self.logged.columns
        rows = runs.isin(runs if run_ids is None else list(run_ids))
        picked = columns.isin(columns if names is None else list(names))
        wanted = np.outer(rows, picked)
        self._fetch(wanted)
        kept: pd.DataFrame = self._cache["history"]
        if not (self._cache["fetched"] & ~wanted).any():
            return kept.copy()  # nothing but what is wanted was ever fetched
        found: pd.DataFrame = kept[wanted[self._kept_cells()]].reset_index(drop=True)
        return found

    def _fetch(self, wanted: np.ndarray) -> None:
        """Add the points of the (run, metric) pairs that were logged and are not there yet."""
        import numpy as np
        import pandas as pd

        if "fetched" not in self._cache:
            self._cache["fetched"] = np.zeros(self.logged.shape, dtype=bool)
        fetched: np.ndarray = self._cache["fetched"]
        lacking = wanted & self.logged.to_numpy(dtype=bool) & ~fetched
        rows, picked = lacking.any(axis=1), lacking.any(axis=0)
        if "history" in self._cache and not rows.any():
            return
        points = self.source.history(
            list(self.logged.index[rows]), list(self.logged.columns[picked])
        )
        if "history" in self._cache:
            # A rectangle around what was lacking can hold pairs that were there.
            cells = self._cells(points)
            fresh = ~fetched[cells]
            both = zip(self._kept_cells(), cells, strict=True)
            points = pd.concat([self._cache["history"], points[fresh]])
            places = [np.concatenate([old, new[fresh]]) for old, new in both]
            # Each metric of a run comes sorted, by times that a frame can't hold too; it stays so.
            names = np.argsort(np.argsort(self.logged.columns.to_numpy(dtype=object)))
            order = np.lexsort((names[places[1]], places[0]))
            points = points.iloc[order].reset_index(drop=True)
            self._cache["cells"] = (places[0][order], places[1][order])
        self._cache["history"] = points
        fetched |= np.outer(rows, picked)

    def _kept_cells(self) -> tuple[np.ndarray, np.ndarray]:
        """``_cells`` of what is kept, found when it is first asked for."""
        if "cells" not in self._cache:
            self._cache["cells"] = self._cells(self._cache["history"])
        found: tuple[np.ndarray, np.ndarray] = self._cache["cells"]
        return found

    def _cells(self, points: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Row and column of ``logged`` that each point belongs to."""
        import pandas as pd

        rows = self.logged.index.get_indexer(pd.Index(points["run_id"]))
        return rows, self.logged.columns.get_indexer(pd.Index(points["metric"]))

    @property
    def models(self) -> pd.DataFrame:
        """The models that these runs logged or registered, read on first use.

        A row a model and version of it: run_id, model_id, name, type, status, created (UTC),
        registered (the name in the registry), version, stage, aliases (with commas between).
        Missing are ``model_id`` and ``name`` of what MLflow before 3 registered, and ``registered``
        and ``version`` of what is not in the registry.
        """
        if "models" not in self._cache:
            self._cache["models"] = self.source.models(list(self.runs.index), self._experiment_ids)
        found: pd.DataFrame = self._cache["models"].copy()
        return found

    def traces(self) -> pd.DataFrame:
        """Every trace of the experiments of these runs, read on first use.

        A row a trace, oldest first: trace_id, experiment_id, run_id (missing for what was traced
        outside of a run; it may be a run that is not among these), name, status, started (UTC),
        duration, user, session, request and response (the beginning of each), input_tokens,
        output_tokens, total_tokens, cost as MLflow recorded it for the whole trace (US dollars),
        scorer (which judge left this trace; missing for what the application did), and prompts
        (the versions of prompts that it used, as JSON).
        """
        return self._traced.traces.copy()

    def trace_tags(self) -> pd.DataFrame:
        """Tags and metadata of those traces that are not MLflow's own: trace_id, key, value."""
        return self._traced.tags.copy()

    def assessments(self) -> pd.DataFrame:
        """What people, judges and code said of those traces.

        A row an assessment, oldest first: assessment_id, trace_id, span_id, run_id, name, type
        (feedback, expectation or issue), value (text), number (the value where it is a number, yes
        or no, else NaN), source_type, source_id, created (UTC), valid, error, and what asking the
        judge cost (judge_cost, in US dollars, judge_input_tokens, judge_output_tokens).
        """
        return self._traced.assessments.copy()

    def spans(self) -> pd.DataFrame:
        """Every span of those traces that the store holds, read on first use.

        A row a span, in the order of trace and start: trace_id, span_id, parent_id, name, type,
        status, started (UTC), duration, model, provider, tokens (input_tokens, output_tokens,
        total_tokens; of the input: cache_read_tokens, cache_write_tokens, and of the latter
        cache_write_1h_tokens), cost as MLflow recorded it (US dollars), error (the type of the
        exception), and inputs (JSON; of spans with tokens or a cost).
        """
        if "spans" not in self._cache:
            self._cache["spans"] = self.source.spans(self._experiment_ids)
        found: pd.DataFrame = self._cache["spans"].copy()
        return found

    @property
    def _traced(self) -> Traces:
        if "traces" not in self._cache:
            self._cache["traces"] = self.source.traces(self._experiment_ids)
        found: Traces = self._cache["traces"]
        return found

    @property
    def _experiment_ids(self) -> list[str]:
        found = [str(one) for one in self.runs["experiment_id"].unique()]
        # Where nothing ran, there may be traces all the same.
        return found or list(self.experiments)

    def artifacts(self, run_id: str) -> ArtifactList:
        """The files that a run logged, listed on first use."""
        listed: dict[str, ArtifactList] = self._cache.setdefault("artifacts", {})
        if run_id not in listed:
            with self._not_again():
                listed[run_id] = self.source.artifacts(run_id)
        return listed[run_id]

    @contextmanager
    def _not_again(self) -> Iterator[None]:
        """A server that failed three times in a row is not asked for artifacts of these runs again.

        Each time can take the whole deadline, and a notebook asks for those of every run.
        """
        failed: list[str] = self._cache.setdefault("failed", [])
        if len(failed) >= _MOST_FAILURES:
            raise ServerError(
                f"not asked again after {len(failed)} failures: {failed[-1]}",
                hint="To ask again, load the runs again.",
            )
        try:
            yield
        except ServerError as error:
            failed.append(str(error))
            raise
        failed.clear()

    def listed(self, run_ids: Sequence[str]) -> Listed:
        """The artifacts of the first 50 of these runs; one request a run, one after the other."""
        files: dict[str, dict[str, Artifact]] = {}
        problems: list[str] = []
        failures = cut = 0
        for run_id in run_ids[:_MOST_LISTED]:
            try:
                found = self.artifacts(run_id)
            except QualiaError as error:
                failures += 1
                problems.append(str(error))
                if failures == _MOST_FAILURES:
                    break
                continue
            failures = 0
            files[run_id] = {file.path: file for file in found.files}
            cut += found.cut
            problems += [found.problem] if found.problem else []
        told = []
        if len(files) < len(run_ids):
            told.append(f"artifacts of {len(files):,} of {len(run_ids):,} runs listed")
        if cut:
            told.append(f"not all files of {_runs(cut)} listed")
        if problems:
            told.append(f"{_runs(len(problems))} not listed whole: {visible(problems[0], 200)}")
        return Listed(files=files, told=tuple(told))

    def tables(self) -> pd.DataFrame:
        """The tables that these runs logged, looked up on first use.

        A row a table, by start of the run, then by path: run_id, path, size (bytes; missing where
        the folder was not listed), noted (whether MLflow notes it as logged by ``log_table``; a
        file in JSON that it does not note may be something else), source (an artifact; or an input:
        a data set that came from a file of this machine, whose name is the path). All noted tables
        and inputs are here; CSV, Parquet and JSON files besides are looked for in up to 50 runs, of
        more the 25 oldest and the 25 newest. ``attrs["left out"]`` says what was not looked at.
        """
        if "tables" not in self._cache:
            self._cache["tables"] = self._tables()
        found: pd.DataFrame = self._cache["tables"].copy()
        return found

    def _tables(self) -> pd.DataFrame:
        import pandas as pd

        order = [str(one) for one in self.runs["started"].sort_values(kind="stable").index]
        half = _MOST_LISTED // 2
        ends = order if len(order) <= _MOST_LISTED else [*order[:half], *order[-half:]]
        listed = self.listed(ends)
        rows: list[tuple[str, str, int | None, bool, str]] = []
        for run_id in order:
            files = listed.files.get(run_id, {})
            noted = self._noted_tables(run_id)
            paths = {one for one in (*files, *noted) if one.lower().endswith(table_files.ENDINGS)}
            # A note outlives the file.
            gone = noted - set(files) if run_id in listed.files else set()
            for path in sorted(paths - gone):
                size = files[path].size if path in files else None
                rows.append((run_id, path, size, path in noted, "artifact"))
            inputs = sorted(set(self._inputs.get(run_id, ())) - paths)
            rows += [(run_id, name, None, False, "input") for name in inputs]
        found = pd.DataFrame(rows, columns=["run_id", "path", "size", "noted", "source"])
        found = found.astype({"size": "Int64", "noted": "bool"})
        unseen = len(order) - len(ends)
        told = [f"files of {unseen:,} of {len(order):,} runs not looked at"] if unseen else []
        found.attrs["left out"] = [*listed.told, *told]
        return found

    @property
    def _inputs(self) -> dict[str, dict[str, str]]:
        """The data sets that came from a file which may hold a table: run id, name -> source."""
        if "inputs" not in self._cache:
            found: dict[str, dict[str, str]] = {}
            columns = [self.datasets[one] for one in ("run_id", "name", "source")]
            for run_id, name, source in zip(*columns, strict=True):
                if table_files.input_path(source) is not None:
                    found.setdefault(str(run_id), {})[str(name)] = str(source)
            self._cache["inputs"] = found
        kept: dict[str, dict[str, str]] = self._cache["inputs"]
        return kept

    def _noted_tables(self, run_id: str) -> set[str]:
        if table_files.NOTED not in self.tags:
            return set()
        return table_files.noted(self.tags.at[run_id, table_files.NOTED])

    def table(self, path: str, run_id: str | None = None) -> pd.DataFrame:
        """A table that a run logged: ``mlflow.log_table``'s JSON, CSV or Parquet.

        Args:
            path: of the artifact; or the name of a data set that came from a file of this machine,
                which is not read where a server says so.
            run_id: of this run; by default of every run that has it, oldest first, one after the
                other with the run's id as first column, ``run_id``.

        Returns:
            The whole of it, read as ``table_files.frame`` says. A file has at most 500 MB, all
            together 2 GB.

        Raises:
            NotFoundError: no run has it.
            QualiaError: it can't be read, or is no table; the reason is said.
        """
        import pandas as pd

        if run_id is not None:
            return self._read_table(run_id, path, _LARGEST_TABLE)[0]
        known = self.tables()
        having = [str(one) for one in known.loc[known["path"] == path, "run_id"]]
        if not having:
            raise NotFoundError(f"no run has a table {visible(path, 100)}")
        parts, left = [], _LARGEST_TABLES
        for one in having:
            part, size = self._read_table(one, path, min(_LARGEST_TABLE, left))
            left -= size
            names = ["run_id", *(name for name in part.columns if name != "run_id")]
            parts.append(part.assign(run_id=one)[names])
        return pd.concat(parts, ignore_index=True)

    def _read_table(self, run_id: str, path: str, most_bytes: int) -> tuple[pd.DataFrame, int]:
        source = self._inputs.get(run_id, {}).get(path)
        if not path.lower().endswith(table_files.ENDINGS) and source is None:
            endings = ", ".join(table_files.ENDINGS)
            raise QualiaError(f"{visible(path, 100)} is not opened: tables are {endings}")
        is_input = source is not None and path not in self.artifacts(run_id).paths
        if source is not None and is_input:
            content = self.source.read_input(source, most_bytes)
        else:
            content = self.read_artifact(run_id, path, most_bytes)
        name = (table_files.input_path(source) if is_input else None) or path
        try:
            return table_files.frame(name, content), len(content)
        except ValueError as error:
            why = visible(str(error), 200)
            raise QualiaError(f"{visible(path, 100)} can't be read as a table: {why}") from error

    @property
    def _has_samples(self) -> bool:
        """Whether there may be two samples to compare: tables, or enough runs with a metric.

        What the runs carry tells at no cost. Only where it does not, the files of up to ten runs
        are listed, the newest first.
        """
        often = self.logged.sum(axis=0)
        if len(often) and often.max() >= FEWEST_TO_SPLIT:
            return True
        if self._inputs or any(self._noted_tables(str(run_id)) for run_id in self.tags.index):
            return True
        newest = [str(one) for one in self.runs["started"].sort_values(kind="stable").index[::-1]]
        listed = self.listed(newest[:LOOKED_AT])
        return bool(listed.paths(table_files.ENDINGS))

    def read_artifact(self, run_id: str, path: str, most_bytes: int = 20_000_000) -> bytes:
        """The bytes of one artifact.

        Raises:
            QualiaError: it is gone, larger than ``most_bytes``, or may not be read.
        """
        with self._not_again():
            return self.source.read_artifact(run_id, path, most_bytes)


def _runs(count: int) -> str:
    return f"{count:,} run{'' if count == 1 else 's'}"
