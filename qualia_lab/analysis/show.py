"""What a cell can show besides a table: a note, a report of several tables, a figure."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure as _Figure
from matplotlib.text import Text

from qualia_lab.analysis.fonts import families_with, missing_glyphs
from qualia_lab.analysis.layout import Once
from qualia_lab.analysis.plain_axes import PlainAxes
from qualia_lab.analysis.plain_tables import table_html, table_text
from qualia_lab.text import markdown, visible

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

DPI = 120
# Okabe and Ito's colours, which colour-blind readers tell apart (jfly.uni-koeln.de/color), less
# yellow, which is too faint for lines on white; then the same with another line style.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINE_STYLES = ("-", "--", ":")
GREY = "#9a9a9a"
INK = "#333333"
_SIDE_BY_SIDE = "display: flex; flex-wrap: wrap; gap: 0 2.5em; align-items: flex-start"


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence or several lines that a cell shows. The text may come from anybody."""

    text: str

    def __repr__(self) -> str:
        return "\n".join(visible(line) for line in self.text.splitlines())

    def _repr_markdown_(self) -> str:
        return "  \n".join(markdown(line) for line in self.text.splitlines())


@dataclass(frozen=True, slots=True)
class Points:
    """A list of short statements, each under a word in bold. The text may come from anybody."""

    points: Sequence[tuple[str, str]]

    def __repr__(self) -> str:
        return "\n".join(f"{visible(word)}: {visible(text)}" for word, text in self.points)

    def _repr_markdown_(self) -> str:
        return "\n".join(f"- **{markdown(word)}**: {markdown(text)}" for word, text in self.points)


@dataclass(frozen=True, slots=True)
class Report:
    """Tables under their captions, and a last line for what there was nothing of."""

    tables: Sequence[tuple[str, pd.DataFrame]]
    absent: str = ""

    def __repr__(self) -> str:
        parts = [f"{caption}\n{table_text(table)}" for caption, table in self.tables]
        return "\n\n".join([*parts, self.absent]).strip()

    def _repr_html_(self) -> str:
        # The classes keep MathJax from typesetting what somebody logged between dollar signs.
        parts = [f'<div class="tex2jax_ignore mathjax_ignore" style="{_SIDE_BY_SIDE}">']
        for caption, table in self.tables:
            parts.append(f"<div><h4>{html.escape(caption)}</h4>{table_html(table)}</div>")
        parts.append("</div>")
        if self.absent:
            parts.append(f"<p><em>{html.escape(visible(self.absent))}</em></p>")
        return "\n".join(parts)


class Figure(_Figure):
    """A matplotlib figure that shows itself in any front end, whatever the backend.

    It belongs to no pyplot state, so that it is shown once and freed with its last name.
    """

    def __init__(self, alt: str, **keywords: Any) -> None:
        super().__init__(**{"dpi": DPI, "layout": Once(), "facecolor": "white", **keywords})
        self.alt = visible(alt)

    def add_subplot(self, *args: Any, **keywords: Any) -> Axes:
        """As matplotlib's, with ``PlainAxes``."""
        return super().add_subplot(*args, **{"axes_class": PlainAxes, **keywords})  # type: ignore[no-any-return]

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {"image/png": self.png(), "text/plain": self.alt}

    def png(self) -> bytes:
        """The figure as a picture of 256 colours: a third of the size of one of all colours."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from PIL import Image

        canvas = FigureCanvasAgg(self)
        missing = missing_glyphs(canvas.draw)
        if missing and (more := families_with(missing)):
            for text in self.findobj(Text):
                text.set_fontfamily([*text.get_fontfamily(), *more])
            # What no installed font has stays a box; that is all there is to say.
            missing_glyphs(canvas.draw)
        picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
        few = picture.quantize(method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        # Each colour is the mean of those that it stands for, and white is to stay white.
        paper = 3 * int(few.getpixel((0, 0)))  # type: ignore[arg-type]
        palette = few.getpalette() or []
        palette[paper : paper + 3] = [255, 255, 255]
        few.putpalette(palette)
        buffer = io.BytesIO()
        # The next level, which is the default, takes half as long again for a thirtieth less.
        few.save(buffer, format="png", dpi=(DPI, DPI), compress_level=5)
        return buffer.getvalue()


def show_what_hides() -> None:
    """From here on, tables that this notebook shows have escapes where a character hides or acts.

    Frames hold what was logged as it was, and pandas shows it so. Only how they are shown changes,
    and only here.
    """
    import pandas as pd
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None:
        return
    formatters = shell.display_formatter.formatters
    formatters["text/html"].for_type(pd.DataFrame, lambda frame: _revealed(frame._repr_html_()))
    for kind in (pd.DataFrame, pd.Series, pd.Index):
        formatters["text/plain"].for_type(
            kind, lambda value, printer, cycle: printer.text(_revealed(repr(value)))
        )


def _revealed(text: str | None) -> str | None:
    return None if text is None else "\n".join(visible(line) for line in text.split("\n"))


def dress(axes: Axes, title: str) -> None:
    """The look that all charts share."""
    axes.set_title(title, loc="left", fontsize=10, color=INK, parse_math=False, y=1.0)
    axes.grid(True, color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#bbbbbb")
    axes.tick_params(colors=INK, labelsize=8)
