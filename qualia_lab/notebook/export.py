"""The way out of a notebook: an HTML page, a PDF, or Markdown with its pictures beside it."""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qualia_lab.errors import OutputError, UsageError, known_list
from qualia_lab.files import OUTPUT, require_free, write_bytes, write_text
from qualia_lab.text import visible

if TYPE_CHECKING:
    from nbformat import NotebookNode

# Each format by the ending of its files.
FORMATS = {"html": ".html", "pdf": ".pdf", "markdown": ".md"}
# The tag of texts that speak of the cells of code.
_ABOUT_CODE = "about-code"
# The sections that hold what was found and compared; the overview where there is no first look.
_SUMMARY = ("glance", "comparison", "what_to_do", "alerts")
_FIRST_LOOK, _OVERVIEW = "glance", "overview"


def export(
    notebook: NotebookNode,
    to: str,
    path: Path,
    *,
    code: bool = True,
    summary: bool = False,
    findings: Sequence[dict[str, str]] | None = None,
    overwrite: bool = False,
    flag: str = OUTPUT,
) -> Path:
    """Write a notebook, as it was executed, in another format.

    Args:
        notebook: with outputs; those of a cell that failed are shown too. It is not changed.
        to: ``"html"``, ``"pdf"`` or ``"markdown"``.
        path: the file. Markdown's pictures are written to a folder beside it, ``<name>_files``.
        code: whether the inputs are in it.
        summary: only the findings and the comparison, without inputs; as Markdown it fits into a
            comment on GitHub, and says in words what pictures show.
        findings: what a summary begins with; by default what the notebook's cells show of them.
        overwrite: replace what is there.
        flag: how the person names ``path``, for what to do when it can't be written.

    Returns:
        ``path``.

    Raises:
        UsageError: an unknown format, or nothing was executed, or there is nothing to sum up.
        OutputError: something is there (and ``overwrite`` is False), or it can't be written.
        MissingPartError: for a PDF, no Chromium or Chrome is installed, or it fails.
    """
    from nbformat import NotebookNode

    require_known([to])
    require_outputs(notebook)
    require_room(path, to, overwrite=overwrite, flag=flag)
    chosen, code = (_summed_up(notebook, findings), False) if summary else (notebook, code)
    if not code:
        chosen = NotebookNode(
            {**chosen, "cells": [one for one in chosen.cells if not _is_of_code(one)]}
        )
    if to == "markdown":
        text, pictures = _markdown(chosen, path, code=code, brief=summary)
        # The text is last, so that what it shows is there.
        for name, content in pictures.items():
            write_bytes(_folder(path) / name, content, overwrite=overwrite, flag=flag)
        write_text(path, text, overwrite=overwrite, flag=flag)
        return path
    from qualia_lab.notebook.export_html import page

    text = page(chosen, code=code, name=path.stem)
    if to == "html":
        write_text(path, text, overwrite=overwrite, flag=flag)
        return path
    from qualia_lab import secrets
    from qualia_lab.notebook.export_pdf import pdf

    secrets.refuse(text, path.name)
    write_bytes(path, pdf(text), overwrite=overwrite, flag=flag)
    return path


def require_known(formats: Iterable[str]) -> None:
    """Raise ``UsageError`` for a format that there is not."""
    for to in formats:
        if to not in FORMATS:
            raise UsageError(f"no format {visible(to, 60)}", hint=known_list(to, FORMATS))


def require_able(formats: Collection[str]) -> None:
    """Raise for formats that can't be written on this machine, before there is a notebook.

    Raises:
        UsageError: an unknown format.
        MissingPartError: there is no browser for a PDF.
    """
    require_known(formats)
    if "pdf" in formats:
        from qualia_lab.notebook.export_pdf import browser

        browser()


def require_beside(formats: Iterable[str], notebook: Path, *, overwrite: bool) -> None:
    """Raise ``OutputError`` when there is no room for an export beside the notebook."""
    for to in formats:
        require_room(beside(notebook, to), to, overwrite=overwrite)


def require_room(path: Path, to: str, *, overwrite: bool, flag: str = OUTPUT) -> None:
    """Raise ``OutputError`` when the file, or Markdown's folder of pictures, is there already."""
    require_free(path, overwrite=overwrite, flag=flag)
    folder = _folder(path)
    if to == "markdown" and folder.exists():
        shown = visible(str(folder), 200)
        if not folder.is_dir():
            raise OutputError(f"{shown} is a file", hint="Pictures are written to that folder.")
        if not overwrite:
            raise OutputError(f"{shown} exists", hint=f"Use --overwrite, or another {flag}.")


def require_outputs(notebook: NotebookNode) -> None:
    """Raise ``UsageError`` for a notebook of which nothing was executed."""
    codes = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    if codes and not any(cell.outputs or cell.execution_count for cell in codes):
        raise UsageError(
            "the notebook has no outputs: nothing in it was executed",
            hint="Run it first, in Jupyter or with: jupyter execute --inplace NOTEBOOK",
        )


def beside(notebook: Path, to: str) -> Path:
    """Where a notebook is exported to unless somebody says otherwise."""
    return notebook.with_suffix(FORMATS[to])


def read(path: Path) -> NotebookNode:
    """A notebook from its file, whatever version of the format it has.

    Raises:
        UsageError: it can't be read, or is no notebook.
    """
    import nbformat

    shown = visible(str(path), 200)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about ids that older notebooks lack
            notebook = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
            nbformat.validate(notebook)
    except OSError as error:
        raise UsageError(f"{shown} can't be read: {error.strerror or error}") from error
    except Exception as error:  # JSON, or the format, broken in one of many ways
        raise UsageError(
            f"{shown} is no notebook: {visible(str(error), 200)}",
            hint="Give a file that Jupyter opens: NAME.ipynb",
        ) from error
    return notebook


def _folder(path: Path) -> Path:
    return path.with_name(f"{path.stem}_files")


def _markdown(
    notebook: NotebookNode, path: Path, *, code: bool, brief: bool
) -> tuple[str, dict[str, bytes]]:
    from qualia_lab.notebook.export_markdown import markdown

    return markdown(notebook, code=code, brief=brief, folder=_folder(path).name)


def _summed_up(notebook: NotebookNode, findings: Sequence[dict[str, str]] | None) -> NotebookNode:
    """The title, the findings by level, and the sections that hold what was found and compared."""
    from nbformat import NotebookNode
    from nbformat.v4 import new_markdown_cell

    from qualia_lab.notebook.findings import headline, shown_findings

    sections = [_section(cell) for cell in notebook.cells]
    wanted = {*_SUMMARY, *(() if _FIRST_LOOK in sections else (_OVERVIEW,))}
    listed = shown_findings(notebook) if findings is None else findings
    if not wanted & set(sections) and findings is None and not listed:
        raise UsageError(
            "the notebook has no findings and no comparison to sum up",
            hint="A notebook that create-observation-notebook wrote has; leave out --summary.",
        )
    cells = [
        cell for cell, section in zip(notebook.cells, sections, strict=True) if section in wanted
    ]
    titles = [
        cell.source
        for cell in notebook.cells
        if cell.cell_type == "markdown" and re.match(r"#\s", cell.source)
    ]
    heads = titles[:1] + ([headline(listed)] if listed or findings is not None else [])
    heading = [new_markdown_cell(text) for text in heads]
    return NotebookNode({**copy.copy(notebook), "cells": [*heading, *cells]})


def _is_of_code(cell: NotebookNode) -> bool:
    """Whether a text is about the inputs, so that it means nothing without them."""
    return _ABOUT_CODE in cell.metadata.get("tags", ())


def _section(cell: NotebookNode) -> str:
    """The name of the section that a cell was made from."""
    made = cell.metadata.get("qualia_lab")
    return str(made.get("section", "")).rpartition("/")[2] if isinstance(made, dict) else ""
