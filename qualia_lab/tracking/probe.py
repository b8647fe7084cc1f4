"""A quick look whether a server is there at all, before MLflow is imported and waits for it."""

from __future__ import annotations

import os

from qualia_lab.errors import ServerError
from qualia_lab.text import visible
from qualia_lab.tracking import boundary, patience

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

    def once(left: patience.Left) -> tuple[int, bytes]:
        with requests.get(
            uri.rstrip("/") + "/version",
            timeout=left.timeouts(boundary.read_seconds()),
            stream=True,  # a version is short; whatever else answers may never end
            auth=session.login(),
            headers=session.headers(),
            verify=session.verify(),
            cert=os.environ.get("MLFLOW_TRACKING_CLIENT_CERT_PATH"),
        ) as answer:
            content = session.beginning(answer, _MOST_BYTES, left)
        if answer.status_code >= 500 or answer.status_code in (408, 429):
            raise patience.RefusedError(answer.status_code, content, answer.headers)
        return answer.status_code, content

    where = without_password(uri)
    with boundary.translate(where, "Connecting to"):
        status, content = patience.retried(once, boundary.read_seconds(), there=False)
    body = content.decode("utf-8", "replace").strip()
    shown = visible(patience.beginning(content, 80))
    if status in (401, 403):
        raise boundary.not_allowed(visible(where, 200), "Reading", f"{status} {shown}")
    if status == 404:
        raise ServerError(
            f"{visible(where, 200)} answers, but not as an MLflow server (404 for /version)",
            hint="Is the base path right? Servers older than MLflow 1.30 are not supported.",
        )
    if status != 200 or not body[:1].isdigit():
        raise ServerError(
            f"{visible(where, 200)} is no MLflow server: it answered {status} {shown}",
            hint="Check the address; a proxy or login page may stand in between.",
        )
    return shown
