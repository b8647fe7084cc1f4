"""Run in every Python of a world of ``canaries``: files that are removed are kept, and where a
counter-proof asks for it, the gate for secrets is taken out."""

import contextlib
import itertools
import os
import shutil
import stat
import sys

_numbers = itertools.count()
_LARGEST = 20_000_000


def _keep(event: str, args: tuple[object, ...]) -> None:
    if event != "os.remove" or "CANARIES_KEPT" not in os.environ:
        return
    path, folder = args[0], args[1]
    where = os.fsdecode(path)  # type: ignore[arg-type]
    if isinstance(folder, int) and folder >= 0:
        where = f"/proc/self/fd/{folder}/{where}"
    with contextlib.suppress(OSError):
        found = os.lstat(where)
        if stat.S_ISREG(found.st_mode) and 0 < found.st_size < _LARGEST:
            name = f"{os.getpid()}-{next(_numbers)}-{os.path.basename(where)}"
            shutil.copyfile(where, os.path.join(os.environ["CANARIES_KEPT"], name[:200]))


sys.addaudithook(_keep)

if os.environ.get("CANARIES_GATE") == "out":
    from qualia_lab import secrets

    secrets.scrub = lambda text: text
    secrets.refuse = lambda text, what: None
