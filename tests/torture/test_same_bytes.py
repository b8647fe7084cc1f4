"""The same runs give the same bytes, whatever the hash seed, time zone, locale or Python."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from cases import write_case
from commands import command, environment
from conftest import HOSTILE, ROOT
from stores import Run, curve, fill, run_id
from torture_table import FULL, Saw, size

SEEDS = range(20)
ZONES = ("UTC", "Pacific/Kiritimati", "America/St_Johns")
# The locale of a system decides what its Python takes text for, unless it is told not to.
LOCALES = (
    {"LC_ALL": "C.UTF-8"},
    {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
)
WORLDS = list(itertools.product(SEEDS, ZONES, range(len(LOCALES))))
# Small, each seed, zone and locale that is taken is another.
FEW = [(0, "UTC", 0), (1, "Pacific/Kiritimati", 1), (2, "America/St_Johns", 1)]
PYTHONS = ("3.11", "3.12", "3.13")
PARTS = 4
MAKE = Path(__file__).with_name("make_all.py")
SITE = Path(__file__).with_name("set_site.py")

pytestmark = [pytest.mark.torture("same"), pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def stores(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two stores: hostile runs, and many experiments with many names in each."""
    folder = tmp_path_factory.mktemp("stores")
    (folder / "hostile").mkdir()
    write_case("hostile", Path(shutil.copy(migrated, folder / "hostile" / "mlflow.db")))
    (folder / "many").mkdir()
    path = Path(shutil.copy(migrated, folder / "many" / "mlflow.db"))
    for place in range(1, 6):
        runs = [
            Run(
                run_id=run_id(10 * place + number),
                name=f"r{number}",
                params={f"p{n}": f"{(n * number) % 7}" for n in range(20)},
                metrics={f"m{n}": curve([n / 10, number / 3, 0.1]) for n in range(10)},
                tags={f"t{n}": HOSTILE[n] for n in range(len(HOSTILE))},
            )
            for number in range(4)
        ]
        fill(path, runs, experiment_id=place, name=f"{HOSTILE[place]} {place}")
    return folder


@pytest.fixture(scope="module")
def executed(stores: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An executed notebook, to export."""
    path = tmp_path_factory.mktemp("executed") / "executed.ipynb"
    done = command("--all", "--no-input", "--execute", "--output", str(path), cwd=stores / "many")
    assert done.code == 0, done.err
    return path


def made(
    stores: Path,
    out: Path,
    world: tuple[int, str, int],
    *executed: Path,
    python: str = sys.executable,
    **env: str,
) -> dict[str, str]:
    """The hash of each file that a process of such a world makes."""
    seed, zone, place = world
    out.mkdir(parents=True)
    told = {"PYTHONHASHSEED": str(seed), "TZ": zone, **LOCALES[place], **env}
    told.setdefault("PYTHONPATH", os.pathsep.join([os.environ["PYTHONPATH"], str(ROOT)]))
    done = subprocess.run(
        [python, str(MAKE), str(stores), str(out), *map(str, executed)],
        env={**environment(), **told},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    files = sorted(one for one in out.rglob("*") if one.is_file())
    hashes = {
        str(one.relative_to(out)): hashlib.sha256(one.read_bytes()).hexdigest() for one in files
    }
    shutil.rmtree(out)
    return hashes


@pytest.mark.parametrize("part", range(PARTS if FULL else 1))
def test_seeds_zones_and_locales(
    part: int, stores: Path, executed: Path, tmp_path: Path, saw: Saw
) -> None:
    worlds = [one for one in WORLDS if one[0] % PARTS == part] if FULL else FEW
    # An export takes as long as all notebooks do: there is one a seed.
    first = {seed: world for world in reversed(worlds) for seed in world[:1]}
    wanted = made(stores, tmp_path / "first", WORLDS[0], executed)
    assert len(wanted) == 2 * 3 + 2 + sum("page_files" in name for name in wanted)
    for number, world in enumerate(worlds):
        exports = [executed] if first[world[0]] == world else []
        found = made(stores, tmp_path / str(number), world, *exports)
        assert found.items() <= wanted.items(), (world, found)
        assert exports == [] or found == wanted
    saw(
        worlds=len(worlds),
        notebooks=6 * len(worlds),
        exports=2 * len(first),
        differing=0,
        hash_seeds=len(first),
    )


@pytest.mark.parametrize("version", PYTHONS)
def test_pythons(
    version: str, stores: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Each in an environment of its own, which is made once; that takes minutes, and an index."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    python = sys.executable
    if version != own:
        if not FULL:
            pytest.skip("other Pythons at full size only: their environments take minutes")
        python = environment_of(version, request)
    # Here, so that a Python that is not there is skipped, and no attack that failed.
    saw: Saw = request.getfixturevalue("saw")
    wanted = made(stores, tmp_path / "own", WORLDS[0])
    # Without this one's packages.
    found = made(stores, tmp_path / version, WORLDS[1], python=python, PYTHONPATH=str(ROOT))
    assert found == wanted
    saw(pythons=1, differing=0)


def environment_of(version: str, request: pytest.FixtureRequest) -> str:
    """A Python of that version with what the project needs, in the folder of QUALIA_PYTHONS.

    By default the folder is pytest's cache. What it needs is taken in the versions installed here,
    where there are such for that Python.
    """
    # pyenv's own folder first: its shims on the PATH refuse a version that is not chosen.
    pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    base = str(pyenv[-1]) if pyenv else shutil.which(f"python{version}") or ""
    probe = [base, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    if not base or subprocess.run(probe, capture_output=True, text=True).stdout.strip() != version:
        pytest.skip(f"no Python {version} on this machine")
    needs = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    key = hashlib.sha256("\n".join(needs).encode()).hexdigest()[:8]
    given = os.environ.get("QUALIA_PYTHONS")
    cache = Path(given) if given else request.config.cache.mkdir("pythons")  # type: ignore[union-attr]
    folder = cache / f"{version}-{key}"
    python = folder / "bin" / "python"
    if not (folder / "whole").exists():
        shutil.rmtree(folder, ignore_errors=True)
        pins = cache / f"{version}-{key}.txt"
        names = {re.split(r"[^\w.-]", one)[0].lower() for one in needs}
        pins.write_text("".join(
            f"{one.name}=={one.version}\n"
            for one in metadata.distributions()
            if one.name.lower() in names
        ))  # fmt: skip
        env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        for words in (
            [base, "-m", "venv", str(folder)],
            [str(python), "-m", "pip", "install", "--quiet", "-c", str(pins), *needs],
        ):
            done = subprocess.run(words, env=env, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"no environment for Python {version}: {done.stderr.strip()[-300:]}")
        (folder / "whole").touch()
    return str(python)


# --- the counter-proof ---------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["set", "clock"])
def test_what_differs_is_caught(what: str, stores: Path, tmp_path: Path, saw: Saw) -> None:
    worlds = WORLDS[:: len(ZONES) * len(LOCALES)] if what == "set" else WORLDS[: len(ZONES) * 2 : 2]
    env = {"TRIPWIRE_ALSO": str(SITE), "UNSTEADY": what}
    one = stores.parent / f"one-{what}"
    shutil.copytree(stores / "many", one / "many", dirs_exist_ok=True)
    found = [
        made(one, tmp_path / f"{number}", world, **env)
        for number, world in enumerate(worlds[: size(3, full=6)])
    ]
    assert len({tuple(sorted(hashes.items())) for hashes in found}) > 1
    saw(unsteady_writers_caught=1)
