"""The images that runs logged."""

from __future__ import annotations

import io
import math
import warnings

import numpy as np

from qualia_lab.analysis.labels import plain
from qualia_lab.analysis.show import INK, Figure, Note
from qualia_lab.errors import QualiaError
from qualia_lab.model import RunSet

_ENDINGS = (".png", ".jpg", ".jpeg")
_MOST_IMAGES = 6
_MOST_BYTES = 20_000_000
_MOST_PIXELS = 50_000_000
_WIDEST = 1000


def run_images(runs: RunSet, run_id: str) -> Figure | Note:
    """The PNG and JPEG images of a run, at most six, drawn small; what is left out is said.

    An image that is broken, larger than 20 MB or 50 megapixels, or can't be fetched is named with
    the reason. A note where there is none.
    """
    try:
        listed = runs.artifacts(run_id)
    except QualiaError as error:
        return Note(f"The artifacts could not be listed: {error}")
    paths = [file.path for file in listed.files if file.path.lower().endswith(_ENDINGS)]
    images: dict[str, np.ndarray] = {}
    problems = []
    for path in paths[:_MOST_IMAGES]:
        try:
            images[path] = _pixels(runs.read_artifact(run_id, path, _MOST_BYTES))
        except (QualiaError, ValueError) as error:
            problems.append(f"{plain(path, 100)}: {plain(str(error), 200)}")
    if len(paths) > _MOST_IMAGES:
        problems.append(f"{_MOST_IMAGES} of {len(paths):,} images shown")
    if not images:
        return Note("\n".join(problems) or "No images among the artifacts.")
    return _grid(images, problems)


def _pixels(content: bytes) -> np.ndarray:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # Pillow only warns of a decompression bomb up to twice its own limit; ours is lower.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image:
                if image.width * image.height > _MOST_PIXELS:
                    raise ValueError(f"{image.width:,} × {image.height:,} pixels are too many")
                image.thumbnail((_WIDEST, _WIDEST))
                return np.asarray(image.convert("RGBA"))
    except Exception as error:  # whatever a decoder makes of bytes that anybody can log
        raise ValueError(str(error) or type(error).__name__) from error


def _grid(images: dict[str, np.ndarray], problems: list[str]) -> Figure:
    columns = min(2, len(images))
    rows = math.ceil(len(images) / columns)
    names = [plain(path, 60) for path in images]
    figure = Figure(alt=f"Images: {', '.join(names)}", figsize=(4.2 * columns, 3.6 * rows))
    for place, (name, pixels) in enumerate(zip(names, images.values(), strict=True), 1):
        axes = figure.add_subplot(rows, columns, place)
        axes.imshow(pixels)
        axes.set_axis_off()
        axes.set_title(name, fontsize=8, color=INK, parse_math=False)
    if problems:
        figure.supxlabel("\n".join(problems), fontsize=8, color=INK, parse_math=False)
    return figure
