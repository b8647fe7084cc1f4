"""Calls of models: which spans of a trace count, what each cost, and who says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from qualia_lab.analysis.labels import run_labels
from qualia_lab.analysis.run_usage import calls_of_runs
from qualia_lab.model import RunSet
from qualia_lab.prices import Price, Prices
from qualia_lab.text import visible

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What no call costs, and no call holds: such a figure is a mistake, and would bury all others.
_MOST_DOLLARS, _MOST_TOKENS = 1e9, 1e12
RECORDED, RECORDED_TRACE, UNPRICED = "recorded", "recorded for the trace", "unpriced"
TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
_TOKENS = (*TOKENS, "cache_write_1h_tokens")
_WHOSE = ("model", "provider")
_COLUMNS = [
    *("trace_id", "span_id", "stage", "model", "provider", "started", "duration", "status"),
    *(*_TOKENS, "recorded", "cost", "source", "price", "judge", "inputs"),
]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spending:
    """What the traces of some experiments cost.

    Attributes:
        calls: a row a call of a model: trace_id, span_id, stage (the name of its span), model,
            provider, started (UTC), duration, status, tokens (input_tokens, output_tokens; of the
            input cache_read_tokens, cache_write_tokens, cache_write_1h_tokens), recorded (the cost
            that MLflow holds), cost (what counts here; both in US dollars, NaN where unknown),
            source (who says so), price (its place in ``prices``, -1 for none), judge (whether a
            judge asked), inputs.
        traces: a row a trace: as ``RunSet.traces``, with cost (of its calls whose cost is known),
            recorded (what MLflow holds for the whole trace), calls, unpriced (calls without a
            cost), judge.
        tags: as ``RunSet.trace_tags``.
        runs: labels of the runs that are loaded, by id.
        judged: what assessments say that their judges cost, in US dollars, and how many do.
        prices: the prices that ``calls`` were priced at.
        source: where further prices are found.
        spans, of_traces: how many the store holds.
        differing: traces whose tokens are not those of their spans.
        odd: calls with a cost below 0 or above a billion dollars, or more than 10^12 tokens, which
            count as not recorded.
    """

    calls: pd.DataFrame
    traces: pd.DataFrame
    tags: pd.DataFrame
    runs: Mapping[str, str]
    judged: tuple[float, int]
    prices: tuple[Price, ...]
    source: Prices = field(repr=False)
    spans: int = 0
    of_traces: int = 0
    differing: int = 0
    odd: int = 0

    def __repr__(self) -> str:
        return visible(_said(self))

    @property
    def own(self) -> pd.DataFrame:
        """The calls of the application, without those of judges."""
        return self.calls[~self.calls["judge"]]

    @property
    def executions(self) -> pd.DataFrame:
        """The traces of the application that called a model, without those of judges."""
        return self.traces[(self.traces["calls"] > 0) & ~self.traces["judge"]]

    @property
    def whole(self) -> pd.DataFrame:
        """The executions all of whose calls have a cost."""
        return self.executions[self.executions["unpriced"] == 0]


def spending(runs: RunSet, prices: str | None = None) -> Spending:
    """Every call of a model in the traces of these runs' experiments, with what it cost.

    A call is the outermost span that carries a cost, else the outermost with tokens and a model:
    what a span above sums up is not counted again below it, as MLflow does
    (``_aggregate_from_nodes`` in mlflow/tracing/utils). Traces whose spans the store does not hold
    count as one call, by what MLflow recorded for them; so do runs that logged tokens or a cost
    themselves and have no traces.

    A call costs what MLflow recorded for it; else its tokens at the price of its day: of
    ``prices``, of genai-prices, of MLflow's catalogue; else it is unpriced.

    Args:
        prices: the path of a ``prices.toml``.

    Raises:
        QualiaError: the file is not there or makes no sense.
    """
    source = Prices(prices or None)
    traces, spans = runs.traces(), runs.spans()
    chosen = _chosen(spans)
    calls = _of_spans(spans[chosen])
    bare = traces[~_among(traces["trace_id"], spans["trace_id"])]
    calls = pd.concat([one for one in (calls, _of_traces(bare)) if len(one)] or [calls])
    logged = calls_of_runs(runs, traces)
    calls = pd.concat([calls, logged]) if len(logged) else calls
    odd = _leave_out_odd(calls)
    judges = traces.loc[traces["scorer"].notna(), "trace_id"]
    calls["judge"] = _among(calls["trace_id"], judges)
    calls = calls.sort_values(["started", "trace_id", "span_id"], ignore_index=True)
    found = _priced(calls, source)
    assessed = runs.assessments()
    costs = assessed["judge_cost"].dropna()
    return Spending(
        calls=calls[_COLUMNS],
        traces=_with_costs(traces, calls, judges),
        tags=runs.trace_tags(),
        runs=run_labels(runs),
        judged=(float(costs.sum()), len(costs)),
        prices=found,
        source=source,
        spans=len(spans),
        of_traces=len(traces),
        differing=_differing(spans, traces),
        odd=odd,
    )


def parents(spans: pd.DataFrame) -> NDArray[np.int64]:
    """The row of each span's parent in its trace; -1 for none, and for one that is not there."""
    import pyarrow as pa
    import pyarrow.compute as pc

    # In Arrow, since pandas makes a Python object of each of these texts.
    trace, span, above = (
        pa.array(spans[name], pa.string(), from_pandas=True)
        for name in ("trace_id", "span_id", "parent_id")
    )
    keys = pc.binary_join_element_wise(trace, span, "/")
    wanted = pc.binary_join_element_wise(trace, above, "/")
    place = pc.index_in(wanted, value_set=keys).fill_null(-1).to_numpy(zero_copy_only=False)
    place = np.where(place == np.arange(len(place)), -1, place)
    return place.astype(np.int64)


def has_above(parent: NDArray[np.int64], marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether a span lies below one that is marked. Spans in a circle have no top and are below."""
    above = np.zeros(len(parent), dtype=bool)
    here = np.flatnonzero(parent >= 0)
    at = parent[here]
    for _ in range(len(parent)):
        found = marked[at] | above[at]
        if not len(here) or (found == above[here]).all():
            break
        above[here] = found
    return above


def has_below(parent: NDArray[np.int64], marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether a span lies above one that is marked."""
    below = np.zeros(len(parent), dtype=bool)
    inside = parent >= 0
    for _ in range(len(parent)):
        before = int(below.sum())
        below[parent[inside & (marked | below)]] = True
        if int(below.sum()) == before:
            break
    return below


def outermost(parent: NDArray[np.int64], marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The marked spans that lie below no other marked one."""
    return marked & ~has_above(parent, marked)


def _chosen(spans: pd.DataFrame) -> NDArray[np.bool_]:
    """The spans that count as calls."""
    parent = parents(spans)
    costs = spans["cost"].notna().to_numpy(dtype=bool)
    usage = spans[["input_tokens", "output_tokens"]].notna().any(axis=1).to_numpy(dtype=bool)
    named = spans["model"].notna().to_numpy(dtype=bool)
    free = usage & ~has_below(parent, costs)
    # Where a span sums up others and has no model, only those below can be priced.
    ends = costs | (free & (named | ~has_below(parent, usage & named)))
    return outermost(parent, ends)


def _of_spans(spans: pd.DataFrame) -> pd.DataFrame:
    calls = spans[["trace_id", "span_id", "model", "provider", "started", "duration", "status"]]
    calls = calls.assign(
        stage=spans["name"],
        inputs=spans["inputs"],
        recorded=spans["cost"],
        **{name: spans[name].astype("float64") for name in _TOKENS},
    )
    return calls.assign(kind=RECORDED)


def _of_traces(traces: pd.DataFrame) -> pd.DataFrame:
    """Traces without spans here, as a call each, where anything was recorded of them."""
    told = traces[["input_tokens", "output_tokens", "cost"]].notna().any(axis=1)
    traces = traces[told.to_numpy(dtype=bool)]
    text = traces["trace_id"].dtype
    empty = pd.Series(pd.NA, index=traces.index, dtype=text)
    nothing = pd.Series(np.nan, index=traces.index)
    return pd.DataFrame(
        {
            "trace_id": traces["trace_id"],
            "span_id": pd.Series("", index=traces.index, dtype=text),
            "model": empty,
            "provider": empty,
            "started": traces["started"].astype("datetime64[ns, UTC]"),
            "duration": traces["duration"].astype("timedelta64[ns]"),
            "status": traces["status"],
            "stage": traces["name"],
            "inputs": empty,
            "recorded": traces["cost"],
            **{name: traces.get(name, nothing).astype("float64") for name in _TOKENS},
            "kind": RECORDED_TRACE,
        }
    )


def _leave_out_odd(calls: pd.DataFrame) -> int:
    """Take figures that can't be for not recorded; how many calls had such."""
    odd = np.zeros(len(calls), dtype=bool)
    for name, most in (("recorded", _MOST_DOLLARS), *((one, _MOST_TOKENS) for one in _TOKENS)):
        values = calls[name].to_numpy(dtype="float64", na_value=np.nan)
        bad = ~np.isnan(values) & ~((values >= 0) & (values <= most))
        calls[name] = np.where(bad, np.nan, values)
        odd |= bad
    return int(odd.sum())


def _priced(calls: pd.DataFrame, source: Prices) -> tuple[Price, ...]:
    """Fill in ``cost``, ``source`` and ``price``; the prices that were used."""
    known = calls["recorded"].notna().to_numpy(dtype=bool)
    used: dict[Price, int] = {}
    place = np.full(len(calls), -1)
    # To the minute, since some prices are those of a time of the day.
    minutes = calls["started"].dt.floor("min").astype("datetime64[s, UTC]")
    group = calls.groupby(list(_WHOSE), dropna=False, sort=False).ngroup().to_numpy()
    for number in range(int(group.max(initial=-1)) + 1):
        rows = np.flatnonzero(group == number)
        model, provider = (_text(calls[name].iloc[rows[0]]) for name in _WHOSE)
        mine = minutes.iloc[rows]
        if not source.changes(model, provider):
            mine = mine.where(mine.isna(), mine.min())
        for at in mine.dropna().unique():
            price = source.find(model, provider, at.to_pydatetime())
            if price is not None:
                place[rows[(mine == at).to_numpy()]] = used.setdefault(price, len(used))
    prices = tuple(used)
    costs = at_prices(calls, prices, place)
    calls["cost"] = np.where(known, calls["recorded"], costs)
    names = np.array([*(price.source for price in prices), UNPRICED], dtype=object)
    calls["source"] = np.where(known, calls["kind"], names[place])
    calls["price"] = place
    return prices


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def at_prices(
    calls: pd.DataFrame, prices: tuple[Price, ...], place: NDArray[np.int64]
) -> NDArray[np.float64]:
    """What calls cost at prices, in US dollars; NaN where ``place`` is -1 or tokens are unknown."""
    costs = np.full(len(calls), np.nan)
    counts = {name: calls[name].to_numpy(dtype="float64", na_value=np.nan) for name in _TOKENS}
    told = ~(np.isnan(counts["input_tokens"]) & np.isnan(counts["output_tokens"]))
    tokens = np.stack([np.nan_to_num(counts[name]) for name in _TOKENS])
    for number, price in enumerate(prices):
        rows = np.flatnonzero((place == number) & told)
        costs[rows] = cost_of(tokens[:, rows], price)
    return costs


def cost_of(tokens: NDArray[np.float64], price: Price) -> NDArray[np.float64]:
    """US dollars for calls, as ``Price.cost``; ``tokens`` is (kinds of ``_TOKENS``, calls)."""
    inputs, outputs, read, write, hour = tokens
    hour = np.minimum(hour, write)
    regular = np.maximum(inputs - read - write, 0)
    parts = np.stack([regular, outputs, read, write - hour, hour])
    found: NDArray[np.float64] = np.array([float(rate) for rate in price.rates.all]) @ parts
    for threshold, rates in price.tiers:
        long = inputs > threshold
        found[long] = np.array([float(rate) for rate in rates.all]) @ parts[:, long]
    return found / 1e6


def tokens_of(calls: pd.DataFrame) -> NDArray[np.float64]:
    """The tokens of calls as ``cost_of`` takes them; what is not known counts as none."""
    return np.stack(
        [np.nan_to_num(calls[name].to_numpy(dtype="float64", na_value=np.nan)) for name in _TOKENS]
    )


def _with_costs(traces: pd.DataFrame, calls: pd.DataFrame, judges: pd.Series[str]) -> pd.DataFrame:
    by_trace = calls.groupby("trace_id", sort=False)
    found = traces.rename(columns={"cost": "recorded"}).set_index("trace_id")
    logged = calls.loc[~_among(calls["trace_id"], traces["trace_id"])]
    if len(logged):
        # Runs that logged what they used: an execution each, as far as anybody can tell.
        more = logged.set_index("trace_id")[["started", "duration", "status"]]
        found = pd.concat([found, more.assign(name=logged["stage"].to_numpy())])
    found["cost"] = by_trace["cost"].sum(min_count=1)
    found["calls"] = by_trace.size()
    found["unpriced"] = calls["cost"].isna().groupby(calls["trace_id"], sort=False).sum()
    for name in ("calls", "unpriced"):
        found[name] = found[name].fillna(0).astype("int64")
    found = found.reset_index(names="trace_id")
    return found.assign(judge=_among(found["trace_id"], judges))


def _among(texts: pd.Series[str], known: pd.Series[str]) -> NDArray[np.bool_]:
    """Which texts are known; pandas' ``isin`` makes a Python object of each."""
    import pyarrow as pa
    import pyarrow.compute as pc

    one, other = (pa.array(each, pa.string(), from_pandas=True) for each in (texts, known))
    found: NDArray[np.bool_] = pc.is_in(one, value_set=other).to_numpy(zero_copy_only=False)
    return found


def _differing(spans: pd.DataFrame, traces: pd.DataFrame) -> int:
    """Traces whose tokens as recorded for the whole differ from those of their spans.

    Usage is summed over the outermost spans that carry it, as MLflow does.
    """
    if not len(spans):
        return 0
    usage = spans[["input_tokens", "output_tokens"]].notna().any(axis=1).to_numpy(dtype=bool)
    top = spans[outermost(parents(spans), usage)]
    sums = top.groupby("trace_id")[["input_tokens", "output_tokens"]].sum()
    told = traces.set_index("trace_id")[["input_tokens", "output_tokens"]].reindex(sums.index)
    whole = told.notna().all(axis=1)
    return int((told[whole] != sums[whole]).any(axis=1).sum())


def _said(found: Spending) -> str:
    calls, own = found.calls, found.own
    if not len(calls):
        return "Spending: no call of a model is recorded"
    known = int(own["cost"].notna().sum())
    return (
        f"Spending: {len(own):,} calls in {len(found.executions):,} traces, "
        f"{known:,} of them with a cost; {len(calls) - len(own):,} calls of judges apart"
    )
