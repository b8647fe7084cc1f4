"""The ground truth of drift: what was planted, and what the models measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, timedelta
from typing import Any

from qualia_lab.demo.drift import plan
from qualia_lab.demo.drift.models import Day, Stream
from qualia_lab.demo.drift.tables import Table, population


def of(
    *,
    seed: int,
    first_day: date,
    tables: Sequence[tuple[str, Table]],
    changing: Stream,
    stationary: Stream,
    days: Sequence[Day],
) -> dict[str, Any]:
    """Everything that was planted, fit for JSON. ``tables`` are pairs of run and table."""
    known = population()
    columns = [*known.names, *known.categories]
    return {
        "scenario": "drift",
        "simulated": True,
        "seed": seed,
        "time_zone": "UTC",
        "data": "rows of scikit-learn's breast cancer data, drawn with replacement; handwritten "
        "digits for the predictions and the daily trainings",
        "shifts": {name: asdict(shift) for name, shift in plan.SHIFTS.items()},
        "shifted_columns": [name for name in columns if name in plan.SHIFTS],
        "clean_columns": [name for name in columns if name not in plan.SHIFTS],
        "standard_deviations": {
            name: float(known.values[:, column].std())
            for column, name in enumerate(known.names)
        },
        "rows": plan.ROWS,
        "tables": {name: _counted(table) for name, table in tables},
        "windows": [
            {"run": f"window-{number}", "strength": strength}
            for number, strength in enumerate(plan.STRENGTHS, start=1)
        ],
        "stream": _stream(changing),
        "stream_stationary": {
            "rows": plan.STREAM_ROWS,
            "first_changed_row": None,
            "errors": stationary.errors(0),
        },
        "daily": _daily(days, first_day),
    }  # fmt: skip


def _counted(table: Table) -> dict[str, Any]:
    """What can be counted in a table: lost values, and rows with the new category."""
    missing = {name: sum(value is None for value in column) for name, column in table.items()}
    fresh = {name: column.count(plan.NEW_CATEGORY) for name, column in table.items()}
    return {
        "missing": {name: count for name, count in missing.items() if count},
        "new_category": {name: count for name, count in fresh.items() if count},
    }


def _stream(changing: Stream) -> dict[str, Any]:
    change = plan.STREAM_CHANGE
    return {
        "rows": plan.STREAM_ROWS,
        "first_changed_row": change,
        "errors_before": changing.errors(0, change),
        "rows_before": change,
        "errors_after": changing.errors(change),
        "rows_after": plan.STREAM_ROWS - change,
    }


def _daily(days: Sequence[Day], first_day: date) -> dict[str, Any]:
    dates = [(first_day + timedelta(days=day.number)).isoformat() for day in days]
    before, after = days[: plan.CHANGE_DAY], days[plan.CHANGE_DAY :]
    return {
        "runs": plan.DAYS,
        "first_day": dates[0],
        "last_day": dates[-1],
        "declines_from": dates[plan.CHANGE_DAY],
        "declines_from_run": plan.CHANGE_DAY + 1,
        "declining_metric": "accuracy",
        "control_metric": "control_accuracy",
        "examples_a_day": plan.EXAMPLES_A_DAY,
        "accuracy": dict(zip(dates, (day.accuracy for day in days), strict=True)),
        "control_accuracy": dict(zip(dates, (day.control for day in days), strict=True)),
        "mean_accuracy_before": sum(day.accuracy for day in before) / len(before),
        "mean_accuracy_after": sum(day.accuracy for day in after) / len(after),
    }
