"""Files that are whole or not there: a temp file, fsync, put in place, fsync the folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qualia_lab import secrets
from qualia_lab.errors import OutputError
from qualia_lab.notebook.generator import is_edited
from qualia_lab.text import visible

if TYPE_CHECKING:
    from nbformat import NotebookNode


_ELSEWHERE = "Choose another place with -o/--output."


def require_free(path: Path, *, overwrite: bool) -> None:
    """Raise ``OutputError`` when the output exists and may not be replaced."""
    shown = visible(str(path), 200)
    try:
        if path.is_dir():
            raise OutputError(f"{shown} is a folder", hint=f"Give a file: -o NAME{path.suffix}")
        if path.exists() and not overwrite:
            raise OutputError(f"{shown} exists", hint="Use --overwrite, or another -o/--output.")
    except OSError as error:  # a name that is too long, say
        raise _unwritable(path, error) from error
    for parent in path.parents:
        if parent.exists() and not parent.is_dir():
            raise OutputError(
                f"{shown} can't be written: {visible(str(parent), 200)} is a file, not a folder",
                hint=_ELSEWHERE,
            )


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
    return _write(path, text, f"The notebook {path.name}", overwrite=overwrite, keep=_keep_edited)


def write_text(path: Path, text: str, *, overwrite: bool = False) -> None:
    """Write a page or the like as a notebook is written; of what it replaces nothing is kept.

    Raises:
        OutputError: as ``write_notebook``.
        QualiaError: it would hold a password.
    """
    _write(path, text, path.name, overwrite=overwrite)


def write_bytes(path: Path, content: bytes, *, overwrite: bool = False) -> None:
    """Write a picture or the like, as ``write_text``; no password can be read in it."""
    _write(path, content, path.name, overwrite=overwrite)


def _write(
    path: Path,
    content: str | bytes,
    what: str,
    *,
    overwrite: bool,
    keep: Callable[[Path], Path | None] = lambda path: None,
) -> Path | None:
    """The one way to disk. ``keep`` may copy what is replaced, and says where."""
    if isinstance(content, str):
        secrets.refuse(content, what)
        content = content.encode("utf-8")
    require_free(path, overwrite=overwrite)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        backup = keep(path) if path.exists() else None
        _put(path, content, overwrite=overwrite)
    except OSError as error:
        raise _unwritable(path, error) from error
    return backup


def _unwritable(path: Path, error: OSError) -> OutputError:
    said = f"{visible(str(path), 200)} can't be written: {error.strerror or error}"
    return OutputError(said, hint=_ELSEWHERE)


def _put(path: Path, content: bytes, *, overwrite: bool) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            temporary.replace(path)
        else:
            _link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _link(temporary: Path, path: Path) -> None:
    """Put the file in place unless another process made one of that name in the meantime."""
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise OutputError(
            f"{visible(str(path))} exists", hint="Use --overwrite, or another -o/--output."
        ) from None
    except OSError:  # a file system without hard links
        temporary.replace(path)


def _sync_folder(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
    backup = path.with_name(path.name + ".bak")
    number = 1
    while backup.exists():
        number += 1
        backup = path.with_name(f"{path.name}.bak{number}")
    _put(backup, content, overwrite=False)
    return backup


def _sweep(path: Path) -> None:
    """Remove temp files of this output whose process is gone."""
    for old in path.parent.glob(".*.tmp"):
        name, _, pid = old.name.removesuffix(".tmp").rpartition(".")
        if name == f".{path.name}" and pid.isdigit() and not _is_alive(int(pid)):
            old.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    if pid == os.getpid():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
