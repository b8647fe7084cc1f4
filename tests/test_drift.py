"""Drift between two tables: planted shifts are found, clean features are not, nothing breaks it."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import HOSTILE
from PIL import Image

from qualia_lab import analysis
from qualia_lab.analysis.drifted import data_drift, drifts
from qualia_lab.analysis.features import column, features
from qualia_lab.analysis.found import Finding, Found
from qualia_lab.analysis.samples import NOTHING, NoSamples, Sample, Samples
from qualia_lab.analysis.show import Figure, Note, Points, Report
from qualia_lab.analysis.telling import Told, told
from qualia_lab.analysis.value_checks import changes

NAN, INF = float("nan"), float("inf")
ROWS = 500
SHOWN = (
    "drift_coverage", "drift_first_look", "drift_findings", "data_drift", "drift_chart",
    "two_sample_classifier", "classifier_chart", "value_changes", "drift_heat_map",
)  # fmt: skip


def two(
    reference: pd.DataFrame, current: pd.DataFrame, between: tuple[pd.DataFrame, ...] = ()
) -> Samples:
    """Two tables as samples."""
    windows = [Sample(name=f"w{i}", short=f"w{i}", frame=one) for i, one in enumerate(between)]
    return Samples(
        reference=Sample(name="before", short="before", frame=reference),
        current=Sample(name="now", short="now", frame=current),
        told=(("Reference", "before"),),
        between=lambda: windows,
    )


def found(samples: Samples) -> list[Finding]:
    shown = analysis.drift_findings(samples)
    assert isinstance(shown, Found)
    return list(shown.ordered)


def levels(samples: Samples) -> dict[str, str]:
    """What was found, and at which level."""
    return {one.what: one.level for one in found(samples)}


def verdicts(samples: Samples) -> dict[str, str]:
    return {one.feature.label: one.verdict for one in drifts(samples)}


def normal(draw: np.random.Generator, shift: float = 0.0, rows: int = ROWS) -> np.ndarray:
    return draw.normal(shift, 1, rows)


# --- what is planted -----------------------------------------------------------------------------

CLEAN: dict[str, Callable[[np.random.Generator], Any]] = {
    **{f"clean {number}": normal for number in range(10)},
    "skewed": lambda draw: draw.lognormal(0, 1.5, ROWS),
    "heavy": lambda draw: draw.standard_cauchy(ROWS),
    "counts": lambda draw: draw.poisson(3, ROWS),
    "binary": lambda draw: draw.integers(0, 2, ROWS),
    "category": lambda draw: draw.choice(["a", "b", "c", "rare"], ROWS, p=[0.5, 0.3, 0.19, 0.01]),
    "gaps": lambda draw: np.where(draw.random(ROWS) < 0.1, NAN, draw.normal(0, 1, ROWS)),
}
SHIFTED: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    **{
        f"up {number}": (normal, lambda draw: normal(draw, 0.5)) for number in range(3)
    },
    "down": (normal, lambda draw: normal(draw, -0.5)),
    "skewed up": (lambda draw: np.exp(normal(draw)), lambda draw: np.exp(normal(draw, 0.5))),
}  # fmt: skip


def planted(seed: int) -> Samples:
    """16 clean features and five that moved by half a deviation, 500 rows of each."""
    draw = np.random.default_rng(seed)
    sides = [
        pd.DataFrame(
            {name: make(draw) for name, make in CLEAN.items()}
            | {name: pair[side](draw) for name, pair in SHIFTED.items()}
        )
        for side in (0, 1)
    ]
    return two(*sides)


def test_over_50_seeds_every_shift_is_found_and_one_in_twenty_is_false_at_most() -> None:
    shares, missed, values = [], 0, 0
    for seed in range(50):
        samples = planted(seed)
        called = {name for name, one in verdicts(samples).items() if one in ("strong", "drift")}
        false = called - set(SHIFTED)
        missed += len(set(SHIFTED) - called)
        shares.append(len(false) / max(1, len(called)))
        values += sum(one.matters and one.feature.label in CLEAN for one in changes(samples))
    assert missed == 0
    assert np.mean(shares) <= 0.05
    assert values <= 2


def test_of_clean_features_alone_hardly_any_is_called() -> None:
    """Where nothing moved, any call is false: that may happen in one table of twenty."""
    tables = 0
    for seed in range(50):
        draw = np.random.default_rng([1, seed])
        sides = [pd.DataFrame({name: make(draw) for name, make in CLEAN.items()}) for _ in "xy"]
        tables += any(
            one in ("strong", "drift", "slight") for one in verdicts(two(*sides)).values()
        )
    assert tables / 50 <= 0.1


def test_the_same_table_twice_has_not_drifted() -> None:
    frame = pd.DataFrame({name: make(np.random.default_rng(0)) for name, make in CLEAN.items()})
    samples = two(frame, frame)
    assert set(verdicts(samples).values()) == {"none"}
    table = data_drift(samples)
    assert isinstance(table, pd.DataFrame)
    assert table[["distance", "PSI", "Jensen-Shannon"]].max().tolist() == [0, 0, 0]
    assert set(table["p adjusted"]) == {"1"}
    assert found(samples) == []
    assert "no drift found: none of 16 features" in repr(analysis.drift_first_look(samples))


def test_at_many_rows_a_difference_has_to_matter_too() -> None:
    draw = np.random.default_rng(0)
    size = 200_000
    reference = pd.DataFrame({"x": draw.normal(0, 1, size), "c": draw.random(size) < 0.5})
    current = pd.DataFrame({"x": draw.normal(0.03, 1, size), "c": draw.random(size) < 0.51})
    samples = two(reference, current)
    table = data_drift(samples)
    assert isinstance(table, pd.DataFrame)
    assert max(one.q for one in drifts(samples)) < 1e-6
    assert "< 1e-12" in set(table["p adjusted"]), "and so a table is no wider for it"
    assert table["verdict"].tolist() == ["not by chance, but small"] * 2
    assert (table["PSI"] > table["PSI by chance"]).all()
    assert set(levels(samples).values()) == {"note"}
    assert "2 differ by more than chance, but too little" in repr(
        analysis.drift_first_look(samples)
    )


def test_the_largest_comes_first_with_its_numbers() -> None:
    draw = np.random.default_rng(1)
    reference = pd.DataFrame({"small": normal(draw), "none": normal(draw), "large": normal(draw)})
    current = pd.DataFrame(
        {"small": normal(draw, 0.3), "none": normal(draw), "large": 2 + 3 * normal(draw)}
    )
    samples = two(reference, current)
    table = data_drift(samples)
    assert isinstance(table, pd.DataFrame)
    assert table.index.tolist() == ["large", "small", "none"]
    assert table["verdict"].tolist() == ["drifted, much", "drifted", "no sign of drift"]
    # A normal law moved by μ and widened to σ lies E|μ + (σ - 1) Z| away: 2.327 for 2 and 3.
    assert table.loc["large", "Wasserstein / deviation"] == pytest.approx(2.327, rel=0.1)
    assert levels(samples)["large drifted, much"] == "alarm"
    assert levels(samples)["small drifted"] == "warning"
    first = repr(analysis.drift_first_look(samples))
    assert "Answer: 2 of 3 features drifted: large, small." in first
    assert "Largest: large: " in first


# --- values --------------------------------------------------------------------------------------


def test_what_is_missing_new_gone_or_out_of_range_is_counted() -> None:
    draw = np.random.default_rng(2)
    reference = pd.DataFrame(
        {"m": normal(draw), "c": ["a"] * 300 + ["b"] * 200, "r": draw.uniform(0, 1, ROWS),
         "inf": normal(draw)}
    )  # fmt: skip
    current = reference.copy()
    current.loc[:99, "m"] = NAN
    current.loc[:39, "c"] = "new"
    current.loc[300:, "c"] = "a"
    current.loc[:9, "r"] = 7.0
    current.loc[:2, "inf"] = INF
    shown = analysis.value_changes(two(reference, current))
    assert isinstance(shown, Report)
    tables = dict(shown.tables)
    assert tables["Missing values"].loc["m", ["before", "now"]].tolist() == [
        "0 (0.0%)", "100 (20.0%)",
    ]  # fmt: skip
    assert tables["Infinite values"].loc["inf", "now"] == "3 (0.6%)"
    new = tables["Categories that the reference did not have"].loc["c"]
    assert (new["now"], new["which"]) == ("40 (8.0%)", "new (40)")
    gone = tables["Categories that are gone"].loc["c"]
    assert (gone["before"], gone["which"]) == ("200 (40.0%)", "b (200)")
    out = tables["Out of the reference's range"].loc["r"]
    assert out["now"] == "10 (2.0%)"
    assert out["which"].endswith("up to 7")
    assert shown.absent == ""
    said = levels(two(reference, current))
    assert said["m has missing values"] == "alarm"
    assert (
        said["c has new categories"]
        == said["r has values above the reference's range"]
        == "warning"
    )
    assert said["c has categories gone"] == "alarm"


def test_fewer_missing_values_are_no_alarm() -> None:
    frame = pd.DataFrame({"m": [NAN] * 50 + [1.0, 2.0] * 225})
    whole = pd.DataFrame({"m": [1.0, 2.0] * 250})
    assert levels(two(frame, whole)) == {"m has fewer missing values": "note"}


# --- types ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2, 3], "number"),
        ([1.5, NAN], "number"),
        ([10**30, None, -(10**400)], "number"),
        (pd.array([1, None], dtype="Int64"), "number"),
        ([True, False], "category"),
        (pd.array([True, None], dtype="boolean"), "category"),
        (["a", None], "category"),
        ([1, "a"], "category"),
        ([[1], {"a": 2}], "category"),
        (pd.Categorical(["a", "b"]), "category"),
        (pd.to_datetime(["2025-01-01"]), "time"),
        (pd.to_datetime(["2025-01-01"], utc=True), "time"),
        (["2025-01-01T10:00:00.000", None], "time"),
        (["2025-01-01 10:00:00+02:00"], "time"),
        (["2025-01-01", "2025-13-41"], "category"),
        ([None, None], "empty"),
        ([NAN], "empty"),
        ([], "empty"),
        (["", ""], "category"),
    ],
)
def test_what_a_column_holds(values: Any, kind: str) -> None:
    assert column(pd.Series(values)).kind == kind


def test_times_without_a_zone_are_said_to_be_taken_for_utc() -> None:
    naive = pd.DataFrame({"t": ["2025-01-01T00:00:00", "2025-01-02T00:00:00"] * 30})
    aware = pd.DataFrame({"t": ["2025-02-01T02:00:00+02:00"] * 60})
    said = repr(analysis.drift_coverage(two(naive, aware)))
    assert "t: reference 2025-01-01 00:00 to 2025-01-02 00:00, current 2025-02-01 00:00" in said
    assert "no zone in it; taken for UTC" in said
    assert "no zone" not in repr(analysis.drift_coverage(two(aware, aware)))


def test_a_changed_type_is_an_alarm_and_compared_only_where_it_can_be() -> None:
    reference = pd.DataFrame({"n": range(100), "s": ["1", "2"] * 50, "b": [True, False] * 50})
    current = pd.DataFrame({"n": ["x", "y"] * 50, "s": [1.0, 2.0] * 50, "b": [1, 0] * 50})
    samples = two(reference, current)
    said = levels(samples)
    assert {said[f"{name} changed its type"] for name in "nsb"} == {"alarm"}
    assert verdicts(samples) == {"n": "not compared", "s": "none", "b": "none"}


def test_ids_constants_and_columns_of_one_table_are_said() -> None:
    reference = pd.DataFrame({"id": range(ROWS), "one": 1, "old": 1.0, "empty": NAN})
    current = pd.DataFrame({"id": range(ROWS, 2 * ROWS), "one": 1, "young": 1.0, "empty": NAN})
    samples = two(reference, current)
    assert verdicts(samples) == {"id": "not compared", "one": "none", "empty": "not compared"}
    said = repr(analysis.drift_coverage(samples))
    for text in ("an id: whole numbers that only rise: id.", "Gone: old.", "New: young.",
                 "no value in either: empty."):  # fmt: skip
        assert text in said
    assert levels(samples) == {"old is gone": "alarm", "young is new": "note"}


def test_a_category_of_100_000_values_is_quick_and_no_drift() -> None:
    draw = np.random.default_rng(0)
    names = np.array([f"value {number}" for number in range(100_000)])
    sides = [pd.DataFrame({"c": draw.choice(names, 50_000), "x": draw.choice(names[:50], 50_000)})
             for _ in "xy"]  # fmt: skip
    samples = two(*sides)
    assert verdicts(samples) == {"c": "not compared", "x": "none"}
    assert "too many for 50,000 and 50,000 rows: c" in repr(analysis.drift_coverage(samples))
    assert not any(one.matters for one in changes(samples))


# --- a model -------------------------------------------------------------------------------------


def test_a_model_sees_what_moved_together_and_names_it() -> None:
    draw = np.random.default_rng(0)
    base = draw.multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], 2000)
    other = draw.multivariate_normal([0, 0], [[1, -0.9], [-0.9, 1]], 2000)
    noise = [normal(draw, rows=2000) for _ in range(2)]
    samples = two(
        pd.DataFrame({"a": base[:, 0], "b": base[:, 1], "noise": noise[0]}),
        pd.DataFrame({"a": other[:, 0], "b": other[:, 1], "noise": noise[1]}),
    )
    assert set(verdicts(samples).values()) == {"none"}
    answer = told(samples)
    assert isinstance(answer, Told)
    assert answer.auc > 0.9
    assert {answer.features[one].name for one in answer.giveaways} == {"a", "b"}
    grave = {what: level for what, level in levels(samples).items() if level != "note"}
    assert grave == {"a model tells the two apart": "alarm"}
    assert "none moved by itself, and yet" in repr(analysis.drift_first_look(samples))
    assert isinstance(analysis.classifier_chart(samples), Figure)


def test_a_model_can_not_tell_the_same_apart() -> None:
    aucs = []
    for seed in range(10):
        draw = np.random.default_rng(seed)
        sides = [pd.DataFrame({name: make(draw) for name, make in CLEAN.items()}) for _ in "xy"]
        answer = told(two(*sides))
        assert isinstance(answer, Told)
        aucs.append(answer.auc)
        assert not answer.tells
    assert np.mean(aucs) == pytest.approx(0.5, abs=0.03)


def test_how_many_rows_a_model_saw_is_said() -> None:
    draw = np.random.default_rng(0)
    samples = two(*(pd.DataFrame({"x": normal(draw, rows=12_000)}) for _ in "xy"))
    assert "10,000 of 12,000 of the reference" in repr(analysis.two_sample_classifier(samples))
    few = two(pd.DataFrame({"x": [1.0] * 5}), pd.DataFrame({"x": normal(draw)}))
    assert repr(analysis.two_sample_classifier(few)) == (
        "A model needs 50 rows of each to learn from; there are 5 and 500."
    )


# --- windows -------------------------------------------------------------------------------------


def test_windows_show_since_when_a_feature_drifted() -> None:
    draw = np.random.default_rng(0)
    frames = [
        pd.DataFrame({"moves": normal(draw, shift), "stays": normal(draw)})
        for shift in (0, 0, 0, 0.6, 0.9, 1.2)
    ]
    figure = analysis.drift_heat_map(two(frames[0], frames[-1], tuple(frames[1:-1])))
    assert isinstance(figure, Figure)
    assert figure.alt.startswith("1 of 2 features drifted in some of 5 windows; first in w2")
    assert len(Image.open(io.BytesIO(figure.png())).size) == 2


def test_without_tables_between_a_column_of_times_makes_the_windows() -> None:
    draw = np.random.default_rng(0)
    times = pd.Series(pd.date_range("2025-01-01", periods=1200, freq="h")).sample(
        frac=1, random_state=0
    )
    x = np.where(times > pd.Timestamp("2025-02-01"), 1.0, 0.0) + normal(draw, rows=1200)
    reference = pd.DataFrame({"t": times, "x": normal(draw, rows=1200)})
    figure = analysis.drift_heat_map(two(reference, pd.DataFrame({"t": times, "x": x})))
    assert isinstance(figure, Figure)
    assert "first in 2025-01-30" in figure.alt or "first in 2025-02-03" in figure.alt
    note = analysis.drift_heat_map(two(reference[["x"]], reference[["x"]]))
    assert isinstance(note, Note)
    assert 'mlflow.log_table(frame, "current.json")' in note.text


# --- whatever a table can hold -------------------------------------------------------------------

BAD: dict[str, tuple[pd.DataFrame, pd.DataFrame]] = {
    "empty": (pd.DataFrame(), pd.DataFrame()),
    "no rows": (pd.DataFrame({"a": [], "b": []}), pd.DataFrame({"a": [1.0], "b": ["x"]})),
    "one row": (pd.DataFrame({"a": [1.0], "b": ["x"]}), pd.DataFrame({"a": [2.0], "b": ["y"]})),
    "five rows": (
        pd.DataFrame({"a": [1.0, 2, 3, 4, 5], "b": list("abcde")}),
        pd.DataFrame({"a": np.linspace(0, 9, ROWS), "b": ["a", "b"] * 250}),
    ),
    "constant": (
        pd.DataFrame({"a": [1.0] * ROWS, "b": "x"}), pd.DataFrame({"a": [2.0] * ROWS, "b": "x"}),
    ),
    "all missing": (
        pd.DataFrame({"a": [NAN] * ROWS, "b": None, "c": 1.0}),
        pd.DataFrame({"a": [1.0] * ROWS, "b": "x", "c": NAN}),
    ),
    "extreme": (
        pd.DataFrame({"a": [NAN, INF, -INF, 1.797e308, -1.797e308, 0] * 90, "b": [5e-324] * 540}),
        pd.DataFrame({"a": [1.797e308, 0, 5, -INF, 3, 2] * 90, "b": [1e300, 0.0] * 270}),
    ),
    "spread out": (
        pd.DataFrame({"a": np.linspace(-1, 1, ROWS) * 1.797e308}),
        pd.DataFrame({"a": np.linspace(0, 1.797e308, ROWS)}),
    ),
    "infinite": (pd.DataFrame({"a": [INF] * 9}), pd.DataFrame({"a": [1.0] * 9})),
    "mixed": (
        pd.DataFrame({"a": [1, "x", None, 2.5, [1]] * 100}),
        pd.DataFrame({"a": [{"k": 1}, "x", None, 2.5, True] * 100}),
    ),
    "complex": (pd.DataFrame({"a": [1 + 2j] * 60}), pd.DataFrame({"a": [1 + 3j] * 60})),
    "spans": (
        pd.DataFrame({"a": pd.to_timedelta([1] * 60, unit="s")}),
        pd.DataFrame({"a": pd.to_timedelta([2] * 60, unit="s")}),
    ),
    "numbered": (pd.DataFrame({0: [1.0] * 60}), pd.DataFrame({0: [1.0] * 60})),
    "apart": (pd.DataFrame({"a": [1.0]}), pd.DataFrame({"b": [1.0]})),
    "hostile": tuple(
        pd.DataFrame(
            {name: np.arange(60.0) % 7 + shift for name in HOSTILE}
            | {
                f"c {name}": pd.Series([*HOSTILE[:18], "\ud800", ""] * 3, dtype="object")
                for name in HOSTILE
            }
        )
        for shift in (0, 2)
    ),  # type: ignore[dict-item]
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("name", SHOWN)
def test_nothing_breaks_it(name: str, case: str) -> None:
    first, second = BAD[case]
    for samples in (two(first, second), two(second, first), two(first, first, (second,))):
        shown = getattr(analysis, name)(samples)
        if isinstance(shown, Figure):
            shown.png()
        text = shown.to_string() if isinstance(shown, pd.DataFrame) else repr(shown)
        assert text
        assert not any(one in text for one in ("\x1b", "\u202e", "\u2066"))


@pytest.mark.parametrize("name", SHOWN)
def test_without_samples_each_cell_says_so(name: str) -> None:
    assert getattr(analysis, name)(NoSamples("No table.")) is NOTHING


def test_labels_of_hostile_columns_are_one_each() -> None:
    names = [*HOSTILE, "n" * 2999, "  ", ""]
    frame = pd.DataFrame([range(len(names))], columns=names)
    labels = [one.label for one in features(frame, frame).shared]
    assert len(set(labels)) == len(names)
    assert all(one.isprintable() and len(one) < 100 for one in labels), labels


def test_what_is_said_shows_itself_in_a_notebook() -> None:
    samples = planted(0)
    assert samples._repr_markdown_().startswith("- **Reference**")
    assert isinstance(analysis.drift_first_look(samples), Points)
    assert isinstance(analysis.drift_chart(samples), Figure)
