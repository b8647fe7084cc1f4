"""What can be configured: the keys, and the types of their values in TOML and in variables.

``KEYS`` is the one place that names them; reading, the listing and the docs all go by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from qualia_lab.errors import UsageError
from qualia_lab.model import Answer
from qualia_lab.text import parse_number, visible

# As the flag has it: far larger ones overflow the clocks of the system.
_LEAST_SECONDS, _MOST_SECONDS = 0.1, 86_400
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


class UnfitError(ValueError):
    """What is wrong with a value, in words that follow its key; ``part`` is a name inside it."""

    def __init__(self, words: str, part: str = "") -> None:
        super().__init__(words)
        self.part = part


@dataclass(frozen=True, slots=True, kw_only=True)
class Type:
    """A type of values.

    Attributes:
        wants: in words, for messages and for the docs.
        from_toml: the value that a TOML value stands for; None when it is of another type.
        from_text: the value that a variable's text stands for; None as above.
        place: gives a value that names a place its whole path: of the value, the folder where
            relative paths begin, and the home folder.
    """

    wants: str
    from_toml: Callable[[Any], Any]
    from_text: Callable[[str], Any]
    place: Callable[[Any, Path, Path | None], Any] = lambda value, folder, home: value

    def of_toml(self, raw: Any) -> Any:
        """The value that a TOML value stands for.

        Raises:
            UnfitError: it is of another type, or empty.
        """
        value = self.from_toml(raw)
        if value is None:
            raise UnfitError(f"wants {self.wants}, not {_described(raw)}")
        for text in [raw] if isinstance(raw, str) else raw if isinstance(raw, list) else []:
            if not text.strip():
                raise UnfitError("is empty" if text is raw else "has an empty string in it")
        return _without_nul(value)

    def of_text(self, text: str) -> Any:
        """The value that a variable's text stands for; raises as ``of_toml``."""
        value = self.from_text(text)
        if value is None:
            raise UnfitError(f"wants {self.wants}, not {visible(text, 60)}")
        return _without_nul(value)


def _without_nul(value: Any) -> Any:
    # No path, name or address has one, and the system's functions stumble over it.
    for part, text in _texts(value):
        if "\0" in text:
            raise UnfitError("has a NUL character in it", part)
    return value


def _texts(value: Any) -> Iterator[tuple[str, str]]:
    """Each text in a value, with the name inside of it that it belongs to."""
    if isinstance(value, dict):
        for part, one in value.items():
            yield part, part
            yield part, str(one)
    else:
        for one in value if isinstance(value, tuple) else (value,):
            yield "", str(one)


_KINDS = {int: "a number that is too large", str: "a string", list: "a list", dict: "a table"}


def _described(raw: Any) -> str:
    """What a TOML value is, without saying what a string holds: it may be a password."""
    if isinstance(raw, bool):
        return str(raw).lower()
    # Python does not even print integers of thousands of digits.
    if isinstance(raw, float) or (isinstance(raw, int) and abs(raw) < 2**63):
        return str(raw)
    kind = _KINDS.get(type(raw), "a date or time")
    odd = [one for one in raw if not isinstance(one, str)] if isinstance(raw, list) else []
    return f"{kind} with something else in it" if odd else kind


def _string(raw: Any) -> str | None:
    return raw if isinstance(raw, str) else None


def _strings(raw: Any) -> tuple[str, ...] | None:
    given = raw if isinstance(raw, list) else [raw]
    return tuple(given) if all(isinstance(one, str) for one in given) else None


def _flag(raw: Any) -> bool | None:
    return raw if isinstance(raw, bool) else None


def _flag_of_text(text: str) -> bool | None:
    word = text.strip().lower()
    return word in _TRUE if word in (*_TRUE, *_FALSE) else None


def _seconds(raw: Any) -> int | float | None:
    is_number = isinstance(raw, int | float) and not isinstance(raw, bool)
    return raw if is_number and _LEAST_SECONDS <= raw <= _MOST_SECONDS else None


def _answers(raw: Any) -> dict[str, Answer] | None:
    if not isinstance(raw, dict):
        return None
    for name, value in raw.items():
        if not name or "=" in name or "\n" in name:
            raise UnfitError("is no name of a param", name)
        # TOML's own integers have 64 bits; longer ones can't even be printed.
        is_integer = isinstance(value, int) and -(2**63) <= value < 2**63
        if not (is_integer or isinstance(value, str | float)):
            wants = "a string, a number, true or false"
            raise UnfitError(f"wants {wants}, not {_described(value)}", name)
    return dict(raw)


def _answers_of_text(text: str) -> dict[str, Answer]:
    pairs = [line.partition("=") for line in _lines(text)]
    if not all(name and equals for name, equals, _ in pairs):
        raise UnfitError(f"wants NAME=VALUE, one a line, not {visible(text, 60)}")
    return {name: value for name, _, value in pairs}


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]


def _place_path(path: str, folder: Path, home: Path | None) -> Path:
    first, *rest = Path(path).parts or ("",)
    if first != "~":
        return folder / path
    if home is None:
        raise UnfitError("begins with ~, and no home folder is known")
    return home.joinpath(*rest)


def _place_store(uri: str, folder: Path, home: Path | None) -> str:
    """A local store that is given relative to its file, relative to the current folder."""
    start, _, rest = uri.partition("://")
    if folder == Path() or (rest and not start.lower().startswith("sqlite")):
        return uri
    from qualia_lab.tracking import uris

    try:
        where, path = uris.store_type(uri), Path(uri)
        path = uris.sqlite_path(uri) if where == "sqlite" else path
    except (ValueError, UsageError):
        return uri  # as wrong as it is, it is told where it is used
    is_relative = not path.is_absolute() and not PureWindowsPath(str(path)).is_absolute()
    if where not in ("sqlite", "file") or not is_relative:
        return uri
    if where == "file":
        return uri if uri.lower().startswith("file:") else (folder / path).as_posix()
    plain, options = (folder / path).as_posix(), uri.partition("?")[1:]
    # Whether a percent sign in a path needs an escape depends on the version of SQLAlchemy.
    spelt = [f"{start}:///{one}" for one in (plain, quote(plain))]
    right = [one for one in spelt if uris.sqlite_path(one) == folder / path]
    return "".join(((right or spelt)[0], *options))


STRING = Type(wants="a string", from_toml=_string, from_text=_string)
STRINGS = Type(
    wants="a string or a list of strings",
    from_toml=_strings,
    from_text=lambda text: tuple(_lines(text)),
)
PATH = Type(wants="a path", from_toml=_string, from_text=_string, place=_place_path)
STORE = Type(wants="a URI", from_toml=_string, from_text=_string, place=_place_store)
FLAG = Type(wants="true or false", from_toml=_flag, from_text=_flag_of_text)
SECONDS = Type(
    wants=f"a number of seconds from {_LEAST_SECONDS} to {_MOST_SECONDS:,}",
    from_toml=_seconds,
    from_text=lambda text: _seconds(parse_number(text.strip())),
)
ANSWERS = Type(wants="a table of NAME = VALUE", from_toml=_answers, from_text=_answers_of_text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One thing that can be configured.

    Attributes:
        name: as in TOML; a dash for an underscore is taken too.
        unset: what holds when the default is nothing, in words.
    """

    name: str
    type: Type
    help: str
    default: Any = None
    unset: str = ""

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"QUALIA_{self.name.upper()}"


KEYS: tuple[Key, ...] = (
    Key(
        name="tracking_uri",
        type=STORE,
        help="The MLflow store to read.",
        unset="MLFLOW_TRACKING_URI, then MLflow's own default",
    ),
    Key(
        name="experiment",
        type=STRINGS,
        help="Experiments to choose runs from, by name or id.",
        default=(),
        unset="all",
    ),
    Key(name="kind", type=STRING, help="The kind of notebook.", default="observation"),
    Key(
        name="output_folder",
        type=PATH,
        help="Where notebooks are written.",
        default=Path("notebooks"),
    ),
    Key(
        name="templates",
        type=PATH,
        help="A folder of your own kinds and sections.",
        unset="those of qualia-lab",
    ),
    Key(
        name="execute",
        type=FLAG,
        help="Run the notebook once it is written.",
        default=False,
    ),
    Key(
        name="export",
        type=STRINGS,
        help="Formats to execute and export the notebook to: html, pdf, markdown.",
        default=(),
        unset="none",
    ),
    Key(
        name="timeout",
        type=SECONDS,
        help="How long to wait for one answer of a server.",
        unset="30",
    ),
    Key(name="quiet", type=FLAG, help="Print the result only.", default=False),
    Key(
        name="open",
        type=FLAG,
        help="Open the notebook once it is written.",
        default=False,
    ),
    Key(
        name="param",
        type=ANSWERS,
        help="Answers to the questions of the kind, by name.",
        default=MappingProxyType({}),
        unset="none",
    ),
)
BY_NAME = {key.name: key for key in KEYS}


def table() -> str:
    """The keys as a table in Markdown, for the docs."""
    rows = [("key", "variable", "wants", "default", "meaning"), ("---",) * 5]
    for key in KEYS:
        default = key.unset or f"`{plain(key.default)}`"
        rows.append((f"`{key.name}`", f"`{key.variable}`", key.type.wants, default, key.help))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def plain(value: Any) -> str:
    """A value as a person would write it on a command line."""
    return str(value).lower() if isinstance(value, bool) else str(value)
