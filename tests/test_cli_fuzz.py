"""Three hundred combinations of flags: each ends with a documented code, soon, and in words."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

import pytest
from commands import in_process
from stores import Run, curve, fill

from qualia_lab.cli.main import main

CODES = {0, 2, 3, 4, 5, 6, 7, 8}
# Each takes a fraction of a second; whatever waits for something would take longer than this.
SECONDS = 10

# Flags with values that make sense, that make none, and that attack.
VALUES: dict[str, list[str]] = {
    "--experiment": ["exp", "1", "nobody", "", "'; --", "\x1b[31m"],
    "--run": ["aaaa", "a" * 32, "zzzz", "", "-", "..", "a" * 5000],
    "--since": ["7d", "2020-01-01", "2999-01-01", "soon", "", "99999999w", "-1d"],
    "--until": ["1h", "2999-12-31", "0001-01-01", "9999-12-31T23:59:59+14:00", "x"],
    "--status": ["FINISHED", "failed", "DONE", ""],
    "--name": ["run*", "[", "*" * 200, "", "\u202e"],
    "--where": [
        "params.lr > 0.1",
        "name ==",
        "().__class__",
        "",
        "metrics.loss < 1 or",
        "a" * 6000,
    ],
    "--filter": ["metrics.loss < 1", "nonsense", "", "params.lr = 'it''s'", "tags.`x` = '1'"],
    "--best": ["loss", "loss:max", "absent:min", ":", "", 'a`"b:max'],
    "--top": ["1", "3", "0", "-1", "x", "99999999999999999999"],
    "--format": ["table", "csv", "json", "ids", "xml"],
    "--timeout": ["5", "0", "nan", "inf", "-1", "x"],
    "--config": ["no.toml", ".", ""],
    "--kind": ["observation", "nothing", "../x", ""],
    "--section": ["overview", "nothing"],
    "--param": ["metric=loss", "metric=absent", "metric", "=", "a=b=c"],
    "--title": ["A title", "", "\x00", "x" * 5000, "{{ 7*7 }}", "../../x"],
    "--output": ["n.ipynb", "no/such/../folder/n.ipynb", "", ".", "n" * 300 + ".ipynb"],
}
SWITCHES = ["--all", "--parents-only", "--children", "--json", "--quiet", "--no-config", "--trust"]
OF_CREATE = ["--overwrite", "--dry-run", "--no-execute", "--no-open", "--no-input"]
ONLY_RUNS = {"--format"}
ONLY_CREATE = {"--kind", "--section", "--param", "--title", "--output"}


def flags(draw: random.Random, command: str) -> list[str]:
    """Some flags of a command, some of them twice, in any order."""
    other = ONLY_RUNS if command == "create" else ONLY_CREATE
    known = sorted(set(VALUES) - other)
    found = [
        [flag, draw.choice(VALUES[flag])] for flag in draw.sample(known, draw.choice([1, 2, 3, 5]))
    ]
    switches = SWITCHES + (OF_CREATE if command == "create" else [])
    found += [[one] for one in draw.sample(switches, draw.randrange(3))]
    draw.shuffle(found)
    return [word for words in found for word in words]


@pytest.mark.parametrize("seed", range(12))
def test_any_flags_end_with_a_documented_code(migrated: Path, tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    path = Path(shutil.copy(migrated, tmp_path / "mlflow.db"))
    metrics = {"loss": curve([2, 1])}
    runs = [
        Run(run_id=one * 32, name=f"run {one}", params={"lr": "0.1"}, metrics=metrics)
        for one in "abc"
    ]
    fill(path, runs, experiment_id=1, name="exp")
    codes = set()
    for _ in range(26):
        command = draw.choice(["create", "runs"])
        given = flags(draw, command)
        stdin = draw.choice(["", "aaaa\n\n# none\nbbbb\n", "\ufeffaaaa\r\n", "x\n"])
        before = path.read_bytes()
        began = time.monotonic()
        words = [command, "--tracking-uri", f"sqlite:///{path}", *given]
        done = in_process(main, *words, cwd=tmp_path, stdin=stdin)
        assert time.monotonic() - began < SECONDS, given
        assert done.code in CODES, (given, done.err)
        assert "Traceback" not in done.err, given
        assert "is a bug" not in done.err, given
        assert done.code == 0 or done.err.startswith(("Error: ", "Warning: ")), (given, done.err)
        assert "\x1b" not in done.out + done.err, given
        assert path.read_bytes() == before, given
        codes.add(done.code)
    assert {0, 2} <= codes, "some make sense, some don't"
