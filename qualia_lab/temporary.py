"""Temp files and folders that go even when the process that made them is killed.

Whoever makes one holds a lock on it, which the system takes away when the process dies: that is how
the next process knows what to sweep.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qualia_lab import leftovers
from qualia_lab.errors import OutputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

ENDING = ".qualia-tmp"
_PREFIX = "qualia-tmp-"
_NAME = re.compile(_PREFIX + "[0-9a-f]{16}")
# Where there are no locks, what is older belongs to nobody.
_DAY = 86_400
_OF_DISKS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)
_MINUTE = 60


@contextmanager
def folder() -> Iterator[Path]:
    """A temp folder of this user alone, for the time of the block.

    Those of processes that were killed are swept. Nothing is said where it can't be removed.

    Raises:
        OutputError: there is no place for one, or the block can't write to it.
    """
    try:
        base = Path(tempfile.gettempdir())
        _sweep_folders(base)
        made = base / f"{_PREFIX}{os.urandom(8).hex()}"
        made.mkdir(mode=0o700)
    except OSError as error:
        raise _no_place(error) from error
    with leftovers.path(made):
        try:
            with _locked(made):
                yield made
        except OSError as error:
            if _is_about(error, made):
                raise _no_place(error) from error
            raise
        finally:
            shutil.rmtree(made, ignore_errors=True)


def _no_place(error: OSError) -> OutputError:
    return OutputError(
        f"there is no place for temp files: {error.strerror or error}",
        hint="Make room, or set TMPDIR to a folder on another disk.",
    )


def _is_about(error: OSError, folder: Path) -> bool:
    """Whether files of the folder are meant; to write to an open one fails without its name."""
    if error.filename is None:
        return error.errno in _OF_DISKS
    return str(error.filename).startswith(str(folder))


def sweep(folder: Path) -> None:
    """Remove what writers that are gone left half written."""
    with contextlib.suppress(OSError):
        for old in folder.glob(f".*{ENDING}"):
            if _is_abandoned(old):
                with contextlib.suppress(OSError):
                    old.unlink()


def lock(descriptor: int) -> bool | None:
    """Whether the lock is ours now; None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network file systems
        return None
    return True


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = None if fcntl is None else os.open(folder, os.O_RDONLY)
    try:
        if descriptor is not None:
            lock(descriptor)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _is_abandoned(path: Path) -> bool:
    """Whether the process that made this temp file or folder is gone."""
    if fcntl is None:
        return _age(path) > _DAY
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        mode = os.fstat(descriptor).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            return False
        free = lock(descriptor)
        return _age(path) > _DAY if free is None else free
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _sweep_folders(base: Path) -> None:
    with contextlib.suppress(OSError):
        for folder in base.glob(f"{_PREFIX}*"):
            with contextlib.suppress(OSError):
                # An empty one may be so new that it is not locked yet.
                is_new = _age(folder) < _MINUTE and not any(folder.iterdir())
                if _is_ours(folder) and not is_new and _is_abandoned(folder):
                    shutil.rmtree(folder, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    """Whether a process of this user made it here; not just anything of a name like that."""
    if not _NAME.fullmatch(folder.name):
        return False
    found = folder.lstat()
    of_user = not hasattr(os, "getuid") or found.st_uid == os.getuid()
    return of_user and stat.S_ISDIR(found.st_mode)


def _age(path: Path) -> float:
    return time.time() - path.stat().st_mtime
