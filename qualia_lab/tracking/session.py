"""Requests to one tracking server: MLflow's settings for access, a few retries, a deadline."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from qualia_lab import secrets
from qualia_lab.text import visible
from qualia_lab.tracking import boundary, patience, probe

_CONNECTIONS = 8
# No page of MLflow's comes near; an answer without end must not fill the memory in time.
_MOST_BYTES = 500_000_000


def cannot_serve() -> str:
    """Why requests to a server need MLflow's own client here, in words; empty when they don't."""
    if os.environ.get("MLFLOW_TRACKING_AUTH"):
        return "MLFLOW_TRACKING_AUTH names a plugin"
    if os.environ.get("MLFLOW_TRACKING_AWS_SIGV4", "").lower() in ("true", "1"):
        return "MLFLOW_TRACKING_AWS_SIGV4 is set"
    return ""


class Session:
    """A pooled session with one tracking server.

    Args:
        full_uri: with its password, when it has one.

    Its methods raise ``RefusedError``, ``ValueError`` for an answer that is none, and what requests
    raises; callers turn them into errors of this project (``boundary.translate``). Each answer has
    ``boundary.answer_seconds``, retries included.
    """

    def __init__(self, full_uri: str) -> None:
        self._full_uri = full_uri.rstrip("/")

    def post(self, path: str, body: Mapping[str, Any], *, fresh: bool = False) -> Mapping[str, Any]:
        """The JSON object that the server answers a JSON object with.

        A ``fresh`` connection may come to any worker of the server; a kept one stays with the
        worker that it came to, so that long requests at once can all queue at the same one.
        """
        about = {"headers": {"Connection": "close"}} if fresh else {}
        return self._ask("POST", path, json=dict(body), **about)

    def get(
        self, path: str, query: Sequence[tuple[str, str]], *, fresh: bool = False
    ) -> Mapping[str, Any]:
        """The JSON object that the server answers a query with; ``fresh`` as in ``post``."""
        about = {"headers": {"Connection": "close"}} if fresh else {}
        return self._ask("GET", path, params=list(query), **about)

    @property
    def is_mlflow_3(self) -> bool:
        """Whether the server said that it is MLflow 3 or later. Ask it for something first."""
        major = re.match(r"\d{1,9}", self._version)
        return major is not None and int(major[0]) >= 3

    @cached_property
    def _session(self) -> Any:
        import requests
        from requests.adapters import HTTPAdapter

        # Before 3, MLflow has neither logged models nor the traces of today.
        self._version = probe.probe(self._full_uri)
        session = requests.Session()
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(pool_maxsize=_CONNECTIONS))
        session.auth = login()
        session.headers.update(headers())
        session.verify = verify()
        session.cert = os.environ.get("MLFLOW_TRACKING_CLIENT_CERT_PATH")
        return session

    def content(self, path: str, most_bytes: int) -> bytes:
        """The bytes that the server answers with; past ``most_bytes`` a ``ValueError``."""
        return self._bytes("GET", path, most_bytes)

    def _ask(self, method: str, path: str, **request: Any) -> Mapping[str, Any]:
        content = self._bytes(method, path, _MOST_BYTES, **request)
        try:
            found = json.loads(content)
        except (ValueError, RecursionError) as error:  # nested past what Python follows
            shown = visible(patience.beginning(content, 80))
            raise ValueError(f"the answer is no JSON: {shown or 'it is empty'}") from error
        if not isinstance(found, dict):
            raise ValueError("the answer is no JSON object")
        return found

    def _bytes(self, method: str, path: str, most_bytes: int, **request: Any) -> bytes:
        def once(left: patience.Left) -> bytes:
            with self._session.request(
                method,
                f"{self._full_uri}/{path}",
                timeout=left.timeouts(boundary.read_seconds()),
                allow_redirects=False,  # a redirected POST would come as a GET, to wherever
                stream=True,
                **request,
            ) as answer:
                content = beginning(answer, most_bytes + 1, left)
            if answer.status_code != 200:
                raise patience.RefusedError(answer.status_code, content, answer.headers)
            if len(content) > most_bytes:
                raise ValueError(f"the answer has more than {most_bytes:,} bytes")
            return content

        return patience.retried(once, boundary.answer_seconds())


def beginning(answer: Any, most_bytes: int, left: patience.Left) -> bytes:
    """What a streamed answer begins with; a server that goes on for ever is not waited for."""
    content = bytearray()
    for part in answer.iter_content(1 << 16):
        content += part
        if len(content) >= most_bytes:
            break
        left.check()
    return bytes(content[:most_bytes])


def login() -> tuple[str, str] | None:
    """User and password, from the environment or from MLflow's credentials file."""
    names = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
    user, password = (os.environ.get(name) for name in names)
    if not (user and password):
        filed = secrets.credentials_file()
        user = user or filed.get(names[0].lower())
        password = password or filed.get(names[1].lower())
    return (user, password) if user and password else None


def headers() -> dict[str, str]:
    """The token, where there is no login, and the workspace."""
    found = {}
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    if token and not login():
        found["Authorization"] = f"Bearer {token}"
    if workspace := os.environ.get("MLFLOW_WORKSPACE"):
        found["X-MLFLOW-WORKSPACE"] = workspace
    return found


def verify() -> bool | str:
    """What to check a server's certificate against; False for not at all."""
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"):
        return False
    return os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or True
