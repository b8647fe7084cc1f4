"""Faults that pass: the same notebook as without them, or none, and the exit code says why."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest
import requests
from commands import CREATE, Done, command, tree
from faulty_proxy import Asked, Fault, Proxy, proxied
from server_faults import CASES
from server_operations import SECONDS, Data, ended, put
from torture_table import Saw, size
from warm_commands import Warm, warm

pytestmark = [pytest.mark.torture("passing"), pytest.mark.xdist_group("server")]
# Asked for again by the client, since asking changes nothing.
AGAIN = ("429, wait 1 s", "408", "500", "502", "503", "504", "reset", "closed", "cut off")
# Not asked for again: they look as if they would stay.
FINAL = ("401", "404", "truncated JSON", "empty 200", "login page", "wrong items", "slow body")
# What the command asks for when nothing fails: the version, the experiments, the runs.
_REQUESTS = 3


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Which requests (by number, from 0) meet which fault; ``must`` says whether the client, which
    asks each thing three times, has to survive it."""

    faults: dict[int, str]
    must: bool


def schedule(seed: int) -> Schedule:
    """Up to three moments: some so short that they must be survived, some not."""
    draw = random.Random(seed)
    must = seed % 3 != 0
    faults: dict[int, str] = {}
    at = draw.randrange(_REQUESTS)
    for _ in range(draw.randint(1, 3)):
        for _ in range(1 if must else draw.randint(1, 4)):
            faults[at] = draw.choice(AGAIN if must else AGAIN + FINAL)
            at += 1
        # What was asked for again passes before the next moment.
        at += draw.randint(1, 2)
    return Schedule(faults=faults, must=must)


@dataclass
class Player:
    """Plays a schedule at a proxy, and notes which faults were met."""

    plan: Schedule
    asked: int = 0
    met: list[str] = field(default_factory=list)

    def __call__(self, asked: Asked) -> Fault | None:
        name = self.plan.faults.get(self.asked)
        self.asked += 1
        if name is None:
            return None
        self.met.append(name)
        place = next((one for one, end in _ENDS.items() if end in asked.path), "experiments")
        if "/version" in asked.path and name == "wrong items":
            return lambda one: one.say(200, b"{}")
        return CASES[name].makes(place)


_ENDS = {"experiments": "experiments/search", "runs": "runs/search"}


@pytest.fixture(scope="module")
def data(server: str) -> Data:
    return put(server)


def arguments(proxy: Proxy, data: Data) -> Sequence[str]:
    return (
        *("--tracking-uri", proxy.url, "--experiment", data.name, "--all", "--no-input"),
        *("--timeout", f"{SECONDS:g}", "-o", "x.ipynb"),
    )


def judged(
    done: Done, plan: Schedule, met: list[str], folder: Path, undisturbed: bytes, where: str
) -> bool:
    """Whether the notebook is there; it must be the undisturbed one, or nothing at all."""
    told = f"{plan} met {met}: {done}"
    assert met, told
    assert "Traceback" not in done.err, told
    if done.code == 0:
        assert (folder / "x.ipynb").read_bytes() == undisturbed, told
        assert set(tree(folder)) == {"x.ipynb"}, told
        return True
    assert not plan.must, told
    assert done.code in {CASES[name].code for name in met}, told
    assert done.out == "", told
    assert where in done.err, told
    assert tree(folder) == {}, told
    return False


@dataclass(kw_only=True)
class Tally:
    """What came of the schedules of a lane."""

    schedules: int = 0
    notebooks_identical: int = 0
    nothing_written: int = 0
    faults_met: int = 0
    as_processes: int = 0


def played(lane: int, server: str, data: Data, folder: Path, seeds: Sequence[int]) -> Tally:
    """One schedule after the other; every 25th is a process of its own."""
    tally = Tally(schedules=len(seeds))
    with ExitStack() as stack:
        proxy = stack.enter_context(proxied(server, lambda _: None))
        printed = folder / "printed"
        printed.mkdir(parents=True)
        warmed: Warm = stack.enter_context(warm(printed))
        args = arguments(proxy, data)
        start = folder / "undisturbed"
        start.mkdir()
        assert command(*args, cwd=start, program=CREATE).code == 0
        undisturbed = (start / "x.ipynb").read_bytes()
        assert len(proxy.asked) == _REQUESTS, proxy.asked
        for number, seed in enumerate(seeds):
            here = folder / f"{number}"
            here.mkdir()
            plan = schedule(seed)
            proxy.rule = player = Player(plan)
            is_process = number % 25 == 24
            done = (
                command(*args, cwd=here, program=CREATE)
                if is_process
                else _forked(warmed, *args, cwd=here)
            )
            is_there = judged(done, plan, player.met, here, undisturbed, f"127.0.0.1:{proxy.port}")
            tally.notebooks_identical += is_there
            tally.nothing_written += not is_there
            tally.faults_met += len(player.met)
            tally.as_processes += is_process
    return tally


def _forked(warmed: Warm, *args: str, cwd: Path) -> Done:
    ended = warmed.run(*args, cwd=cwd)
    return Done(code=ended.code, out=ended.out, err=ended.err)


@pytest.mark.timeout(1200)
def test_a_fault_that_passes(server: str, data: Data, tmp_path: Path, saw: Saw) -> None:
    """Several lanes at once, each with a proxy of its own: most of the time is waiting."""
    lanes = size(2, full=4)
    seeds = range(size(8, full=300))

    def one(lane: int) -> Tally:
        return played(lane, server, data, tmp_path / f"{lane}", seeds[lane::lanes])

    with ThreadPoolExecutor(lanes) as pool:
        tallies = list(pool.map(one, range(lanes)))
    assert all(tally.notebooks_identical for tally in tallies)
    for tally in tallies:
        saw(**asdict(tally))


def test_a_client_that_asks_once_and_writes_what_came_is_caught(
    server: str, data: Data, tmp_path: Path, saw: Saw
) -> None:
    """The counter-proof: the same schedules and the same judge, of a client that takes an answer
    that it can't read for an empty one."""
    caught = 0
    with proxied(server, lambda _: None) as proxy:
        undisturbed = _trusting(proxy.url, data)
        for number in range(20):
            folder = tmp_path / f"{number}"
            folder.mkdir()
            plan = schedule(number)
            proxy.rule = player = Player(plan)
            (folder / "x.ipynb").write_bytes(_trusting(proxy.url, data))
            done = Done(code=0, out="", err="")
            try:
                judged(done, plan, player.met, folder, undisturbed, proxy.url)
            except AssertionError:
                caught += 1
    assert caught >= 10
    saw(trusting_notebooks_caught=caught)


def _trusting(url: str, data: Data) -> bytes:
    """Three requests, each of them once, and a file made of whatever they gave."""
    found = []
    for path in ("version", "api/2.0/mlflow/experiments/search", "api/2.0/mlflow/runs/search"):
        body = {"experiment_ids": [data.experiment_id], "max_results": 100}
        # Each read has its timeout, and an answer that drips keeps all of them for ever.
        end = ended(lambda: requests.post(f"{url}/{path}", json=body, timeout=1).text, 2)  # noqa: B023
        found.append(end.result or "")
    return "\n".join(found).encode()
