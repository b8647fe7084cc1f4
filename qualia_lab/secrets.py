"""The secrets of this process, and the gate that keeps them out of everything that is written.

A password leaves its URI at the door (``tracking/uris.py``) and lives on in the environment only.
Whatever is about to be shown or written passes ``scrub`` or ``refuse`` here.
"""

from __future__ import annotations

import base64
import html
import json
import os
import re
from urllib.parse import quote, quote_plus

from qualia_lab.errors import QualiaError
from qualia_lab.text import markdown, visible

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


def _pattern() -> re.Pattern[str] | None:
    values = {os.environ.get(name, "").strip() for name in _SECRET_VARIABLES} | _known
    if password := os.environ.get("MLFLOW_TRACKING_PASSWORD"):
        # In a header of HTTP the two are encoded together.
        values.add(f"{os.environ.get('MLFLOW_TRACKING_USERNAME', '')}:{password}")
    spellings = {s for value in values if len(value) >= _SHORTEST for s in _spellings(value)}
    if not spellings:
        return None
    longest_first = sorted(spellings, key=lambda spelling: (-len(spelling), spelling))
    return re.compile("|".join(_as_regex(spelling) for spelling in longest_first))


def _spellings(value: str) -> set[str]:
    """The value as it may stand in a message, a URI, a header, a page, a cell, a JSON file."""
    raw = value.encode("utf-8", "surrogateescape")
    padded = base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()
    plain = {value, visible(value), repr(value)[1:-1]}
    plain |= {quote(raw, safe=""), quote(raw), quote_plus(raw)}
    plain |= {*padded, *(encoded.rstrip("=") for encoded in padded)}
    plain |= {html.escape(value), html.escape(value, quote=False), markdown(value)}
    in_json = {json.dumps(one)[1:-1] for one in plain}
    return plain | in_json | {json.dumps(one, ensure_ascii=False)[1:-1] for one in plain}


def _as_regex(spelling: str) -> str:
    escaped = re.escape(spelling)
    return escaped if len(spelling) >= _ANYWHERE else rf"(?<!\w){escaped}(?!\w)"
