"""Detectors on streams of errors: river's examples, what they do in vain, and what is planted."""

from __future__ import annotations

import random

import numpy as np
import pandas as pd
import pytest

from qualia_lab.analysis.watch_concepts import in_vain
from qualia_lab.analysis.watch_series import error_stream
from qualia_lab.analysis.watch_streams import (
    ALARM,
    METHODS,
    FalseAlarms,
    Method,
    alarms,
    drifts,
    stream_false_alarms,
)
from qualia_lab.errors import UsageError

NAMED = {method.name: method for method in METHODS}


def rivers_stream() -> np.ndarray:
    """The stream of the examples of river's ADWIN and PageHinkley."""
    made = random.Random(12345)
    return np.array(made.choices([0, 1], k=1000) + made.choices(range(4, 8), k=1000), dtype=float)


def rivers_bits() -> np.ndarray:
    """The stream of the example of river's DDM."""
    made = random.Random(42)
    second = made.choices([0, 1], k=1000), made.choices([0, 1], k=1000, weights=[0.3, 0.7])
    return np.array(second[0] + second[1], dtype=float)


def test_adwin_alarms_where_rivers_example_does() -> None:
    # "Change detected at index 1023" (river 0.26, ADWIN); our values are scaled to 0 to 1 first.
    assert alarms(ALARM, rivers_stream())[:1] == [1023]
    first = drifts(rivers_stream())[0]
    assert first.place == 1023
    assert first.after > first.before


def test_ddm_alarms_where_rivers_example_does() -> None:
    # "Change detected at index 1334" (river 0.26, DDM).
    assert alarms(NAMED["DDM"], rivers_bits()) == [1334]


def test_adwin_is_still_where_the_others_are_not() -> None:
    made = np.random.default_rng(1)
    errors = (made.random(1000) < 0.1).astype(float)
    rates = {method.name: stream_false_alarms(method, errors) for method in METHODS}
    assert rates["ADWIN"].share <= 0.01
    assert rates["DDM"].share > 0.2
    assert rates["EDDM"].share > 0.8
    assert rates["EDDM"].each > rates["DDM"].each > rates["ADWIN"].each


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_false_alarms_are_those_of_other_stationary_streams(method: Method) -> None:
    made = np.random.default_rng(77)
    errors = (made.random(400) < 0.3).astype(float)
    found = stream_false_alarms(method, errors)
    rate = errors.mean()
    other = [len(alarms(method, (made.random(400) < rate) * 1.0)) > 0 for _ in range(400)]
    # Two standard errors of the difference of two shares of 400 are 0.07 at most.
    assert found.share == pytest.approx(np.mean(other), abs=0.075)
    assert (found.length, found.streams) == (400, 400)


def test_errors_that_rise_are_found_and_those_that_stay_are_not() -> None:
    made = np.random.default_rng(3)
    found = still = 0
    for _ in range(50):
        errors = np.r_[made.random(1000) < 0.1, made.random(1000) < 0.25] * 1.0
        found += any(one.after > one.before and one.place >= 1000 for one in drifts(errors))
        still += bool(drifts((made.random(2000) < 0.1) * 1.0))
    assert found >= 48
    assert still <= 1


def test_each_change_is_told_once_and_where_it_is() -> None:
    made = np.random.default_rng(0)
    rates = np.repeat([0.1, 0.2, 0.1], [2000, 1500, 1000])
    found = drifts((made.random(4500) < rates) * 1.0)
    assert [one.after > one.before for one in found] == [True, False]
    assert [one.start for one in found] == pytest.approx([2000, 3500], abs=150)
    assert all(one.place >= one.start for one in found)


def test_a_fall_is_told_as_one() -> None:
    made = np.random.default_rng(3)
    errors = np.r_[made.random(1000) < 0.4, made.random(1000) < 0.1] * 1.0
    assert all(one.after < one.before for one in drifts(errors))
    assert drifts(errors)


def test_of_a_long_stream_the_rate_is_a_lower_bound() -> None:
    found = stream_false_alarms(NAMED["EDDM"], np.r_[np.zeros(90_000), np.ones(10_000)])
    assert found.length == 30_000
    said, each = in_vain(found, 100_000)
    assert said.startswith("at least ")
    assert each.startswith("at least ")
    assert (
        in_vain(FalseAlarms(share=0, each=0, streams=20, length=5), 5)[0]
        == "none in 20 streams of 5"
    )


@pytest.mark.parametrize(
    "values", [[0.0] * 50, [1.0] * 50, [3.0] * 50, [1e149, -1e149] * 25, [5e-324, 0.0] * 25]
)
def test_streams_of_any_values_are_taken(values: list[float]) -> None:
    errors = np.array(values)
    assert drifts(errors) == []
    for method in (ALARM, NAMED["Page-Hinkley"]):
        assert stream_false_alarms(method, errors).streams == 400


def test_labels_give_errors_of_0_and_1() -> None:
    frame = pd.DataFrame(
        {"label": ["a", "b", None, "a", "b"], "prediction": ["a", "a", "a", None, "b"]}
    )
    errors = error_stream(frame, "label", "prediction")
    assert errors.tolist() == [0, 1, 0]
    assert errors.attrs["left out"] == 2


def test_numbers_that_are_no_labels_give_absolute_errors() -> None:
    truth = np.arange(30.0)
    frame = pd.DataFrame({"y": truth, "p": truth + np.where(truth > 3, 0.5, -2), "t": -truth})
    assert error_stream(frame, "y", "p").tolist() == [2.0] * 4 + [0.5] * 26
    assert error_stream(frame, "y", "p", time="t").tolist() == [0.5] * 26 + [2.0] * 4
    few = pd.DataFrame({"y": [0, 1, 1], "p": [0, 0, 1]})
    assert error_stream(few, "y", "p").tolist() == [0, 1, 0]


def test_a_column_that_is_not_there_is_named_with_those_that_are() -> None:
    frame = pd.DataFrame({"label": [1], "predicted": [1]})
    with pytest.raises(UsageError) as error:
        error_stream(frame, "label", "prediction")
    assert "prediction" in str(error.value)
    assert "predicted" in error.value.hint
