"""What of somebody's HTML may stand in an exported page: an allow-list, and nothing that acts.

Whatever a cell shows or says as HTML passes ``clean``; no other way leads into a page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qualia_lab.text import settled

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
INLINE = (
    *("a", "abbr", "b", "br", "cite", "code", "del", "em", "i", "img", "ins", "kbd", "mark", "q"),
    *("s", "samp", "small", "span", "strong", "sub", "sup", "u", "var"),
)
_BLOCKS = (
    *("blockquote", "dd", "details", "div", "dl", "dt", "figcaption", "figure", "hr", "li", "ol"),
    *("p", "pre", "summary", "ul", *HEADINGS),
)
_TABLES = ("caption", "col", "colgroup", "table", "tbody", "td", "tfoot", "th", "thead", "tr")
_TAGS = frozenset((*INLINE, *_BLOCKS, *_TABLES))
# Removed with what is in them; of other unknown tags the text stays.
_GONE = (
    *("script", "style", "template", "title", "head", "noscript", "noembed", "noframes", "iframe"),
    *("frameset", "object", "embed", "applet", "svg", "math", "textarea", "select", "button"),
    *("audio", "video", "canvas", "xmp", "plaintext", "link", "meta", "base"),
)
_PROPERTIES = (
    *("font-weight", "font-style", "text-align", "text-decoration", "vertical-align"),
    *("white-space", "color", "background-color", "display", "flex-wrap", "gap", "align-items"),
)
# Of what a property may be told: colours and words, numbers and lengths; no address and no script.
_PARTS = ("ident", "number", "dimension", "percentage", "hash", "whitespace")
_COLOURS = ("rgb", "rgba", "hsl", "hsla")
_DISPLAYS = ("flex", "block", "inline", "inline-block")
_LINK = re.compile(r"(https?://|mailto:|#)", re.IGNORECASE)
_PICTURE = re.compile(r"data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]+\Z")
_XHTML = "http://www.w3.org/1999/xhtml"
# A number, with a sign, a unit or a comparison: -1.2e-05, 3 m 20 s, ≥ 0.95 s, 4.5 %.
_NUMBER = re.compile(r"[≥≤<>~±+-]?\d[\d,.]*(?:e[+-]?\d+)?(?:[^\W\d_]{1,5}|%)?")
_BESIDE = re.compile(r"[^\W\d_]{1,5}|[%≥≤<>~±+-]")
_LONGEST_NUMBER = 40
_NO_VALUE = ("", "NaN", "<NA>", "None", "NaT", "inf", "-inf")
_SELECTOR = re.compile(r"#([\w-]+)(?:\s+([a-z0-9]+))?\Z")


# Tables of more columns are set smaller on paper, then across the page; of more rows, broken.
_WIDE, _WIDEST, _LONG = 8, 12, 15


@dataclass(frozen=True, slots=True, kw_only=True)
class _Box:
    """The box of a table: what it is called, and the classes that tell how large it is."""

    caption: str = ""
    classes: str = "table"


def clean(html: str, *, level: int | None = None, about: str = "") -> str:
    """HTML of which only text, tables, pictures in it and links are left.

    Rules of a ``<style>`` that name elements by id, as pandas' Styler writes them, become styles of
    those elements. Tables stand in boxes of their own that scroll, and their headers say what they
    are headers of.

    Args:
        html: from anybody.
        level: of the heading above; those in here become one below it, and so on. Without it they
            stay as they are.
        about: what a table without a caption is called, to those who can't see it.
    """
    if "<" not in html and "&" not in html:
        return settled(str(_cleaner(level, about).clean(html)))
    soup = _parsed(html)
    for style in soup.find_all("style"):
        _apply(style.get_text(), soup)
    for tag in soup.find_all(_GONE):
        tag.decompose()
    for table in soup.find_all("table"):
        _align(table)
    for head in soup.find_all("thead"):
        if not head.get_text(strip=True):  # Markdown has no table without one
            head.decompose()
    return settled(str(_cleaner(level, about, _boxes(soup)).clean(str(soup)))).strip()


def _parsed(html: str) -> BeautifulSoup:
    import warnings

    from bs4 import BeautifulSoup

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it wonders about text that looks like a path or a URL
        return BeautifulSoup(html, "html.parser")


def _boxes(soup: BeautifulSoup) -> tuple[_Box, ...]:
    """Of each table that is in no other: its caption, or the heading right before it, and size."""
    found = []
    for table in soup.find_all("table"):
        if table.find_parent("table"):
            continue
        caption = table.find("caption") or table.find_previous_sibling(HEADINGS)
        rows = table.find_all("tr")
        columns = max((len(row.find_all(("td", "th"), recursive=False)) for row in rows), default=0)
        sizes = {"wide": columns > _WIDE, "widest": columns > _WIDEST, "long": len(rows) > _LONG}
        found.append(
            _Box(
                caption=" ".join(caption.get_text().split()) if caption else "",
                classes=" ".join(["table", *(name for name, so in sizes.items() if so)]),
            )
        )
    return tuple(found)


def _align(table: Tag) -> None:
    """Put words to the left, column by column; numbers stay at the right, where digits line up.

    pandas aligns all alike. A table with cells over several columns is left as it is.
    """
    rows = [row.find_all(("td", "th"), recursive=False) for row in table.find_all("tr")]
    if table.find(colspan=True) or table.find(rowspan=True) or len({len(row) for row in rows}) > 1:
        return
    for column in zip(*rows, strict=True):
        values = [one.get_text().strip() for one in column if one.name == "td"]
        said = any("text-align" in str(one.get("style", "")) for one in column)
        if said or all(one in _NO_VALUE or _is_number(one) for one in values):
            continue
        for one in column:
            one["style"] = f"text-align: left; {one.get('style', '')}"


def _is_number(text: str) -> bool:
    words = text[: _LONGEST_NUMBER + 1].split()
    numbers = sum(bool(_NUMBER.fullmatch(word)) for word in words)
    others = sum(bool(_BESIDE.fullmatch(word)) for word in words)
    return len(text) <= _LONGEST_NUMBER and numbers > 0 and numbers + others == len(words)


def _apply(css: str, soup: BeautifulSoup) -> None:
    """Write the rules for ``#id`` and ``#id tag`` into the elements that they are for."""
    import tinycss2

    by_id: dict[str, Tag] = {}
    for one in soup.find_all(id=True):
        by_id.setdefault(str(one["id"]), one)
    for rule in tinycss2.parse_stylesheet(css, skip_comments=True, skip_whitespace=True):
        if rule.type != "qualified-rule":
            continue
        said = tinycss2.serialize(rule.content).strip().rstrip(";")
        for selector in tinycss2.serialize(rule.prelude).split(","):
            match = _SELECTOR.match(selector.strip())
            element = by_id.get(match[1]) if match else None
            if match is None or element is None:
                continue
            for one in element.find_all(match[2]) if match[2] else (element,):
                before = str(one.get("style", "")).rstrip("; ")
                one["style"] = f"{before}; {said}" if before else said


def _cleaner(level: int | None, about: str, boxes: tuple[_Box, ...] = ()) -> Any:
    from bleach import Cleaner

    def dressed(source: Any) -> Iterator[dict[str, Any]]:
        return _dressed(source, level, about, boxes)

    return Cleaner(
        tags=_TAGS,
        attributes=_may_stay,
        protocols={"http", "https", "mailto", "data"},
        strip=True,
        strip_comments=True,
        filters=[dressed],
        css_sanitizer=_Styles(),
    )


class _Styles:
    """What of a ``style`` may stay: bleach asks this as it would ask its own, which looks at the
    names of properties alone."""

    def sanitize_css(self, style: str) -> str:
        import tinycss2

        kept = [
            f"{one.lower_name}: {tinycss2.serialize(one.value).strip()};"
            for one in tinycss2.parse_blocks_contents(style, skip_comments=True)
            if one.type == "declaration" and one.lower_name in _PROPERTIES and _is_plain(one)
        ]
        return " ".join(kept)


def _is_plain(declaration: Any) -> bool:
    """Whether a value is colours, words and lengths alone, and hides nothing."""
    words = []
    for part in declaration.value:
        if part.type == "function" and part.lower_name in _COLOURS:
            continue
        if part.type not in _PARTS and part != ",":
            return False
        words += [part.lower_value] if part.type == "ident" else []
    return declaration.lower_name != "display" or words in [[one] for one in _DISPLAYS]


def _may_stay(tag: str, name: str, value: str) -> bool:
    if name in ("alt", "title", "style"):
        return True
    if tag == "a":
        return name == "href" and bool(_LINK.match(value))
    if tag == "img":
        is_size = name in ("width", "height") and value.isascii() and value.isdigit()
        return is_size or (name == "src" and bool(_PICTURE.match(value)))
    if tag in ("td", "th") and name in ("colspan", "rowspan"):
        return value.isascii() and value.isdigit() and 0 < int(value[:5]) <= 1000
    if tag == "th" and name == "scope":
        return value in ("col", "row", "colgroup", "rowgroup")
    if tag == "ol" and name == "start":
        return value.isascii() and value.isdigit()
    return tag == "details" and name == "open"


@dataclass(slots=True)
class _Place:
    """Where in a document the filter is."""

    tables: int = 0
    table: int = 0
    in_head: bool = False
    top: int | None = None


def _dressed(
    tokens: Iterable[dict[str, Any]], level: int | None, about: str, boxes: tuple[_Box, ...]
) -> Iterator[dict[str, Any]]:
    """The tokens of a clean document with what a reader needs besides; runs after the cleaning."""
    place = _Place()
    for token in tokens:
        kind, name = token["type"], token.get("name", "")
        if kind in ("StartTag", "EmptyTag"):
            if name == "img" and (None, "src") not in token["data"]:
                alt = token["data"].get((None, "alt"), "") or "no description"
                yield {"type": "Characters", "data": f"[picture that is not in here: {alt}]"}
                continue
            if name == "table":
                place.table += 1
                if place.table == 1:
                    yield _start("div", _region(boxes, place.tables, about))
                    place.tables += 1
            _dress(token, name, place, level)
        elif kind == "EndTag":
            if name in HEADINGS:
                token["name"] = _heading(name, place, level)
            place.in_head = place.in_head and name != "thead"
            if name == "caption":
                yield _end("span")
        yield token
        if kind == "StartTag" and name == "caption":
            yield _start("span", {})  # it stays in sight where the table scrolls
        if kind == "EndTag" and name == "table":
            place.table -= 1
            if place.table == 0:
                yield _end("div")


def _dress(token: dict[str, Any], name: str, place: _Place, level: int | None) -> None:
    """Add to a start tag what it lacks."""
    data = token["data"]
    if name in HEADINGS:
        token["name"] = _heading(name, place, level)
    elif name == "thead":
        place.in_head = True
    elif name == "th" and (None, "scope") not in data:
        spans = (None, "colspan" if place.in_head else "rowspan")
        group = "group" if data.get(spans, "1") != "1" else ""
        data[(None, "scope")] = ("col" if place.in_head else "row") + group
    elif name == "a":
        data[(None, "rel")] = "noopener noreferrer"
    elif name == "img":
        data.setdefault((None, "alt"), "")


def _start(name: str, data: Mapping[str, str]) -> dict[str, Any]:
    pairs = {(None, key): value for key, value in data.items()}
    return {"type": "StartTag", "name": name, "namespace": _XHTML, "data": pairs}


def _end(name: str) -> dict[str, Any]:
    return {"type": "EndTag", "name": name, "namespace": _XHTML, "data": {}}


def _region(boxes: tuple[_Box, ...], number: int, about: str) -> dict[str, str]:
    """The box of a table: with a name, and to be reached and scrolled by keys."""
    box = boxes[number] if number < len(boxes) else _Box()
    label = box.caption or (f"Table: {about}" if about else "Table")
    return {"class": box.classes, "role": "region", "tabindex": "0", "aria-label": label}


def _heading(name: str, place: _Place, level: int | None) -> str:
    """The heading's tag one below the heading above, or as much deeper as it is in here."""
    if level is None:
        return name
    own = int(name[1])
    place.top = own if place.top is None else min(place.top, own)
    return f"h{min(6, level + 1 + own - place.top)}"
