"""Concept drift: whether the errors of a model become more frequent or larger along a stream."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from qualia_lab.analysis.watch_changes import fit_step
from qualia_lab.analysis.watch_levels import is_rate
from qualia_lab.analysis.watch_noise import on_grid, simulated

_SEED = 20_240_229
# So many updates of a detector are spent on its rate of false alarms: seconds in all.
_UPDATES = 600_000
_FEWEST_STREAMS, _MOST_STREAMS = 20, 400
_LONGEST = 30_000
# ADWIN looks for a change at every 32nd value, as in its paper; of a short stream at every one.
_SHORT, _CLOCK = 1_000, 32
# A step that was searched for is clear from so many standard errors on.
_CLEAR = 4
_SHORTEST = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A detector of river: how it is made, and whether it takes zeros and ones only."""

    name: str
    make: Callable[[int], Any]
    only_rates: bool
    source: str


def _adwin(length: int) -> Any:
    from river.drift import ADWIN

    return ADWIN(clock=1 if length < _SHORT else _CLOCK)


def _page_hinkley(length: int) -> Any:
    from river.drift import PageHinkley

    return PageHinkley()


def _ddm(length: int) -> Any:
    from river.drift.binary import DDM

    return DDM()


def _eddm(length: int) -> Any:
    from river.drift.binary import EDDM

    return EDDM()


ALARM = Method(name="ADWIN", make=_adwin, only_rates=False, source="Bifet and Gavaldà 2007")
METHODS: tuple[Method, ...] = (
    ALARM,
    Method(name="Page-Hinkley", make=_page_hinkley, only_rates=False, source="Page 1954"),
    Method(name="DDM", make=_ddm, only_rates=True, source="Gama et al. 2004"),
    Method(name="EDDM", make=_eddm, only_rates=True, source="Baena-García et al. 2006"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """A change that ADWIN alarms at.

    ``place`` is the index of the value at which it alarms, ``start`` that of the first value after
    the change; the means are those of the values between the change before and this one, and of
    those from this one to the alarm.
    """

    place: int
    start: int
    before: float
    after: float


def drifts(errors: np.ndarray) -> list[Drift]:
    """The changes at which ADWIN (delta 0.002, river's default) alarms on a stream of errors.

    ADWIN says that its window holds a change, and forgets old values little by little, so that it
    often alarms at one change several times. Where the change is, is the step that least squares
    finds since the change before; an alarm for which there is no clear one is about that before.
    The bound that ADWIN uses is one for values between 0 and 1; others are scaled to that.
    """
    found: list[Drift] = []
    last = 0
    for place in alarms(ALARM, errors):
        segment = errors[last : place + 1]
        if len(segment) < 2 * _SHORTEST:
            continue
        step = fit_step(segment)
        before, after = segment[: step.place], segment[step.place :]
        spread = math.sqrt(step.rss / len(segment) * (1 / len(before) + 1 / len(after)))
        difference = float(after.mean() - before.mean())
        if found and abs(difference) <= _CLEAR * spread:
            continue
        start = last + step.place
        found.append(
            Drift(place=place, start=start, before=float(before.mean()), after=float(after.mean()))
        )
        last = start
    return found


def alarms(method: Method, errors: np.ndarray) -> list[int]:
    """The indices at which a detector alarms on a stream."""
    detector = method.make(len(errors))
    whole = errors.astype("int64") if method.only_rates else _scaled(errors)
    found = []
    for place, value in enumerate(whole.tolist()):
        detector.update(value)
        if detector.drift_detected:
            found.append(place)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class FalseAlarms:
    """What a detector does on streams in which nothing changes.

    ``share`` of ``streams`` streams of ``length`` values have an alarm, ``each`` is how many a
    stream has on average.
    """

    share: float
    each: float
    streams: int
    length: int


def stream_false_alarms(
    method: Method, errors: np.ndarray, phi: float | None = None
) -> FalseAlarms:
    """How often a detector alarms on stationary streams of this length and these values.

    Streams are drawn from the errors with replacement, so that their order is lost; with a ``phi``,
    where they are no zeros and ones, they are an AR(1) instead. They are 30,000 values long at
    most, and 600,000 values in all; of a longer stream the rate is a lower bound.
    """
    length = min(len(errors), _LONGEST)
    if is_rate(errors):
        return _of_rate(method.name, length, float(f"{errors.mean():.3g}"))
    if phi is not None:
        return _of_noise(method.name, length, on_grid(phi))
    random = np.random.default_rng(_SEED)
    return _counted(method, random.choice(errors, size=(_streams(length), length)))


@lru_cache(maxsize=64)
def _of_rate(name: str, length: int, rate: float) -> FalseAlarms:
    random = np.random.default_rng(_SEED)
    return _counted(_named(name), (random.random((_streams(length), length)) < rate) * 1.0)


@lru_cache(maxsize=64)
def _of_noise(name: str, length: int, phi: float) -> FalseAlarms:
    return _counted(_named(name), simulated(length, phi, _streams(length)))


def _counted(method: Method, streams: np.ndarray) -> FalseAlarms:
    counts = np.array([len(alarms(method, stream)) for stream in streams])
    return FalseAlarms(
        share=float((counts > 0).mean()),
        each=float(counts.mean()),
        streams=len(streams),
        length=streams.shape[1],
    )


def _named(name: str) -> Method:
    return next(one for one in METHODS if one.name == name)


def _streams(length: int) -> int:
    return int(np.clip(_UPDATES // max(1, length), _FEWEST_STREAMS, _MOST_STREAMS))


def _scaled(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    if (low >= 0 and high <= 1 and is_rate(values)) or not high > low:
        return values
    return np.asarray((values - low) / (high - low))
