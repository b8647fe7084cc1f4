"""The ground truth of the traces: every planted number, added up exactly from the plan."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import date, timedelta
from itertools import combinations
from typing import Any

from qualia_lab.demo.llm import plan, prices, records, texts
from qualia_lab.demo.llm.prices import Usage, dollars
from qualia_lab.demo.llm.records import Call, PlannedTrace

_KINDS = ("input", "output", "cache_read", "cache_write")


def of(traces: Sequence[PlannedTrace], seed: int, first_day: date) -> dict[str, Any]:
    """Everything that was planted, fit for JSON. Amounts are strings: US dollars, nine decimals."""
    days = [first_day + timedelta(days=day) for day in range(records.DAYS)]
    return {
        "scenario": "llm",
        "simulated": True,
        "seed": seed,
        "first_day": days[0].isoformat(),
        "last_day": days[-1].isoformat(),
        "time_zone": "UTC",
        "rules": {
            "tokens": "a quarter of a text's characters, rounded down; input counts the system "
            "message and the user message, cached tokens included",
            "cost": "each kind of token at its own price; calls of a model without a price are in "
            "no sum here and stand under unpriced",
            "by": "only calls of the pipeline; the judge stands by itself",
        },
        "prices": _prices(),
        "counts": _counts(traces),
        "tokens": _tokens(call.usage for _, call in _calls(traces)),
        "cost": _cost(traces, days),
        "errors": _errors(traces, days),
        "repeats": _repeats(traces),
        "shared_prefix": _shared_prefix(traces),
        "judge": _judge(traces),
        "scores": _scores(traces),
    }


def _calls(traces: Sequence[PlannedTrace]) -> Iterator[tuple[PlannedTrace, Call]]:
    """Every call that a model answered, with its trace."""
    for trace in traces:
        for call in trace.calls:
            if call.usage:
                yield trace, call


def _prices() -> dict[str, Any]:
    return {
        "source": prices.SOURCE,
        "unit": "US dollars per million tokens",
        "models": {
            model: {kind: value for kind, value in asdict(price).items() if value is not None}
            for model, price in prices.PRICES.items()
        },
        "not_recorded_on_spans": sorted(prices.NOT_RECORDED),
        "in_no_list": [prices.UNLISTED],
    }


def _counts(traces: Sequence[PlannedTrace]) -> dict[str, Any]:
    calls = [call for trace in traces for call in trace.calls]
    return {
        "traces": len(traces),
        "traces_ok": sum(not trace.problem for trace in traces),
        "traces_error": sum(bool(trace.problem) for trace in traces),
        "calls": len(calls),
        "calls_answered": sum(call.usage is not None for call in calls),
        "judge_traces": sum(trace.scores is not None for trace in traces),
        "users": len({trace.user for trace in traces}),
        "teams": len({trace.team for trace in traces}),
        "sessions": len({trace.session for trace in traces}),
        "traces_by_version": dict(Counter(str(trace.version) for trace in traces)),
    }


def _tokens(usages: Any) -> dict[str, int]:
    total: Counter[str] = Counter(dict.fromkeys(_KINDS, 0))
    for usage in usages:
        total.update(asdict(usage))
    return dict(total)


def _nano(model: str, usage: Usage | None) -> int:
    return sum(prices.cost(model, usage) or ()) if usage else 0


def _spent(call: Call) -> int:
    return _nano(call.model, call.usage)


def _cost(traces: Sequence[PlannedTrace], days: Sequence[date]) -> dict[str, Any]:
    calls = list(_calls(traces))

    def by(key: Callable[[PlannedTrace, Call], str]) -> dict[str, str]:
        sums: defaultdict[str, int] = defaultdict(int)
        for trace, call in calls:
            if _source(call) != "unpriced":
                sums[key(trace, call)] += _spent(call)
        return {name: dollars(sums[name]) for name in sorted(sums)}

    recorded = [call for _, call in calls if _source(call) == "recorded"]
    repriced = [call for _, call in calls if _source(call) == "repriced"]
    unpriced = [call for _, call in calls if _source(call) == "unpriced"]
    return {
        "unit": "US dollars",
        "total": dollars(sum(_spent(call) for _, call in calls)),
        "recorded": dollars(sum(map(_spent, recorded))),
        "repriced": dollars(sum(map(_spent, repriced))),
        "calls": {
            "recorded": len(recorded), "repriced": len(repriced), "unpriced": len(unpriced),
        },
        "unpriced_tokens": _tokens(call.usage for call in unpriced),
        "by_model": by(lambda _, call: call.model),
        "by_stage": by(lambda _, call: call.stage),
        "by_user": by(lambda trace, _: trace.user),
        "by_team": by(lambda trace, _: trace.team),
        "by_session": by(lambda trace, _: trace.session),
        "by_version": by(lambda trace, _: str(trace.version)),
        "by_day": by(lambda trace, _: days[trace.day].isoformat()),
        "tokens_by_model": {
            model: _tokens(call.usage for _, call in calls if call.model == model)
            for model in sorted({call.model for _, call in calls})
        },
    }  # fmt: skip


def _source(call: Call) -> str:
    if call.model not in prices.PRICES:
        return "unpriced"
    return "repriced" if call.model in prices.NOT_RECORDED else "recorded"


def _errors(traces: Sequence[PlannedTrace], days: Sequence[date]) -> dict[str, Any]:
    refused = [trace for trace in traces if any(c.problem == "RateLimitError" for c in trace.calls)]
    return {
        "traces_by_type": dict(sorted(Counter(t.problem for t in traces if t.problem).items())),
        "calls_by_type": dict(
            sorted(Counter(c.problem for t in traces for c in t.calls if c.problem).items())
        ),
        "malformed_answers": sum(trace.problem == "JSONDecodeError" for trace in traces),
        "timeout_seconds": records.TIMEOUT_SECONDS,
        "rate_limit_bursts": [
            {
                "day": days[day].isoformat(),
                "refused_calls": sum(trace.day == day for trace in refused),
                "traces_given_up": sum(trace.day == day and bool(trace.problem)
                                       for trace in refused),
            }
            for day in plan.BURST_DAYS
        ],
        "cost_of_failed_traces": dollars(
            sum(_spent(call) for trace, call in _calls(traces) if trace.problem)
        ),
    }  # fmt: skip


def _repeats(traces: Sequence[PlannedTrace]) -> dict[str, Any]:
    repeated = [trace for trace in traces if trace.repeats is not None]
    calls = list(_calls(repeated))
    return {
        "traces": len(repeated),
        "requests_that_were_repeated": len({trace.repeats for trace in repeated}),
        "calls": len(calls),
        "cost": dollars(sum(_spent(call) for _, call in calls)),
        "rule": "the document, the question, the models, the temperature and the version of the "
        "prompt are those of an earlier trace; so is every message of its calls",
    }


def _shared_prefix(traces: Sequence[PlannedTrace]) -> dict[str, Any]:
    calls = list(_calls(traces))
    first, last = min(call.system for _, call in calls), max(call.system for _, call in calls)
    differs = (at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b)
    shared = first[: next(differs, len(first))]
    return {
        "characters": len(shared),
        "tokens": texts.tokens(shared),
        "calls": len(calls),
        "calls_by_model": dict(sorted(Counter(call.model for _, call in calls).items())),
        "cacheable_tokens": texts.tokens(texts.prefix()),
    }


def _judge(traces: Sequence[PlannedTrace]) -> dict[str, Any]:
    judged = [trace.scores for trace in traces if trace.scores]
    return {
        "name": records.JUDGE,
        "model": records.JUDGE_MODEL,
        "feedbacks": len(judged),
        "tokens": _tokens(scores.usage for scores in judged),
        "cost": dollars(sum(_nano(records.JUDGE_MODEL, scores.usage) for scores in judged)),
    }


def _scores(traces: Sequence[PlannedTrace]) -> dict[str, Any]:
    """Sums and counts beside each mean, so that nothing hangs on rounding."""
    scored = [(trace, trace.scores) for trace in traces if trace.scores]
    rated = [scores for _, scores in scored if scores.raters]
    columns = list(zip(*(scores.raters for scores in rated), strict=True))
    return {
        "name": "quality",
        "scale": [1, 5],
        "judge": _mean([scores.judge for _, scores in scored]),
        "judge_by_version": {
            str(version): _mean([s.judge for trace, s in scored if trace.version == version])
            for version in range(1, records.VERSIONS + 1)
        },
        "raters": {
            rater: _mean(list(column))
            for rater, column in zip(records.RATERS, columns, strict=True)
        },
        "exact_agreement": {
            f"{records.RATERS[a]} and {records.RATERS[b]}": {
                "equal": sum(x == y for x, y in zip(columns[a], columns[b], strict=True)),
                "pairs": len(rated),
            }
            for a, b in combinations(range(len(records.RATERS)), 2)
        },
        "all_three_equal": sum(len(set(scores.raters)) == 1 for scores in rated),
        "rated_traces": len(rated),
        "judge_minus_mean_of_raters": {
            "sum_of_thirds": sum(3 * scores.judge - sum(scores.raters) for scores in rated),
            "traces": len(rated),
        },
    }  # fmt: skip


def _mean(values: Sequence[int]) -> dict[str, float]:
    return {"count": len(values), "sum": sum(values), "mean": sum(values) / len(values)}
