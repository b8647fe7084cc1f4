"""What is asked of a server, one operation at a time, and how its end is judged."""

from __future__ import annotations

import threading
import time
import traceback
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests
from server_faults import Case

import qualia_lab
from qualia_lab.errors import QualiaError
from qualia_lab.model import Query

# Also how long a fault that hangs takes.
SECONDS = 3.0


@dataclass(frozen=True, kw_only=True)
class Data:
    """What a test put on the real server."""

    experiment_id: str
    name: str
    run_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class End:
    """How an operation ended: exit code, what it said, the seconds it took, what was wrong."""

    code: int
    said: str
    seconds: float
    result: Any = None


def put(server: str) -> Data:
    """An experiment with three runs that have histories, artifacts and traces."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    client = MlflowClient(tracking_uri=server)
    name = f"torture-{uuid.uuid4().hex[:8]}"
    experiment = client.create_experiment(name)
    ids = []
    for number in range(3):
        run = client.create_run(experiment, run_name=f"run-{number}").info.run_id
        points = [
            Metric(key, 1 / (1 + step + number), 1_760_000_000_000 + 1000 * step, step)
            for key in ("loss", "error")
            for step in range(20)
        ]
        client.log_batch(run, points, [Param("lr", str(0.1 * (number + 1)))])
        client.log_text(run, f"notes of {number}", "notes.txt")
        client.set_terminated(run)
        ids.append(run)
    for number in range(4):
        _put_trace(server, experiment, number)
    return Data(experiment_id=experiment, name=name, run_ids=tuple(ids))


def _put_trace(server: str, experiment: str, number: int) -> None:
    info = {
        "trace_id": f"tr-{uuid.uuid4().hex}",
        "trace_location": {
            "type": "MLFLOW_EXPERIMENT",
            "mlflow_experiment": {"experiment_id": experiment},
        },
        "request_time": f"2026-01-0{number + 1}T00:00:00Z",
        "execution_duration": "1.5s",
        "state": "OK",
        "trace_metadata": {"mlflow.trace.tokenUsage": '{"input_tokens": 10, "output_tokens": 5}'},
        "tags": {"mlflow.traceName": "answer"},
    }
    sent = requests.post(
        f"{server}/api/3.0/mlflow/traces", json={"trace": {"trace_info": info}}, timeout=60
    )
    assert sent.status_code == 200, sent.text


def prepared(operation: str, url: str, data: Data) -> Callable[[], Any]:
    """An operation, of which all that comes before it is done."""
    explorer = qualia_lab.ArtifactExplorer(url)
    if operation == "experiments":
        return explorer.experiments
    explorer.experiments()
    if operation == "runs":
        return lambda: explorer.runs(Query(experiment_ids=(data.experiment_id,)))
    if operation == "load":
        return lambda: qualia_lab.load(url, data.run_ids)
    runs = qualia_lab.load(url, data.run_ids)
    if operation == "history":
        return lambda: runs.history(["loss"])
    return {"artifacts": lambda: runs.artifacts(data.run_ids[0]), "traces": runs.traces}[operation]


def naive(operation: str, url: str, data: Data) -> Callable[[], Any]:
    """The same operation as a client does it that trusts the server: the counter-proof."""
    api, run = f"{url}/api/2.0/mlflow", data.run_ids[0]
    runs = {"experiment_ids": [data.experiment_id]}
    place = {
        "type": "MLFLOW_EXPERIMENT",
        "mlflow_experiment": {"experiment_id": data.experiment_id},
    }
    served = "/api/2.0/mlflow-artifacts/artifacts"
    calls: dict[str, tuple[str, Callable[[], Any]]] = {
        "experiments": (
            "experiments",
            lambda: requests.post(f"{api}/experiments/search", json={"max_results": 1000}),
        ),
        "runs": ("runs", lambda: requests.post(f"{api}/runs/search", json=runs)),
        "load": ("runs", lambda: requests.post(f"{api}/runs/search", json=runs)),
        "history": (
            "metrics",
            lambda: requests.get(
                f"{url}/ajax-api/2.0/mlflow/metrics/get-history-bulk",
                params={"run_id": run, "metric_key": "loss"},
            ),
        ),
        "artifacts": (
            "files",
            lambda: requests.get(
                url + served, params={"path": f"{data.experiment_id}/{run}/artifacts"}
            ),
        ),
        "traces": (
            "traces",
            lambda: requests.post(
                f"{url}/api/3.0/mlflow/traces/search", json={"locations": [place]}
            ),
        ),
    }
    name, ask = calls[operation]
    return lambda: ask().json().get(name, [])


def ended(call: Callable[[], Any], most: float) -> End:
    """How a call ends. What takes longer than ``most`` seconds is left to itself: code -1."""
    found: list[End] = []

    def work() -> None:
        start = time.monotonic()
        try:
            result, code, said = call(), 0, ""
        except QualiaError as error:
            result, code, said = None, error.exit_code, f"{error}\n{error.hint}"
        except Exception:  # what a person would see as a bug
            result, code, said = None, 1, traceback.format_exc()
        found.append(End(code=code, said=said, seconds=time.monotonic() - start, result=result))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(most)
    return found[0] if found else End(code=-1, said="still waiting", seconds=most)


def wrong(end: End, operation: str, case: Case, where: str) -> list[str]:
    """What is wrong with an end, in words; nothing if it is as it should be."""
    code = case.codes.get(operation, case.code)
    said = []
    if end.code != code:
        said.append(f"ended with {end.code}, not {code}")
    if end.seconds > SECONDS + 1:
        said.append(f"took {end.seconds:.1f} s")
    if code:
        message, _, hint = end.said.partition("\n")
        if where not in end.said:
            said.append(f"does not name {where}")
        if case.says.lower() not in end.said.lower():
            said.append(f"does not say {case.says!r}")
        if not hint.strip():
            said.append("names no next step")
        if "Traceback" in end.said or "\n" in hint or len(message) > 500:
            said.append("is no message")
    return [f"{operation}: it {one}: {end.said[-300:]!r}" for one in said]
