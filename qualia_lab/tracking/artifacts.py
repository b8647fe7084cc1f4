"""The files of a run: listed with a limit, read with a limit, and never from where they are not.

Whoever can log a run chooses its ``artifact_uri`` and its file names. So a remote server can't name
a folder of this machine, no listing leaves the run's own folder, and links are not followed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from qualia_lab import table_files, temporary
from qualia_lab.errors import NotAllowedError, NotFoundError, QualiaError
from qualia_lab.model import Artifact, ArtifactList
from qualia_lab.text import visible, whole
from qualia_lab.tracking import uris

# Gives what lists and reads what is not on this machine, as MLflow's client does. It is called only
# for that.
Files = Callable[[], Any]

_MOST_FILES = 2000
_MOST_FOLDERS = 200
_DEEPEST = 20

# Where MLflow reads with the person's own rights to an object store.
_REMOTE_SCHEMES = {"s3", "gs", "wasb", "wasbs", "abfs", "abfss", "r2", "dbfs"}


def listing(client: Files, tracking_uri: str, artifact_uri: str, run_id: str) -> ArtifactList:
    """The files of a run, sorted by path; what can't be listed is said in ``problem``."""
    problem = _refused(tracking_uri, artifact_uri)
    if problem:
        return ArtifactList(problem=problem)
    found = _Found()
    root = _local_root(artifact_uri)
    if root:
        _list_folders(root, found)
    else:
        _list_client(client(), run_id, found)
    files = tuple(sorted(found.files, key=lambda file: file.path))
    return ArtifactList(files=files, problem=found.problem, cut=found.cut)


@dataclass(slots=True)
class _Found:
    """What a listing has found so far."""

    files: list[Artifact] = field(default_factory=list)
    problem: str = ""
    cut: bool = False
    full: bool = False

    def add(self, path: str, size: int | None) -> None:
        if len(self.files) < _MOST_FILES:
            self.files.append(Artifact(path=whole(path), size=size))
        else:
            self.cut = self.full = True

    def may_enter(self, path: str) -> bool:
        """Whether a folder is near enough; one that is not leaves the listing cut."""
        near = path.count("/") < _DEEPEST
        self.cut = self.cut or not near
        return near


def content(
    client: Files,
    tracking_uri: str,
    artifact_uri: str,
    run_id: str,
    path: str,
    most_bytes: int,
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
    place = PurePosixPath(path)
    parent = place.parent.as_posix()
    entries = client().list_artifacts(run_id, None if parent == "." else parent)
    entry = next((entry for entry in entries if entry.path == place.as_posix()), None)
    if entry is None or entry.is_dir:
        raise NotFoundError(f"{visible(path, 100)} is no file among the run's artifacts")
    if (entry.file_size or 0) > most_bytes:
        raise _too_large(path, entry.file_size, most_bytes)
    with temporary.folder() as folder:
        # A file of a sub-folder lands in the folder itself.
        copy = client().download_artifacts(run_id, entry.path, str(folder))
        return _read(folder, Path(os.path.relpath(copy, folder)).as_posix(), most_bytes)


def input_content(tracking_uri: str, source: str, most_bytes: int) -> bytes:
    """The bytes of a file of this machine that a data set of a run came from.

    A server can't name a file of this machine, and nothing is fetched from elsewhere.

    Args:
        tracking_uri: of the store that holds the run.
        source: as MLflow notes it, in JSON; see ``table_files.input_path``.
        most_bytes: as for ``content``.

    Raises:
        NotAllowedError, NotFoundError, QualiaError: as ``content``.
    """
    where = table_files.input_path(source)
    if where is None:
        raise NotAllowedError(f"the data set is no file that is read: {visible(source, 100)}")
    if uris.store_type(tracking_uri) == "http":
        raise NotAllowedError(
            "the server names a file of this machine as a data set, which is not read"
        )
    path = Path(url2pathname(urlsplit(where).path)) if where.startswith("file:") else Path(where)
    path = path.absolute()
    return _read(path.parent, path.name, most_bytes)


def _refused(tracking_uri: str, artifact_uri: str) -> str:
    parts = urlsplit(artifact_uri)
    scheme = parts.scheme.lower()
    is_served = uris.store_type(tracking_uri) == "http"
    if scheme == "mlflow-artifacts":
        if not is_served:
            return "a tracking server holds the artifacts; use its http address as tracking URI"
        if parts.netloc in ("", urlsplit(tracking_uri).netloc):
            return ""
    # Another server would be sent the credentials of this one.
    host = parts.netloc.rpartition("@")[2]
    if scheme in ("mlflow-artifacts", "http", "https"):
        return f"the artifacts are on another server, which is not asked: {visible(host, 200)}"
    if not is_served or scheme in _REMOTE_SCHEMES:
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


def _list_folders(root: Path, found: _Found) -> None:
    """The files below a folder; no links, no devices; names that are no UTF-8 are shown as such."""
    folders = [root] if root.is_dir() else []
    while folders and not found.full:
        folder = folders.pop(0)
        try:
            with os.scandir(folder) as entries:
                ordered = sorted(entries, key=lambda entry: entry.name)
            for entry in ordered:
                path = Path(entry.path).relative_to(root).as_posix()
                if entry.is_dir(follow_symlinks=False):
                    if found.may_enter(path):
                        folders.append(Path(entry.path))
                elif entry.is_file(follow_symlinks=False):
                    found.add(path, entry.stat(follow_symlinks=False).st_size)
        except OSError as error:
            found.problem = f"not all could be listed: {error.strerror}"


def _list_client(client: Any, run_id: str, found: _Found) -> None:
    folders: list[str | None] = [None]
    listed = 0
    while folders and not found.full:
        folder = folders.pop(0)
        if listed == _MOST_FOLDERS:
            found.cut = True
            return
        listed += 1
        for entry in client.list_artifacts(run_id, folder):
            # An honest server lists what lies below the folder that it was asked for.
            if not _inside(entry.path) or not entry.path.startswith(f"{folder}/" if folder else ""):
                continue
            if not entry.is_dir:
                found.add(entry.path, entry.file_size)
            elif found.may_enter(entry.path):
                folders.append(entry.path)


def _read(root: Path, path: str, most_bytes: int) -> bytes:
    """Read one file below ``root`` that is a plain file, reached through no link."""
    target = root / path
    try:
        if not target.is_symlink() and not target.exists():
            raise FileNotFoundError(path)
        real = Path(os.path.realpath(target))
        if real != Path(os.path.realpath(root)) / PurePosixPath(path):
            raise NotAllowedError(f"{visible(path, 100)} is a link out of its place; not read")
        found = target.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise NotAllowedError(f"{visible(path, 100)} is no plain file; not read")
        if found.st_size > most_bytes:
            raise _too_large(path, found.st_size, most_bytes)
        with target.open("rb") as file:
            return file.read(most_bytes)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"{visible(path, 100)} is gone from the artifact store") from error


def _too_large(path: str, size: int, most_bytes: int) -> QualiaError:
    shown = visible(path, 100)
    return QualiaError(f"{shown} has {size:,} bytes; at most {most_bytes:,} are read")
