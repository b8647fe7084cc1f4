"""Can a model tell two samples apart, and by which features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from qualia_lab.analysis.drifted import drifts
from qualia_lab.analysis.features import Feature, category_texts
from qualia_lab.analysis.labels import distinct, with_spread
from qualia_lab.analysis.samples import NOTHING, Samples
from qualia_lab.analysis.scales import cut
from qualia_lab.analysis.show import COLOURS, GREY, INK, Figure, Note, Points, dress

_MOST_ROWS = 10_000
FEWEST = 50
_MOST_CATEGORIES = 60
_MOST_FEATURES = 100
_MOST_SHUFFLED, _MOST_SHUFFLED_ROWS = 30, 4_000
_REPEATS = 5
_MOST_BARS = 10
_CLIP = 1e150
_SEED = 0
_Z = 1.959963984540054
# How well a model has to tell them apart for that to matter, and to matter much.
SOME, MUCH = 0.6, 0.75


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Told:
    """How well a model told the rows that it did not see apart, and what it went by.

    ``auc`` with its 95 % interval ``low`` to ``high``; ``importance`` and ``std`` are of
    ``features``, the most important first: how much the AUC falls when that feature is shuffled.
    """

    auc: float
    low: float
    high: float
    rows: tuple[int, int]
    of_rows: tuple[int, int]
    features: tuple[Feature, ...]
    importance: np.ndarray
    std: np.ndarray
    used: int
    of_features: int

    @property
    def tells(self) -> bool:
        """Better than by chance, and well enough to matter."""
        return self.low > 0.5 and self.auc >= SOME

    @property
    def giveaways(self) -> list[int]:
        """The features whose importance is above twice its spread and a hundredth of AUC."""
        clear = (self.importance > 2 * self.std) & (self.importance > 0.01)
        return [int(one) for one in np.flatnonzero(clear)]


def told(samples: Samples) -> Told | str:
    """The model's answer, made once; or why it can't be asked."""
    found: Told | str = samples.kept("told", lambda: _told(samples))
    return found


def _told(samples: Samples) -> Told | str:
    from threadpoolctl import threadpool_limits

    usable = [one.feature for one in drifts(samples) if not one.feature.why_not]
    sizes = (len(samples.reference.frame), len(samples.current.frame))
    if not usable:
        return "There is no feature that a model could learn from."
    if min(sizes) < FEWEST:
        return (
            f"A model needs {FEWEST} rows of each to learn from; there are {sizes[0]:,} and "
            f"{sizes[1]:,}."
        )
    used = usable[:_MOST_FEATURES]
    draw = np.random.default_rng(_SEED)
    rows = [draw.permutation(size)[:_MOST_ROWS] for size in sizes]
    columns = [_encoded(one, rows) for one in used]
    is_category = np.array([one.kind == "category" for one in used])
    x = np.column_stack(columns)
    y = np.repeat([0, 1], [len(rows[0]), len(rows[1])])
    # Rows were drawn in random order, so every second one of each is a random half.
    held = np.concatenate([np.arange(len(one)) % 2 == 1 for one in rows])
    # Several threads wait for one another longer than such a model takes, on a busy machine.
    with threadpool_limits(1):
        return _fitted(x, y, held, is_category, used, sizes, len(usable))


def _fitted(
    x: np.ndarray, y: np.ndarray, held: np.ndarray, is_category: np.ndarray,
    used: list[Feature], sizes: tuple[int, int], of_features: int,
) -> Told:  # fmt: skip
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=50,
        max_leaf_nodes=15,
        min_samples_leaf=min(20, max(5, int((~held).sum()) // 20)),
        categorical_features=is_category,
        early_stopping=False,
        random_state=_SEED,
    )
    model.fit(x[~held], y[~held])
    scores = model.predict_proba(x[held])[:, 1]
    auc, low, high = auc_interval(scores[y[held] == 0], scores[y[held] == 1])
    drops = _drops(model, x[held], y[held])
    order = np.argsort(-drops.mean(axis=1), kind="stable")
    return Told(
        auc=auc, low=low, high=high,
        rows=(int((y == 0).sum()), int((y == 1).sum())), of_rows=sizes,
        features=tuple(used[one] for one in order),
        importance=drops.mean(axis=1)[order], std=drops.std(axis=1)[order],
        used=len(used), of_features=of_features,
    )  # fmt: skip


def _drops(model: Any, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How far the AUC falls when a column is shuffled: a row a feature, a column a repeat.

    Breiman 2001, on up to 4,000 rows that the model did not see; of the first 30 features, which
    are those that moved furthest by themselves.
    """
    some = np.linspace(0, len(y) - 1, min(len(y), _MOST_SHUFFLED_ROWS)).astype(int)
    x, y = x[some], y[some]
    auc = _auc(model.predict_proba(x)[:, 1], y)
    draw = np.random.default_rng(_SEED)
    drops = np.zeros((min(x.shape[1], _MOST_SHUFFLED), _REPEATS))
    many = np.tile(x, (_REPEATS, 1))
    for place in range(len(drops)):
        many[:, place] = np.concatenate([draw.permutation(x[:, place]) for _ in range(_REPEATS)])
        for repeat, scores in enumerate(np.split(model.predict_proba(many)[:, 1], _REPEATS)):
            drops[place, repeat] = auc - _auc(scores, y)
        many[:, place] = np.tile(x[:, place], _REPEATS)
    return drops


def _auc(scores: np.ndarray, y: np.ndarray) -> float:
    return auc_interval(scores[y == 0], scores[y == 1])[0]


def _encoded(feature: Feature, rows: list[np.ndarray]) -> np.ndarray:
    """A feature as the model takes it: numbers, or codes of the most frequent categories."""
    sides = (feature.reference, feature.current)
    if feature.kind == "number":
        values = np.concatenate([one.values[mine] for one, mine in zip(sides, rows, strict=True)])
        return np.where(np.isfinite(values), np.clip(values, -_CLIP, _CLIP), np.nan)
    texts = np.concatenate(
        [category_texts(one.values.iloc[mine]) for one, mine in zip(sides, rows, strict=True)]
    )
    here = texts != None  # noqa: E711
    names, codes, counts = np.unique(
        texts[here].astype(str), return_inverse=True, return_counts=True
    )
    rank = np.empty(len(names), dtype="float64")
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(names))
    found = np.full(len(texts), np.nan)
    found[here] = np.minimum(rank, _MOST_CATEGORIES)[codes]
    return found


def auc_interval(low: np.ndarray, high: np.ndarray) -> tuple[float, float, float]:
    """The AUC of scores, and its 95 % interval.

    The variance is that of DeLong, DeLong and Clarke-Pearson 1988, by ranks (Sun and Xu 2014).

    Args:
        low: scores of the rows that should have low ones.
        high: of those that should have high ones.
    """
    from scipy import stats

    n, m = len(low), len(high)
    both = stats.rankdata(np.concatenate([low, high]))
    above = (both[n:] - stats.rankdata(high)) / n
    below = 1 - (both[:n] - stats.rankdata(low)) / m
    auc = float(above.mean())
    variance = float(np.var(above, ddof=1) / m + np.var(below, ddof=1) / n)
    reach = _Z * np.sqrt(variance)
    return auc, max(0.0, auc - reach), min(1.0, auc + reach)


def two_sample_classifier(samples: Samples | Note) -> Points | Note:
    """Whether a model can tell from which of two samples a row is, and by what.

    Gradient-boosted trees learn from a random half of the rows (10,000 of each sample at most) and
    are asked about the other half (Lopez-Paz and Oquab 2017, Revisiting Classifier Two-Sample
    Tests). An AUC of 0.5 is guessing. Its interval is DeLong's. What the features are worth is how
    far the AUC falls when they are shuffled. Unlike tests of each feature, this sees features that
    moved together. Times and ids are left out, which tell samples apart by what they are.
    """
    if isinstance(samples, Note):
        return NOTHING
    found = told(samples)
    if isinstance(found, str):
        return Note(found)
    points = [("AUC", f"{found.auc:.3f}, 95 % interval {found.low:.3f} to {found.high:.3f}.")]
    points.append(("Answer", answer(found)))
    if found.tells:
        named = [
            f"{found.features[one].label} "
            f"({with_spread(float(found.importance[one]), float(found.std[one]))})"
            for one in found.giveaways[:5]
        ]
        text = "; ".join(named) or "no single feature; what tells them apart is spread over several"
        points.append(("By", f"{text}. The number is how far the AUC falls without it."))
    points.append(("Rows", _rows(found)))
    return Points(points)


def answer(found: Told) -> str:
    """What the AUC means."""
    if found.tells:
        how = "with ease" if found.auc >= MUCH else "better than by chance"
        return f"a model tells the two apart {how}."
    if found.low > 0.5:
        return "a model tells the two apart, but hardly: it is better than guessing by a little."
    return "a model can't tell the two apart better than by guessing."


def _rows(found: Told) -> str:
    parts = [
        f"{mine:,} of {of:,}" if mine < of else f"all {of:,}"
        for mine, of in zip(found.rows, found.of_rows, strict=True)
    ]
    cut_features = (
        f" It knew {found.used:,} of {found.of_features:,} features, those that moved furthest."
        if found.used < found.of_features
        else ""
    )
    return (
        f"{parts[0]} of the reference and {parts[1]} of the current table, drawn at random; half "
        f"to learn from, half to be asked about.{cut_features}"
    )


def classifier_chart(samples: Samples | Note) -> Figure | Note:
    """The features by which a model tells two samples apart, the ten most important at most."""
    if isinstance(samples, Note):
        return NOTHING
    found = told(samples)
    if isinstance(found, str):
        return Note(found)
    if not found.tells:
        return Note("Where a model can't tell them apart there is no feature to name.")
    shown = min(_MOST_BARS, len(found.features))
    clear = set(found.giveaways)
    title = f"What gives it away (AUC {found.auc:.2f})"
    figure = Figure(
        alt=f"{title}. A bar a feature, the most important above.", figsize=(9, 1.0 + 0.3 * shown)
    )
    axes = figure.add_subplot()
    axes.barh(
        range(shown), found.importance[:shown], height=0.62, xerr=found.std[:shown],
        color=[COLOURS[0] if one in clear else GREY for one in range(shown)],
        error_kw={"ecolor": INK, "capsize": 3, "elinewidth": 1},
    )  # fmt: skip
    axes.axvline(0, color=INK, linewidth=0.8)
    labels = distinct([cut(one.label, 34) for one in found.features[:shown]])
    axes.set_yticks(range(shown), labels, parse_math=False)
    axes.set_ylim(shown - 0.5, -0.5)
    dress(axes, title)
    axes.grid(False, axis="y")
    more = f"; {shown} of {len(found.features):,} features" if shown < len(found.features) else ""
    grey = (
        ""
        if len(clear & set(range(shown))) == shown
        else "; grey: may be chance, or next to nothing"
    )
    figure.supxlabel(
        f"how far the AUC falls when the feature is shuffled; whisker: deviation of {_REPEATS} "
        f"shuffles{grey}{more}",
        fontsize=8,
    )
    return figure
