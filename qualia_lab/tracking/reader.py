"""What a store must be able to do, and the columns that it answers in.

Each kind of store has one reader. All of them fill the same ``Columns``; ``frames.py`` makes the
same ``RunSet`` of it, whichever reader it came from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from qualia_lab.errors import ServerError
from qualia_lab.model import ArtifactList, Experiment, Query, RunInfo
from qualia_lab.text import visible, whole

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from qualia_lab.tracking.traces import Traced

_A = TypeVar("_A")

# Columns and their Arrow types. Times are ms since the epoch. "repeated" is text of which there are
# few, in many rows: each is held once (an Arrow dictionary), or 100,000 runs would hold their ids
# 45 times, which alone takes 160 MB.
RUNS = {
    "run_id": "string",
    "name": "string",
    "experiment_id": "string",
    "status": "string",
    "started": "int64",
    "ended": "int64",
    "user": "string",
    "artifact_uri": "string",
}
TEXTS = {"run_id": "repeated", "key": "repeated", "value": "string"}
NUMBERS = {"run_id": "repeated", "key": "repeated", "value": "float64"}
DATASETS = {
    "run_id": "string",
    "name": "string",
    "digest": "string",
    "context": "string",
    "source_type": "string",
    "source": "string",
}
POINTS = {
    "run_id": "string",
    "metric": "string",
    "step": "int64",
    "timestamp": "int64",
    "value": "float64",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Runs as Arrow tables, each run once, in the order asked for.

    ``runs`` has the columns ``RUNS``. The others are long, one row a logged key, in any order:
    ``params`` and ``tags`` (``TEXTS``), ``metrics`` (``NUMBERS``: the last values, NaN where NaN
    was logged), ``datasets`` (``DATASETS``). They may hold rows of other runs, which do not count.
    """

    runs: pa.Table
    params: pa.Table
    metrics: pa.Table
    tags: pa.Table
    datasets: pa.Table
    warnings: tuple[str, ...] = ()


# Told again and again while runs are read: how many were, and about which share of the work is
# done (0 to 1), where that is known. It may be called from several threads.
Progress = Callable[[int, float | None], object]


def unseen(runs: int, share: float | None) -> None:
    """The progress that nobody looks at."""


class Reader(Protocol):
    """One kind of tracking store. Whatever its client raises is raised as ``QualiaError``."""

    def experiments(self, *, deleted: bool) -> list[Experiment]:
        """All experiments, the one with the newest activity first."""

    def find(self, query: Query) -> list[RunInfo]:
        """The runs that match, all pages of them, in the order asked for (newest first)."""

    def count(self, query: Query) -> int | None:
        """How many runs match, whatever ``top``; None if only reading them all would tell."""

    def counts(self) -> dict[str, int] | None:
        """How many active runs each active experiment holds that has any; None as for ``count``."""

    def load(self, query: Query, progress: Progress = unseen) -> Columns:
        """The runs that match, with all that they logged but histories and artifacts."""

    def history(self, run_ids: Sequence[str], metrics: Sequence[str]) -> pa.Table:
        """Every point of these metrics of these runs, in any order: the columns ``POINTS``."""

    def models(self, run_ids: Sequence[str], experiment_ids: Sequence[str]) -> pa.Table:
        """The models that these runs of these experiments logged: ``models.MODELS``, any order."""

    def traces(self, experiment_ids: Sequence[str]) -> Traced:
        """The traces of these experiments, in any order."""

    def spans(self, experiment_ids: Sequence[str]) -> pa.Table:
        """The spans of those traces: the columns ``spans.SPANS``, in any order."""

    def artifacts(self, run_id: str) -> ArtifactList:
        """As ``model.Source.artifacts``."""

    def read_artifact(self, run_id: str, path: str, most_bytes: int) -> bytes:
        """As ``model.Source.read_artifact``."""


def schema(columns: Mapping[str, str]) -> pa.Schema:
    """The Arrow schema of one of the tables above."""
    import pyarrow as pa

    repeated = pa.dictionary(pa.int32(), pa.string())
    return pa.schema(
        [
            (name, repeated if kind == "repeated" else pa.type_for_alias(kind))
            for name, kind in columns.items()
        ]
    )


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of that type holds text, repeated or not."""
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_dictionary(kind))


def coded(column: pa.ChunkedArray) -> tuple[np.ndarray, pa.Array]:
    """A column of text without gaps as codes, and what each code means; a text may have several."""
    import numpy as np
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    parts = column.unify_dictionaries().chunks
    if not parts:
        return np.zeros(0, np.int32), pa.array([], pa.string())
    return np.concatenate([one.indices.to_numpy() for one in parts]), parts[0].dictionary


def table(columns: Mapping[str, str], rows: Iterable[Sequence[Any]]) -> pa.Table:
    """Rows as a table with these columns; text loses lone surrogates, which Arrow can't hold."""
    import pyarrow as pa

    values = list(zip(*rows, strict=True)) or [()] * len(columns)
    arrays = [
        pa.array([None if one is None else whole(str(one)) for one in column])
        if kind in ("string", "repeated")
        else pa.array(column, kind)
        for column, kind in zip(values, columns.values(), strict=True)
    ]
    return pa.table(arrays, names=list(columns)).cast(schema(columns))


def pages(fetch: Callable[[str | None], tuple[_A, str | None]], uri: str) -> Iterator[_A]:
    """Every page of an answer.

    Args:
        fetch: gives the page that a token asks for, and the token of the next one.
        uri: of the store, for the error.

    Raises:
        ServerError: a token comes back, which would go on for ever.
    """
    token: str | None = None
    seen: set[str] = set()
    while True:
        page, token = fetch(token)
        yield page
        if not token:
            return
        if token in seen:
            raise ServerError(
                f"{visible(uri, 200)} repeats a page of its answer without end",
                hint="This is a fault of the server or a proxy; it can't be read whole.",
            )
        seen.add(token)
