"""The check as a job of GitHub Actions: a workflow that runs it each day and fails at an alarm."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from qualia_lab.analysis.times import DAY, seconds
from qualia_lab.errors import UsageError
from qualia_lab.model import Answer, RunSet
from qualia_lab.text import slug, visible

_SECRETS = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
)
# What a kind takes without being told; tests hold it against the kind.
_USUAL: Mapping[str, Answer] = {
    "baseline_part": 0.3,
    "current_part": 0.2,
    "false_alarms": 0.05,
    "label": "label",
    "prediction": "prediction",
}
_DAILY, _WEEKLY = "17 6 * * *", "17 6 * * 1"
_RARE_DAYS = 5
_FEWEST_DAYS, _MOST_DAYS = 30, 3650


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What a scheduled check looks at, in the words of ``create-observation-notebook``.

    ``days`` is how far back runs are taken; ``parameters`` are answers to questions of the kind,
    None for one that is left to its default. ``install`` is what pip installs Qualia Lab from: a
    wheel, or a repository at a commit. Without it the job says that it has to be named, and fails:
    what is installed runs beside the secrets, so that no name on a package index is guessed.
    """

    kind: str
    experiments: Sequence[str]
    days: int
    parameters: Mapping[str, Answer] = field(default_factory=dict)
    fail_on: str = "alarm"
    cron: str = _DAILY
    install: str | None = None


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow file. ``text`` is what goes into ``.github/workflows/``; a cell shows it."""

    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        fence = "```"
        while fence in self.text:
            fence += "`"
        return f"{fence}yaml\n{self.text}{fence}"


def check_workflow(
    runs: RunSet,
    kind: str,
    parameters: Mapping[str, Answer] | None = None,
    fail_on: str = "alarm",
    install: str | None = None,
) -> Workflow:
    """The workflow that makes this notebook anew on a schedule, and fails when it finds something.

    ``parameters`` are the answers of this notebook; those that a kind takes by itself are not
    repeated. ``install`` is what pip installs Qualia Lab from, such as a wheel's address or
    ``git+https://...@commit``; the workflow fails with a message until that is named.

    It looks at the experiments of these runs, as far back as they reach (30 days at least); daily,
    or weekly where they are more than 5 days apart. An experiment is named by its id where its name
    can't stand on a command line. The server and its credentials are secrets of the repository:
    none of them is in the text.
    """
    starts = seconds(runs.runs["started"])
    starts = np.sort(starts[np.isfinite(starts)])
    span = float(starts[-1] - starts[0]) / DAY if len(starts) else 0.0
    gaps = np.diff(starts) / DAY
    is_rare = len(gaps) > 0 and float(np.median(gaps)) > _RARE_DAYS
    names = runs.runs[["experiment", "experiment_id"]].drop_duplicates()
    check = Check(
        kind=kind,
        experiments=[
            str(name) if name and _can_be_said(str(name)) else str(experiment_id)
            for name, experiment_id in names.itertuples(index=False)
        ],
        days=int(np.clip(math.ceil(span) + 1, _FEWEST_DAYS, _MOST_DAYS)),
        parameters={
            name: value
            for name, value in (parameters or {}).items()
            if value is not None and _USUAL.get(name) != value
        },
        install=install,
        fail_on=fail_on,
        cron=_WEEKLY if is_rare else _DAILY,
    )
    return Workflow(workflow_text(check))


def workflow_text(check: Check) -> str:
    """The workflow of a check: YAML whose only values of anybody are ``shell_word``s.

    Raises:
        UsageError: a value can't stand on a command line.
    """
    name = slug(check.kind, "check")
    words = [_flag("--kind", check.kind)]
    words += [_flag("--experiment", one) for one in check.experiments]
    words += [f"--since {check.days:d}d"]
    words += [
        _flag("--param", f"{key}={value}")
        for key, value in check.parameters.items()
        if value is not None
    ]
    words += [f"--output {name}.ipynb", f"--execute {_flag('--fail-on', check.fail_on)}"]
    words += ["--summary summary.md --json > findings.json"]
    command = " \\\n            ".join(["create-observation-notebook", *words])
    secrets = "\n".join(f"          {one}: ${{{{ secrets.{one} }}}}" for one in _SECRETS)
    return f"""\
name: {name}

on:
  schedule:
    - cron: "{check.cron}"
  workflow_dispatch:

permissions:
  contents: read

jobs:
  check:
    runs-on: ubuntu-latest
    timeout-minutes: 30
    steps:
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - name: Install
        run: |
          {_install(check.install)}
      - name: Check
        env:
{secrets}
        run: |
          {command}
      - name: Summary
        if: ${{{{ !cancelled() }}}}
        run: |
          if [ -f summary.md ]; then cat summary.md >> "$GITHUB_STEP_SUMMARY"; fi
      - uses: actions/upload-artifact@v4
        if: ${{{{ !cancelled() }}}}
        with:
          name: {name}
          path: |
            {name}.ipynb
            summary.md
            findings.json
          if-no-files-found: warn
"""


def _install(source: str | None) -> str:
    """The lines of the step that installs; without a source they fail, and say what to do."""
    lines = [f"QUALIA_LAB={shell_word(source or '')}"]
    if not source:
        lines.insert(
            0, "# A wheel of yours, or git+https://... at a commit: it runs beside secrets."
        )
        lines += [
            'if [ -z "$QUALIA_LAB" ]; then',
            '  echo "::error::Name what to install in QUALIA_LAB, in the step Install"',
            "  exit 1",
            "fi",
        ]
    lines.append('python -m pip install "$QUALIA_LAB"')
    return "\n          ".join(lines)


def shell_word(text: str) -> str:
    """A text as one word of bash that can stand in a block of YAML and in a workflow.

    Printable text is quoted; anything else is written in bytes (``$'\\x1b'``), so that nothing
    hides, breaks a line or is no YAML. What GitHub would take for an expression of its own is
    broken up without changing the word.

    Raises:
        UsageError: there is a NUL or half a surrogate pair in it, which no command line can hold.
    """
    if not _can_be_said(text):
        raise UsageError(f"{visible(text, 60)} can't stand on a command line")
    if text.isprintable():
        return shlex.quote(text).replace("${{", "$''{{")
    plain = "".join(
        char if char.isascii() and char.isprintable() and char not in "\\'$" else _bytes(char)
        for char in text
    )
    return f"$'{plain}'"


def _bytes(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in char.encode())


def _can_be_said(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def _flag(name: str, value: str) -> str:
    """A flag with its value; in one word where the value would look like a flag."""
    is_flag = value.startswith("-")
    return shell_word(f"{name}={value}") if is_flag else f"{name} {shell_word(value)}"
