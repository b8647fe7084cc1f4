"""Draw docs/gallery.md: every section of the demo notebook as a picture.

    make gallery

Trains the demo runs, writes and executes their notebook, exports it without its code, opens the
page in Chromium and takes a picture of each section. The pages as they look in a wide and in a
narrow window, and the first screen for the README, are taken on the way.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from refresh import run

HERE = Path(__file__).resolve().parent
IMAGES = HERE / "images"
sys.path.insert(0, str(HERE.parent / "tests"))

import browser  # noqa: E402 - it lies with the tests, which drive it too

WIDE, NARROW, HIGH = 1280, 390, 1060
# Sections are cut where they grow long; the page itself holds all.
TALLEST = 1900
# What the sections show, in the order of the notebook, by the anchor of their heading.
SHOWN = {
    "at-a-glance": """The answer first: which run is best and by how much, which setting is best and
whether that is more than noise, which param goes with it, and what to watch out for.""",
    "overview": """What stands out, how each run ended and what it logged, when the runs ran, and
which went wrong after how long.""",
    "comparison": """Only the params that differ, with those that are the same in one line; the
metrics side by side with the best marked and the difference to a baseline; where each run was at
its best.""",
    "repeated-runs": """Runs that differ in nothing but a seed, folded: mean, spread, an interval,
a test against the baseline, and curves with bands.""",
    "curves": """Each metric as it went, held-out and training data on one chart; the best point
ringed, divergence marked.""",
    "search-space": """How much each param matters, and whether so few runs can tell; the metric
against each param; parallel coordinates; what was tried; the runs that no other beats in both of
two metrics.""",
    "trend": "The metric over the runs as they were started, and the best up to each.",
    "nested-runs": "The tree of parents and children, with the best of the children.",
    "artifacts": """Images, tables and texts that several runs logged at the same path, side by
side; every other file with its size.""",
    "system-metrics": "What the machine did meanwhile.",
    "models-and-data": """Data sets and whether the runs used the same, logged and registered
models, commits, and the packages in which environments differ.""",
}


def main() -> None:
    """Make everything anew."""
    if browser.PROGRAM is None:
        sys.exit(browser.WHY_NOT)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        page = demo_page(folder)
        with browser.opened(page.as_uri(), folder / "profile") as shown:
            pictures = take(shown, folder)
    lines = ["# Gallery", "", INTRO, ""]
    for anchor, (heading, cut) in pictures.items():
        lines += [f"## {heading}", "", SHOWN[anchor], ""]
        lines += [f"![The section {heading} of the demo notebook](images/gallery-{anchor}.png)", ""]
        lines += ["The picture is cut; the section goes on.", ""] if cut else []
    (HERE / "gallery.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


INTRO = """Each section of the observation notebook, as `make gallery` took it from the page that
`--export html --no-code` writes of the demo runs: real training of small networks on scikit-learn's
digits, with one run that fails, one that never ended and two that diverge. In the notebook every
figure stands under the one to three lines of code that made it. After these sections comes one for
each run, then room for your own work.

The same page in a wide and in a narrow window:

![The page in a wide window: contents at the left, text and figures beside](images/page-wide.png)
![The page in a narrow window: one column](images/page-narrow.png)"""


def demo_page(folder: Path) -> Path:
    """The demo notebook as a page."""
    run("create-demo-runs", folder)
    said = run(
        "create-observation-notebook --all --no-input --json -o observation.ipynb "
        "--export html --no-code 2>log || cat log",
        folder,
    )
    record: dict[str, Any] = json.loads(said.splitlines()[-1])
    return folder / record["exports"][0]


def take(page: browser.Page, folder: Path) -> dict[str, tuple[str, bool]]:
    """A picture of each section: heading by anchor, and whether it was cut."""
    for width, name in ((NARROW, "page-narrow"), (WIDE, "page-wide")):
        page.resize(width, HIGH)
        page.screenshot(folder / "shot.png")
        save(folder / "shot.png", IMAGES / f"{name}.png")
    found = {}
    for anchor in SHOWN:
        # From the heading to the next of its rank.
        place = page.evaluate(f"""(() => {{
            const heading = document.getElementById({json.dumps(anchor)});
            const all = [...document.querySelectorAll('main h2')];
            const next = all[all.indexOf(heading) + 1];
            const main = document.querySelector('main').getBoundingClientRect();
            const top = heading.getBoundingClientRect().bottom + scrollY;
            const end = next.getBoundingClientRect().top + scrollY;
            return [main.left, top, main.width, end - top, heading.textContent];
        }})()""")
        left, top, width, height, heading = place
        clip = {"x": left, "y": top, "width": width, "height": min(height, TALLEST)}
        page.screenshot(folder / "shot.png", clip)
        save(folder / "shot.png", IMAGES / f"gallery-{anchor}.png")
        found[anchor] = (heading, height > TALLEST)
    return found


def save(shot: Path, path: Path) -> None:
    """256 colours: a third of the size. Chosen for cover, or faint lines would be white."""
    few = Image.open(shot).convert("RGB").quantize(method=Image.Quantize.MAXCOVERAGE, dither=0)
    few.save(path, optimize=True)


if __name__ == "__main__":
    main()
