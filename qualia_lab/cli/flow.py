"""The questions in their order: what no flag says is asked, and every answer becomes a flag.

So a notebook that was chosen at the prompt is made as one that a script asks for, and the command
that is printed at the end makes it again.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qualia_lab.cli import prompts, servers
from qualia_lab.cli.console import count_of
from qualia_lab.cli.lists import Back, Row
from qualia_lab.cli.tables import Column, age
from qualia_lab.errors import (
    NotAllowedError,
    NotFoundError,
    OutputError,
    QualiaError,
    ServerError,
    TooFewRunsError,
    UsageError,
)
from qualia_lab.files import require_free
from qualia_lab.manifest import FACTS
from qualia_lab.model import Query
from qualia_lab.notebook.export import require_beside
from qualia_lab.text import visible
from qualia_lab.tracking import uris

if TYPE_CHECKING:
    from qualia_lab.cli.choose import Flags
    from qualia_lab.cli.console import Console
    from qualia_lab.cli.options import Which
    from qualia_lab.cli.picking import Picked
    from qualia_lab.cli.which_runs import WhichRuns
    from qualia_lab.manifest import Kind, Parameter, Section
    from qualia_lab.model import Experiment, RunSet
    from qualia_lab.notebook.generator import NotebookGenerator
    from qualia_lab.tracking.explorer import ArtifactExplorer

_LONG = 60
_URI = 200
# So many runs are looked through for what a kind needs.
_LOOKED_AT = 100


def _warm() -> None:
    from qualia_lab.tracking import explorer

    explorer.prepare()


@dataclass(slots=True)
class _Server:
    """The tracking server that is open, with what was found on it."""

    explorer: ArtifactExplorer
    experiments: list[Experiment]
    counts: dict[str, int] | None
    looked_at: RunSet | None = None


class Interview:
    """Asks for what flags leave open.

    Args:
        flags: what was said already.
        generator: writes the notebook; its catalogue holds the kinds there are.
        out: where to say what is going on.
    """

    def __init__(self, flags: Flags, generator: NotebookGenerator, out: Console) -> None:
        self._given = flags
        self._flags = flags
        self._generator = generator
        self._catalogue = generator.catalogue
        self._out = out
        self._server: _Server | None = None
        self._chosen: list[Experiment] = []
        self._runs: WhichRuns | None = None
        self._picked: Picked | None = None
        # Now, since a password that is typed goes to the environment.
        self._default = uris.default()
        self._is_environs = bool(os.environ.get(uris.VARIABLE))
        self._offered: dict[str, str] = {}

    def answers(self) -> tuple[Flags, Picked]:
        """The flags with every answer in them, and the runs that they name.

        Raises:
            KeyboardInterrupt: the person left, or said no to what would be written.
            QualiaError: what the flags name is not there, or there is nothing to choose from.
        """
        # While the person reads the first question.
        threading.Thread(target=_warm, daemon=True).start()
        asked: list[int] = []
        place = 0
        while place < len(steps := self._steps()):
            try:
                if steps[place]():
                    asked.append(place)
                place += 1
            except Back:  # to the last that asked; at the first there is nothing to go back to
                place = asked.pop() if asked else 0
            except (ServerError, NotAllowedError) as error:
                if self._what_now(error):
                    asked, place = [], 0
        return self._flags, self._at_hand

    def _steps(self) -> list[Callable[[], bool]]:
        """What is asked, each of which says whether it did ask; those of the kind as it is now."""
        return [
            self._ask_server,
            self._ask_kind,
            self._ask_experiments,
            self._ask_runs,
            *(partial(self._ask_parameter, one) for one in self._kind.parameters if one.at_prompt),
            *(partial(self._ask_also, one) for one in self._kind.sections if one.optional),
            self._ask_title,
            self._ask_output,
            self._ask_what_next,
            self._ask_to_write,
        ]

    def _what_now(self, error: QualiaError) -> bool:
        """After a server failed: True to choose one anew, False to try again."""
        self._out.tell(error)
        rows = [Row(value=one, cells=(one,)) for one in ("Try again", "Leave")]
        if not self._given.which.tracking_uri:
            other = "Choose a server again"
            rows.insert(1, Row(value=other, cells=(other,)))
        try:
            said = prompts.one("What now?", rows, [Column()])
        except Back:
            said = "Leave"
        if said == "Leave":
            raise error
        return bool(said != "Try again")

    # The server.

    def _ask_server(self) -> bool:
        given = self._given.which.tracking_uri
        if given:
            if self._server is None:
                self._open(given)
            return False
        while True:
            uri = self._server_chosen()
            try:
                self._open(uri)
            except QualiaError as error:
                self._out.tell(error)
                continue
            return True

    def _server_chosen(self) -> str:
        rows = [
            Row(value=uri, cells=(_shown(uri), note), lacks=lacks)
            for uri, note, lacks in self._known_servers()
        ]
        other = "Another one"
        rows.append(Row(value="", cells=(other, "an address, or sqlite:///path")))
        chosen = prompts.one("Tracking server", rows, [Column(bends=12), Column()])
        return str(chosen) or prompts.line("Address:", "", _is_server, shown=_shown)

    def _known_servers(self) -> list[tuple[str, str, str]]:
        """Each server to offer: its URI, a note, and what keeps it from being chosen."""
        first, note, lacks = self._default, "MLflow's default here", ""
        if self._is_environs:
            note = f"from {uris.VARIABLE}"
        elif _is_gone(first):
            lacks = "no such store here"
        # Where it makes no sense, nothing that is remembered is the same.
        same = ""
        with contextlib.suppress(ValueError, OSError, UsageError):
            same = servers.absolute(uris.without_password(first))
        others = [uri for uri in servers.remembered() if uri != same]
        return [
            (first, note, lacks),
            *((uri, "used before", "gone" if _is_gone(uri) else "") for uri in others),
        ]

    def _open(self, uri: str) -> None:
        """Look at once what is there, and say it."""
        with self._out.waiting(f"Looking at {_shown(uri)}"):
            from qualia_lab.tracking.explorer import ArtifactExplorer

            explorer = ArtifactExplorer(uri)
            experiments = explorer.experiments()
            counts = explorer.counts()
            version = explorer.server_version
        if self._server and self._server.explorer.tracking_uri != explorer.tracking_uri:
            self._chosen = []
        # What was listed is as old as what it was read through.
        self._server, self._runs = _Server(explorer, experiments, counts), None
        total = None if counts is None else sum(counts.values())
        runs = "more than 1,000 runs" if total is None else count_of(total, "run")
        found = [
            count_of(len(experiments), "experiment"),
            runs,
            *([f"MLflow {version}"] if version else []),
        ]
        self._out.say(f"  {', '.join(found)}")
        servers.remember(explorer.tracking_uri)

    @property
    def _store(self) -> _Server:
        if self._server is None:
            raise AssertionError("a server comes first")
        return self._server

    # The kind of notebook.

    def _ask_kind(self) -> bool:
        kinds = self._kinds()
        # Without an experiment no kind has anything to be about.
        if self._given.says_kind or len(kinds) == 1 or not self._store.experiments:
            return False
        rows = [
            Row(
                value=kind,
                cells=(visible(kind.title, _LONG), visible(kind.summary, _URI)),
                lacks=self._lacks(kind),
            )
            for kind in kinds
        ]
        if all(row.lacks for row in rows):
            # Back, and to another server: what was chosen for the one before is no choice here.
            self._flags = replace(self._flags, kind=self._given.kind, says_kind=False)
            return False
        start = [kind.name for kind in kinds].index(self._flags.kind)
        columns = [Column(), Column(bends=12)]
        kind = prompts.one("What kind of notebook?", rows, columns, start=start)
        self._flags = replace(self._flags, kind=kind.name, says_kind=True)
        return True

    def _kinds(self) -> list[Kind]:
        """The kinds that the given flags make sense for, the usual one first."""
        names = sorted(self._catalogue.names(), key=lambda name: name != self._given.kind)
        return [kind for kind in map(self._catalogue.kind, names) if self._fits(kind)]

    def _fits(self, kind: Kind) -> bool:
        """Whether the kind has the sections and the questions that flags name."""
        from qualia_lab.cli.choose import typed
        from qualia_lab.notebook import generator

        try:
            typed(self._given.answers, kind)
            generator.chosen(kind, self._given.sections)
        except UsageError:
            return False
        return True

    def _lacks(self, kind: Kind) -> str:
        """What this server's runs lack for a kind; empty where nothing is known to be missing."""
        counts = self._store.counts
        total = _LOOKED_AT + 1 if counts is None else sum(counts.values())
        if total < kind.min_runs:
            return f"needs {count_of(kind.min_runs, 'run')}"
        about_runs = [section for section in kind.sections if not section.fixed]
        # Of more runs only reading them all would tell that none has it.
        if not about_runs or not 0 < total <= _LOOKED_AT:
            return ""
        lacking = [
            [need for need in section.needs if not FACTS[need].of_traces and not self._has(need)]
            for section in about_runs
        ]
        return FACTS[lacking[0][0]].missing.rstrip(".") if all(lacking) else ""

    def _has(self, fact: str) -> bool:
        """Whether the runs of the server have it, of which there are few."""
        if self._store.looked_at is None:
            with self._out.waiting("Looking at what the runs logged"):
                self._store.looked_at = self._store.explorer.load(Query())
        return self._store.looked_at.has(fact)

    @property
    def _kind(self) -> Kind:
        return self._catalogue.kind(self._flags.kind)

    @property
    def _needs_runs(self) -> bool:
        """Whether a notebook of this kind is about runs; else traces alone will do."""
        return self._kind.min_runs > 0

    # The experiments.

    def _ask_experiments(self) -> bool:
        from qualia_lab.cli import picking

        which, server = self._given.which, self._store
        if which.experiment or self._given.is_said:
            self._chosen = picking.experiments(server.explorer, which)
            return False
        if not server.experiments:
            raise NotFoundError(
                f"{visible(server.explorer.tracking_uri, _URI)} holds no experiment",
                hint="Seed sample runs: create-demo-runs",
            )
        if len(server.experiments) == 1:
            self._chosen = list(server.experiments)
            return False
        if self._needs_runs and server.counts is not None and not sum(server.counts.values()):
            raise picking.nothing(which, server.experiments, 0)
        rows = [self._experiment_row(one) for one in server.experiments]
        columns = [
            Column(title="name", bends=12),
            Column(title="runs", right=True),
            Column(title="last used", right=True),
        ]
        if server.counts is None:
            columns[1] = Column()
        # Chosen for a kind that needs no runs, one may lack them for the kind as it is now.
        free = {row.value for row in rows if not row.lacks}
        before = [one.experiment_id for one in self._chosen if one.experiment_id in free]
        ids = set(prompts.several("Experiments", rows, columns, chosen=before).values)
        self._chosen = [one for one in server.experiments if one.experiment_id in ids]
        return True

    def _experiment_row(self, experiment: Experiment) -> Row:
        counts, name = self._store.counts, visible(experiment.name, _LONG)
        count = None if counts is None else counts.get(experiment.experiment_id, 0)
        return Row(
            value=experiment.experiment_id,
            cells=(
                name,
                "" if count is None else f"{count:,}",
                _ago(experiment),
            ),
            lacks="no runs" if count == 0 and self._needs_runs else "",
        )

    # The runs.

    def _ask_runs(self) -> bool:
        from qualia_lab.cli.which_runs import WhichRuns

        explorer, given = self._store.explorer, self._given.which
        if self._given.is_said:
            self._pick(given)
            return False
        if self._runs is None or self._runs.experiments != self._chosen:
            self._runs = WhichRuns(explorer, self._chosen, given, self._out)
        if self._runs.is_only_one or (self._runs.is_empty and not self._needs_runs):
            self._pick(self._runs.all_that_match)
            return False
        while True:
            try:
                self._pick(self._runs.ask())
                return True
            except (UsageError, NotFoundError, TooFewRunsError) as error:
                if self._runs.is_empty:
                    raise
                self._out.tell(error)

    def _pick(self, which: Which) -> None:
        from qualia_lab.cli import picking
        from qualia_lab.notebook import generator

        picked = picking.load(
            self._store.explorer,
            which,
            self._chosen,
            self._out,
            at_least=min(self._kind.min_runs, 1),
        )
        generator.require_enough(self._kind, picked.runs)
        self._picked = picked
        # What was answered about other runs may be no answer about these.
        self._flags = replace(self._flags, which=which, answers=self._given.answers)

    @property
    def _at_hand(self) -> Picked:
        if self._picked is None:
            raise AssertionError("the runs come first")
        return self._picked

    # The kind's own questions.

    def _ask_parameter(self, parameter: Parameter) -> bool:
        from qualia_lab.cli.choose import answers
        from qualia_lab.notebook import generator

        if parameter.name in {*self._given.answers, *self._given.usual_answers}:
            return False
        runs = self._at_hand.runs
        default = answers(self._flags, self._kind, runs)[parameter.name]
        choices = generator.options(parameter.choices, runs)
        question, name = visible(parameter.ask, _URI), parameter.name
        if choices is None:
            before = "" if default is None else str(default)
            answer = prompts.line(f"{question}:", before, lambda text: self._is_like(name, text))
        elif len(choices) < 2:
            return False
        else:
            rows = [Row(value=one, cells=(visible(one, _LONG),)) for one in choices]
            start = choices.index(str(default)) if default in choices else 0
            answer = str(prompts.one(question, rows, [Column(bends=12)], start=start))
        self._flags = replace(self._flags, answers={**self._flags.answers, name: answer})
        return True

    def _is_like(self, name: str, text: str) -> bool | str:
        from qualia_lab.cli.choose import typed

        try:
            typed({name: text}, self._kind)
        except UsageError as error:
            return str(error)
        return True

    # Optional sections, where there is something for them.

    def _ask_also(self, section: Section) -> bool:
        from qualia_lab.tracking import uris

        given, runs = self._given, self._at_hand.runs
        # Only a database tells quickly what its traces hold.
        quick = uris.store_type(self._at_hand.tracking_uri) in ("sqlite", "database")
        if (
            given.also
            or given.sections
            or not all(
                (quick or not FACTS[need].of_traces) and runs.has(need) for need in section.needs
            )
        ):
            return False
        others = tuple(name for name in self._flags.also if name != section.name)
        about = section.name.replace("_", " ")
        wanted = prompts.yes(f"There is data for a section on {about}. Add it?")
        self._flags = replace(self._flags, also=(*others, section.name) if wanted else others)
        return True

    # What is written, and where.

    def _ask_title(self) -> bool:
        from qualia_lab.cli.choose import title

        if self._given.title is not None:
            return False
        default = title(replace(self._flags, title=None), self._kind, self._at_hand)
        before = self._again("Title:", default, self._flags.title)
        answer = prompts.line("Title:", default, offered=before)
        self._flags = replace(self._flags, title=answer)
        return True

    def _again(self, question: str, default: str, answer: str | None) -> str:
        """What to offer: the answer of before, unless it was given for something else."""
        before = self._offered.get(question)
        self._offered[question] = default
        return answer if answer and before == default else default

    def _ask_output(self) -> bool:
        from qualia_lab.cli.choose import output

        if self._given.output is not None:
            return False
        default = output(replace(self._flags, output=None), self._flags.title or "")
        if not self._flags.overwrite:
            default = free(default)
        before = None if self._flags.output is None else str(self._flags.output)
        offered = self._again("Output:", str(default), before)
        path = prompts.line("Output:", str(default), self._is_free, offered=offered)
        self._flags = replace(self._flags, output=Path(path))
        return True

    def _is_free(self, text: str) -> bool | str:
        try:
            require_free(Path(text), overwrite=self._flags.overwrite)
            require_beside(self._flags.exports, Path(text), overwrite=self._flags.overwrite)
        except OutputError as error:
            return str(error)
        return True

    def _ask_what_next(self) -> bool:
        given = self._given
        if given.dry_run or given.says_execute or given.open:
            return False
        export = "Execute it, and export it"
        ways = {
            "Write it": (False, False),
            "Write and execute it": (True, False),
            "Write, execute and open it": (True, True),
            export: (True, False),
            "Write and open it": (False, True),
        }
        untrusted = "" if given.may_execute else "code of templates: --trust"
        rows = [
            Row(value=way, cells=(way,), lacks=untrusted if executes else "")
            for way, (executes, _) in ways.items()
        ]
        while True:
            way = prompts.one("What next?", rows, [Column()])
            try:
                exports = self._export_to() if way == export else ()
            except Back:
                continue
            except OutputError as error:
                self._out.tell(error)
                continue
            execute, then_open = ways[way]
            self._flags = replace(self._flags, execute=execute, open=then_open, exports=exports)
            return True

    def _export_to(self) -> tuple[str, ...]:
        """The formats to export to.

        Raises:
            OutputError: something is in the way of one of them.
        """
        from qualia_lab.notebook.export_pdf import find

        told = {
            "html": ("HTML", "one file that opens anywhere"),
            "pdf": ("PDF", "that page on paper"),
            "markdown": ("Markdown", "text, with the pictures in a folder"),
        }
        rows = [
            Row(value=to, cells=cells, lacks="" if to != "pdf" or find() else "no browser here")
            for to, cells in told.items()
        ]
        formats = tuple(prompts.several("Export to", rows, [Column(), Column(bends=12)]).values)
        if self._flags.output is not None:
            require_beside(formats, self._flags.output, overwrite=self._flags.overwrite)
        return formats

    def _ask_to_write(self) -> bool:
        from qualia_lab.cli.choose import exports, preview, selection

        picked = self._at_hand
        if self._flags.dry_run:
            return False
        chosen = selection(self._flags, self._kind, picked)
        plan, beside = self._generator.plan(chosen, picked.runs), exports(self._flags, chosen)
        for told in preview(plan, chosen, picked.runs, beside.values()):
            self._out.say(told)
        then = ", then execute it" if self._flags.execute else ""
        then += " and export it" if beside else ""
        if not prompts.yes(f"Write {chosen.output}{then}?"):
            raise KeyboardInterrupt
        return True


def free(path: Path) -> Path:
    """The path, with a number where something of that name is there."""
    number, found = 2, path
    while os.path.lexists(found):
        found = path.with_stem(f"{path.stem}-{number}")
        number += 1
    return found


def _is_gone(uri: str) -> bool:
    """Whether it is a local store that is not there."""
    where = uris.store_type(uri)
    try:
        if where == "sqlite":
            return not uris.sqlite_path(uri).is_file()
        return where == "file" and not uris.folder_of_file_store(uri).is_dir()
    except (OSError, ValueError, UsageError):
        return True


def _is_server(text: str) -> bool | str:
    if not text:
        return "An address, or sqlite:///path."
    try:
        uris.require_local(uris.without_password(text))
    except QualiaError as error:
        return visible(f"{error}. {error.hint}", _URI)
    except (OSError, ValueError) as error:
        return visible(str(error), _URI)
    return True


def _shown(uri: str) -> str:
    """The URI on one line, without its password."""
    try:
        bare = uris.without_password(uri)
    except ValueError:  # no URI: a password may be anywhere before the last @
        bare = uri.rpartition("@")[2]
    return visible(bare, _URI)


def _ago(experiment: Experiment) -> str:
    found = age(experiment.updated, time.time())
    return f"{found} ago" if found not in ("", "now") else found
