"""The questions. The only file with questionary; Ctrl-C in any of them raises KeyboardInterrupt."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import questionary

from qualia_lab.analysis.directions import ranked
from qualia_lab.errors import OutputError, QualiaError
from qualia_lab.model import Experiment, RunInfo
from qualia_lab.notebook.write import require_free
from qualia_lab.text import visible
from qualia_lab.tracking import uris

_MARKS = {"FINISHED": "✓", "FAILED": "✗", "KILLED": "✗", "RUNNING": "▶", "SCHEDULED": "…"}
_TELLING = 3
_NAME_WIDTH = 32


def server(default: str) -> str:
    """Which tracking server."""
    question = questionary.text("Tracking server:", default=default, validate=_is_server)
    return str(_ask(question)).strip()


def experiments(active: Sequence[Experiment]) -> list[Experiment]:
    """Which experiments; the only one there is needs no question."""
    if len(active) == 1:
        return list(active)
    width = max(len(visible(one.name, 60)) for one in active)
    choices = [
        questionary.Choice(f"{visible(one.name, 60):<{width}}  {_age(one.updated)}", value=one)
        for one in active
    ]
    return _several("Experiments:", choices)


def runs(listed: Sequence[RunInfo]) -> list[RunInfo]:
    """Which runs, newest first: a status mark, name, age and the most telling metrics."""
    counts: dict[str, int] = {}
    for run in listed:
        for name in run.metrics:
            counts[name] = counts.get(name, 0) + 1
    telling = ranked(counts)[:_TELLING]
    width = min(_NAME_WIDTH, max(len(visible(run.name, _NAME_WIDTH)) for run in listed))
    most = shutil.get_terminal_size().columns - 8
    return _several(
        "Runs:",
        [questionary.Choice(_line(run, telling, width)[:most], value=run) for run in listed],
    )


def title(default: str) -> str:
    """The notebook's heading."""
    return str(_ask(questionary.text("Title:", default=default))).strip() or default


def output(default: Path, *, overwrite: bool) -> Path:
    """Where to write; a place that is taken is refused at once."""

    def is_free(text: str) -> bool | str:
        try:
            require_free(Path(text.strip() or default), overwrite=overwrite)
        except OutputError as error:
            return str(error)
        return True

    answer = _ask(questionary.text("Output:", default=str(default), validate=is_free))
    return Path(answer.strip() or default)


def confirm(what: str) -> bool:
    """Whether to go on."""
    return bool(_ask(questionary.confirm(visible(what), default=True)))


def _several(question: str, choices: list[questionary.Choice]) -> list[Any]:
    picked: list[Any] = _ask(
        questionary.checkbox(
            question,
            choices=choices,
            validate=lambda picked: bool(picked) or "Choose at least one (space), or all (ctrl-a).",
            instruction="(type to search, space to choose, ctrl-a for all, enter to go on)",
            use_search_filter=True,
            use_jk_keys=False,
        )
    )
    return picked


def _ask(question: questionary.Question) -> Any:
    return question.unsafe_ask()


def _is_server(text: str) -> bool | str:
    try:
        uris.require_local(uris.without_password(text.strip()))
    except (QualiaError, ValueError) as error:
        return visible(str(error), 200)
    return True


def _line(run: RunInfo, telling: Sequence[str], width: int) -> str:
    mark = _MARKS.get(run.status, "?")
    name = visible(run.name, width)[:width]
    metrics = [
        f"{visible(one, 24)}={run.metrics[one]:.4g}" for one in telling if one in run.metrics
    ]
    return f"{mark} {name:<{width}}  {_age(run.started):>8}  {'  '.join(metrics)}".rstrip()


def _age(milliseconds: int | None) -> str:
    if milliseconds is None:
        return ""
    seconds = max(0, time.time() - milliseconds / 1000)
    for unit, size in (("y", 31_557_600), ("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit} ago"
    return "just now"
