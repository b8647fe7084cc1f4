"""The files of a run: listed with a limit, read with a limit, and never from where they are not.

Whoever can log a run chooses its ``artifact_uri`` and its file names. So a remote server can't name
a folder of this machine, no listing leaves the run's own folder, and links are not followed.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from qualia_lab.errors import NotAllowedError, NotFoundError, QualiaError
from qualia_lab.model import Artifact, ArtifactList
from qualia_lab.text import visible, whole
from qualia_lab.tracking import uris

_MOST_FILES = 2000
_MOST_FOLDERS = 200
_DEEPEST = 20

# Where MLflow reads with the person's own rights to an object store, or through the server.
_REMOTE_SCHEMES = {"mlflow-artifacts", "s3", "gs", "wasb", "wasbs", "abfs", "abfss", "r2", "dbfs"}


def listing(client: Any, tracking_uri: str, artifact_uri: str, run_id: str) -> ArtifactList:
    """The files of a run, sorted by path; what can't be listed is said in ``problem``."""
    problem = _refused(tracking_uri, artifact_uri)
    if problem:
        return ArtifactList(problem=problem)
    root = _local_root(artifact_uri)
    found = _local_files(root) if root else _client_files(client, run_id)
    files: list[Artifact] = []
    for file in found:
        if len(files) == _MOST_FILES:
            return ArtifactList(files=tuple(sorted(files, key=lambda one: one.path)), cut=True)
        files.append(file)
    return ArtifactList(files=tuple(sorted(files, key=lambda one: one.path)))


def content(
    client: Any, tracking_uri: str, artifact_uri: str, run_id: str, path: str, most_bytes: int
) -> bytes:
    """The bytes of one file of a run.

    Raises:
        NotAllowedError: a path or a store that may not be read.
        NotFoundError: no such file.
        QualiaError: larger than ``most_bytes``.
    """
    problem = _refused(tracking_uri, artifact_uri)
    if problem or not _inside(path):
        raise NotAllowedError(problem or f"{visible(path, 100)} is outside the run's artifacts")
    root = _local_root(artifact_uri)
    if root:
        return _read(root, path, most_bytes)
    with tempfile.TemporaryDirectory(prefix="qualia-lab-") as folder:
        for entry in client.list_artifacts(run_id, str(PurePosixPath(path).parent).strip(".")):
            if entry.path == path and (entry.file_size or 0) > most_bytes:
                raise _too_large(path, entry.file_size, most_bytes)
        client.download_artifacts(run_id, path, folder)
        return _read(Path(folder), path, most_bytes)


def _refused(tracking_uri: str, artifact_uri: str) -> str:
    scheme = urlsplit(artifact_uri).scheme
    if uris.store_type(tracking_uri) != "http" or scheme in _REMOTE_SCHEMES:
        return ""
    where = "a folder of this machine" if scheme in ("", "file") else f"a {visible(scheme, 20)} URI"
    return (
        f"the server names {where} as the place of the artifacts, which is not read; "
        "start it with --serve-artifacts (the default) and a --artifacts-destination"
    )


def _local_root(artifact_uri: str) -> Path | None:
    parts = urlsplit(artifact_uri)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return Path(artifact_uri) if parts.scheme == "" or len(parts.scheme) == 1 else None


def _inside(path: str) -> bool:
    parts = PurePosixPath(path)
    return bool(path) and "\0" not in path and not parts.is_absolute() and ".." not in parts.parts


def _local_files(root: Path) -> Iterator[Artifact]:
    """The files below a folder; no links, no devices; names that are no UTF-8 are shown as such."""
    folders = [(root, 0)] if root.is_dir() else []
    while folders:
        folder, depth = folders.pop(0)
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
        for entry in ordered:
            if entry.is_dir(follow_symlinks=False) and depth < _DEEPEST:
                folders.append((Path(entry.path), depth + 1))
            elif entry.is_file(follow_symlinks=False):
                relative = Path(entry.path).relative_to(root).as_posix()
                size = entry.stat(follow_symlinks=False).st_size
                yield Artifact(path=whole(relative), size=size)


def _client_files(client: Any, run_id: str) -> Iterator[Artifact]:
    folders: list[str | None] = [None]
    listed = 0
    while folders and listed < _MOST_FOLDERS:
        folder = folders.pop(0)
        listed += 1
        for entry in client.list_artifacts(run_id, folder):
            # An honest server lists what lies below the folder that it was asked for.
            if not _inside(entry.path) or not entry.path.startswith(f"{folder}/" if folder else ""):
                continue
            if not entry.is_dir:
                yield Artifact(path=whole(entry.path), size=entry.file_size)
            elif entry.path.count("/") < _DEEPEST:
                folders.append(entry.path)


def _read(root: Path, path: str, most_bytes: int) -> bytes:
    """Read one file below ``root`` that is a plain file, reached through no link."""
    target = root / path
    try:
        if target.resolve() != root.resolve() / PurePosixPath(path):
            raise NotAllowedError(f"{visible(path, 100)} is a link out of its place; not read")
        found = target.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise NotAllowedError(f"{visible(path, 100)} is no plain file; not read")
        if found.st_size > most_bytes:
            raise _too_large(path, found.st_size, most_bytes)
        with target.open("rb") as file:
            return file.read(most_bytes)
    except FileNotFoundError as error:
        raise NotFoundError(f"{visible(path, 100)} is gone from the artifact store") from error


def _too_large(path: str, size: int, most_bytes: int) -> QualiaError:
    shown = visible(path, 100)
    return QualiaError(f"{shown} has {size:,} bytes; at most {most_bytes:,} are read")
