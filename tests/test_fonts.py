"""Names in scripts that matplotlib's own font lacks, with the fonts that matplotlib brings."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.font_manager import findfont, fontManager
from matplotlib.ft2font import FT2Font

from qualia_lab.analysis import fonts
from qualia_lab.analysis.show import Figure

# DejaVu Sans has no Ⓐ, STIXGeneral alone has; nobody has the other.
LETTER, NOBODYS = 0x24B6, 0x10FFFD


def titled(*points: int) -> Figure:
    figure = Figure("a title")
    figure.subplots().set_title("".join(map(chr, points)), parse_math=False)
    return figure


@pytest.fixture
def matplotlibs_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without any other font."""
    own = [one for one in fontManager.ttflist if "mpl-data" in Path(one.fname).parts]
    monkeypatch.setattr(fontManager, "ttflist", own)
    monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", list)
    fonts.families_with.cache_clear()
    yield
    fonts.families_with.cache_clear()


def test_what_the_usual_font_lacks_is_drawn_with_another(matplotlibs_own: None) -> None:
    for family, has in (("DejaVu Sans", False), ("STIXGeneral", True)):
        assert bool(FT2Font(findfont(family)).get_char_index(LETTER)) == has
    assert fonts.families_with(frozenset({LETTER})) == ("STIXGeneral",)
    figure = titled(LETTER)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.png()
    assert fonts.missing_glyphs(FigureCanvasAgg(figure).draw) == frozenset()
    assert fonts.missing_glyphs(FigureCanvasAgg(titled(LETTER)).draw) == {LETTER}


def test_what_no_font_has_is_a_box(matplotlibs_own: None) -> None:
    assert fonts.families_with(frozenset({NOBODYS})) == ()
    assert fonts.families_with(frozenset({NOBODYS, LETTER})) == ("STIXGeneral",)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert titled(NOBODYS).png() != titled(ord("x")).png()


def test_a_font_that_was_installed_since_matplotlib_looked(
    matplotlibs_own: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = findfont("STIXGeneral")
    left = [one for one in fontManager.ttflist if "STIX" not in one.name]
    monkeypatch.setattr(fontManager, "ttflist", left)
    assert fonts.families_with(frozenset({LETTER})) == ()
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    there = [str(path), str(tmp_path / "broken.ttf"), str(tmp_path / "gone.ttf")]
    monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", lambda: there)
    fonts.families_with.cache_clear()
    assert fonts.families_with(frozenset({LETTER})) == ("STIXGeneral",)


def test_fonts_that_are_gone_or_broken_are_passed_over(
    matplotlibs_own: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    bad = [
        replace(fontManager.ttflist[0], fname=str(tmp_path / name), name=name)
        for name in ("broken.ttf", "gone.ttf")
    ]
    monkeypatch.setattr(fontManager, "ttflist", [*bad, *fontManager.ttflist])
    assert fonts.families_with(frozenset({LETTER})) == ("STIXGeneral",)


def test_other_warnings_are_passed_on() -> None:
    def draw() -> None:
        warnings.warn("something else", UserWarning, stacklevel=1)
        warnings.warn("Glyph 27721 (X) missing from font(s) DejaVu Sans.", stacklevel=1)

    with pytest.warns(UserWarning, match="something else"):
        assert fonts.missing_glyphs(draw) == {27721}
