"""Logs what tests/test_old_stores.py expects into ./mlflow.db, with the MLflow that runs it."""

import sqlite3
from contextlib import suppress
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

client = MlflowClient("sqlite:///mlflow.db")
experiment = client.create_experiment("old", artifact_location="mlartifacts/old")
nan, inf = float("nan"), float("inf")
parent = None
for i, last in enumerate([nan, inf, -inf, 0.5]):
    tags = {"mlflow.runName": f"run {i}", "mlflow.user": "ann", "team": "vision"}
    if parent:
        tags["mlflow.parentRunId"] = parent
    run_id = client.create_run(experiment, start_time=1_600_000_000_000 + i, tags=tags).info.run_id
    parent = parent or run_id
    client.log_batch(
        run_id,
        metrics=[Metric("loss", v, 100 + s, s) for s, v in enumerate([1.0, nan, inf, 0.25 * i])]
        + [Metric("last", last, 7, 0)],
        params=[Param("lr", f"0.{i}"), Param("it-s", "it's 100%")],
        tags=[RunTag("note", "ü")],
    )
    with suppress(ImportError):  # data sets came with MLflow 2.4
        from mlflow.entities import Dataset, DatasetInput, InputTag

        data = Dataset("train", f"digest{i}", "code", "{}")
        tag = InputTag("mlflow.data.context", "training")
        client.log_inputs(run_id, [DatasetInput(data, [tag] if i else [])])
    client.set_terminated(run_id, "FAILED" if i == 3 else "FINISHED", 1_600_000_060_000 + i)
client.delete_run(client.create_run(experiment, tags={"mlflow.runName": "gone"}).info.run_id)

# Newer versions store whole paths: the test data shall not say where it was made.
db = sqlite3.connect("mlflow.db")
here = f"{Path.cwd()}/"
db.execute("UPDATE experiments SET artifact_location = replace(artifact_location, ?, '')", (here,))
db.execute("UPDATE experiments SET artifact_location = 'mlartifacts/0' WHERE experiment_id = 0")
db.execute("UPDATE runs SET artifact_uri = replace(artifact_uri, ?, '')", (here,))
db.commit()
db.execute("PRAGMA page_size = 512")
db.execute("VACUUM")
db.close()
