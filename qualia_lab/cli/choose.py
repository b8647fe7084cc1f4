"""What to write about: each question is answered by a flag, a default or a prompt, here."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from qualia_lab.errors import NotFoundError, UsageError
from qualia_lab.model import Answer, Experiment, Kind, Query, RunInfo, Selection
from qualia_lab.notebook import generator
from qualia_lab.notebook.write import require_free
from qualia_lab.text import slug, visible
from qualia_lab.tracking import uris
from qualia_lab.tracking.explorer import ArtifactExplorer

if TYPE_CHECKING:
    from qualia_lab.cli.console import Console
    from qualia_lab.model import RunSet
    from qualia_lab.notebook.catalogue import Catalogue

_FOLDER = Path("notebooks")
_MOST_ON_SCREEN = 1000
_SEED = "Choose another --experiment, or seed sample runs: create-demo-runs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """The command line, as given. ``ask`` says whether there is a person to ask."""

    tracking_uri: str | None = None
    experiments: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    all_runs: bool = False
    filter: str | None = None
    top: int | None = None
    kind: str = "observation"
    sections: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    title: str | None = None
    output: Path | None = None
    overwrite: bool = False
    execute: bool = False
    ask: bool = False
    dry_run: bool = False

    @property
    def by_query(self) -> bool:
        """Whether the flags say which runs by a query rather than one by one."""
        return self.all_runs or self.filter is not None or self.top is not None


class Chooser:
    """Makes a ``Selection`` of flags, defaults and answers.

    Args:
        flags: what was said already.
        catalogue: the kinds there are.
        out: where to say what is going on.
    """

    def __init__(self, flags: Flags, catalogue: Catalogue, out: Console) -> None:
        self._flags = flags
        self._kind: Kind = catalogue.kind(flags.kind)
        self._out = out
        self._params = _params(flags.params, self._kind)
        generator.chosen(self._kind, flags.sections)
        if flags.runs and flags.by_query:
            raise UsageError("--run goes with neither --all nor --filter nor --top")
        if flags.output:
            require_free(flags.output, overwrite=flags.overwrite)

    def selection(self) -> tuple[Selection, RunSet]:
        """The whole selection, with the runs that it names, loaded.

        Raises:
            UsageError: something is missing and nobody can be asked; its flag is named.
            NotFoundError: no experiment, run or store of that name.
        """
        flags = self._flags
        if not flags.ask and not flags.runs and not flags.by_query:
            raise UsageError(
                "which runs is not said, and there is nobody to ask",
                hint="Add --all, --run ID, --filter or --top N"
                + ("" if flags.experiments else ", and --experiment NAME to choose among them."),
            )
        explorer = ArtifactExplorer(self._server())
        with self._out.waiting(f"Looking at {explorer.tracking_uri}"):
            experiments = explorer.experiments()
        chosen = self._experiments(explorer, experiments)
        query, of_runs = self._query(explorer, chosen)
        with self._out.waiting("Loading the runs"):
            runs = explorer.load(query)
        if flags.by_query:
            of_runs = self._counted(explorer, chosen, len(runs))
        if not len(runs):
            raise NotFoundError(_nothing(flags, chosen, of_runs), hint=_SEED)
        if flags.runs:
            of_runs = explorer.count(tuple(dict.fromkeys(runs.runs["experiment_id"])))
        selection = Selection(
            tracking_uri=explorer.tracking_uri,
            experiments=tuple(one.name for one in chosen) if self._narrows else (),
            run_ids=tuple(runs.runs.index),
            query=query if flags.by_query else None,
            of_runs=of_runs,
            kind=self._kind.name,
            sections=flags.sections,
        )
        title = self._title(list(dict.fromkeys(runs.runs["experiment"])))
        return (
            replace(
                selection,
                parameters=generator.answers(self._kind, self._params, runs),
                title=title,
                output=self._output(title),
            ),
            runs,
        )

    def confirmed(self, selection: Selection, runs: RunSet) -> bool:
        """Whether the person says yes to what will be written."""
        from qualia_lab.cli import prompts

        count = "1 run" if len(runs) == 1 else f"{len(runs):,} runs"
        what = f"Write {selection.output}: {count}, kind {selection.kind}"
        return prompts.confirm(what + (", then execute it" if self._flags.execute else ""))

    @property
    def _narrows(self) -> bool:
        """Whether experiments are named or chosen; whole run ids need none."""
        return bool(self._flags.experiments) or (self._flags.ask and not self._flags.runs)

    def _server(self) -> str | None:
        if self._flags.tracking_uri or os.environ.get(uris.VARIABLE) or not self._flags.ask:
            return self._flags.tracking_uri
        from qualia_lab.cli import prompts

        return prompts.server(uris.default())

    def _experiments(
        self, explorer: ArtifactExplorer, active: Sequence[Experiment]
    ) -> list[Experiment]:
        if self._flags.experiments:
            named = [explorer.experiment(name) for name in self._flags.experiments]
            return list(dict.fromkeys(named))
        if not self._flags.ask or self._flags.runs:
            return list(active)
        if not active:
            raise NotFoundError(
                f"{visible(explorer.tracking_uri, 200)} holds no experiment",
                hint="Seed sample runs: create-demo-runs",
            )
        from qualia_lab.cli import prompts

        return prompts.experiments(active)

    def _query(
        self, explorer: ArtifactExplorer, chosen: Sequence[Experiment]
    ) -> tuple[Query, int | None]:
        """Which runs, and how many there are to choose from where that is known by now."""
        flags = self._flags
        ids = tuple(one.experiment_id for one in chosen)
        if flags.by_query:
            return Query(experiment_ids=ids, filter=flags.filter or "", top=flags.top), None
        if flags.runs:
            given = [one for word in flags.runs for one in (_stdin() if word == "-" else [word])]
            found = explorer.run_ids(given, ids if flags.experiments else ())
            if not found:
                raise NotFoundError("no run id on standard input", hint="One id a line is read.")
            of_runs = None
        else:
            with self._out.waiting("Listing runs"):
                listed = explorer.runs(Query(experiment_ids=ids, top=_MOST_ON_SCREEN))
                of_runs = self._counted(explorer, chosen, len(listed))
            found = [run.run_id for run in self._picked(listed, chosen, of_runs)]
        # Only whole ids by now, and no experiment has to be looked through for them.
        return Query(run_ids=tuple(found)), of_runs

    def _counted(
        self, explorer: ArtifactExplorer, chosen: Sequence[Experiment], seen: int
    ) -> int | None:
        """How many runs there are; those that were seen are all, unless something cut them."""
        limit = self._flags.top if self._flags.by_query else _MOST_ON_SCREEN
        if not self._flags.filter and (limit is None or seen < limit):
            return seen
        return explorer.count(tuple(one.experiment_id for one in chosen))

    def _picked(
        self, listed: Sequence[RunInfo], chosen: Sequence[Experiment], of_runs: int | None
    ) -> list[RunInfo]:
        from qualia_lab.cli import prompts

        if not listed:
            raise NotFoundError(_nothing(self._flags, chosen, of_runs), hint=_SEED)
        if of_runs is None or len(listed) < of_runs:
            of = "" if of_runs is None else f" of {of_runs:,}"
            self._out.say(
                f"The newest {len(listed):,}{of} runs are listed; --filter and --all reach more."
            )
        return prompts.runs(listed)

    def _title(self, experiments: Sequence[str]) -> str:
        names = ", ".join(visible(name, 60) for name in experiments[:3])
        more = f" and {len(experiments) - 3} more" if len(experiments) > 3 else ""
        default = f"{self._kind.title}: {names}{more}"
        if self._flags.title is not None or not self._flags.ask:
            return self._flags.title or default
        from qualia_lab.cli import prompts

        return prompts.title(default)

    def _output(self, title: str) -> Path:
        default = _FOLDER / f"{slug(title)}.ipynb"
        if self._flags.output is not None:
            return self._flags.output
        if not self._flags.ask:
            require_free(default, overwrite=self._flags.overwrite)
            return default
        from qualia_lab.cli import prompts

        return prompts.output(default, overwrite=self._flags.overwrite)


def _nothing(flags: Flags, chosen: Sequence[Experiment], of_runs: int | None) -> str:
    where = ", ".join(visible(one.name, 60) for one in chosen[:3]) or "this store"
    if not flags.filter:
        return f"no runs in {where}"
    return f"no run{'' if of_runs is None else f' of {of_runs:,}'} in {where} matches the filter"


def _params(given: Sequence[str], kind: Kind) -> dict[str, Answer]:
    known = {parameter.name: parameter for parameter in kind.parameters}
    found: dict[str, Answer] = {}
    for word in given:
        name, equals, text = word.partition("=")
        if not equals:
            raise UsageError(
                f"--param {visible(word, 60)} has no '='", hint="Write --param NAME=VALUE."
            )
        default = known[name].default if name in known else None
        found[name] = _like(default, text, name)
    generator.require_known(kind, found)
    return found


def _like(default: Answer, text: str, name: str) -> Answer:
    """The text as the type that the question's default has."""
    if isinstance(default, bool):
        if text.lower() not in ("true", "false"):
            raise UsageError(f"param {name} is true or false, not {visible(text, 60)}")
        return text.lower() == "true"
    if isinstance(default, int | float):
        try:
            return type(default)(text)
        except ValueError:
            raise UsageError(f"param {name} is a number, not {visible(text, 60)}") from None
    return text


def _stdin() -> list[str]:
    """Run ids from standard input: one a line; blank lines and what follows a # are skipped."""
    # None when it is closed; a spreadsheet's export begins with a byte order mark.
    lines = [line.lstrip("\ufeff").partition("#")[0].strip() for line in sys.stdin or ()]
    return [line for line in lines if line]
