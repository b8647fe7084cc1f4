"""Makes every kind of notebook about every store of a folder, as the command does, in one process.

    python make_all.py STORES OUT [NOTEBOOK]

OUT gets a notebook a kind and store, and of NOTEBOOK, an executed one, a page and a Markdown.
"""

import os
import signal
import sys
from pathlib import Path

from qualia_lab.cli import create, main
from qualia_lab.notebook.catalogue import Catalogue


def run(entry, *args: str) -> None:  # type: ignore[no-untyped-def]
    sys.argv = ["command", *args]
    try:
        entry()
    except SystemExit as stop:
        if stop.code:
            sys.exit(f"{args} ended with {stop.code}")
    signal.signal(signal.SIGINT, signal.default_int_handler)


stores, out = (Path(one).absolute() for one in sys.argv[1:3])
executed = [str(Path(one).absolute()) for one in sys.argv[3:]]
for store in sorted(stores.iterdir()):
    os.chdir(store)
    for kind in Catalogue().names():
        path = str(out / f"{store.name}-{kind}.ipynb")
        run(create.main, "--kind", kind, "--all", "--no-input", "--quiet", "--output", path)
for one in executed:
    for to, ending in (("html", "html"), ("markdown", "md")):
        run(main.main, "export", one, "--to", to, "--output", f"{out}/page.{ending}", "--quiet")
