"""What calls of models cost: coverage, prices, one execution, and by whatever they share."""

from __future__ import annotations

import numpy as np
import pandas as pd

from qualia_lab.analysis import intervals
from qualia_lab.analysis.calls import UNPRICED, Spending
from qualia_lab.analysis.labels import plain
from qualia_lab.analysis.show import Note
from qualia_lab.prices import Price

NO_CALLS = (
    "No call of a model is recorded in these experiments: no span carries tokens or a cost, no "
    "trace does as a whole, and no run logged tokens or a cost as a metric. "
    "mlflow.openai.autolog() and its like record both; by hand, "
    'span.set_attribute("mlflow.chat.tokenUsage", {"input_tokens": 10, "output_tokens": 5, '
    '"total_tokens": 15}), or mlflow.log_metric("total_cost", 0.01) in a run.'
)
# What calls can be counted by besides tags of their traces.
KEYS = ("stage", "model", "provider", "user", "session", "trace", "run", "day")
_UNKNOWN = "(not recorded)"
_MOST_ROWS = 25
# Of each way to count, where all are shown together.
_EACH = 5


def cost_coverage(spent: Spending) -> pd.DataFrame | Note:
    """What was found, what of it has a cost, and who says so.

    A row a group of calls: calls, share of them, input and output tokens, cost in US dollars. Those
    of judges stand apart, unpriced ones last, with their models by name.
    """
    if not len(spent.calls):
        return Note(NO_CALLS)
    rows = []
    for judge, whose in ((False, ""), (True, "judges: ")):
        calls = spent.calls[spent.calls["judge"] == judge]
        for source, group in calls.groupby("source", sort=False):
            name = f"{whose}{source}"
            if source == UNPRICED:
                models = sorted({plain(one) or "no model" for one in group["model"]})
                more = ", …" if len(models) > 3 else ""
                name += f" ({', '.join(models[:3])}{more})"
            rows.append((judge, source == UNPRICED, name, *_sums(group), len(group) / len(calls)))
    rows.sort(key=lambda row: (row[0], row[1], -row[3]))
    return pd.DataFrame(
        [row[3:] for row in rows],
        index=pd.Index([row[2] for row in rows], name="cost is"),
        columns=["calls", "input tokens", "output tokens", "cost, $", "share of calls"],
    )[["calls", "share of calls", "input tokens", "output tokens", "cost, $"]]


def coverage_note(spent: Spending) -> Note:
    """In a sentence or two: of how many traces the cost is known, and why not of the others."""
    done, whole = len(spent.executions), len(spent.whole)
    judges = int(spent.traces["judge"].sum())
    silent = len(spent.traces) - judges - done
    lines = [
        f"{spent.of_traces:,} traces with {spent.spans:,} spans; {done:,} executions of the "
        f"application called a model, and {whole:,} of those have a cost for every call."
    ]
    if silent > 0:
        lines.append(f"{silent:,} traces called no model, or nothing was recorded of it.")
    if judges:
        lines.append(f"{judges:,} traces are those of judges, and counted apart.")
    if whole < done:
        lines.append(
            f"{done - whole:,} executions have a call without a cost; they are in no mean or "
            "quantile below, and in sums with what is known of them."
        )
    if spent.odd:
        lines.append(
            f"{spent.odd:,} calls hold a cost below 0 or above a billion dollars, or more than "
            "10^12 tokens: it counts as not recorded."
        )
    return Note("\n".join(lines))


def price_table(spent: Spending) -> pd.DataFrame | Note:
    """The models seen, and what each costs, in US dollars for a million tokens.

    A row a model and provider: input, output, cache read, cache write (empty: as input), who says
    so, in which edition, since when, and the calls. A model whose calls all have a recorded cost
    is listed with the price of its last day, which is not what was counted.
    """
    if not len(spent.calls):
        return Note(NO_CALLS)
    rows = []
    for (model, provider), group in spent.calls.groupby(
        ["model", "provider"], dropna=False, sort=False
    ):
        price = last_price(spent, group)
        rates = price.rates if price else None
        listed = (rates.input, rates.output, rates.cache_read, rates.cache_write) if rates else ()
        told = [None if one is None else float(one) for one in listed] or [None] * 4
        tiers = "; dearer above " + f"{price.tiers[0][0]:,}" if price and price.tiers else ""
        rows.append(
            (
                plain(model) or _UNKNOWN,
                plain(provider),
                *told,
                (price.source if price else "no source has a price") + tiers,
                price.version if price else "",
                price.as_of if price else "",
                len(group),
                int(group["source"].str.startswith("recorded").sum()),
            )
        )
    columns = ["model", "provider", "input", "output", "cache read", "cache write", "source"]
    columns += ["version", "as of", "calls", "cost recorded"]
    table = pd.DataFrame(rows, columns=columns).set_index("model")
    return table.sort_values("calls", ascending=False, kind="stable")


def last_price(spent: Spending, calls: pd.DataFrame) -> Price | None:
    """The price of calls of one model on the day of the last of them; None where there is none."""
    last = calls["started"].max()
    if last != last:
        return None
    model, provider = calls["model"].iloc[0], calls["provider"].iloc[0]
    return spent.source.find(
        model if model == model else None,
        provider if provider == provider else None,
        last.floor("s").to_pydatetime(),
    )


def cost_of_execution(spent: Spending) -> pd.DataFrame | Note:
    """Median, mean and 95th percentile of what one execution costs, in US dollars, with intervals.

    Executions are traces of the application all of whose calls have a cost. The interval of the
    mean is ``intervals.of_mean``, the others' ``intervals.of_quantile``, at 95 %; an end is missing
    where there are too few executions for it. Also in tokens and seconds.
    """
    if not len(spent.calls):
        return Note(NO_CALLS)
    whole = spent.whole
    if not len(whole):
        return Note(
            "No execution has a cost for every one of its calls, so that none can be averaged."
        )
    tokens = spent.own.groupby("trace_id")[["input_tokens", "output_tokens"]].sum()
    tokens = tokens.reindex(whole["trace_id"])
    seconds = pd.to_timedelta(whole["duration"]).dt.total_seconds()
    values = {
        "cost, $": whole["cost"],
        "input tokens": tokens["input_tokens"],
        "output tokens": tokens["output_tokens"],
        "seconds": seconds.where(seconds > 0),
    }
    rows = {name: _described(column) for name, column in values.items()}
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.rename_axis(f"{len(whole):,} executions")


def _described(column: pd.Series[float]) -> dict[str, float]:
    values = np.asarray(column.dropna(), dtype=np.float64)
    found: dict[str, float] = {}
    quantiles = (("median", 0.5), ("P95", 0.95))
    for name, share in quantiles:
        found[name] = float(np.quantile(values, share)) if len(values) else float("nan")
        found[f"{name} from"], found[f"{name} to"] = intervals.of_quantile(values, share)
    found["mean"] = float(values.mean()) if len(values) else float("nan")
    found["mean from"], found["mean to"] = intervals.of_mean(values)
    order = [f"{name}{end}" for name in ("median", "mean", "P95") for end in ("", " from", " to")]
    return {name: found[name] for name in order}


def cost_by(spent: Spending, key: str) -> pd.DataFrame | Note:
    """What calls cost by something they share, the dearest first.

    A row a value: executions, calls, input and output tokens, cost in US dollars, its share, cost
    of an execution (a call, for stages and models), and calls without a cost. Past 25 rows, one row
    sums up the rest. Calls of judges are left out.

    Args:
        key: stage, model, provider, user, session, trace, run, day (UTC), or a tag or metadatum of
            traces, such as "team".
    """
    calls = spent.own
    if not len(calls):
        return Note(NO_CALLS)
    values = shared(spent, key)
    if key not in KEYS and values.isna().all():
        known = sorted({plain(one) for one in spent.tags["key"]})
        return Note(
            f"No trace has the tag {plain(key)}. "
            + (f"There are: {', '.join(known[:10])}. " if known else "")
            + f'mlflow.update_current_trace(tags={{"{plain(key)}": "..."}}) sets one.'
        )
    if values.isna().all():
        return Note(f"No {key} is recorded. {_HOW.get(key, '')}".strip())
    table = grouped(calls, values.fillna(_UNKNOWN), key)
    return table if key == "day" else cut(table, _MOST_ROWS)


_HOW = {
    "user": 'mlflow.update_current_trace(metadata={"mlflow.trace.user": "..."}) records one.',
    "session": 'mlflow.update_current_trace(metadata={"mlflow.trace.session": "..."}) records one.',
    "model": 'span.set_attribute("mlflow.llm.model", "...") records one.',
    "run": "Traces that are made inside of mlflow.start_run() belong to a run.",
}


def grouped(calls: pd.DataFrame, values: pd.Series[str], key: str) -> pd.DataFrame:
    """The table of ``cost_by`` for calls and a value each."""
    by = calls.assign(_value=values.to_numpy()).groupby("_value", sort=False)
    table = pd.DataFrame(
        {
            "executions": by["trace_id"].nunique(),
            "calls": by.size(),
            "input tokens": by["input_tokens"].sum(),
            "output tokens": by["output_tokens"].sum(),
            "cost, $": by["cost"].sum(min_count=1),
            "unpriced calls": by["cost"].agg(lambda one: int(one.isna().sum())),
        }
    )
    if key == "day":
        table = table.sort_index()
    else:
        table = table.sort_values("cost, $", ascending=False, na_position="last", kind="stable")
    total = table["cost, $"].sum()
    table.insert(5, "share", table["cost, $"] / total if total else np.nan)
    # The cost of calls is known of those that have a price.
    if key in ("stage", "model", "provider"):
        table.insert(6, "$ a call", table["cost, $"] / (table["calls"] - table["unpriced calls"]))
    else:
        table.insert(6, "$ an execution", table["cost, $"] / table["executions"])
    whole = ["executions", "calls", "input tokens", "output tokens", "unpriced calls"]
    table[whole] = table[whole].astype("int64")
    table.index = pd.Index([plain(str(one)) for one in table.index], name=key)
    return table.replace([np.inf, -np.inf], np.nan)


def cut(table: pd.DataFrame, most: int) -> pd.DataFrame:
    """The first rows of a table of ``grouped``, and one row for the sum of the rest."""
    if len(table) <= most:
        return table
    sums = ["executions", "calls", "input tokens", "output tokens", "cost, $", "share"]
    rest = table.iloc[most:][[*sums, "unpriced calls"]].sum()
    more = pd.DataFrame([rest], index=[f"{len(table) - most:,} more"])
    found = pd.concat([table.iloc[:most], more])
    whole = ["executions", "calls", "input tokens", "output tokens", "unpriced calls"]
    found[whole] = found[whole].astype("int64")
    found.index.name = table.index.name
    return found


def shared(spent: Spending, key: str) -> pd.Series[str]:
    """What each call of ``spent.own`` has for a key of ``cost_by``; missing where it has none."""
    calls = spent.own
    if key in ("stage", "model", "provider"):
        return calls[key]
    if key == "trace":
        return calls["trace_id"]
    if key == "day":
        days: pd.Series[str] = calls["started"].dt.strftime("%Y-%m-%d")
        return days
    traces = spent.traces.set_index("trace_id")
    if key in ("user", "session", "run"):
        column = traces["run_id" if key == "run" else key]
        column = column.replace(dict(spent.runs)) if key == "run" else column
    else:
        column = spent.tags[spent.tags["key"] == key].set_index("trace_id")["value"]
    found: pd.Series[str] = calls["trace_id"].map(column.to_dict())
    return found


def ways_to_count(spent: Spending) -> list[str]:
    """The keys of ``cost_by`` that tell calls apart: whose they are first, then tags."""
    tags = [str(one) for one in spent.tags["key"].value_counts().index]
    found = []
    for key in (*("user", "session", "run"), *tags):
        values = shared(spent, key).dropna()
        # A tag that every trace has another value of is no group.
        if 1 < values.nunique() <= max(2, len(values) // 2):
            found.append(key)
    return found


def costs_by_owner(spent: Spending, tag: str | None = None) -> pd.DataFrame | Note:
    """What each user, session, run, and tag of traces cost, the five dearest of each.

    Args:
        tag: that tag alone, with all its values.
    """
    if tag:
        return cost_by(spent, tag)
    if not len(spent.own):
        return Note(NO_CALLS)
    parts = {}
    for key in ways_to_count(spent):
        table = grouped(spent.own, shared(spent, key).fillna(_UNKNOWN), key)
        parts[key] = cut(table, _EACH)[["executions", "calls", "cost, $", "share"]]
    if not parts:
        return Note(
            "Nothing tells whose calls these are: no user, session, run or tag is recorded. "
            f"{_HOW['user']} {_HOW['session']}"
        )
    return pd.concat(parts, names=["by", "value"])


def _sums(calls: pd.DataFrame) -> tuple[int, int, int, float]:
    tokens = calls[["input_tokens", "output_tokens"]].sum()
    cost = calls["cost"].sum(min_count=1)
    return len(calls), int(tokens.iloc[0]), int(tokens.iloc[1]), float(cost)
