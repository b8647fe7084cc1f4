"""``qualia-lab export``: an executed notebook as HTML, PDF or Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qualia_lab.cli import console
from qualia_lab.errors import UsageError
from qualia_lab.text import visible

EPILOG = """Examples:

\b
qualia-lab export notebooks/churn.ipynb
qualia-lab export notebooks/churn.ipynb --to html --to pdf --no-code -o reports/
qualia-lab export notebooks/churn.ipynb --to markdown --summary -o comment.md

Exit codes: 0 done, 2 no notebook, or nothing in it was executed, 3 no browser to print a PDF,
7 output exists.
"""


def export(
    notebook: Annotated[
        Path,
        typer.Argument(
            metavar="NOTEBOOK", exists=True, dir_okay=False, help="An executed notebook."
        ),
    ],
    to: Annotated[
        list[str] | None,
        typer.Option(
            metavar="html|pdf|markdown",
            help="The format; html by default, or what the output's ending says. Repeatable.",
        ),
    ] = None,
    no_code: Annotated[
        bool, typer.Option("--no-code", help="Leave the inputs out: results only.")
    ] = False,
    summary: Annotated[
        bool,
        typer.Option(
            "--summary",
            help="Only the findings and the comparison; as markdown, fit for a pull request.",
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="PATH", help="A file, or a folder; default: beside it."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the result.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show the traceback of an error.")
    ] = False,
) -> None:
    """Write an executed notebook as HTML, PDF or Markdown.

    HTML is one file that opens offline and runs no script; a PDF is that page, printed by the
    Chromium or Chrome that is installed; Markdown has its pictures in a folder beside it.
    """
    from qualia_lab.notebook import export as exporting

    out = console.Console(quiet=quiet, verbose=verbose, as_json=as_json)
    formats = list(dict.fromkeys(to or [_by_ending(output)]))
    exporting.require_able(formats)
    paths = {one: _path(notebook, one, output, len(formats)) for one in formats}
    for one, path in paths.items():
        exporting.require_room(path, one, overwrite=overwrite)
    node = exporting.read(notebook)
    for one, path in paths.items():
        with out.waiting(f"Writing {path}"):
            exporting.export(
                node, one, path, code=not no_code, summary=summary, overwrite=overwrite
            )
    record = {"notebook": str(notebook), "exports": [str(path) for path in paths.values()]}
    out.result("\n".join(str(path) for path in paths.values()), record)


def _by_ending(output: Path | None) -> str:
    """The format that the name of the output asks for."""
    from qualia_lab.notebook.export import FORMATS

    ending = output.suffix.lower() if output else ""
    return next((name for name, its in FORMATS.items() if its == ending), "html")


def _path(notebook: Path, to: str, output: Path | None, of: int) -> Path:
    """Where one format is written.

    Raises:
        UsageError: one file is given for several formats, or one of another format's ending.
    """
    from qualia_lab.notebook.export import FORMATS, beside

    if output is None:
        return beside(notebook, to)
    is_folder = output.is_dir() or not output.suffix
    if is_folder:
        return beside(output / notebook.name, to)
    shown = visible(str(output), 200)
    if of > 1:
        raise UsageError(f"{shown} is one file for {of} formats", hint="Give a folder: -o FOLDER")
    if output.suffix.lower() != FORMATS[to]:
        raise UsageError(
            f"{shown} is no name for {to}", hint=f"Give one that ends with {FORMATS[to]}."
        )
    return output
