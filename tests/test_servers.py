"""The servers that were used before: which, in what order, never a password, never a failure."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import stat
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from commands import tree
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qualia_lab import secrets
from qualia_lab.cli.servers import absolute, remember, remembered
from qualia_lab.tracking import uris

PASSWORD = "c0rrect-h0rse"
NAME = "qualia-lab/servers.json"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A person's state folder."""
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


@pytest.fixture(autouse=True)
def _own_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password that a test brings in is gone with it; nobody's own folders are touched."""
    monkeypatch.setattr(secrets, "_known", set())
    for name in ("HOME", "XDG_STATE_HOME", "LOCALAPPDATA", "USERPROFILE"):
        monkeypatch.delenv(name, raising=False)


def of(state: Path) -> dict[str, str]:
    return {"XDG_STATE_HOME": str(state), "HOME": "/nonexistent"}


def keep(state: Path, content: bytes | str) -> Path:
    """Put this where the servers are remembered."""
    path = state / NAME
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# Which, and in what order.


def test_nothing_is_remembered_at_first(state: Path) -> None:
    assert remembered(of(state)) == []
    assert tree(state) == {}


def test_the_last_used_comes_first_and_each_once(state: Path) -> None:
    for one in ("http://a", "http://b", "http://a", "databricks"):
        remember(one, of(state))
    assert remembered(of(state)) == ["databricks", "http://a", "http://b"]


def test_at_most_eight_are_kept(state: Path) -> None:
    for number in range(12):
        remember(f"http://host-{number}", of(state))
    newest = [f"http://host-{number}" for number in range(11, 3, -1)]
    assert remembered(of(state)) == newest
    assert json.loads((state / NAME).read_text()) == {"servers": newest}
    # A file with more of them offers the first.
    keep(state, json.dumps({"servers": [f"http://{number}" for number in range(40)]}))
    assert remembered(of(state)) == [f"http://{number}" for number in range(8)]


def test_a_relative_store_is_remembered_from_the_root(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for one in ("sqlite:///mlflow.db", "sqlite:///a/../b.db?timeout=5", "./mlruns", "mlruns"):
        remember(one, of(state))
    assert remembered(of(state)) == [
        f"{tmp_path}/mlruns",
        f"sqlite:///{tmp_path}/a/../b.db?timeout=5",
        f"sqlite:///{tmp_path}/mlflow.db",
    ]


@pytest.mark.parametrize("folder", ["plain", "a b", "50% off", "%41", "%2541", "it's #1", "日本"])
def test_a_path_from_the_root_means_the_same_file(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / folder)
    file = Path("mlflow.db")
    file.touch()
    found = absolute("sqlite:///mlflow.db")
    assert uris.sqlite_path(found).samefile(file)
    assert absolute(found) == found
    assert Path(absolute("mlruns")) == tmp_path / folder / "mlruns"


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite:////srv/mlflow.db",
        "sqlite+pysqlite:////srv/ml%20flow.db?mode=ro",
        "/srv/mlruns",
        "http://host:5000/mlflow",
        "https://host/?workspace=a",
        "postgresql://user@host/mlflow",
        "databricks",
        "databricks://profile",
    ],
)
def test_what_means_the_same_everywhere_stays_as_it_is(uri: str) -> None:
    assert absolute(uri) == uri


# Never a password.

WITH_PASSWORD = {
    f"http://user:{PASSWORD}@host:5000": "http://host:5000",
    f"https://{PASSWORD}@host": "https://host",
    f"https://host/x?password={PASSWORD}": "https://host/x",
    f"https://host/x?a=1&api_key={PASSWORD}": "https://host/x?a=1",
    f"postgresql://user:{PASSWORD}@host:5432/mlflow": "postgresql://user@host:5432/mlflow",
    f"mysql+pymysql://user:{PASSWORD}@host/db?ssl=1": "mysql+pymysql://user@host/db?ssl=1",
    f"postgresql://host/mlflow?user=me&password={PASSWORD}": "postgresql://host/mlflow?user=me",
}


@pytest.mark.parametrize("uri", WITH_PASSWORD)
def test_a_password_is_never_written(uri: str, state: Path) -> None:
    remember(uri, of(state))
    assert PASSWORD not in (state / NAME).read_text()
    assert remembered(of(state)) == [WITH_PASSWORD[uri]]


@pytest.mark.parametrize("uri", WITH_PASSWORD)
def test_a_password_that_somebody_wrote_there_is_not_offered(uri: str, state: Path) -> None:
    path = keep(state, json.dumps({"servers": [uri, "http://other"]}))
    assert remembered(of(state)) == [WITH_PASSWORD[uri], "http://other"]
    if not uri.startswith(f"https://{PASSWORD}@"):  # there it is but the name of a user
        # Nor shown by anything else that this process says.
        assert PASSWORD not in secrets.scrub(f"error at {uri}")
    # And the next time it is gone from the file.
    remember("http://new", of(state))
    assert PASSWORD not in path.read_text()
    assert remembered(of(state)) == ["http://new", WITH_PASSWORD[uri], "http://other"]


def test_others_can_not_read_the_file(state: Path) -> None:
    path = keep(state, "{}")
    path.chmod(0o644)
    remember("http://host", of(state))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_folder_that_is_made_is_the_persons_own(tmp_path: Path) -> None:
    remember("http://host", of(tmp_path / "new" / "state"))
    folder = tmp_path / "new" / "state" / "qualia-lab"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert remembered(of(tmp_path / "new" / "state")) == ["http://host"]


# Nothing fails.

BAD = {
    "nothing": b"",
    "text": b"no JSON",
    "cut": b'{"servers": ["http://a", "ht',
    "binary": bytes(range(256)),
    "utf-16": '{"servers": ["http://a"]}'.encode("utf-16"),
    "a list": b'["http://a"]',
    "a string": b'"http://a"',
    "a number": b"7",
    "null": b"null",
    "other keys": b'{"server": ["http://a"]}',
    "servers is a string": b'{"servers": "http://a"}',
    "servers is a number": b'{"servers": 7}',
    "servers is null": b'{"servers": null}',
    "servers is an object": b'{"servers": {"http://a": 1}}',
    "deep": b'{"servers": ' + b"[" * 100_000,
    "a huge number": b'{"servers": [' + b"9" * 10_000 + b"]}",
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_a_file_that_makes_no_sense_holds_none_and_is_replaced(content: bytes, state: Path) -> None:
    keep(state, content)
    assert remembered(of(state)) == []
    remember("http://new", of(state))
    assert remembered(of(state)) == ["http://new"]
    assert tree(state).keys() == {"qualia-lab", NAME}


@pytest.mark.parametrize("bad", [7, None, "", ["http://x"], {"a": 1}, "http://[::1", True])
def test_one_entry_that_makes_no_sense_leaves_the_others(bad: Any, state: Path) -> None:
    keep(state, json.dumps({"servers": ["http://a", bad, "http://b"]}))
    assert remembered(of(state)) == ["http://a", "http://b"]
    remember("http://new", of(state))
    assert remembered(of(state)) == ["http://new", "http://a", "http://b"]


def test_a_byte_order_mark_and_other_ends_of_lines_do_no_harm(state: Path) -> None:
    keep(state, '\ufeff{\r\n"servers": ["http://a"]\r\n}\r\n')
    assert remembered(of(state)) == ["http://a"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.just("servers") | st.text(), inner),
    )
)
def test_whatever_json_is_there(tmp_path: Path, value: Any) -> None:
    (tmp_path / "qualia-lab").mkdir(exist_ok=True)
    keep(tmp_path, json.dumps(value))
    found = remembered(of(tmp_path))
    given = value.get("servers") if isinstance(value, dict) else None
    assert all(isinstance(one, str) for one in found)
    assert len(found) <= (len(given) if isinstance(given, list) else 0)
    remember("http://new", of(tmp_path))
    assert remembered(of(tmp_path))[0] == "http://new"


@pytest.fixture(params=["a file as the folder", "a file as its parent", "a folder as the file",
                        "no such file system"])  # fmt: skip
def unwritable(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A state folder in which nothing can be remembered, for the administrator neither."""
    state = tmp_path / "state"
    if request.param == "a file as the folder":
        state.write_text("mine")
    elif request.param == "a file as its parent":
        state.mkdir()
        (state / "qualia-lab").write_text("mine")
    elif request.param == "a folder as the file":
        (state / NAME).mkdir(parents=True)
    else:
        return Path("/proc/self")
    return state


def test_where_nothing_can_be_written_nothing_is_remembered(unwritable: Path) -> None:
    before = tree(unwritable) if unwritable != Path("/proc/self") else {}
    remember("http://a", of(unwritable))
    assert remembered(of(unwritable)) == []
    if before:
        assert tree(unwritable) == before


def test_a_folder_without_the_right_to_write(state: Path) -> None:
    path = keep(state, '{"servers": ["http://a"]}')
    path.parent.chmod(0o500)
    try:
        remember("http://b", of(state))
        # The administrator may write anyway.
        expected = ["http://b", "http://a"] if os.access(path.parent, os.W_OK) else ["http://a"]
        assert remembered(of(state)) == expected
    finally:
        path.parent.chmod(0o700)


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process can grow meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_what_was_there_and_nothing_else(state: Path) -> None:
    keep(state, '{"servers": ["http://a"]}')
    before = tree(state)
    with full_disk():
        remember("http://b", of(state))
    assert tree(state) == before
    assert remembered(of(state)) == ["http://a"]


def test_several_at_once_leave_a_whole_file(state: Path) -> None:
    together = threading.Barrier(4)

    def one(number: int) -> None:
        together.wait()
        for turn in range(25):
            remember(f"http://{number}-{turn}", of(state))
            assert remembered(of(state))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= len(remembered(of(state))) <= 8
    assert tree(state).keys() == {"qualia-lab", NAME}


def test_a_folder_that_is_gone_under_our_feet(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    remember("sqlite:///mlflow.db", of(state))
    remember("http://a", of(state))
    assert remembered(of(state))[0] == "http://a"


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///:memory:", "http://[::1"])
def test_what_is_no_server_is_not_remembered(uri: str, state: Path) -> None:
    remember(uri, of(state))
    assert remembered(of(state)) == []


# Which folder.


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"XDG_STATE_HOME": ""},
        # A relative one is not the person's: the current folder may be anybody's.
        {"XDG_STATE_HOME": "."},
        {"XDG_STATE_HOME": "state"},
        {"XDG_STATE_HOME": "~/state"},
    ],
)
def test_without_a_state_folder_it_is_in_the_home(
    environ: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, here = tmp_path / "home", tmp_path / "here"
    house.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    for folder in (here, here / "state", here / "~/state"):
        (folder / "qualia-lab").mkdir(parents=True)
        (folder / NAME).write_text('{"servers": ["http://evil"]}')
    before = tree(here)
    everything = {**environ, "HOME": str(house)}
    assert remembered(everything) == []
    remember("http://a", everything)
    assert remembered(everything) == ["http://a"]
    assert (house / ".local/state" / NAME).is_file()
    assert tree(here) == before


def test_a_relative_home_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    remember("http://a", {"HOME": "here"})
    assert remembered({"HOME": "here"}) == []
    assert tree(tmp_path) == {}
