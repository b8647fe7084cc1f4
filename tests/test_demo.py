"""What create-demo-runs makes: looked at in a real SQLite store, as a person's client sees it."""

from __future__ import annotations

import csv
import json
import logging
import math
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, replace
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

from qualia_lab.demo import DemoRuns, create_demo_runs, plan
from qualia_lab.errors import NotFoundError, UsageError

# MLflow's own use of SQLAlchemy, at the first import of its store.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning"
)

SYSTEM = "system/"
SWEEP = ["lr=0.003", "lr=0.01", "lr=0.03", "lr=0.1", "lr=1", "lr=100"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A default call, and the world around it before and after."""

    made: DemoRuns
    client: Any
    runs: dict[str, Any]
    folder: Path
    progress: list[tuple[int, int, str]]
    before: dict[str, Any]
    after: dict[str, Any]

    def files(self, name: str) -> Path:
        return self.folder / "artifacts" / self.runs[name].info.run_id / "artifacts"

    def history(self, name: str, metric: str) -> list[Any]:
        return self.client.get_metric_history(self.runs[name].info.run_id, metric)


def world() -> dict[str, Any]:
    import mlflow

    return {
        "environ": dict(os.environ),
        "tracking": mlflow.get_tracking_uri(),
        "active": mlflow.active_run(),
        "levels": {name: logging.getLogger(name).level for name in ("mlflow", "alembic")},
        "cwd": sorted(path.name for path in Path.cwd().iterdir()),
    }


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    folder = tmp_path_factory.mktemp("demo") / "not" / "there" / "yet"
    cwd = tmp_path_factory.mktemp("cwd")
    progress: list[tuple[int, int, str]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        # What imports set themselves is not at issue: MLflow decides about telemetry then, and
        # scikit-learn sets variables of OpenMP.
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        import sklearn  # noqa: F401
        from mlflow import MlflowClient

        patch.delenv("MLFLOW_DISABLE_TELEMETRY")
        patch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "true")
        # A store that nothing may write to.
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{cwd / 'other.db'}")
        before = world()
        made = create_demo_runs(
            f"sqlite:///{folder / 'mlflow.db'}",
            count=5,
            on_progress=lambda *told: progress.append(told),
        )
        after = world()
    client = MlflowClient(tracking_uri=made.tracking_uri)
    runs = [client.get_run(run_id) for run_id in made.run_ids]
    return Outcome(
        made=made,
        client=client,
        runs={run.info.run_name: run for run in runs},
        folder=folder,
        progress=progress,
        before=before,
        after=after,
    )


def runs_of(demo: Outcome, experiment: str) -> list[Any]:
    experiment_id = demo.client.get_experiment_by_name(experiment).experiment_id
    return list(demo.client.search_runs([experiment_id], order_by=["attributes.start_time"]))


def numbers(demo: Outcome, run_id: str) -> dict[str, list[tuple[int, str]]]:
    """Every point of a run that a seed decides; as text, so that NaN equals NaN."""
    names = [name for name in demo.client.get_run(run_id).data.metrics if SYSTEM not in name]
    return {
        name: [
            (point.step, repr(point.value))
            for point in demo.client.get_metric_history(run_id, name)
        ]
        for name in names
    }


def written(folder: Path, run_id: str) -> dict[str, bytes]:
    root = folder / "artifacts" / run_id / "artifacts"
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.*")}


def python(code: str, **environment: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(plan.__file__).parents[2],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def test_the_first_five_hold_every_role(demo: Outcome) -> None:
    assert {name: run.info.status for name, run in demo.runs.items()} == {
        "digits-mlp-seed0": "FINISHED",
        "digits-lr-sweep": "FINISHED",
        **dict.fromkeys(SWEEP, "FINISHED"),
        "digits-mlp-seed1": "FINISHED",
        "digits-linear-rescaled": "FAILED",
        "digits-mlp-wide-seed0": "RUNNING",
    }
    listed = demo.client.search_runs([demo.made.experiment_id])
    assert sorted(run.info.run_id for run in listed) == sorted(demo.made.run_ids)
    ended = {name: run.info.end_time is not None for name, run in demo.runs.items()}
    assert [name for name, yes in ended.items() if not yes] == ["digits-mlp-wide-seed0"]


def test_children_name_their_parent(demo: Outcome) -> None:
    parent = demo.runs["digits-lr-sweep"].info.run_id
    links = {name: run.data.tags.get("mlflow.parentRunId") for name, run in demo.runs.items()}
    assert {name: link for name, link in links.items() if link} == dict.fromkeys(SWEEP, parent)


def test_three_runs_differ_in_their_seed_only(demo: Outcome) -> None:
    params = [
        dict(demo.runs[name].data.params)
        for name in ("digits-mlp-seed0", "digits-mlp-seed1", "lr=0.1")
    ]
    assert [one.pop("seed") for one in params] == ["0", "1", "2"]
    assert params[0] == params[1] == params[2]
    assert {"learning_rate", "batch_size", "epochs", "model", "optimizer"} <= set(params[0])


@pytest.mark.parametrize("name", ["digits-mlp-seed0", *SWEEP])
def test_metrics_are_logged_at_every_epoch(demo: Outcome, name: str) -> None:
    run = demo.runs[name]
    for metric in (
        "train_loss",
        "val_loss",
        "accuracy",
        "system/system_memory_usage_megabytes",
        "system/epoch_seconds",
    ):
        points = demo.history(name, metric)
        assert [point.step for point in points] == list(range(1, 31)), metric
        times = [point.timestamp for point in points]
        assert times == sorted(times)
        assert run.info.start_time <= times[0] <= times[-1] <= run.info.end_time


def test_the_model_learns(demo: Outcome) -> None:
    loss = [point.value for point in demo.history("digits-mlp-seed0", "train_loss")]
    assert loss[-1] < 0.2 * loss[0]
    assert demo.runs["digits-mlp-seed0"].data.metrics["accuracy"] > 0.9


def test_the_largest_learning_rate_diverges_to_nan(demo: Outcome) -> None:
    losses = [point.value for point in demo.history("lr=100", "val_loss")]
    assert math.isfinite(losses[0])
    assert math.isnan(losses[-1])
    assert "not a finite number" in demo.runs["lr=100"].data.tags["mlflow.note.content"]
    others = [demo.runs[name].data.metrics["val_loss"] for name in SWEEP[:-1]]
    assert all(map(math.isfinite, others))
    sweep = demo.runs["digits-lr-sweep"].data
    assert sweep.metrics["best_val_loss"] == min(others)
    winner = demo.runs[SWEEP[others.index(min(others))]]
    assert sweep.params["best_learning_rate"] == winner.data.params["learning_rate"]


def test_the_failed_run_keeps_its_points_and_its_traceback(demo: Outcome) -> None:
    name = "digits-linear-rescaled"
    assert len(demo.history(name, "val_loss")) == 12
    text = (demo.files(name) / "error.txt").read_text(encoding="utf-8")
    assert text.startswith("Traceback (most recent call last):")
    assert "ValueError: Input X contains NaN" in text
    assert 'File "sklearn/' in text
    assert str(Path(sys.prefix)) not in text
    assert str(Path(plan.__file__).parent) not in text


def test_the_running_run_is_partial(demo: Outcome) -> None:
    run = demo.runs["digits-mlp-wide-seed0"]
    done = demo.history("digits-mlp-wide-seed0", "val_loss")
    assert 0 < len(done) < int(run.data.params["epochs"])


def test_artifacts_can_be_read(demo: Outcome) -> None:
    from PIL import Image

    files = demo.files("digits-mlp-seed0")
    listed = {path.relative_to(files).as_posix() for path in files.rglob("*") if path.is_file()}
    assert listed == {
        "summary.txt",
        "report.json",
        "plots/confusion_matrix.png",
        "eval/per_class.csv",
        "eval/predictions.json",
    }
    assert "digits-mlp-seed0" in (files / "summary.txt").read_text(encoding="utf-8")
    with Image.open(files / "plots/confusion_matrix.png") as image:
        image.load()
        assert min(image.size) > 500
        assert len(image.convert("RGB").getcolors(100_000)) > 10
    with (files / "eval/per_class.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == list("0123456789")


def test_report_and_table_agree_with_the_metrics(demo: Outcome) -> None:
    files = demo.files("digits-mlp-seed0")
    report = json.loads((files / "report.json").read_text(encoding="utf-8"))
    logged = demo.runs["digits-mlp-seed0"].data.metrics
    assert report["accuracy"] == pytest.approx(logged["accuracy"])
    assert report["last_epoch"]["val_loss"] == pytest.approx(logged["val_loss"])
    table = json.loads((files / "eval/predictions.json").read_text(encoding="utf-8"))
    assert table["columns"] == ["label", "prediction", "probability", "correct"]
    assert len(table["data"]) == 40
    for label, prediction, probability, correct in table["data"]:
        assert correct == (label == prediction)
        assert 0.1 <= probability <= 1
    assert (
        "eval/predictions.json" in demo.runs["digits-mlp-seed0"].data.tags["mlflow.loggedArtifacts"]
    )


def test_a_diverged_run_leaves_valid_json(demo: Outcome) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    files = demo.files("lr=100")
    report = json.loads((files / "report.json").read_text(), parse_constant=refuse)
    assert report["last_epoch"]["val_loss"] is None
    table = json.loads((files / "eval/predictions.json").read_text(), parse_constant=refuse)
    assert {row[2] for row in table["data"]} == {None}


def test_sweep_table_has_a_row_for_each_child(demo: Outcome) -> None:
    with (demo.files("digits-lr-sweep") / "sweep.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["learning_rate"]) for row in rows] == [0.003, 0.01, 0.03, 0.1, 1.0, 100.0]
    for row, child in zip(rows, SWEEP, strict=True):
        assert repr(float(row["val_loss"])) == repr(demo.runs[child].data.metrics["val_loss"])


def test_every_run_names_its_data_by_digest(demo: Outcome) -> None:
    from mlflow.data.digest_utils import compute_numpy_digest

    from qualia_lab.demo.data import load

    data = load("digits")
    digests = {
        "training": compute_numpy_digest(data.train_x, data.train_y),
        "validation": compute_numpy_digest(data.val_x, data.val_y),
    }
    assert digests["training"] != digests["validation"]
    for name, run in demo.runs.items():
        inputs = {
            tag.value: entry.dataset
            for entry in run.inputs.dataset_inputs
            for tag in entry.tags
            if tag.key == "mlflow.data.context"
        }
        assert {context: one.digest for context, one in inputs.items()} == digests, name
        assert {one.name for one in inputs.values()} == {"digits"}


def test_tags_tell_the_source_and_no_user(demo: Outcome) -> None:
    for name, run in demo.runs.items():
        tags = run.data.tags
        assert tags["mlflow.runName"] == name
        assert tags["mlflow.source.name"] == "create-demo-runs"
        assert tags["mlflow.source.type"] == "LOCAL"
        assert {"task", "family", "stage", "mlflow.note.content"} <= set(tags)
        assert "mlflow.user" not in tags
        assert all("mlflow.user" not in one.dataset.source for one in run.inputs.dataset_inputs)


def test_nothing_global_changes(demo: Outcome) -> None:
    assert demo.after == demo.before
    assert demo.after["active"] is None


def test_everything_is_beside_the_database(demo: Outcome) -> None:
    assert demo.after["cwd"] == []
    assert sorted(path.name for path in demo.folder.iterdir()) == ["artifacts", "mlflow.db"]
    location = demo.client.get_experiment(demo.made.experiment_id).artifact_location
    assert location == (demo.folder / "artifacts").as_uri()


def test_progress_tells_of_every_run_twice(demo: Outcome) -> None:
    total = len(demo.made.run_ids)
    assert {told[1] for told in demo.progress} == {total}
    assert Counter(told[2] for told in demo.progress) == dict.fromkeys(demo.runs, 2)
    done = [told[0] for told in demo.progress]
    assert done == sorted(done)
    assert demo.progress[0] == (0, total, "digits-mlp-seed0")
    assert demo.progress[-1] == (total, total, "digits-mlp-wide-seed0")


def test_the_same_seed_gives_the_same_numbers(demo: Outcome) -> None:
    made = create_demo_runs(demo.made.tracking_uri, experiment="again", count=2)
    assert len(made.run_ids) == 2 + len(SWEEP)
    first_ids = demo.made.run_ids[: len(made.run_ids)]
    for first_id, second_id in zip(first_ids, made.run_ids, strict=True):
        first, second = demo.client.get_run(first_id), demo.client.get_run(second_id)
        assert first.data.params == second.data.params
        assert numbers(demo, first_id) == numbers(demo, second_id)
        files = [written(demo.folder, run_id) for run_id in (first_id, second_id)]
        assert files[0] == files[1]


def test_another_seed_gives_others_and_one_run_is_enough(demo: Outcome) -> None:
    made = create_demo_runs(demo.made.tracking_uri, experiment="one", count=1, seed=1)
    (run,) = runs_of(demo, "one")
    assert (run.info.run_id,) == made.run_ids
    assert run.info.status == "FINISHED"
    first, second = (demo.runs[f"digits-mlp-seed{seed}"].info.run_id for seed in (0, 1))
    assert numbers(demo, run.info.run_id) != numbers(demo, first)
    assert numbers(demo, run.info.run_id) == numbers(demo, second)


def test_a_second_call_adds_to_the_experiment(demo: Outcome) -> None:
    first = create_demo_runs(demo.made.tracking_uri, experiment="grows", count=1)
    second = create_demo_runs(demo.made.tracking_uri, experiment="grows", count=1)
    assert first.experiment_id == second.experiment_id
    assert len(runs_of(demo, "grows")) == 2


def test_the_default_set_can_tell_noise_from_settings() -> None:
    """Five seeds of one setting and three of another, on one data set and nothing else."""
    planned = plan.runs(9, 0)
    trained = [run for one in planned for run in (one.children or (one,))]
    assert {run.training.dataset for run in trained} == {"digits"}
    seeds: dict[tuple[int, float], set[int]] = {}
    for run in trained:
        training = run.training
        seeds.setdefault((training.hidden_units, training.learning_rate), set()).add(training.seed)
    assert seeds[32, 0.1] == {0, 1, 2, 3, 4}
    assert seeds[128, 0.03] == {0, 1, 2}
    assert signature(create_demo_runs).parameters["count"].default == len(planned)


def test_a_regression_has_no_accuracy(demo: Outcome) -> None:
    from PIL import Image

    made = create_demo_runs(demo.made.tracking_uri, experiment="eleven", count=11)
    run = demo.client.get_run(made.run_ids[-1])
    assert run.info.run_name == "diabetes-linear-seed0"
    assert run.data.tags["task"] == "regression"
    measured = {name for name in run.data.metrics if SYSTEM not in name}
    assert measured == {"train_loss", "val_loss", "r2"}
    assert 0.2 < run.data.metrics["r2"] < 1
    files = demo.folder / "artifacts" / run.info.run_id / "artifacts"
    report = json.loads((files / "report.json").read_text(encoding="utf-8"))
    assert report["r2"] == pytest.approx(run.data.metrics["r2"])
    with Image.open(files / "plots/predicted_vs_actual.png") as image:
        image.load()
    with (files / "eval/per_quartile.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(int(row["examples"]) for row in rows) == report["examples"]
    table = json.loads((files / "eval/predictions.json").read_text(encoding="utf-8"))
    assert table["columns"] == ["label", "prediction", "absolute_error"]


@pytest.mark.parametrize(
    ("raised", "status"), [(KeyboardInterrupt, "KILLED"), (RuntimeError, "FAILED")]
)
def test_an_interrupted_run_is_not_left_running(
    demo: Outcome, raised: type[BaseException], status: str
) -> None:
    def stop(done: int, total: int, what: str) -> None:
        if what == "lr=0.1":
            raise raised("stop")

    experiment = f"stopped by {raised.__name__}"
    before = world()
    with pytest.raises(raised, match="stop"):
        create_demo_runs(demo.made.tracking_uri, experiment=experiment, on_progress=stop)
    assert world() == before
    assert {run.info.run_name: run.info.status for run in runs_of(demo, experiment)} == {
        "digits-mlp-seed0": "FINISHED",
        "digits-lr-sweep": status,
        "lr=0.003": "FINISHED",
        "lr=0.01": "FINISHED",
        "lr=0.03": "FINISHED",
        "lr=0.1": status,
    }


@pytest.mark.parametrize("count", [0, -1])
def test_no_runs_are_refused(tmp_path: Path, count: int) -> None:
    with pytest.raises(ValueError, match=f"1 or more, not {count}"):
        create_demo_runs(f"sqlite:///{tmp_path / 'mlflow.db'}", count=count)
    assert not list(tmp_path.iterdir())


def test_a_negative_seed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="seed must be 0 or more"):
        create_demo_runs(f"sqlite:///{tmp_path / 'mlflow.db'}", seed=-1)


def test_a_deleted_experiment_is_refused(demo: Outcome) -> None:
    experiment_id = demo.client.create_experiment("gone")
    demo.client.delete_experiment(experiment_id)
    with pytest.raises(UsageError, match="gone is deleted") as caught:
        create_demo_runs(demo.made.tracking_uri, experiment="gone", count=1)
    assert f"restore --experiment-id {experiment_id}" in caught.value.hint


def test_a_database_in_memory_is_refused() -> None:
    with pytest.raises(UsageError, match="no database file"):
        create_demo_runs("sqlite:///:memory:", count=1)


def test_a_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mine.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mine (value)")
    connection.commit()
    connection.close()
    content = path.read_bytes()
    with pytest.raises(NotFoundError, match="not an MLflow store"):
        create_demo_runs(f"sqlite:///{path}", count=1)
    assert path.read_bytes() == content


def flat(planned: tuple[plan.PlannedRun, ...]) -> list[plan.PlannedRun]:
    return [one for run in planned for one in (run, *run.children)]


def test_a_plan_of_fifty() -> None:
    planned = plan.runs(50, 0)
    assert len(planned) == 50
    assert len({run.name for run in planned}) == 50
    assert planned[:5] == plan.runs(5, 0)
    assert planned == plan.runs(50, 0)
    assert plan.size(planned) == len(flat(planned)) > 50
    assert {run.training.dataset for run in planned} == {"digits", "breast_cancer", "diabetes"}
    seeds = Counter(replace(run.training, seed=0) for run in planned if not run.children)
    assert seeds.most_common(1)[0][1] >= 3


TRAININGS = [run for run in flat(plan.runs(12, 0)) if not run.children]


@pytest.mark.parametrize("run", TRAININGS, ids=lambda run: run.name)
def test_training_follows_its_seed(run: plan.PlannedRun) -> None:
    from qualia_lab.demo.training import Trainer

    def measure(seed: int) -> list[str]:
        epochs = Trainer(replace(run.training, seed=seed, epochs=8)).epochs()
        return [repr(dict(epoch.metrics)) for epoch in epochs]

    first = measure(run.training.seed)
    assert first == measure(run.training.seed)
    assert first != measure(run.training.seed + 1)
    assert ("nan" in first[-1]) == (run.name == "lr=100")


@pytest.mark.parametrize("seed", range(10))
def test_divergence_does_not_depend_on_luck(seed: int) -> None:
    from qualia_lab.demo.training import Trainer

    largest = plan.runs(2, seed)[1].children[-1]
    losses = [epoch.metrics["train_loss"] for epoch in Trainer(largest.training).epochs()]
    assert math.isfinite(losses[0])
    assert math.isnan(losses[-1])


def test_numbers_do_not_depend_on_the_hash_seed() -> None:
    code = (
        "from qualia_lab.demo import plan\n"
        "from qualia_lab.demo.training import Trainer\n"
        "for run in plan.runs(7, 3)[5:]:\n"
        "    print([dict(epoch.metrics) for epoch in Trainer(run.training).epochs()])\n"
    )

    assert python(code, PYTHONHASHSEED="1") == python(code, PYTHONHASHSEED="2") != ""


def test_importing_the_package_is_cheap() -> None:
    code = (
        "import sys, qualia_lab.demo\n"
        "print(sorted({'mlflow', 'sklearn', 'numpy', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    assert python(code).strip() == "[]"
