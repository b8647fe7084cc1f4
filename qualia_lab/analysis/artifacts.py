"""The artifacts of several runs: which there are, and images of the same path side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import pandas as pd

from qualia_lab.analysis.images import (
    Head,
    Picture,
    Sheet,
    Tile,
    drawn,
    image_step,
    is_image,
    read_image,
)
from qualia_lab.analysis.labels import how_large, number, plain, run_labels
from qualia_lab.analysis.show import Note
from qualia_lab.analysis.styles import OTHERS, run_styles
from qualia_lab.analysis.values import best_order
from qualia_lab.model import Artifact, Listed, RunSet
from qualia_lab.table_files import NOTED, noted
from qualia_lab.text import visible

_MOST_COLUMNS, _MOST_PATHS = 6, 4
_SHEET_WIDTH, _WIDEST, _SHEET_BYTES = 1400, 420, 160_000
_MOST_LISTED_PATHS = 200
_KINDS = {
    "image": (".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg", ".bmp", ".tif", ".tiff"),
    "table": (".csv", ".tsv", ".parquet", ".arrow", ".feather", ".xlsx"),
    "text": (".txt", ".md", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".log", ".py", ".diff"),
    "json": (".json", ".jsonl"),
    "page": (".html", ".htm", ".pdf"),
    "notebook": (".ipynb",),
    "model": (".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt", ".h5", ".keras", ".onnx",
              ".safetensors", ".skops", ".bin"),
    "archive": (".zip", ".tar", ".gz", ".tgz", ".whl"),
}  # fmt: skip


def listed(runs: RunSet, run_ids: Iterable[str]) -> Listed:
    """The artifacts of the first 50 of these runs; one request a run, one after the other."""
    return runs.listed(list(run_ids))


def noted_tables(runs: RunSet, run_id: str) -> set[str]:
    """The paths of a run that MLflow notes as tables, in a tag that anybody can write."""
    return noted(runs.tags.at[run_id, NOTED]) if NOTED in runs.tags else set()


def list_artifacts(runs: RunSet) -> pd.DataFrame:
    """Which files there are over all runs: a row a path, sorted.

    Returns:
        ``runs``: how many of those listed have it; ``smallest`` and ``largest`` size; ``kind``, by
        its ending. Images that were logged with a key and a step are one row a key. At most 200
        paths and 50 runs; what is left out is said over the index, as the name of the columns.
    """
    found = listed(runs, best_order(runs, None))
    tables = {path for run_id in found.files for path in noted_tables(runs, run_id)}
    having: dict[str, set[str]] = {}
    sizes: dict[str, list[int]] = {}
    kinds: dict[str, str] = {}
    for run_id, files in found.files.items():
        for path, file in files.items():
            step = image_step(path)
            name = f"images/{step[0]}, each step" if step else path
            having.setdefault(name, set()).add(run_id)
            sizes.setdefault(name, []).extend([] if file.size is None else [file.size])
            kinds[name] = "table" if path in tables else _kind(path)
    names = sorted(having)
    kept = names[:_MOST_LISTED_PATHS]
    cut = [f"{len(kept):,} of {len(names):,} paths"] if len(kept) < len(names) else []
    table = pd.DataFrame(
        {
            "runs": [len(having[name]) for name in kept],
            "smallest": [how_large(min(sizes[name], default=None)) for name in kept],
            "largest": [how_large(max(sizes[name], default=None)) for name in kept],
            "kind": [kinds[name] for name in kept],
        },
        index=pd.Index([plain(name, 100) for name in kept], dtype="object"),
    )
    about = "; ".join([*cut, *found.told]) or f"of {how_many(len(runs))}"
    return table.rename_axis(columns=about)


def compare_images(runs: RunSet, metric: str | None = None) -> Picture | Note:
    """Images of the same path side by side: a row a path, a column a run.

    Args:
        runs: the runs; of more than six that have such images the best by ``metric`` are shown
            (the first six where it is None or which end is better is not known).
        metric: its last value stands below a run's name.

    Returns:
        At most four paths, those that most runs have; a path that one run has does not count. Of
        images logged with a key and a step, the last step of each key. What is left out or can't
        be opened (as for ``run_images``) is said. A note where there is nothing to compare.
    """
    order = best_order(runs, metric)
    found = listed(runs, order)
    of_run = {run_id: _last_images(files) for run_id, files in found.files.items()}
    counts = Counter(name for images in of_run.values() for name in images)
    shared = sorted((name for name, n in counts.items() if n > 1), key=lambda n: (-counts[n], n))
    if not shared:
        why = "No two runs have an image of the same path, so none are side by side."
        how = 'To log some: mlflow.log_figure(figure, "plots/confusion_matrix.png")'
        return Note("\n".join([why, *left_out(found.told), how]))
    paths = shared[:_MOST_PATHS]
    having = [run_id for run_id in of_run if any(path in of_run[run_id] for path in paths)]
    columns = having[:_MOST_COLUMNS]
    paths = [path for path in paths if sum(path in of_run[run_id] for run_id in columns) > 1]
    told = []
    if len(columns) < len(having):
        told.append(f"{len(columns)} of {len(having):,} runs that have them, {which(runs, metric)}")
    if len(paths) < len(shared):
        told.append(f"{len(paths)} of {len(shared):,} images that runs share")
    rows, problems = _tiles(runs, of_run, columns, paths)
    heads = _heads(runs, columns, metric)
    notes = ["; ".join([*told, *found.told]), *problems]
    width = min(_WIDEST, _SHEET_WIDTH // len(columns))
    sheet = Sheet(rows=rows, heads=heads, notes=[note for note in notes if note])
    names = ", ".join(head.title for head in heads)
    paths_shown = ", ".join(title for title, _ in rows)
    alt = f"Images of {len(columns)} runs side by side ({names}): {paths_shown}"
    alt = ". ".join([alt, *sheet.notes])
    return Picture(drawn(sheet, width, _SHEET_BYTES), visible(alt))


def _last_images(files: Mapping[str, Artifact]) -> dict[str, str]:
    """What an image is called in every run -> its path in this one."""
    found: dict[str, str] = {}
    steps: dict[str, int] = {}
    for path in files:
        if not is_image(path):
            continue
        key, step = image_step(path) or ("", 0)
        name = f"images/{key}, last step" if key else path
        if step >= steps.get(name, step):
            found[name], steps[name] = path, step
    return found


def _tiles(
    runs: RunSet, of_run: Mapping[str, Mapping[str, str]], columns: list[str], paths: list[str]
) -> tuple[list[tuple[str, list[Tile]]], list[str]]:
    labels = run_labels(runs)
    rows, problems = [], []
    for name in paths:
        tiles = []
        for run_id in columns:
            path = of_run[run_id].get(name)
            if path is None:
                tiles.append(Tile(words="not logged"))
                continue
            try:
                tiles.append(Tile(image=read_image(runs, run_id, path)))
            except ValueError as error:
                tiles.append(Tile(words="can't be shown"))
                why = plain(str(error), 200)
                problems.append(f"{plain(name, 100)} of {plain(labels[run_id])}: {why}")
        rows.append((plain(name, 80), tiles))
    return rows, problems


def _heads(runs: RunSet, columns: list[str], metric: str | None) -> list[Head]:
    labels, styles = run_labels(runs), run_styles(runs, metric)
    known = metric is not None and metric in runs.metric_names
    values = dict(runs.metrics[metric][runs.logged[metric]]) if known else {}
    heads = []
    for run_id in columns:
        detail = f"{plain(metric)} {number(values[run_id])}" if run_id in values else ""
        colour = styles.get(run_id, OTHERS).colour
        heads.append(Head(title=plain(labels[run_id], 60), detail=detail, colour=colour))
    return heads


def left_out(told: Iterable[str]) -> list[str]:
    """What is left out as one sentence, or none where there is nothing."""
    text = "; ".join(told)
    return [f"Left out or cut: {text}."] if text else []


def which(runs: RunSet, metric: str | None) -> str:
    """Which runs the first of ``best_order`` are, in words."""
    known = metric is not None and metric in runs.metric_names and runs.direction(metric)
    return f"the best by {plain(metric)}" if known else "the first"


def how_many(count: int) -> str:
    """So many runs, in words that fit the number."""
    return f"{count:,} run{'' if count == 1 else 's'}"


def _kind(path: str) -> str:
    name = path.rpartition("/")[2].lower()
    ending = f".{name.rpartition('.')[2]}" if "." in name else ""
    known = next((kind for kind, endings in _KINDS.items() if ending in endings), "")
    return known or plain(ending[1:], 12)
