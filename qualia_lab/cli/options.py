"""Flags that several commands share, each a record; ``takes`` gives them to a command's body."""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, get_type_hints

import typer

from qualia_lab.cli import completion, console
from qualia_lab.cli.config import ConfigOption, NoConfigOption, Settings, load
from qualia_lab.directions import direction
from qualia_lab.errors import UsageError, known_list
from qualia_lab.model import STATUSES, Query
from qualia_lab.moments import moment
from qualia_lab.text import visible
from qualia_lab.tracking import boundary


@dataclass(frozen=True, kw_only=True)
class Which:
    """Which runs, of which server."""

    tracking_uri: Annotated[
        str | None,
        typer.Option(
            metavar="URI", help="Default: MLFLOW_TRACKING_URI, then MLflow's own default."
        ),
    ] = None
    experiment: Annotated[
        list[str],
        typer.Option(metavar="NAME|ID", help="Repeatable.", autocompletion=completion.experiments),
    ] = field(default_factory=list)
    run: Annotated[
        list[str],
        typer.Option(
            metavar="ID",
            help="A run id or a prefix of it (4 or more); '-' reads ids from stdin. Repeatable.",
        ),
    ] = field(default_factory=list)
    all_runs: Annotated[bool, typer.Option("--all", help="All runs that match.")] = False
    since: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help="Started then or later: 7d, 12h, or a date in UTC."),
    ] = None
    until: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Started then or before; a date is whole.")
    ] = None
    status: Annotated[
        list[str],
        typer.Option(
            metavar="STATUS",
            help="FINISHED, FAILED, ... Repeatable.",
            autocompletion=completion.statuses,
        ),
    ] = field(default_factory=list)
    name: Annotated[
        str | None, typer.Option(metavar="GLOB", help="Run names that look so: 'ablation-*'.")
    ] = None
    where: Annotated[
        str | None,
        typer.Option(
            metavar="CONDITION",
            help="More than MLflow can say: 'params.lr > 0.01 or name.startswith(\"a\")'.",
        ),
    ] = None
    filter_: Annotated[
        str | None, typer.Option("--filter", metavar="FILTER", help="In MLflow's search grammar.")
    ] = None
    parents_only: Annotated[
        bool, typer.Option("--parents-only", help="Leave out runs nested in another.")
    ] = False
    children: Annotated[
        bool, typer.Option("--children", help="Add the runs nested in those chosen.")
    ] = False
    best: Annotated[
        str | None,
        typer.Option(
            metavar="METRIC[:min|max]",
            help="The best by its last value come first; those without it are left out.",
        ),
    ] = None
    top: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only the first N: newest, or best.")
    ] = None

    @property
    def queries(self) -> list[str]:
        """The flags given that choose runs by a query rather than one by one."""
        found = {
            "--all": self.all_runs,
            "--since": self.since is not None,
            "--until": self.until is not None,
            "--status": bool(self.status),
            "--name": self.name is not None,
            "--where": self.where is not None,
            "--filter": self.filter_ is not None,
            "--parents-only": self.parents_only,
            "--best": self.best is not None,
            "--top": self.top is not None,
        }
        return [flag for flag, given in found.items() if given]

    def query(self, experiment_ids: tuple[str, ...] = ()) -> Query:
        """The query that these flags ask for.

        Raises:
            UsageError: one makes no sense, or two contradict each other.
        """
        if self.run and self.queries:
            raise UsageError(f"--run goes without {self.queries[0]}")
        now = datetime.now(UTC)
        since = None if self.since is None else moment(self.since, now=now)
        until = None if self.until is None else moment(self.until, now=now, end=True)
        if since and since > now:
            raise UsageError(f"--since {visible(str(self.since), 60)} is in the future")
        if since and until and since > until:
            raise UsageError("--since is after --until; no run can be both")
        return Query(
            experiment_ids=experiment_ids,
            filter=self.filter_ or "",
            statuses=tuple(dict.fromkeys(_status(one) for one in self.status)),
            since=since,
            until=until,
            where=self.where or "",
            name=self.name or "",
            top_level=self.parents_only,
            best=None if self.best is None else _best(self.best),
            children=self.children,
            top=self.top,
        )

    def words(self) -> list[str]:
        """The flags that ask for the same runs by a query again."""
        found: list[str] = []
        for flag, value in (
            ("--since", self.since),
            ("--until", self.until),
            ("--name", self.name),
            ("--where", self.where),
            ("--filter", self.filter_),
            ("--best", self.best),
            ("--top", self.top),
        ):
            found += [] if value is None else [flag, str(value)]
        for status in self.status:
            found += ["--status", status]
        for flag, on in (("--all", self.all_runs), ("--parents-only", self.parents_only)):
            found += [flag] if on else []
        return found


@dataclass(frozen=True, kw_only=True)
class Configured:
    """Where the values come from that no flag gives."""

    config: ConfigOption = None
    no_config: NoConfigOption = False
    trust: Annotated[
        bool,
        typer.Option(
            "--trust",
            help="Take the server and templates that a project's config names, and execute what "
            "templates of one's own write.",
        ),
    ] = False

    def settings(self) -> Settings:
        """The configuration that is in force here."""
        return load(config=self.config, no_config=self.no_config)

    def which(self, which: Which, settings: Settings) -> Which:
        """The flags, with the server and experiments of the configuration where none is given.

        Raises:
            UsageError: a project's file names a server, credentials would go there, and it is not
                trusted.
        """
        settings.require_trust(self.trust, which.tracking_uri)
        return replace(
            which,
            tracking_uri=settings.value("tracking_uri", which.tracking_uri),
            # A run is named whatever experiment it is in.
            experiment=which.experiment
            if which.run
            else list(settings.value("experiment", which.experiment) or ()),
        )


@dataclass(frozen=True, kw_only=True)
class Talk:
    """How much is said, and whether there is somebody to ask."""

    no_input: Annotated[
        bool, typer.Option("--no-input", help="Ask nothing; take the defaults.")
    ] = False
    timeout: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            max=86_400,
            metavar="SECONDS",
            help="Wait so long for one answer of a server (30).",
        ),
    ] = None
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the result.")] = False
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show the traceback of an error.")
    ] = False

    def console(self, settings: Settings) -> console.Console:
        """Where to print. The time to wait goes into the environment, for a kernel to have too."""
        seconds = settings.value("timeout", self.timeout)
        if seconds is not None:
            os.environ[boundary.TIMEOUT_VARIABLE] = f"{seconds:g}"
        quiet = self.quiet or bool(settings.value("quiet"))
        return console.Console(quiet=quiet, verbose=self.verbose, as_json=self.as_json)


def takes(*records: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Let a command's body take each of these records where typer gives their flags one by one.

    The body's first parameters are the records, in this order; its others are its own flags, which
    --help shows behind those of the first record.
    """

    def wrap(body: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(body, eval_str=True).parameters.values())[len(records) :]
        first, *others = [
            [_parameter(record, one) for one in dataclasses.fields(record)] for record in records
        ]
        parameters = [*first, *own, *(flag for flags in others for flag in flags)]

        def command(**given: Any) -> None:
            made = [
                record(**{one.name: given.pop(one.name) for one in dataclasses.fields(record)})
                for record in records
            ]
            body(*made, **given)

        command.__name__, command.__doc__ = body.__name__, body.__doc__
        command.__annotations__ = {one.name: one.annotation for one in parameters}
        command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters]
        )
        return command

    return wrap


def _parameter(record: type, one: dataclasses.Field[Any]) -> inspect.Parameter:
    default = one.default
    if one.default_factory is not dataclasses.MISSING:
        default = one.default_factory()
    hint = get_type_hints(record, include_extras=True)[one.name]
    return inspect.Parameter(
        one.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint
    )


def _status(text: str) -> str:
    if text.upper() not in STATUSES:
        raise UsageError(
            f"no run status {visible(text, 60)}", hint=known_list(text.upper(), STATUSES)
        )
    return text.upper()


def _best(text: str) -> tuple[str, Literal["min", "max"]]:
    metric, _, end = text.rpartition(":")
    if metric and end in ("min", "max"):
        return metric, "min" if end == "min" else "max"
    found = direction(text)
    if not text or found is None:
        raise UsageError(
            f"--best {visible(text, 60)}: whether more of it is better is not known",
            hint=f"Write --best {visible(text, 60) or 'METRIC'}:max or :min.",
        )
    return text, found
