"""What a shell offers after Tab: asked as bash, zsh and fish ask, and once through a real bash."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from commands import CREATE, environment, in_process, tree
from conftest import BIN, HOSTILE
from stores import Run, fill

from qualia_lab.cli import create, main

NAMES = ["churn", "with space", "a:b", "$(touch broken)", "`touch broken`", "-dash", *HOSTILE]


@pytest.fixture(scope="module")
def place(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with MLflow's default store: experiments of all sorts of names, from id 1."""
    folder = tmp_path_factory.mktemp("completion")
    path = Path(shutil.copy(migrated, folder / "mlflow.db"))
    for number, name in enumerate(NAMES, 1):
        fill(path, [Run(run_id=f"{number:032x}")], experiment_id=number, name=name)
    return folder


def asked(line: str, shell: str) -> dict[str, str]:
    """The variables with which a shell's script asks what may follow."""
    return {
        # Named after the program, which is so called in this process.
        "_COMMAND_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }


def offered(line: str, cwd: Path, shell: str = "bash", **env: str) -> list[str]:
    entry = main.main if line.startswith("qualia-lab") else create.main
    done = in_process(entry, cwd=cwd, env={**asked(line, shell), **env})
    assert (done.code, done.err) == (0, "")
    return [line for line in done.out.splitlines() if line]


def test_experiments_of_the_store_here(place: Path) -> None:
    before = tree(place)
    for start in (CREATE, "qualia-lab create", "qualia-lab runs"):
        # One whose name means something to a shell is offered by its id.
        others = {str(number) for number in range(2, len(NAMES) + 1)}
        assert set(offered(f"{start} --experiment ", place)) == {"churn", "Default", *others}
        assert offered(f"{start} --experiment ch", place) == ["churn"]
    assert tree(place) == before


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_nothing_that_is_offered_means_anything_to_a_shell(place: Path, shell: str) -> None:
    lines = "\n".join(offered(f"{CREATE} --experiment ", place, shell))
    if shell == "zsh":
        assert lines.startswith("_arguments '*: :((") and lines.endswith("))'")
        lines = lines.removeprefix("_arguments '*: :((").removesuffix("))'").replace('"', "")
    assert "churn" in lines
    assert all(char.isalnum() or char in "_.-\n" for char in lines)


def test_the_server_is_the_one_that_the_line_or_the_environment_names(
    place: Path, tmp_path: Path, server: str
) -> None:
    uri = f"sqlite:///{place}/mlflow.db"
    assert offered(f"{CREATE} --tracking-uri {uri} --experiment ch", tmp_path) == ["churn"]
    assert offered(f"{CREATE} --experiment ch", tmp_path, MLFLOW_TRACKING_URI=uri) == ["churn"]
    (tmp_path / "qualia.toml").write_text(f'tracking_uri = "{uri}"\n')
    assert offered(f"{CREATE} --experiment ch", tmp_path) == ["churn"]
    assert offered(f"{CREATE} --no-config --experiment ch", tmp_path) == []
    over_http = offered(f"{CREATE} --tracking-uri {server} --experiment q", tmp_path)
    assert over_http == ["qualia-demo"]


def test_where_there_is_nothing_to_offer_nothing_is_said(tmp_path: Path) -> None:
    for uri in ("http://127.0.0.1:9", "sqlite:///none.db", "nonsense://x", "http://"):
        assert offered(f"{CREATE} --tracking-uri {uri} --experiment ", tmp_path) == []
    (tmp_path / "qualia.toml").write_text("wrong = [\n")
    assert offered(f"{CREATE} --experiment ", tmp_path) == []
    assert offered(f"{CREATE} --kind nothing --section ", tmp_path) == []
    assert tree(tmp_path).keys() == {"qualia.toml"}


def test_a_server_that_a_project_names_is_not_sent_credentials(tmp_path: Path, server: str) -> None:
    (tmp_path / "qualia.toml").write_text(f'tracking_uri = "{server}"\n')
    line = f"{CREATE} --experiment q"
    assert offered(line, tmp_path) == ["qualia-demo"]
    token = {"MLFLOW_TRACKING_TOKEN": "a token"}
    assert offered(line, tmp_path, **token) == []
    assert offered(f"{CREATE} --trust --experiment q", tmp_path, **token) == ["qualia-demo"]


def test_kinds_sections_and_statuses(tmp_path: Path) -> None:
    mine = tmp_path / "templates" / "sweeps"
    mine.mkdir(parents=True)
    (mine / "kind.toml").write_text('title = "S"\nsummary = "s"\n[[section]]\nfile = "points"\n')
    (mine / "points.py.j2").write_text("# %%\n1\n")
    own = f"{CREATE} --templates {mine.parent} --kind "
    assert set(offered(own, tmp_path)) >= {"observation", "sweeps"}
    assert offered(f"{own}sweeps --section ", tmp_path) == ["points"]
    assert offered(f"{CREATE} --kind o", tmp_path) == ["observation"]
    assert offered(f"{CREATE} --section comp", tmp_path) == ["comparison"]
    assert offered("qualia-lab kinds o", tmp_path) == ["observation"]
    assert offered(f"{CREATE} --status FI", tmp_path) == ["FINISHED"]


def test_a_real_bash_completes_with_the_script_that_is_shown(place: Path, tmp_path: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash")
    script = f"""
        source <({CREATE} --show-completion bash)
        complete -p {CREATE}
        COMP_WORDS=({CREATE} --experiment ch) COMP_CWORD=2
        _create_observation_notebook_completion {CREATE}
        echo "${{COMPREPLY[@]}}"
    """
    env = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path)}
    done = subprocess.run(
        [bash, "--norc", "-c", script],
        cwd=place,
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    registered, found = done.stdout.splitlines()
    assert registered.endswith(f"-F _create_observation_notebook_completion {CREATE}")
    assert found == "churn"
