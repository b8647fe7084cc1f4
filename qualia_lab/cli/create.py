"""``create-observation-notebook``: choose runs, write a notebook, and run it when asked to."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated

import typer

from qualia_lab.cli import completion, console
from qualia_lab.cli.options import Configured, Talk, Which, takes
from qualia_lab.errors import MissingPartError, UsageError
from qualia_lab.text import visible

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from qualia_lab.cli.choose import Flags
    from qualia_lab.cli.config import Settings
    from qualia_lab.model import RunSet, Selection
    from qualia_lab.notebook.execute import CellFailure
    from qualia_lab.notebook.generator import NotebookGenerator

EPILOG = """Examples:

\b
create-observation-notebook
create-observation-notebook --experiment qualia-demo --all --execute
create-observation-notebook --experiment churn --all --export html --export pdf --no-code
create-observation-notebook --experiment churn --since 7d --best val_loss --top 10
create-observation-notebook --experiment assistant --all --with cost --with drift
create-observation-notebook --experiment assistant --all --kind cost --prices prices.toml
create-observation-notebook --experiment churn --all --fail-on warning --summary summary.md --json
create-observation-notebook --where 'params.lr > 0.01 and not name.startswith("debug")'
create-observation-notebook --experiment churn --filter "metrics.val_loss < 0.3" --top 10
create-observation-notebook --run 3f2a91bc --run 77d0e1f4 -o notebooks/two.ipynb
cut -d, -f1 chosen.csv | create-observation-notebook --run -

Exit codes: 0 done, 1 a bug, 2 usage, 3 a missing part, 4 server unreachable, 5 not allowed,
6 nothing found, 7 output exists, 8 the notebook ran with errors (it is saved), 9 a finding reached
--fail-on (it is saved), 130 stopped, 143 terminated.
"""


@takes(Which, Configured, Talk)
def create(
    which: Which,
    configured: Configured,
    talk: Talk,
    *,
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The kind of notebook; observation by default.",
            autocompletion=completion.kinds,
        ),
    ] = None,
    templates: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", exists=True, file_okay=False, help="Kinds and sections of your own."
        ),
    ] = None,
    section: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Only these sections, with those they build on. Repeatable.",
            autocompletion=completion.sections,
        ),
    ] = None,
    with_: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="NAME",
            help="This optional section too; observation has cost and drift. Repeatable.",
            autocompletion=completion.sections,
        ),
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="An answer to a question of the kind. Repeatable."),
    ] = None,
    prices: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            dir_okay=False,
            help="A prices.toml, for kinds that ask for prices: --param prices=FILE.",
        ),
    ] = None,
    title: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The notebook's heading.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="PATH", help="Default: notebooks/<slug of the title>.ipynb."
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace it; an edited one is kept as .bak.")
    ] = False,
    execute: Annotated[
        bool | None,
        typer.Option(
            "--execute/--no-execute", help="Run it in a fresh kernel and keep the outputs."
        ),
    ] = None,
    export: Annotated[
        list[str] | None,
        typer.Option(
            metavar="html|pdf|markdown",
            help="Execute it, and write it beside in this format too. Repeatable.",
        ),
    ] = None,
    no_code: Annotated[
        bool, typer.Option("--no-code", help="Leave the inputs out of what --export writes.")
    ] = False,
    fail_on: Annotated[
        str | None,
        typer.Option(
            metavar="warning|alarm",
            help="Execute it, and exit 9 when a finding is of that level or above.",
        ),
    ] = None,
    summary: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            dir_okay=False,
            help="Execute it, and write the findings there, as Markdown for a pull request.",
        ),
    ] = None,
    open_: Annotated[
        bool | None,
        typer.Option("--open/--no-open", help="Open it in JupyterLab, or else in VS Code."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be written, and stop.")
    ] = False,
) -> None:
    """Write a Jupyter notebook about MLflow runs: overview, each run, comparison.

    What no flag says is asked at a terminal; with --no-input, in a pipe or with CI set, the
    defaults are taken and what has none is named.
    """
    from qualia_lab.cli import choose

    settings = configured.settings()
    out = talk.console(settings)
    ask = console.may_ask(talk.no_input)
    exports = _exports(export, execute, settings)
    wants_outputs = bool(exports) or _judged(fail_on, summary, execute)
    if no_code and not exports and not ask:
        raise UsageError("--no-code is about exports, and there is none", hint="Add --export html.")
    of_server = _trusting(configured, settings.doubt(which.tracking_uri)) if ask else configured
    flags = choose.Flags(
        which=of_server.which(which, settings),
        kind=settings.value("kind", kind),
        says_kind=kind is not None or settings.layer("kind") != "default",
        templates=_templates(templates, configured, settings),
        sections=tuple(section or ()),
        also=tuple(with_ or ()),
        answers=choose.params([*(param or ()), *([f"prices={prices}"] if prices else ())]),
        usual_answers=choose.params(_usual_answers(configured, settings)),
        title=title,
        folder=settings.value("output_folder"),
        output=output,
        overwrite=overwrite,
        execute=bool(wants_outputs or settings.value("execute", execute)),
        says_execute=wants_outputs or execute is not None or settings.layer("execute") != "default",
        trust=configured.trust or (templates is None and settings.layer("templates") == "user"),
        exports=exports,
        code=not no_code,
        fail_on=fail_on,
        summary=summary,
        open=bool(settings.value("open", open_)) and not dry_run,
        dry_run=dry_run,
    )
    if not ask:
        _create(flags, out)
        return
    from qualia_lab.cli import prompts

    with prompts.on_stderr():
        _create(flags, out, ask=True)


def _trusting(configured: Configured, doubt: str) -> Configured:
    """The same, trusting the project's file where there is a doubt and the person says so."""
    if configured.trust or not doubt:
        return configured
    from qualia_lab.cli import prompts
    from qualia_lab.cli.lists import Back

    console.print_to(sys.stderr, doubt)
    with prompts.on_stderr():
        try:
            trust = prompts.yes("Ask this server all the same?", default=False)
        except Back:
            trust = False
    return replace(configured, trust=trust)


def _exports(given: list[str] | None, execute: bool | None, settings: Settings) -> tuple[str, ...]:
    """The formats to export to. What is not executed is not exported, whatever is configured.

    Raises:
        UsageError: --export and --no-execute.
    """
    if execute is False:
        if given:
            raise UsageError("--export goes without --no-execute: it shows what a run gave")
        return ()
    return tuple(dict.fromkeys(settings.value("export", given)))


def _judged(fail_on: str | None, summary: Path | None, execute: bool | None) -> bool:
    """Whether findings are asked for that only an executed notebook has.

    Raises:
        UsageError: they are, and --no-execute.
    """
    given = {"--fail-on": fail_on is not None, "--summary": summary is not None}
    asked = [flag for flag, here in given.items() if here]
    if asked and execute is False:
        raise UsageError(f"{asked[0]} goes without --no-execute: it is about what a run gave")
    return bool(asked)


def _templates(given: Path | None, configured: Configured, settings: Settings) -> tuple[Path, ...]:
    """The folder of templates of one's own, which whoever wrote it can put code in."""
    folder = settings.value("templates", given)
    is_projects = given is None and folder and settings.layer("templates") == "project"
    if is_projects and not configured.trust:
        raise UsageError(
            f"{settings.origin('templates')} names templates of the project's own: "
            f"{visible(str(folder), 200)}",
            hint="What they write is code. If you know them, add --trust.",
        )
    return (Path(folder),) if folder else ()


def _usual_answers(configured: Configured, settings: Settings) -> tuple[str, ...]:
    """The answers that are configured. A project's file writes nothing outside of the notebook's
    folder: whoever wrote it would choose which of this person's files to replace."""
    name = "summary_path"
    path = PurePath(str(settings.value("param").get(name, "")))
    is_projects = settings.layer("param", name) == "project"
    if is_projects and not configured.trust and (path.anchor or ".." in path.parts):
        raise UsageError(
            f"{settings.origin('param', name)} writes outside of the notebook's folder: "
            f"{visible(str(path), 200)}",
            hint="If you know the file that says so, add --trust.",
        )
    return settings.params()


def _create(flags: Flags, out: console.Console, *, ask: bool = False) -> None:
    from qualia_lab.cli import again, choose, outcome
    from qualia_lab.files import require_free
    from qualia_lab.notebook.catalogue import Catalogue
    from qualia_lab.notebook.export import require_beside
    from qualia_lab.notebook.findings import reached as reached_level
    from qualia_lab.notebook.generator import NotebookGenerator
    from qualia_lab.notebook.write import write_notebook

    generator = NotebookGenerator(Catalogue(flags.templates))
    choose.check(flags, generator.catalogue)
    if ask:
        from qualia_lab.cli.flow import Interview

        flags, picked = Interview(flags, generator, out).answers()
    else:
        picked = choose.said(flags, generator.catalogue.kind(flags.kind), out)
    kind = generator.catalogue.kind(flags.kind)
    selection, runs = choose.selection(flags, kind, picked), picked.runs
    if flags.dry_run:
        _show_plan(generator, selection, runs, flags, out)
        return
    require_free(selection.output, overwrite=flags.overwrite)
    require_beside(flags.exports, selection.output, overwrite=flags.overwrite)
    for line in (*_gone(runs), *runs.coverage.warnings):
        out.warn(line)
    notebook = generator.generate(selection, runs)
    backup = write_notebook(notebook, selection.output, overwrite=flags.overwrite)
    if backup:
        out.say(f"The notebook had been edited; it is kept as {backup}")
    failure = _execute(notebook, selection, out) if flags.execute else None
    exports = [str(path) for path in _export(notebook, selection, flags, out)]
    wanted = out.as_json or flags.fail_on or flags.summary
    found = outcome.findings(notebook, selection, runs) if wanted else []
    reached = reached_level(found, flags.fail_on) if flags.fail_on else []
    if flags.summary:
        outcome.sum_up(notebook, flags.summary, found, overwrite=flags.overwrite)
    record = {
        "path": str(selection.output),
        "exports": exports,
        "kind": selection.kind,
        "title": selection.title,
        "runs": len(runs),
        "of_runs": selection.of_runs,
        "coverage": {
            "loaded": runs.coverage.runs,
            "of": runs.coverage.of_runs,
            "missing": list(runs.coverage.missing),
        },
        "warnings": list(runs.coverage.warnings),
        "findings": found,
        "fail_on": flags.fail_on,
        "reached": len(reached),
        "summary": str(flags.summary) if flags.summary else None,
        "cells": len(notebook.cells),
        "executed": flags.execute and failure is None,
        "failed_cell": None if failure is None else failure.heading,
        "command": again.command(flags, kind, selection, picked.experiments),
    }
    out.result("\n".join([str(selection.output), *exports]), record)
    install = "" if find_spec("jupyterlab") else "   (first: pip install jupyterlab)"
    out.say(f"Open it:    jupyter lab {shlex.quote(str(selection.output))}{install}")
    out.say(f"Same again: {record['command']}")
    if flags.open:
        _open(selection.output)
    outcome.judge(selection.output, failure, reached, flags.fail_on)


def _execute(
    notebook: NotebookNode, selection: Selection, out: console.Console
) -> CellFailure | None:
    from qualia_lab.notebook.execute import execute
    from qualia_lab.notebook.write import write_notebook

    folder = selection.output.absolute().parent
    with out.progress("Executing") as advance:
        try:
            failure = execute(
                notebook, folder, lambda number, of, heading: advance(number - 1, of, heading)
            )
        except BaseException:
            out.say(f"{selection.output} is written, but not executed.")
            raise
    write_notebook(notebook, selection.output, overwrite=True)
    return failure


def _export(
    notebook: NotebookNode, selection: Selection, flags: Flags, out: console.Console
) -> list[Path]:
    """Write what was executed, even when a cell failed, in the other formats that are asked for."""
    from qualia_lab.cli import choose
    from qualia_lab.notebook.export import export

    paths = choose.exports(flags, selection)
    for to, path in paths.items():
        try:
            with out.waiting(f"Writing {path}"):
                export(notebook, to, path, code=flags.code, overwrite=flags.overwrite)
        except BaseException:
            out.say(f"{selection.output} is written, but not {path}.")
            raise
    return list(paths.values())


def _open(path: Path) -> None:
    """Start JupyterLab, or VS Code, on the notebook, and leave it running.

    Raises:
        MissingPartError: there is neither.
    """
    program = next((one for one in ("jupyter-lab", "code") if shutil.which(one)), None)
    if program is None:
        raise MissingPartError(
            f"{path} is written, but there is nothing to open it with",
            hint="pip install jupyterlab",
        )
    subprocess.Popen(  # noqa: S603 - a program of this machine, a path of this person
        [str(shutil.which(program)), str(path.absolute())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _gone(runs: RunSet) -> list[str]:
    return [f"run {one} is gone from the store and left out" for one in runs.coverage.missing]


def _show_plan(
    generator: NotebookGenerator,
    selection: Selection,
    runs: RunSet,
    flags: Flags,
    out: console.Console,
) -> None:
    from qualia_lab.cli import choose

    exports = choose.exports(flags, selection).values()
    plan = generator.plan(selection, runs)
    record = {
        "path": str(selection.output),
        "exports": [str(path) for path in exports],
        "kind": selection.kind,
        "title": selection.title,
        "tracking_uri": selection.tracking_uri,
        "run_ids": list(selection.run_ids),
        "of_runs": selection.of_runs,
        "sections": [
            {
                "section": planned.section.name,
                "times": len(planned.items),
                "left_out": planned.left_out,
                "lacks": list(planned.lacks),
            }
            for planned in plan
        ],
    }
    out.result("\n".join(choose.preview(plan, selection, runs, exports)), record)


def main() -> None:
    """Entry point of ``create-observation-notebook``."""
    console.run(console.application("create-observation-notebook", create, EPILOG))
