"""What a planned trace is. Times are seconds since the first day began, in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from qualia_lab.demo.llm.prices import Usage

Stage = Literal["summarize", "critique", "revise"]
Problem = Literal["", "TimeoutError", "RateLimitError", "JSONDecodeError"]

STAGES: tuple[Stage, ...] = ("summarize", "critique", "revise")
DAYS = 60
TRACES = 240
RATERS = ("rater-1", "rater-2", "rater-3")
JUDGE = "demo-judge"
JUDGE_MODEL = "gpt-4.1-mini"
VERSIONS = 3
USERS = 12
DAY = 86_400
TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request to a model; ``usage`` is None when nothing came back. Texts are whole."""

    stage: Stage
    model: str
    temperature: float
    system: str
    request: str
    answer: str
    usage: Usage | None
    start: float
    seconds: float
    problem: Problem = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Quality from 1 to 5: by the judge, with what it said and its tokens, and by the raters."""

    judge: int
    verdict: str
    usage: Usage
    raters: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTrace:
    """One execution of the pipeline.

    ``problem`` is what ended it, empty when it went well; a call that was refused and made again
    leaves its problem on the call alone. ``repeats`` is the number of the trace whose request this
    one repeats, word for word, models and temperature included.
    """

    number: int
    user: str
    team: str
    session: str
    version: int
    document: str
    question: str
    calls: tuple[Call, ...]
    problem: Problem
    repeats: int | None = None
    scores: Scores | None = None

    @property
    def start(self) -> float:
        return self.calls[0].start

    @property
    def end(self) -> float:
        return self.calls[-1].start + self.calls[-1].seconds

    @property
    def day(self) -> int:
        """0 for the first of the 60 days."""
        return int(self.start // DAY)
