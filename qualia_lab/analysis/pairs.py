"""Which metrics are drawn as curves: those of training and of held-out data share a chart."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from qualia_lab.directions import is_system, ranked
from qualia_lab.model import RunSet

MOST_PANELS = 6
# What Keras, Lightning, Transformers, XGBoost and scikit-learn call the two kinds of data; of
# several, the first is paired.
_HELD_OUT = ("val", "valid", "validation", "eval", "dev", "holdout", "cv", "test")
_TRAINING = ("train", "training")
_EPOCH = "epoch"
# Histories are read of so many runs of a metric to see whether they are curves at all.
_ASKED = 3
_MOST_CANDIDATES = 120
_BATCH = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One chart: a metric, and the same metric of training data where both are curves."""

    metric: str
    training: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics of this chart."""
        return (self.metric,) if self.training is None else (self.metric, self.training)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The charts, and what they were chosen from.

    ``of`` is how many metrics have a curve, or how many were logged where not all were ``asked``.
    """

    panels: tuple[Panel, ...]
    of: int
    asked: int

    @property
    def names(self) -> list[str]:
        """The metrics of all charts."""
        return [name for panel in self.panels for name in panel.names]


def choose(runs: RunSet, first: str | None = None) -> Choice:
    """At most six charts of metrics that have more than one point in a run, most telling first.

    Whether a metric is a curve only its history tells. Of a metric that many runs logged, three are
    asked; all are where that leaves room for more charts. At most 120 metrics are looked at.
    System metrics and ``epoch`` count only as ``first``.
    """
    names = _candidates(runs, first)
    asked: list[str] = []
    curved: set[str] = set()
    whole = False
    for batch in _batches(names[:_MOST_CANDIDATES]):
        asked += batch
        curved |= _curved(runs, batch, _ASKED)
        if len(panels([name for name in names if name in curved])) >= MOST_PANELS:
            break
    else:
        counts = runs.logged[asked].sum(axis=0)
        unsure = [name for name in asked if name not in curved and counts[name] > _ASKED]
        curved |= _curved(runs, unsure, None)
        whole = len(asked) == len(names)
    found = panels([name for name in names if name in curved])
    return Choice(
        panels=tuple(found[:MOST_PANELS]),
        of=len(curved) if whole else len(names),
        asked=len(asked),
    )


def panels(names: Sequence[str]) -> list[Panel]:
    """Charts of these metrics, in their order; a chart stands where its first metric does."""
    found: list[Panel] = []
    for members in _families(names):
        held_out = sorted((name for name in members if _role(name) in _HELD_OUT), key=_rank)
        training = sorted((name for name in members if _role(name) not in _HELD_OUT), key=_rank)
        paired = held_out[:1] + training[:1] if held_out and training else []
        if paired:
            found.append(Panel(metric=paired[0], training=paired[1]))
        found += [Panel(metric=name) for name in members if name not in paired]
    place = {name: number for number, name in enumerate(names)}
    return sorted(found, key=lambda panel: min(place[name] for name in panel.names))


def _families(names: Sequence[str]) -> list[list[str]]:
    """Metrics that are the same but for the data, together."""
    families: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        families.setdefault(_parts(name)[0], []).append(name)
    return list(families.values())


def _parts(name: str) -> tuple[tuple[str, ...], str]:
    """A name without the word that tells the data (``val_loss``: ``loss``), and that word."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name).lower()
    words = [word for word in re.split(r"[^\w]+|_", spaced) if word]
    roles = [word for word in words if word in (*_HELD_OUT, *_TRAINING)]
    if len(roles) != 1:
        return (tuple(words) or (name,)), ""
    words.remove(roles[0])
    # Lightning's train_loss_epoch is the mean over the steps of an epoch; its val_loss is that too.
    if len(words) > 1 and words[-1] == _EPOCH:
        words.pop()
    return (tuple(words), roles[0]) if words else ((name,), "")


def _role(name: str) -> str:
    return _parts(name)[1]


def _rank(name: str) -> int:
    role = _role(name)
    known = _HELD_OUT if role in _HELD_OUT else _TRAINING
    return known.index(role) if role in known else len(known)


def _candidates(runs: RunSet, first: str | None) -> list[str]:
    counts = {str(name): int(count) for name, count in runs.logged.sum(axis=0).items()}
    model = {
        name: count for name, count in counts.items() if not is_system(name) and name != _EPOCH
    }
    order = ranked(model)
    if first not in counts:
        return order
    return [first, *(name for name in order if name != first)]


def _batches(names: Sequence[str]) -> Iterator[list[str]]:
    """The metrics of six charts, then more at a time; those that may share a chart together."""
    families = iter(_families(names))
    size = MOST_PANELS
    while batch := [name for family in islice(families, size) for name in family]:
        yield batch
        size = _BATCH


def _curved(runs: RunSet, names: Sequence[str], most_runs: int | None) -> set[str]:
    """Which of these metrics have more than one point in one of the runs that are asked."""
    if not names:
        return set()
    logged = runs.logged[list(names)].to_numpy(dtype=bool)
    picked: np.ndarray = np.asarray(logged.any(axis=1))
    if most_runs is not None:
        picked = np.zeros(len(runs), dtype=bool)
        for column in logged.T:
            here = np.flatnonzero(column)
            spread = np.linspace(0, len(here) - 1, min(most_runs, len(here)))
            picked[here[spread.astype(int)]] = True
    # Apart from the set, so that what it keeps grows once, by all that is drawn.
    ids = [str(run) for run, here in zip(runs.runs.index, picked, strict=True) if here]
    asked = runs if picked.all() else runs.afresh()
    points = asked.history(list(names), ids)
    metrics, of = (points[one].to_numpy(dtype=object) for one in ("metric", "run_id"))
    again = (metrics[1:] == metrics[:-1]) & (of[1:] == of[:-1])
    return {str(metric) for metric in metrics[1:][again]}
