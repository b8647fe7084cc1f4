"""From flags, or answers that became flags, to a selection: what the notebook is about."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from qualia_lab.cli import picking
from qualia_lab.cli.options import Which
from qualia_lab.directions import direction
from qualia_lab.errors import UsageError, known_list
from qualia_lab.files import require_free
from qualia_lab.manifest import Kind, Parameter
from qualia_lab.model import Answer, Selection
from qualia_lab.notebook import export, generator
from qualia_lab.notebook.findings import FAILING
from qualia_lab.prices import Prices
from qualia_lab.text import slug, visible

if TYPE_CHECKING:
    from qualia_lab.cli.console import Console
    from qualia_lab.cli.picking import Picked
    from qualia_lab.model import RunSet
    from qualia_lab.notebook.catalogue import Catalogue
    from qualia_lab.notebook.generator import PlannedSection

_LONG = 60
# Words about which runs, in a title.
_SHORT = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """The command line, as given or as answered.

    Attributes:
        says_kind: whether anything but the default names the kind.
        answers: to the questions of the kind, as text, by name; ``usual_answers`` are those of the
            configuration, which may be for other kinds.
        says_execute: whether anything but the default says whether to execute.
        trust: whether what templates of one's own wrote may be executed.
        exports: formats to write beside the notebook, with the inputs where ``code`` is True.
        fail_on: the level of a finding that makes the command fail; None for never.
        summary: where the findings are written as Markdown; None for nowhere.
    """

    which: Which = field(default_factory=Which)
    kind: str = "observation"
    says_kind: bool = False
    templates: tuple[Path, ...] = ()
    sections: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    answers: Mapping[str, str] = field(default_factory=dict)
    usual_answers: Mapping[str, str] = field(default_factory=dict)
    title: str | None = None
    folder: Path = Path("notebooks")
    output: Path | None = None
    overwrite: bool = False
    execute: bool = False
    says_execute: bool = False
    trust: bool = False
    exports: tuple[str, ...] = ()
    code: bool = True
    fail_on: str | None = None
    summary: Path | None = None
    open: bool = False
    dry_run: bool = False

    @property
    def is_said(self) -> bool:
        """Whether it is said which runs."""
        return bool(self.which.run or self.which.queries)

    @property
    def may_execute(self) -> bool:
        """Whether every line of the notebook is this project's own, or trusted."""
        return self.trust or not self.templates


def check(flags: Flags, catalogue: Catalogue) -> None:
    """Raise for what makes no sense, before any store is asked.

    Raises:
        UsageError: an unknown kind, section, answer or format, flags that contradict each other,
            a file of prices that makes no sense, or code of templates that are not trusted would
            be executed.
        NotFoundError: there is no such file.
        OutputError: the place to write to is taken.
        MissingPartError: there is no browser for a PDF.
    """
    kind = catalogue.kind(flags.kind)
    if flags.execute and not flags.may_execute:
        raise UsageError(
            f"what templates of your own write is code: {visible(str(flags.templates[0]), 200)}",
            hint="If you know them, add --trust. To look first, write the notebook: --no-execute",
        )
    given = typed(_given(flags, kind), kind)
    if given.get("prices"):
        Prices(str(given["prices"]))
    generator.chosen(kind, flags.sections, flags.also)
    picking.check(flags.which)
    export.require_able(flags.exports)
    if flags.fail_on is not None and flags.fail_on not in FAILING:
        raise UsageError(
            f"--fail-on {visible(flags.fail_on, 60)} is no level",
            hint=known_list(flags.fail_on, FAILING),
        )
    if flags.summary:
        export.require_room(flags.summary, "markdown", overwrite=flags.overwrite, flag="--summary")
    if flags.output:
        require_free(flags.output, overwrite=flags.overwrite)
        export.require_beside(flags.exports, flags.output, overwrite=flags.overwrite)


def said(flags: Flags, kind: Kind, out: Console) -> Picked:
    """The runs that the flags name.

    Raises:
        UsageError: they name none, and nobody can be asked.
    """
    if not flags.is_said:
        raise UsageError(
            "which runs is not said, and there is nobody to ask",
            hint="Add --all, --run ID, --since, --where, --filter or --best METRIC --top N"
            + ("" if flags.which.experiment else ", and --experiment NAME to choose among them."),
        )
    return picking.picked(flags.which, out, at_least=min(kind.min_runs, 1))


def selection(flags: Flags, kind: Kind, picked: Picked) -> Selection:
    """What the notebook is about, with defaults for what the flags leave open.

    Raises:
        UsageError: an answer to a question of the kind is no choice for these runs.
    """
    named = title(flags, kind, picked)
    by_query = bool(flags.which.queries)
    return Selection(
        tracking_uri=picked.tracking_uri,
        experiments=tuple(one.name for one in picked.experiments) if flags.which.experiment else (),
        run_ids=tuple(picked.runs.runs.index),
        query=picked.query if by_query else None,
        of_runs=picked.of_runs,
        kind=kind.name,
        sections=flags.sections,
        also=flags.also,
        parameters=answers(flags, kind, picked.runs),
        title=named,
        output=output(flags, named),
    )


def answers(flags: Flags, kind: Kind, runs: RunSet) -> dict[str, Answer]:
    """An answer to each question of the kind; runs chosen as the best are so by that metric."""
    given, best = typed(_given(flags, kind), kind), flags.which.query().best
    if best is None:
        return generator.answers(kind, given, runs)
    metric, way = best
    found = generator.answers(kind, given, runs, metric)
    unsaid = "direction" in found and "direction" not in given
    if unsaid and found.get("metric") == metric and direction(metric) != way:
        found["direction"] = way
    return found


def title(flags: Flags, kind: Kind, picked: Picked) -> str:
    """The heading: as given, else the kind, the experiments and how the runs were narrowed."""
    if flags.title is not None:
        return flags.title
    experiments = generator.experiment_names(picked.runs)
    names = ", ".join(visible(name, _LONG) for name in experiments[:3])
    more = f" and {len(experiments) - 3} more" if len(experiments) > 3 else ""
    about = "".join(f", {one}" for one in _narrowed(flags.which, picked.runs))
    return f"{kind.title}: {names}{more}{about}"


def output(flags: Flags, named: str) -> Path:
    """Where to write: as given, else a file of the title's name."""
    return flags.output or flags.folder / f"{slug(named)}.ipynb"


def typed(given: Mapping[str, str], kind: Kind) -> dict[str, Answer]:
    """Answers as the types that the kind's questions have.

    Raises:
        UsageError: one is not of that type, or answers what the kind does not ask.
    """
    generator.require_known(kind, given)
    known = {parameter.name: parameter for parameter in kind.parameters}
    return {name: _like(known[name], text) for name, text in given.items()}


def params(words: Sequence[str]) -> dict[str, str]:
    """``NAME=VALUE`` words by their names; of two for one name, the last."""
    found = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise UsageError(
                f"--param {visible(word, 60)} has no '='", hint="Write --param NAME=VALUE."
            )
        found[name] = text
    return found


def exports(flags: Flags, chosen: Selection) -> dict[str, Path]:
    """Where each format is written."""
    return {to: export.beside(chosen.output, to) for to in flags.exports}


def preview(
    plan: Sequence[PlannedSection], chosen: Selection, runs: RunSet, beside: Iterable[Path] = ()
) -> list[str]:
    """What would be written, a line each."""
    lines = [
        f"Would write {chosen.output}",
        *(f"        and {path}" for path in beside),
        f"  title  {chosen.title}",
        f"  server {chosen.tracking_uri}",
        f"  runs   {number_of(len(runs), chosen.of_runs)}",
    ]
    for planned in plan:
        note = f" × {len(planned.items)}" if len(planned.items) != 1 else ""
        note += f", {planned.left_out} more only counted" if planned.left_out else ""
        lacks = ", ".join(planned.lacks)
        note = f": says what is missing ({lacks})" if lacks else note
        lines.append(f"  - {planned.section.name}{note}")
    return lines


def number_of(count: int, of: int | None) -> str:
    """A count of runs, and of how many where that is known."""
    return f"{count:,}" if of is None else f"{count:,} of {of:,}"


def _given(flags: Flags, kind: Kind) -> dict[str, str]:
    # A configuration may hold answers for several kinds; a flag is meant for this one.
    asked = {one.name for one in kind.parameters}
    usual = {name: text for name, text in flags.usual_answers.items() if name in asked}
    return {**usual, **flags.answers}


def _narrowed(which: Which, runs: RunSet) -> list[str]:
    """How the runs were chosen, in words for a title: two choices shall not have one name."""
    if which.run:
        names = [visible(str(name), _SHORT) for name in runs.runs["name"]]
        return names if len(names) == 1 else [f"{len(names):,} chosen runs"]
    best = which.query().best
    found = []
    if best:
        found.append(f"best {which.top or ''} by {visible(best[0], _SHORT)}".replace("  ", " "))
    elif which.top:
        found.append(f"newest {which.top:,}")
    found += [status.lower() for status in which.status]
    for word, value in (("since", which.since), ("until", which.until), ("", which.name)):
        found += [] if value is None else [f"{word} {visible(value, _SHORT)}".strip()]
    for value in (which.where, which.filter_):
        found += [] if value is None else [f"where {visible(value, _SHORT)}"]
    return found + (["top level"] if which.parents_only else [])


def _like(parameter: Parameter, text: str) -> Answer:
    """The text as the type that the question's default has, within its bounds."""
    name = f"param {parameter.name}"
    default = 0 if parameter.number else parameter.default
    if isinstance(default, bool):
        if text.lower() not in ("true", "false"):
            raise UsageError(f"{name} is true or false, not {visible(text, 60)}")
        return text.lower() == "true"
    if isinstance(default, int | float):
        try:
            found = type(default)(text)
        except ValueError:
            raise UsageError(f"{name} is a number, not {visible(text, 60)}") from None
        _require_between(name, found, parameter.least, parameter.greatest)
        return found
    if parameter.numbers:
        for part in text.split(","):
            try:
                amount = float(part)
            except ValueError:
                amount = float("nan")
            if not 0 < amount < math.inf:
                raise UsageError(
                    f"{name}: {visible(part.strip(), 60)} is no number above 0",
                    hint="Write several with commas between: 10, 100, 1000",
                )
    return text


def _require_between(name: str, amount: float, least: float | None, greatest: float | None) -> None:
    if not math.isfinite(amount):
        raise UsageError(f"{name} is a finite number, not {amount}")
    if least is not None and amount < least:
        raise UsageError(f"{name} is {least:g} or more, not {amount:g}")
    if greatest is not None and amount > greatest:
        raise UsageError(f"{name} is {greatest:g} or less, not {amount:g}")
