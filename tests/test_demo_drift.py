"""The scenario drift: what was logged, read back with plain MLflow, against what was planted."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from test_demo import python, world

from qualia_lab.demo import DemoRuns, create_demo_runs

TODAY = date(2026, 6, 30)
WINDOWS = [f"window-{number}" for number in range(1, 7)]

pytestmark = pytest.mark.xdist_group("demo_drift")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a store holds after seeding, as MLflow's own client reads it."""

    made: DemoRuns
    client: Any
    runs: dict[str, Any]
    truth: dict[str, Any]
    folder: Path

    def path(self, run: str, artifact: str) -> Path:
        folder = self.folder / run
        folder.mkdir(exist_ok=True)
        run_id = self.runs[run].info.run_id
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
            return Path(self.client.download_artifacts(run_id, artifact, str(folder)))

    def table(self, run: str, artifact: str) -> pd.DataFrame:
        content = json.loads(self.path(run, artifact).read_text(encoding="utf-8"))
        return pd.DataFrame(content["data"], columns=content["columns"])

    @property
    def daily(self) -> list[Any]:
        found = [run for name, run in self.runs.items() if name.startswith("daily-")]
        return sorted(found, key=lambda run: run.info.start_time)


def read_back(made: DemoRuns, folder: Path) -> Outcome:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=made.tracking_uri)
    (one,) = made.experiments
    found = client.search_runs([one.experiment_id], max_results=1000)
    runs = {run.info.run_name: run for run in found}
    assert len(runs) == len(found) == len(one.run_ids)
    outcome = Outcome(made=made, client=client, runs=runs, truth={}, folder=folder)
    truth = json.loads(outcome.path("ground-truth", "ground_truth.json").read_text())
    return Outcome(made=made, client=client, runs=runs, truth=truth, folder=folder)


@pytest.fixture(scope="module")
def uri(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("drift")
    return f"sqlite:///{shutil.copy(migrated, folder / 'mlflow.db')}"


@pytest.fixture(scope="module")
def drift(uri: str, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    made = create_demo_runs(uri, scenario="drift", today=TODAY)
    return read_back(made, tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def over_http(server: str, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    made = create_demo_runs(server, scenario="drift", experiment="drift over http", today=TODAY)
    return read_back(made, tmp_path_factory.mktemp("http"))


@pytest.fixture(params=["drift", "over_http"])
def any_store(request: pytest.FixtureRequest) -> Outcome:
    outcome: Outcome = request.getfixturevalue(request.param)
    return outcome


def measured(name: str) -> np.ndarray[Any, Any]:
    """The column of scikit-learn's data, read here by itself."""
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    return bunch.data[:, list(bunch.feature_names).index(name)]


def test_the_runs(any_store: Outcome) -> None:
    others = {"ground-truth", "tables", "predictions", *WINDOWS}
    assert len(any_store.daily) == 90
    assert set(any_store.runs) == others | {run.info.run_name for run in any_store.daily}
    experiment = any_store.client.get_experiment(any_store.made.experiment_id)
    tagged = [experiment.tags, *(run.data.tags for run in any_store.runs.values())]
    assert {tags["qualia_lab.demo"] for tags in tagged} == {"simulated"}
    assert not any("mlflow.user" in tags for tags in tagged)
    assert {run.info.status for run in any_store.runs.values()} == {"FINISHED"}


def test_daily_runs_are_a_day_apart(any_store: Outcome) -> None:
    for number, run in enumerate(any_store.daily):
        day = TODAY - timedelta(days=90 - number)
        assert run.info.run_name == f"daily-{day.isoformat()}"
        for at in (run.info.start_time, run.info.end_time):
            assert datetime.fromtimestamp(at / 1000, UTC).date() == day
    names = [run.info.run_name for run in any_store.daily]
    planted = any_store.truth["daily"]
    assert names[0] == f"daily-{planted['first_day']}"
    assert names[-1] == f"daily-{planted['last_day']}"
    assert names[planted["declines_from_run"] - 1] == f"daily-{planted['declines_from']}"


@pytest.mark.parametrize("metric", ["accuracy", "control_accuracy"])
def test_daily_metrics_are_the_planted_ones(any_store: Outcome, metric: str) -> None:
    days, values = [], []
    for run in any_store.daily:
        (point,) = any_store.client.get_metric_history(run.info.run_id, metric)
        assert run.info.start_time < point.timestamp <= run.info.end_time
        days.append(run.info.run_name.removeprefix("daily-"))
        values.append(point.value)
    assert dict(zip(days, values, strict=True)) == any_store.truth["daily"][metric]


def test_accuracy_declines_from_its_day_and_the_control_does_not(drift: Outcome) -> None:
    planted = drift.truth["daily"]
    first = planted["declines_from_run"] - 1
    for metric, declines in [("accuracy", True), ("control_accuracy", False)]:
        values = [run.data.metrics[metric] for run in drift.daily]
        before, after = values[:first], values[first:]
        assert stats.linregress(range(len(before)), before).pvalue > 0.01
        slope = stats.linregress(range(len(after)), after)
        assert (slope.slope < 0 and slope.pvalue < 1e-6) == declines, metric
        gone = np.mean(before) - np.mean(after[-10:])
        assert (gone > 0.1) == declines, metric
    accuracy = list(planted["accuracy"].values())
    assert planted["mean_accuracy_before"] == pytest.approx(np.mean(accuracy[:first]))
    assert planted["mean_accuracy_after"] == pytest.approx(np.mean(accuracy[first:]))


def planted_tables(outcome: Outcome) -> Iterator[tuple[str, float, pd.DataFrame]]:
    """Name, strength of the shifts, and the table."""
    yield "reference", 0.0, outcome.table("tables", "reference.json")
    yield "current", 1.0, outcome.table("tables", "current.json")
    for one in outcome.truth["windows"]:
        yield one["run"], one["strength"], outcome.table(one["run"], "window.json")


def test_tables_hold_what_was_planted(any_store: Outcome) -> None:
    truth = any_store.truth
    for name, strength, table in planted_tables(any_store):
        assert list(table) == list(any_store.table("tables", "reference.json"))
        assert set(table) == {*truth["shifted_columns"], *truth["clean_columns"]}
        assert len(table) == truth["rows"] == 500
        missing = {str(key): int(n) for key, n in table.isna().sum().items() if n}
        assert missing == truth["tables"][name]["missing"]
        fresh = {str(key): int(n) for key, n in (table == "unmeasured").sum().items() if n}
        assert fresh == truth["tables"][name]["new_category"]
        assert set(missing) == set(truth["tables"]["current"]["missing"] if strength else ())
        assert set(fresh) == set(truth["tables"]["current"]["new_category"] if strength else ())


def test_clean_columns_hold_values_of_the_real_data(drift: Outcome) -> None:
    for _, _, table in planted_tables(drift):
        for name in drift.truth["clean_columns"]:
            if name == "diagnosis":
                assert set(table[name]) == {"malignant", "benign"}
            else:
                assert set(table[name].round(8)) <= set(measured(name).round(8)), name


def test_shifts_have_their_size(drift: Outcome) -> None:
    """By undoing them: what is left must be values of the real data."""
    for name, shift in drift.truth["shifts"].items():
        for _, strength, table in planted_tables(drift):
            if shift["kind"] == "mean":
                every = measured(name)
                undone = table[name] - shift["size"] * strength * every.std()
            elif shift["kind"] == "spread":
                every = measured(name)
                factor = 1 + (shift["size"] - 1) * strength
                undone = every.mean() + (table[name] - every.mean()) / factor
            else:
                share = (table[name].isna() | (table[name] == "unmeasured")).mean()
                assert abs(share - shift["size"] * strength) < 0.05
                continue
            distance = np.abs(undone.to_numpy()[:, None] - every[None, :]).min(axis=1)
            assert distance.max() < 1e-7, (name, strength)
    kinds = Counter(one["kind"] for one in drift.truth["shifts"].values())
    assert kinds == {"mean": 3, "spread": 1, "missing": 1, "category": 1}
    sizes = [abs(one["size"]) for one in drift.truth["shifts"].values() if one["kind"] == "mean"]
    assert sizes == [0.5] * 3


def test_draws_of_other_seeds_find_shifts_and_no_others() -> None:
    """SciPy's Kolmogorov-Smirnov test at 0.05 / columns, over 20 seeds: all shifts, few others."""
    from qualia_lab.demo.drift import plan, tables

    wrong = tested = 0
    for seed in range(20):
        reference, current = tables.draw(seed, 0, 0.0), tables.draw(seed, 1, 1.0)
        for name in tables.population().names:
            pair = [[v for v in table[name] if v is not None] for table in (reference, current)]
            alarm = stats.ks_2samp(*pair).pvalue < 0.05 / 15
            kind = plan.SHIFTS[name].kind if name in plan.SHIFTS else ""
            if kind in ("mean", "spread"):
                assert alarm, (seed, name)
            else:
                tested += 1
                wrong += alarm
    assert tested == 20 * 11
    assert wrong <= 4


def test_csv_and_parquet_hold_the_same_as_json(any_store: Outcome) -> None:
    for name in ("reference", "current"):
        table = any_store.table("tables", f"{name}.json")
        for read, ending in ((pd.read_csv, "csv"), (pd.read_parquet, "parquet")):
            same = read(any_store.path("tables", f"{name}.{ending}"))
            pd.testing.assert_frame_equal(same, table, check_dtype=False)


def test_tables_are_known_as_mlflow_tables(any_store: Outcome) -> None:
    def tables(run: str) -> set[str]:
        tag = json.loads(any_store.runs[run].data.tags["mlflow.loggedArtifacts"])
        assert {one["type"] for one in tag} == {"table"}
        return {one["path"] for one in tag}

    assert tables("tables") == {"reference.json", "current.json"}
    assert tables("predictions") == {"predictions.json", "predictions_stationary.json"}
    assert all(tables(name) == {"window.json"} for name in WINDOWS)


def test_windows_are_a_week_apart_and_grow(drift: Outcome) -> None:
    starts = [drift.runs[name].info.start_time for name in WINDOWS]
    assert {b - a for a, b in pairwise(starts)} == {7 * 86_400_000}
    strengths = [one["strength"] for one in drift.truth["windows"]]
    assert [one["run"] for one in drift.truth["windows"]] == WINDOWS
    assert strengths == sorted(strengths)
    assert (strengths[0], strengths[-1]) == (0.0, 1.0)


def test_predictions_get_worse_from_the_planted_row(any_store: Outcome) -> None:
    planted = any_store.truth["stream"]
    table = any_store.table("predictions", "predictions.json")
    wrong = table["label"] != table["prediction"]
    change = planted["first_changed_row"]
    assert len(table) == planted["rows"] == planted["rows_before"] + planted["rows_after"]
    assert int(wrong[:change].sum()) == planted["errors_before"]
    assert int(wrong[change:].sum()) == planted["errors_after"]
    rates = planted["errors_before"] / change, planted["errors_after"] / planted["rows_after"]
    assert rates[0] < 0.12
    assert rates[1] > 2 * rates[0]
    still = any_store.table("predictions", "predictions_stationary.json")
    assert len(still) == any_store.truth["stream_stationary"]["rows"]
    wrong = still["label"] != still["prediction"]
    assert int(wrong.sum()) == any_store.truth["stream_stationary"]["errors"]
    assert abs(wrong[:change].mean() - wrong[change:].mean()) < 0.05


def test_the_same_seed_gives_the_same_tables(drift: Outcome, uri: str, tmp_path: Path) -> None:
    again = read_back(
        create_demo_runs(uri, scenario="drift", experiment="again", today=TODAY), tmp_path
    )
    assert again.truth == drift.truth
    for run, artifact in [
        ("tables", "reference.json"),
        ("tables", "current.csv"),
        ("tables", "current.parquet"),
        ("window-4", "window.json"),
        ("predictions", "predictions.json"),
    ]:
        assert again.path(run, artifact).read_bytes() == drift.path(run, artifact).read_bytes()


def test_seeds_differ_and_hash_seeds_do_not() -> None:
    code = (
        "from qualia_lab.demo.drift import models, tables\n"
        "for seed in (0, 1):\n"
        "    print(tables.draw(seed, 1, 1.0)['mean texture'], models.stream(seed, 1000),"
        " next(models.days(seed)))"
    )
    first, second = (python(code, PYTHONHASHSEED=seed) for seed in ("1", "2"))
    assert first == second
    one, other = first.splitlines()
    assert one != other


@pytest.mark.parametrize(
    ("raised", "status"), [(KeyboardInterrupt, "KILLED"), (RuntimeError, "FAILED")]
)
@pytest.mark.parametrize("at", ["tables", "window-2", "daily-2026-04-03"])
def test_stopped_in_the_middle_nothing_is_left_running(
    drift: Outcome, uri: str, at: str, raised: type[BaseException], status: str
) -> None:
    def stop(done: int, total: int, what: str) -> None:
        assert total == 99
        if what == at:
            raise raised("stop")

    experiment = f"stopped by {raised.__name__} at {at}"
    before = world()
    with pytest.raises(raised, match="stop"):
        create_demo_runs(
            uri, scenario="drift", experiment=experiment, today=TODAY, on_progress=stop
        )
    assert world() == before
    found = drift.client.get_experiment_by_name(f"{experiment}-drift").experiment_id
    runs = {run.info.run_name: run.info.status for run in drift.client.search_runs([found])}
    assert runs.pop(at) == status
    assert set(runs.values()) == {"FINISHED"}
