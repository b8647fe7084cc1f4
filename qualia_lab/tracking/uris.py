"""Tracking URIs: which one, to what, without its password, and as a notebook should hold it."""

from __future__ import annotations

import os
import re
from functools import cache
from importlib.metadata import version
from pathlib import Path, PureWindowsPath
from typing import Literal
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from qualia_lab import secrets
from qualia_lab.errors import NotFoundError, UsageError
from qualia_lab.text import visible

VARIABLE = "MLFLOW_TRACKING_URI"
REGISTRY_VARIABLE = "MLFLOW_REGISTRY_URI"
DEFAULT = "sqlite:///mlflow.db"
_DEFAULT_FILE_STORE = "./mlruns"

StoreType = Literal["sqlite", "database", "http", "file", "other"]

_DATABASES = ("postgresql", "mysql", "mssql")
_SECRET_KEYS = re.compile(
    r"passw|passphrase|pwd|secret|token|credential|api_?key|sslkey|odbc_connect", re.IGNORECASE
)
# As SQLAlchemy reads a login: "/", "#" and "?" in a password need no escape there.
_DATABASE_LOGIN = re.compile(r"(?P<scheme>[\w+.-]+)://(?P<user>[^:/@]*):(?P<password>[^@]*)@")


# No name of a person is as long.
_TOKEN_CHARACTERS = 20


def default() -> str:
    """The URI that MLflow itself would use here: the environment's, else its own default.

    MLflow's default is ``sqlite:///mlflow.db``, or ``./mlruns`` where that folder holds data.
    """
    given = os.environ.get(VARIABLE)
    if given:
        return given
    folders = Path(_DEFAULT_FILE_STORE).glob("*/meta.yaml")
    has_data = any(folder.parent.name.isdigit() for folder in folders)
    return _DEFAULT_FILE_STORE if has_data else DEFAULT


def store_type(uri: str) -> StoreType:
    """What a URI names."""
    if uri == "databricks":
        return "other"
    scheme = urlsplit(uri).scheme.lower().split("+")[0]
    if scheme == "sqlite":
        return "sqlite"
    if scheme in _DATABASES:
        return "database"
    if scheme in ("http", "https"):
        return "http"
    # A single letter is a Windows drive, not a scheme.
    return "file" if scheme in ("", "file") or len(scheme) == 1 else "other"


def enter(uri: str) -> str:
    """Let a URI in: its password goes to the environment, what is returned may be shown.

    The full URI becomes ``MLFLOW_TRACKING_URI`` of this process when it holds a secret, so that a
    kernel started from here can connect too.
    """
    try:
        _require_sense(uri)
        bare = without_password(uri)
        if bare != uri:
            os.environ[VARIABLE] = uri  # which takes no null character either
    except ValueError as error:
        # What can't be parsed has its password somewhere before the last "@", and the error may
        # repeat a part of it.
        shown = re.sub(r"://.*@", "://***@", uri, flags=re.DOTALL)
        hint = "Examples: sqlite:///mlflow.db, http://127.0.0.1:5000"
        if shown != uri:
            hint += "; in a password, %23 stands for #, %2F for /, %3F for ? and %40 for @"
        why = "" if shown != uri else f": {error}"
        raise UsageError(
            f"{visible(secrets.scrub(shown), 200)} is not a URI{why}", hint=hint
        ) from None
    return bare


def without_password(uri: str) -> str:
    """The URI without its password; over HTTP the user name goes too, since it comes with one.

    Every secret that is taken out is remembered, so that nothing else can show it either.
    """
    where = store_type(uri)
    bare = uri
    if where == "database" and (login := _DATABASE_LOGIN.match(uri)):
        _remember_login(login["user"], login["password"])
        bare = f"{login['scheme']}://{login['user']}@{uri[login.end() :]}"
    netloc = urlsplit(bare).netloc
    if where not in ("database", "file") and "@" in netloc:
        login_part, host = netloc.rsplit("@", 1)
        user, _, password = login_part.partition(":")
        _remember_login(user, password)
        bare = bare.replace(netloc, host, 1)
    return _without_secret_options(bare)


def _without_secret_options(uri: str) -> str:
    address, _, rest = uri.partition("?")
    query, mark, fragment = rest.partition("#")
    pairs = parse_qsl(query, keep_blank_values=True)
    secret = [(key, value) for key, value in pairs if _SECRET_KEYS.search(key)]
    if not secret:
        return uri
    for _, value in secret:
        secrets.remember(value)
    query = urlencode([pair for pair in pairs if pair not in secret])
    return address + ("?" if query else "") + query + mark + fragment


def _remember_login(user: str, password: str) -> None:
    if password:
        for secret in (password, unquote(password), unquote(f"{user}:{password}")):
            secrets.remember(secret)
    elif len(user) >= _TOKEN_CHARACTERS:  # a token alone stands where a user does
        for secret in (user, unquote(user)):
            secrets.remember(secret)


def _require_sense(uri: str) -> None:
    """Raise ``ValueError`` for a URI of a server that no request can be made of, and for text that
    no system takes for the name of anything."""
    os.fsencode(uri)
    parts = urlsplit(uri)
    if store_type(uri) == "http" and (not parts.hostname or parts.port == 0):
        raise ValueError("it names no host" if not parts.hostname else "no server has port 0")
    if store_type(uri) == "http" and re.search(r"\s", parts.netloc):
        raise ValueError("its host has a space in it")


def with_password(uri: str) -> str:
    """The URI to connect with: the environment's where it is this one with its password."""
    full = os.environ.get(VARIABLE, "")
    try:
        return full if full and full != uri and without_password(full) == uri else uri
    except ValueError:  # what stands there is no URI
        return uri


def to_connect(uri: str) -> str:
    """The URI to open a store with: with its password, and a local path made absolute.

    MLflow keeps stores by their URI: after a change of folder, a relative one would go on meaning
    the database of the folder before. A SQLite file is opened read-only, since MLflow may add to a
    store when it opens it.
    """
    full = with_password(uri)
    if store_type(full) == "sqlite":
        pairs = parse_qsl(full.partition("?")[2], keep_blank_values=True)
        options = {**dict(pairs), "mode": "ro", "uri": "true"}
        # With the driver named, MLflow makes no folder of the name that this path has as a URI.
        path = _quoted(sqlite_path(full).absolute().as_uri())
        return f"sqlite+pysqlite:///{path}?{urlencode(options)}"
    if store_type(full) == "file":
        return folder_of_file_store(full).absolute().as_uri()
    return full


def sqlite_path(uri: str) -> Path:
    """The file of a ``sqlite:///`` URI, relative or absolute as written.

    Raises:
        UsageError: the URI names no file (``sqlite://``, ``sqlite:///:memory:``).
    """
    # As SQLAlchemy does: "#" is a letter like others, and "%20" is a space since its 2.1.
    path = uri.partition("?")[0].partition(":///")[2]
    if path in ("", ":memory:"):
        raise UsageError(
            f"{visible(uri, 200)} names no database file",
            hint="A SQLite store is written sqlite:///relative/mlflow.db or sqlite:////absolute.db",
        )
    return Path(unquote(path) if _is_unquoted() else path)


@cache
def _is_unquoted() -> bool:
    """Whether the installed SQLAlchemy takes percent escapes in a path for what they stand for."""
    return tuple(map(int, version("sqlalchemy").split(".")[:2])) >= (2, 1)


def _quoted(path: str) -> str:
    return quote(path, safe="/:\\ #@+=&~!$'()*,;") if _is_unquoted() else path


def folder_of_file_store(uri: str) -> Path:
    """The folder of a file store's URI."""
    parts = urlsplit(uri)
    return Path(unquote(parts.path) if parts.scheme == "file" else uri)


def require_local(uri: str) -> None:
    """Raise when a local store does not exist: MLflow would create an empty one in its place.

    Raises:
        NotFoundError: no such file or folder, or one that no MLflow wrote.
    """
    if store_type(uri) == "sqlite" and not sqlite_path(uri).is_file():
        raise NotFoundError(
            f"no SQLite store at {visible(str(sqlite_path(uri)), 300)}",
            hint="Check --tracking-uri, or seed sample runs: "
            f"create-demo-runs --tracking-uri {visible(uri, 300)}",
        )
    if store_type(uri) == "file":
        folder = folder_of_file_store(uri)
        if folder.is_file():
            raise NotFoundError(
                f"{visible(str(folder), 300)} is a file, not a tracking URI",
                hint=f"A SQLite store is written sqlite:///{visible(str(folder), 300)}",
            )
        if not folder.is_dir():
            raise NotFoundError(
                f"no file store at {visible(str(folder), 300)}",
                hint="Check --tracking-uri, or set MLFLOW_TRACKING_URI.",
            )
        if os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() not in ("true", "1"):
            raise NotFoundError(
                f"{visible(str(folder), 300)} is a file store, which MLflow reads only on request",
                hint="Set MLFLOW_ALLOW_FILE_STORE=true, or move it into a database: "
                "mlflow migrate-filestore",
            )


def for_notebook(uri: str, folder: Path) -> str:
    """The URI as a notebook in ``folder`` should hold it.

    Jupyter runs a notebook in its own folder, so a relative local store is written relative to
    that; everything else, absolute paths that a person typed included, stays as it is.
    """
    where = store_type(uri)
    if where == "sqlite" and not _is_absolute(sqlite_path(uri)):
        query = uri.partition("?")[2]
        moved = _quoted(_relative(sqlite_path(uri), folder))
        return f"sqlite:///{moved}" + (f"?{query}" if query else "")
    if where == "file" and not urlsplit(uri).scheme and not Path(uri).is_absolute():
        return _relative(Path(uri), folder)
    return uri


def path_for_notebook(path: str, folder: Path) -> str:
    """The path of a file as a notebook in ``folder`` should hold it: an absolute one stays."""
    return path if not path or _is_absolute(Path(path)) else _relative(Path(path), folder)


def _is_absolute(path: Path) -> bool:
    """Also for a path with a Windows drive, on whatever system this is."""
    return path.is_absolute() or PureWindowsPath(str(path)).is_absolute()


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path.absolute(), folder.absolute())).as_posix()
