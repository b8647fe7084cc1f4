"""The runs that flags name, without asking anybody."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qualia_lab.errors import NotFoundError
from qualia_lab.model import Experiment, Query
from qualia_lab.text import visible
from qualia_lab.where import Where

if TYPE_CHECKING:
    from qualia_lab.cli.console import Console
    from qualia_lab.cli.options import Which
    from qualia_lab.model import RunSet
    from qualia_lab.tracking.explorer import ArtifactExplorer

SEED = "Choose another --experiment, or seed sample runs: create-demo-runs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picked:
    """The runs of some flags, loaded.

    ``tracking_uri`` holds no password; ``experiments`` are those that they were looked for in;
    ``of_runs`` is how many there were to choose from, None where the store can't tell.
    """

    tracking_uri: str
    experiments: tuple[Experiment, ...]
    query: Query
    runs: RunSet
    of_runs: int | None


def check(which: Which) -> None:
    """Raise ``UsageError`` for flags that make no sense, before anything is asked."""
    which.query()
    if which.where is not None:
        Where(which.where)


def experiments(explorer: ArtifactExplorer, which: Which) -> list[Experiment]:
    """The experiments named, each once; all active ones where none is."""
    if not which.experiment:
        return explorer.experiments()
    return list(dict.fromkeys(explorer.experiment(name) for name in which.experiment))


def picked(which: Which, out: Console, *, at_least: int = 1) -> Picked:
    """The runs of the flags.

    Raises:
        NotFoundError: there is none, and ``at_least`` is not 0.
    """
    from qualia_lab.tracking.explorer import ArtifactExplorer

    check(which)
    explorer = ArtifactExplorer(which.tracking_uri)
    with out.waiting(f"Looking at {explorer.tracking_uri}"):
        chosen = experiments(explorer, which)
    return load(explorer, which, chosen, out, at_least=at_least)


def load(
    explorer: ArtifactExplorer,
    which: Which,
    chosen: Sequence[Experiment],
    out: Console,
    *,
    at_least: int = 1,
) -> Picked:
    """The runs of the flags, among those of these experiments.

    Raises:
        NotFoundError: there is none. Where ``at_least`` is 0, traces alone will do.
    """
    with out.loading("Loading the runs") as progress:
        wanted = _query(explorer, which, chosen)
        runs = explorer.load(wanted, progress)
        of_runs = _counted(explorer, which, chosen, runs)
    if not len(runs) and at_least:
        raise nothing(which, chosen, of_runs)
    return Picked(
        tracking_uri=explorer.tracking_uri,
        experiments=tuple(chosen),
        query=wanted,
        runs=runs,
        of_runs=of_runs,
    )


def reference(experiment: Experiment) -> str:
    """What names the experiment in a flag: its id where a terminal would not show its name."""
    name = experiment.name
    return name if name and visible(name) == name else experiment.experiment_id


def nothing(which: Which, chosen: Sequence[Experiment], of_runs: int | None) -> NotFoundError:
    """The error where no run is left."""
    where = ", ".join(visible(one.name, 60) for one in chosen[:3]) or "this store"
    narrowed = [flag for flag in which.queries if flag not in ("--all", "--top", "--best")]
    if not narrowed or of_runs == 0:
        return NotFoundError(f"no runs in {where}", hint=SEED)
    of = "" if of_runs is None else f" of {of_runs:,}"
    return NotFoundError(
        f"no run{of} in {where} matches {' and '.join(narrowed)}",
        hint="See what there is: qualia-lab runs",
    )


def _query(explorer: ArtifactExplorer, which: Which, chosen: Sequence[Experiment]) -> Query:
    """The query of the flags: runs named one by one, or those that match."""
    ids = tuple(one.experiment_id for one in chosen)
    if not which.run:
        return which.query(ids)
    given = [one for word in which.run for one in (_stdin() if word == "-" else [word])]
    found = explorer.run_ids(given, ids if which.experiment else ())
    if not found:
        raise NotFoundError("no run id on standard input", hint="One id a line is read.")
    # Only whole ids by now, and no experiment has to be looked through for them.
    return Query(run_ids=tuple(found), children=which.children)


def _counted(
    explorer: ArtifactExplorer, which: Which, chosen: Sequence[Experiment], runs: RunSet
) -> int | None:
    """How many runs there are to choose from; those that were read are all if nothing cut them."""
    if which.run:
        return _of(explorer, runs.runs["experiment_id"].tolist())
    narrows = set(which.queries) - {"--all", "--top"}
    if not narrows and (which.top is None or len(runs) < which.top):
        return len(runs)
    return _of(explorer, [one.experiment_id for one in chosen])


def _of(explorer: ArtifactExplorer, experiment_ids: Sequence[str]) -> int | None:
    return explorer.count(Query(experiment_ids=tuple(dict.fromkeys(experiment_ids))))


def _stdin() -> list[str]:
    """Run ids from standard input: one a line; blank lines and what follows a # are skipped."""
    # None when it is closed; a spreadsheet's export begins with a byte order mark.
    lines = [line.lstrip("\ufeff").partition("#")[0].strip() for line in sys.stdin or ()]
    return [line for line in lines if line]
