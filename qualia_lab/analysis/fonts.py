"""Fonts for what is written in scripts that matplotlib's own font lacks."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

_MISSING = re.compile(r"Glyph (\d+) .*missing from")


def missing_glyphs(draw: Callable[[], object]) -> frozenset[int]:
    """Draw, and give the code points that no font in use had; other warnings are passed on."""
    missing = set()
    with warnings.catch_warnings(record=True) as said:
        warnings.filterwarnings("always", message="Glyph")
        draw()
    for one in said:
        found = _MISSING.match(str(one.message))
        if found:
            missing.add(int(found[1]))
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    return frozenset(missing)


@lru_cache(maxsize=64)  # machines have a thousand fonts, and charts of a notebook the same names
def families_with(points: frozenset[int]) -> Sequence[str]:
    """The installed font families that have most of these code points, as few as will do.

    Empty where none has any. Fonts that are made of pictures, as most of emoji are, can't be drawn.
    """
    left, chosen = set(points), []
    has = _families(left)
    while left and has:
        best = max(sorted(has), key=lambda name: (len(has[name] & left), _plain(name)))
        if not has[best] & left:
            break
        chosen.append(best)
        left -= has.pop(best)
    return tuple(chosen)


def _plain(name: str) -> bool:
    """Whether its name says that it goes well with the usual font."""
    return "Sans" in name and "Mono" not in name


def _families(points: Iterable[int]) -> dict[str, set[int]]:
    """Of the upright fonts of each family: those of the points that they have."""
    from matplotlib.font_manager import findSystemFonts, fontManager
    from matplotlib.ft2font import FT2Font

    # matplotlib keeps its list for good; what was installed since then is not in it.
    for path in set(findSystemFonts()) - {entry.fname for entry in fontManager.ttflist}:
        with contextlib.suppress(Exception):  # a file that is no font, or none that it can read
            fontManager.addfont(path)
    found: dict[str, set[int]] = {}
    for entry in fontManager.ttflist:
        # Boxes for whatever there is, and no glyphs at all, are fonts too.
        hollow = entry.name.startswith(("Last Resort", "Adobe Blank"))
        if entry.style != "normal" or entry.name in found or hollow:
            continue
        with contextlib.suppress(OSError, RuntimeError):  # gone since it was listed, or broken
            # Older releases know only the first font of a file.
            face = getattr(entry, "index", 0)
            font = FT2Font(entry.fname, face_index=face) if face else FT2Font(entry.fname)
            if font.scalable:
                found[entry.name] = {point for point in points if font.get_char_index(point)}
    return found
