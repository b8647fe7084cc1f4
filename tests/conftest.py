"""What the tests share: real stores, a real server, and the values that break things."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ.pop("MLFLOW_TRACKING_URI", None)
# Where CI is set nobody is asked; the tests that ask are run by CI too.
os.environ.pop("CI", None)
# Where a test logs a trace, MLflow would fetch prices from GitHub.
os.environ["MLFLOW_MODEL_CATALOG_URI"] = ""
# Six processes beside the server that look for jobs all the time; no test gives them any.
os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"

pytest_plugins = ["torture_table", "tripwired"]

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent

HOSTILE = (
    "quotes ' \" ''' \"\"\" `",
    "back\\slash \\",
    "two\nlines\r\nthree",
    "{{ 7*7 }} {% raw %} {# x #}",
    '"); import os #',
    'x"\n# %%\nimport os',
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "![](http://host.invalid/beacon)",
    "```mermaid\ngraph TD\n```",
    "$\\href{javascript:alert(1)}{x}$ $x_1^2$ $",
    "esc \x1b[31m bell \x07",
    "\u202ertl\u2066 zero\u200bwidth line\u2028end",
    "emoji \U0001f600 汉字 ñ",
    "_leading underscore",
    "n" * 3000,
    "# heading | table | - [ ] task",
    " ",
)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database: copying it is a hundred times faster than migrating one."""
    path = tmp_path_factory.mktemp("migrated") / "mlflow.db"
    code = f"import mlflow; mlflow.MlflowClient('sqlite:///{path}').search_experiments()"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=path.parent)
    return path


@pytest.fixture
def empty_store(migrated: Path, tmp_path: Path) -> Path:
    """A fresh store without runs: the path of its database."""
    return Path(shutil.copy(migrated, tmp_path / "mlflow.db"))


@pytest.fixture(scope="session")
def demo_store(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the five demo runs. Read it only."""
    from qualia_lab.demo import create_demo_runs

    path = Path(shutil.copy(migrated, tmp_path_factory.mktemp("demo") / "mlflow.db"))
    create_demo_runs(f"sqlite:///{path}", count=5)
    return path


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[str]:
    """A real tracking server on loopback with the demo runs in it. Add to it, change nothing."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(migrated, folder / "mlflow.db")
    with tracking_server(folder / "mlflow.db") as url:
        from qualia_lab.demo import create_demo_runs

        create_demo_runs(url, count=2)
        yield url


@contextmanager
def tracking_server(store: Path, *, port: int = 0, workers: int = 1) -> Iterator[str]:
    """A real tracking server of a database: its address; artifacts lie beside the database."""
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", str(workers)]
    command += ["--backend-store-uri", f"sqlite:///{store}"]
    with (store.parent / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=store.parent, stdout=log, stderr=log)
    try:
        _wait_for(f"{url}/health", process, store.parent / "log")
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server died: {log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.3)
    raise RuntimeError(f"the server did not start: {log.read_text()[-2000:]}")
