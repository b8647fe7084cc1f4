"""Tripwires in this process: nothing is unpickled, no text becomes code, nobody else is called.

An audit hook (``sys.addaudithook``) sees what C code does too. Three kinds of events trip it:

- ``pickle.find_class`` while a function of this project is on the stack: a pickle that names a
  class or a function. In a process that is a command or a kernel, whoever unpickles.
- ``compile``, and ``exec`` of what was compiled, while a function of this project is on the stack,
  unless an import is nearer, or who calls is known to make code of its own texts (``MAKERS``).
- ``socket.connect``, ``socket.getaddrinfo`` and the like to any other machine, whoever asks. Names
  under ``.invalid`` belong to nobody and may be asked for.

What trips raises ``TrippedError`` there and then, and is noted in ``trips`` and in the file that
``TRIPWIRE_LOG`` names, since whoever called may swallow the error. Not seen: libraries in C that
ask the system themselves (libpq), and what is not Python (Chromium).

Every Python with this folder on its ``PYTHONPATH`` has the wires (``sitecustomize``), so only the
standard library is imported, and little of it.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PRODUCT = os.path.join(os.path.dirname(os.path.dirname(HERE)), "qualia_lab") + os.sep
LOG = "TRIPWIRE_LOG"

# Who makes code of texts of its own: the file and the function that call compile() or exec().
MAKERS = {
    ("ast.py", "parse"),  # which only parses
    ("dataclasses.py", "_create_fn"),
    ("collections/__init__.py", "namedtuple"),
    ("typing.py", "__init__"),  # the annotations of this project's own functions, for typer
    ("typing.py", "_evaluate"),
    ("inspect.py", "<dictcomp>"),
    ("inspect.py", "get_annotations"),
    ("jinja2/environment.py", "_compile"),  # the template engine
    ("jinja2/environment.py", "from_code"),
    ("jinja2/debug.py", "fake_traceback"),
    ("sqlalchemy/util/langhelpers.py", "exec_code_in_env"),  # methods of its own classes
    ("fastjsonschema/__init__.py", "compile"),  # the schema of notebooks that nbformat brings
}

trips: list[str] = []
_pickles_anywhere = False
_busy = False


class TrippedError(RuntimeError):
    """Something happened that must never happen."""


def install(*, pickles_anywhere: bool = False) -> None:
    """Put the wires up, for as long as this process lives.

    Args:
        pickles_anywhere: also where no function of this project is on the stack.
    """
    global _pickles_anywhere
    _pickles_anywhere = pickles_anywhere
    sys.addaudithook(_hook)


def _hook(event: str, args: tuple[object, ...]) -> None:
    look = _LOOKS.get(event)
    if look is None:
        return
    why = look(event, args, sys._getframe().f_back)
    if why:
        _trip(why)


def _trip(why: str) -> None:
    trips.append(why)
    if path := os.environ.get(LOG):
        with open(path, "a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(why.replace("\n", " ") + "\n")
    raise TrippedError(why)


def _unpickling(event, args, frame) -> str:  # type: ignore[no-untyped-def]
    product = _product_frame(frame)
    if product or _pickles_anywhere:
        return f"unpickling {args[0]}.{args[1]} {product or 'in ' + sys.argv[0]}"
    return ""


def _making_code(event, args, frame) -> str:  # type: ignore[no-untyped-def]
    if frame is None:
        return ""
    first = frame.f_code.co_filename.replace(os.sep, "/"), frame.f_code.co_name
    if any(first[1] == name and first[0].endswith("/" + file) for file, name in MAKERS):
        return ""
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(PRODUCT):
            what = args[0] if event == "compile" else getattr(args[0], "co_filename", "")
            text = os.fsdecode(what) if isinstance(what, bytes | str) else str(what)
            return f"{event} of {text[:200]!r} {_place(frame)}, by {first[1]} of {first[0]}"
        if name.startswith("<frozen importlib"):
            return ""
        frame = frame.f_back
    return ""


def _product_frame(frame) -> str:  # type: ignore[no-untyped-def]
    while frame is not None:
        if frame.f_code.co_filename.startswith(PRODUCT):
            return _place(frame)
        frame = frame.f_back
    return ""


def _place(frame) -> str:  # type: ignore[no-untyped-def]
    return f"at {frame.f_code.co_filename}:{frame.f_lineno}"


def _calling(event, args, frame) -> str:  # type: ignore[no-untyped-def]
    address = args[0] if event in _BY_NAME else args[-1]
    host = address[0] if isinstance(address, tuple) and address else address
    if event not in _BY_NAME and not isinstance(address, tuple):
        return ""  # a path: a socket of this machine
    family = getattr(args[0], "family", None)
    if family is not None and int(family) not in _INTERNET:
        return ""
    if host is None or _is_here(host):
        return ""
    return f"{event} to {host!r}"


def _is_here(host: object) -> bool:
    name = os.fsdecode(host) if isinstance(host, bytes | str) else str(host)
    name = name.lower().strip("[]").rstrip(".")
    if name in ("", "localhost", "::", "::1", "0.0.0.0") or name.endswith(".localhost"):
        return True
    return name.startswith(("127.", "::ffff:127.")) or name.endswith(".invalid")


_INTERNET = (2, 10, 23, 30)  # AF_INET, and AF_INET6 of Linux, Windows, macOS
_BY_NAME = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
_LOOKS = {
    "pickle.find_class": _unpickling,
    "compile": _making_code,
    "exec": _making_code,
    "socket.connect": _calling,
    "socket.sendto": _calling,
    "socket.sendmsg": _calling,
    **dict.fromkeys(_BY_NAME, _calling),
}
