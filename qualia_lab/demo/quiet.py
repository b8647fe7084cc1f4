"""MLflow without its chatter, for the time of a piece of work."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from qualia_lab.tracking import boundary

_SETTINGS = {
    # stdout carries the result of a command and nothing else.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # Traces are written when the call returns. Written later, by threads, to SQLite, the sums that
    # MLflow keeps for a trace come out too low at times.
    "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING": "false",
    # MLflow looks up the price of each call: in what came with it, not on the network.
    "MLFLOW_MODEL_CATALOG_URI": "",
}
_LOGGERS = ("mlflow", "alembic")


@contextmanager
def quiet_mlflow() -> Iterator[None]:
    """No telemetry, progress bars, URLs or INFO lines from MLflow, nothing fetched, nothing late.

    Afterwards all is as before.
    """
    before = {name: os.environ.get(name) for name in _SETTINGS}
    with boundary.limits():
        os.environ.update(_SETTINGS)
        try:
            # Imported first: the import itself sets the levels of these loggers.
            import mlflow  # noqa: F401

            levels = {name: logging.getLogger(name).level for name in _LOGGERS}
            try:
                for name in _LOGGERS:
                    logging.getLogger(name).setLevel(logging.ERROR)
                yield
            finally:
                for name, level in levels.items():
                    logging.getLogger(name).setLevel(level)
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
