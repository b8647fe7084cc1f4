"""Commands that write files, the files that they find, and what may be there afterwards."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from commands import CREATE
from stores import Run, curve, fill, run_id
from warm_commands import Ended, Warm

QUALIA = "qualia-lab"
TEMPORARY = ".qualia-tmp"
# A picture of one point.
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4"
    "2mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
# The file with which Python tries whether a folder is one for temp files: it stays when removing it
# fails.
PYTHONS_OWN = re.compile("[a-z0-9_]{8}")
REMEMBER = "from qualia_lab.cli.servers import remember; remember('http://127.0.0.1:5000/new')"
OLD_SERVERS = b'{"servers": ["http://127.0.0.1:5000/old"]}'
STATE = "state/qualia-lab/servers.json"

Files = dict[str, bytes]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the commands run: a store, a small kind of notebook, and a temp folder of their own."""

    root: Path
    temp: Path
    old: bytes
    executed: bytes

    def env(self, folder: Path) -> dict[str, str]:
        home = {"HOME": str(self.root / "home"), "XDG_STATE_HOME": str(folder / "state")}
        return {"TMPDIR": str(self.temp), **home}

    @property
    def everything(self) -> list[str]:
        return ["--tracking-uri", f"sqlite:///{self.root}/mlflow.db", "--all", "--no-input"]

    @property
    def small(self) -> list[str]:
        folder = str(self.root / "kinds")
        return [*self.everything, "--templates", folder, "--trust", "--kind", "small"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A command, the files that it finds, and whether it executes or prints.

    ``old`` gives the files that are there before, by their paths; ``between`` names files that the
    command writes twice.
    """

    name: str
    args: Callable[[Place], Sequence[str]]
    old: Callable[[Place], Files] = lambda place: {}
    program: str = CREATE
    slow: bool = False
    output: str = "n.ipynb"

    def __str__(self) -> str:
        return self.name


def _overwritten(place: Place) -> Files:
    return {"n.ipynb": place.old}


def _exported(ending: str) -> Callable[[Place], Files]:
    def old(place: Place) -> Files:
        files = {"e.ipynb": place.executed, f"e{ending}": b"old page\n"}
        return {**files, "e_files/old.png": b"old"} if ending == ".md" else files

    return old


def _export(to: str, *more: str) -> Callable[[Place], Sequence[str]]:
    return lambda place: ["export", "e.ipynb", "--to", to, "--overwrite", *more]


GENERATE = Case(name="generate", args=lambda place: [*place.everything, "-o", "new/n.ipynb"],
                output="new/n.ipynb")  # fmt: skip
OVERWRITE = Case(
    name="overwrite",
    args=lambda place: [*place.everything, "-o", "n.ipynb", "--overwrite"],
    old=_overwritten,
)
EXECUTE = Case(
    name="execute",
    args=lambda place: [*place.small, "-o", "n.ipynb", "--overwrite", "--execute"],
    old=_overwritten,
    slow=True,
)
SUMMARY = Case(
    name="summary",
    args=lambda place: [*place.small, "-o", "n.ipynb", "--overwrite", "--summary", "s/sum.md"],
    old=lambda place: {"n.ipynb": place.old, "s/sum.md": b"old findings\n"},
    slow=True,
    output="s/sum.md",
)
HTML = Case(name="html", args=_export("html"), old=_exported(".html"), program=QUALIA,
            output="e.html")  # fmt: skip
MARKDOWN = Case(name="markdown", args=_export("markdown"), old=_exported(".md"), program=QUALIA,
                output="e.md")  # fmt: skip
PDF = Case(name="pdf", args=_export("pdf"), old=_exported(".pdf"), program=QUALIA, slow=True,
           output="e.pdf")  # fmt: skip
SERVERS = Case(
    name="servers",
    args=lambda place: [REMEMBER],
    old=lambda place: {STATE: OLD_SERVERS},
    program="python",
    output=STATE,
)


@dataclass(kw_only=True)
class Scene:
    """A folder in which a case is played again and again."""

    place: Place
    case: Case
    folder: Path
    whole: dict[str, set[bytes]] = field(default_factory=dict)

    def reset(self) -> None:
        """The old files, and what was left half written."""
        kept = [one for one in self.folder.rglob("*") if one.name.endswith(TEMPORARY)]
        for one in self.folder.rglob("*"):
            if one.is_file() and one not in kept:
                one.unlink()
        for name, content in self.case.old(self.place).items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def run(self, warm: Warm, **how: object) -> Ended:
        """Run the command there; ``how`` as for ``Warm.run``."""
        env = {**self.place.env(self.folder), **how.pop("env", {})}  # type: ignore[dict-item]
        return warm.run(
            *self.case.args(self.place),
            cwd=self.folder,
            program=self.case.program,
            env=env,
            **how,  # type: ignore[arg-type]
        )

    def rehearse(self, warm: Warm) -> Ended:
        """The command undisturbed: what it writes is what a whole file is. Of two runs, the first
        of which imports, it gives the last."""
        for _ in range(1 if self.case.slow else 2):
            self.reset()
            done = self.run(warm)
            assert done.code == 0, done.err
        self.whole = {name: {content} for name, content in self.files().items()}
        if self.case in (EXECUTE, SUMMARY):  # which are written before they are executed, too
            args = [*self.place.small, "-o", "n.ipynb", "--overwrite"]
            self.reset()
            warm.run(*args, cwd=self.folder, env=self.place.env(self.folder))
            self.whole["n.ipynb"].add((self.folder / "n.ipynb").read_bytes())
        for name, content in self.case.old(self.place).items():
            self.whole.setdefault(name, set()).add(content)
        return done

    def files(self) -> Files:
        """What is there, temp files aside."""
        return {
            str(one.relative_to(self.folder)): one.read_bytes()
            for one in self.folder.rglob("*")
            if one.is_file() and not one.name.endswith(TEMPORARY)
        }  # fmt: skip

    def temporary(self) -> list[Path]:
        """What is left half written, temp folders included."""
        files = [one for one in self.folder.rglob("*") if one.name.endswith(TEMPORARY)]
        return files + [
            one for one in self.place.temp.iterdir()
            if any_in(one) and not PYTHONS_OWN.fullmatch(one.name)
        ]  # fmt: skip

    def broken(self) -> list[str]:
        """The files that are neither the old nor the new one; and old ones that are gone."""
        there = self.files()
        lost = [name for name in self.case.old(self.place) if name not in there]
        return lost + [name for name, content in there.items() if not self._is_whole(name, content)]

    def _is_whole(self, name: str, content: bytes) -> bool:
        if name.endswith(".pdf") and content.startswith(b"%PDF-"):  # it holds the time
            return content.rstrip().endswith(b"%%EOF")
        if name.startswith("n.ipynb.bak"):
            return content == self.place.old
        return content in self.whole.get(name, set())


def any_in(path: Path) -> bool:
    """Whether it is a file, or a folder with something in it."""
    return not path.is_dir() or any(path.iterdir())


def scene(place: Place, case: Case, folder: Path) -> Scene:
    """A folder for a case."""
    folder.mkdir(parents=True, exist_ok=True)
    return Scene(place=place, case=case, folder=folder)


@contextmanager
def made_place(root: Path, migrated: Path, warm: Warm) -> Iterator[Place]:
    """A store of three runs, and notebooks about them: one that a person edited, one executed."""
    shutil.copy(migrated, root / "mlflow.db")
    runs = [
        Run(run_id=run_id(number), name=f"run {number}", params={"lr": str(number)},
            metrics={"loss": curve([3, 2, 1 + number])})
        for number in range(3)
    ]  # fmt: skip
    fill(root / "mlflow.db", runs)
    kind = root / "kinds" / "small"
    kind.mkdir(parents=True)
    (root / "home").mkdir()
    sections = '[{file="_shared/title"}, {file="glance"}]'
    (kind / "kind.toml").write_text(f'title = "Small"\nsummary = "Small."\nsection = {sections}\n')
    (kind / "glance.py.j2").write_text(
        "# %%\nimport base64\n\nfrom IPython.display import Image, display\n\n"
        f'picture = base64.b64decode(\n    "{PNG}"\n)\ndisplay(Image(picture))\n'
        'print("text " * 4000)\n'
    )
    # Paths of sockets must be short, and those of tests are not.
    temp = Path(tempfile.mkdtemp(prefix="torture"))
    kind = root / "kinds" / "sleepy"
    kind.mkdir()
    (kind / "kind.toml").write_text(
        'title = "Sleepy"\nsummary = "Sleepy."\nsection = [{file="glance"}]\n'
    )
    (kind / "glance.py.j2").write_text(
        '# %%\nimport time\nfrom pathlib import Path\n\nPath("began").touch()\ntime.sleep(1000)\n'
    )
    bare = Place(root=root, temp=temp, old=b"", executed=b"")
    path = root / "made.ipynb"
    done = warm.run(*bare.small, "-o", str(path), cwd=root, env=bare.env(root))
    assert done.code == 0, done.err
    executed, edited = (nbformat.read(path, as_version=4) for _ in range(2))
    executed.cells[-1].outputs = [
        nbformat.v4.new_output("display_data", {"image/png": PNG}),
        nbformat.v4.new_output("stream", text="text " * 4000),
    ]
    edited.cells.append(nbformat.v4.new_markdown_cell("what I think " * 2000))
    old, new = (nbformat.writes(one).encode() for one in (edited, executed))
    try:
        yield Place(root=root, temp=temp, old=old, executed=new)
    finally:
        shutil.rmtree(temp, ignore_errors=True)
