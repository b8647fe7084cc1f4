"""What a store must be able to do, and the columns that it answers in.

Each kind of store has one reader. All of them fill the same ``Columns``; ``frames.py`` makes the
same ``RunSet`` of it, whichever reader it came from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from qualia_lab.model import ArtifactList, Experiment, Query, RunInfo

if TYPE_CHECKING:
    import pandas as pd


@dataclass(slots=True, kw_only=True)
class Columns:
    """Runs as columns: parallel lists, times in ms since the epoch.

    ``params``, ``metrics`` and ``tags`` are long: one entry a logged key, each with its run.
    """

    run_id: list[str] = field(default_factory=list)
    name: list[str] = field(default_factory=list)
    experiment_id: list[str] = field(default_factory=list)
    status: list[str] = field(default_factory=list)
    started: list[int | None] = field(default_factory=list)
    ended: list[int | None] = field(default_factory=list)
    user: list[str | None] = field(default_factory=list)
    params: list[tuple[str, str, str]] = field(default_factory=list)
    metrics: list[tuple[str, str, float]] = field(default_factory=list)
    tags: list[tuple[str, str, str]] = field(default_factory=list)
    datasets: list[tuple[str, str, str, str | None, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class Reader(Protocol):
    """One kind of tracking store. Whatever its client raises is raised as ``QualiaError``."""

    def experiments(self, *, deleted: bool) -> list[Experiment]:
        """All experiments, the one with the newest activity first."""

    def find(self, query: Query) -> list[RunInfo]:
        """The runs that match, all pages of them, in the order asked for (newest first)."""

    def count(self, experiment_ids: Sequence[str]) -> int:
        """How many active runs these experiments hold."""

    def load(self, query: Query) -> Columns:
        """The runs that match, with all that they logged but histories and artifacts."""

    def history(self, pairs: Mapping[str, Sequence[str]]) -> pd.DataFrame:
        """As ``model.Source.history``."""

    def artifacts(self, run_id: str) -> ArtifactList:
        """As ``model.Source.artifacts``."""

    def read_artifact(self, run_id: str, path: str, most_bytes: int) -> bytes:
        """As ``model.Source.read_artifact``."""
