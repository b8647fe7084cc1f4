"""The files that hold configuration: where they are, what is in them, and on which line.

Which keys there are is the business of ``config_keys.py``.
"""

from __future__ import annotations

import codecs
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from qualia_lab.errors import UsageError
from qualia_lab.text import visible

NAME = "qualia.toml"
PYPROJECT = "pyproject.toml"
TABLE = ("tool", "qualia-lab")

_MOST_BYTES = 1_000_000
_MOST_SHOWN = 200
_CHECK = "Check what --config names."
_GO_WITHOUT = "Correct it, or add --no-config to read no configuration file."

_PART = r"""(?:[A-Za-z0-9_-]++|"(?:\\.|[^"\\\n])*+"|'[^'\n]*+')"""
_STATEMENT = re.compile(
    rf"[ \t]*(?:\[\[?[ \t]*)?(?P<key>{_PART}(?:[ \t]*\.[ \t]*{_PART})*)[ \t]*(?P<end>[\]=])"
)
_TOKEN = re.compile(
    r'''"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?'{3,5}|"(?:\\.|[^"\\\n])*"|'[^'\n]*'|#[^\n]*|[\n\[\]{}]|[^"'#\n\[\]{}]+''',
    re.DOTALL,
)
# The time that tomllib takes for a dotted key grows with the square of its parts.
_TOO_MANY_PARTS = re.compile(
    r"""(?<![A-Za-z0-9_-])(?:(?:[A-Za-z0-9_-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){100}"""
)
_TOO_MANY_DIGITS = re.compile(r"\d[\d_]{4000}")


@dataclass(frozen=True, kw_only=True)
class ConfigFile:
    """A configuration file that was read.

    Attributes:
        shown: its path as messages show it.
        folder: where its relative paths begin.
        table: its keys and values, as TOML has them.
        text: all of it.
        at: the table of ``text`` in which the keys stand.
        hint: what to do when something in it is wrong.
    """

    shown: str
    folder: Path
    hint: str
    table: Mapping[str, Any] = field(repr=False)
    text: str = field(repr=False)
    at: tuple[str, ...] = ()

    def place(self, *keys: str) -> str:
        """Where a key, or a key of a key, is given: ``qualia.toml line 3``."""
        path = (*self.at, *keys)
        # The statement that gives it or a part of it, else the one whose value holds it.
        inside = [line for given, line in self._statements if given[: len(path)] == path]
        around = [
            (len(given), line) for given, line in self._statements if path[: len(given)] == given
        ]
        line = inside[0] if inside else max(around, default=(0, 0))[1]
        return f"{self.shown} line {line}" if line else self.shown

    @cached_property
    def _statements(self) -> list[tuple[tuple[str, ...], int]]:
        return list(_statements(self.text))


def find(cwd: Path) -> ConfigFile | None:
    """The project's file: in the nearest folder, from ``cwd`` upwards, that has one.

    Its folder is given relative to ``cwd``: ``.``, ``..``, ``../..``.

    Raises:
        UsageError: it can't be read, or is not TOML.
    """
    cwd = cwd.resolve()
    for up, folder in enumerate((cwd, *cwd.parents)):
        relative = Path(*[".."] * up)
        if is_file(folder / NAME):
            return _read(folder / NAME, relative, (relative / NAME).as_posix())
        if is_file(folder / PYPROJECT):
            found = _of_pyproject(folder / PYPROJECT, relative)
            if found:
                return found
    return None


def named(path: Path) -> ConfigFile:
    """The file that a person named.

    Raises:
        UsageError: there is none, it can't be read, is not TOML, or is a ``pyproject.toml``
            without our table.
    """
    try:
        is_folder = path.is_dir()
    except (OSError, ValueError):
        is_folder = False
    shown = visible(str(path), _MOST_SHOWN)
    if is_folder:
        raise UsageError(f"--config wants a file, and {shown} is a folder")
    found = _read(path, path.parent, shown, hint=_CHECK)
    if path.name != PYPROJECT:
        return found
    inner = _inner(found)
    if inner is None:
        raise UsageError(f"{shown} has no table [{'.'.join(TABLE)}]", hint=_CHECK)
    return inner


def of_person(environ: Mapping[str, str], *, windows: bool = os.name == "nt") -> ConfigFile | None:
    """The person's own file, where there is one.

    Raises:
        UsageError: it can't be read, or is not TOML.
    """
    house = home(environ)
    given = environ.get("APPDATA" if windows else "XDG_CONFIG_HOME", "")
    # A relative one is no setting of this person's: whoever made the current folder would fill it.
    if given and Path(given).is_absolute():
        base = Path(given)
    elif windows or house is None:
        return None
    else:
        base = house / ".config"
    path = base / "qualia-lab" / "config.toml"
    if not is_file(path):
        return None
    shown = str(path)
    if house is not None and path.is_relative_to(house):
        shown = f"~/{path.relative_to(house).as_posix()}"
    return _read(path, path.parent, visible(shown, _MOST_SHOWN))


def home(environ: Mapping[str, str]) -> Path | None:
    """The person's home folder; None where it can't be determined."""
    given = environ.get("USERPROFILE" if os.name == "nt" else "HOME")
    try:
        found = Path(given) if given else Path.home()
    except RuntimeError:
        return None
    return found if found.is_absolute() else None


def is_file(path: Path) -> bool:
    """Whether there is such a file; one that may not be looked at is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _of_pyproject(path: Path, folder: Path) -> ConfigFile | None:
    """The table of a ``pyproject.toml``; one that does not speak of us need not even be TOML."""
    try:
        data = _bytes(path)
    except OSError:
        return None
    if TABLE[-1].encode() not in data:
        return None
    return _inner(_parsed(data, folder, (folder / PYPROJECT).as_posix(), _GO_WITHOUT))


def _inner(file: ConfigFile) -> ConfigFile | None:
    table: Any = file.table
    for name in TABLE:
        if not isinstance(table, dict) or name not in table:
            return None
        table = table[name]
    if not isinstance(table, dict):
        place = replace(file, table={}, at=TABLE).place()
        raise UsageError(f"{'.'.join(TABLE)} wants a table: {place}", hint=file.hint)
    return replace(file, table=table, at=TABLE)


def _read(path: Path, folder: Path, shown: str, hint: str = _GO_WITHOUT) -> ConfigFile:
    try:
        data = _bytes(path)
    except FileNotFoundError:
        raise UsageError(f"there is no file {shown}", hint=hint) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{shown} can't be read: {why}", hint=hint) from None
    return _parsed(data, folder, shown, hint)


def _bytes(path: Path) -> bytes:
    """What the file holds, or as much of it as shows that it is too large."""
    with path.open("rb") as stream:
        return stream.read(_MOST_BYTES + 1)


def _parsed(data: bytes, folder: Path, shown: str, hint: str) -> ConfigFile:
    def wrong(line: int | None, what: str) -> UsageError:
        where = f"{shown} line {line}" if line else shown
        return UsageError(f"{where} {what}", hint=hint)

    if len(data) > _MOST_BYTES:
        raise wrong(None, f"is larger than {_MOST_BYTES // 1_000_000} MB")
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise wrong(data.count(b"\n", 0, error.start) + 1, "is not UTF-8") from None
    if many := _TOO_MANY_PARTS.search(text):
        raise wrong(_line(text, many.start()), "has a key of more than 100 parts")
    try:
        table = tomllib.loads(text)
    except RecursionError:
        raise wrong(None, "is nested too deeply") from None
    except tomllib.TOMLDecodeError as error:
        why, _, at = str(error).rpartition(" (at ")
        found = re.match(r"line (\d+)", at)
        line = int(found[1]) if found else _line(text, len(text.rstrip("\n")))
        raise wrong(line, f"is not valid TOML: {visible(why or at, _MOST_SHOWN)}") from None
    except ValueError:
        # Python refuses to read integers of thousands of digits, and does not say where.
        digits = _TOO_MANY_DIGITS.search(text)
        where = _line(text, digits.start()) if digits else None
        raise wrong(where, "has a number that is too long") from None
    return ConfigFile(shown=shown, folder=folder, table=table, text=text, hint=hint)


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _statements(text: str) -> Iterator[tuple[tuple[str, ...], int]]:
    """The whole path of each key and table header of a valid TOML text, with its line.

    Keys inside inline tables are not among them.
    """
    table: tuple[str, ...] = ()
    position, line = 0, 1
    while position < len(text):
        found = _STATEMENT.match(text, position)
        if found:
            keys = _split(found["key"])
            is_header = found["end"] == "]"
            table = keys if is_header else table
            yield keys if is_header else (*table, *keys), line
            position = found.end()
        end = _end_of_statement(text, position)
        line += text.count("\n", position, end)
        position = end


def _end_of_statement(text: str, position: int) -> int:
    """Behind the line break that ends a statement: one outside of strings and brackets."""
    depth = 0
    for token in _TOKEN.finditer(text, position):
        if token[0] in "[{":
            depth += 1
        elif token[0] in "]}":
            depth -= 1
        elif token[0] == "\n" and depth <= 0:
            return token.end()
    return len(text)


def _split(key: str) -> tuple[str, ...]:
    if '"' not in key and "'" not in key:
        return tuple(part.strip() for part in key.split("."))
    parts: list[str] = []
    found: Any = tomllib.loads(f"{key} = 0")
    while isinstance(found, dict):
        ((part, found),) = found.items()
        parts.append(part)
    return tuple(parts)
