"""The commands themselves, as processes, before a server that fails."""

from __future__ import annotations

import time
from pathlib import Path

import nbformat
import pytest
from commands import CREATE, Done, command, tree
from faulty_proxy import Fault, Proxy, at, proxied
from server_faults import CASES, PLACES
from server_operations import SECONDS, Data, put
from torture_table import FULL, Saw

pytestmark = [pytest.mark.torture("servers"), pytest.mark.xdist_group("server")]
SMALL = ("503", "slow headers", "wrong items")
TIMEOUT = ("--timeout", f"{SECONDS:g}")


@pytest.fixture(scope="module")
def data(server: str) -> Data:
    return put(server)


def refusal(done: Done, code: int, says: str, proxy: Proxy) -> None:
    """A short error that names the host, what happened and the next step; nothing else."""
    assert (done.code, done.out) == (code, ""), done.err
    assert "Traceback" not in done.err
    lines = done.err.strip().splitlines()
    assert lines[0].startswith("Error: "), done.err
    assert 2 <= len(lines) <= 4, done.err
    assert f"127.0.0.1:{proxy.port}" in done.err
    assert says.lower() in done.err.lower(), done.err


COMMANDS = {
    "experiments": ("qualia-lab", "runs", "--format", "ids"),
    "runs": ("qualia-lab", "runs", "--format", "csv"),
    "load": (CREATE, "--all", "--no-input"),
}


@pytest.mark.parametrize("name", CASES if FULL else SMALL)
def test_a_command_ends_as_documented(
    name: str, server: str, data: Data, tmp_path: Path, saw: Saw
) -> None:
    """One of three commands a fault, in turn; it ends in time after it met the fault."""
    operation = list(COMMANDS)[list(CASES).index(name) % len(COMMANDS)]
    case = CASES[name]
    program, *args = COMMANDS[operation]
    with proxied(server, at(*PLACES[operation], fault=case.makes(operation))) as proxy:
        args += ["--tracking-uri", proxy.url, "--experiment", data.name, *TIMEOUT]
        done = command(*args, cwd=tmp_path, program=program)
        seconds = time.monotonic() - proxy.hits[0]
    refusal(done, case.codes.get(operation, case.code), case.says, proxy)
    assert seconds < SECONDS + 1
    assert tree(tmp_path) == {}
    saw(processes=1)


def executed(
    server: str, data: Data, folder: Path, operation: str, fault: Fault, kind: str = "observation"
) -> tuple[Done, Proxy]:
    with proxied(server, at(*PLACES[operation], fault=fault)) as proxy:
        args = ["--tracking-uri", proxy.url, "--experiment", data.name, *TIMEOUT]
        done = command(
            *args, "--all", "--execute", "--kind", kind, "-o", "x.ipynb", cwd=folder, program=CREATE
        )
        assert proxy.hits
        return done, proxy


@pytest.mark.parametrize("name", ["503", "401", "slow body", "truncated JSON"] if FULL else ["503"])
def test_artifacts_that_can_not_be_listed_are_said_to_be_missing(
    name: str, server: str, data: Data, tmp_path: Path, saw: Saw
) -> None:
    """They are a part of a notebook: the rest of it stands."""
    done, _ = executed(server, data, tmp_path, "artifacts", CASES[name].makes("artifacts"))
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    book = nbformat.read(tmp_path / "x.ipynb", as_version=4)
    shown = "".join(str(cell.get("outputs", "")) for cell in book.cells)
    assert CASES[name].says.lower() in shown.lower()
    assert set(tree(tmp_path)) == {"x.ipynb"}
    saw(processes=1, notebooks_executed=1)


@pytest.mark.skipif(not FULL, reason="executes notebooks")
@pytest.mark.parametrize("name", ["503", "403 HTML", "black hole", "wrong types"])
def test_a_history_that_can_not_be_read_stops_the_notebook_there(
    name: str, server: str, data: Data, tmp_path: Path, saw: Saw
) -> None:
    """Half of a comparison is none: exit 8, what happened, and the notebook up to there."""
    done, proxy = executed(server, data, tmp_path, "history", CASES[name].makes("history"))
    assert done.code == 8, done.err
    assert "Traceback" not in done.err
    for word in ("x.ipynb", f"127.0.0.1:{proxy.port}", CASES[name].says):
        assert word.lower() in done.err.lower(), done.err
    book = nbformat.read(tmp_path / "x.ipynb", as_version=4)
    nbformat.validate(book)
    errors = [
        one for cell in book.cells for one in cell.get("outputs", ()) if one.output_type == "error"
    ]
    assert [one.ename for one in errors] in (["ServerError"], ["NotAllowedError"])
    assert set(tree(tmp_path)) == {"x.ipynb"}
    saw(processes=1, notebooks_executed=1)


@pytest.mark.parametrize("name", ["503", "404", "slow headers"] if FULL else ["404"])
def test_without_the_traces_there_is_no_notebook_about_their_cost(
    name: str, server: str, data: Data, tmp_path: Path, saw: Saw
) -> None:
    """They are all that it is about. A 404 must not look as if there were none."""
    case = CASES[name]
    done, proxy = executed(server, data, tmp_path, "traces", case.makes("traces"), "cost")
    refusal(done, case.code, case.says, proxy)
    assert tree(tmp_path) == {}
    saw(processes=1)
