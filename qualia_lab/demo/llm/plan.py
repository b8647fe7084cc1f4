"""Which traces are made: pure data, from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from qualia_lab.demo.llm import texts
from qualia_lab.demo.llm.prices import UNLISTED, Usage
from qualia_lab.demo.llm.records import (
    DAY,
    DAYS,
    STAGES,
    TIMEOUT_SECONDS,
    TRACES,
    USERS,
    VERSIONS,
    Call,
    PlannedTrace,
    Problem,
    Scores,
    Stage,
)

REPEATS, TIMEOUTS, MALFORMED = 36, 10, 12
BURST_DAYS, IN_A_BURST = (12, 31, 50), 6

_TEMPERATURES = (0.0, 0.3, 0.7, 1.0)
_MODELS: dict[Stage, dict[str, int]] = {
    "summarize": {
        "gpt-4.1-mini": 35, "gemini-2.5-flash": 35, "mistral-small-2506": 20, UNLISTED: 10,
    },
    "critique": {"gpt-4.1": 35, "claude-sonnet-4-5": 45, "claude-sonnet-4-0": 20},
    "revise": {"claude-haiku-4-5": 45, "gpt-4.1-mini": 35, "claude-sonnet-4-0": 20},
}  # fmt: skip
# Output tokens a second.
_SPEED = {"gpt-4.1": 60, "claude-sonnet-4-5": 55, "claude-sonnet-4-0": 50, UNLISTED: 25}
_USUAL_SPEED = 110
_CACHING = "claude-sonnet-4-5"  # writes the prefix, then reads it while the cache lives
_CACHED_SECONDS = 300.0  # since its last use, within a session
_CACHED_BY_ITSELF = "gpt-4.1"  # reads it at times, in blocks of 128 tokens, and charges no writing
_BLOCK = 128
_THIRD = DAYS // VERSIONS  # days of each version of the prompt
_RAMBLES = 0.08  # the share of answers that say everything four times


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """What decides the words of a trace: a repetition has the same."""

    wine: int
    question: str
    version: int
    temperature: float
    models: tuple[str, ...]
    orders: tuple[tuple[int, ...], ...]
    times: int


def traces(seed: int) -> tuple[PlannedTrace, ...]:
    """All 240 traces in the order of their start.

    Of these, 36 repeat an earlier request, 10 end in a timeout and 12 with an answer that is no
    JSON. In three bursts of 6, each within minutes, a provider refuses calls for their rate: every
    second trace of a burst gives up, the others try again and go on. The number of traces a day
    grows slowly; versions 2 and 3 of the prompt begin on days 20 and 40.
    """
    return _Planner(seed).plan()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slot:
    """When a trace starts and who asks; ``burst`` is its place in a burst of refusals."""

    start: float
    user: int
    burst: int | None = None


class _Planner:
    def __init__(self, seed: int) -> None:
        self._rng = Random(f"llm {seed}")  # noqa: S311
        self._requests: list[_Request] = []
        self._cached: dict[str, float] = {}
        pairs = [
            (wine, question)
            for wine in range(len(texts.wines().rows))
            for question in texts.QUESTIONS
        ]
        self._subjects = self._rng.sample(pairs, TRACES)

    def plan(self) -> tuple[PlannedTrace, ...]:
        slots = self._slots()
        problems = self._problems(slots)
        repeats = self._repeats(slots, problems)
        return tuple(
            self._trace(number, slot, problems.get(number, ""), repeats.get(number))
            for number, slot in enumerate(slots)
        )

    def _slots(self) -> list[_Slot]:
        """When each trace starts and who asks: each day, a few people, minutes apart."""
        usual = TRACES - len(BURST_DAYS) * IN_A_BURST
        sittings = [self._sittings(day) for day in range(DAYS)]
        slots = []
        for number in range(usual):
            # Twice as many a day in the end as at first: the inverse of a rising straight line.
            share = (number + 0.5) / usual
            day = int(DAYS * ((1 + 3 * share) ** 0.5 - 1))
            user, hour = self._rng.choice(sittings[day])
            start = day * DAY + hour * 3600 + self._rng.uniform(0, 900)
            slots.append(_Slot(start=round(start, 3), user=user))
        for day in BURST_DAYS:
            for place in range(IN_A_BURST):
                start = float(day * DAY + 14 * 3600 + 40 * place)
                user, _ = self._rng.choice(sittings[day])
                slots.append(_Slot(start=start, user=user, burst=place))
        return sorted(slots, key=lambda slot: slot.start)

    def _sittings(self, day: int) -> list[tuple[int, int]]:
        """Who uses the pipeline on a day, and from which hour on; some people do more often."""
        who = self._rng.choices(range(1, USERS + 1), weights=range(USERS, 0, -1), k=2)
        return [(user, self._rng.randrange(8, 18)) for user in sorted(set(who))]

    def _problems(self, slots: list[_Slot]) -> dict[int, Problem]:
        usual = [number for number, slot in enumerate(slots) if slot.burst is None]
        chosen = self._rng.sample(usual, TIMEOUTS + MALFORMED)
        problems: dict[int, Problem] = dict.fromkeys(chosen[:TIMEOUTS], "TimeoutError")
        problems |= dict.fromkeys(chosen[TIMEOUTS:], "JSONDecodeError")
        gave_up = [number for number, slot in enumerate(slots) if (slot.burst or 0) % 2]
        return problems | dict.fromkeys(gave_up, "RateLimitError")

    def _repeats(self, slots: list[_Slot], problems: dict[int, Problem]) -> dict[int, int]:
        """Which trace repeats which earlier one of the same version; both went well."""
        well = [number for number in range(len(slots)) if number not in problems]
        later = [number for number in well if slots[number].start % (DAY * _THIRD) > 6 * DAY]
        repeats: dict[int, int] = {}
        for number in sorted(self._rng.sample(later, REPEATS)):
            version = _version(slots[number].start)
            earlier = [
                other
                for other in well
                if other < number
                and other not in repeats
                and _version(slots[other].start) == version
            ]
            repeats[number] = self._rng.choice(earlier)
        return repeats

    def _trace(
        self, number: int, slot: _Slot, problem: Problem, repeats: int | None
    ) -> PlannedTrace:
        request = self._requests[repeats] if repeats is not None else self._request(number, slot)
        self._requests.append(request)
        session = f"session-{int(slot.start // DAY):02d}-{slot.user}"
        calls = self._calls(request, session, slot, problem)
        return PlannedTrace(
            number=number,
            user=f"user-{slot.user}",
            team=f"team-{'abc'[slot.user % 3]}",
            session=session,
            version=request.version,
            document=texts.document(request.wine),
            question=request.question,
            calls=calls,
            problem=problem,
            repeats=repeats,
            scores=None if problem else self._scores(number, request, calls[-1].answer),
        )

    def _request(self, number: int, slot: _Slot) -> _Request:
        rng = self._rng
        columns = range(len(texts.wines().names))
        wine, question = self._subjects[number]
        return _Request(
            wine=wine,
            question=question,
            version=_version(slot.start),
            temperature=rng.choice(_TEMPERATURES),
            models=tuple(
                rng.choices(list(_MODELS[stage]), weights=list(_MODELS[stage].values()))[0]
                for stage in STAGES
            ),
            orders=tuple(tuple(rng.sample(columns, rng.randint(4, len(columns)))) for _ in STAGES),
            times=4 if rng.random() < _RAMBLES else 1,
        )

    def _calls(
        self, request: _Request, session: str, slot: _Slot, problem: Problem
    ) -> tuple[Call, ...]:
        """The calls of one trace up to what ended it; a refused one comes before its repetition."""
        calls: list[Call] = []
        ends_at = self._rng.randrange(len(STAGES)) if problem == "TimeoutError" else None
        carried = f"{texts.document(request.wine)}\n\nQuestion: {request.question}"
        now = slot.start
        for place, stage in enumerate(STAGES):
            model, order = request.models[place], request.orders[place]
            if stage == "summarize":
                answer = texts.summary(request.wine, order, request.times)
            elif stage == "critique":
                answer = texts.critique(order, request.times)
            else:
                whole = problem != "JSONDecodeError"
                answer = texts.revision(request.wine, order, request.times, whole=whole)
            if slot.burst is not None and stage == "critique":
                calls.append(self._lost(request, stage, carried, now, 0.4, "RateLimitError"))
                if problem == "RateLimitError":
                    break
                now += 20.0
            if ends_at == place:
                failed = self._lost(request, stage, carried, now, TIMEOUT_SECONDS, "TimeoutError")
                calls.append(failed)
                break
            system = texts.system(stage, request.version)
            usage = Usage(
                input=texts.tokens(system) + texts.tokens(carried),
                output=texts.tokens(answer),
                **self._cache(model, session, now),
            )
            seconds = 0.3 + usage.output / _SPEED.get(model, _USUAL_SPEED)
            seconds = round(seconds * self._rng.lognormvariate(0, 0.25), 3)
            calls.append(
                Call(
                    stage=stage,
                    model=model,
                    temperature=request.temperature,
                    system=system,
                    request=carried,
                    answer=answer,
                    usage=usage,
                    start=round(now, 3),
                    seconds=seconds,
                )
            )
            now += seconds + 0.01
            carried = f"{carried}\n\nThe {stage} step said: {answer}"
        return tuple(calls)

    def _lost(
        self,
        request: _Request,
        stage: Stage,
        carried: str,
        now: float,
        seconds: float,
        problem: Problem,
    ) -> Call:
        return Call(
            stage=stage,
            model=request.models[STAGES.index(stage)],
            temperature=request.temperature,
            system=texts.system(stage, request.version),
            request=carried,
            answer="",
            usage=None,
            start=round(now, 3),
            seconds=seconds,
            problem=problem,
        )

    def _cache(self, model: str, session: str, now: float) -> dict[str, int]:
        """Tokens read from and written to the cache of prompts by a call at that time."""
        shared = texts.tokens(texts.prefix())
        if model == _CACHING:
            last = self._cached.get(session)
            self._cached[session] = now
            if last is not None and now - last <= _CACHED_SECONDS:
                return {"cache_read": shared}
            return {"cache_write": shared}
        if model == _CACHED_BY_ITSELF and self._rng.random() < 0.5:
            return {"cache_read": shared // _BLOCK * _BLOCK}
        return {}

    def _scores(self, number: int, request: _Request, answer: str) -> Scores | None:
        """Every second trace is judged, every fourth also rated. Later versions are better."""
        if number % 2:
            return None
        rng = self._rng
        quality = 2.6 + 0.4 * request.version + 0.5 * (request.models[2] != "gpt-4.1-mini")
        quality += rng.gauss(0, 0.7)

        def score(bias: float, noise: float) -> int:
            return min(5, max(1, round(quality + bias + rng.gauss(0, noise))))

        # The judge is kind, the second rater strict.
        judge = score(0.4, 0.4)
        rated = tuple(score(bias, 0.45) for bias in (0.0, -0.4, 0.1)) if number % 4 == 0 else ()
        verdict = texts.verdict(judge, request.orders[2])
        usage = Usage(
            input=texts.tokens(texts.JUDGE_TASK) + texts.tokens(answer),
            output=texts.tokens(verdict),
        )
        return Scores(judge=judge, verdict=verdict, usage=usage, raters=rated)


def _version(start: float) -> int:
    return 1 + int(start // (DAY * _THIRD))
