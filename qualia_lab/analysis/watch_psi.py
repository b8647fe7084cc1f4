"""The population stability index as a rule: what its thresholds by habit give without any drift."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd

HABITS = (0.1, 0.25)
_TIMES = 20_000
_COLUMNS = ("threshold", "false alarms of a feature", "false alarms of any feature")


def psi_false_alarm_rate(
    reference: int, current: int, threshold: float = 0.1, bins: int = 10
) -> float:
    """How often PSI over the reference's quantiles passes a threshold in two samples of one law.

    Args:
        reference, current: how many values the samples have.
        threshold: of PSI.
        bins: between the quantiles of the reference.
    """
    null = psi_null(reference, current, bins)
    return 1 - float(np.searchsorted(null, threshold, side="right")) / len(null)


def psi_rules(
    reference: int, current: int, features: int = 1, rate: float = 0.05, bins: int = 10
) -> pd.DataFrame:
    """Thresholds of PSI with their rates of false alarms on samples of this size.

    A row a threshold: those by habit, 0.1 and 0.25, and the one that is passed in vain by one of
    ``features`` in no more than ``rate`` of checks. The rate of any feature is that of features
    which vary independently; where they do not, it is lower.
    """
    null = psi_null(reference, current, bins)
    each = 1 - (1 - rate) ** (1 / max(1, features))
    place = min(len(null) - 1, int(np.ceil(len(null) * (1 - each))))
    named = {f"by habit: {habit:g}": habit for habit in HABITS} | {"calibrated": float(null[place])}
    rows = []
    for threshold in named.values():
        alone = psi_false_alarm_rate(reference, current, threshold, bins)
        rows.append((threshold, alone, 1 - (1 - alone) ** max(1, features)))
    table = pd.DataFrame(rows, columns=list(_COLUMNS), index=pd.Index(list(named), dtype=object))
    of = f"PSI of {reference:,} and {current:,} values, {features:,} features"
    return table.rename_axis(columns=of)


@lru_cache(maxsize=32)
def psi_null(reference: int, current: int, bins: int = 10) -> np.ndarray:
    """PSI of 20,000 simulated pairs of samples of one continuous law, sorted.

    Where bins are cut at quantiles of the reference, the share of the law that lies in a bin is
    random too: the shares are Dirichlet, with as many counts as values of the reference lie in
    each. The current counts are multinomial of these. A bin without values counts as half a value.
    """
    random = np.random.default_rng(0)
    counts = np.diff(np.linspace(0, reference, bins + 1).round())
    # Of n values n + 1 gaps are made; the last bin has one more gap than values.
    gaps = counts + (np.arange(bins) == bins - 1)
    shares = random.dirichlet(gaps, size=_TIMES)
    now = np.maximum(random.multinomial(current, shares), 0.5) / current
    then = np.maximum(counts, 0.5) / reference
    return np.sort(((now - then) * np.log(now / then)).sum(axis=1))
