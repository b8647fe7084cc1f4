"""Files that are whole or not there.

A file is written under another name in its own folder, brought to the disk, and put in place; then
the folder is brought to the disk. At any moment the old file or the new one is there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from qualia_lab import leftovers, secrets, temporary
from qualia_lab.errors import OutputError
from qualia_lab.text import visible

OUTPUT = "-o/--output"


class UnconfirmedError(OSError):
    """The file is in place, and the disk did not confirm that it will stay there."""


def require_free(path: Path, *, overwrite: bool, flag: str = OUTPUT) -> None:
    """Raise ``OutputError`` when there can't be a new file, as far as looking tells.

    Args:
        path: of a file that may not be there yet, nor its folder.
        overwrite: whether one that is there may be replaced.
        flag: how the person names it, for what to do next.
    """
    shown = visible(str(path), 200)
    try:
        if path.is_dir():
            short = flag.partition("/")[0]
            raise OutputError(
                f"{shown} is a folder", hint=f"Give a file: {short} NAME{path.suffix}"
            )
        if path.exists() and not overwrite:
            raise _taken(path, flag)
        _require_ordinary(path, flag)
        _require_folder(path, flag)
    except OSError as error:  # a name that is too long, say
        raise unwritable(path, error, flag) from error


def write_text(path: Path, text: str, *, overwrite: bool = False, flag: str = OUTPUT) -> None:
    """Write a page or the like; of what it replaces nothing is kept.

    Raises:
        OutputError: it exists (and ``overwrite`` is False), or can't be written.
        QualiaError: it would hold a password.
    """
    secrets.refuse(text, path.name)
    write_bytes(path, text.encode("utf-8"), overwrite=overwrite, flag=flag)


def write_bytes(
    path: Path,
    content: bytes,
    *,
    overwrite: bool = False,
    flag: str = OUTPUT,
    keep: Callable[[], Path | None] = lambda: None,
) -> Path | None:
    """Write a picture or the like, as ``write_text``; no password can be read in it.

    Returns:
        What ``keep`` gives, which is called before a file that is there is replaced.
    """
    require_free(path, overwrite=overwrite, flag=flag)
    try:
        return put(path, content, overwrite=overwrite, keep=keep)
    except FileExistsError:  # another process made it in the meantime
        raise _taken(path, flag) from None
    except UnconfirmedError as error:
        raise OutputError(
            f"{visible(str(path), 200)} is written, but the disk did not confirm it: "
            f"{error.strerror}",
            hint="Look at the disk, then write it once more with --overwrite.",
        ) from error
    except OSError as error:
        raise unwritable(path, error, flag) from error


def put(
    path: Path,
    content: bytes,
    *,
    overwrite: bool,
    keep: Callable[[], Path | None] = lambda: None,
    private: bool = False,
) -> Path | None:
    """The one way to disk. Missing folders are made.

    Args:
        path: what it replaces passes its permissions on, unless it is private.
        content: all of it.
        overwrite: replace what is there.
        keep: may copy what is replaced, and says where; called once the new content is on disk.
        private: the file is for this user alone, and so are the folders that are made for it.

    Raises:
        FileExistsError: it is there, and ``overwrite`` is False.
        UnconfirmedError: it is in place, whole, but a failing disk may forget that.
        OSError: it can't be written; what was there is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700 if private else 0o777)
    temporary.sweep(path.parent)
    with _on_disk(path, content, private=private) as draft:
        kept = keep() if path.exists() else None
        if overwrite:
            draft.replace(path)
        else:
            _link(draft, path)
    _sync_folder(path.parent)
    return kept


def unwritable(path: Path, error: OSError, flag: str = OUTPUT) -> OutputError:
    """The error of this project for what the system said of a file."""
    full = {errno.ENOSPC, errno.EDQUOT}
    hint = f"Choose another place with {flag}"
    hint += ", or make room." if error.errno in full else "."
    shown = visible(str(path), 200)
    return OutputError(f"{shown} can't be written: {error.strerror or error}", hint=hint)


def _taken(path: Path, flag: str) -> OutputError:
    shown = visible(str(path), 200)
    return OutputError(f"{shown} exists", hint=f"Use --overwrite, or another {flag}.")


def _require_ordinary(path: Path, flag: str) -> None:
    """A new file would take the place of a device, a pipe or a link, and break what uses it."""
    shown = visible(str(path), 200)
    if path.is_symlink():
        to = visible(str(path.readlink()), 200)
        raise OutputError(f"{shown} is a link", hint=f"Give the file that it points to: {to}")
    if path.exists() and not path.is_file():
        raise OutputError(f"{shown} is no ordinary file", hint=f"Choose another place with {flag}.")


def _require_folder(path: Path, flag: str) -> None:
    """The folder, or the nearest above it that is there, must take a new file."""
    nearest = next((one for one in path.absolute().parents if one.exists()), None)
    if nearest is None:
        return
    shown = visible(str(path), 200)
    if not nearest.is_dir():
        raise OutputError(
            f"{shown} can't be written: {visible(str(nearest), 200)} is a file, not a folder",
            hint=f"Choose another place with {flag}.",
        )
    if not os.access(nearest, os.W_OK | os.X_OK):
        code = errno.EROFS if _is_read_only(nearest) else errno.EACCES
        raise OSError(code, os.strerror(code))


def _is_read_only(folder: Path) -> bool:
    return hasattr(os, "statvfs") and bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


@contextmanager
def _on_disk(path: Path, content: bytes, *, private: bool) -> Iterator[Path]:
    """A temp file beside ``path`` with this in it, locked; gone at the end of the block."""
    descriptor, draft = _created(path.parent, 0o600 if private else 0o666)
    with leftovers.path(draft):
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
                if not private:
                    _like(path, descriptor)
                file.write(content)
                file.flush()
                os.fsync(descriptor)
                if os.name != "nt":
                    yield draft
            if os.name == "nt":  # which moves no file that is open
                yield draft
        finally:
            with contextlib.suppress(OSError):
                draft.unlink()


def _created(folder: Path, mode: int) -> tuple[int, Path]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    while True:
        draft = folder / f".{os.urandom(8).hex()}{temporary.ENDING}"
        descriptor = os.open(draft, flags, mode)
        # Between the two lines another process may take it for abandoned.
        if temporary.lock(descriptor) is not False and draft.exists():
            return descriptor, draft
        os.close(descriptor)


def _like(path: Path, descriptor: int) -> None:
    """Give a new file the permissions of the old one."""
    if hasattr(os, "fchmod"):
        with contextlib.suppress(OSError):
            os.fchmod(descriptor, stat.S_IMODE(path.stat().st_mode))


def _link(draft: Path, path: Path) -> None:
    """Put the file in place unless another process made one of that name in the meantime."""
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        draft.replace(path)


def _sync_folder(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):  # it syncs no folders
            raise UnconfirmedError(error.errno, error.strerror) from error
    finally:
        os.close(descriptor)
