"""The images that runs logged, and sheets of pictures: many small ones in one, with their names.

Sheets are put together by Pillow: drawing pictures through a chart takes ten times as long.
"""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qualia_lab.analysis.labels import plain
from qualia_lab.analysis.show import INK, Note
from qualia_lab.errors import QualiaError
from qualia_lab.model import RunSet
from qualia_lab.text import visible

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

_ENDINGS = (".png", ".jpg", ".jpeg")
_MOST_IMAGES = 6
_MOST_BYTES = 20_000_000
_MOST_PIXELS = 50_000_000
_WIDTH = 420
_NARROWEST = 160
# Twenty runs with a sheet each leave room for charts in a notebook of 2 MB.
_SHEET_BYTES = 48_000
_COLOURS, _FEW_COLOURS = 256, 64
# What is drawn has fewer colours than this, what is photographed more.
_DRAWN_COLOURS = 16_384
_PALE = "#767676"
_LETTER, _GAP = 13, 10
# A wider sheet is shown smaller than it is, so its letters are larger.
_SHRUNK = 1000
# How MLflow names what log_image(key=..., step=...) logs; "%" stood for "+" before 2.15.
_STEPPED = re.compile(r"images/(?P<key>.+)[+%]step[+%](?P<step>\d+)[+%]timestamp[+%]\d+[+%].*")


@dataclass(frozen=True, slots=True, repr=False)
class Picture:
    """A PNG that shows itself in any front end; ``alt`` says in words what is on it."""

    png: bytes
    alt: str

    def __repr__(self) -> str:
        return self.alt

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {"image/png": self.png, "text/plain": self.alt}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One picture of a sheet, or in its place the words why there is none."""

    image: Image | None = None
    words: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What stands over a column of a sheet: two lines and a stroke in the colour of the run."""

    title: str
    detail: str = ""
    colour: str = INK


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Rows of pictures, each with a title (or an empty one), and lines below them all."""

    rows: Sequence[tuple[str, Sequence[Tile]]]
    heads: Sequence[Head] = ()
    notes: Sequence[str] = ()


def run_images(runs: RunSet, run_id: str) -> Picture | Note:
    """The PNG and JPEG images of a run, at most six, drawn small; what is left out is said.

    An image that is broken, larger than 20 MB or 50 megapixels, or can't be fetched is named with
    the reason. A note where there is none. Images of fewer than 210 pixels are enlarged by a whole
    factor; of 16-bit greys the upper 8 bits are shown.
    """
    try:
        listed = runs.artifacts(run_id)
    except QualiaError as error:
        return Note(f"The artifacts could not be listed: {error}")
    paths = [file.path for file in listed.files if is_image(file.path)]
    tiles: list[Tile] = []
    problems = [f"The artifacts: {listed.problem}"] if listed.problem else []
    if listed.cut:
        problems.append(f"Only the first {len(listed.files):,} artifacts were listed")
    for path in paths[:_MOST_IMAGES]:
        try:
            image = read_image(runs, run_id, path)
            tiles.append(Tile(image=image, title=plain(image_name(path), 60)))
        except ValueError as error:
            problems.append(f"{plain(path, 100)}: {plain(str(error), 200)}")
    if len(paths) > _MOST_IMAGES:
        problems.append(f"{len(tiles):,} of {len(paths):,} images shown")
    if not tiles:
        return Note("\n".join(problems) or "No images among the artifacts.")
    rows = [("", tiles[start : start + 2]) for start in range(0, len(tiles), 2)]
    names = ", ".join(tile.title for tile in tiles)
    alt = ". ".join([f"Images: {names}", *problems])
    return Picture(drawn(Sheet(rows=rows, notes=problems), _WIDTH, _SHEET_BYTES), visible(alt))


def is_image(path: str) -> bool:
    """Whether a file is one that is opened as an image, by its ending."""
    return path.lower().endswith(_ENDINGS)


def image_name(path: str) -> str:
    """The path, or of an image that was logged with a key and a step, those."""
    found = _STEPPED.fullmatch(path)
    return f"{found['key']}, step {found['step']}" if found else path


def image_step(path: str) -> tuple[str, int] | None:
    """The key and the step of an image that was logged with them."""
    found = _STEPPED.fullmatch(path)
    return (found["key"], int(found["step"][:18])) if found else None


def read_image(runs: RunSet, run_id: str, path: str) -> Image:
    """One image of a run, on white and no larger than it is drawn.

    Raises:
        ValueError: it is broken, too large, or can't be fetched; the text says which.
    """
    try:
        content = runs.read_artifact(run_id, path, _MOST_BYTES)
    except QualiaError as error:
        raise ValueError(str(error)) from error
    return _decoded(content)


def _decoded(content: bytes) -> Image:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # Pillow only warns of a decompression bomb up to twice its own limit; ours is lower.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image:
                if image.width * image.height > _MOST_PIXELS:
                    raise ValueError(f"{image.width:,} × {image.height:,} pixels are too many")
                return _on_white(image)
    except Exception as error:  # whatever a decoder makes of bytes that anybody can log
        raise ValueError(str(error) or type(error).__name__) from error


def _on_white(image: Image) -> Image:
    from PIL import Image

    image.draft("RGB", (2 * _WIDTH, 2 * _WIDTH))
    if image.mode.startswith("I"):
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    # Pillow picks pixels of images with a palette; it blends those of others.
    if image.mode in ("1", "P"):
        image.thumbnail((4 * _WIDTH, 4 * _WIDTH))
        image = image.convert("RGBA")
    image.thumbnail((_WIDTH, _WIDTH))
    if not image.has_transparency_data:
        return image.convert("RGB")
    colours = image.convert("RGBA")
    white = Image.new("RGB", colours.size, "white")
    white.paste(colours, mask=colours.getchannel("A"))
    return white


def drawn(sheet: Sheet, width: int, most_bytes: int) -> bytes:
    """A sheet as PNG, each picture at most ``width`` pixels wide; narrower where it is too large.

    It has 256 colours, so that charts keep all but their faintest shades; where it is too large,
    64. At a width of 160 pixels it may stay larger than ``most_bytes``.
    """
    content = _png(_composed(sheet, width), _COLOURS)
    while len(content) > most_bytes and width > _NARROWEST:
        smaller = int(width * (most_bytes / len(content)) ** 0.5)
        width = max(_NARROWEST, min(smaller, width - 20))
        content = _png(_composed(sheet, width), _FEW_COLOURS)
    return content


def _png(image: Image, colours: int) -> bytes:
    from PIL import Image

    if image.getcolors(_DRAWN_COLOURS) is None:
        # Five bits a channel: choosing a palette for more colours takes half a second.
        image = image.point([round((value >> 3) * 255 / 31) for value in range(256)] * 3)
    few = image.quantize(colours, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    few.save(buffer, "PNG")
    return buffer.getvalue()


def _composed(sheet: Sheet, width: int) -> Image:
    rows = [(title, [_fitted(tile, width) for tile in tiles]) for title, tiles in sheet.rows]
    across = max(len(tiles) for _, tiles in rows) * (width + _GAP) + _GAP
    pen = _Pen(_LETTER if across <= _SHRUNK else round(_LETTER * 1.25), width)
    notes = [line for note in sheet.notes for line in pen.wrapped(note, across - 2 * _GAP)]
    heights = [_height(title, tiles, pen.line) for title, tiles in rows]
    top = 2 * pen.line + _GAP if sheet.heads else _GAP // 2
    pen.begin(across, top + sum(heights) + pen.line * len(notes) + _GAP)
    for column, head in enumerate(sheet.heads):
        pen.stroke(column, head.colour)
        pen.write(head.title, column, _GAP)
        pen.write(head.detail, column, _GAP + pen.line, pale=True)
    for (title, tiles), height in zip(rows, heights, strict=True):
        _draw_row(pen, title, tiles, top)
        top += height
    for line in notes:
        pen.write(line, 0, top, pale=True, room=across)
        top += pen.line
    return pen.page


def _fitted(tile: Tile, width: int) -> Tile:
    """The same with its picture fitted to a width, and to the same height."""
    from PIL import Image

    if tile.image is None:
        return tile
    across, down = tile.image.size
    scale = min(width / across, width / down)
    scale = float(int(scale)) if scale >= 2 else min(scale, 1.0)
    size = max(1, round(across * scale)), max(1, round(down * scale))
    way = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.LANCZOS
    image = tile.image if size == tile.image.size else tile.image.resize(size, way)
    return replace(tile, image=image)


def _height(title: str, tiles: Sequence[Tile], line: int) -> int:
    pictures = max(tile.image.height if tile.image else line for tile in tiles)
    own = line if any(tile.title for tile in tiles) else 0
    return pictures + own + (line if title else 0) + _GAP


def _draw_row(pen: _Pen, title: str, tiles: Sequence[Tile], top: int) -> None:
    if title:
        pen.write(title, 0, top, room=pen.page.width - 2 * _GAP)
        top += pen.line
    below = top + (pen.line if any(tile.title for tile in tiles) else 0)
    for column, tile in enumerate(tiles):
        pen.write(tile.title, column, top)
        if tile.image is not None:
            pen.page.paste(tile.image, (pen.left(column), below))
        else:
            pen.write(tile.words, column, below, pale=True)


class _Pen:
    """Writes on a page of columns, in letters of one size; what does not fit is cut."""

    def __init__(self, letter: int, width: int) -> None:
        self.line = letter + 5
        self._width = width
        self._font, self._small = _font(letter), _font(letter - 1)

    def begin(self, across: int, down: int) -> None:
        """A white page."""
        from PIL import Image, ImageDraw

        self.page = Image.new("RGB", (across, down), "white")
        self._draw = ImageDraw.Draw(self.page)

    def left(self, column: int) -> int:
        """Where a column begins."""
        return _GAP + column * (self._width + _GAP)

    def stroke(self, column: int, colour: str) -> None:
        """A line along the top of a column."""
        left = self.left(column)
        self._draw.rectangle((left, 3, left + self._width - 1, 6), fill=colour)

    def write(self, text: str, column: int, top: int, pale: bool = False, room: int = 0) -> None:
        """A line of text, by default no wider than the column."""
        font = self._small if pale else self._font
        shown = _cut(text, font, room or self._width)
        self._draw.text((self.left(column), top), shown, fill=_PALE if pale else INK, font=font)

    def wrapped(self, text: str, room: int) -> list[str]:
        """The text in lines that fit."""
        letters = max(20, int(room / self._small.getlength("n")))
        return textwrap.wrap(visible(text), letters)


def _cut(text: str, font: FreeTypeFont, width: int) -> str:
    """What fits into a width: the beginning and twice as much of the end, where paths differ."""
    if font.getlength(text) <= width:
        return text
    for kept in range(len(text) - 1, 0, -1):
        end = 2 * kept // 3
        short = f"{text[: kept - end]}…{text[len(text) - end :]}"
        if font.getlength(short) <= width:
            return short
    return ""


@lru_cache(maxsize=4)
def _font(size: int) -> FreeTypeFont:
    from matplotlib import get_data_path
    from PIL import ImageFont

    path = Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    # The layout that is everywhere: the same picture on every machine.
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)
