"""A quick look whether a server is there at all, before MLflow is imported and waits for it."""

from __future__ import annotations

import os
import time
from typing import Any

from qualia_lab import secrets
from qualia_lab.errors import ServerError
from qualia_lab.text import visible
from qualia_lab.tracking import boundary

_CONNECT_SECONDS = 2.5
_MOST_BYTES = 200


def probe(uri: str) -> str:
    """The version of MLflow that an ``http(s)`` tracking server says it has.

    Args:
        uri: with its password, when it has one.

    Raises:
        ServerError: nobody answers, or what answers is no MLflow server.
        NotAllowedError: it wants credentials, or refuses the host name.
    """
    import requests

    from qualia_lab.tracking import session  # which probes before it asks anything
    from qualia_lab.tracking.uris import without_password

    where = without_password(uri)
    with (
        boundary.translate(where, "Connecting to"),
        requests.get(
            uri.rstrip("/") + "/version",
            timeout=(_CONNECT_SECONDS, boundary.read_seconds()),
            stream=True,  # a version is short; whatever else answers may never end
            auth=session.login(),
            headers=session.headers(),
            verify=session.verify(),
            cert=os.environ.get("MLFLOW_TRACKING_CLIENT_CERT_PATH"),
        ) as answer,
    ):
        body = _beginning(answer, boundary.read_seconds())
    # Scrubbed first: what is cut out of a secret is one too, and no longer known as such.
    shown = visible(secrets.scrub(body), 80)
    if answer.status_code in (401, 403):
        raise boundary.not_allowed(visible(where, 200), "Reading", f"{answer.status_code} {shown}")
    if answer.status_code == 404:
        raise ServerError(
            f"{visible(where, 200)} answers, but not as an MLflow server (404 for /version)",
            hint="Is the base path right? Servers older than MLflow 1.30 are not supported.",
        )
    if answer.status_code != 200 or not body[:1].isdigit():
        raise ServerError(
            f"{visible(where, 200)} is no MLflow server: it answered {answer.status_code} {shown}",
            hint="Check the address; a proxy or login page may stand in between.",
        )
    return shown


def _beginning(answer: Any, seconds: float) -> str:
    """What an answer begins with; byte by byte, since a timeout alone never ends a trickle."""
    deadline = time.monotonic() + seconds
    content = bytearray()
    for byte in answer.iter_content(1):
        content += byte
        if len(content) == _MOST_BYTES:
            break
        if time.monotonic() > deadline:
            raise TimeoutError(f"it did not finish a short answer within {seconds:g} s")
    return content.decode("utf-8", "replace").strip()
