"""A real tracking server behind a proxy that fails: the right code, in time, in plain words."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from faulty_proxy import Asked, Fault, at, proxied
from server_faults import CASES, PLACES
from server_operations import SECONDS, Data, End, ended, naive, prepared, put, wrong
from torture_table import FULL, Saw

SMALL = (
    "refused",
    "black hole",
    "slow headers",
    "403 HTML",
    "429, wait 1 s",
    "503",
    "reset inside",
    "truncated JSON",
    "login page",
    "wrong values",
    "missing fields",
    "repeated page token",
    "does not exist",
)
pytestmark = [pytest.mark.torture("servers"), pytest.mark.xdist_group("server")]


@pytest.fixture(scope="module")
def data(server: str) -> Data:
    return put(server)


@pytest.fixture(autouse=True)
def _deadline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("QUALIA_TIMEOUT", f"{SECONDS:g}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    yield


Client = Callable[[str, str, Data], Callable[[], Any]]


def tried(client: Client, name: str, operation: str, server: str, data: Data) -> list[str]:
    """What is wrong with how an operation of a client ends of a fault."""
    case = CASES[name]
    fault, armed = case.makes(operation), []
    met: list[float] = []
    at_fault = at(*PLACES[operation], fault=fault)

    def rule(asked: Asked) -> Fault | None:
        found = at_fault(asked) if armed else None
        met.extend([time.monotonic()] if found else [])
        return found

    with proxied(server, rule) as proxy:
        call = client(operation, proxy.url, data)
        armed.append(True)
        began = time.monotonic()
        end = ended(call, SECONDS + 4)
        assert proxy.hits, f"{operation} did not meet the fault"
        # The deadline is one for each answer: the answers before it, which the real server gives
        # while other operations ask it too, have deadlines of their own.
        end = replace(end, seconds=began + end.seconds - met[0])
        return wrong(end, operation, case, f"127.0.0.1:{proxy.port}")


def all_tried(client: Client, name: str, server: str, data: Data) -> list[list[str]]:
    operations = [one for one in PLACES if one not in CASES[name].without]
    with ThreadPoolExecutor(len(operations)) as pool:
        return list(pool.map(lambda one: tried(client, name, one, server, data), operations))


@pytest.mark.parametrize("name", CASES if FULL else SMALL)
def test_a_server_that_fails(name: str, server: str, data: Data, saw: Saw) -> None:
    found = all_tried(prepared, name, server, data)
    assert [line for lines in found for line in lines] == []
    saw(faults=1, operations=len(found))


def test_without_a_fault_all_operations_pass(server: str, data: Data, saw: Saw) -> None:
    with proxied(server, lambda _: None) as proxy:
        for operation in PLACES:
            end: End = ended(prepared(operation, proxy.url, data), SECONDS + 2)
            assert end.code == 0, end.said
            assert len(end.result if operation != "artifacts" else end.result.files)
    saw(faults=0)


@pytest.mark.parametrize("name", CASES if FULL else ("black hole", "503", "wrong values"))
def test_a_client_that_trusts_the_server_is_caught(
    name: str, server: str, data: Data, saw: Saw
) -> None:
    """The counter-proof: the same faults, the same judge."""
    found = all_tried(naive, name, server, data)
    caught = sum(bool(lines) for lines in found)
    assert caught == len(found)
    saw(naive_ends_caught=caught)
