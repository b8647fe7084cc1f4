"""Writes what in the docs comes out of the commands: docs/cli.md, and the outputs on other pages.

    python docs/refresh.py

``cli.md`` is the --help of every command. On the pages of ``SHOWN``, each block that begins with
``$ command`` is run, in order, in a folder with demo runs, and what it prints is put behind it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
_NOT_OURS = ("MLFLOW_", "QUALIA_")
SHOWN = ("choosing_runs.md",)
FRONT_DOORS = ("create-observation-notebook", "create-demo-runs")
HEAD = """# Commands

Every command with its flags, as `--help` prints them. `qualia-lab create` and `qualia-lab demo` are
`create-observation-notebook` and `create-demo-runs`.
"""
BLOCK = re.compile(r"(?<=```console\n)\$ (?P<command>.*?)\n(?P<output>.*?)(?=```)", re.DOTALL)


def environment() -> dict[str, str]:
    """The environment that commands run in: 100 columns, nobody to ask, no server chosen."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(_NOT_OURS)}
    path = f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**kept, "PATH": path, "COLUMNS": "100", "MLFLOW_DISABLE_TELEMETRY": "true"}


def run(command: str, folder: Path) -> str:
    """What a line of shell prints, errors included; MLflow's own messages are not ours to show."""
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.stdout


def reference() -> str:
    """The whole of cli.md."""
    folder = Path.cwd()
    listed = run("qualia-lab --help", folder).partition("Commands:")[2]
    names = re.findall(r"^  (\w+)  ", listed, re.MULTILINE)
    others = [f"qualia-lab {name}" for name in names if name not in ("create", "demo")]
    parts = [HEAD]
    for command in (*FRONT_DOORS, "qualia-lab", *others):
        help_text = run(f"{command} --help", folder).rstrip()
        parts.append(f"## {command}\n\n```text\n{help_text}\n```\n")
    return "\n".join(parts)


def with_outputs(text: str) -> str:
    """A page with what its commands print now, in a folder with fourteen demo runs."""
    with tempfile.TemporaryDirectory() as folder:
        run("create-demo-runs 14", Path(folder))
        return BLOCK.sub(
            lambda found: f"$ {found['command']}\n{run(found['command'], Path(folder))}", text
        )


def main() -> None:
    """Rewrite the pages."""
    (DOCS / "cli.md").write_text(reference(), encoding="utf-8")
    for name in SHOWN:
        page = DOCS / name
        page.write_text(with_outputs(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
