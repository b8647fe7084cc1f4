"""What to write about: each question is answered by a flag, a default or a prompt, here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from qualia_lab.cli import picking
from qualia_lab.cli.options import Which
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

_MOST_ON_SCREEN = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """The command line, as given. ``ask`` says whether there is a person to ask."""

    which: Which = field(default_factory=Which)
    kind: str = "observation"
    says_kind: bool = False
    templates: tuple[Path, ...] = ()
    sections: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    configured_params: tuple[str, ...] = ()
    title: str | None = None
    folder: Path = Path("notebooks")
    output: Path | None = None
    overwrite: bool = False
    execute: bool = False
    open: bool = False
    ask: bool = False
    dry_run: bool = False

    @property
    def by_query(self) -> bool:
        """Whether the flags say which runs by a query rather than one by one."""
        return bool(self.which.queries)


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
        asked = {one.name for one in self._kind.parameters}
        # A configuration may hold answers for several kinds; a flag is meant for this one.
        usual = [one for one in flags.configured_params if one.partition("=")[0] in asked]
        self._params = _params((*usual, *flags.params), self._kind)
        generator.chosen(self._kind, flags.sections)
        picking.check(flags.which)
        if flags.output:
            require_free(flags.output, overwrite=flags.overwrite)

    def selection(self) -> tuple[Selection, RunSet]:
        """The whole selection, with the runs that it names, loaded.

        Raises:
            UsageError: something is missing and nobody can be asked; its flag is named.
            NotFoundError: no experiment, run or store of that name.
        """
        flags = self._flags
        which = flags.which
        if not flags.ask and not self._is_said:
            raise UsageError(
                "which runs is not said, and there is nobody to ask",
                hint="Add --all, --run ID, --since, --where, --filter or --best METRIC --top N"
                + ("" if which.experiment else ", and --experiment NAME to choose among them."),
            )
        explorer = ArtifactExplorer(self._server())
        with self._out.waiting(f"Looking at {explorer.tracking_uri}"):
            experiments = explorer.experiments()
        chosen = self._experiments(explorer, experiments)
        query, of_runs = self._query(explorer, chosen)
        with self._out.waiting("Loading the runs"):
            runs = explorer.load(query)
            if self._is_said:
                of_runs = picking.counted(explorer, which, chosen, runs)
        if not len(runs):
            raise picking.nothing(which, chosen, of_runs)
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
        which = self._flags.which
        return bool(which.experiment) or (self._flags.ask and not which.run)

    def _server(self) -> str | None:
        given = self._flags.which.tracking_uri
        if given or os.environ.get(uris.VARIABLE) or not self._flags.ask:
            return given
        from qualia_lab.cli import prompts

        return prompts.server(uris.default())

    @property
    def _is_said(self) -> bool:
        """Whether the flags say which runs."""
        return bool(self._flags.which.run) or self._flags.by_query

    def _experiments(
        self, explorer: ArtifactExplorer, active: Sequence[Experiment]
    ) -> list[Experiment]:
        which = self._flags.which
        if which.experiment or which.run or not self._flags.ask:
            return picking.experiments(explorer, which)
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
        if self._is_said:
            return picking.query(explorer, self._flags.which, chosen), None
        ids = tuple(one.experiment_id for one in chosen)
        with self._out.waiting("Listing runs"):
            listed = explorer.runs(Query(experiment_ids=ids, top=_MOST_ON_SCREEN))
            cut = len(listed) == _MOST_ON_SCREEN
            of_runs = explorer.count(ids) if cut else len(listed)
        found = [run.run_id for run in self._picked(listed, chosen, of_runs)]
        return Query(run_ids=tuple(found), children=self._flags.which.children), of_runs

    def _picked(
        self, listed: Sequence[RunInfo], chosen: Sequence[Experiment], of_runs: int | None
    ) -> list[RunInfo]:
        from qualia_lab.cli import prompts

        if not listed:
            raise picking.nothing(self._flags.which, chosen, of_runs)
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
        default = self._flags.folder / f"{slug(title)}.ipynb"
        if self._flags.output is not None:
            return self._flags.output
        if not self._flags.ask:
            require_free(default, overwrite=self._flags.overwrite)
            return default
        from qualia_lab.cli import prompts

        return prompts.output(default, overwrite=self._flags.overwrite)


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
