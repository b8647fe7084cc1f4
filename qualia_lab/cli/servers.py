"""The tracking servers that were used before, kept in the person's state folder."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from qualia_lab import files
from qualia_lab.cli.config_files import home
from qualia_lab.errors import UsageError
from qualia_lab.tracking import uris

_MOST = 8


def remembered(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Their URIs, the last used first; none where the file can't be read or makes no sense."""
    path = _path(environ)
    if path is None:
        return []
    try:
        # A person may have edited it, with an editor that begins a file with a byte order mark.
        given = json.loads(path.read_text(encoding="utf-8-sig"))["servers"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return []
    found = [_bare(one) for one in given] if isinstance(given, list) else []
    return [one for one in dict.fromkeys(found) if one][:_MOST]


def remember(uri: str, environ: Mapping[str, str] = os.environ) -> None:
    """Put a server first. Where nothing can be written, nothing is remembered.

    Args:
        uri: of the server; it is kept without a password. A local path is remembered from the root,
            so that it means the same in another folder.
        environ: where the folder is named.
    """
    path = _path(environ)
    if path is None:
        return
    with contextlib.suppress(OSError, ValueError, UsageError):
        whole = absolute(uris.without_password(uri))
        others = [one for one in remembered(environ) if one != whole]
        text = json.dumps({"servers": [whole, *others][:_MOST]}, indent=1) + "\n"
        # Two commands at once leave a whole file.
        files.put(path, text.encode("utf-8"), overwrite=True, private=True)


def _bare(given: Any) -> str:
    """What may be offered of an entry: without a password; nothing where it is no URI."""
    try:
        return uris.without_password(given) if isinstance(given, str) else ""
    except ValueError:
        return ""


def absolute(uri: str) -> str:
    """The URI with the path of a local store from the root.

    Raises:
        UsageError: the URI of a database names no file.
        OSError: the current folder is gone.
    """
    where = uris.store_type(uri)
    if where == "sqlite":
        path = uris.sqlite_path(uri)
        if path.is_absolute():
            return uri
        scheme, _, rest = uri.partition(":///")
        _, mark, options = rest.partition("?")
        return f"{scheme}:///{_spelt(str(path.absolute()))}{mark}{options}"
    if where == "file":
        return str(uris.folder_of_file_store(uri).absolute())
    return uri


def _spelt(path: str) -> str:
    """The path as a URI names it: where percent escapes are read, a percent sign is one."""
    is_plain = str(uris.sqlite_path(f"sqlite:///{path}")) == path
    return path if is_plain else re.sub("[%?]", lambda sign: quote(sign[0]), path)


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
