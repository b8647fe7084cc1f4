"""The secrets of this process, and the gate that keeps them out of everything that is written.

A password leaves its URI at the door (``tracking/uris.py``) and lives on in the environment only.
Whatever is about to be shown or written passes ``scrub`` or ``refuse`` here.
"""

from __future__ import annotations

import base64
import configparser
import html
import json
import os
import re
from functools import cache
from pathlib import Path
from urllib.parse import quote, quote_plus

from qualia_lab.errors import QualiaError
from qualia_lab.text import markdown, slug, visible

MASK = "***"

_SECRET_VARIABLES = (
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "DATABRICKS_TOKEN",
    "DATABRICKS_CLIENT_SECRET",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_CONNECTION_STRING",
    "AZURE_STORAGE_ACCESS_KEY",
    "PGPASSWORD",
    "MYSQL_PWD",
)
# Other variables are secrets by their name, where the value is as long as keys and tokens are.
_SECRET_NAME = re.compile(
    r"(?:^|_)(?:API_?KEY|ACCESS_KEY|SECRET_KEY|PRIVATE_KEY|TOKEN|PAT|PASSWORD|PASSWD|SECRET)$",
    re.IGNORECASE,
)
_TOKEN_CHARACTERS = 16
# A login in a URL, and what makes a URL a key of its own. A password of a database's URL may hold
# signs that end the login of any other. Every length has a bound: whoever logs a text must not
# choose how long it is looked at.
_LOGIN = re.compile(
    r"(?P<database>(?:postgres|mysql|mariadb|mssql|oracle|mongodb|redis|amqp)[\w+.-]{0,20}://)"
    r"[^\s:@/\"'<>]{0,200}:[^\s@\"'<>]{1,500}@"
    r"|(?P<other>\b[a-z][\w+.-]{0,20}://)"
    r"(?:[^\s:@/?#\"'<>]{0,200}:[^\s@/?#\"'<>]{1,500}|[^\s:@/?#\"'<>]{20,500})@",
    re.IGNORECASE,
)
_SIGNED = re.compile(
    r"(?P<key>[?&;](?:x-amz-(?:signature|credential|security-token)|x-goog-(?:signature|credential)"
    r"|signature|sig|awsaccesskeyid"
    r"|[\w.-]{0,40}(?:passw|pwd|secret|token|credential|api_?key)[\w.-]{0,40})=)[^&;#\s\"'<>]+",
    re.IGNORECASE,
)
# Shorter than this it is an ordinary string of letters, found everywhere.
_SHORTEST = 4
# Shorter than this it counts only as a word of its own: "demo" is not in "demonstrator".
_ANYWHERE = 8

_known: set[str] = set()


def remember(secret: str) -> None:
    """Count ``secret`` among the values that must never be written."""
    _known.add(secret)


def scrub(text: str) -> str:
    """``text`` with every known secret, in every spelling, replaced by ``***``."""
    pattern = _pattern()
    return pattern.sub(MASK, text) if pattern else text


def refuse(text: str, what: str) -> None:
    """Raise when ``text``, about to be written as ``what``, holds a known secret."""
    pattern = _pattern()
    if pattern and pattern.search(text):
        raise QualiaError(
            f"{what} would hold a password or token of this environment; nothing was written",
            hint="A run's name, param or tag, or a flag, repeats the secret: remove it there.",
        )


def without_logins(text: str) -> str:
    """``text`` with the logins and signatures in the URLs that it holds replaced by ``***``.

    For what a store brings: a git remote with a token in it, a presigned address, the URI of a
    database. They are nobody's whom this process knows, and are secrets all the same.
    """
    if "://" not in text:
        return text
    bare = _LOGIN.sub(lambda found: f"{found['database'] or found['other']}{MASK}@", text)
    return _SIGNED.sub(lambda found: found["key"] + MASK, bare)


def _pattern() -> re.Pattern[str] | None:
    values = {os.environ.get(name, "").strip() for name in _SECRET_VARIABLES} | _known
    values |= {
        value.strip()
        for name, value in os.environ.items()
        if _SECRET_NAME.search(name) and _is_token(value.strip())
    }
    values |= set(_of_credentials_file())
    if password := os.environ.get("MLFLOW_TRACKING_PASSWORD"):
        # In a header of HTTP the two are encoded together.
        values.add(f"{os.environ.get('MLFLOW_TRACKING_USERNAME', '')}:{password}")
    spellings = {s for value in values if len(value) >= _SHORTEST for s in _spellings(value)}
    if not spellings:
        return None
    longest_first = sorted(spellings, key=lambda spelling: (-len(spelling), spelling))
    return re.compile("|".join(_as_regex(spelling) for spelling in longest_first))


def _is_token(value: str) -> bool:
    """Whether it is as long as a token, and no path or sentence."""
    is_path = value.startswith(("/", "./", "~", "\\"))
    return len(value) >= _TOKEN_CHARACTERS and not is_path and not re.search(r"\s", value)


def credentials_file() -> dict[str, str]:
    """What MLflow's own file says, ``~/.mlflow/credentials``: names as of its variables."""
    try:
        path = Path.home() / ".mlflow" / "credentials"
        return dict(_read(str(path), path.stat().st_mtime_ns))
    except (OSError, RuntimeError):  # no such file; no home
        return {}


@cache
def _read(path: str, changed: int) -> tuple[tuple[str, str], ...]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(path)
    return tuple(parser.items("mlflow")) if parser.has_section("mlflow") else ()


def _of_credentials_file() -> set[str]:
    try:
        found = credentials_file()
    except (configparser.Error, UnicodeError):  # whoever logs in says so
        return set()
    password = found.get("mlflow_tracking_password", "")
    user = os.environ.get("MLFLOW_TRACKING_USERNAME") or found.get("mlflow_tracking_username", "")
    return {password, f"{user}:{password}"} if password else set()


def _spellings(value: str) -> set[str]:
    """The value as it may stand in a message, a URI, a header, a page, a cell, a JSON file."""
    raw = value.encode("utf-8", "surrogateescape")
    padded = base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()
    plain = {value, visible(value), repr(value)[1:-1]}
    plain |= {quote(raw, safe=""), quote(raw), quote_plus(raw)}
    plain |= {*padded, *(encoded.rstrip("=") for encoded in padded)}
    plain |= {html.escape(value), html.escape(value, quote=False), markdown(value)}
    # A title that repeats it names the file.
    plain |= {name for name in [slug(value, "")] if len(name) >= _ANYWHERE}
    in_json = {json.dumps(one)[1:-1] for one in plain}
    return plain | in_json | {json.dumps(one, ensure_ascii=False)[1:-1] for one in plain}


def _as_regex(spelling: str) -> str:
    escaped = re.escape(spelling)
    return escaped if len(spelling) >= _ANYWHERE else rf"(?<!\w){escaped}(?!\w)"
