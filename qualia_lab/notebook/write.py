"""Notebooks on disk: whole or not there, and one that a person edited is kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qualia_lab import files, secrets
from qualia_lab.notebook.generator import is_edited

if TYPE_CHECKING:
    from nbformat import NotebookNode


def write_notebook(notebook: NotebookNode, path: Path, *, overwrite: bool = False) -> Path | None:
    """Write a notebook so that at any moment the old file or the new one is there.

    Args:
        notebook: validated before anything is written.
        path: missing folders are made.
        overwrite: replace an existing file; one that a person has edited is kept as ``.bak``.

    Returns:
        Where the edited notebook was kept, or None.

    Raises:
        OutputError: it exists (and ``overwrite`` is False), or can't be written.
    """
    import nbformat

    nbformat.validate(notebook)
    text = nbformat.writes(notebook).rstrip("\n") + "\n"
    secrets.refuse(text, f"The notebook {path.name}")
    content = text.encode("utf-8")
    return files.write_bytes(path, content, overwrite=overwrite, keep=lambda: _keep_edited(path))


def _keep_edited(path: Path) -> Path | None:
    """Copy a notebook with a person's work in it to the next free ``.bak``."""
    import nbformat

    content = path.read_bytes()
    try:
        edited = is_edited(nbformat.reads(content.decode("utf-8"), as_version=4))
    except Exception:  # whatever it is, it is not what we wrote
        edited = True
    if not edited:
        return None
    number = 1
    while True:
        backup = path.with_name(f"{path.name}.bak{number if number > 1 else ''}")
        try:
            files.put(backup, content, overwrite=False)
        except FileExistsError:
            number += 1
        else:
            return backup
