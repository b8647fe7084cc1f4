"""``qualia-lab doctor``: whether everything that a notebook needs is here, and what to do if not.

Each check is a function of the tracking URI that was given, listed in ``CHECKS``; it looks, and
changes nothing.
"""

from __future__ import annotations

import os
import platform
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qualia_lab import __version__, secrets, temporary
from qualia_lab.cli import console
from qualia_lab.errors import MissingPartError, OutputError, QualiaError, TemplateError
from qualia_lab.text import visible

if TYPE_CHECKING:
    from types import FrameType

EPILOG = """Examples:

\b
qualia-lab doctor
qualia-lab doctor --tracking-uri http://127.0.0.1:5000 --json

Exit codes: 0 all that is required is here; else that of the first check that failed: 2 a flag or a
template, 3 a missing part, 4 server unreachable, 5 not allowed, 6 no such store, 7 the output
folder can't be written.
"""

_PACKAGES = ("matplotlib", "mlflow", "nbclient", "nbformat", "pandas")
_OUTPUT = Path("notebooks")
_KERNEL_SECONDS = 60
_MOST = 500
_DETAILS = "Run it again with --verbose for the details."
_BUG = f"{_DETAILS} Where qualia-lab is at fault, please report it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a check found.

    ``ok`` is None for an optional part that is absent; ``advice`` says what to do where it is not
    True; ``exit_code`` is that of the error; ``name`` is the check's.
    """

    name: str = ""
    ok: bool | None
    found: str
    advice: str = ""
    exit_code: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Something to look at; ``look`` takes the ``--tracking-uri``, and may raise as well.

    ``advice`` is for errors of this project that bring none of their own.
    """

    name: str
    look: Callable[[str | None], Finding]
    advice: str = _DETAILS
    optional: bool = False


class ChecksFailedError(QualiaError):
    """Required checks failed; the exit code is that of the first one's error."""

    def __init__(self, failed: list[Finding], of: int) -> None:
        names = ", ".join(one.name for one in failed)
        super().__init__(f"{len(failed)} of {of} checks failed: {names}")
        self.exit_code = failed[0].exit_code


def doctor(
    tracking_uri: Annotated[
        str | None,
        typer.Option(
            metavar="URI", help="Default: MLFLOW_TRACKING_URI, then MLflow's own default."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show the traceback of an error.")
    ] = False,
) -> None:
    """Check what notebooks need: packages, the tracking store, a kernel, templates, a place.

    A line a check; below it what to do, where something is missing. Nothing is changed.
    """
    out = console.Console(verbose=verbose, as_json=as_json)
    findings = [_finding(check, tracking_uri, out) for check in CHECKS]
    failed = [one for one in findings if one.ok is False]
    rows = [
        {"name": one.name, "ok": one.ok, "found": one.found, "advice": one.advice}
        for one in findings
    ]
    lines = [line for one in findings for line in _lines(one)]
    out.result("\n".join(lines), {"ok": not failed, "checks": rows})
    if failed:
        raise ChecksFailedError(failed, len(CHECKS))


def _finding(check: Check, tracking_uri: str | None, out: console.Console) -> Finding:
    """What a check finds; whatever it raises is a finding too."""
    try:
        with out.waiting(f"Checking: {check.name}"):
            return replace(check.look(tracking_uri), name=check.name)
    except Exception as error:
        if out.verbose:
            console.print_to(sys.stderr, traceback.format_exc().rstrip())
        lacking = Finding(name=check.name, ok=None if check.optional else False, found=str(error))
        if isinstance(error, QualiaError):
            return replace(lacking, advice=error.hint or check.advice, exit_code=error.exit_code)
        said = f"{type(error).__name__}: {error}"
        return replace(lacking, found=said, advice=_BUG, exit_code=QualiaError.exit_code)


def _lines(finding: Finding) -> Iterator[str]:
    mark = "ok" if finding.ok else "--"
    optional = " (optional)" if finding.ok is None else ""
    yield f"{mark}  {finding.name}{optional}: {_line(finding.found)}"
    if finding.advice:
        yield f"      {_line(finding.advice)}"


def _line(text: str) -> str:
    # Without secrets first: one that is cut in half would be known no more.
    return visible(secrets.scrub(text), _MOST)


def _python(_: str | None) -> Finding:
    return Finding(
        ok=True,
        found=f"{platform.python_version()} ({sys.executable}), qualia-lab {__version__}",
    )


def _packages(_: str | None) -> Finding:
    found, missing = [], []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        raise MissingPartError(
            f"not installed: {', '.join(missing)}", hint=f"pip install {' '.join(missing)}"
        )
    return Finding(ok=True, found=", ".join(found))


def _tracking(tracking_uri: str | None) -> Finding:
    from qualia_lab.tracking import explorer, probe, schemas, uris
    from qualia_lab.tracking.client import ClientReader

    shown = uris.enter(tracking_uri or uris.default())
    client = ClientReader(shown)
    reader, slow = explorer.choose(client)
    kind = uris.store_type(shown)
    if kind == "http":
        what, read = "an MLflow server", "read through its REST API"
        if not slow:
            what = f"MLflow {probe.probe(client.full_uri)}"
    elif kind == "sqlite":
        what = f"a SQLite file of schema {schemas.require_sqlite_store(shown)}"
        read = "read by SQL"
    elif kind == "database":
        what, read = "a database", "read by SQL"
    else:
        what, read = "a file store" if kind == "file" else "a store", "read through MLflow"
    count = len(reader.experiments(deleted=False))
    said = (
        visible(shown, 200),
        visible(what, 100),
        console.count_of(count, "experiment"),
        slow or read,
    )
    return Finding(ok=True, found=", ".join(said))


def _kernel(_: str | None) -> Finding:
    from qualia_lab.notebook.execute import execute

    cell = _Node(cell_type="code", source="1 + 1", metadata=_Node(), outputs=[])
    notebook: Any = _Node(cells=[cell], metadata=_Node())
    again = "pip install --force-reinstall ipykernel"
    try:
        with temporary.folder() as folder, _at_most(_KERNEL_SECONDS):
            failure = execute(notebook, folder)
    except TimeoutError as error:
        raise MissingPartError(
            f"the Jupyter kernel did not answer within {_KERNEL_SECONDS} s", hint=again
        ) from error
    if failure:
        raise MissingPartError(f"the Jupyter kernel failed: {failure.error}", hint=again)
    said = [one.get("data", {}).get("text/plain") for one in cell["outputs"]]
    if said != ["2"]:
        raise MissingPartError(
            f"the Jupyter kernel answered {visible(repr(said), 80)} to 1 + 1",
            hint="Is there something in the IPython profile that changes what a cell shows?",
        )
    return Finding(ok=True, found="it starts and runs a cell")


class _Node(dict[str, Any]):
    """A notebook or cell as far as executing needs one: its keys are attributes too."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raise ``TimeoutError`` where a piece of work takes longer.

    A signal ends a wait for another thread, as Ctrl-C does. Windows has none that does; there the
    kernel client's own limit for the start, also a minute, has to be enough.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() != threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"it took longer than {seconds:g} s")

    handler = signal.signal(signal.SIGALRM, stop)
    timer = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)


def _jupyterlab(_: str | None) -> Finding:
    try:
        return Finding(ok=True, found=metadata.version("jupyterlab"))
    except metadata.PackageNotFoundError:
        return Finding(ok=None, found="not installed", advice="pip install jupyterlab")


def _browser(_: str | None) -> Finding:
    from qualia_lab.notebook.export_pdf import find

    if path := find():
        return Finding(ok=True, found=path)
    return Finding(
        ok=None,
        found="no Chromium, Chrome or Edge found",
        advice="Install one and put it on the PATH; without it everything but PDF works.",
    )


def _templates(_: str | None) -> Finding:
    from qualia_lab.notebook.catalogue import ENDING, Catalogue, bundled

    catalogue, folder = Catalogue(), bundled()
    names, files = catalogue.names(), sorted(folder.rglob(f"*{ENDING}"))
    looks = [partial(catalogue.kind, name) for name in names]
    faults = [*_faults(looks), *_faults([partial(_parse, file, folder) for file in files])]
    if faults:
        more = f" (and {len(faults) - 1:,} more)" if len(faults) > 1 else ""
        raise TemplateError(f"{faults[0]}{more}", hint=faults[0].hint or f"They are in {folder}")
    found = (console.count_of(len(names), "kind"), console.count_of(len(files), "section file"))
    return Finding(ok=True, found=", ".join(found))


def _faults(looks: Sequence[Callable[[], object]]) -> Iterator[TemplateError]:
    for look in looks:
        try:
            look()
        except TemplateError as error:
            yield error


def _parse(file: Path, folder: Path) -> None:
    """Raise ``TemplateError`` for a section file that can't be split or is no Jinja."""
    from qualia_lab.notebook import cells

    where = str(file.relative_to(folder))
    try:
        templates = cells.split(file.read_text(encoding="utf-8"), where)
    except (OSError, ValueError) as error:
        raise TemplateError(f"{where}: {error}") from error
    for template in templates:
        try:
            cells.render(template, {}, where)
        except TemplateError as error:
            # Here no values are given: one that is undefined is no fault, all else is.
            if type(error.__cause__).__name__ != "UndefinedError":
                raise


def _output(_: str | None) -> Finding:
    folder = _OUTPUT
    if folder.is_symlink() and not folder.exists():
        raise OutputError(f"{folder} is a link to nothing", hint="Remove it, or use -o/--output.")
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file, not a folder", hint="Move it, or use -o/--output.")
    place = folder if folder.exists() else Path.cwd()
    if not os.access(place, os.W_OK | os.X_OK):
        raise OutputError(
            f"{place.absolute()} can't be written",
            hint="Work in another folder, or use -o/--output.",
        )
    can = "can be written" if folder.exists() else "can be made"
    return Finding(ok=True, found=f"{folder} {can}")


def _telemetry(_: str | None) -> Finding:
    chosen = os.environ.get("MLFLOW_DISABLE_TELEMETRY", "true")
    if chosen.lower() in ("false", "0") and os.environ.get("DO_NOT_TRACK", "").lower() != "true":
        said = f"MLflow's is left on, as MLFLOW_DISABLE_TELEMETRY={chosen} asks"
    else:
        said = "none; MLflow's is turned off in qualia-lab's own process"
    return Finding(ok=True, found=said)


CHECKS: tuple[Check, ...] = (
    Check(name="Python", look=_python),
    Check(name="Packages", look=_packages),
    Check(name="Tracking store", look=_tracking, advice="Check --tracking-uri."),
    Check(name="Jupyter kernel", look=_kernel),
    Check(name="JupyterLab", look=_jupyterlab, optional=True),
    Check(name="Browser for PDF", look=_browser, optional=True),
    Check(name="Templates", look=_templates),
    Check(name="Output folder", look=_output),
    Check(name="Telemetry", look=_telemetry),
)
