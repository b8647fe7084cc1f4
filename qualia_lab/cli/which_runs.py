"""Which runs: all that match, the best by a metric, or picked by hand, after narrowing them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qualia_lab.cli import picking, prompts
from qualia_lab.cli.console import count_of, glyphs
from qualia_lab.cli.listing import infos, metric_counts, run_rows
from qualia_lab.cli.lists import Back, Row
from qualia_lab.cli.options import Which
from qualia_lab.cli.tables import Column
from qualia_lab.directions import direction, ranked
from qualia_lab.errors import NotFoundError, QualiaError, UsageError
from qualia_lab.text import visible
from qualia_lab.tracking import selecting

if TYPE_CHECKING:
    from qualia_lab.cli.console import Console
    from qualia_lab.model import Experiment, Query, RunInfo, RunSet
    from qualia_lab.tracking.explorer import ArtifactExplorer

MOST_ON_SCREEN = 1000
_LONG = 60
_MESSAGE = 200
_DIGITS = 9
# What runs can be narrowed by: the flag's field, what it is called, an example.
_NARROWING = (
    ("since", "Started since", "7d, 12h, or a date in UTC"),
    ("until", "Started until", "the same; a date is whole"),
    ("status", "Status", "FINISHED, FAILED, RUNNING, ..."),
    ("name", "Name", "a pattern: ablation-*"),
    ("where", "Condition", 'params.lr > 0.01 or name.startswith("a")'),
    ("filter_", "MLflow filter", "metrics.val_loss < 0.3 and tags.team = 'a'"),
)
_TOP_LEVEL = "parents_only"


class WhichRuns:
    """Asks which runs of some experiments.

    Args:
        explorer: of the server.
        experiments: the chosen ones.
        given: the flags that were given: the server, and whether nested runs are added.
        out: where to say what is going on.
    """

    def __init__(
        self,
        explorer: ArtifactExplorer,
        experiments: Sequence[Experiment],
        given: Which,
        out: Console,
    ) -> None:
        self.experiments = list(experiments)
        self._explorer = explorer
        self._out = out
        self._base = Which(tracking_uri=given.tracking_uri, children=given.children)
        self._narrowed = self._base
        self._listings: dict[tuple[str, ...], tuple[Sequence[RunInfo], int | None]] = {}
        self._picked: list[RunInfo] = []

    @property
    def is_only_one(self) -> bool:
        """Whether there is but one run, which needs no question."""
        return self._listed()[1] == 1 and not self._narrowed.queries

    @property
    def is_empty(self) -> bool:
        """Whether there is no run at all, so that asking again is no use."""
        return not self._narrowed.queries and not self._listed()[0]

    @property
    def all_that_match(self) -> Which:
        """The flags for all runs that the narrowing leaves."""
        return replace(self._within, all_runs=not self._narrowed.queries)

    def ask(self) -> Which:
        """The flags for the runs that the person chooses.

        Raises:
            Back: they want the question before.
            NotFoundError: there is no run at all.
        """
        while True:
            try:
                found = self._ask_once()
            except (UsageError, NotFoundError) as error:
                if not self._narrowed.queries:
                    raise
                self._out.tell(error)
                continue
            if found is not None:
                prompts.told("Runs", self._words(found))
                return found

    def _ask_once(self) -> Which | None:
        """As ``ask``; None when it has to be asked again."""
        listed, matching = self._listed()
        told = " ".join(self._narrowed.words())
        if not listed and not told:
            raise picking.nothing(self._base, self.experiments, 0)
        number = _number(matching)
        ways: list[tuple[str, str, Callable[[], Which | None]]] = []
        if listed:
            newest = f"the newest {len(listed):,} of {number}" if len(listed) != matching else ""
            ways += [
                ("Pick by hand", newest or f"{number} to choose from", self._by_hand),
                ("All that match" if told else "All runs", number, lambda: self.all_that_match),
                ("The best by a metric", "and how many of them", self._best),
            ]
        ways.append(("Refine", "by time, status, name or a condition", self._refine))
        if told:
            ways.append(("Show all again", f"without {visible(told, _LONG)}", self._clear))
        ways.append(("Back", "", self._back))
        rows = [Row(value=act, cells=(name, note)) for name, note, act in ways]
        question = "Which runs?"
        if told:
            question += f" {number} match {visible(told, _LONG)}"
        act = prompts.one(question, rows, [Column(), Column(bends=12)], keeps=False)
        if act == self._back:
            raise Back
        try:
            found: Which | None = act()
        except Back:
            return None
        return found

    def _back(self) -> None:
        raise Back

    def _words(self, found: Which) -> str:
        """What was chosen, in words."""
        matching = self._listed()[1]
        number = _number(matching)
        if found.run:
            return f"{len(found.run):,} of {number}"
        top = found.top if matching is None else min(found.top or 0, matching)
        first = f"the best {top:,} by {found.best} of " if found.best else "all "
        told = " ".join(self._narrowed.words())
        return visible(f"{first}{number}" + (f" that match {told}" if told else ""), _MESSAGE)

    @property
    def _within(self) -> Which:
        return replace(
            self._narrowed, experiment=[picking.reference(one) for one in self.experiments]
        )

    def _listed(self, order: str = "") -> tuple[Sequence[RunInfo], int | None]:
        """The first runs that match, and how many do; None where the store can't tell."""
        # Not by the query: in that, 7d is another moment each time.
        key = (order, *self._narrowed.words())
        if key not in self._listings:
            ids = tuple(one.experiment_id for one in self.experiments)
            query = replace(
                self._narrowed.query(ids), order_by=(order,) if order else (), children=False
            )
            with self._out.waiting("Listing runs"):
                self._listings[key] = self._ask_store(query)
        return self._listings[key]

    def _ask_store(self, query: Query) -> tuple[Sequence[RunInfo], int | None]:
        explorer = self._explorer
        if not selecting.is_plain(query):
            runs: RunSet = explorer.load(query)
            return infos(runs, MOST_ON_SCREEN), len(runs)
        found = explorer.runs(replace(query, top=MOST_ON_SCREEN))
        is_whole = len(found) < MOST_ON_SCREEN
        return found, len(found) if is_whole else explorer.count(query)

    def _by_hand(self) -> Which:
        order, metric = "", ""
        while True:
            listed, matching = self._listed(order)
            columns, rows = run_rows(_with(listed, self._picked), glyphs(sys.stderr), metric=metric)
            number = _number(matching)
            first = "newest first" if not metric else f"best {visible(metric, 30)} first"
            of = f"{len(listed):,} of {number}" if len(listed) != matching else number
            pressed = prompts.several(
                f"Runs ({of}, {first})",
                rows,
                columns,
                chosen=[run.run_id for run in self._picked],
                others=[("tab", "sort")],
                keeps=False,
            )
            of_id = {run.run_id: run for run in (*self._picked, *listed)}
            self._picked = [of_id[one] for one in pressed.values]
            if pressed.key == "enter":
                return replace(self._base, run=list(pressed.values))
            with suppress(Back):
                metric, end = self._sorting(listed)
                order = selecting.by_metric(metric, end) if metric else ""

    def _sorting(self, listed: Sequence[RunInfo]) -> tuple[str, str]:
        """A metric to sort by and its better end; nothing for the newest first."""
        while True:
            metric = self._metric("Sort by", listed, newest=True)
            with suppress(Back):
                return metric, self._end(metric) if metric else ""

    def _metric(self, question: str, listed: Sequence[RunInfo], *, newest: bool = False) -> str:
        counts = metric_counts(listed)
        rows = [
            Row(
                value=name,
                cells=(visible(name, _LONG), count_of(counts[name], "run")),
            )
            for name in ranked(counts)
        ]
        if newest:
            rows.insert(0, Row(value="", cells=("start", "newest first")))
        if not rows:
            raise NotFoundError("none of these runs logged a metric")
        columns = [Column(bends=12), Column(right=True)]
        return str(prompts.one(question, rows, columns, keeps=False))

    def _end(self, metric: str) -> str:
        """Which end of a metric is better: as its name says, else as the person does."""
        known = direction(metric)
        if known:
            return known
        rows = [
            Row(value="min", cells=("The lower the better",), label="lower is better"),
            Row(value="max", cells=("The higher the better",), label="higher is better"),
        ]
        return str(prompts.one(visible(metric, _LONG), rows, [Column()]))

    def _best(self) -> Which:
        while True:
            metric = self._metric("Best by", self._listed()[0])
            with suppress(Back):
                return self._best_by(metric)

    def _best_by(self, metric: str) -> Which:
        known = direction(metric)
        while True:
            end = known or self._end(metric)
            try:
                top = prompts.line("How many:", "10", _is_count)
            except Back:
                if known:
                    raise
            else:
                return replace(self._within, best=f"{metric}:{end}", top=int(top))

    def _refine(self) -> None:
        is_done = False
        while not is_done:
            rows = [
                Row(value=field, cells=(name, self._shown(field) or example))
                for field, name, example in _NARROWING
            ]
            only = "yes" if self._narrowed.parents_only else "leave out runs nested in another"
            rows.append(Row(value=_TOP_LEVEL, cells=("Top level only", only)))
            columns = [Column(), Column(bends=12)]
            field = prompts.one("Refine by", rows, columns, keeps=False)
            with suppress(Back):
                is_done = self._refine_by(field)

    def _refine_by(self, field: str) -> bool:
        if field == _TOP_LEVEL:
            return self._try(replace(self._narrowed, parents_only=not self._narrowed.parents_only))
        name = next(name for one, name, _ in _NARROWING if one == field)
        text, is_sound = self._shown(field), False
        while not is_sound:
            text = prompts.line(
                f"{name}:", text, lambda text: self._is_sound(field, text), may_be_empty=True
            )
            is_sound = self._try(self._with(field, text))
        return True

    def _shown(self, field: str) -> str:
        value = getattr(self._narrowed, field) or ""
        return " ".join(value) if isinstance(value, list) else str(value)

    def _with(self, field: str, text: str) -> Which:
        value: Any = text.replace(",", " ").split() if field == "status" else text or None
        return replace(self._narrowed, **{field: value})

    def _is_sound(self, field: str, text: str) -> bool | str:
        try:
            picking.check(self._with(field, text))
        except QualiaError as error:
            # The other lines point at a place, which takes a line of its own.
            told = (str(error).partition("\n")[0], error.hint.partition("\n")[0])
            return visible(". ".join(filter(None, told)), _MESSAGE)
        return True

    def _try(self, narrowed: Which) -> bool:
        """Narrow so, unless the store can't make sense of it."""
        before, self._narrowed = self._narrowed, narrowed
        try:
            self._listed()
        except BaseException as error:
            self._narrowed = before
            if not isinstance(error, (UsageError, NotFoundError)):
                raise
            self._out.tell(error)
            return False
        self._picked = []
        return True

    def _clear(self) -> None:
        self._narrowed, self._picked = self._base, []


def _with(listed: Sequence[RunInfo], picked: Sequence[RunInfo]) -> list[RunInfo]:
    """The runs of a list, and behind them those picked in another order that are not in it."""
    here = {run.run_id for run in listed}
    return [*listed, *(run for run in picked if run.run_id not in here)]


def _number(matching: int | None) -> str:
    return "more than 1,000" if matching is None else f"{matching:,}"


def _is_count(text: str) -> bool | str:
    is_number = text.isdecimal() and len(text) <= _DIGITS
    return (is_number and int(text) > 0) or "A number from 1."
