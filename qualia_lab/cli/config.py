"""Configuration: what may be set once instead of by a flag each time, and ``qualia-lab config``.

A value comes from a flag, else from a variable ``QUALIA_*``, else from the project's file, else
from the person's own file, else it is the default.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from qualia_lab import secrets
from qualia_lab.cli import config_files, console
from qualia_lab.cli.config_files import ConfigFile
from qualia_lab.cli.config_keys import BY_NAME, KEYS, UnfitError, plain
from qualia_lab.errors import UsageError, known_list
from qualia_lab.text import visible, whole

EPILOG = """Examples:

\b
qualia-lab config
qualia-lab config --config other/qualia.toml
QUALIA_KIND=observation qualia-lab config --no-config --json
"""

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Read this file, not the project's."),
]
NoConfigOption = Annotated[
    bool, typer.Option("--no-config", help="Read no configuration file; QUALIA_* still counts.")
]

LayerName = Literal["environment", "project", "user", "default"]

_WIDEST = 60
_MOST_SHOWN = 200
_MLFLOW_URI = "MLFLOW_TRACKING_URI"
_CREDENTIALS = (
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_AUTH",
)
_LOGIN = re.compile(r"(:/+)[^/@\s]*:\S*@")
_DATABASE_CREDENTIALS = ("PGPASSWORD", "MYSQL_PWD")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What one source sets, by the name of the key.

    Attributes:
        spelt: the keys as the file spells them, by their names.
        file: None for the environment.
    """

    name: LayerName
    values: Mapping[str, Any] = field(repr=False)
    spelt: Mapping[str, str] = field(default_factory=dict)
    file: ConfigFile | None = None

    def origin(self, name: str, part: str = "") -> str:
        """Where it sets a key, or a name inside of a key."""
        if self.file is None:
            return BY_NAME[name].variable
        return self.file.place(self.spelt[name], *([part] if part else []))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the listing: ``value`` is what JSON can hold, without secrets; None is not set."""

    name: str
    value: Any
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is configured, the strongest layer first."""

    layers: tuple[Layer, ...]
    environ: Mapping[str, str] = field(repr=False)

    @property
    def files(self) -> tuple[str, ...]:
        """The files that were read, the project's before the person's."""
        return tuple(layer.file.shown for layer in self.layers if layer.file)

    def value(self, name: str, flag: Any = None) -> Any:
        """The flag, when there is one, else what is configured, else the default.

        None is no flag, and so is an empty list: a flag that may be repeated and was not given.
        Paths are relative to the current folder. Of ``param``, each name is looked up by itself,
        so that one answer can be set over the others; its flag is a mapping too.
        """
        if name == "param":
            layers = [layer.values.get(name, {}) for layer in reversed(self.layers)]
            return {key: one for each in (*layers, flag or {}) for key, one in each.items()}
        if flag not in (None, [], ()):
            return flag
        layer = self._layer(name)
        return layer.values[name] if layer else BY_NAME[name].default

    def params(self, flags: Sequence[str] = ()) -> tuple[str, ...]:
        """The answers as ``--param`` takes them, the flags last, so that they win."""
        answers = self.value("param").items()
        return (*(f"{name}={plain(value)}" for name, value in answers), *flags)

    def layer(self, name: str, part: str = "") -> LayerName:
        """Which layer sets a key, or a name inside of ``param``; ``--config`` is a project's."""
        layer = self._layer(name, part)
        return layer.name if layer else "default"

    def origin(self, name: str, part: str = "") -> str:
        """Where a key, or a name inside of ``param``, is set: ``qualia.toml line 3``."""
        layer = self._layer(name, part)
        if layer:
            return layer.origin(name, part)
        is_mlflows = name == "tracking_uri" and self.environ.get(_MLFLOW_URI)
        return _MLFLOW_URI if is_mlflows else "default"

    def rows(self) -> list[Row]:
        """Each key with what holds and where it comes from; each answer has a row of its own."""
        found = []
        for key in KEYS:
            value = self.value(key.name)
            if key.name == "tracking_uri":
                # Seen first, so that its password is known when the others are shown.
                value = _without_password(value or self.environ.get(_MLFLOW_URI, "")) or None
            if key.name != "param" or not value:
                found.append(Row(name=key.name, value=_json(value), origin=self.origin(key.name)))
                continue
            for part, one in value.items():
                origin = self.origin(key.name, part)
                found.append(Row(name=f"{key.name}.{part}", value=_json(one), origin=origin))
        return found

    def doubt(self, flag: str | None = None) -> str:
        """Why the store in force should not be asked without a yes; empty when it may be.

        The credentials of the environment go only to a server that the person named. A project's
        file, ``--config`` included, may have been written by anybody.

        Args:
            flag: of ``--tracking-uri``.
        """
        if flag is not None or self.layer("tracking_uri") != "project":
            return ""
        from qualia_lab.tracking import uris

        uri = self.value("tracking_uri")
        try:
            where = uris.store_type(uri)
        except ValueError:
            where = "other"
        own = [self.environ.get(_MLFLOW_URI, "")]
        own += [
            layer.values.get("tracking_uri", "") for layer in self.layers if layer.name == "user"
        ]
        # As a whole and without a login: what one parser takes for the host, another may not.
        if where in ("sqlite", "file") or uri in [_without_password(one) for one in own if one]:
            return ""
        held = self._credentials(is_database=where == "database")
        if not held:
            return ""
        return (
            f"{self.origin('tracking_uri')} names the server {_without_password(uri)}, which would "
            f"get the credentials of this environment ({', '.join(held)})"
        )

    def require_trust(self, trust: bool, flag: str | None = None) -> None:
        """Raise when there is a ``doubt`` and the person has not said that it is no matter.

        Raises:
            UsageError: it names the file, the server and the credentials.
        """
        if not trust and (doubt := self.doubt(flag)):
            hint = "Add --trust if you trust this server, or name it yourself: --tracking-uri URI"
            raise UsageError(doubt, hint=hint)

    def _layer(self, name: str, part: str = "") -> Layer | None:
        for layer in self.layers:
            if name in layer.values and (not part or part in layer.values[name]):
                return layer
        return None

    def _credentials(self, *, is_database: bool) -> list[str]:
        names = (*_CREDENTIALS, *(_DATABASE_CREDENTIALS if is_database else ()))
        held = [name for name in names if self.environ.get(name)]
        uri = self.environ.get(_MLFLOW_URI, "")
        held += [_MLFLOW_URI] if uri and _without_password(uri) != uri else []
        house = config_files.home(self.environ)
        if house and config_files.is_file(house / ".mlflow" / "credentials"):
            held.append("~/.mlflow/credentials")
        return held


def load(
    *,
    config: Path | None = None,
    no_config: bool = False,
    cwd: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """Read what is configured.

    Args:
        config: the file of ``--config``, instead of the project's.
        no_config: read no file; variables still count.
        cwd: where to look for the project's file, from there upwards.
        environ: where the variables and the home folder are.

    Raises:
        UsageError: a file or a variable makes no sense; it says which, and the line.
    """
    if config is not None and no_config:
        raise UsageError("--config and --no-config contradict each other")
    # A copy: that a URI is let in changes the environment, and must not make it a trusted one.
    environ = dict(environ)
    layers = [_of_environment(environ)]
    if not no_config:
        project = config_files.named(config) if config is not None else _found(cwd)
        person = config_files.of_person(environ)
        home = config_files.home(environ)
        layers += [_of_file("project", project, home)] if project else []
        layers += [_of_file("user", person, home)] if person else []
    return Settings(layers=tuple(layers), environ=environ)


def config(
    file: ConfigOption = None,
    no_config: NoConfigOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what is configured, and where each value comes from."""
    settings = load(config=file, no_config=no_config)
    out = console.Console(as_json=as_json)
    out.say(f"Read {' and '.join(settings.files) or 'no configuration file'}.")
    rows = settings.rows()
    values = {row.name: {"value": row.value, "origin": row.origin} for row in rows}
    out.result(_listing(rows), {"files": list(settings.files), "values": values})


def _found(cwd: Path | None) -> ConfigFile | None:
    try:
        return config_files.find(cwd or Path.cwd())
    except FileNotFoundError:  # the current folder is gone
        return None


def _of_environment(environ: Mapping[str, str]) -> Layer:
    values = {}
    home = config_files.home(environ)
    for key in KEYS:
        text = environ.get(key.variable, "")
        if not text.strip():
            continue
        try:
            values[key.name] = key.type.place(key.type.of_text(text), Path(), home)
        except UnfitError as error:
            raise UsageError(
                f"{key.variable} {error}", hint=f"Correct it, or unset {key.variable}."
            ) from None
    return Layer(name="environment", values=values)


def _of_file(name: LayerName, file: ConfigFile, home: Path | None) -> Layer:
    values: dict[str, Any] = {}
    spelt: dict[str, str] = {}
    for given, raw in file.table.items():
        key = BY_NAME.get(given.replace("-", "_"))
        if key is None:
            raise UsageError(
                f"unknown key {visible(given, 60)}: {file.place(given)}",
                hint=_hint_on_unknown(given, file),
            )
        if key.name in values:
            raise UsageError(
                f"{key.name} is given twice, as {spelt[key.name]} and as {given}: "
                f"{file.place(given)}",
                hint=file.hint,
            )
        spelt[key.name] = given
        try:
            values[key.name] = key.type.place(key.type.of_toml(raw), file.folder, home)
        except UnfitError as error:
            place = file.place(given, *([error.part] if error.part else []))
            shown = f"{key.name}.{visible(error.part, 60)}" if error.part else key.name
            raise UsageError(f"{shown} {error}: {place}", hint=file.hint) from None
    return Layer(name=name, values=values, spelt=spelt, file=file)


def _hint_on_unknown(given: str, file: ConfigFile) -> str:
    if given == config_files.TABLE[0] and not file.at:
        return f"In a file of our own, the keys stand without [{'.'.join(config_files.TABLE)}]."
    return known_list(given, BY_NAME)


def _without_password(uri: str) -> str:
    """The URI as it may be shown; every secret that is taken out is remembered."""
    if not uri:
        return ""
    from qualia_lab.tracking import uris

    try:
        bare = uris.without_password(uri)
        logins = int(uris.store_type(uri) == "database")
    except ValueError:
        bare, logins = uri, 0
    # What can't be parsed has its password somewhere before the last "@".
    return bare if bare.count("@") <= logins else re.sub(r"(?s)://.*@", "://***@", bare)


def _json(value: Any) -> Any:
    """The value as JSON can hold it, without secrets."""
    if isinstance(value, Mapping | tuple):
        return [_json(one) for one in value] or None
    if isinstance(value, bool | int) or value is None:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    # A URI in the wrong place, or in a param, has its password too; a path has but one slash.
    return _LOGIN.sub(r"\1***@", secrets.scrub(whole(str(value))))


def _listing(rows: Sequence[Row]) -> str:
    """A line a key: name, value, where it comes from."""
    cells = [(visible(row.name, _WIDEST), _shown(row), row.origin) for row in rows]
    widths = [min(max(len(line[place]) for line in cells), _WIDEST) for place in (0, 1)]
    return "\n".join(
        f"{name:<{widths[0]}}  {value:<{widths[1]}}  {origin}" for name, value, origin in cells
    )


def _shown(row: Row) -> str:
    if row.value is None:
        return f"({BY_NAME[row.name].unset})"
    given = row.value if isinstance(row.value, list) else [row.value]
    return ", ".join(visible(plain(one), _MOST_SHOWN) for one in given)
