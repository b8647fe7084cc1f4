"""What the costs come to: the first look, where figures disagree, findings, a page for others."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from qualia_lab import files
from qualia_lab.analysis.budget import forecast, forecast_lines
from qualia_lab.analysis.calls import RECORDED, UNPRICED, Spending, at_prices
from qualia_lab.analysis.cheaper import all_savings
from qualia_lab.analysis.cost_sentences import NOT_KNOWN, named, statements
from qualia_lab.analysis.costs import NO_CALLS, coverage_note, grouped, shared
from qualia_lab.analysis.found import Finding, Found
from qualia_lab.analysis.labels import dollars, number
from qualia_lab.analysis.show import COLOURS, GREY, Figure, Note, Points, dress
from qualia_lab.text import markdown, visible

# From so large a share of tokens on, costs that are not known change the picture.
_MUCH_UNPRICED = 0.05
# What was recorded for whole traces may differ from their spans by rounding.
_SAME = 1e-9
_MOST_SAVINGS = 3


def cost_glance(spent: Spending, budget: float = 0.0) -> Points | Note:
    """What most people open this notebook for, in a few lines."""
    said = statements(spent, budget)
    if not said:
        return Note(NO_CALLS)
    # What is not known the first of them says already.
    return Points([(one.about, one.sentence) for one in said if one.about != NOT_KNOWN])


def cost_overview(spent: Spending) -> Figure | Note:
    """Where the money goes: a bar a stage and a bar a model, the dearest above."""
    own = spent.own
    if not len(own):
        return Note(NO_CALLS)
    if not own["cost"].sum() > 0:
        return Note("None of these calls has a cost above 0: there is nothing to divide.")
    tables = {
        key: grouped(own, shared(spent, key).fillna("(not recorded)"), key)
        for key in ("stage", "model")
    }
    most = max(len(table) for table in tables.values())
    shown = min(most, _MOST_BARS)
    figure = Figure(
        alt="Cost by stage and by model, in US dollars, the dearest above.",
        figsize=(9, 1.2 + 0.3 * shown),
    )
    for axes, (key, table) in zip(figure.subplots(1, 2), tables.items(), strict=True):
        top = table.head(_MOST_BARS)
        costs = top["cost, $"].fillna(0).to_numpy()
        unknown = top["cost, $"].isna().to_numpy()
        colours = [GREY if one else COLOURS[0] for one in unknown]
        places = range(len(top))
        axes.barh(places, costs, color=colours, height=0.62)
        names = [visible(str(one), _LONGEST) for one in top.index]
        axes.set_yticks(places, names, parse_math=False)
        axes.set_ylim(max(shown, 1) - 0.5, -0.5)
        for place, (cost, odd, share) in enumerate(zip(costs, unknown, top["share"], strict=True)):
            text = "no price" if odd else f"{share:.0%}"
            axes.text(cost, place, f" {text}", va="center", fontsize=8)
        axes.set_xlim(0, (costs.max() or 1) * 1.18)
        more = f", {len(table) - len(top):,} more not drawn" if len(table) > len(top) else ""
        dress(axes, f"by {key}{more}")
        axes.grid(False, axis="y")
        axes.set_xlabel("US dollars", fontsize=8)
    return figure


_MOST_BARS, _LONGEST = 8, 26


def reconciliation(spent: Spending) -> pd.DataFrame | Note:
    """The same calls, counted in every way there is: what agrees, and what does not.

    A row a way: the number of calls (of traces, where it says so), US dollars, and what it is.
    MLflow's sum for a whole trace is not used: with asynchronous logging it can miss spans that
    came late.
    """
    calls, own = spent.calls, spent.own
    if not len(calls):
        return Note(NO_CALLS)
    on_spans = own[own["source"] == RECORDED]
    traces = spent.traces[~spent.traces["judge"]]
    whole = traces[traces["recorded"].notna()]
    by_trace = on_spans.groupby("trace_id")["recorded"].sum()
    both = whole.set_index("trace_id")["recorded"]
    spans_of = by_trace.reindex(both.index)
    apart = (both - spans_of).abs() > np.maximum(_SAME, both.abs() * 1e-6)
    repriced = at_prices(own, spent.prices, own["price"].to_numpy())
    again = own["recorded"].notna().to_numpy() & ~np.isnan(repriced)
    unpriced = own[own["source"] == UNPRICED]
    judges = calls[calls["judge"]]
    assessed, asked = spent.judged
    tokens = unpriced[["input_tokens", "output_tokens"]].sum()
    before = dollars(float(own.loc[again, "recorded"].sum()))
    rows = [
        (
            *("counted here", len(own) - len(unpriced), own["cost"].sum()),
            "calls with a cost or a price",
        ),
        (
            *("recorded on spans", len(on_spans), on_spans["recorded"].sum()),
            "mlflow.llm.cost of the outermost spans",
        ),
        (
            *("the same, at prices of their day", int(again.sum()), float(repriced[again].sum())),
            f"calls with both; what was recorded for them is {before}",
        ),
        (
            *("recorded for traces", len(whole), whole["recorded"].sum()),
            f"mlflow.trace.cost; {int(apart.sum()):,} of {len(whole):,} traces differ from their "
            "spans",
        ),
        (
            *("without a cost", len(unpriced), np.nan),
            f"{int(tokens.iloc[0]):,} input and {int(tokens.iloc[1]):,} output tokens, in no sum",
        ),
        (
            *("judges, traced", len(judges), judges["cost"].sum(min_count=1)),
            "calls in traces of judges",
        ),
        (
            *("judges, by assessments", asked, assessed if asked else np.nan),
            "mlflow.assessment.judgeCost; the same money as above where the judge was traced",
        ),
        (
            *("traces whose tokens differ", spent.differing, np.nan),
            "mlflow.trace.tokenUsage against the sum of the outermost spans with tokens",
        ),
    ]
    return pd.DataFrame(rows, columns=["way", "number", "US dollars", "what it is"]).set_index(
        "way"
    )


def cost_findings(spent: Spending, budget: float = 0.0) -> Found | Note:
    """What somebody should act on, with its level: what ``--fail-on`` goes by.

    An alarm: the month goes over the budget. A warning: more than 5 % of the tokens have no price.
    A note: traces whose tokens are not those of their spans.
    """
    found = [*_findings(spent, budget)]
    if not found:
        limit = (
            f"the cost is within {dollars(budget)} a month" if budget > 0 else "no budget is given"
        )
        return Note(
            f"Nothing to act on: {limit}, and no more than {_MUCH_UNPRICED:.0%} of the "
            "tokens are without a price."
        )
    return Found(found)


def _findings(spent: Spending, budget: float) -> Iterator[Finding]:
    own = spent.own
    if not len(own):
        return
    ahead = forecast(spent)
    if budget > 0 and ahead is not None and ahead.month > budget:
        yield Finding(
            severity="error",
            level="alarm",
            what=f"the next month costs more than the budget of {dollars(budget)}",
            evidence="; ".join(forecast_lines(ahead, budget)),
        )
    tokens = own[["input_tokens", "output_tokens"]].sum(axis=1)
    missing = own["source"] == UNPRICED
    share = float(tokens[missing].sum() / tokens.sum()) if tokens.sum() else 0.0
    if share > _MUCH_UNPRICED:
        yield Finding(
            severity="warning",
            level="warning",
            what=f"{share:.0%} of the tokens have no price",
            evidence=f"models: {named(own.loc[missing, 'model'])}; a prices.toml gives them one",
        )
    if spent.differing:
        yield Finding(
            severity="info",
            level="note",
            what=f"{spent.differing:,} traces hold other tokens than their spans",
            evidence="mlflow.trace.tokenUsage against the outermost spans",
        )


def executive_summary(spent: Spending, budget: float = 0.0) -> dict[str, Any]:
    """The page for those who do not open notebooks, as plain values: ready for JSON.

    Keys: ``coverage`` (text), ``statements`` (about, sentence, number, source), ``savings`` (name,
    saved, how, but), ``findings``. Money is in US dollars.
    """
    return {
        "coverage": str(coverage_note(spent)),
        "statements": [_finite(asdict(one)) for one in statements(spent, budget)],
        "savings": [_finite(asdict(one)) for one in all_savings(spent)] if len(spent.own) else [],
        "findings": [asdict(one) for one in _findings(spent, budget)],
    }


def export_executive_summary(spent: Spending, path: str = "", budget: float = 0.0) -> Note:
    """Write the executive summary beside the notebook, as JSON and as Markdown.

    Args:
        path: of the files, without their ending; nothing is written where it is empty.

    Raises:
        OutputError: it can't be written.
    """
    if not path:
        return Note(
            'Nothing is written. export_executive_summary(spent, "cost") writes cost.json and '
            "cost.md beside this notebook; summary_path above does so each time it runs."
        )
    summary = executive_summary(spent, budget)
    text = json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    page = summary_page(summary)
    target = Path(path)
    for ending, content in ((".json", text), (".md", page)):
        to = target.with_name(target.name + ending)
        files.write_text(to, content, overwrite=True, flag="summary_path")
    return Note(f"Wrote {target.name}.json and {target.name}.md.")


def summary_page(summary: dict[str, Any]) -> str:
    """The executive summary as Markdown; what others chose is shown, and inactive."""
    lines = ["# What it cost", ""]
    for one in summary["statements"]:
        lines.append(f"- **{markdown(one['about'])}**: {markdown(one['sentence'])}")
    if summary["findings"]:
        lines += ["", "## To act on", ""]
        lines += [
            f"- {markdown(one['level'])}: {markdown(one['what'])}" for one in summary["findings"]
        ]
    if summary["savings"]:
        lines += ["", "## What could be saved", "", "| way | US dollars | but |", "|---|---|---|"]
        for one in sorted(summary["savings"], key=lambda one: -(one["saved"] or 0)):
            saved = "" if one["saved"] is None else number(one["saved"])
            lines.append(f"| {markdown(one['name'])} | {saved} | {markdown(one['but'])} |")
        lines += ["", "Each is counted by itself; together they save less than their sum."]
    lines += ["", *(markdown(one) for one in summary["coverage"].splitlines()), ""]
    return "\n".join(lines)


def cost_conclusions(spent: Spending, budget: float = 0.0) -> Points | Note:
    """Each sentence with the number that it rests on and the function that gives it."""
    said = statements(spent, budget)
    if not said:
        return Note(NO_CALLS)
    return Points(
        [(one.about, f"{one.sentence} [{number(one.number)}, {one.source}]") for one in said]
    )


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """A row with what JSON has no word for (NaN, infinities) as None."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in row.items()
    }
