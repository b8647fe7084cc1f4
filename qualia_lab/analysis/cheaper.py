"""Five ways to pay less, each computed from the calls that were made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qualia_lab.analysis.calls import Spending, cost_of, tokens_of
from qualia_lab.analysis.costs import NO_CALLS, last_price
from qualia_lab.analysis.labels import dollars
from qualia_lab.analysis.other_prices import cheapest
from qualia_lab.analysis.show import Note, Points
from qualia_lab.prices import Price

# OpenAI (platform.openai.com/docs/guides/prompt-caching) and Anthropic (docs.anthropic.com,
# Prompt caching) cache prompts from so many tokens on, and keep them for about so long.
FEWEST_CACHED = 1024
_KEPT = pd.Timedelta(minutes=5)
# OpenAI, Anthropic and Google charge half for what may take a day.
_BATCH = 0.5
_CAP = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """One way to pay less. ``saved`` is in US dollars, over all calls with a cost; NaN if unknown.

    ``how`` says what it rests on, ``but`` what it costs besides money.
    """

    name: str
    saved: float
    how: str
    but: str


def savings(spent: Spending) -> pd.DataFrame | Note:
    """Five ways to pay less, the largest first: what each would have saved on these calls.

    A cheaper model for each stage (among those that were called), a cache for the beginning that
    prompts share, the batch tier, a cap on answers at the 90th percentile of their stage, and a
    cache for inputs that came again. Each is counted by itself: together they save less than their
    sum.
    """
    calls = spent.own
    if not len(calls):
        return Note(NO_CALLS)
    total = float(calls["cost"].sum())
    if not total > 0:
        return Note("None of these calls has a cost above 0, so that nothing can be saved.")
    found = sorted(all_savings(spent), key=lambda one: -np.nan_to_num(one.saved, nan=-1.0))
    table = pd.DataFrame(
        [(one.name, one.saved, one.saved / total, one.but) for one in found],
        columns=["way", "saved, $", "share of all", "but"],
    )
    return table.set_index("way")


def how_saved(spent: Spending) -> Points | Note:
    """What each of ``savings`` rests on."""
    if not len(spent.own):
        return Note(NO_CALLS)
    return Points(
        [(one.name[0].upper() + one.name[1:], f"{one.how}.") for one in all_savings(spent)]
    )


def all_savings(spent: Spending) -> list[Saving]:
    """The five, in no order."""
    return [
        _model(spent),
        _prefixes(spent),
        _batch(spent),
        _cap(spent),
        _repeats(spent),
    ]


def _model(spent: Spending) -> Saving:
    found = cheapest(spent)
    saved = sum(paid - cost for _, cost, paid in found.values())
    named = sorted(found.items(), key=lambda one: one[1][1] - one[1][2])
    parts = [
        f"{stage} on {model}: {dollars(cost)} for {dollars(paid)}"
        for stage, (model, cost, paid) in named[:3]
    ]
    how = "; ".join(parts) + ("; …" if len(named) > 3 else "")
    return Saving(
        name="a cheaper model for a stage",
        saved=float(saved),
        how=how or "every stage is on the cheapest of the models that were called",
        but="whether its answers will do: evaluate it on these inputs first",
    )


def _prefixes(spent: Spending) -> Saving:
    """Prompts that begin like the call before of their stage and model, within five minutes.

    Characters become tokens by the share of each prompt's own. What was read from a cache already
    is no saving; what has to be written to one costs what the price says.
    """
    name, but = (
        "prompt caching",
        "prompts have to begin with what they share; answers stay as they are",
    )
    calls = spent.own
    calls = calls[calls["inputs"].notna() & (calls["input_tokens"] >= FEWEST_CACHED)]
    saved, tokens, count, unable = 0.0, 0.0, 0, 0
    for _, group in calls.groupby(["stage", "model", "provider"], dropna=False, sort=False):
        price = last_price(spent, group)
        if price is None or price.rates.cache_read is None:
            unable += len(group)
            continue
        shared = shared_tokens(group)
        already = group["cache_read_tokens"].fillna(0).to_numpy(dtype="float64")
        read = np.maximum(np.where(shared >= FEWEST_CACHED, shared, 0) - already, 0)
        plain, _, hit, write, _ = (float(rate) for rate in price.rates.all)
        saved += float(read.sum()) * (plain - hit) / 1e6
        # Who comes first writes what the next ones read.
        first = np.flatnonzero((read[1:] > 0) & (read[:-1] == 0) & (already[:-1] == 0))
        saved -= float(read[first + 1].sum()) * (write - plain) / 1e6
        tokens, count = tokens + float(read.sum()), count + int((read > 0).sum())
    if not count:
        how = (
            f"no prompt of {FEWEST_CACHED:,} tokens or more begins like the one before it within "
            "five minutes, besides what was cached"
        )
    else:
        how = (
            f"{count:,} calls share {tokens:,.0f} tokens with the call before that were not cached"
        )
    if unable:
        how += (
            f"; {unable:,} calls of models whose price for cached tokens is not known are left out"
        )
    return Saving(name=name, saved=max(saved, 0.0), how=how, but=but)


def shared_tokens(calls: pd.DataFrame) -> NDArray[np.float64]:
    """How many tokens each prompt shares, from its beginning, with the call before.

    Args:
        calls: of one stage and model, by time, with ``inputs``, ``input_tokens``, ``started``.

    Returns:
        (calls,); 0 where the call before is more than five minutes away.
    """
    texts = [prompt_text(one) for one in calls["inputs"]]
    near = (calls["started"].diff() <= _KEPT).to_numpy()
    lengths = np.array([len(one) for one in texts], dtype="float64")
    shared = np.zeros(len(texts))
    for number in range(1, len(texts)):
        if near[number]:
            shared[number] = _common(texts[number - 1], texts[number])
    tokens = calls["input_tokens"].fillna(0).to_numpy(dtype="float64")
    share = np.divide(tokens, lengths, out=np.zeros_like(tokens), where=lengths > 0)
    found: NDArray[np.float64] = np.floor(shared * share)
    return found


def prompt_text(inputs: Any) -> str:
    """The prompt in the inputs of a call, in the order in which a model reads it.

    The settings around it (temperature, model) are no part of what a provider caches.
    """
    if not isinstance(inputs, str):
        return ""
    try:
        told = json.loads(inputs)
    except (ValueError, RecursionError):
        return inputs
    if isinstance(told, dict):
        for key in ("messages", "input", "prompt", "contents"):
            if told.get(key):
                parts = [told.get("system") or "", told.get("tools") or "", told[key]]
                return "".join(one for part in parts for one in _strings(part))
    return "".join(_strings(told))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value + "\n"
    elif isinstance(value, dict):
        for one in value.values():
            yield from _strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)


def _common(one: str, other: str) -> int:
    """The length of the common beginning of two texts."""
    low, high = 0, min(len(one), len(other))
    if one[:high] == other[:high]:
        return high
    while high - low > 1:  # [:low] is the same, [:high] is not
        middle = (low + high) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle)
    return low


def _batch(spent: Spending) -> Saving:
    calls = spent.own
    calls = calls[calls["cost"].notna()]
    saved, known, guessed = 0.0, 0, 0
    for _, group in calls.groupby(["model", "provider"], dropna=False, sort=False):
        price = last_price(spent, group)
        batch: Price | None = spent.source.batch(price) if price is not None else None
        if price is None or batch is None:
            guessed += len(group)
            saved += float(group["cost"].sum()) * _BATCH
            continue
        known += len(group)
        tokens = tokens_of(group)
        usual = cost_of(tokens, price).sum()
        share = float(cost_of(tokens, batch).sum() / usual) if usual else 1.0
        saved += float(group["cost"].sum()) * max(1 - share, 0.0)
    how = f"{known:,} calls at the published rates of the batch tier"
    if guessed:
        how += f"; {guessed:,} calls, whose batch rates are not known, taken at half the price"
    return Saving(
        name="the batch tier",
        saved=saved,
        how=how,
        but="answers come within a day, not at once; only for work that can wait",
    )


def _cap(spent: Spending) -> Saving:
    calls = spent.own
    calls = calls[calls["cost"].notna() & calls["output_tokens"].notna()]
    saved, cut, tokens = 0.0, 0, 0.0
    caps = []
    for stage, group in calls.groupby("stage", sort=False):
        outputs = group["output_tokens"].to_numpy(dtype="float64")
        cap = float(np.quantile(outputs, _CAP))
        caps.append(f"{stage} at {cap:,.0f}")
        over = np.maximum(outputs - cap, 0)
        for _, rows in group.groupby(["model", "provider"], dropna=False, sort=False):
            price = last_price(spent, rows)
            mine = over[group.index.get_indexer(rows.index)]
            if price is not None:
                saved += float(mine.sum()) * float(price.rates.output) / 1e6
                cut, tokens = cut + int((mine > 0).sum()), tokens + float(mine.sum())
    shown = ", ".join(caps[:3]) + (", …" if len(caps) > 3 else "")
    return Saving(
        name="a cap on answers at P90",
        saved=saved,
        how=f"{tokens:,.0f} tokens of {cut:,} answers beyond the cap"
        + (f" ({shown})" if shown else ""),
        but="these answers would have been cut off; a request for short ones may do as well",
    )


def _repeats(spent: Spending) -> Saving:
    calls = spent.own
    calls = calls[calls["cost"].notna() & calls["inputs"].notna()]
    again = calls.duplicated(["stage", "model", "provider", "inputs"])
    saved = float(calls.loc[again, "cost"].sum())
    return Saving(
        name="a cache for repeated inputs",
        saved=saved,
        how=f"{int(again.sum()):,} of {len(calls):,} calls had the stage, model and inputs of an "
        "earlier one",
        but="the same input gets the same answer, also where the temperature is above 0",
    )


def repeats(spent: Spending) -> int:
    """How many calls of the application had the stage, model and inputs of an earlier one."""
    calls = spent.own
    calls = calls[calls["inputs"].notna()]
    return int(calls.duplicated(["stage", "model", "provider", "inputs"]).sum())
