"""What notebooks call: functions from a ``RunSet`` to a table, a figure or a note.

Each is usable on its own; the modules are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qualia_lab.analysis.comparison import compare_metrics, differing_params, mark_best
    from qualia_lab.analysis.curves import metric_curves
    from qualia_lab.analysis.groups import compare_groups, group_chart, group_labels, group_note
    from qualia_lab.analysis.images import run_images
    from qualia_lab.analysis.run import (
        run_artifacts,
        run_datasets,
        run_details,
        run_metrics,
        run_note,
        run_params,
        run_report,
        run_tags,
    )
    from qualia_lab.analysis.summary import frames, headline, overview
    from qualia_lab.directions import direction

__all__ = [
    "compare_groups",
    "compare_metrics",
    "differing_params",
    "direction",
    "frames",
    "group_chart",
    "group_labels",
    "group_note",
    "headline",
    "mark_best",
    "metric_curves",
    "overview",
    "run_artifacts",
    "run_datasets",
    "run_details",
    "run_images",
    "run_metrics",
    "run_note",
    "run_params",
    "run_report",
    "run_tags",
]

_HOMES = {
    "compare_groups": "groups",
    "group_chart": "groups",
    "group_labels": "groups",
    "group_note": "groups",
    "compare_metrics": "comparison",
    "differing_params": "comparison",
    "frames": "summary",
    "headline": "summary",
    "mark_best": "comparison",
    "metric_curves": "curves",
    "overview": "summary",
    "run_images": "images",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "direction":
        return import_module("qualia_lab.directions").direction
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'run')}"), name)
