"""What the machines did: the names that MLflow logs, and what becomes of them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import HOSTILE
from PIL import Image
from stores import T0, Point, Run, curve, fill, run_id

from qualia_lab import ArtifactExplorer
from qualia_lab.analysis.show import GREY, Figure, Note
from qualia_lab.analysis.system import system_metrics, system_table
from qualia_lab.model import Query, RunSet

NAN, INF = float("nan"), float("inf")
CPU, MEMORY = "system/cpu_utilization_percentage", "system/system_memory_usage_percentage"


def load(store: Path, *runs: Run) -> RunSet:
    fill(store, runs)
    explorer = ArtifactExplorer(f"sqlite:///{store}")
    return explorer.load(Query(run_ids=tuple(run.run_id for run in runs)))


def each(values: list[float], seconds: float = 10, begin: int = T0) -> list[Point]:
    """Points so many seconds apart."""
    return [(i, begin + int(1000 * seconds * i), value) for i, value in enumerate(values)]


def drawn(figure: object) -> Figure:
    assert isinstance(figure, Figure)
    assert Image.open(io.BytesIO(figure._repr_mimebundle_()["image/png"])).width == 1080
    return figure


def titles(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left").replace("\n", " ") for axes in figure.axes]


def table(runs: RunSet) -> pd.DataFrame:
    found = system_table(runs)
    assert isinstance(found, pd.DataFrame)
    return found


def test_panels_and_table_of_what_was_logged(empty_store: Path) -> None:
    runs = load(
        empty_store,
        Run(
            run_id=run_id(0),
            name="one",
            metrics={
                CPU: each([10.0, 30.0]),
                "system/gpu_0_utilization_percentage": each([50.0, 60.0]),
                "system/gpu_1_utilization_percentage": each([70.0, 100.0]),
                "system/network_receive_megabytes": each([1.0, 5.0]),
                "system/disk_usage_percentage": each([28.0, 28.0]),
                "system/disk_usage_megabytes": each([28e4, 28e4]),
                "system/disk_available_megabytes": each([3.0, 2.0]),
                "system/own": each([1.0, 2.0]),
            },
        ),
        Run(run_id=run_id(1), name="two", metrics={CPU: each([40.0]), "loss": curve([1.0, 2.0])}),
        Run(run_id=run_id(2), name="bare"),
    )
    figure = drawn(system_metrics(runs))
    assert titles(figure) == [
        "CPU, %: mean 26.7, highest 40 (two)",
        "GPU (2 a run), %: mean 70, highest 100 (one)",
        "received, MB: highest 5 (one)",
        "own: mean 1.5, highest 2 (one)",
    ]
    assert figure.legends[0].get_title().get_text() == (
        "2 of 3 runs logged any; the same throughout: disk 28 %"
    )
    assert figure.axes[0].get_ylim() == (0, 104)
    assert [len(axes.lines) for axes in figure.axes] == [2, 2, 1, 1]
    rows = table(runs)
    assert list(rows.index) == ["one", "two"]
    assert rows.loc["one"].to_dict() == {
        "CPU mean (%)": 20,
        "CPU highest (%)": 30,
        "GPU mean (%)": 70,
        "GPU highest (%)": 100,
        "received in all (MB)": 5,
        "disk mean (%)": 28,
        "disk highest (%)": 28,
        "own mean": 1.5,
        "own highest": 2,
    }
    assert rows.loc["two"].dropna().to_dict() == {"CPU mean (%)": 40, "CPU highest (%)": 40}


def test_the_names_that_mlflow_logs_are_known(empty_store: Path) -> None:
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    names: list[str] = []
    for monitor in (CPUMonitor(), DiskMonitor(), NetworkMonitor()):
        monitor.collect_metrics()
        names += monitor.metrics
    metrics = {f"system/{name}": each([1.0, 2.0]) for name in names}
    figure = drawn(system_metrics(load(empty_store, Run(run_id=run_id(0), metrics=metrics))))
    told = [one.split(":")[0] for one in titles(figure)]
    assert told == ["CPU, %", "memory, %", "received, MB", "sent, MB", "disk, %"]


def test_names_with_a_node(empty_store: Path) -> None:
    names = ["system/n/0/gpu_0_memory_usage_percentage", "system/n1/gpu_11_memory_usage_percentage"]
    runs = load(
        empty_store, Run(run_id=run_id(0), metrics={one: each([1.0, 3.0]) for one in names})
    )
    assert table(runs)["GPU memory mean (%)"].tolist() == [2]


def test_time_is_counted_from_the_start(empty_store: Path) -> None:
    runs = load(
        empty_store,
        Run(run_id=run_id(0), name="a", started=T0 - 60_000, metrics={CPU: each([1.0, 2.0], 240)}),
        Run(run_id=run_id(1), name="b", started=None, metrics={CPU: each([1.0, 2.0], 120)}),
    )
    axes = drawn(system_metrics(runs)).axes[0]
    assert axes.get_xlabel() == "minutes since the run's start"
    assert [list(line.get_xdata()) for line in axes.lines] == [[1, 5], [0, 2]]


def test_what_has_no_place_is_left_out(empty_store: Path) -> None:
    points = [(0, T0, 5.0), (1, 0, 6.0), (2, 2**62, 7.0), (3, T0 + 9000, NAN), (4, T0 + 9500, INF)]
    points += [(2**63 - 1, T0 + 10_000, 9.0), (-(2**63), T0 + 5000, 1e300)]
    runs = load(empty_store, Run(run_id=run_id(0), name="a", metrics={CPU: points}))
    axes = drawn(system_metrics(runs)).axes[0]
    assert [list(line.get_xdata()) for line in axes.lines] == [[0, 10]]
    assert table(runs).iloc[0].tolist() == [7, 9]


def test_peaks_survive_thinning_and_many_runs_are_averaged(empty_store: Path) -> None:
    values = [50.0] * 1200
    values[777] = 99.0
    made = [Run(run_id=run_id(i), name=f"r{i}", metrics={CPU: each(values)}) for i in range(5)]
    runs = load(empty_store, *made)
    few = drawn(system_metrics(runs.only([run_id(0)])))
    line = few.axes[0].lines[0]
    assert len(line.get_xdata()) <= 400
    assert max(line.get_ydata()) == 99
    many = drawn(system_metrics(runs))
    line = many.axes[0].lines[0]
    assert len(line.get_xdata()) == 60
    # 1,200 points: 20 a stretch, one of them the peak.
    assert max(line.get_ydata()) == pytest.approx(50 + 49 / 20)
    assert np.mean(line.get_ydata()) == pytest.approx(np.mean(values))
    caption = many.legends[0].get_title().get_text()
    assert caption == "lines are means of up to 60 stretches of each curve"


def test_of_many_runs_the_named_are_read_and_some_more(empty_store: Path) -> None:
    made = [
        Run(
            run_id=run_id(i),
            name=f"r{i}",
            metrics={CPU: each([float(i), 2.0]), "loss": curve([100.0 - i])},
        )
        for i in range(40)
    ]
    runs = load(empty_store, *made)
    figure = drawn(system_metrics(runs, "loss"))
    caption = figure.legends[0].get_title().get_text()
    assert caption == "20 of 40 runs drawn; 12 named, the others grey"
    named = {text.get_text().strip() for text in figure.legends[0].get_texts()}
    assert named == {f"r{i}" for i in range(28, 40)}, "the best by loss"
    history = runs._cache["history"]
    assert history["run_id"].nunique() == 20
    assert set(history["metric"]) == {CPU}
    rows = system_table(runs, "loss")
    assert isinstance(rows, pd.DataFrame)
    assert (len(rows), rows.columns.name) == (20, "run (20 of 40)")


def test_thousands_of_measures_are_not_all_read(empty_store: Path) -> None:
    metrics = {f"system/own_{i}": each([1.0, float(i + 2)]) for i in range(3000)}
    runs = load(empty_store, Run(run_id=run_id(0), name="a", metrics=metrics))
    figure = drawn(system_metrics(runs))
    assert len(figure.axes) == 6
    assert figure.legends[0].get_title().get_text() == "6 of 3,000 measures drawn"
    assert len(runs._cache["history"]) == 24
    assert table(runs).shape == (1, 24)


@pytest.mark.parametrize(
    "metrics",
    [{}, {"loss": curve([1.0, 2.0])}, {"systematic": curve([1.0])}],
)
def test_nothing_logged_makes_a_note(metrics: dict[str, list[Point]], empty_store: Path) -> None:
    runs = load(empty_store, Run(run_id=run_id(0), metrics=metrics))
    for note in (system_metrics(runs), system_table(runs)):
        assert isinstance(note, Note)
        assert "enable_system_metrics_logging" in note.text


@pytest.mark.parametrize("metrics", [{"system/": curve([1.0])}, {CPU: curve([NAN, NAN])}])
def test_nothing_to_draw_makes_a_note(metrics: dict[str, list[Point]], empty_store: Path) -> None:
    runs = load(empty_store, Run(run_id=run_id(0), metrics=metrics))
    for note in (system_metrics(runs), system_table(runs)):
        assert isinstance(note, Note)
        assert note.text == "No system metric of these runs has a finite value with a time."


@pytest.mark.parametrize("value", [0.0, 1e149, -1e149, 5e-324])
def test_any_value_has_an_axis(value: float, empty_store: Path) -> None:
    metrics = {MEMORY: each([value, value / 3]), CPU: each([value])}
    runs = load(empty_store, Run(run_id=run_id(0), name="a", metrics=metrics))
    drawn(system_metrics(runs))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names(text: str, empty_store: Path) -> None:
    name = f"system/{text[:200]}"
    made = Run(run_id=run_id(0), name=text[:250], metrics={name: each([1.0, 2.0])})
    runs = load(empty_store, made)
    drawn(system_metrics(runs))
    for cell in [*table(runs).columns, *table(runs).index]:
        assert not any(char in cell for char in "\n\x1b\u202e\u2066\u200b\u2028")


def test_where_few_are_drawn_none_is_grey(empty_store: Path) -> None:
    sample = [
        Run(
            run_id=run_id(number),
            name=f"r{number}",
            metrics={"loss": [(0, T0, float(number))]}
            | ({"system/cpu_utilization_percentage": curve([1.0, 50.0])} if number > 16 else {}),
        )
        for number in range(20)
    ]
    figure = system_metrics(load(empty_store, *sample), "loss")
    colours = {line.get_color() for axes in figure.axes for line in axes.lines}
    assert GREY not in colours
    assert len(colours) == 3
