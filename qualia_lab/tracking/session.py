"""Requests to one tracking server: MLflow's settings for access, a few retries, a deadline."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any
from urllib.parse import quote

from qualia_lab import secrets
from qualia_lab.errors import QualiaError
from qualia_lab.text import visible
from qualia_lab.tracking import boundary, probe

_CONNECT_SECONDS = 2.5
_RETRIES = 2
_PAUSE_SECONDS = 0.5
_CONNECTIONS = 8
_LOOKED_AT = 10_000
_PASSING = (429, 500, 502, 503, 504)


def cannot_serve() -> str:
    """Why requests to a server need MLflow's own client here, in words; empty when they don't."""
    if os.environ.get("MLFLOW_TRACKING_AUTH"):
        return "MLFLOW_TRACKING_AUTH names a plugin"
    if os.environ.get("MLFLOW_TRACKING_AWS_SIGV4", "").lower() in ("true", "1"):
        return "MLFLOW_TRACKING_AWS_SIGV4 is set"
    return ""


class RefusedError(ValueError):
    """The server answered with a status that is not 200; its own code and words are kept."""

    def __init__(self, status: int, content: bytes) -> None:
        self.status = status
        self.error_code = ""
        said = _beginning(content, 120)
        try:
            answer = json.loads(content)
            self.error_code, said = str(answer["error_code"]), str(answer["message"])
        except (ValueError, KeyError, TypeError):
            pass
        if 300 <= status < 400:
            said = "it redirects; use the address that it redirects to"
        super().__init__(f"{status} {said}".strip())

    def get_http_status_code(self) -> int:
        """As MLflow's own exceptions name it."""
        return self.status


class Session:
    """A pooled session with one tracking server.

    Args:
        full_uri: with its password, when it has one.

    Its methods raise ``RefusedError``, ``ValueError`` for an answer that is none, and what requests
    raises; callers turn them into errors of this project (``boundary.translate``).
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

    def artifact(self, path: str, most_bytes: int) -> bytes:
        """A file that the server hands out itself, by its path there.

        Raises ``QualiaError`` once more comes than ``most_bytes``.
        """
        place = f"api/2.0/mlflow-artifacts/artifacts/{quote(path)}"
        return self._retried(
            lambda deadline: self._content("GET", place, deadline, most_bytes=most_bytes)
        )

    @cached_property
    def _session(self) -> Any:
        import requests
        from requests.adapters import HTTPAdapter

        probe.probe(self._full_uri)
        session = requests.Session()
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(pool_maxsize=_CONNECTIONS))
        session.auth = login()
        session.headers.update(headers())
        session.verify = verify()
        session.cert = os.environ.get("MLFLOW_TRACKING_CLIENT_CERT_PATH")
        return session

    def _ask(self, method: str, path: str, **request: Any) -> Mapping[str, Any]:
        """One answer as the JSON object that it is."""
        return _json_object(
            self._retried(lambda deadline: self._content(method, path, deadline, **request))
        )

    def _retried(self, once: Callable[[float], bytes]) -> bytes:
        """One answer, asked for again when a passing fault came instead: asking changes nothing."""
        import requests

        deadline = time.monotonic() + boundary.answer_seconds()
        retries = int(os.environ.get("MLFLOW_HTTP_REQUEST_MAX_RETRIES", _RETRIES))
        for left in range(retries, -1, -1):
            try:
                return once(deadline)
            except (requests.ConnectionError, RefusedError) as fault:
                passing = not isinstance(fault, RefusedError) or fault.status in _PASSING
                pause = _PAUSE_SECONDS * 2 ** (retries - left) * random.uniform(0.7, 1.3)  # noqa: S311
                if not left or not passing or time.monotonic() + pause > deadline:
                    raise
                time.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def _content(
        self,
        method: str,
        path: str,
        deadline: float,
        most_bytes: int | None = None,
        **request: Any,
    ) -> bytes:
        with self._session.request(
            method,
            f"{self._full_uri}/{path}",
            timeout=(_CONNECT_SECONDS, boundary.read_seconds()),
            allow_redirects=False,  # a redirected POST would come as a GET, to wherever
            stream=True,
            **request,
        ) as answer:
            content = bytearray()
            for part in answer.iter_content(1 << 16):
                content += part
                if most_bytes is not None and len(content) > most_bytes:
                    raise QualiaError(f"the server sends more than {most_bytes:,} bytes")
                # A read timeout alone never ends on a server that drips.
                if time.monotonic() > deadline:
                    raise TimeoutError(f"no whole answer within {boundary.answer_seconds():g} s")
        if answer.status_code != 200:
            raise RefusedError(answer.status_code, bytes(content))
        return bytes(content)


def _beginning(content: bytes, most: int) -> str:
    """What an answer begins with. What is cut out of a secret would not be known as one: first
    they go, then it is cut."""
    return secrets.scrub(content[:_LOOKED_AT].decode("utf-8", "replace")).strip()[:most]


def _json_object(content: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(content)
    except ValueError as error:
        raise ValueError(f"the answer is no JSON: {visible(_beginning(content, 80))}") from error
    if not isinstance(found, dict):
        raise ValueError("the answer is no JSON object")
    return found


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
