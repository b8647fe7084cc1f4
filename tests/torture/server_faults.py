"""What a server, or what stands before it, can do wrong; and how a command must end of it.

The codes are those of docs/cli.md, written down from what the fault is: 4 for a server that can't
be reached or makes no sense, 5 where it forbids, 6 for what does not exist. An operation that has
no such thing as the fault is not in its row: artifacts have no pages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from faulty_proxy import Asked, Fault

HTML = b"<html><head><title>Sign in</title></head><body><form>Password</form></body></html>"

# What serves each operation, as parts of paths.
PLACES = {
    "experiments": ("experiments/search",),
    "runs": ("runs/search",),
    "load": ("runs/search",),
    "history": ("metrics/get-history",),
    "artifacts": ("mlflow-artifacts/artifacts",),
    "traces": ("mlflow/traces",),
}
# The list in the answer, and what each item can't do without.
LISTS = {
    "experiments": ("experiments", "experiment_id"),
    "runs": ("runs", "info"),
    "load": ("runs", "info"),
    "history": ("metrics", "value"),
    "artifacts": ("files", "path"),
    "traces": ("traces", "trace_id"),
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A fault: ``makes`` it for an operation; the exit ``code``, and other codes of operations;
    what the message ``says``; whether the deadline is what ends it."""

    makes: Callable[[str], Fault]
    code: int = 4
    codes: Mapping[str, int] = field(default_factory=dict)
    says: str = ""
    without: tuple[str, ...] = ()


def _says(status: int, body: bytes, *headers: tuple[str, str]) -> Callable[[str], Fault]:
    return lambda _: lambda asked: asked.say(status, body, *headers)


def _always(fault: Fault) -> Callable[[str], Fault]:
    return lambda _: fault


def _refuse(asked: Asked) -> None:
    asked.proxy.stop()
    asked.reset()


def _cut(asked: Asked) -> None:
    body = asked.real().body
    asked.say(200, body[: len(body) // 2])


def _cut_off(asked: Asked) -> None:
    body = asked.real().body
    asked.say(200, body[: len(body) // 2], length=len(body))


def _reset_inside(asked: Asked) -> None:
    body = asked.real().body
    asked._handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
    asked._handler.wfile.write(body[: len(body) // 2])
    asked.reset()


def _spoilt(change: Callable[[str, dict[str, Any]], Any]) -> Callable[[str], Fault]:
    """The real answer with something changed in it."""

    def makes(operation: str) -> Fault:
        def fault(asked: Asked) -> None:
            asked.say_json(change(operation, asked.json()))

        return fault

    return makes


def _wrong_types(operation: str, answer: dict[str, Any]) -> Any:
    return {**answer, LISTS[operation][0]: 5}


def _wrong_items(operation: str, answer: dict[str, Any]) -> Any:
    return {**answer, LISTS[operation][0]: ["a", 1.5, None]}


def _wrong_values(operation: str, answer: dict[str, Any]) -> Any:
    """A text where a number belongs, and the other way round."""

    def spoil(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: spoil(one) for key, one in value.items()}
        if isinstance(value, list):
            return [spoil(one) for one in value]
        return {"no": value}

    return spoil(answer)


def _missing(operation: str, answer: dict[str, Any]) -> Any:
    name, needed = LISTS[operation]
    items = [{key: value for key, value in one.items() if key != needed} for one in answer[name]]
    return {**answer, name: items}


def _repeats(operation: str, answer: dict[str, Any]) -> Any:
    return {**answer, "next_page_token": "again"}


def _repeated_history(operation: str) -> Fault:
    """Pages are those of the endpoint for one run, which is asked where the other is absent."""

    def fault(asked: Asked) -> None:
        if operation == "history" and "get-history-bulk" in asked.path:
            asked.say(404, b"")
        else:
            asked.say_json(_repeats(operation, asked.json()))

    return fault


def _slow_headers(asked: Asked) -> None:
    asked.drip(b"X: y\r\n", b"HTTP/1.1 200 OK\r\n", 0.1)


def _slow_body(asked: Asked) -> None:
    asked.drip(b" ", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{", 0.1)


def _slow_chunks(asked: Asked) -> None:
    asked.drip(b"1\r\n \r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 0.1)


def _endless(asked: Asked) -> None:
    # Not so much that the client which trusts it fills the memory of the tests.
    asked.drip(b" " * 100_000, b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", 0.02)


def _garbage(asked: Asked) -> None:
    asked._handler.wfile.write(b"\x16\x03\x01 SSH-2.0-OpenSSH\r\n" * 5)
    asked.hang_up()


def _gone(asked: Asked) -> None:
    code = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Run 'x' not found"}
    asked.say_json(code, 404)


def _denied(asked: Asked) -> None:
    asked.say_json({"error_code": "PERMISSION_DENIED", "message": "Permission denied"}, 403)


_LOOP = ("Location", "/api/2.0/mlflow/experiments/search")
_JSON = ("Content-Type", "application/json")
_NO_PAGES = ("artifacts",)

CASES: dict[str, Case] = {
    "refused": Case(makes=_always(_refuse), says="refused"),
    "black hole": Case(makes=_always(Asked.silence), says="timed out"),
    "slow headers": Case(makes=_always(_slow_headers), says="within"),
    "slow body": Case(makes=_always(_slow_body), says="within"),
    "slow chunks": Case(makes=_always(_slow_chunks), says="within"),
    "endless body": Case(makes=_always(_endless), says="within"),
    "401": Case(makes=_says(401, b"who are you"), code=5, says="401"),
    "403 HTML": Case(makes=_says(403, HTML), code=5, says="403"),
    "403 of MLflow": Case(makes=_always(_denied), code=5, says="Permission denied"),
    "Invalid Host header": Case(
        makes=_says(403, b"Invalid Host header - possible DNS rebinding attack detected"),
        code=5,
        says="--allowed-hosts",
    ),
    "400": Case(makes=_says(400, b"no"), says="400"),
    "404": Case(makes=_says(404, HTML), says="404"),
    "405": Case(makes=_says(405, b""), says="405"),
    "408": Case(makes=_says(408, b""), says="408"),
    "413": Case(makes=_says(413, b"too large"), says="413"),
    "429, wait 1 s": Case(makes=_says(429, b"slow down", ("Retry-After", "1")), says="429"),
    "429, wait an hour": Case(makes=_says(429, b"", ("Retry-After", "3600")), says="wait 3600 s"),
    "500": Case(makes=_says(500, b"oops"), says="500"),
    "502": Case(makes=_says(502, HTML), says="502"),
    "503": Case(makes=_says(503, b"maintenance"), says="503"),
    "504": Case(makes=_says(504, HTML), says="504"),
    "reset": Case(makes=_always(Asked.reset), says="reset"),
    "reset inside": Case(makes=_always(_reset_inside), says="reset"),
    "closed": Case(makes=_always(Asked.hang_up), says="closed connection"),
    "garbage": Case(makes=_always(_garbage), says="failed"),
    "truncated JSON": Case(makes=_always(_cut), says="no JSON"),
    "cut off": Case(makes=_always(_cut_off), says="IncompleteRead"),
    "invalid UTF-8": Case(makes=_says(200, b'{"x": "\xff\xfe"}', _JSON), says="no JSON"),
    "empty 200": Case(makes=_says(200, b""), says="empty"),
    "login page": Case(makes=_says(200, HTML, ("Content-Type", "text/html")), says="Sign in"),
    "a list": Case(makes=_says(200, b"[]", _JSON), says="no JSON object"),
    "null": Case(makes=_says(200, b"null", _JSON), says="no JSON object"),
    "deep JSON": Case(makes=_says(200, b'{"a":' * 100_000, _JSON), says="no JSON"),
    "redirect loop": Case(makes=_says(302, b"", _LOOP), says="redirect"),
    "wrong types": Case(makes=_spoilt(_wrong_types), says="not MLflow's"),
    "wrong items": Case(makes=_spoilt(_wrong_items), says="not MLflow's"),
    "wrong values": Case(makes=_spoilt(_wrong_values), says="not MLflow's"),
    "missing fields": Case(makes=_spoilt(_missing), says="not MLflow's"),
    "repeated page token": Case(makes=_repeated_history, says="repeats a page", without=_NO_PAGES),
    "does not exist": Case(makes=_always(_gone), code=6, says="not found"),
}
