"""The one place where what MLflow and its libraries raise becomes an error of this project."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from qualia_lab import secrets
from qualia_lab.errors import (
    MissingPartError,
    NotAllowedError,
    NotFoundError,
    QualiaError,
    ServerError,
    UsageError,
)
from qualia_lab.text import visible
from qualia_lab.tracking import uris

# MLflow waits four minutes for a refused connection by default (7 retries with growing pauses).
_PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
}
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
# Drivers whose package has another name than their module.
_PACKAGES = {
    "psycopg": '"psycopg[binary]"',
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
}
_ANSWER_SECONDS = 30.0
TIMEOUT_VARIABLE = "QUALIA_TIMEOUT"
_START_SERVER = "Is it running? Check the address, or start one: mlflow server --port 5000"
_TIMEOUT_HINT = "Is the server busy? Try again later, or wait longer for an answer: --timeout 120"


def answer_seconds() -> float:
    """How long to wait for a whole answer, retries included."""
    given = os.environ.get(TIMEOUT_VARIABLE)
    try:
        return float(given) if given else _ANSWER_SECONDS
    except ValueError:
        raise UsageError(f"{TIMEOUT_VARIABLE} is no number of seconds") from None


def read_seconds() -> float:
    """How long to wait for a server to send anything."""
    given = os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT")
    return float(given) if given else answer_seconds() * 2 / 3


@contextmanager
def limits() -> Iterator[None]:
    """MLflow's own settings for the time of a call; then as before.

    Fewer retries, no telemetry, no bars of progress; what a person set in the environment stands.
    MLflow logs what it raises as well; it is silent meanwhile, since the caller says it once.
    """
    seconds = max(1, round(read_seconds()))  # MLflow knows whole seconds only
    wanted = {**_PATIENCE, **_QUIET, "MLFLOW_HTTP_REQUEST_TIMEOUT": str(seconds)}
    added = [name for name in wanted if name not in os.environ]
    os.environ.update({name: wanted[name] for name in added})
    logger = logging.getLogger("mlflow")
    level = logger.level
    if "mlflow" in sys.modules:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        if "mlflow" in sys.modules and logger.level == logging.CRITICAL:
            logger.setLevel(level)
        for name in added:
            os.environ.pop(name, None)


@contextmanager
def translate(uri: str, doing: str) -> Iterator[None]:
    """Turn whatever a store's client raises while ``doing`` something into a ``QualiaError``."""
    try:
        with limits():
            yield
    except (QualiaError, KeyboardInterrupt):
        raise
    except ImportError as error:
        raise MissingPartError(
            f"{doing} {visible(uri, 200)} needs a package that is not installed: {error.name}",
            hint=f"pip install {_PACKAGES.get(str(error.name), error.name)}",
        ) from error
    except Exception as error:
        if not _is_foreign(error):
            raise
        # A notebook shows the causes of an error too, and MLflow's texts hold the password.
        raise _translated(error, uri, doing) from None if _tells_secret(error) else error


def _is_foreign(error: Exception) -> bool:
    """Whether a store or the network can have caused it, rather than a fault of this project."""
    outside = ("mlflow", "google", "requests", "urllib3", "sqlalchemy", "sqlite3", "json")
    rooms = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    return bool(rooms & set(outside)) or isinstance(error, OSError | ValueError | UnicodeError)


def _tells_secret(error: BaseException | None) -> bool:
    while error is not None:
        if secrets.scrub(str(error)) != str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _translated(error: Exception, uri: str, doing: str) -> QualiaError:
    said = _first_line(error)
    where = visible(uri, 200)
    code = getattr(error, "error_code", "")
    status = _http_status(error)
    if code in ("PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED") or status in (
        401,
        403,
    ):
        return not_allowed(where, doing, said)
    if code in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"):
        hint = "Was it deleted meanwhile? See what there is: qualia-lab runs"
        return NotFoundError(f"{doing} {where}: {said}", hint=hint)
    if code == "INVALID_PARAMETER_VALUE":
        return UsageError(f"{doing} {where}: {said}")
    if "readonly database" in str(error):
        return ServerError(
            f"MLflow would have to change {where} before it can be read",
            hint="Nothing is written here. Back it up, then open it once with MLflow itself.",
        )
    if "out-of-date database schema" in said:
        return ServerError(
            f"{where} has another schema version than the installed MLflow",
            hint=f"Back it up, then: mlflow db upgrade {where}",
        )
    if uris.store_type(uri) == "http":
        return ServerError(f"{doing} {where} failed: {said}", hint=_next_step(error, status))
    return ServerError(
        f"{doing} {where} failed: {said}",
        hint="Check that the store is an MLflow database that this person may read.",
    )


def _next_step(error: Exception, status: int | None) -> str:
    """What to do about a server that failed, by what it did."""
    if status == 404:
        return "Is the base path right? Or the server is older, or a proxy does not pass this on."
    if status is not None and 300 <= status < 400:
        return "Check the address; a proxy or login page may stand in between."
    if status is not None:
        return "The server or a proxy is failing or overloaded: try again later, or see its log."
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
        return _TIMEOUT_HINT
    if type(error) is ValueError or isinstance(error, json.JSONDecodeError | UnicodeError):
        return "Check the address; a proxy or login page may stand in between."
    return _START_SERVER


def not_allowed(where: str, doing: str, said: str) -> NotAllowedError:
    """The store said 401 or 403: name the variables to set, or the server's own flag."""
    if "Invalid Host header" in said:
        hint = "The server does not accept this host name: start it with --allowed-hosts, or use "
        hint += "the name it allows."
    else:
        hint = (
            "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN."
        )
    return NotAllowedError(f"{doing} {where} is not allowed: {said}", hint=hint)


def _http_status(error: Exception) -> int | None:
    getter = getattr(error, "get_http_status_code", None)
    response = getattr(error, "response", None)
    if response is not None:
        return int(response.status_code)
    return int(getter()) if getter else None


def _first_line(error: Exception) -> str:
    text = secrets.scrub(str(error)).strip() or type(error).__name__
    # requests wraps what the system said, "[Errno 111] Connection refused", four times over.
    found = re.search(r"\[Errno -?\d+\] ([^'\")]+)", text)
    if found and "HTTPConnection" in text:
        text = found[1]
    # And "('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))".
    found = re.match(r"\('[^']*', \w+\((?:\d+, )?'([^']+)'\)\)$", text)
    if found:
        text = found[1]
    return visible(text.splitlines()[0], 300)
