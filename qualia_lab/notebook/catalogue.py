"""The kinds of notebook: folders with a ``kind.toml`` and section files, found on a search path."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from qualia_lab.errors import TemplateError, UsageError, known_list
from qualia_lab.manifest import FACTS, Kind, Parameter, Section
from qualia_lab.text import visible

MANIFEST = "kind.toml"
ENDING = ".py.j2"
LOOPS = ("run", "metric", "experiment")
_OF_RUNS = ("metrics", "params", "runs")

_Check = Callable[[Any], bool]


class Catalogue:
    """The kinds in some folders; where two hold the same kind or section, the first one wins.

    Args:
        folders: searched in this order, before the kinds that come with the package.
    """

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        self._folders = [*folders, bundled()]

    def names(self) -> list[str]:
        """The names of all kinds, sorted."""
        found = {
            path.parent.name
            for folder in self._folders
            for path in folder.glob(f"*/{MANIFEST}")
            if not path.parent.name.startswith(("_", "."))
        }
        return sorted(found)

    def kind(self, name: str) -> Kind:
        """The kind of that name, its manifest checked key by key.

        Raises:
            UsageError: no such kind; the known ones are listed.
            TemplateError: the manifest breaks a rule; the file and the key are named.
        """
        if name not in self.names():
            raise UsageError(
                f"no kind of notebook {visible(name, 60)}", hint=known_list(name, self.names())
            )
        path = self._find(f"{name}/{MANIFEST}")
        try:
            table = tomllib.loads(_read(path))
        except tomllib.TOMLDecodeError as error:
            raise TemplateError(f"{path}: {error}") from error
        kind = _kind(name, table, str(path))
        for section in kind.sections:
            self.source(kind, section.file)
        return kind

    def source(self, kind: Kind, file: str) -> str:
        """The text of a section file: ``file`` in the kind's folder, or ``_shared/...``."""
        shared = file.startswith("_shared/")
        return _read(self._find((file if shared else f"{kind.name}/{file}") + ENDING))

    def _find(self, relative: str) -> Path:
        for folder in self._folders:
            path = folder / relative
            if path.is_file():
                return path
        looked = ", ".join(str(folder) for folder in self._folders)
        raise TemplateError(f"no template {visible(relative, 100)}", hint=f"Looked in: {looked}")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise TemplateError(f"{path} can't be read: {error}") from error


def bundled() -> Path:
    """The folder of the kinds that come with the package: inside it, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "templates", package.parent / "templates"):
        if (folder / "_shared").is_dir():
            return folder
    raise TemplateError(
        "the templates that belong to qualia-lab are missing",
        hint="The installation is broken: pip install --force-reinstall qualia-lab",
    )


def _kind(name: str, table: Mapping[str, Any], path: str) -> Kind:
    _keys(
        table,
        path,
        required={"title": _text, "summary": _text, "section": _tables},
        optional={"min_runs": _whole, "parameters": _table},
    )
    sections = tuple(
        _section(row, f"{path}: section {i}") for i, row in enumerate(table["section"])
    )
    names = [section.name for section in sections]
    if len(set(names)) < len(names):
        twice = sorted({one for one in names if names.count(one) > 1})
        raise TemplateError(f"{path}: two sections are called {', '.join(twice)}")
    parameters = table.get("parameters", {})
    return Kind(
        name=name,
        title=table["title"],
        summary=table["summary"],
        min_runs=table.get("min_runs", 1),
        parameters=tuple(
            _parameter(key, row, f"{path}: parameters.{key}") for key, row in parameters.items()
        ),
        sections=sections,
    )


def _section(row: Mapping[str, Any], where: str) -> Section:
    _keys(
        row,
        where,
        required={"file": _text},
        optional={
            "for_each": lambda value: value in LOOPS,
            "most": _count,
            "needs": lambda value: _texts(value) and set(value) <= set(FACTS),
            "fixed": lambda value: isinstance(value, bool),
            "optional": lambda value: isinstance(value, bool),
        },
    )
    if "most" in row and "for_each" not in row:
        raise TemplateError(f"{where}: key 'most' goes with 'for_each'")
    if Path(row["file"]).is_absolute() or ".." in Path(row["file"]).parts:
        raise TemplateError(f"{where}: key 'file' leaves the catalogue")
    return Section(
        file=row["file"],
        for_each=row.get("for_each"),
        most=row.get("most"),
        needs=tuple(row.get("needs", ())),
        fixed=row.get("fixed", False),
        optional=row.get("optional", False),
    )


def _parameter(name: str, row: Any, where: str) -> Parameter:
    if not _table(row):
        raise TemplateError(f"{where} must be a table")
    if not name.isidentifier() or name in ("tracking_uri", "run_ids"):
        raise TemplateError(f"{where}: {visible(name, 60)} can't be the name of a variable here")
    _keys(
        row,
        where,
        required={"ask": _text},
        optional={
            "at_prompt": lambda value: isinstance(value, bool),
            "number": lambda value: isinstance(value, bool),
            "numbers": lambda value: isinstance(value, bool),
            "path": lambda value: isinstance(value, bool),
            "least": _amount,
            "greatest": _amount,
            "choices": lambda value: value in _OF_RUNS or _texts(value),
            "default": lambda value: isinstance(value, str | int | float | bool),
        },
    )
    choices = row.get("choices")
    return Parameter(
        name=name,
        ask=row["ask"],
        at_prompt=row.get("at_prompt", True),
        number=row.get("number", False),
        numbers=row.get("numbers", False),
        path=row.get("path", False),
        least=row.get("least"),
        greatest=row.get("greatest"),
        choices=tuple(choices) if isinstance(choices, list) else choices,
        default=row.get("default"),
    )


def _keys(
    table: Mapping[str, Any],
    where: str,
    *,
    required: Mapping[str, _Check],
    optional: Mapping[str, _Check],
) -> None:
    """Raise for a key that is unknown, missing or of the wrong type."""
    known = {**required, **optional}
    for key, value in table.items():
        if key not in known:
            raise TemplateError(
                f"{where}: unknown key {visible(key, 60)}", hint=known_list(key, known)
            )
        if not known[key](value):
            raise TemplateError(f"{where}: key '{key}' can't be {visible(repr(value), 80)}")
    for key in required:
        if key not in table:
            raise TemplateError(f"{where}: key '{key}' is missing")


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(_text(one) for one in value)


def _amount(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(value: Any) -> bool:
    return (value == 0 and not isinstance(value, bool)) or _count(value)


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _table(value: Any) -> bool:
    return isinstance(value, dict)


def _tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(_table(one) for one in value)
