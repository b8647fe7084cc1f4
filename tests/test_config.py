"""Configuration: where it is found, who wins, what is refused and on which line, whom it trusts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from commands import Done, assert_refused, in_process
from conftest import HOSTILE, ROOT
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from qualia_lab import secrets
from qualia_lab.cli import config, config_files, config_keys, console
from qualia_lab.cli.config import Settings, load
from qualia_lab.errors import UsageError

NAMES = [key.name for key in config_keys.KEYS]


@dataclass(frozen=True, kw_only=True)
class World:
    """A project's folder and a home folder, both empty at first."""

    project: Path
    home: Path
    environ: dict[str, str] = field(default_factory=dict)

    def write(self, text: str | bytes, name: str = "qualia.toml") -> Path:
        """A file of the project, or elsewhere when ``name`` is absolute."""
        path = self.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def write_user(self, text: str) -> Path:
        return self.write(text, str(self.home / ".config/qualia-lab/config.toml"))

    def load(self, *, cwd: Path | None = None, **environ: str) -> Settings:
        return load(cwd=cwd or self.project, environ={**self.environ, **environ})

    def refused(self, text: str | bytes, name: str = "qualia.toml") -> UsageError:
        self.write(text, name)
        with pytest.raises(UsageError) as caught:
            self.load()
        return caught.value


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(secrets, "_known", set())
    for name in ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME"):
        monkeypatch.delenv(name, raising=False)
    project, home = tmp_path / "project", tmp_path / "home"
    project.mkdir()
    home.mkdir()
    return World(project=project, home=home, environ={"HOME": str(home)})


# --- who wins ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Sample:
    """How a key can be set in each layer, and the value that each gives."""

    user: tuple[str, Any]
    project: tuple[str, Any]
    env: tuple[str, Any]
    flag: Any


SAMPLES: dict[str, Sample] = {
    "tracking_uri": Sample(
        user=('"http://user:1"', "http://user:1"),
        project=('"http://project:1"', "http://project:1"),
        env=("http://env:1", "http://env:1"),
        flag="http://flag:1",
    ),
    "experiment": Sample(
        user=('"one"', ("one",)),
        project=('["a", "b"]', ("a", "b")),
        env=("c, d\ne", ("c, d", "e")),
        flag=["f"],
    ),
    "kind": Sample(user=('"u"', "u"), project=('"p"', "p"), env=("e", "e"), flag="f"),
    "output_folder": Sample(
        user=('"/u"', Path("/u")),
        project=('"p/q"', Path("p/q")),
        env=("../e", Path("../e")),
        flag=Path("f"),
    ),
    "templates": Sample(
        user=('"/u"', Path("/u")),
        project=('"p"', Path("p")),
        env=("/e", Path("/e")),
        flag=Path("f"),
    ),
    "execute": Sample(user=("true", True), project=("false", False), env=("YES", True), flag=False),
    "export": Sample(
        user=('"html"', ("html",)),
        project=('["pdf", "html"]', ("pdf", "html")),
        env=("markdown", ("markdown",)),
        flag=["pdf"],
    ),
    "timeout": Sample(user=("10", 10), project=("2.5", 2.5), env=("0.5", 0.5), flag=7),
    "quiet": Sample(user=("true", True), project=("false", False), env=("1", True), flag=False),
    "open": Sample(user=("true", True), project=("false", False), env=("on", True), flag=False),
    "param": Sample(
        user=("{a = 1}", {"a": 1}),
        project=("{a = 2.5}", {"a": 2.5}),
        env=("a=three=3", {"a": "three=3"}),
        flag={"a": True},
    ),
}


def test_every_key_has_its_sample() -> None:
    assert list(SAMPLES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_flag_beats_a_variable_beats_the_project_beats_the_person_beats_the_default(
    world: World, name: str
) -> None:
    sample, key = SAMPLES[name], config_keys.BY_NAME[name]
    part = "a" if name == "param" else ""

    settings = world.load()
    assert settings.value(name) == key.default
    assert (settings.origin(name), settings.layer(name)) == ("default", "default")

    world.write_user(f"\n{name} = {sample.user[0]}")
    settings = world.load()
    assert settings.value(name) == sample.user[1]
    assert settings.origin(name, part) == "~/.config/qualia-lab/config.toml line 2"
    assert settings.layer(name) == "user"

    world.write(f"{name} = {sample.project[0]}")
    settings = world.load()
    assert settings.value(name) == sample.project[1]
    assert settings.origin(name, part) == "qualia.toml line 1"
    assert settings.layer(name) == "project"

    settings = world.load(**{key.variable: sample.env[0]})
    assert settings.value(name) == sample.env[1]
    assert settings.origin(name, part) == key.variable == f"QUALIA_{name.upper()}"
    assert settings.layer(name) == "environment"

    assert settings.value(name, sample.flag) == sample.flag
    assert settings.value(name, None) == sample.env[1]
    assert settings.value(name, []) == sample.env[1]


@pytest.mark.parametrize("name", NAMES)
def test_without_files_variables_still_count(world: World, name: str) -> None:
    key, sample = config_keys.BY_NAME[name], SAMPLES[name]
    world.write("this is broken")
    world.write_user("this too")
    environ = {**world.environ, key.variable: sample.env[0]}
    settings = load(no_config=True, cwd=world.project, environ=environ)
    assert settings.value(name) == sample.env[1]
    assert settings.files == ()
    for other in set(NAMES) - {name}:
        assert settings.value(other) == config_keys.BY_NAME[other].default


def test_each_layer_says_what_the_stronger_leave_open(world: World) -> None:
    world.write_user('kind = "u"\nquiet = true\ntimeout = 5')
    world.write('kind = "p"\nquiet = false')
    settings = world.load(QUALIA_KIND="e")
    assert [settings.value(name) for name in ("kind", "quiet", "timeout")] == ["e", False, 5]
    assert settings.files == ("qualia.toml", "~/.config/qualia-lab/config.toml")


def test_each_answer_is_looked_up_by_itself(world: World) -> None:
    world.write_user('[param]\nmetric = "u"\ndepth = 3')
    world.write('param.metric = "p"\nparam.log = true')
    settings = world.load(QUALIA_PARAM="log=false\nrate = 0.5")
    assert settings.value("param", {"depth": 9}) == {
        "metric": "p", "depth": 9, "log": "false", "rate ": " 0.5",
    }  # fmt: skip
    origins = [settings.origin("param", part) for part in ("metric", "depth", "log")]
    assert origins == [
        "qualia.toml line 1",
        "~/.config/qualia-lab/config.toml line 3",
        "QUALIA_PARAM",
    ]
    assert settings.params(["depth=9"])[-1] == "depth=9"
    assert {"metric=p", "depth=3", "log=false"} < set(settings.params())


def test_answers_are_written_as_the_flag_takes_them(world: World) -> None:
    world.write('[param]\na = true\nb = 1\nc = 2.5\nd = "x=y"\ne = nan\nf = ""')
    assert world.load().params() == ("a=true", "b=1", "c=2.5", "d=x=y", "e=nan", "f=")


def test_an_empty_list_beats_the_layers_below(world: World) -> None:
    world.write_user('experiment = ["a"]')
    world.write("experiment = []")
    assert world.load().value("experiment") == ()


def test_what_is_returned_can_be_changed_without_harm(world: World) -> None:
    world.load().value("param")["x"] = 1
    assert world.load().value("param") == {}


# --- where the files are -------------------------------------------------------------------------


def test_the_nearest_folder_counts_and_only_that(world: World) -> None:
    deep = world.project / "a/b/c"
    deep.mkdir(parents=True)
    world.write('kind = "top"\nquiet = true')
    assert world.load(cwd=deep).value("kind") == "top"
    assert world.load(cwd=deep).origin("kind") == "../../../qualia.toml line 1"
    world.write('[tool.qualia-lab]\nkind = "near"', "a/b/pyproject.toml")
    settings = world.load(cwd=deep)
    assert (settings.value("kind"), settings.value("quiet")) == ("near", False)
    assert settings.origin("kind") == "../pyproject.toml line 2"
    world.write("", "a/b/c/qualia.toml")
    assert world.load(cwd=deep).value("kind") == "observation"


def test_qualia_toml_comes_before_pyproject_in_one_folder(world: World) -> None:
    world.write('[tool.qualia-lab]\nkind = "second"', "pyproject.toml")
    assert world.load().value("kind") == "second"
    world.write('kind = "first"')
    assert world.load().value("kind") == "first"


@pytest.mark.parametrize(
    "other",
    [
        '[project]\nname = "qualia-lab"',
        '[tool.other]\nkind = "x"',
        "tool = 3 # not qualia-lab",
        "{{ cookiecutter.broken }}",
        "",
        b"\xff\xfe of others",
        b"#" * 1_100_000,
        b'[tool.other]\ntext = """\n[tool.qualia-lab]\n"""',
    ],
)
def test_a_pyproject_without_our_table_is_passed_over(world: World, other: str | bytes) -> None:
    world.write('kind = "top"')
    path = world.write(other, "sub/pyproject.toml")
    assert world.load(cwd=path.parent).value("kind") == "top"


def test_what_is_no_file_is_passed_over(world: World) -> None:
    (world.project / "qualia.toml").mkdir()
    (world.project / "pyproject.toml").symlink_to("pyproject.toml")
    (world.home / ".config/qualia-lab/config.toml").mkdir(parents=True)
    assert world.load().files == ()


def test_the_person_s_file_goes_by_the_system(world: World) -> None:
    def user(windows: bool = False, **environ: str) -> str | None:
        found = config_files.of_person({**world.environ, **environ}, windows=windows)
        return found and str(found.table["kind"])

    elsewhere = world.home.parent / "elsewhere"
    world.write('kind = "xdg"', str(elsewhere / "qualia-lab/config.toml"))
    assert user() is None
    assert user(XDG_CONFIG_HOME=str(elsewhere)) == "xdg"
    assert user(windows=True) is None
    assert user(windows=True, APPDATA=str(elsewhere)) == "xdg"
    world.write_user('kind = "home"')
    assert user() == "home"
    assert user(XDG_CONFIG_HOME="") == "home"
    assert user(XDG_CONFIG_HOME=str(elsewhere)) == "xdg"


def test_a_relative_xdg_folder_is_none_of_this_person(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write('kind = "planted"', "here/qualia-lab/config.toml")
    monkeypatch.chdir(world.project)
    assert world.load(XDG_CONFIG_HOME="here").value("kind") == "observation"
    assert world.load(HOME="here").value("kind") == "observation"


def test_a_home_that_is_unknown_or_closed_is_no_error(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", fail)
    world.write('kind = "p"\ntracking_uri = "http://h"')
    settings = load(cwd=world.project, environ={})
    assert settings.value("kind") == "p"
    assert settings.doubt() == ""

    def closed(self: Path, **how: bool) -> object:
        if str(self).startswith(str(world.home)):
            raise PermissionError(13, "Permission denied")
        return stat(self, **how)

    stat = Path.stat
    monkeypatch.setattr(Path, "stat", closed)
    assert world.load().value("kind") == "p"
    assert world.load().doubt() == ""


def test_a_current_folder_that_is_gone_is_no_error(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> Path:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(Path, "cwd", gone)
    assert load(environ={**world.environ, "QUALIA_KIND": "e"}).value("kind") == "e"


# --- a file that is named ------------------------------------------------------------------------


def test_a_named_file_takes_the_place_of_the_project_s(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(world.project)
    world.write("broken")
    world.write_user("timeout = 3")
    world.write('kind = "named"\noutput_folder = "out"', "sub/other.toml")
    settings = load(config=Path("sub/other.toml"), environ=world.environ)
    assert (settings.value("kind"), settings.value("timeout")) == ("named", 3)
    assert settings.value("output_folder") == Path("sub/out")
    assert settings.origin("kind") == "sub/other.toml line 1"


def test_a_named_pyproject_is_read_as_one(world: World) -> None:
    path = world.write('[tool.qualia-lab]\nkind = "x"', "pyproject.toml")
    assert load(config=path, environ=world.environ).value("kind") == "x"
    path.write_text("[project]")
    with pytest.raises(UsageError, match=r"has no table \[tool.qualia-lab\]"):
        load(config=path, environ=world.environ)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("absent.toml", None, "there is no file .*absent.toml"),
        (".", None, "--config wants a file, and .* is a folder"),
        ("x.toml", b"kind = 'x'\n# \xff\n", "x.toml line 2 is not UTF-8"),
        ("x.toml", '\ufeffkind = "x"'.encode("utf-16"), "x.toml line 1 is not UTF-8"),
        ("x.toml", b'kind = "x', "x.toml line 1 is not valid TOML"),
        ("n" * 300, None, "n can't be read|n… .* can't be read"),
        ("nul\0.toml", None, "can't be read"),
    ],
)
def test_a_named_file_that_is_no_good(
    world: World, name: str, content: bytes | None, told: str
) -> None:
    if content is not None:
        world.write(content, name)
    with pytest.raises(UsageError, match=told) as caught:
        load(config=world.project / name, environ=world.environ)
    assert "no-config" not in caught.value.hint


def test_a_file_that_may_not_be_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(self: Path, *how: object) -> object:
        raise PermissionError(13, "Permission denied", str(self))

    path = world.write('kind = "x"')
    monkeypatch.setattr(Path, "open", closed)
    with pytest.raises(UsageError, match=r"^qualia.toml can't be read: Permission denied$"):
        world.load()
    with pytest.raises(UsageError, match=r"qualia.toml can't be read: Permission denied$"):
        load(config=path, environ=world.environ)
    path.rename(world.project / "pyproject.toml")
    assert world.load().files == ()  # who knows whether it speaks of us


def test_both_flags_contradict() -> None:
    with pytest.raises(UsageError, match="contradict"):
        load(config=Path("x"), no_config=True)


# --- what is refused, and on which line ----------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('kind = "x"\n\nquiet =\n', "qualia.toml line 3 is not valid TOML: Invalid value"),
        ('kind = "x"\nexperiment = [\n"a",\n', "qualia.toml line 3 is not valid TOML"),
        ('kind = "x"\nkind = "y"', "qualia.toml line 2 is not valid TOML: Cannot overwrite"),
        ('experiment = [\r\n"a",\r\n\r\n', "qualia.toml line 2 is not valid TOML"),
        ("quiet = maybe", "qualia.toml line 1 is not valid TOML"),
        ('kind = "a\0b"', "qualia.toml line 1 is not valid TOML"),
        ("\0", "qualia.toml line 1 is not valid TOML"),
        ("kind = 1\rquiet = true", "qualia.toml line 1 is not valid TOML"),
        ("quiet = true\nx = " + "9" * 5000, "qualia.toml line 2 has a number that is too long"),
        ("quiet = true\nx = " + "[" * 100_000, "qualia.toml is nested too deeply"),
        ("\nx = " + "a." * 100 + "b = 1", "qualia.toml line 2 has a key of more than 100 parts"),
        ("x = {" + "'a' . \"b\" ." * 60 + "b = 1}", "qualia.toml line 1 has a key of more than"),
        ("#" * 1_000_001, "qualia.toml is larger than 1 MB"),
        ("#" * 10_000_000, "qualia.toml is larger than 1 MB"),
    ],
    ids=range(14),
)  # fmt: skip
def test_what_is_no_toml_is_told_with_its_line(world: World, text: str, told: str) -> None:
    began = time.monotonic()
    error = world.refused(text)
    assert time.monotonic() - began < 5
    assert str(error).startswith(told)
    assert "--no-config" in error.hint
    assert len(str(error)) < 200


SECONDS = "timeout wants a number of seconds from 0.1 to 86,400, not "


@pytest.mark.parametrize("name", ["qualia.toml", "pyproject.toml"])
@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('quiet = "yes"', "quiet wants true or false, not a string"),
        ("execute = 1", "execute wants true or false, not 1"),
        ("open = []", "open wants true or false, not a list"),
        ("kind = true", "kind wants a string, not true"),
        ("kind = 2026-11-01", "kind wants a string, not a date or time"),
        ("kind = 10:00:00", "kind wants a string, not a date or time"),
        ("kind = {x = 1}", "kind wants a string, not a table"),
        ("kind.x = 1", "kind wants a string, not a table"),
        ("tracking_uri = 5000", "tracking_uri wants a URI, not 5000"),
        ("output_folder = 1.5", "output_folder wants a path, not 1.5"),
        ("templates = ['a']", "templates wants a path, not a list"),
        (
            "experiment = ['a', 1]",
            "experiment wants a string or a list of strings, not a list with something else in it",
        ),
        ("experiment = 7", "experiment wants a string or a list of strings, not 7"),
        ("timeout = '5'", SECONDS + "a string"),
        ("timeout = 0", SECONDS + "0"),
        ("timeout = 0.05", SECONDS + "0.05"),
        ("timeout = 86401", SECONDS + "86401"),
        ("timeout = -1.5", SECONDS + "-1.5"),
        ("timeout = true", SECONDS + "true"),
        ("timeout = nan", SECONDS + "nan"),
        ("timeout = inf", SECONDS + "inf"),
        ("timeout = 1e300", SECONDS + "1e+300"),
        ("timeout = 0x" + "f" * 9000, SECONDS + "a number that is too large"),
        ("param = 'metric'", "param wants a table of NAME = VALUE, not a string"),
        ("param = {a = [1]}", "param.a wants a string, a number, true or false, not a list"),
        ("param.a.b = 1", "param.a wants a string, a number, true or false, not a table"),
        ("param.a = 1979-05-27", "param.a wants a string, a number, true or false, not a date"),
        ("param.a = 0x" + "f" * 9000, "param.a wants a string, a number, true or false, not a nu"),
        ("param.'' = 1", "param is no name of a param"),
        ("param.'a=b' = 1", "param.a=b is no name of a param"),
        ('param."a\\nb" = 1', "param.a⏎b is no name of a param"),
        ('param."a\\u0000b" = 1', "param.a\\x00b has a NUL character in it"),
        ('param.a = "x\\u0000"', "param.a has a NUL character in it"),
        ('kind = ""', "kind is empty"),
        ('kind = "  "', "kind is empty"),
        ('tracking_uri = ""', "tracking_uri is empty"),
        ('output_folder = ""', "output_folder is empty"),
        ("templates = ''", "templates is empty"),
        ("experiment = ''", "experiment is empty"),
        ("experiment = ['a', '']", "experiment has an empty string in it"),
        ('kind = "a\\u0000b"', "kind has a NUL character in it"),
        ('experiment = ["a", "\\u0000"]', "experiment has a NUL character in it"),
        ('templates = "a\\u0000b"', "templates has a NUL character in it"),
        ("overwrite = true", "unknown key overwrite"),
        ("kin = 'x'", "unknown key kin"),
        ("'' = 1", "unknown key "),
        ('"\\u001b[31m\\u202e" = 1', "unknown key \\x1b[31m\\u202e"),
        ("[Kind]", "unknown key Kind"),
    ],
)  # fmt: skip
def test_a_value_that_is_no_good_is_told_with_its_line(
    world: World, name: str, line: str, told: str
) -> None:
    before = "[tool.qualia-lab]" if name == "pyproject.toml" else "# nothing"
    table = line.replace("[Kind]", "[tool.qualia-lab.Kind]") if "tool" in before else line
    error = world.refused(f"{before}\n\n{table}\n", name)
    assert str(error).startswith(told)
    assert str(error).endswith(f": {name} line 3")
    assert len(str(error)) < 200
    assert error.hint


def test_unknown_keys_list_the_known_the_nearest_first(world: World) -> None:
    assert world.refused("exprimnt = 1").hint.startswith("known: experiment, ")
    hint = world.refused("x = 1").hint
    listed = [name for name in NAMES if re.search(rf"\b{name}\b", hint)]
    assert len(listed) == 10
    assert hint.endswith(f" and {len(NAMES) - 10} more")


def test_the_table_of_pyproject_in_a_file_of_our_own_is_explained(world: World) -> None:
    error = world.refused('[tool.qualia-lab]\nkind = "x"')
    assert (str(error), error.hint) == (
        "unknown key tool: qualia.toml line 1",
        "In a file of our own, the keys stand without [tool.qualia-lab].",
    )


@pytest.mark.parametrize("text", ["[tool]\n\nqualia-lab = 3", "\n\n[[tool.qualia-lab]]"])
def test_our_table_has_to_be_one(world: World, text: str) -> None:
    error = world.refused(text, "pyproject.toml")
    assert str(error) == "tool.qualia-lab wants a table: pyproject.toml line 3"


@pytest.mark.parametrize("name", NAMES)
def test_dashes_are_taken_for_underscores_but_not_both(world: World, name: str) -> None:
    other = name.replace("_", "-")
    literal, value = SAMPLES[name].project
    world.write(f"# x\n{other} = {literal}")
    assert world.load().value(name) == value
    assert world.load().origin(name) == "qualia.toml line 2"
    if other != name:
        told = f"{name} is given twice, as {other} and as {name}: qualia.toml line 3"
        assert str(world.refused(f"# x\n{other} = {literal}\n{name} = {literal}")) == told


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("EXECUTE", "maybe", "QUALIA_EXECUTE wants true or false, not maybe"),
        ("QUIET", "2", "QUALIA_QUIET wants true or false, not 2"),
        ("OPEN", "\x1b[31m\u202e", "QUALIA_OPEN wants true or false, not \\x1b[31m\\u202e"),
        ("TIMEOUT", "soon", "QUALIA_TIMEOUT wants a number of seconds from 0.1"),
        ("TIMEOUT", "0", "QUALIA_TIMEOUT wants"),
        ("TIMEOUT", "nan", "QUALIA_TIMEOUT wants"),
        ("TIMEOUT", "1e999", "QUALIA_TIMEOUT wants"),
        ("TIMEOUT", "1_0", "QUALIA_TIMEOUT wants"),
        ("TIMEOUT", "9" * 5000, "QUALIA_TIMEOUT wants"),
        ("PARAM", "metric", "QUALIA_PARAM wants NAME=VALUE, one a line, not metric"),
        ("PARAM", "a=1\n=2", "QUALIA_PARAM wants NAME=VALUE, one a line, not a=1⏎=2"),
        ("KIND", "a\0b", "QUALIA_KIND has a NUL character in it"),
    ],
)
def test_a_variable_that_is_no_good_is_named(world: World, name: str, text: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        world.load(**{f"QUALIA_{name}": text})
    assert str(caught.value).startswith(told)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("text", ["true", "1", "YES", " on "])
def test_words_that_say_yes(world: World, text: str) -> None:
    assert world.load(QUALIA_QUIET=text).value("quiet") is True


@pytest.mark.parametrize("text", ["false", "0", "No", "off\n"])
def test_words_that_say_no(world: World, text: str) -> None:
    world.write("quiet = true")
    assert world.load(QUALIA_QUIET=text).value("quiet") is False


@pytest.mark.parametrize("name", NAMES)
def test_a_blank_variable_sets_nothing(world: World, name: str) -> None:
    settings = world.load(**{f"QUALIA_{name.upper()}": " "})
    assert settings.layer(name) == "default"


def test_variables_of_others_are_left_alone(world: World) -> None:
    settings = world.load(QUALIA_GOLDEN="x", QUALIA_KINDS="x", QUALIA_="x", QUALIA_OVERWRITE="1")
    assert {settings.layer(name) for name in NAMES} == {"default"}


# --- lines ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_byte_order_marks_and_line_ends_of_windows_just_work(
    world: World, start: bytes, end: bytes
) -> None:
    lines = [b'kind = "x"', b'experiment = ["a",', b'"b"]', b"quiet = true"]
    world.write(start + end.join(lines) + end)
    settings = world.load()
    assert settings.value("experiment") == ("a", "b")
    assert settings.origin("kind") == "qualia.toml line 1"
    assert settings.origin("quiet") == "qualia.toml line 4"
    error = world.refused(start + end.join([*lines, b"open = 1"]))
    assert str(error).endswith("qualia.toml line 5")


STATEMENTS = st.sampled_from(
    [
        ("", ""),
        ("# quiet = true", ""),
        ("   ", ""),
        ("KEY = 1 # KEY = 2", "KEY"),
        ("  KEY=\"a # b\\\" [\"", "KEY"),
        ("KEY = 'it\"s [ {'", "KEY"),
        ('KEY = """\nquiet = 1\n[param]\n\\"""\n"""', "KEY"),
        ('KEY = """"a""""', "KEY"),
        ('KEY = """""a"""""', "KEY"),
        ("KEY = '''\nquiet = 1\n'\\\n'''''", "KEY"),
        ("KEY = [\n'quiet = 1', # ]\n[\"[\"],\n]", "KEY"),
        ("KEY = [{a = [1]}, {b = ']'}]", "KEY"),
        ("KEY = {quiet = 1, x = {quiet = 2}}", "KEY"),
        ('"KEY" = ""', "KEY"),
        ("'KEY' . \"x y\" . z = 1979-05-27", "KEY"),
        ("KEY.a-b.1 = 1e5", "KEY"),
        ('"\\u004bEY#=\\"" = 1', 'KEY#="'),
    ]
)  # fmt: skip

HEADERS = ["[tN]", "[ tN . 'b.c' ]", "[[tN]]", '["tN"] # [x]']


@given(
    statements=st.lists(STATEMENTS, max_size=12),
    tables=st.lists(st.sampled_from(HEADERS), max_size=3),
)  # fmt: skip
@hypothesis_settings(deadline=None)
def test_each_key_is_found_on_its_line(
    statements: list[tuple[str, str]], tables: list[str]
) -> None:
    import tomllib

    lines: list[str] = []
    expected: dict[tuple[str, ...], int] = {}
    blocks = [("", ()), *((one, (f"t{n}",)) for n, one in enumerate(tables))]
    number = 0
    for place, (header, path) in enumerate(blocks):
        if header:
            expected[path] = len(lines) + 1
            lines += [header.replace("tN", path[0])]
            path = (*path, "b.c") if "b.c" in header else path
        for text, key in statements:
            number += 1
            own = f"k{number}"
            if key and place < 2:
                expected[*path, key.replace("KEY", own)] = len(lines) + 1
            lines += text.replace("KEY", own).replace("\\u004bEY", own).split("\n")
    text = "\n".join(lines)
    tomllib.loads(text)  # the test itself writes TOML
    file = config_files.ConfigFile(shown="f", folder=Path(), hint="", table={}, text=text)
    for keys, line in expected.items():
        assert file.place(*keys) == f"f line {line}", text


def test_a_key_inside_an_inline_table_is_on_the_line_of_the_table(world: World) -> None:
    world.write("\nparam = {a = 1}")
    assert world.load().origin("param", "a") == "qualia.toml line 2"


def test_lines_of_a_large_file_are_found_in_no_time(world: World) -> None:
    text = "# quiet = 1\n" * 30_000 + 'kind = """' + "quiet = 1\n" * 60_000 + '"""\nquiet = true\n'
    world.write(text)
    began = time.monotonic()
    assert world.load().origin("quiet") == "qualia.toml line 90002"
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "text",
    [
        "x=[" + "1," * 490_000 + "]",
        "\n".join(f"k{n}=1" for n in range(90_000)),
        "\n".join(f"[a.b.c{n}]" for n in range(60_000)),
        "a." * 499_000 + "a=1",
        "\n".join("a." * 90 + f"k{n}=1" for n in range(4_000)),
        '"' * 999_000,
        "[" * 999_000,
        "a " * 499_000,
        "'a'." * 249_000,
        'x="""' + '\\"' * 490_000 + '"""',
    ],
    ids=range(10),
)
def test_no_file_costs_more_than_seconds(world: World, text: str) -> None:
    began = time.monotonic()
    world.refused(text)
    assert time.monotonic() - began < 20


# --- any text ------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    [
        *NAMES, "tracking-uri", "param.metric", "=", " = ", "\n", "\n", "[param]", "true",
        "false", "1", "nan", '"http://u:p@h"', '"postgresql://u:p@a@b/c"', '"http://["',
        '"sqlite:///x.db"', '"sqlite://"', '"mlruns"', '"x"', '"~/x"', "'~'", "[", "]", "{", "}",
        ",", ".", '"', "'", '"""', "'''", "#", "\\", "\r", "\0", "\ufeff", "\x1b[31m", "\u202e",
        '"\\u0000"', '"\\n"', "1979-05-27", "0xff", "-", "_",
    ]
)  # fmt: skip
LITERALS = st.sampled_from(
    [one for sample in SAMPLES.values() for one in (sample.user[0], sample.project[0])]
    + ['"http://u:pass-word@h/?token=t0k"', '"http://["', '"//["', '"//[:"', '"sqlite:///a?b=c"']
)
LINES = st.builds("{} = {}".format, st.sampled_from(NAMES), LITERALS)
TEXTS = st.one_of(
    st.text(), st.lists(WORDS).map("".join), st.lists(LINES, max_size=5).map("\n".join)
)


@given(text=TEXTS, above=st.booleans())
@hypothesis_settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_text_is_read_or_refused(world: World, text: str, above: bool) -> None:
    (world.project / "sub").mkdir(exist_ok=True)
    world.write(text.encode("utf-8", "surrogatepass"))
    cwd = world.project / "sub" if above else world.project
    try:
        settings = world.load(cwd=cwd, MLFLOW_TRACKING_TOKEN="some-token")
    except UsageError as error:
        assert "qualia.toml" in str(error)
        return
    for name in NAMES:
        settings.value(name)
        settings.origin(name)
    shown = json.dumps([[row.name, row.value, row.origin] for row in settings.rows()])
    assert "pass-word" not in shown
    assert "pass-word" not in settings.doubt()
    assert "pass-word" not in repr(settings)


@given(data=st.binary())
@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_read_or_refused(world: World, data: bytes) -> None:
    world.write(b"[tool.qualia-lab]\n" + data, "pyproject.toml")
    try:
        world.load()
    except UsageError as error:
        assert "pyproject.toml" in str(error)


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_values_come_through_whole_and_are_shown_tame(world: World, value: str) -> None:
    literal = json.dumps(value).replace("\\ud83d\\ude00", "\U0001f600")
    world.write(f"param.x = {literal}\n" + (f"kind = {literal}" if value.strip() else ""))
    settings = world.load()
    assert settings.value("param") == {"x": value}
    assert settings.value("kind") == (value if value.strip() else "observation")
    done = listing(world)
    assert done.code == 0, done.err
    assert len(done.out.splitlines()) == len(NAMES)
    assert not set("\x1b\x07\u202e\u2066\u200b\u2028\r") & set(done.out)
    assert json.loads(listing(world, "--json").out)["values"]["param.x"]["value"] == value


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_names_are_shown_tame(world: World, value: str) -> None:
    literal = json.dumps(value).replace("\\ud83d\\ude00", "\U0001f600")
    error = world.refused(f"{literal} = 1")
    assert not set("\x1b\x07\u202e\u2066\u200b\u2028\r\n") & set(str(error))
    assert len(str(error)) < 500


# --- paths ---------------------------------------------------------------------------------------


def test_paths_of_a_file_begin_at_its_folder(world: World) -> None:
    deep = world.project / "a/b"
    deep.mkdir(parents=True)
    world.write('output_folder = "out"\ntemplates = "../t"')
    world.write_user('templates = "own"')
    settings = world.load(cwd=deep)
    assert settings.value("output_folder") == Path("../../out")
    assert settings.value("templates") == Path("../../../t")
    assert settings.value("output_folder", Path("flag")) == Path("flag")
    (world.project / "qualia.toml").unlink()
    assert world.load().value("templates") == world.home / ".config/qualia-lab/own"


@pytest.mark.parametrize("name", ["output_folder", "templates"])
def test_a_tilde_is_the_home_folder(
    world: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write(f'{name} = "~/nb"')
    assert world.load().value(name) == world.home / "nb"
    world.write(f'{name} = "~"')
    assert world.load().value(name) == world.home
    assert world.load(**{f"QUALIA_{name.upper()}": "~/x"}).value(name) == world.home / "x"
    world.write(f'{name} = "~other/nb"')
    assert world.load().value(name) == Path("~other/nb")
    world.write(f'{name} = "~/nb"')
    with pytest.raises(UsageError, match="begins with ~, and no home folder is known"):
        world.load(HOME="relative")


@pytest.mark.parametrize(
    ("given", "placed"),
    [
        ("sqlite:///mlflow.db", "sqlite:///../../mlflow.db"),
        ("sqlite:///data/a b.db?x=1", "sqlite:///../../data/a b.db?x=1"),
        ("SQLite+pysqlite:///mlflow.db", "SQLite+pysqlite:///../../mlflow.db"),
        ("sqlite:////abs/mlflow.db", "sqlite:////abs/mlflow.db"),
        ("sqlite:///C:/mlflow.db", "sqlite:///C:/mlflow.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("sqlite://", "sqlite://"),
        ("mlruns", "../../mlruns"),
        ("./mlruns", "../../mlruns"),
        ("/abs/mlruns", "/abs/mlruns"),
        ("file:mlruns", "file:mlruns"),
        ("file:///abs", "file:///abs"),
        ("C:\\mlruns", "C:\\mlruns"),
        ("databricks", "databricks"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("//[", "//["),
    ],
)
def test_a_local_store_begins_at_the_folder_of_its_file(
    world: World, given: str, placed: str
) -> None:
    deep = world.project / "a/b"
    deep.mkdir(parents=True)
    world.write(f"tracking_uri = '{given}'")
    assert world.load(cwd=deep).value("tracking_uri") == placed
    assert world.load().value("tracking_uri") == given
    assert world.load(cwd=deep, QUALIA_TRACKING_URI=given).value("tracking_uri") == given


@pytest.mark.parametrize("folder", ["per%20cent", "a b", "q#x", "ünï"])
def test_a_store_is_the_same_file_from_another_folder(world: World, folder: str) -> None:
    from qualia_lab.tracking import uris

    path = world.write('tracking_uri = "sqlite:///s.db"', f"{folder}/x.toml")
    settings = load(config=path, cwd=world.project, environ=world.environ)
    assert uris.sqlite_path(settings.value("tracking_uri")) == path.parent / "s.db"


# --- trust ---------------------------------------------------------------------------------------

HELD: list[Mapping[str, str]] = [
    {"MLFLOW_TRACKING_USERNAME": "me"},
    {"MLFLOW_TRACKING_PASSWORD": "correct-horse"},
    {"MLFLOW_TRACKING_TOKEN": "battery-staple"},
    {"MLFLOW_TRACKING_AUTH": "plugin"},
    {"MLFLOW_TRACKING_URI": "https://me:correct-horse@real.example"},
    {"MLFLOW_TRACKING_URI": "https://[correct-horse@real.example"},
]


@pytest.mark.parametrize("held", HELD, ids=range(len(HELD)))
def test_a_server_of_the_project_gets_no_credentials_unasked(
    world: World, held: Mapping[str, str]
) -> None:
    world.write('\ntracking_uri = "https://evil.example/x"')
    settings = world.load(**held)
    with pytest.raises(UsageError) as caught:
        settings.require_trust(False)
    for word in ("qualia.toml line 2", "https://evil.example/x", *held):
        assert word in str(caught.value)
    assert "--trust" in caught.value.hint
    assert "correct-horse" not in str(caught.value)
    settings.require_trust(True)
    settings.require_trust(False, "http://of.a.flag")
    world.load().require_trust(False)


def test_the_credentials_file_of_mlflow_counts(world: World) -> None:
    world.write('tracking_uri = "https://evil.example"')
    world.write("[mlflow]", str(world.home / ".mlflow/credentials"))
    with pytest.raises(UsageError, match=r"~/\.mlflow/credentials"):
        world.load().require_trust(False)


def test_the_login_of_databases_counts_for_databases(world: World) -> None:
    world.write('tracking_uri = "postgresql://me@evil.example/db"')
    with pytest.raises(UsageError, match=r"me@evil.example/db, .*PGPASSWORD"):
        world.load(PGPASSWORD="correct-horse").require_trust(False)
    world.write('tracking_uri = "http://evil.example"')
    world.load(PGPASSWORD="correct-horse").require_trust(False)


def test_a_password_of_the_file_itself_is_not_shown_and_changes_nothing(world: World) -> None:
    world.write('tracking_uri = "https://me:correct-horse@evil.example"')
    with pytest.raises(UsageError, match=r"https://evil\.example,") as caught:
        world.load(MLFLOW_TRACKING_TOKEN="battery-staple").require_trust(False)
    assert "correct-horse" not in str(caught.value)


def test_a_named_file_and_a_pyproject_are_the_project_s_too(world: World) -> None:
    text, environ = 'tracking_uri = "https://evil.example"', {"MLFLOW_TRACKING_TOKEN": "battery"}
    path = world.write(text, "x.toml")
    with pytest.raises(UsageError, match=r"x\.toml line 1"):
        load(config=path, environ={**world.environ, **environ}).require_trust(False)
    world.write(f"[tool.qualia-lab]\n{text}", "pyproject.toml")
    with pytest.raises(UsageError, match=r"pyproject\.toml line 2"):
        world.load(**environ).require_trust(False)


@pytest.mark.parametrize("uri", ["sqlite:///mlflow.db", "mlruns", "file:///x", "./x"])
def test_a_local_store_gets_no_credentials(world: World, uri: str) -> None:
    world.write(f'tracking_uri = "{uri}"')
    world.load(MLFLOW_TRACKING_TOKEN="battery-staple").require_trust(False)


def test_a_server_that_the_person_names_needs_no_trust(world: World) -> None:
    uri, token = "https://real.example/x", {"MLFLOW_TRACKING_TOKEN": "battery-staple"}
    world.write_user(f'tracking_uri = "{uri}"')
    world.load(**token).require_trust(False)
    world.write(f'tracking_uri = "{uri}"')
    world.load(**token).require_trust(False)
    world.write('tracking_uri = "https://evil.example"')
    world.load(QUALIA_TRACKING_URI=uri, **token).require_trust(False)
    (world.home / ".config/qualia-lab/config.toml").unlink()
    world.write(f'tracking_uri = "{uri}"')
    full = uri.replace("://", "://me:correct-horse@")
    world.load(MLFLOW_TRACKING_URI=full, **token).require_trust(False)
    with pytest.raises(UsageError):
        world.load(MLFLOW_TRACKING_URI="https://other.example", **token).require_trust(False)


@pytest.mark.parametrize(
    "uri", ["https://evil.example\\\\@real.example", "https://real.example@evil.example"]
)
def test_a_server_that_only_looks_like_the_person_s_is_another(world: World, uri: str) -> None:
    world.write(f'tracking_uri = "{uri}"')
    environ = {"MLFLOW_TRACKING_URI": "https://real.example", "MLFLOW_TRACKING_TOKEN": "battery"}
    with pytest.raises(UsageError):
        world.load(**environ).require_trust(False)


def test_letting_the_uri_in_makes_it_no_more_trusted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qualia_lab.tracking import uris

    world.write('tracking_uri = "https://me:correct-horse@evil.example"')
    for name, value in {**world.environ, "MLFLOW_TRACKING_TOKEN": "battery-staple"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    settings = load(cwd=world.project)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    uris.enter(settings.value("tracking_uri"))
    with pytest.raises(UsageError, match="MLFLOW_TRACKING_TOKEN"):
        settings.require_trust(False)


def test_the_password_of_the_file_is_no_credential_of_the_environment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qualia_lab.tracking import uris

    world.write('tracking_uri = "https://me:correct-horse@h.example"')
    monkeypatch.setenv("HOME", str(world.home))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    settings = load(cwd=world.project)
    uris.enter(settings.value("tracking_uri"))  # puts it into the environment
    settings.require_trust(False)


# --- the listing ---------------------------------------------------------------------------------


def listing(world: World, *args: str, env: Mapping[str, str] | None = None) -> Done:
    def main() -> None:
        console.run(console.application("config", config.config, config.EPILOG))

    return in_process(main, *args, cwd=world.project, env={**world.environ, **(env or {})})


def test_the_listing_says_each_value_and_where_it_comes_from(world: World) -> None:
    world.write('experiment = ["a", "b"]\n[param]\nmetric = "acc"\ndepth = 3')
    world.write_user("timeout = 2.5")
    done = listing(world, env={"QUALIA_QUIET": "yes", "MLFLOW_TRACKING_URI": "http://h:1"})
    assert done.code == 0
    assert done.out.splitlines() == [
        "tracking_uri   http://h:1             MLFLOW_TRACKING_URI",
        "experiment     a, b                   qualia.toml line 1",
        "kind           observation            default",
        "output_folder  notebooks              default",
        "templates      (those of qualia-lab)  default",
        "execute        false                  default",
        "export         (none)                 default",
        "timeout        2.5                    ~/.config/qualia-lab/config.toml line 1",
        "quiet          true                   QUALIA_QUIET",
        "open           false                  default",
        "param.metric   acc                    qualia.toml line 3",
        "param.depth    3                      qualia.toml line 4",
    ]
    assert done.err == "Read qualia.toml and ~/.config/qualia-lab/config.toml.\n"


def test_the_listing_of_nothing(world: World) -> None:
    done = listing(world, "--no-config")
    assert done.err == "Read no configuration file.\n"
    lines = done.out.splitlines()
    assert len(lines) == len(NAMES)
    assert all(line.endswith("  default") for line in lines)
    for key, line in zip(config_keys.KEYS, lines, strict=True):
        assert line.startswith(key.name)
        assert (f"({key.unset})" if key.unset else config_keys.plain(key.default)) in line


def test_the_listing_as_json(world: World) -> None:
    world.write('experiment = "a"\ntemplates = "t"\n[param]\nx = nan\ny = true')
    record = json.loads(listing(world, "--json").out)
    assert record["files"] == ["qualia.toml"]
    values = record["values"]
    assert [one for one in values if not one.startswith("param")] == NAMES[:-1]
    assert values["experiment"] == {"value": ["a"], "origin": "qualia.toml line 1"}
    assert values["templates"] == {"value": "t", "origin": "qualia.toml line 2"}
    assert values["tracking_uri"] == {"value": None, "origin": "default"}
    assert (values["param.x"]["value"], values["param.y"]["value"]) == ("nan", True)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://me:correct-horse@h.example/x", "https://h.example/x"),
        ("postgresql://me:correct-horse@h.example/x", "postgresql://me@h.example/x"),
        ("postgresql://me:half@correct-horse@h.example/x", "postgresql://***@h.example/x"),
        ("http://h.example/?token=correct-horse", "http://h.example/"),
        ("https://me:a/correct-horse@h.example", "https://***@h.example"),
        ("https://[me:correct-horse@h.example", "https://***@h.example"),
    ],
)
@pytest.mark.parametrize("where", ["file", "variable", "mlflow"])
def test_the_listing_shows_no_password(world: World, uri: str, shown: str, where: str) -> None:
    env = {
        "file": {},
        "variable": {"QUALIA_TRACKING_URI": uri},
        "mlflow": {"MLFLOW_TRACKING_URI": uri},
    }
    if where == "file":
        world.write(f'tracking_uri = "{uri}"')
    for args in ([], ["--json"]):
        done = listing(world, *args, env=env[where])
        assert shown in done.out
        assert "correct-horse" not in done.out + done.err


@pytest.mark.parametrize("name", ["kind", "experiment", "output_folder", "templates", "param.x"])
def test_a_password_in_the_wrong_place_is_not_shown(world: World, name: str) -> None:
    world.write(f'{name} = "https://me:correct-horse@h.example/x"')
    for args in ([], ["--json"]):
        out = listing(world, *args).out
        assert "***@h.example/x" in out
        assert "correct-horse" not in out


def test_a_secret_of_the_environment_is_shown_nowhere(world: World) -> None:
    secret = "correct-horse-battery"
    world.write(f'kind = "{secret}"\nexperiment = ["x{secret}"]\nparam.{secret} = "{secret}"')
    for args in ([], ["--json"]):
        done = listing(world, *args, env={"MLFLOW_TRACKING_PASSWORD": secret})
        assert done.code == 0
        assert secret not in done.out + done.err


def test_the_command_takes_a_file_and_refuses_as_documented(world: World) -> None:
    world.write('kind = "x"', "sub/x.toml")
    assert "sub/x.toml line 1" in listing(world, "--config", "sub/x.toml").out
    assert_refused(listing(world, "--config", "absent"), 2, "there is no file absent", "--config")
    assert_refused(listing(world, "--config", "sub"), 2, "sub is a folder")
    assert_refused(listing(world, "--config", "x", "--no-config"), 2, "contradict")
    world.write("\nquiet = 'yes'")
    assert_refused(listing(world), 2, "quiet wants true or false", "qualia.toml line 2")
    assert_refused(listing(world, "--no-config", env={"QUALIA_OPEN": "maybe"}), 2, "QUALIA_OPEN")


# --- the cost, and the docs ----------------------------------------------------------------------


def test_reading_is_quick_and_loads_nothing_heavy(world: World) -> None:
    world.write('tracking_uri = "http://h:1"\nexperiment = ["a"]\n[param]\nmetric = "acc"')
    world.write_user("timeout = 3")
    code = """
import sys, time
from qualia_lab.cli import config
config.load()
times = []
for _ in range(10):
    began = time.perf_counter()
    config.load().value("kind")
    times.append(time.perf_counter() - began)
config.load().rows()
config.load().doubt()
heavy = [one for one in ("mlflow", "pandas", "numpy", "rich", "sqlalchemy") if one in sys.modules]
print(min(times), *heavy)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=world.project,
        env={**world.environ, "PATH": "", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, *heavy = done.stdout.split()
    assert heavy == []
    assert float(seconds) < 0.02


def test_the_docs_hold_the_table_of_keys() -> None:
    page = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    assert config_keys.table() in page
    for word in ("--config", "--no-config", "--trust", "XDG_CONFIG_HOME", "APPDATA", "pyproject"):
        assert word in page


def test_the_example_of_the_docs_is_true(world: World) -> None:
    page = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    example = page.partition("```toml\n")[2].partition("```")[0]
    world.write(example)
    shown = page.partition("$ qualia-lab config\n")[2].partition("```")[0]
    done = listing(world, env={"QUALIA_QUIET": "true"})
    assert done.out == shown
