"""The tracking servers that were used before, kept in the person's state folder."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from qualia_lab.cli.config_files import home
from qualia_lab.tracking import uris

_MOST = 8


def remembered(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Their URIs, the last used first; none where the file can't be read or makes no sense."""
    path = _path(environ)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["servers"] if path else []
        # A person may have edited it, and put a password in.
        return list(dict.fromkeys(uris.without_password(one) for one in found))[:_MOST]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def remember(uri: str, environ: Mapping[str, str] = os.environ) -> None:
    """Put a server first. Where nothing can be written, nothing is remembered.

    Args:
        uri: as it may be shown, without a password. A local path is remembered from the root, so
            that it means the same in another folder.
        environ: where the folder is named.
    """
    path = _path(environ)
    if path is None:
        return
    whole = absolute(uri)
    others = [one for one in remembered(environ) if one != whole]
    text = json.dumps({"servers": [whole, *others][:_MOST]}, indent=1) + "\n"
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # A file of its own first: two commands at once leave a whole file.
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, delete=False
        ) as file:
            file.write(text)
        try:
            Path(file.name).replace(path)
        except OSError:
            Path(file.name).unlink()


def absolute(uri: str) -> str:
    """The URI with the path of a local store from the root."""
    where = uris.store_type(uri)
    if where == "sqlite":
        scheme, _, rest = uri.partition(":///")
        _, mark, options = rest.partition("?")
        return f"{scheme}:///{uris.sqlite_path(uri).absolute()}{mark}{options}"
    if where == "file":
        return str(uris.folder_of_file_store(uri).absolute())
    return uri


def _path(environ: Mapping[str, str]) -> Path | None:
    given = environ.get("LOCALAPPDATA" if os.name == "nt" else "XDG_STATE_HOME", "")
    # A relative one is no setting of this person's: whoever made the current folder would fill it.
    if given and Path(given).is_absolute():
        base = Path(given)
    else:
        house = home(environ)
        if house is None:
            return None
        base = house / ("AppData/Local" if os.name == "nt" else ".local/state")
    return base / "qualia-lab" / "servers.json"
