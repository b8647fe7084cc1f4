"""Secrets that are planted, a world that holds them, and a search for them in what is left."""

from __future__ import annotations

import base64
import contextlib
import html
import http.client
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

# Signs in them that a URI, HTML and JSON escape, so that no spelling is that of another.
CANARIES = {
    "password of an http URI": "c4nary/http+p@ss:01&x",
    "password of a postgresql URI": "c4nary/pg+p@ss:02&x",
    "password of a mysql URI": "c4nary/my+p@ss:03&x",
    "password in a query": "c4nary/query+p@ss:04&x",
    "MLFLOW_TRACKING_TOKEN": "c4nary.tok/en+05==.abcDEF&x",
    "MLFLOW_TRACKING_PASSWORD": "c4nary/own+p@ss:06&x",
    "AWS_SECRET_ACCESS_KEY": "c4naryAWS/K7MDENG+bPxRfiCYEXAMPLEKEY0700",
    "AWS_SESSION_TOKEN": "c4naryFwoGZXIvYXdzE08/+//////////wEaD==",
    "AZURE_STORAGE_ACCESS_KEY": "c4naryAzure09/Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OU==",
    "GITHUB_TOKEN": "ghp_c4nary10AbCdEfGhIjKlMnOpQrStUv",
    "OPENAI_API_KEY": "sk-c4nary11-AbCdEfGhIjKlMnOpQrStUv",
    "PGPASSWORD": "c4nary/libpq+p@ss:12&x",
    "password of the registry's URI": "c4nary/registry+p@ss:13&x",
    "password in ~/.mlflow/credentials": "c4nary/file+p@ss:14",
    "signature of a presigned artifact URI": "c4nary15a0f3e1d2c4b5a697887766554433",
    "login of an artifact URI": "c4nary/art+p@ss:16&x",
    "signature of a data set's source": "c4nary17a0f3e1d2c4b5a697887766554433",
    "login of a git remote": "c4nary18-p@ss/x",
}
OF_ENVIRONMENT = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_ACCESS_KEY",
    "GITHUB_TOKEN",
    "OPENAI_API_KEY",
    "PGPASSWORD",
)
# So many characters of a canary are of no other, and of nothing else.
_TELLING = 12
SITE = Path(__file__).with_name("secret_site.py")


def escaped(name: str) -> str:
    """A canary as it stands in a URI."""
    return quote(CANARIES[name], safe="")


@dataclass(frozen=True, slots=True)
class Hit:
    """A canary that was found, and where."""

    canary: str
    where: str


@dataclass(frozen=True, slots=True)
class World:
    """A home, a temp folder and a working folder of their own, with secrets in the environment.

    Files that are removed are kept in ``kept``, so that what stood in them can be searched too.
    """

    work: Path
    home: Path
    temporary: Path
    kept: Path

    @classmethod
    def below(cls, folder: Path) -> World:
        """Fresh folders."""
        made = [folder / name for name in ("work", "home", "tmp", "kept")]
        for one in made:
            one.mkdir()
        return cls(*made)

    def credentials(self) -> Path:
        """Write MLflow's file with a login."""
        path = self.home / ".mlflow" / "credentials"
        path.parent.mkdir()
        path.write_text(
            "[mlflow]\nmlflow_tracking_username = cath\n"
            f"mlflow_tracking_password = {CANARIES['password in ~/.mlflow/credentials']}\n"
        )
        return path

    def environment(self, *, gate: bool = True, **more: str) -> dict[str, str]:
        """The variables of a command in this world; without the gate, nothing is held back."""
        registry = escaped("password of the registry's URI")
        return {
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "XDG_STATE_HOME": str(self.home / "state"),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "MPLCONFIGDIR": str(self.home / "matplotlib"),
            "IPYTHONDIR": str(self.home / "ipython"),
            "MLFLOW_REGISTRY_URI": f"postgresql://reg:{registry}@127.0.0.1:1/registry",
            "TRIPWIRE_ALSO": str(SITE),
            "CANARIES_KEPT": str(self.kept),
            "CANARIES_GATE": "" if gate else "out",
            **{name: CANARIES[name] for name in OF_ENVIRONMENT},
            **more,
        }

    def hits(self, said: Mapping[str, str], planted: Iterable[Path] = ()) -> list[Hit]:
        """Every canary in what was said and in every file that is or was there.

        Args:
            said: what a command printed, by the name of the stream.
            planted: files that a test put there, which hold canaries.
        """
        skip = set(planted)
        found = [hit for where, text in said.items() for hit in search(where, text.encode())]
        for root in (self.work, self.home, self.temporary, self.kept):
            for path in sorted(root.rglob("*")):
                found += search(str(path), str(path).encode())
                if path in skip or path.is_symlink() or not path.is_file():
                    continue
                found += search(str(path), path.read_bytes())
                if path.suffix == ".pdf":
                    found += search(str(path), _text_of_pdf(path))
        return found

    def files(self) -> int:
        """How many files there are to search."""
        roots = (self.work, self.home, self.temporary, self.kept)
        return sum(path.is_file() for root in roots for path in root.rglob("*"))


def search(where: str, content: bytes) -> list[Hit]:
    """The canaries in some bytes: raw, URL-encoded, in base64, in JSON and in HTML."""
    found = {match.lastgroup or "" for match in _pattern().finditer(content)}
    names = list(CANARIES)
    return [Hit(names[int(group[1:])], where) for group in sorted(found)]


@cache
def _pattern() -> re.Pattern[bytes]:
    groups = []
    for number, canary in enumerate(CANARIES.values()):
        spellings = "|".join(re.escape(one) for one in sorted(spellings_of(canary)))
        groups.append(f"(?P<c{number}>{spellings})")
    return re.compile("|".join(groups).encode())


def spellings_of(text: str) -> set[str]:
    """How a text may stand somewhere: its beginning, since what was cut short has leaked too."""
    text = text[:_TELLING]
    urls = {quote(text, safe=""), quote(text), quote_plus(text)}
    urls |= {re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), one) for one in urls}
    encoded = set()
    for source in (text, quote(text, safe="")):
        for shift in range(3):
            whole = base64.b64encode(b"\0" * shift + source.encode()).decode()
            # The characters that hold nothing else than the text.
            core = whole[-(-shift * 8 // 6) : len(whole.rstrip("=")) - bool(whole.endswith("="))]
            encoded |= {core, core.replace("+", "-").replace("/", "_")}
    plain = {text, *urls, html.escape(text), text.replace("&", "&amp;"), json.dumps(text)[1:-1]}
    entities = "".join(one if one.isalnum() else f"&#{ord(one)};" for one in text)
    return plain | encoded | {entities}


def _text_of_pdf(path: Path) -> bytes:
    if shutil.which("pdftotext") is None:
        return b""
    text = subprocess.run(["pdftotext", path, "-"], capture_output=True, check=True).stdout
    # A long word is broken over lines.
    return text + b"\n" + b"".join(text.split())


@contextlib.contextmanager
def telling_proxy(upstream: str, is_broken: Callable[[], bool]) -> Iterator[str]:
    """A server that passes requests on and, once it is broken, tells back who asked, and how.

    It gives ``host:port``. Broken, it answers 500 with the header ``Authorization``, what that is
    decoded, and the address, in a body and in a header.
    """
    host = urlsplit(upstream).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if is_broken():
                self._tell()
                return
            # Not the login: MLflow's server would not know it.
            passed = {
                name: value
                for name, value in self.headers.items()
                if name.lower() not in ("host", "authorization", "connection", "accept-encoding")
            }
            connection = http.client.HTTPConnection(host, timeout=60)
            connection.request(self.command, self.path, body or None, passed)
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            self._send(answer.status, content, answer.getheader("Content-Type") or "text/plain")

        do_POST = do_PUT = do_GET  # noqa: N815

        def _tell(self) -> None:
            given = self.headers.get("Authorization") or ""
            decoded = ""
            with contextlib.suppress(ValueError):
                decoded = base64.b64decode(given.partition(" ")[2]).decode("utf-8", "replace")
            said = f"no: {given} is {decoded}; http://{decoded}@{self.headers['Host']}{self.path}"
            content = json.dumps({"error_code": "INTERNAL_ERROR", "message": said}).encode()
            self._send(500, content, "application/json")

        def _send(self, status: int, content: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
