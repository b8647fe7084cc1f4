"""How text that somebody else chose is shown: nothing hidden, nothing active, nothing endless."""

from __future__ import annotations

import math
import re
import unicodedata

# Control, format (bidi, zero-width), private, lone surrogate, line and paragraph separators.
_INVISIBLE = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
_SURROGATE = re.compile("[\ud800-\udfff]")
# Controls but for tabs and ends of lines, and what turns the direction of what follows.
_ACTING = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_NEWLINE_MARK = "⏎"
_SLUG_BYTES = 100
_MARKDOWN_CHARACTERS = 300


def whole(text: str) -> str:
    """``text`` with lone surrogates replaced by U+FFFD, so that it can be encoded as UTF-8."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def visible(text: str, most: int | None = None) -> str:
    """``text`` on one line with nothing that hides.

    Newlines become a mark; control, bidi, zero-width and surrogate characters become escapes
    such as ``\\u202e``. Past ``most`` characters it is cut and its length is said.
    """
    shown = text if most is None else text[:most]
    # What Python calls printable neither hides nor acts; nearly all that is logged is.
    line = shown if shown.isprintable() else _escaped(shown.replace("\r\n", "\n"))
    if len(shown) < len(text):
        line += f"… ({len(text):,} characters)"
    return line


def settled(text: str) -> str:
    """Text of several lines, or HTML, in which no control and no change of direction is left.

    Each becomes an escape; what joins emoji and letters stays, unlike in ``visible``.
    """
    return _ACTING.sub(lambda found: _shown(found[0]), text)


def markdown(text: str) -> str:
    """Text for Markdown in which nothing is active, on one line.

    Every ASCII character that is no letter, digit or single space becomes ``&#NN;`` (escaping HTML
    alone leaves links and images alive); what hides becomes a visible escape; past 300 characters
    it is cut and its length is said.
    """
    line = re.sub(r"\s+", " ", visible(text, _MARKDOWN_CHARACTERS)).strip()
    return "".join(
        char if char == " " or not char.isascii() or char.isalnum() else f"&#{ord(char)};"
        for char in line
    )


def slug(text: str, default: str = "notebook") -> str:
    """A file name of ``[a-z0-9._-]``, at most 100 bytes, with no leading dot or dash.

    Letters with accents lose them; whatever else is outside the set becomes one dash.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    kept = "".join(char if char.isalnum() or char in "._-" else "-" for char in plain)
    while "--" in kept or ".." in kept:
        kept = kept.replace("--", "-").replace("..", ".")
    return kept[:_SLUG_BYTES].strip(".-_") or default


def _escaped(text: str) -> str:
    return "".join(_shown(char) for char in text)


def _shown(char: str) -> str:
    if char.isascii() and char.isprintable():
        return char
    if char == "\n":
        return _NEWLINE_MARK
    code = ord(char)
    # No character at all, and no font or PDF has it; which others are unassigned goes by version.
    is_none = code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
    if unicodedata.category(char) not in _INVISIBLE and not is_none:
        return char
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def parse_number(text: str) -> int | float | None:
    """The finite number that a text spells; None for any other text."""
    # float() also takes "1_000" and blanks around, which nobody means by a number that they log.
    if "_" in text or text != text.strip():
        return None
    try:
        return int(text)
    except ValueError:
        pass
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
