"""The models that runs logged, and what they are in the registry, from each kind of store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from qualia_lab.tracking import frames, reader
from qualia_lab.tracking.answers import whole_number

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from sqlalchemy import Select

MODELS = {
    "run_id": "string",
    "model_id": "string",
    "name": "string",
    "type": "string",
    "status": "string",
    "created": "int64",
    "registered": "string",
    "version": "int64",
    "stage": "string",
    "aliases": "string",
}
# mlflow.entities.LoggedModelStatus, as databases hold it.
_STATUSES = {1: "PENDING", 2: "READY", 3: "FAILED"}
_JSON_STATUSES = {
    "LOGGED_MODEL_PENDING": "PENDING",
    "LOGGED_MODEL_READY": "READY",
    "LOGGED_MODEL_UPLOAD_FAILED": "FAILED",
}
_DELETED_STAGE = "Deleted_Internal"

_LOGGED_TABLE = {
    "model_id", "source_run_id", "name", "model_type", "status", "creation_timestamp_ms",
    "lifecycle_stage", "experiment_id",
}  # fmt: skip
_VERSIONS_TABLE = {"name", "version", "current_stage", "source", "run_id", "creation_time"}
_ALIASES_TABLE = {"name", "version", "alias"}


class Logged(NamedTuple):
    """A logged model (MLflow 3); ``created`` in ms since the epoch."""

    run_id: str
    model_id: str
    name: str
    type: str | None
    status: str | None
    created: int | None


class Version(NamedTuple):
    """A version of a registered model; ``source`` is where its files came from."""

    run_id: str
    registered: str
    version: int
    stage: str | None
    source: str
    created: int | None


def joined(
    logged: Iterable[Logged],
    versions: Iterable[Version],
    aliases: Iterable[tuple[str, int, str]],
) -> pa.Table:
    """A row a logged model and version of it (the columns ``MODELS``).

    A version whose logged model is not known, as before MLflow 3, has a row of its own. What is
    given twice, since it stood on two pages of an answer, counts once.
    """
    models = {one.model_id: one for one in logged}
    registry = {f"models:/{one.registered}/{one.version}": one for one in versions}

    def origin(one: Version) -> str:
        """Where its files came from first: the source of a copy is the version copied."""
        source, seen = one.source, set()
        while source in registry and source not in seen:
            seen.add(source)
            source = registry[source].source
        return source

    names: dict[tuple[str, int], list[str]] = {}
    for registered, number, alias in aliases:
        names.setdefault((registered, number), []).append(alias)
    of_model: dict[str, list[Version]] = {}
    for one in registry.values():
        of_model.setdefault(origin(one), []).append(one)

    def known(one: Version) -> tuple[Any, ...]:
        found = ", ".join(sorted(names.get((one.registered, one.version), ())))
        stage = None if one.stage in (None, "", "None") else one.stage
        return one.registered, one.version, stage, found or None

    rows: list[tuple[Any, ...]] = []
    for model in models.values():
        mine = of_model.pop(f"models:/{model.model_id}", [])
        rows += [(*model, *known(one)) for one in mine] or [(*model, None, None, None, None)]
    for rest in of_model.values():
        rows += [(one.run_id, None, None, None, None, one.created, *known(one)) for one in rest]
    return reader.table(MODELS, rows)


def frame(models: pa.Table, run_ids: Sequence[str]) -> pd.DataFrame:
    """The frame of ``RunSet.models``."""
    import pandas as pd

    found: pd.DataFrame = models.to_pandas()
    found["created"] = frames.times(models["created"])
    found["version"] = pd.array(models["version"].to_pylist(), dtype="Int64")
    place = {run_id: number for number, run_id in enumerate(run_ids)}
    found = found[found["run_id"].isin(run_ids)]
    by = ["run_id", "created", "name", "model_id", "registered", "version"]
    return found.sort_values(
        by, key=lambda column: column.map(place) if column.name == "run_id" else column
    ).reset_index(drop=True)


def from_sql(
    every: Callable[[Mapping[str, str], Callable[[list[str] | None], Select[Any]]], pa.Table],
    columns: Mapping[str, set[str]],
    workspace: str,
    experiment_ids: Sequence[str],
) -> pa.Table:
    """Out of a database.

    Args:
        every: reads a statement, made for ids of runs, for all of them.
        columns: the tables that there are, with their columns.
        workspace: whose registry, where the database has workspaces.
        experiment_ids: of the runs; a model of another experiment does not count, as in MLflow.
    """
    import sqlalchemy as sa

    def text(column: Any) -> Any:
        return sa.func.coalesce(column, "")

    def here(table: Any) -> list[Any]:
        return [table.c.workspace == workspace] if "workspace" in columns[table.name] else []

    def of(name: str, needed: set[str]) -> Any:
        if not needed <= columns.get(name, set()):
            return None
        return sa.table(name, *(sa.column(one) for one in (*sorted(needed), "workspace")))

    def rows(types: str, statement: Callable[[Sequence[str] | None], Any]) -> list[list[Any]]:
        kinds = {f"c{i}": "int64" if kind == "i" else "string" for i, kind in enumerate(types)}
        found = every(kinds, statement)
        return [list(row.values()) for row in found.to_pylist()]

    logged = of("logged_models", _LOGGED_TABLE)
    models = [] if logged is None else rows("ssssii", lambda ids: sa.select(
        logged.c.source_run_id, logged.c.model_id, logged.c.name, text(logged.c.model_type),
        logged.c.status, logged.c.creation_timestamp_ms,
    ).where(logged.c.source_run_id.in_(ids), logged.c.lifecycle_stage == "active",
            logged.c.experiment_id.in_([int(one) for one in experiment_ids])))  # fmt: skip

    version = of("model_versions", _VERSIONS_TABLE)
    versions = [] if version is None else rows("ssissi", lambda ids: sa.select(
        version.c.run_id, version.c.name, version.c.version, text(version.c.current_stage),
        text(version.c.source), version.c.creation_time,
    ).where(version.c.run_id.in_(ids), text(version.c.current_stage) != _DELETED_STAGE,
            *here(version)))  # fmt: skip

    alias = of("registered_model_aliases", _ALIASES_TABLE)
    aliases = [] if alias is None or not versions else rows("sis", lambda ids: sa.select(
        alias.c.name, alias.c.version, alias.c.alias,
    ).join_from(alias, version, sa.and_(
        alias.c.name == version.c.name, alias.c.version == version.c.version,
    )).where(version.c.run_id.in_(ids), *here(version), *here(alias)))  # fmt: skip
    return joined(
        [
            Logged(run, model, name, kind or None, _STATUSES.get(status), created)
            for run, model, name, kind, status, created in models
        ],
        [Version(*row) for row in versions],
        [(name, number, text) for name, number, text in aliases],
    )


def logged_of_json(one: Mapping[str, Any]) -> Logged:
    """A logged model as a server answers it."""
    info = one["info"]
    return Logged(
        run_id=str(info.get("source_run_id", "")),
        model_id=str(info["model_id"]),
        name=str(info.get("name", "")),
        type=info.get("model_type") or None,
        status=_JSON_STATUSES.get(str(info.get("status"))),
        created=whole_number(info.get("creation_timestamp_ms")),
    )


def version_of_json(one: Mapping[str, Any]) -> Version:
    """A version of a registered model as a server answers it."""
    return Version(
        run_id=str(one.get("run_id", "")),
        registered=str(one["name"]),
        version=int(one["version"]),
        stage=one.get("current_stage"),
        source=str(one.get("source", "")),
        created=whole_number(one.get("creation_timestamp")),
    )


def from_client(
    pages: Callable[[Callable[..., Any]], Iterable[Any]],
    client: Any,
    experiment_ids: Sequence[str],
    batches: Iterable[str],
) -> pa.Table:
    """Through ``MlflowClient``.

    Args:
        pages: every item of the pages that a function gives for a token.
        client: ``MlflowClient``.
        experiment_ids: of the runs.
        batches: ids of runs, quoted and with commas between, a few hundred each.
    """
    from functools import partial

    logged: list[Logged] = []
    versions: list[Version] = []
    for ids in batches:
        search = partial(
            client.search_logged_models,
            list(experiment_ids),
            filter_string=f"source_run_id IN ({ids})",
        )
        for one in _if_known(pages(search)):
            status = str(one.status).rpartition(".")[2]
            logged.append(
                Logged(
                    one.source_run_id or "",
                    one.model_id,
                    one.name,
                    one.model_type or None,
                    status if status in _STATUSES.values() else None,
                    one.creation_timestamp,
                )
            )
        search = partial(client.search_model_versions, f"run_id IN ({ids})")
        for one in pages(search):
            versions.append(
                Version(
                    one.run_id or "",
                    one.name,
                    int(one.version),
                    one.current_stage,
                    one.source or "",
                    one.creation_timestamp,
                )
            )
    names = dict.fromkeys(one.registered for one in versions)
    aliases = [
        (name, int(version), alias)
        for name in names
        for alias, version in _aliases(client, name).items()
    ]
    return joined(logged, versions, aliases)


def _aliases(client: Any, name: str) -> Mapping[str, str]:
    """Of a registered model; none where it went since its versions were listed."""
    try:
        found: Mapping[str, str] = client.get_registered_model(name).aliases
    except Exception as error:
        if getattr(error, "error_code", "") != "RESOURCE_DOES_NOT_EXIST":
            raise
        return {}
    return found


def _if_known(items: Iterable[Any]) -> list[Any]:
    """What a search gives; nothing where a server is older than the search."""
    try:
        return list(items)
    except Exception as error:
        if getattr(error, "error_code", "") != "ENDPOINT_NOT_FOUND":
            raise
        return []
