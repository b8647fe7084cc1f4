"""Run a notebook in a fresh kernel of this very Python, cell by cell."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qualia_lab import leftovers, temporary
from qualia_lab.errors import MissingPartError
from qualia_lab.text import visible

if TYPE_CHECKING:
    from nbformat import NotebookNode

_CELL_SECONDS = 600
_SOCKETS = 5
# With its default thresholds Python looks several times through all that pandas and matplotlib make
# on import, of which nothing ever goes: an eighth of the time that a notebook of 20 runs takes. To
# freeze all that would save half a second more as the kernel ends, but one time in five a file that
# a cell left open in a cycle of objects was then not flushed.
_KERNEL = ("--IPKernelApp.exec_lines=import gc; gc.set_threshold(50_000, 20, 20); del gc",)


@dataclass(frozen=True, slots=True, kw_only=True)
class CellFailure:
    """The cell that stopped the notebook: its number among the code cells, heading and error."""

    number: int
    of: int
    heading: str
    error: str


def execute(
    notebook: NotebookNode,
    folder: Path,
    on_cell: Callable[[int, int, str], None] | None = None,
) -> CellFailure | None:
    """Run the code cells from top to bottom and store their outputs in ``notebook``.

    Args:
        notebook: changed in place.
        folder: where the kernel runs, as Jupyter would run it: the notebook's own folder.
        on_cell: called before each code cell with its number from 1, how many there are, and the
            heading above it.

    Returns:
        The first cell that raised, after which nothing was run; None when all ran.

    Raises:
        MissingPartError: no kernel could be started.
    """
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    numbers = _numbers(notebook)
    current = [min(numbers, default=0)]

    def start(cell: Any, cell_index: int) -> None:
        if cell_index in numbers:
            current[0] = cell_index
            if on_cell:
                number, heading = numbers[cell_index]
                on_cell(number, len(numbers), heading)

    language = notebook.metadata.get("language_info")
    with temporary.folder() as sockets:
        log = sockets / "kernel.log"
        client = _client(notebook, folder, sockets, start)
        try:
            _run(client, log)
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            number, heading = numbers[current[0]]
            return CellFailure(number=number, of=len(numbers), heading=heading, error=_said(error))
        except RuntimeError as error:  # it died before it could be asked anything
            said = log.read_text(errors="replace").strip().splitlines() or [str(error)]
            raise MissingPartError(
                f"the Jupyter kernel did not start: {visible(said[-1], 300)}",
                hint="pip install --force-reinstall ipykernel",
            ) from error
        finally:
            # The kernel is gone; nbclient would look for it once more as Python ends, and complain.
            atexit.unregister(client._cleanup_kernel)
            # The kernel's exact Python version would differ from machine to machine.
            notebook.metadata["language_info"] = language
    return None


def _run(client: Any, log: Path) -> None:
    """Execute in a thread of its own, and shut the kernel down when this one is interrupted.

    In the main thread nbclient takes Ctrl-C for itself and reports a dead kernel.
    """
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = []

    async def work() -> None:
        task = asyncio.current_task()
        if task:
            running.append((asyncio.get_running_loop(), task))
        with log.open("wb") as file:
            try:
                await client.async_execute(stderr=file)
            finally:
                # nbclient leaves these open to a kernel that died before it answered.
                if client.kc is not None and client.kc.channels_running:
                    client.kc.stop_channels()
                    await client.km.cleanup_resources()

    with (
        ThreadPoolExecutor(1) as pool,
        _second_interrupt_waits() as hold,
        leftovers.program(lambda: _pid(client)),
    ):
        done = pool.submit(asyncio.run, work())
        try:
            done.result()
        except BaseException:
            if not done.done():
                hold()
                _stop(client, running)
            wait([done])
            raise


@contextlib.contextmanager
def _second_interrupt_waits() -> Iterator[Callable[[], object]]:
    """What it gives makes Ctrl-C wait until the kernel is cleaned up after."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    before = signal.getsignal(signal.SIGINT)
    try:
        yield lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)
    finally:
        signal.signal(signal.SIGINT, before)


def _stop(
    client: Any, running: Sequence[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]]
) -> None:
    """Kill the kernel at once, so that cleaning up after it is quick."""
    pid = _pid(client)
    if pid and os.name == "posix":
        leftovers.kill(pid)
        process = getattr(client.km.provisioner, "process", None)
        if process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
    for loop, task in running:
        loop.call_soon_threadsafe(task.cancel)


def _pid(client: Any) -> int | None:
    """The process of the kernel, which heads a process group; None while there is none."""
    return getattr(getattr(client.km, "provisioner", None), "pid", None)


def _client(notebook: NotebookNode, folder: Path, sockets: Path, start: Callable[..., None]) -> Any:
    from jupyter_client.asynchronous import AsyncKernelClient
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from zmq import IPC_PATH_MAX_LEN

    class Client(AsyncKernelClient):  # type: ignore[misc]
        def start_channels(self, *args: bool, **kwargs: bool) -> None:
            # Its process shows whether the kernel lives. The thread of a heartbeat would trip over
            # sockets that Ctrl-C closes under it, and complain.
            super().start_channels(*args, **{**kwargs, "hb": False})

    # With no folders to look in, "python3" is the kernel of the Python that runs this, whatever a
    # person has registered under that name.
    class Manager(AsyncKernelManager):  # type: ignore[misc]
        def _kernel_spec_manager_default(self) -> Any:
            return KernelSpecManager(kernel_dirs=[], allowed_kernelspecs={"python3"})

        def _client_factory_default(self) -> Any:
            return Client

        def _transport_default(self) -> str:
            # No port that others on this machine could listen on. A path to a socket must be short,
            # which that of the temp folder may not be.
            longest = f"{sockets / 'kernel-ipc-'}{_SOCKETS}"
            fits = len(os.fsencode(longest)) <= IPC_PATH_MAX_LEN
            return "ipc" if os.name == "posix" and fits else "tcp"

        def _connection_file_default(self) -> str:
            return str(sockets / "kernel.json")

    return NotebookClient(
        notebook,
        kernel_manager_class=Manager,
        kernel_name="python3",
        timeout=_CELL_SECONDS,
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=list(_KERNEL),
        record_timing=False,
        on_cell_start=start,
    )


def _numbers(notebook: NotebookNode) -> dict[int, tuple[int, str]]:
    """Index of each code cell -> (its number from 1, the heading above it)."""
    found: dict[int, tuple[int, str]] = {}
    heading = ""
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            headings = [line for line in cell.source.splitlines() if line.startswith("#")]
            heading = _plain(headings[0]) if headings else heading
        elif cell.source.strip():
            found[index] = (len(found) + 1, heading)
    return found


def _said(error: Exception) -> str:
    """The error of the cell on one line: its type and message."""
    name = getattr(error, "ename", "") or type(error).__name__
    message = str(getattr(error, "evalue", "") or error).strip().partition("\n")[0]
    return visible(f"{name}: {message}", 300)


def _plain(heading: str) -> str:
    import html

    return visible(html.unescape(heading.lstrip("# ")), 80)
