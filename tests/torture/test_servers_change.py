"""A real server whose runs and experiments go while they are read, and that is started again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import tracking_server
from faulty_proxy import Asked, Fault, Proxy, at, proxied
from server_faults import PLACES
from server_operations import SECONDS, Data, ended, prepared, put
from torture_table import FULL, Saw

import qualia_lab

pytestmark = [pytest.mark.torture("servers"), pytest.mark.xdist_group("server")]


@pytest.fixture(autouse=True)
def _own_world(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("QUALIA_TIMEOUT", f"{SECONDS:g}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    yield


def deleting(*bodies: tuple[str, dict[str, str]]) -> Fault:
    """The real answer, after something was really deleted on the server, once."""
    left = list(bodies)

    def fault(asked: Asked) -> None:
        while left:
            path, body = left.pop()
            url = f"{asked.proxy.upstream}/api/2.0/mlflow/{path}/delete"
            assert requests.post(url, json=body, timeout=60).status_code == 200
        found = asked.real()
        asked.say(found.status, found.body, ("Content-Type", found.kind))

    return fault


def ending(operation: str, server: str, data: Data, fault: Fault) -> tuple[int, str, Any]:
    armed: list[bool] = []
    rule = at(*PLACES[operation], fault=fault)
    with proxied(server, lambda asked: rule(asked) if armed else None) as proxy:
        call = prepared(operation, proxy.url, data)
        armed.append(True)
        end = ended(call, SECONDS + 2)
        assert proxy.hits
        return end.code, end.said, end.result


# What the server still has of a deleted run, it gives: histories, artifacts, traces.
STAYS = ("history", "artifacts", "traces")


@pytest.mark.parametrize("operation", ["runs", "load", *STAYS] if FULL else ["load", "history"])
def test_a_run_that_is_deleted_while_it_is_read(operation: str, server: str, saw: Saw) -> None:
    data = put(server)
    gone = data.run_ids[1]
    fault = deleting(("runs", {"run_id": gone}))
    code, said, result = ending(operation, server, data, fault)
    assert code == 0, said
    if operation == "runs":
        assert {one.run_id for one in result} == set(data.run_ids) - {gone}
    elif operation == "load":
        assert list(result.runs.index) == [one for one in data.run_ids if one != gone]
        assert result.coverage.missing == (gone,)
    else:
        assert len(result.files if operation == "artifacts" else result)
    saw(faults=1, operations=1)


def test_when_all_runs_are_deleted_nothing_is_found(server: str, saw: Saw) -> None:
    data = put(server)
    fault = deleting(*(("runs", {"run_id": one}) for one in data.run_ids))
    code, said, _ = ending("load", server, data, fault)
    assert code == 6
    assert "none of the 3 runs" in said
    assert "127.0.0.1" in said
    saw(faults=1, operations=1)


@pytest.mark.parametrize("operation", list(PLACES) if FULL else ["load", "experiments"])
def test_an_experiment_that_is_deleted_while_it_is_read(
    operation: str, server: str, saw: Saw
) -> None:
    data = put(server)
    fault = deleting(("experiments", {"experiment_id": data.experiment_id}))
    code, said, result = ending(operation, server, data, fault)
    assert code == (6 if operation == "load" else 0), said
    if operation == "experiments":
        assert data.name not in [one.name for one in result]
    elif operation == "runs":
        assert result == []
    elif operation != "load":
        assert len(result.files if operation == "artifacts" else result)
    saw(faults=1, operations=1)


def test_a_server_that_is_started_again_is_read_on(server: str, saw: Saw) -> None:
    """As the proxy before it is: the same frames, once it is there again."""
    data = put(server)
    proxy = Proxy(server, lambda _: None)
    proxy.start()
    try:
        runs = qualia_lab.load(proxy.url, data.run_ids)
        whole = runs.history(["loss"])
        proxy.stop()
        end = ended(lambda: runs.history(["error"]), SECONDS + 2)
        assert (end.code, end.seconds < SECONDS + 1) == (4, True), end.said
        proxy.start()
        assert len(runs.history(["error"])) == len(whole) == 60
    finally:
        proxy.over.set()
        proxy.stop()
    saw(faults=1, operations=1)


@pytest.mark.skipif(not FULL, reason="starts a server three times")
def test_a_real_server_that_is_started_again_is_read_on(
    migrated: Path, tmp_path: Path, saw: Saw
) -> None:
    store = Path(shutil.copy(migrated, tmp_path / "mlflow.db"))
    with tracking_server(store) as url:
        data = put(url)
        port = int(url.rpartition(":")[2])
        runs = qualia_lab.load(url, data.run_ids)
        traces = runs.traces()
    for operation in PLACES:
        end = ended(
            lambda operation=operation: prepared(operation, url, data)(),  # type: ignore[misc]
            SECONDS + 2,
        )
        assert (end.code, end.seconds < SECONDS + 1) == (4, True), end.said
    end = ended(lambda: runs.history(["loss"]), SECONDS + 2)
    assert (end.code, end.seconds < SECONDS + 1) == (4, True), end.said
    with tracking_server(store, port=port):
        assert len(runs.history(["loss"])) == 60
        again = qualia_lab.load(url, data.run_ids)
        assert again.metrics.equals(runs.metrics)
        assert again.traces().equals(traces)
    saw(faults=1, operations=len(PLACES) + 1)


def test_a_server_that_lists_no_artifacts_is_not_asked_for_those_of_every_run(
    server: str, saw: Saw
) -> None:
    """A notebook has a section a run: each would wait for as long as the first."""
    data = put(server)
    with proxied(server, at(*PLACES["artifacts"], fault=lambda one: one.say(400, b"no"))) as proxy:
        runs = qualia_lab.load(proxy.url, data.run_ids)
        ends = [ended(lambda: runs.artifacts(data.run_ids[0]), SECONDS + 2) for _ in range(6)]
        assert [one.code for one in ends] == [4] * 6
        assert len(proxy.hits) == 3
        assert "400 no" in ends[-1].said
        assert "load the runs again" in ends[-1].said
        proxy.rule = lambda _: None
        again = qualia_lab.load(proxy.url, data.run_ids)
        assert [one.path for one in again.artifacts(data.run_ids[0]).files] == ["notes.txt"]
    saw(faults=1, operations=6)
