"""Errors that point at their place in the condition."""

from __future__ import annotations

import ast

from qualia_lab.errors import UsageError
from qualia_lab.text import visible

HINT = """Write for example: params.lr > 0.01 and name.startswith("a")
Names that are no Python names stand in brackets: params["learning-rate"]"""


def refusal(text: str, start: int, end: int, what: str, hint: str = HINT) -> UsageError:
    """The error that points at the characters from ``start`` to ``end``."""
    before = visible(text[:start])
    marked = visible(text[start:end]) or " "
    line = before + marked + visible(text[end:])
    return UsageError(f"{what}\n  {line}\n  {' ' * len(before)}{'^' * len(marked)}", hint=hint)


def wrong(text: str, node: ast.AST, what: str, hint: str = HINT) -> UsageError:
    """The error that points at a node."""
    # Places are counted in bytes of UTF-8.
    raw = text.encode()
    start = len(raw[: getattr(node, "col_offset", 0)].decode())
    end = len(raw[: getattr(node, "end_col_offset", len(raw))].decode())
    return refusal(text, start, end, what, hint)
