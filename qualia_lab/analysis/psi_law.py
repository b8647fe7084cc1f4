"""What the population stability index is by chance, so that a value can be judged."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

# Past so many rows in each bin of either sample, the limit is within two hundredths of the law.
_MANY = 100
_DRAWS = 20_000
# With many bins fewer draws have to do: so many counts in all.
_MOST_COUNTS = 4_000_000
_SEED = 20_240_229


def psi_critical(counts: np.ndarray, *, cut_by_first: bool, level: float = 0.05) -> float:
    """The value that the PSI of two samples of one law stays below, but for ``level`` of the time.

    With many rows in every bin it is the limit (1/n + 1/m) χ² with B - 1 degrees of freedom, for B
    bins and n and m rows (Yurdakul 2018, Statistical Properties of Population Stability Index).
    That holds for bins cut at quantiles of the first sample too: of one law, the shares that it
    truly has in them vary as 1/n (they are Dirichlet's), just as a sample's shares do.

    With few rows the limit is off, and the law is drawn 20,000 times from a fixed seed (less often
    where there are more than 200 bins): where
    the bins are cut by the first sample, the true shares are Dirichlet's with its counts (the gaps
    between order statistics) and the second sample's counts are multinomial with these; else both
    are multinomial with the shares of both together.

    Args:
        counts: 2 rows, a column a bin, as for ``shift.psi``.
        cut_by_first: whether the first sample, without ties, made the bins.
        level: how often samples of one law are to exceed it.
    """
    from scipy import special

    n, m = (int(one) for one in counts.sum(axis=1))
    bins = counts.shape[1]
    if bins < 2:
        return float("nan")
    together = counts.sum(axis=0) / counts.sum()
    if together.min() * min(n, m) >= _MANY:
        return float((1 / n + 1 / m) * special.chdtri(bins - 1, level))
    first = tuple(int(one) for one in counts[0])
    shares = () if cut_by_first else tuple(float(one) for one in np.round(together, 4))
    return float(np.quantile(_drawn(m, first, shares), 1 - level))


@lru_cache(maxsize=64)
def _drawn(m: int, first: tuple[int, ...], together: tuple[float, ...]) -> np.ndarray:
    """Values of the PSI under one law; kept, since columns of one table mostly share sizes."""
    draw = np.random.default_rng(_SEED)
    n, draws = sum(first), min(_DRAWS, _MOST_COUNTS // len(first))
    if together:
        shares = np.array(together) / sum(together)
        p = draw.multinomial(n, shares, draws)
    else:
        p = np.tile(first, (draws, 1))
        # The last bin ends beyond the largest value: one more gap than it has values.
        shares = draw.dirichlet([*first[:-1], first[-1] + 1], draws)
    q = draw.multinomial(m, shares, draws if together else None)
    one, other = np.maximum(p, 0.5) / n, np.maximum(q, 0.5) / m
    found: np.ndarray = ((one - other) * np.log(one / other)).sum(axis=1)
    return found
