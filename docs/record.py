"""Record the prompt: the real command at a real pseudo-terminal, as an SVG that plays by itself.

    make recording          # writes docs/images/prompt.svg

The keys below are pressed one after the other. What the terminal shows after each becomes a frame;
pyte, a terminal in Python, says which character stands where in which colour. A viewer that plays
no animation shows the list of runs.
"""

from __future__ import annotations

import contextlib
import fcntl
import html
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pyte

HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
COLUMNS, ROWS = 92, 29
DOWN, ENTER, TAB = "\x1b[B", "\r", "\t"

# A cell of the picture, in pixels.
WIDTH, HEIGHT, SIZE, MARGIN = 8.4, 19, 14, 16
BACKGROUND, FOREGROUND = "#1d1f21", "#d7dae0"
COLOURS = {
    "red": "#e06c75",
    "green": "#98c379",
    "brown": "#e5c07b",
    "blue": "#61afef",
    "magenta": "#c678dd",
    "cyan": "#56b6c2",
    "brightblack": "#8a919e",
    "black": "#5c6370",
    "white": "#d7dae0",
}


@dataclass(frozen=True, kw_only=True)
class Step:
    """Keys, what the terminal shows when they have done their work, and how long to look at it."""

    keys: str
    shows: str
    seconds: float = 1.6


STEPS = [
    Step(keys="", shows="Tracking server"),
    Step(keys=ENTER, shows="What kind of notebook?"),
    Step(keys=ENTER, shows="? Experiments"),
    Step(keys=ENTER, shows="Which runs?"),
    Step(keys=ENTER, shows="newest first", seconds=3),
    Step(keys=TAB, shows="Sort by"),
    Step(keys=DOWN, shows="❯ val_loss", seconds=0.7),
    Step(keys=ENTER, shows="best val_loss first", seconds=2),
    Step(keys="mlp", shows="/mlp", seconds=1.2),
    Step(keys=" ", shows="1 chosen", seconds=0.7),
    Step(keys=DOWN + " ", shows="2 chosen", seconds=0.7),
    Step(keys=DOWN + " ", shows="3 chosen"),
    Step(keys=ENTER, shows="Metric to rank runs by"),
    Step(keys=ENTER, shows="? Title:"),
    Step(keys=ENTER, shows="? Output:"),
    Step(keys=ENTER, shows="What next?"),
    Step(keys=DOWN + ENTER, shows="(Y/n)", seconds=3),
    Step(keys="y", shows="Same again:", seconds=5),
]
# Shown where nothing plays.
STILL = 7


class Terminal:
    """A command at a terminal."""

    def __init__(self, command: Sequence[str | Path], folder: Path) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
        env = {**kept, "TERM": "xterm", "HOME": str(folder), "PROMPT_TOOLKIT_NO_CPR": "1"}
        env.pop("CI", None)
        self.process = subprocess.Popen(  # noqa: S603 - a command of this project
            command, cwd=folder, env=env, stdin=slave, stdout=slave, stderr=slave
        )
        os.close(slave)
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self.screen)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # the command has ended
            while data := os.read(self._master, 65536):
                self._stream.feed(data)

    def take(self, step: Step) -> None:
        """Press the keys and wait for what they show."""
        os.write(self._master, step.keys.encode())
        end = time.monotonic() + 120
        while step.shows not in "\n".join(self.screen.display):
            if time.monotonic() > end:
                raise TimeoutError("\n".join(self.screen.display))
            time.sleep(0.05)
        time.sleep(0.3)  # the rest of the same paint


def frame(screen: pyte.Screen) -> str:
    """What a terminal shows, as SVG text: a line a row, a span a colour."""
    lines = []
    for row in range(screen.lines):
        cells = [screen.buffer[row][column] for column in range(screen.columns)]
        spans = []
        column = 0
        for (colour, bold), run in groupby(cells, key=lambda cell: (cell.fg, cell.bold)):
            text = "".join(cell.data for cell in run)
            fill = COLOURS.get(colour, FOREGROUND)
            weight = ' font-weight="bold"' if bold else ""
            # Words by themselves: SVG makes one blank of several.
            for word in re.finditer(r"\S+(?: \S+)*", text):
                x = MARGIN + (column + word.start()) * WIDTH
                length = len(word[0]) * WIDTH
                spans.append(
                    f'<tspan x="{x:.1f}" textLength="{length:.1f}" fill="{fill}"{weight}>'
                    f"{html.escape(word[0])}</tspan>"
                )
            column += len(text)
        if spans:
            y = MARGIN + (row + 1) * HEIGHT - 5
            lines.append(f'<text y="{y}">{"".join(spans)}</text>')
    return "\n".join(lines)


def animation(frames: Sequence[str], seconds: Sequence[float]) -> str:
    """The frames one after the other, for ever."""
    whole = sum(seconds)
    styles, groups = [], []
    start = 0.0
    for number, (drawn, long) in enumerate(zip(frames, seconds, strict=True)):
        begins, ends = 100 * start / whole, 100 * (start + long) / whole
        start += long
        still = "visible" if number == STILL else "hidden"
        styles.append(
            f"@keyframes k{number} {{ 0% {{ visibility: hidden }} {begins:.3f}% "
            f"{{ visibility: visible }} {ends:.3f}%, 100% {{ visibility: hidden }} }}\n"
            f".f{number} {{ visibility: {still}; "
            f"animation: k{number} {whole:.1f}s step-end infinite }}"
        )
        groups.append(f'<g class="f{number}">\n{drawn}\n</g>')
    width, height = COLUMNS * WIDTH + 2 * MARGIN, ROWS * HEIGHT + 2 * MARGIN
    style = "\n".join(styles)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'font-family="ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace" '
        f'font-size="{SIZE}">\n<style>\n{style}\n</style>\n'
        f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>\n'
        + "\n".join(groups)
        + "\n</svg>\n"
    )


def recorded(folder: Path) -> Iterator[tuple[str, float]]:
    """Each frame, and how long it stands."""
    seed = [BIN / "create-demo-runs", "--tracking-uri", "sqlite:///mlflow.db", "14"]
    subprocess.run(seed, cwd=folder, check=True, capture_output=True)  # noqa: S603 - as above
    terminal = Terminal([BIN / "create-observation-notebook"], folder)
    try:
        for step in STEPS:
            terminal.take(step)
            yield frame(terminal.screen), step.seconds
    finally:
        terminal.process.terminate()
        terminal.process.wait(timeout=30)


def main() -> None:
    """Write the picture."""
    with tempfile.TemporaryDirectory() as folder:
        frames, seconds = zip(*recorded(Path(folder)), strict=True)
    (HERE / "images" / "prompt.svg").write_text(animation(frames, seconds), encoding="utf-8")


if __name__ == "__main__":
    main()
