"""The prompt at a real pseudo-terminal: how long a person waits for it.

    python benchmarks/prompt.py            # 100,000 runs; builds the store, which takes minutes

Measured from outside, on the bytes that reach the terminal: the first question after the command is
started, the list of the newest 1,000 of 100,000 runs after its experiment is chosen, and each of 60
keys until what it changes is painted. A bare Python and one that imports MLflow stand beside it.
Writes a table to benchmarks/PROMPT.md.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import pty
import re
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from reading import machine
from stores import wide_store

HERE = Path(__file__).resolve().parent
COMMAND = Path(sys.executable).parent / "create-observation-notebook"
ESCAPES = re.compile(rb"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[()][A-Z0-9]|[=>78])")
DOWN, ENTER, CTRL_C = b"\x1b[B", b"\r", b"\x03"
ROUNDS = 7
KEYS = [DOWN] * 40 + [b"r", b"u", b"n", b"-", b"9"] + [b"\x7f"] * 5 + [b" ", DOWN] * 5


class Terminal:
    """A command at a terminal of 120 columns and 40 lines."""

    def __init__(self, master: int) -> None:
        self._master = master
        self.seen = b""
        self._more = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # the other side is closed
            while data := os.read(self._master, 65536):
                self.seen += data
                self._more.set()

    def press(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def until(self, is_there: Callable[[bytes], bool], since: int = 0) -> float:
        """Seconds until what came after ``since`` is so."""
        start = time.perf_counter()
        while not is_there(ESCAPES.sub(b"", self.seen[since:])):
            self._more.clear()
            if not self._more.wait(60):
                raise TimeoutError(self.seen[-2000:])
        return time.perf_counter() - start


@contextlib.contextmanager
def terminal(folder: Path, path: Path) -> Iterator[tuple[Terminal, float]]:
    """The command at its first question, and after how many seconds it stood there."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    kept = {name: os.environ[name] for name in ("PATH",) if name in os.environ}
    env = {**kept, "HOME": str(folder), "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
    env["MLFLOW_TRACKING_URI"] = f"sqlite:///{path}"
    started = time.perf_counter()
    process = subprocess.Popen(
        [COMMAND], cwd=folder, env=env, stdin=slave, stdout=slave, stderr=slave
    )
    os.close(slave)
    it = Terminal(master)
    try:
        it.until(lambda seen: b"MLFLOW_TRACKING_URI" in seen)
        yield it, time.perf_counter() - started
    finally:
        it.press(CTRL_C)
        process.wait(timeout=30)
        os.close(master)


def answered(it: Terminal, keys: bytes, shows: bytes) -> float:
    """Seconds from keys until the terminal shows something."""
    since = len(it.seen)
    it.press(keys)
    return it.until(lambda seen: shows in seen, since)


def one_round(folder: Path, path: Path) -> dict[str, list[float]]:
    with terminal(folder, path) as (it, first):
        time.sleep(1.5)  # the person reads
        server = answered(it, ENTER, b"What kind of notebook?")
        experiments = answered(it, ENTER, b"Experiments")
        listing = answered(it, b"bench" + ENTER, b"Which runs?")
        shown = answered(it, ENTER, b"space: choose")
        keys = []
        for key in KEYS:
            time.sleep(0.03)
            since = len(it.seen)
            it.press(key)
            keys.append(it.until(lambda seen: len(seen) > 0, since))
    return {
        "first question": [first],
        "server checked, experiments counted": [server],
        "kind chosen, experiments listed": [experiments],
        "newest 1,000 of 100,000 runs listed": [listing + shown],
        "a key in that list": keys,
    }


def of_python(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def main() -> None:
    """Print the table, and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stores", type=Path, help="keep the store here, for the next time")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        stores = args.stores or Path(temporary)
        stores.mkdir(parents=True, exist_ok=True)
        path = wide_store(stores, 100_000)
        found: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            found.setdefault("(a bare Python)", []).append(of_python("pass"))
            found.setdefault("(Python and `import mlflow`)", []).append(of_python("import mlflow"))
            for name, seconds in one_round(Path(temporary), path).items():
                found.setdefault(name, []).extend(seconds)
    goals = {
        "first question": "0.7 s",
        "newest 1,000 of 100,000 runs listed": "1 s",
        "a key in that list": "50 ms",
    }
    lines = ["| wait for | median, ms | longest, ms | goal |", "|---|---|---|---|"]
    for name, seconds in found.items():
        median, longest = statistics.median(seconds) * 1000, max(seconds) * 1000
        lines.append(f"| {name} | {median:,.0f} | {longest:,.0f} | {goals.get(name, '')} |")
    table = "\n".join(lines)
    print(table)
    intro = "# The prompt\n\nWritten by `make bench`; what is measured and how: [prompt.py](prompt.py). "
    intro += f"{ROUNDS} rounds.\n\n{machine()}\n\n"
    (HERE / "PROMPT.md").write_text(intro + table + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
