"""What calls cost: against MLflow's own sums, against what the demo plants, and on odd data."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import T0, Point, Run, fill, run_id
from traced import Span, Traced, read, write

from qualia_lab import ArtifactExplorer, RunSet, analysis
from qualia_lab.analysis import budget, calls, cheaper, intervals, other_prices
from qualia_lab.analysis.calls import Spending, spending
from qualia_lab.analysis.costs import cost_by, grouped, shared
from qualia_lab.analysis.show import Note
from qualia_lab.demo import create_demo_runs
from qualia_lab.errors import UsageError
from qualia_lab.model import Query
from qualia_lab.prices import Prices

DAY = 86_400_000
USER, SESSION, SCORER = "mlflow.trace.user", "mlflow.trace.session", "mlflow.trace.sourceScorer"
MICRO = 1e-6
NAN = float("nan")


# --- which spans count ---------------------------------------------------------------------------


@st.composite
def forests(draw: st.DrawFn) -> list[tuple[int, bool, bool, bool]]:
    """Spans as (parent or -1, has usage, has a cost, has a model); a parent comes before."""
    count = draw(st.integers(1, 12))
    flags = st.tuples(st.booleans(), st.booleans(), st.booleans())
    return [(draw(st.integers(-1, i - 1)), *draw(flags)) for i in range(count)]


def frame(forest: list[tuple[int, bool, bool, bool]]) -> pd.DataFrame:
    rows = [
        {
            "trace_id": "t",
            "span_id": f"s{number}",
            "parent_id": None if parent < 0 else f"s{parent}",
            "input_tokens": 2**number if usage else None,
            "output_tokens": None,
            "cost": float(2**number) if cost else np.nan,
            "model": "m" if model else None,
        }
        for number, (parent, usage, cost, model) in enumerate(forest)
    ]
    return pd.DataFrame(rows).astype({"input_tokens": "Int64", "output_tokens": "Int64"})


@settings(deadline=None)  # the first example imports MLflow
@given(forests())
def test_tokens_and_costs_are_summed_as_mlflow_sums_them(
    forest: list[tuple[int, bool, bool, bool]],
) -> None:
    """Against MLflow's ``aggregate_usage_from_span_nodes`` and its like for costs."""
    from mlflow.tracing.utils import (
        SpanAggregationNode,
        aggregate_cost_from_span_nodes,
        aggregate_usage_from_span_nodes,
    )

    spans = frame(forest)
    parent = calls.parents(spans)

    def nodes(kind: int, key: str) -> list[Any]:
        return [
            SpanAggregationNode(
                span_id=f"s{number}",
                parent_id=None if one[0] < 0 else f"s{one[0]}",
                data={key: 2**number} if one[kind] else None,
            )
            for number, one in enumerate(forest)
        ]

    for kind, key, theirs in (
        (1, "input_tokens", aggregate_usage_from_span_nodes),
        (2, "total_cost", aggregate_cost_from_span_nodes),
    ):
        marked = np.array([one[kind] for one in forest])
        ours = int(np.power(2, np.flatnonzero(calls.outermost(parent, marked))).sum())
        found = theirs(nodes(kind, key))
        assert ours == (found[key] if found else 0)  # type: ignore[literal-required]


@given(forests())
def test_every_cost_and_all_tokens_count_once(forest: list[tuple[int, bool, bool, bool]]) -> None:
    """No two calls lie above one another, and no span with tokens or a cost is left outside."""
    spans = frame(forest)
    parent = calls.parents(spans)
    chosen = calls._chosen(spans)
    assert not (chosen & calls.has_above(parent, chosen)).any()
    told = np.array([one[1] or one[2] for one in forest])
    inside = chosen | calls.has_above(parent, chosen) | calls.has_below(parent, chosen)
    assert (inside | ~told).all()


def test_spans_in_a_circle_come_to_an_end() -> None:
    spans = frame([(-1, True, False, True)] * 3)
    spans["parent_id"] = ["s1", "s2", "s0"]
    assert not calls.outermost(calls.parents(spans), np.array([True] * 3)).any()
    spans["parent_id"] = ["s0", None, "gone"]
    assert calls.outermost(calls.parents(spans), np.array([True] * 3)).all()


def at_end(value: float) -> list[Point]:
    return [(0, T0, value)]


# --- one store -----------------------------------------------------------------------------------


@pytest.fixture
def store(empty_store: Path) -> Path:
    fill(empty_store, [Run(run_id=run_id(0), started=T0, ended=T0 + 3_600_000)])
    return empty_store


def spent(path: Path, *traces: Traced, prices: str | None = None) -> Spending:
    write(path, *traces)
    return spending(read(path, "1"), prices)


def test_a_recorded_cost_wins_over_a_price_and_a_price_over_none(store: Path) -> None:
    found = spent(
        store,
        Traced(
            trace_id="t",
            spans=[
                Span(span_id="a", tokens=(1000, 1000), cost=7.0),
                Span(span_id="b", tokens=(1000, 1000), start=1),
                Span(span_id="c", tokens=(1000, 1000), model="nobody-knows", start=2),
                Span(span_id="d", tokens=(1000, 1000), model=None, provider=None, start=3),
                Span(span_id="e", start=4),
            ],
        ),
    )
    assert found.calls["source"].tolist() == ["recorded", "genai-prices", "unpriced", "unpriced"]
    assert found.calls["cost"].tolist()[:2] == [7.0, pytest.approx(0.0125)]
    assert found.calls["cost"].isna().tolist() == [False, False, True, True]
    (trace,) = found.traces.to_dict("records")
    assert (trace["cost"], trace["calls"], trace["unpriced"]) == (pytest.approx(7.0125), 4, 2)
    assert len(found.executions) == 1
    assert len(found.whole) == 0


def test_what_a_span_sums_up_is_not_counted_again(store: Path) -> None:
    """An agent's span with the tokens of the calls below it, and no model of its own."""
    found = spent(
        store,
        Traced(
            trace_id="t",
            spans=[
                Span(span_id="agent", tokens=(300, 30), model=None, provider=None),
                Span(span_id="a", parent="agent", tokens=(100, 10)),
                Span(span_id="b", parent="agent", tokens=(200, 20)),
            ],
        ),
    )
    assert sorted(found.calls["span_id"]) == ["a", "b"]
    assert found.calls["input_tokens"].sum() == 300
    assert found.differing == 0


def test_a_trace_without_spans_counts_as_it_was_recorded(store: Path) -> None:
    usage = json.dumps({"input_tokens": 5, "output_tokens": 6, "total_tokens": 11})
    cost = json.dumps({"total_cost": 0.5})
    found = spent(
        store,
        Traced(
            trace_id="a", metadata={"mlflow.trace.tokenUsage": usage, "mlflow.trace.cost": cost}
        ),
        Traced(trace_id="b", metadata={"mlflow.trace.tokenUsage": usage}),
        Traced(trace_id="c"),
    )
    assert found.calls["source"].tolist() == ["recorded for the trace", "unpriced"]
    assert found.calls["cost"].sum() == 0.5
    assert len(found.executions) == 2


def test_judges_are_apart(store: Path) -> None:
    found = spent(
        store,
        Traced(trace_id="a", spans=[Span(span_id="1", tokens=(1, 1), cost=1.0)]),
        Traced(
            trace_id="j",
            tags={SCORER: "quality"},
            spans=[Span(span_id="2", tokens=(1, 1), cost=5.0)],
        ),
    )
    assert found.own["cost"].sum() == 1.0
    assert found.executions["trace_id"].tolist() == ["a"]
    table = analysis.reconciliation(found)
    assert isinstance(table, pd.DataFrame)
    assert table.loc["judges, traced", "US dollars"] == 5.0
    assert table.loc["counted here", "US dollars"] == 1.0


def test_what_was_recorded_for_a_trace_is_reconciled(store: Path) -> None:
    """MLflow's sum of a trace that misses a span which came late."""
    usage = json.dumps({"input_tokens": 1, "output_tokens": 1, "total_tokens": 2})
    found = spent(
        store,
        Traced(
            trace_id="a",
            metadata={
                "mlflow.trace.cost": json.dumps({"total_cost": 1.0}),
                "mlflow.trace.tokenUsage": usage,
            },
            spans=[
                Span(span_id="1", tokens=(1, 1), cost=1.0),
                Span(span_id="2", tokens=(1, 1), cost=2.0),
            ],
        ),
    )
    assert found.own["cost"].sum() == 3.0, "the spans count"
    table = analysis.reconciliation(found)
    assert isinstance(table, pd.DataFrame)
    assert "1 of 1 traces differ" in table.loc["recorded for traces", "what it is"]
    assert table.loc["traces whose tokens differ", "number"] == 1


def test_runs_that_logged_tokens_or_a_cost_count_where_they_have_no_traces(
    empty_store: Path,
) -> None:
    fill(
        empty_store,
        [
            Run(run_id=run_id(0), metrics={"total_cost": at_end(2.5)}),
            Run(
                run_id=run_id(1),
                metrics={"prompt_tokens": at_end(1e6), "completion_tokens": at_end(0.0)},
                params={"model": "gpt-4o"},
            ),
            Run(
                run_id=run_id(2), metrics={"loss": at_end(1.0), "total_cost": at_end(float("nan"))}
            ),
            Run(run_id=run_id(3), metrics={"total_cost": at_end(9.0)}),
        ],
    )
    found = spent(
        empty_store,
        Traced(
            trace_id="t",
            metadata={"mlflow.sourceRun": run_id(3)},
            spans=[Span(span_id="a", tokens=(1, 1), cost=0.125)],
        ),
    )
    by = dict(zip(found.calls["trace_id"], found.calls["cost"], strict=True))
    assert by == {run_id(0): 2.5, run_id(1): pytest.approx(2.5), "t": 0.125}
    assert len(found.executions) == 3


def test_a_price_file_prices_what_nobody_else_does(store: Path, tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text('[[price]]\nmodel = "mine"\ninput = 1\noutput = 2\n', encoding="utf-8")
    found = spent(
        store,
        Traced(trace_id="t", spans=[Span(span_id="a", tokens=(1_000_000, 500_000), model="mine")]),
        prices=str(path),
    )
    assert found.calls[["cost", "source"]].to_numpy().tolist() == [[2.0, "prices.toml"]]


# --- the demo: planted numbers -------------------------------------------------------------------


@pytest.fixture(scope="module")
def demo(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Spending, Any, RunSet]:
    """What the scenario ``llm`` cost, as found and as planted."""
    path = shutil.copy(migrated, tmp_path_factory.mktemp("llm") / "mlflow.db")
    create_demo_runs(f"sqlite:///{path}", scenario="llm")
    runs = ArtifactExplorer(f"sqlite:///{path}").load(Query())
    (truth,) = runs.runs.index[runs.runs["name"] == "ground-truth"]
    return spending(runs), json.loads(runs.read_artifact(truth, "ground_truth.json")), runs


def test_the_total_is_what_was_planted_to_the_last_micro_dollar(
    demo: tuple[Spending, Any, RunSet],
) -> None:
    found, truth, _ = demo
    assert found.own["cost"].sum() == pytest.approx(float(truth["cost"]["total"]), abs=MICRO / 2)
    counts = found.own["source"].value_counts().to_dict()
    planted = truth["cost"]["calls"]
    assert counts == {
        "recorded": planted["recorded"],
        "genai-prices": planted["repriced"],
        "unpriced": planted["unpriced"],
    }
    by_source = found.own.groupby("source")["cost"].sum()
    assert by_source["recorded"] == pytest.approx(float(truth["cost"]["recorded"]), abs=MICRO / 2)
    judges = found.calls[found.calls["judge"]]["cost"].sum()
    assert judges == pytest.approx(float(truth["judge"]["cost"]), abs=MICRO / 2)
    assert found.judged[0] == pytest.approx(float(truth["judge"]["cost"]), abs=MICRO / 2)


@pytest.mark.parametrize("key", ["model", "stage", "user", "session", "team", "day"])
def test_every_part_is_what_was_planted(demo: tuple[Spending, Any, RunSet], key: str) -> None:
    found, truth, _ = demo
    table = grouped(found.own, shared(found, key), key)
    known = table["cost, $"].dropna().to_dict()
    planted = {name: float(cost) for name, cost in truth["cost"][f"by_{key}"].items()}
    assert known == pytest.approx(planted, abs=MICRO / 2)


def test_tokens_repeats_and_failures_are_what_was_planted(
    demo: tuple[Spending, Any, RunSet],
) -> None:
    found, truth, _ = demo
    own = found.own
    planted = truth["tokens"]
    assert own["input_tokens"].sum() == planted["input"]
    assert own["output_tokens"].sum() == planted["output"]
    assert own["cache_read_tokens"].sum() == planted["cache_read"]
    assert own["cache_write_tokens"].sum() == planted["cache_write"]
    assert cheaper.repeats(found) == truth["repeats"]["calls"]
    failed = found.traces[(found.traces["status"] == "ERROR") & ~found.traces["judge"]]
    assert len(failed) == truth["counts"]["traces_error"]
    lost = own[own["trace_id"].isin(failed["trace_id"])]["cost"].sum()
    assert lost == pytest.approx(float(truth["errors"]["cost_of_failed_traces"]), abs=MICRO / 2)


def test_the_shared_beginning_of_prompts_is_measured(demo: tuple[Spending, Any, RunSet]) -> None:
    found, truth, _ = demo
    own = found.own.sort_values("started").assign(started=pd.Timestamp(0, tz="UTC"))
    planted = truth["shared_prefix"]["tokens"]
    for _, group in own.groupby(["stage", "model"]):
        tokens = cheaper.shared_tokens(group)[1:]
        # Characters become tokens by the share of the whole prompt, whose own rounding that bears.
        assert (tokens >= planted - 3).all(), "every call shares at least that"


def test_each_conclusion_rests_on_a_number_in_the_data(demo: tuple[Spending, Any, RunSet]) -> None:
    found, truth, _ = demo
    said = {one["about"]: one for one in analysis.executive_summary(found)["statements"]}
    assert said["Cost"]["number"] == pytest.approx(float(truth["cost"]["total"]))
    assert said["Dearest stage"]["sentence"].startswith("critique: 66%")
    assert said["Dearest model"]["sentence"].startswith("claude-sonnet-4-5: 40%")
    assert said["Not known"]["number"] == truth["cost"]["calls"]["unpriced"]


def test_the_summary_is_written_as_json_and_markdown(
    demo: tuple[Spending, Any, RunSet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _, _ = demo
    monkeypatch.chdir(tmp_path)
    assert "Nothing is written" in str(analysis.export_executive_summary(found))
    assert not list(tmp_path.iterdir())
    analysis.export_executive_summary(found, "cost", budget=0.01)
    summary = json.loads((tmp_path / "cost.json").read_text("utf-8"))
    assert summary["findings"][0]["level"] == "alarm"
    page = (tmp_path / "cost.md").read_text("utf-8")
    assert page.startswith("# What it cost\n")
    assert "batch tier" in page


# --- other prices, savings, volumes, months ------------------------------------------------------


def test_what_if_prices_the_same_tokens_on_the_other_model(store: Path) -> None:
    found = spent(
        store,
        Traced(
            trace_id="t",
            spans=[
                Span(span_id="a", tokens=(1000, 100, 500, 0), name="one"),
                Span(span_id="b", tokens=(2000, 200), name="two", model="gpt-4o-mini"),
            ],
        ),
    )
    table = analysis.what_if(found, "claude-haiku-4-5, no-such-model")
    assert isinstance(table, pd.DataFrame)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for name in ("gpt-4o", "gpt-4o-mini", "claude-haiku-4-5"):
        price = Prices().find(name, None, at)
        assert price is not None
        expected = [float(price.cost(1000, 100, 500)), float(price.cost(2000, 200))]
        assert table.loc[["one", "two"], name].tolist() == pytest.approx(expected)
        assert table.loc["all stages", name] == pytest.approx(sum(expected))
    assert "no-such-model" not in table.columns
    stages = other_prices.cheapest(found)
    assert set(stages) == {"one"}
    assert stages["one"][0] == "gpt-4o-mini"


def test_savings_are_what_a_hand_would_compute(store: Path) -> None:
    same = {"messages": [{"role": "user", "content": "x" * 8000}]}
    traces = [
        Traced(
            trace_id=f"t{number}",
            started=T0 + number * 60_000,
            spans=[Span(span_id="a", tokens=(2000, 100 if number else 1100), inputs=same)],
        )
        for number in range(10)
    ]
    found = spent(store, *traces)
    saved = {one.name: one.saved for one in cheaper.all_savings(found)}
    total = 10 * 2000 * 2.5e-6 + (9 * 100 + 1100) * 10e-6
    assert found.own["cost"].sum() == pytest.approx(total)
    # Nine calls repeat the first; each shares all 2,000 tokens, which cost half when cached.
    assert saved["a cache for repeated inputs"] == pytest.approx(9 * (2000 * 2.5e-6 + 100 * 10e-6))
    assert saved["prompt caching"] == pytest.approx(9 * 2000 * 1.25e-6)
    assert saved["the batch tier"] == pytest.approx(total / 2)
    # P90 of nine 100s and one 1,100 by linear interpolation is 200.
    assert saved["a cap on answers at P90"] == pytest.approx(900 * 10e-6)
    assert saved["a cheaper model for a stage"] == 0


def test_prompts_far_apart_or_short_share_no_cache(store: Path) -> None:
    same = {"messages": [{"content": "x" * 8000}]}
    found = spent(
        store,
        Traced(trace_id="a", spans=[Span(span_id="1", tokens=(2000, 1), inputs=same)]),
        Traced(
            trace_id="b",
            started=T0 + 301_000,
            spans=[Span(span_id="1", tokens=(2000, 1), inputs=same)],
        ),
        Traced(
            trace_id="c",
            started=T0 + 302_000,
            spans=[Span(span_id="1", tokens=(1000, 1), inputs=same)],
        ),
    )
    (saving,) = [one for one in cheaper.all_savings(found) if one.name == "prompt caching"]
    assert saving.saved == 0
    assert "no prompt" in saving.how


@pytest.mark.parametrize(
    ("one", "other", "length"),
    [
        ("", "", 0),
        ("a", "", 0),
        ("abc", "abd", 2),
        ("abc", "abc", 3),
        ("ab", "abc", 2),
        ("x", "y", 0),
    ],
)
def test_the_common_beginning(one: str, other: str, length: int) -> None:
    assert cheaper._common(one, other) == length


@given(st.text("ab", max_size=20), st.text("ab", max_size=20))
def test_the_common_beginning_is_the_longest(one: str, other: str) -> None:
    length = cheaper._common(one, other)
    assert one[:length] == other[:length]
    assert one[: length + 1] != other[: length + 1] or length == min(len(one), len(other))


def daily(path: Path, costs: list[float]) -> Spending:
    midnight = T0 - T0 % DAY
    return spent(
        path,
        *(
            Traced(
                trace_id=f"t{day}",
                started=midnight + day * DAY + DAY // 2,
                spans=[Span(span_id="a", tokens=(1, 1), cost=cost)],
            )
            for day, cost in enumerate(costs)
            if cost
        ),
    )


def test_a_month_of_days_that_are_all_the_same(store: Path) -> None:
    found = budget.forecast(daily(store, [2.0] * 40))
    assert found is not None
    assert (len(found.days), found.partial, found.trending) == (38, 2, False)
    assert found.month == pytest.approx(2 * 365.2425 / 12)
    assert (found.low, found.high) == (pytest.approx(found.month), pytest.approx(found.month))
    assert found.year == pytest.approx(2 * 365.2425)


def test_days_without_a_call_cost_nothing_and_count(store: Path) -> None:
    found = budget.forecast(daily(store, [9.0, 3.0, 0.0, 0.0, 9.0]))
    assert found is not None
    assert found.costs.tolist() == [3.0, 0.0, 0.0]
    assert found.month == pytest.approx(365.2425 / 12)


def test_a_trend_counts_from_four_weeks_on(store: Path, tmp_path: Path) -> None:
    """A line of a cent a day, read off at the middle of the month ahead."""
    short = Path(shutil.copy(store, tmp_path / "short.db"))
    found = budget.forecast(daily(short, [1 + day / 100 for day in range(29)]))
    assert found is not None and not found.trending and found.slope != found.slope
    found = budget.forecast(daily(store, [1 + day / 100 for day in range(42)]))
    assert found is not None and found.trending
    assert found.slope == pytest.approx(0.01)
    ahead = 1.01 + 0.01 * (39 + (1 + 365.2425 / 12) / 2)
    assert found.month == pytest.approx(ahead * 365.2425 / 12)


def test_a_stationary_series_seldom_has_a_trend_and_its_interval_covers(store: Path) -> None:
    """1,000 series of 35 days: 5 % would have a slope whose interval leaves out zero."""
    from scipy import stats

    draw = np.random.default_rng(1)
    place = np.arange(35.0)
    trending = covered = 0
    for _ in range(400):
        costs = draw.gamma(2, 1, 35)
        fit = stats.theilslopes(costs, place, 0.95)
        trending += fit.low_slope > 0 or fit.high_slope < 0
        low, high = budget._block_interval(costs)
        # The mean of the next month of such days has more spread than that of the days so far.
        covered += low < 2.0 < high
    assert trending / 400 < 0.08
    assert covered / 400 > 0.85


def test_volumes_are_multiples_of_the_mean(store: Path) -> None:
    found = daily(store, [1.0, 2.0, 3.0])
    table = analysis.cost_at_volumes(found, "10, 1_000")
    assert isinstance(table, pd.DataFrame)
    assert table.index.tolist() == ["10", "1,000"]
    assert table["a day"].tolist() == ["$20.00", "$2,000"]


@pytest.mark.parametrize("volumes", ["", "ten", "0", "-1", "nan", "inf", "1,,2", "1e99"])
def test_volumes_that_are_no_numbers(store: Path, volumes: str) -> None:
    with pytest.raises(UsageError, match="volumes"):
        analysis.cost_at_volumes(daily(store, [1.0]), volumes)


def test_the_budget_and_its_alarm(store: Path) -> None:
    found = daily(store, [1.0] * 10)
    month = 365.2425 / 12
    assert analysis.cost_findings(found, month + 1).__class__ is Note
    alarm = analysis.cost_findings(found, month - 1)
    assert [one.level for one in alarm.findings] == ["alarm"]  # type: ignore[union-attr]
    assert "over it" in str(analysis.budget_note(found, month - 1))
    assert "No budget is given" in str(analysis.budget_note(found))


# --- intervals -----------------------------------------------------------------------------------


def test_the_interval_of_a_quantile_is_that_of_another_implementation() -> None:
    """``scipy.stats.quantile_test`` gives one-sided bounds from the same law."""
    from scipy import stats

    values = np.sort(np.random.default_rng(0).lognormal(size=200))
    for share in (0.25, 0.5, 0.95):
        low, high = intervals.of_quantile(values, share)
        theirs = stats.quantile_test(values, p=share).confidence_interval(0.95)
        assert abs(np.searchsorted(values, low) - np.searchsorted(values, theirs.low)) <= 1
        assert abs(np.searchsorted(values, high) - np.searchsorted(values, theirs.high)) <= 1


def test_the_published_interval_of_a_percentile() -> None:
    """Hahn and Meeker (1991), Statistical Intervals, 5.2: of 100 values, ranks 85 and 97 bound the
    90th percentile at 95 %: the binomial law gives them 95.23 %."""
    values = np.arange(1.0, 101.0)
    low, high = intervals.of_quantile(values, 0.9)
    assert (low, high) == (84.0, 96.0) or (low, high) == (85.0, 97.0) or (low, high) == (84.0, 97.0)
    from scipy import stats

    covered = stats.binom.cdf(high - 1, 100, 0.9) - stats.binom.cdf(low - 1, 100, 0.9)
    assert covered >= 0.95


def test_intervals_cover_as_often_as_they_say() -> None:
    draw = np.random.default_rng(2)
    mean = median = 0
    for _ in range(300):
        values = draw.lognormal(size=60)
        low, high = intervals.of_mean(values)
        mean += low < np.exp(0.5) < high
        low, high = intervals.of_quantile(values, 0.5)
        median += low <= 1.0 <= high
    # BCa covers a little less than it says on skewed samples of this size (Efron 1987).
    assert mean / 300 > 0.87
    assert median / 300 >= 0.93


@pytest.mark.parametrize("values", [[], [1.0]])
def test_too_few_values_have_no_interval(values: list[float]) -> None:
    assert np.isnan(intervals.of_mean(np.array(values))).all()
    assert np.isnan(intervals.of_quantile(np.array(values), 0.5)).all()


# --- odd data ------------------------------------------------------------------------------------

ODD = {
    "no traces": [],
    "no tokens": [Traced(trace_id="t", spans=[Span(span_id="a")])],
    "no prices": [Traced(trace_id="t", spans=[Span(span_id="a", tokens=(9, 9), model="x")])],
    "in progress": [
        Traced(
            trace_id="t",
            took=None,
            status="IN_PROGRESS",
            spans=[Span(span_id="a", tokens=(9, 9), took=None, status="UNSET")],
        )
    ],
    "ended before it began": [
        Traced(trace_id="t", took=-5, spans=[Span(span_id="a", tokens=(9, 9), took=-5)])
    ],
    "no time": [Traced(trace_id="t", started=0, spans=[Span(span_id="a", tokens=(9, 9))])],
    "clocks of other years": [
        Traced(trace_id="s", spans=[Span(span_id="a", tokens=(9, 9))]),
        Traced(trace_id="t", started=4 * 10**12, spans=[Span(span_id="a", tokens=(9, 9))]),
    ],
    "a parent that is gone": [
        Traced(trace_id="t", spans=[Span(span_id="a", parent="gone", tokens=(9, 9))])
    ],
    "no tokens in usage": [
        Traced(
            trace_id="t",
            spans=[Span(span_id="a", attributes={"mlflow.chat.tokenUsage": '{"x": -1}'})],
        )
    ],
    "free": [Traced(trace_id="t", spans=[Span(span_id="a", tokens=(0, 0), cost=0.0)])],
    "negative": [Traced(trace_id="t", spans=[Span(span_id="a", tokens=(1, 1), cost=-1.0)])],
    "hostile names": [
        Traced(
            trace_id="t",
            metadata={USER: "\x1b[31m$x$", SESSION: "<script>"},
            tags={"te\u202eam": "a|b"},
            spans=[Span(span_id="a", name="![](http://x)", model="$\\href{x}$", tokens=(9, 9))],
        )
    ],
    "usage that is a number": [
        Traced(
            trace_id="t",
            spans=[
                Span(span_id="a", attributes={"mlflow.chat.tokenUsage": 5, "mlflow.llm.cost": [1]}),
                Span(span_id="b", tokens=(9, 9)),
            ],
        )
    ],
    "costs that can't be": [
        Traced(
            trace_id="t",
            spans=[
                Span(span_id="a", tokens=(2**62, 9), cost=1.7e308),
                Span(span_id="b", tokens=(9, 9), cost=1.7e308),
                Span(span_id="c", tokens=(9, 9), cost=-3.0),
            ],
        )
    ],
    "more cached than read": [
        Traced(trace_id="t", spans=[Span(span_id="a", tokens=(10, 1, 500, 500))])
    ],
}
PARTS = (
    *("cost_glance", "cost_overview", "cost_findings", "coverage_note", "cost_coverage"),
    *("price_table", "cost_of_execution", "daily_costs", "what_if", "costs_by_owner"),
    *("budget_note", "cost_forecast", "savings", "how_saved", "reconciliation"),
    *("cost_conclusions", "executive_summary"),
)


@pytest.mark.parametrize("name", ODD)
def test_every_section_says_something_of_odd_data(store: Path, name: str) -> None:
    found = spent(store, *ODD[name])
    for part in PARTS:
        shown = getattr(analysis, part)(found)
        if hasattr(shown, "png"):
            assert shown.png().startswith(b"\x89PNG")
        assert str(shown)
    assert str(analysis.cost_by(found, "stage"))
    assert str(analysis.cost_at_volumes(found, "10"))
    assert str(analysis.return_on_cost(found, 3, 40))
    json.dumps(analysis.executive_summary(found), allow_nan=False)


def test_figures_that_cannot_be_count_as_not_recorded(store: Path) -> None:
    found = spent(store, *ODD["costs that can't be"])
    assert found.odd == 3
    assert found.own["recorded"].isna().all()
    assert found.own["source"].unique().tolist() == ["genai-prices"]
    assert np.isfinite(found.own["cost"]).all()
    assert "3 calls hold a cost below 0" in str(analysis.coverage_note(found))


def test_what_if_compares_the_same_calls(store: Path) -> None:
    found = spent(
        store,
        Traced(
            trace_id="t",
            spans=[
                Span(span_id="a", tokens=(1000, 0)),
                Span(span_id="b", tokens=(1000, 0), model="nobody-knows"),
            ],
        ),
    )
    table = analysis.what_if(found)
    assert isinstance(table, pd.DataFrame)
    assert table.loc["answer", ["calls", "left out", "paid", "gpt-4o"]].tolist() == [
        *(1, 1, pytest.approx(0.0025), pytest.approx(0.0025))
    ]
    assert table.loc["all stages", "left out"] == 1


def test_nothing_recorded_says_how_to_record_it(store: Path) -> None:
    found = spent(store, Traced(trace_id="t"))
    assert "mlflow.openai.autolog()" in str(cost_by(found, "stage"))
    runs = read(store, "1")
    assert not runs.has("calls")


def test_a_tag_that_is_not_there_names_those_that_are(store: Path) -> None:
    span = Span(span_id="a", tokens=(9, 9))
    found = spent(store, Traced(trace_id="t", tags={"team": "a"}, spans=[span]))
    assert "There are: team" in str(cost_by(found, "taem"))
    assert "mlflow.trace.user" in str(cost_by(found, "user"))


# --- runs ----------------------------------------------------------------------------------------


def test_the_time_of_a_parent_is_that_of_its_children(empty_store: Path) -> None:
    hour = 3_600_000
    parent = {"mlflow.parentRunId": run_id(0)}
    fill(
        empty_store,
        [
            Run(run_id=run_id(0), name="sweep", started=T0, ended=T0 + 5 * hour),
            Run(run_id=run_id(1), started=T0, ended=T0 + 2 * hour, tags=parent),
            Run(run_id=run_id(2), started=T0, ended=T0 + hour, tags=parent),
            Run(run_id=run_id(3), name="alone", started=T0, ended=T0 + hour),
            Run(run_id=run_id(4), name="odd", started=T0, ended=T0 - hour),
            Run(run_id=run_id(5), name="open", started=T0, ended=None, status="RUNNING"),
        ],
    )
    table = analysis.compute_cost(read(empty_store, "1"), 2.0)
    assert isinstance(table, pd.DataFrame)
    assert table.loc["sweep", ["hours", "cost, $"]].tolist() == [3.0, 6.0]
    assert table.loc["alone", "cost, $"] == 2.0
    assert table.loc["all", ["timed", "hours", "cost, $"]].tolist() == [3, 4.0, 8.0]
    note = str(analysis.compute_note(read(empty_store, "1")))
    assert "1 runs ended at or before their start" in note and "No rate is given" in note


def test_a_return_takes_both_assumptions(store: Path) -> None:
    found = spent(
        store,
        Traced(trace_id="a", spans=[Span(span_id="1", tokens=(1, 1), cost=1.0)]),
        Traced(trace_id="b", status="ERROR", spans=[Span(span_id="1", tokens=(1, 1), cost=1.0)]),
    )
    assert isinstance(analysis.return_on_cost(found, 3, 0), Note)
    table = analysis.return_on_cost(found, 30, 20)
    assert isinstance(table, pd.DataFrame)
    value = table["value"]
    assert value["worth of all, $"] == 10.0, "one of two succeeded, half an hour of 20"
    assert value["net, $"] == 8.0
    assert value["return"] == 4.0
    assert value["minutes at which it breaks even"] == 6.0
