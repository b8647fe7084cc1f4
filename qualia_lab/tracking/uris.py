"""Tracking URIs: which one, to what, without its password, and as a notebook should hold it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from qualia_lab import secrets
from qualia_lab.errors import NotFoundError, UsageError
from qualia_lab.text import visible

VARIABLE = "MLFLOW_TRACKING_URI"
DEFAULT = "sqlite:///mlflow.db"
_DEFAULT_FILE_STORE = "./mlruns"

StoreType = Literal["sqlite", "database", "http", "file", "other"]

_DATABASES = ("postgresql", "mysql", "mssql")
_SECRET_KEYS = re.compile(r"passw|secret|token|api_?key|sslkey", re.IGNORECASE)


def default() -> str:
    """The URI that MLflow itself would use here: the environment's, else its own default.

    MLflow's default is ``sqlite:///mlflow.db``, or ``./mlruns`` where that folder holds data.
    """
    given = os.environ.get(VARIABLE)
    if given:
        return given
    has_data = any(Path(_DEFAULT_FILE_STORE).glob("[0-9]*/meta.yaml"))
    return _DEFAULT_FILE_STORE if has_data else DEFAULT


def store_type(uri: str) -> StoreType:
    """What a URI names."""
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
        bare = without_password(uri)
    except ValueError as error:
        raise UsageError(
            f"{visible(secrets.scrub(uri), 200)} is not a URI: {error}",
            hint="Examples: sqlite:///mlflow.db, http://127.0.0.1:5000",
        ) from error
    if bare != uri:
        os.environ[VARIABLE] = uri
    return bare


def without_password(uri: str) -> str:
    """The URI without its password; over HTTP the user name goes too, since it comes with one.

    Every secret that is taken out is remembered, so that nothing else can show it either.
    """
    parts = urlsplit(uri)
    netloc = parts.netloc
    if "@" in netloc and store_type(uri) != "file":
        login, host = netloc.rsplit("@", 1)
        user, _, password = login.partition(":")
        for secret in {password, unquote(password)}:
            secrets.remember(secret)
        netloc = f"{user}@{host}" if store_type(uri) == "database" else host
    query = parts.query
    pairs = parse_qsl(query, keep_blank_values=True)
    if any(_SECRET_KEYS.search(key) for key, _ in pairs):
        for key, value in pairs:
            if _SECRET_KEYS.search(key):
                secrets.remember(value)
        query = urlencode([(key, value) for key, value in pairs if not _SECRET_KEYS.search(key)])
    if (netloc, query) == (parts.netloc, parts.query):
        return uri
    return urlunsplit(parts._replace(netloc=netloc, query=query))


def with_password(uri: str) -> str:
    """The URI to connect with: the environment's where it is this one with its password."""
    full = os.environ.get(VARIABLE, "")
    return full if full and full != uri and without_password(full) == uri else uri


def sqlite_path(uri: str) -> Path:
    """The file of a ``sqlite:///`` URI, relative or absolute as written.

    Raises:
        UsageError: the URI names no file (``sqlite://``, ``sqlite:///:memory:``).
    """
    # SQLAlchemy takes the path as it stands: no unquoting, and "#" is a letter like others.
    path = uri.partition("?")[0].partition(":///")[2]
    if path in ("", ":memory:"):
        raise UsageError(
            f"{visible(uri, 200)} names no database file",
            hint="A SQLite store is written sqlite:///relative/mlflow.db or sqlite:////absolute.db",
        )
    return Path(path)


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
    if where == "sqlite" and not sqlite_path(uri).is_absolute():
        query = uri.partition("?")[2]
        moved = _relative(sqlite_path(uri), folder)
        return f"sqlite:///{moved}" + (f"?{query}" if query else "")
    if where == "file" and not urlsplit(uri).scheme and not Path(uri).is_absolute():
        return _relative(Path(uri), folder)
    return uri


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path.absolute(), folder.absolute())).as_posix()
