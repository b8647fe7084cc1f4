"""The same recorded tokens at other prices: what another model, or less of them, would cost."""

from __future__ import annotations

import numpy as np
import pandas as pd

from qualia_lab.analysis.calls import Spending, cost_of, tokens_of
from qualia_lab.analysis.costs import NO_CALLS, last_price
from qualia_lab.analysis.labels import plain
from qualia_lab.analysis.show import Note
from qualia_lab.prices import Price

_MOST_MODELS = 12


def what_if(spent: Spending, models: str = "") -> pd.DataFrame | Note:
    """What the calls of each stage would cost on each model, in US dollars: counterfactual.

    The tokens are those that were recorded, cached ones at the rates of the other model's cache
    (as plain input, where it has none); the prices those of the last day of each model. Another
    model would make other tokens of the same text and answer at another length, so that this says
    what prices do, and nothing of quality.

    A row a stage and one for all; a column for what was paid, and one a model, cheapest first.
    Calls without tokens or without a cost are in no column, so that all are of the same calls.

    Args:
        models: more models to price, with commas between, such as "gpt-4o-mini, claude-haiku-4-5".
    """
    calls = spent.own
    if not len(calls):
        return Note(NO_CALLS)
    prices = model_prices(spent, models)
    if not prices:
        return Note("None of the models of these calls has a price: see the table of prices.")
    told = calls["input_tokens"].notna() | calls["output_tokens"].notna()
    if calls["cost"].notna().any():
        told &= calls["cost"].notna()
    unpriced = (~told).groupby(calls["stage"].fillna("(no name)"), sort=False).sum()
    calls = calls[told.to_numpy(dtype=bool)]
    tokens = tokens_of(calls)
    stages = calls["stage"].fillna("(no name)").map(lambda one: plain(one)).to_numpy(dtype=object)
    columns = {name: cost_of(tokens, price) for name, price in prices.items()}
    order = sorted(columns, key=lambda name: (columns[name].sum(), name))
    frame = pd.DataFrame(
        {"calls": 1, "paid": calls["cost"].to_numpy(), **{one: columns[one] for one in order}}
    )
    table = frame.groupby(stages, sort=False).sum(min_count=1)
    table = table.sort_values("paid", ascending=False, na_position="last", kind="stable")
    table.loc["all stages"] = frame.sum(min_count=1)
    table["calls"] = table["calls"].astype("int64")
    if unpriced.any():
        unpriced.index = pd.Index([plain(str(one)) for one in unpriced.index])
        left_out = unpriced.reindex(table.index).fillna(0).to_numpy().copy()
        left_out[-1] = unpriced.sum()  # of all stages, the last row
        table.insert(1, "left out", left_out.astype("int64"))
    return table.rename_axis("stage")


def model_prices(spent: Spending, models: str = "") -> dict[str, Price]:
    """The price of each model that was called, by its name, and of others that are named.

    Of more than twelve, those that were called most.
    """
    calls = spent.own
    found: dict[str, Price] = {}
    counts = calls.groupby(["model", "provider"], dropna=False).size().sort_values(ascending=False)
    groups = dict(list(calls.groupby(["model", "provider"], dropna=False, sort=False)))
    for key in counts.index:
        price = last_price(spent, groups[key])
        name = plain(key[0])
        if price is not None and name not in found and len(found) < _MOST_MODELS:
            found[name] = price
    last = calls["started"].max()
    for named in models.split(","):
        name = named.strip()
        if name and plain(name) not in found and last == last:
            price = spent.source.find(name, None, last.floor("s").to_pydatetime())
            if price is not None:
                found[plain(name)] = price
    return found


def cheapest(spent: Spending) -> dict[str, tuple[str, float, float]]:
    """Stage -> the cheapest model that was called, what its calls cost there, and what was paid.

    Only calls with a cost count; stages that are on the cheapest already are left out.
    """
    calls = spent.own[spent.own["cost"].notna() & spent.own["input_tokens"].notna()]
    prices = model_prices(spent)
    found = {}
    for stage, group in calls.groupby("stage", sort=False):
        tokens, paid = tokens_of(group), float(group["cost"].sum())
        costs = {name: float(cost_of(tokens, price).sum()) for name, price in prices.items()}
        if not costs:
            continue
        name = min(costs, key=lambda one: (costs[one], one))
        if costs[name] < paid and not np.isclose(costs[name], paid):
            found[plain(str(stage))] = (name, costs[name], paid)
    return found
