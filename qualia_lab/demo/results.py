"""The files of a run: a summary, a report, a plot and tables, all from what was measured."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from qualia_lab.demo.plan import PlannedRun
    from qualia_lab.demo.training import Epoch, Evaluation

_TABLE_ROWS = 40
_DPI = 120
_INCHES = (5.6, 5.2)
_DARK = 0.6  # the share from which on white text is the readable one
_GROUPS = 4


def write(folder: Path, run: PlannedRun, epochs: Sequence[Epoch], evaluation: Evaluation) -> None:
    """Write what a finished run leaves behind, below ``folder``.

    summary.txt, report.json, plots/confusion_matrix.png and eval/per_class.csv; for a regression
    plots/predicted_vs_actual.png and eval/per_quartile.csv in their place.
    """
    (folder / "plots").mkdir()
    (folder / "eval").mkdir()
    (folder / "summary.txt").write_text(_summary(run, epochs), encoding="utf-8")
    if evaluation.classes:
        report = _classification_report(evaluation)
        figure, plot = _confusion_matrix(run.name, evaluation), "confusion_matrix"
        rows, table = _per_class(evaluation, report), "per_class"
    else:
        report = _regression_report(evaluation)
        figure, plot = _predicted_vs_actual(run.name, evaluation), "predicted_vs_actual"
        rows, table = _per_quartile(evaluation), "per_quartile"
    report["last_epoch"] = dict(epochs[-1].metrics)
    text = json.dumps(_finite(report), indent=2, allow_nan=False)
    (folder / "report.json").write_text(text + "\n", encoding="utf-8")
    figure.savefig(folder / "plots" / f"{plot}.png", dpi=_DPI)
    write_csv(folder / "eval" / f"{table}.csv", rows)


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows that all have the keys of the first one."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def predictions(evaluation: Evaluation) -> dict[str, list[Any]]:
    """The first validation examples as columns: label and prediction, and how sure or how far."""
    labels = evaluation.labels[:_TABLE_ROWS].tolist()
    predicted = evaluation.predictions[:_TABLE_ROWS].tolist()
    if evaluation.probabilities is None:
        errors = [round(abs(a - b), 2) for a, b in zip(labels, predicted, strict=True)]
        rounded = [round(value, 2) for value in predicted]
        labels = [round(label, 2) for label in labels]
        return {"label": labels, "prediction": rounded, "absolute_error": errors}
    return {
        "label": [evaluation.classes[label] for label in labels],
        "prediction": [evaluation.classes[label] for label in predicted],
        "probability": evaluation.probabilities[:_TABLE_ROWS].round(4).tolist(),
        "correct": [a == b for a, b in zip(labels, predicted, strict=True)],
    }


def observed(epochs: Sequence[Epoch]) -> str:
    """One true sentence about how a training went, in Markdown."""
    losses = [epoch.metrics["val_loss"] for epoch in epochs]
    finite = [epoch for epoch, loss in zip(epochs, losses, strict=True) if math.isfinite(loss)]
    if not finite:
        return "The loss was never a finite number."
    if not math.isfinite(losses[-1]):
        return f"The loss is **not a finite number** after epoch {finite[-1].number}."
    best = min(finite, key=lambda epoch: epoch.metrics["val_loss"])
    value = best.metrics["val_loss"]
    return f"Lowest `val_loss`: {value:.4g}, at epoch {best.number} of {len(epochs)}."


def _summary(run: PlannedRun, epochs: Sequence[Epoch]) -> str:
    params = run.training.params
    width = max(map(len, [*params, *epochs[-1].metrics]))
    lines = [
        run.name,
        "",
        *(f"{key:<{width}}  {value}" for key, value in params.items()),
        "",
        f"After {epochs[-1].number} epochs:",
        *(f"{key:<{width}}  {value:.6g}" for key, value in epochs[-1].metrics.items()),
        "",
        observed(epochs).replace("*", "").replace("`", ""),
    ]
    return "\n".join(lines) + "\n"


def _classification_report(evaluation: Evaluation) -> dict[str, Any]:
    from sklearn.metrics import classification_report

    report: dict[str, Any] = classification_report(
        evaluation.labels,
        evaluation.predictions,
        labels=range(len(evaluation.classes)),
        target_names=evaluation.classes,
        output_dict=True,
        zero_division=0,
    )
    return report


def _regression_report(evaluation: Evaluation) -> dict[str, Any]:
    errors = evaluation.predictions - evaluation.labels
    return {
        "examples": len(errors),
        "mean_absolute_error": float(abs(errors).mean()),
        "root_mean_squared_error": float((errors**2).mean() ** 0.5),
        "r2": float(1 - (errors**2).mean() / evaluation.labels.var()),
    }


def _per_class(evaluation: Evaluation, report: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "class": name,
            "examples": int(report[name]["support"]),
            **{key: round(report[name][key], 4) for key in ("precision", "recall", "f1-score")},
        }
        for name in evaluation.classes
    ]


def _per_quartile(evaluation: Evaluation) -> list[dict[str, Any]]:
    import numpy as np

    rows = []
    groups = np.array_split(np.argsort(evaluation.labels, kind="stable"), _GROUPS)
    for number, group in enumerate(groups, start=1):
        labels, errors = (
            evaluation.labels[group],
            (evaluation.predictions - evaluation.labels)[group],
        )
        rows.append(
            {
                "quartile": number,
                "lowest": round(float(labels.min()), 2),
                "highest": round(float(labels.max()), 2),
                "examples": len(group),
                "mean_error": round(float(errors.mean()), 2),
                "mean_absolute_error": round(float(abs(errors).mean()), 2),
            }
        )
    return rows


def _confusion_matrix(title: str, evaluation: Evaluation) -> Figure:
    from sklearn.metrics import confusion_matrix

    ticks = range(len(evaluation.classes))
    counts = confusion_matrix(evaluation.labels, evaluation.predictions, labels=ticks)
    # Colour shows the share of a row, so that a rare class is as readable as a common one.
    shares = counts / counts.sum(axis=1, keepdims=True)
    figure, axes = _figure(title)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row in ticks:
        for column in ticks:
            if counts[row, column]:
                color = "white" if shares[row, column] > _DARK else "#222222"
                text = str(counts[row, column])
                axes.text(column, row, text, ha="center", va="center", color=color)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(ticks, evaluation.classes)
        axis.set_ticks([tick + 0.5 for tick in ticks[:-1]], minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="predicted", ylabel="actual")
    return figure


def _predicted_vs_actual(title: str, evaluation: Evaluation) -> Figure:
    figure, axes = _figure(title)
    axes.scatter(evaluation.labels, evaluation.predictions, s=18, alpha=0.6, linewidths=0)
    middle = (float(evaluation.labels.mean()),) * 2
    axes.axline(middle, slope=1, color="#888888", linewidth=1, linestyle="--")
    axes.set_aspect("equal", adjustable="datalim")
    axes.set(xlabel="actual (dashed line: no error)", ylabel="predicted")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _figure(title: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=_INCHES, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
    axes = figure.subplots()
    axes.set_title(f"{title}: validation examples")
    return figure, axes


def _finite(value: Any) -> Any:
    """``value`` with what JSON has no word for (NaN, inf) as None."""
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
