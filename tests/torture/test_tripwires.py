"""Each tripwire trips: here, in a command and in a kernel; and not for what is allowed."""

from __future__ import annotations

import pickle
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import tripwire
from torture_table import Saw
from tripwired import tripping


def as_product(code: str) -> Callable[[], object]:
    """A call of code that looks as if it stood in a file of the project."""
    space: dict[str, Callable[[], object]] = {}
    source = "import ast, collections, dataclasses, pickle, socket\ndef call(*args):\n " + code
    exec(compile(source, tripwire.PRODUCT + "planted.py", "exec"), space)
    return space["call"]


CLASS = pickle.dumps(Path("x"))
CAUGHT = {
    "unpickling": (f"pickle.loads({CLASS!r})", "unpickling pathlib"),
    "unpickling in Python": (f"__import__('pickle')._loads({CLASS!r})", "unpickling pathlib"),
    "exec": ("exec('x = 1')", "compile of 'x = 1'"),
    "eval": ("return eval('1 + 1')", "compile of '1 + 1'"),
    "compile": ("compile('1', 'planted', 'eval')", "compile of '1'"),
    "a library in between": (
        "__import__('code').InteractiveInterpreter().runsource('x = 1')",
        "compile of 'x = 1",
    ),
    "a host": ("socket.create_connection(('192.0.2.1', 80), 0.01)", "192.0.2.1"),
    "a name": ("socket.getaddrinfo('example.com', 80)", "socket.getaddrinfo to 'example.com'"),
    "a datagram": (
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 9))",
        "socket.sendto to '192.0.2.1'",
    ),
    "IPv6": (
        "socket.socket(socket.AF_INET6).connect(('2001:db8::1', 80))",
        "socket.connect to '2001:db8::1'",
    ),
}
ALLOWED = [
    "collections.namedtuple('N', 'a b')",
    "dataclasses.make_dataclass('D', ['a'])",
    "ast.parse('1 + 1')",
    "ast.literal_eval('[1]')",
    "__import__('qualia_lab.notebook.cells')",
    "__import__('jinja2').Environment().from_string('{{ 1 }}').render()",
    "pickle.loads(pickle.dumps([1, 'a']))",
    "socket.getaddrinfo('localhost', 80)",
]


@pytest.mark.torture("artifacts")
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize("name", CAUGHT)
def test_each_tripwire_trips(name: str, saw: Saw) -> None:
    code, words = CAUGHT[name]
    call = as_product(code)
    with tripping() as found, pytest.raises(tripwire.TrippedError):
        call()
    assert words in " ".join(found)
    saw(tripwires_that_trip=1)


@pytest.mark.torture("artifacts")
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_what_is_swallowed_is_known_all_the_same() -> None:
    call = as_product("try:\n  eval('1')\n except Exception: pass")
    with tripping() as found:
        call()
    assert len(found) == 1


@pytest.mark.parametrize("code", ALLOWED)
def test_what_is_allowed_does_not_trip(code: str) -> None:
    as_product(code)()


def test_unpickling_is_left_to_those_who_run_the_tests() -> None:
    assert pickle.loads(CLASS) == Path("x")
    assert eval("1 + 1") == 2
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        socket.create_connection(listener.getsockname()).close()


@pytest.mark.torture("artifacts")
def test_they_trip_in_processes_that_are_started(saw: Saw) -> None:
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
    code += "import socket; socket.getaddrinfo('example.com', 80)"
    with tripping() as found:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "TrippedError" in done.stderr
    assert "example.com" in " ".join(found)
    saw(tripwires_that_trip=1)
