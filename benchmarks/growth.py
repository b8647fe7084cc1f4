"""Draws docs/images/growth.png from benchmarks/RESULTS.md.

python benchmarks/growth.py
"""

from __future__ import annotations

import re
from pathlib import Path

from matplotlib.figure import Figure

HERE = Path(__file__).resolve().parent
ROW = re.compile(
    r"^\| ([\d,]+) runs, SQLite, to frames \| ([\d.]+) \| ([\d.]+) \|.*?\|.*?\| ([\d.]+) \|",
    re.MULTILINE,
)
WAYS = (
    ("mlflow.search_runs", "#D55E00", 1, 0),
    ("plain driver, no frames", "#666666", 3, 12),  # the two ends lie together: labels apart
    ("qualia_lab", "#0072B2", 2, -12),
)


def main() -> None:
    """Read the table and draw it."""
    rows = ROW.findall((HERE / "RESULTS.md").read_text(encoding="utf-8"))
    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    sizes = [int(row[0].replace(",", "")) for row in rows]
    for name, colour, column, above in WAYS:
        seconds = [float(row[column]) for row in rows]
        axes.plot(sizes, seconds, marker="o", color=colour)
        axes.annotate(
            f"{name}: {seconds[-1]:.3g} s",
            (sizes[-1], seconds[-1]),
            xytext=(9, above),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=colour,
        )
    axes.set(xscale="log", yscale="log", xlabel="runs in the store", ylabel="seconds")
    axes.set_xlim(sizes[0] * 0.7, sizes[-1] * 12)
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()
    axes.set_title("Reading every run of a SQLite store into pandas", loc="left", fontsize=11)
    axes.grid(True, color="#e6e6e6")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(HERE.parent / "docs" / "images" / "growth.png")


if __name__ == "__main__":
    main()
