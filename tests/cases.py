"""The data that every kind of notebook must cope with."""

from __future__ import annotations

from pathlib import Path

from conftest import HOSTILE
from stores import T0, Run, curve, fill, run_id

NAN, INF = float("nan"), float("inf")


def write_case(name: str, database: Path) -> None:
    """Fill a migrated database with the case of that name."""
    {"bare": bare, "one": one, "two": two, "fifty": fifty, "hostile": hostile}[name](database)


CASES = ("bare", "one", "two", "fifty", "hostile")


def bare(database: Path) -> None:
    """Runs that logged nothing at all."""
    fill(
        database,
        [
            Run(run_id=run_id(0), ended=None, status="SCHEDULED"),
            Run(run_id=run_id(1), name="second", ended=None, status="RUNNING", started=T0 + 5),
        ],
    )


def one(database: Path) -> None:
    """One ordinary run."""
    fill(
        database,
        [
            Run(
                run_id=run_id(0),
                name="baseline",
                params={"lr": "0.01", "optimizer": "adam"},
                metrics={
                    "val_loss": curve([1.0, 0.5, 0.25]),
                    "accuracy": curve([0.5, 0.75, 0.875]),
                },
                tags={"team": "vision", "mlflow.note.content": "A first try."},
            )
        ],
    )


def two(database: Path) -> None:
    """Two runs that differ in a param and share a metric; one is the other's child."""
    fill(
        database,
        [
            Run(
                run_id=run_id(0),
                name="parent",
                params={"lr": "0.01", "epochs": "3", "same": "x"},
                metrics={"val_loss": curve([1.0, 0.5, 0.25])},
            ),
            Run(
                run_id=run_id(1),
                name="child",
                status="FAILED",
                started=T0 + 1000,
                params={"lr": "0.1", "same": "x"},
                metrics={"val_loss": curve([1.0, 0.75, NAN]), "f1": curve([0.5])},
                tags={"mlflow.parentRunId": run_id(0)},
            ),
        ],
    )


def fifty(database: Path) -> None:
    """Fifty runs: more than have a section or a colour of their own."""
    fill(
        database,
        [
            Run(
                run_id=run_id(i),
                name=f"run-{i:02}",
                started=T0 + 1000 * i,
                params={"seed": str(i), "lr": str(10.0 ** -(i % 4))},
                metrics={"val_loss": curve([1.0, 1 / (i + 2)]), "score": curve([i / 50])},
            )
            for i in range(50)
        ],
    )


def hostile(database: Path) -> None:
    """Whatever MLflow can hold that breaks things."""
    extreme = [NAN, INF, -INF, 1.7976931348623157e308, 5e-324, 0.0]
    big = 2**63 - 1
    points = {
        "val_loss": curve(extreme),
        "all nan": curve([NAN, NAN]),
        "one/point": curve([1e-300]),
        "far steps": [(-big - 1, T0, 1.0), (0, T0, 2.0), (big, T0, 3.0)],
        "same step": [(1, T0 + 2, 3.0), (1, T0 + 1, 2.0), (0, T0, 1.0), (1, T0 + 2, 4.0)],
        "no time": [(0, 0, 1.0), (1, 2**62, 2.0)],
        "long": [(i, T0 + i, (i * 37 % 101) / 7) for i in range(3000)],
        "$x^2$ _{": curve([1.0, 2.0]),
        "_hidden": curve([1.0, 2.0]),
    }
    runs = [
        Run(
            run_id=run_id(i),
            name=text[:250],
            status=("FINISHED", "FAILED", "KILLED", "RUNNING")[i % 4],
            started=(T0 + i, 0, 2**62)[i % 3],
            ended=(T0 + i - 5000, None, 2**62 + 1)[i % 3],
            params={
                f"p {text[:200]}": text,
                "0x10": "0x10",
                "num": ("1e999", "nan", "1_000")[i % 3],
            },
            metrics=points if i < 2 else {f"m {text[:200]}": curve([i, NAN])},
            tags={
                f"t {text[:200]}": text,
                "mlflow.note.content": text * 3,
                "mlflow.parentRunId": ("nowhere", run_id(0), text[:50])[i % 3],
                "mlflow.source.name": text,
            },
        )
        for i, text in enumerate(HOSTILE)
    ]
    many = {f"param.{'k' * 200}.{i}": "v" * 6000 for i in range(120)}
    runs.append(Run(run_id=run_id(len(runs)), name="same name", params=many))
    runs.append(Run(run_id=run_id(len(runs)), name="same name"))
    folder = database.parent / "artifacts" / run_id(0) / "artifacts"
    (folder / "plots").mkdir(parents=True)
    for name in ("bad.png", "plots/<b>.png", "-rf", "q?x.txt", "model.pkl", "bell\x07.csv"):
        (folder / name).write_bytes(b"not what it seems")
    (folder / "link.png").symlink_to("/etc/hostname")
    fill(database, runs, name=HOSTILE[5][:200])
