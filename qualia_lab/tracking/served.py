"""The artifacts that a tracking server itself serves, through the same session as all else.

As MLflow's client asks for them (``mlflow-artifacts``), but within the deadline, and never more
bytes than are wanted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, urlsplit

from qualia_lab.tracking.session import Session

_ENDPOINT = "api/2.0/mlflow-artifacts/artifacts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file or folder, named as MLflow's client names it: from the run's own folder on."""

    path: str
    is_dir: bool
    file_size: int | None


class Served:
    """What ``artifacts.py`` asks of a client, of one run's artifacts.

    Args:
        session: with the server.
        artifact_uri: of the run: ``mlflow-artifacts:/1/.../artifacts``.
        most_bytes: of a file to be read.
    """

    def __init__(self, session: Session, artifact_uri: str, most_bytes: int) -> None:
        self._session = session
        self._most_bytes = most_bytes
        # No dots: the path is the server's to choose, and stays below the endpoint.
        parts = PurePosixPath(urlsplit(artifact_uri).path).parts
        self._root = "/".join(part for part in parts if part not in ("/", "..", "."))

    def list_artifacts(self, run_id: str, path: str | None = None) -> list[Entry]:
        """What lies in the run's folder, or in one below it."""
        where = f"{self._root}/{path}" if path else self._root
        found = self._session.get(_ENDPOINT, [("path", where)])
        return sorted(
            (_entry(one, path) for one in found.get("files", [])), key=lambda one: one.path
        )

    def download_artifacts(self, run_id: str, path: str, folder: str) -> str:
        """A copy of a file in a folder of this machine: the path of the copy."""
        copy = Path(folder) / "artifact"
        where = quote(f"{self._root}/{path}")
        copy.write_bytes(self._session.content(f"{_ENDPOINT}/{where}", self._most_bytes))
        return str(copy)


def _entry(one: Mapping[str, Any], folder: str | None) -> Entry:
    name, size = str(one["path"]), one.get("file_size")
    return Entry(
        path=f"{folder}/{name}" if folder else name,
        is_dir=bool(one["is_dir"]),
        file_size=None if size is None else int(size),
    )
