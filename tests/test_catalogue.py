"""Kinds are folders; their manifests are checked key by key."""

from __future__ import annotations

from pathlib import Path

import pytest

from qualia_lab.errors import TemplateError, UsageError
from qualia_lab.manifest import Parameter, Section
from qualia_lab.notebook.catalogue import Catalogue

GOOD = """
title    = "Mine"
summary  = "A kind of my own."
min_runs = 2

[parameters.metric]
ask     = "Which metric"
choices = "metrics"
default = "first"

[[section]]
file  = "_shared/setup"
fixed = true

[[section]]
file     = "each"
for_each = "run"
most     = 3
needs    = ["metrics"]
"""


def kind_in(folder: Path, manifest: str, name: str = "mine") -> Catalogue:
    """A catalogue with one more kind."""
    (folder / name).mkdir()
    (folder / name / "kind.toml").write_text(manifest)
    (folder / name / "each.py.j2").write_text("# %%\n1\n")
    return Catalogue([folder])


def test_a_folder_is_a_kind(tmp_path: Path) -> None:
    catalogue = kind_in(tmp_path, GOOD)
    kind = catalogue.kind("mine")
    assert catalogue.names() == sorted(["mine", *Catalogue().names()])
    assert (kind.title, kind.min_runs) == ("Mine", 2)
    assert Catalogue().kind("cost").min_runs == 0
    assert kind.parameters == (
        Parameter(name="metric", ask="Which metric", choices="metrics", default="first"),
    )
    assert kind.sections == (
        Section(file="_shared/setup", fixed=True),
        Section(file="each", for_each="run", most=3, needs=("metrics",)),
    )


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("title    =", "titel =", "unknown key titel"),
        ('title    = "Mine"', "", "key 'title' is missing"),
        ('title    = "Mine"', "title = 3", "key 'title' can't be 3"),
        ("min_runs = 2", "min_runs = -1", "key 'min_runs' can't be -1"),
        ("min_runs = 2", "min_runs = true", "key 'min_runs' can't be True"),
        ('for_each = "run"', 'for_each = "day"', "key 'for_each' can't be 'day'"),
        ('for_each = "run"', "", "'most' goes with 'for_each'"),
        ('needs    = ["metrics"]', 'needs = ["gold"]', "key 'needs' can't be"),
        ('file     = "each"', 'file = "../each"', "leaves the catalogue"),
        ('file     = "each"', 'file = "setup"', "two sections are called setup"),
        ('file     = "each"', 'file = "absent"', "no template mine/absent.py.j2"),
        ("[parameters.metric]", "[parameters.run_ids]", "can't be the name"),
        ("[parameters.metric]", '[parameters."a b"]', "can't be the name"),
        ("ask     =", "question =", "unknown key question"),
        ("fixed = true", 'fixed = "yes"', "key 'fixed' can't be 'yes'"),
        ("[[section]]", "[[section]", "kind.toml"),
    ],
)
def test_a_fault_in_a_manifest_names_the_file_and_the_key(
    old: str, new: str, says: str, tmp_path: Path
) -> None:
    assert old in GOOD
    catalogue = kind_in(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(TemplateError) as caught:
        catalogue.kind("mine")
    assert says in str(caught.value)


def test_an_unknown_kind_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no kind of notebook observasion") as caught:
        Catalogue([tmp_path]).kind("observasion")
    assert caught.value.hint.startswith("known: observation, ")


def test_the_first_folder_wins_section_by_section(tmp_path: Path) -> None:
    (tmp_path / "observation").mkdir()
    (tmp_path / "observation" / "overview.py.j2").write_text("# %%\nmine\n")
    catalogue = Catalogue([tmp_path])
    kind = catalogue.kind("observation")
    assert catalogue.source(kind, "overview") == "# %%\nmine\n"
    assert "Comparison" in catalogue.source(kind, "comparison")
