"""Exported pages are inert: whatever was logged, and whatever a cell shows."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

import browser
import hostile_book
import pytest
from hostile_book import LOGGED, SHOWN, USED, Books, in_place, shown
from payloads import PAYLOADS, placed
from torture_table import FULL, Saw, size

from qualia_lab.notebook.export import export
from qualia_lab.text import visible

pytestmark = [
    pytest.mark.skipif(browser.PROGRAM is None, reason=browser.WHY_NOT),
    pytest.mark.skipif(os.name != "posix", reason="the pipe to the browser is POSIX's"),
    pytest.mark.xdist_group("hostile pages"),
    pytest.mark.timeout(1200),
]

# Every event that a person, or a page itself, can bring about, on everything there is. Links that
# would lead away are not followed.
_POKE = """
(() => {
  const names = ['mouseover', 'mouseenter', 'pointerover', 'focus', 'blur', 'toggle', 'error',
                 'load', 'begin', 'animationstart', 'start', 'close', 'pageshow', 'click'];
  const away = one => /^(https?|mailto):/.test(one.href || '') || one.ping || one.type == 'submit';
  for (const one of [...document.querySelectorAll('*')]) {
    for (const name of names)
      if (name != 'click' || !(one.closest('a, area, form, button') || one).href &&
          !one.closest('form')) one.dispatchEvent(new Event(name, {bubbles: false}));
    const href = String(one.getAttribute && (one.getAttribute('href') ||
        one.getAttribute('xlink:href') || one.getAttribute('formaction') || ''));
    if (!away(one) && /script:/i.test(href.replace(/[\\s\\x00-\\x20]/g, '')))
      one.dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true}));
  }
})()
"""
# What is left in a page that could act, were there no policy.
_ALIVE = """
(() => {
  const all = [...document.querySelectorAll('*')].filter(one => !document.head.contains(one));
  const is = (one, names) => names.split(' ').includes(one.localName);
  const own = text => text.startsWith('data:image/');
  const attributes = names => all.flatMap(one => names.split(' ')
    .map(name => one.getAttribute(name))).filter(Boolean);
  return {
    scripts: document.scripts.length,
    handlers: all.flatMap(one => [...one.attributes]).filter(one => /^on/i.test(one.name)).length,
    links: [...document.links].filter(one => !/^(https?|mailto|file):$/.test(one.protocol)).length,
    remote: [...document.images].filter(one => !own(one.src)).length,
    elements: all.filter(one => is(one, 'iframe frame frameset object embed form input button ' +
      'select textarea meta base link style svg math video audio source template portal')).length,
    sources: attributes('src srcset poster background data action formaction ping manifest')
      .filter(one => !own(one)).length,
    styles: attributes('style').filter(one => /url|image|expression|position|\\\\/i.test(one))
      .length,
  };
})()
"""
_STILL = dict.fromkeys(
    ("scripts", "handlers", "links", "remote", "elements", "sources", "styles"), 0
)


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Books:
    return hostile_book.books(migrated, tmp_path_factory.getbasetemp())


@dataclass(kw_only=True)
class Came:
    """What came alive in a page: the numbers of payloads whose script ran or whose address was
    asked for, what is left that could act, and whatever else the browser noted."""

    ran: set[int]
    asked: set[int]
    alive: dict[str, int]
    text: str
    seen: browser.Seen


def opened(path: Path, books: Books, profile: Path) -> Came:
    """Open a page, do all that can be done to it, and look."""
    before = len(books.asked)
    with browser.opened(path.as_uri(), profile, seconds=120) as page:
        alive = page.evaluate(_ALIVE)
        text = page.evaluate("document.body.textContent")
        page.evaluate(_POKE)
        time.sleep(0.5)
        page.evaluate("0")
        seen = page.seen
    ran = {int(one) for said in seen.console for one in re.findall(r"'value': (7\d{5})\b", said)}
    asked = {
        int(one)
        for said in (*books.asked[before:], *seen.requests)
        for one in re.findall(r"/(7\d{5})\b", said)
    }
    return Came(ran=ran, asked=asked, alive=alive or {}, text=text or "", seen=seen)


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


@pytest.mark.torture("html")
@pytest.mark.parametrize("which", ["logged", "shown"])
def test_nothing_in_an_exported_page_acts(
    which: str, books: Books, tmp_path: Path, saw: Saw
) -> None:
    before = len(books.asked)
    path = export(getattr(books, which), "html", tmp_path / "page.html")
    # There are two walls, either of which would do: what is left without the policy is still inert.
    text = path.read_text(encoding="utf-8")
    bare = re.sub(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>", "", text)
    assert bare != text
    (tmp_path / "bare.html").write_text(bare, encoding="utf-8")
    for name in ("page", "bare") if FULL else ("bare",):
        came = opened(tmp_path / f"{name}.html", books, tmp_path / name)
        assert came.ran == set(), [placed(one) for one in came.ran]
        assert came.asked == set(), [placed(one) for one in came.asked]
        assert came.seen == browser.Seen()
        assert came.alive == _STILL
        assert not re.search(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", came.text)
        if which == "logged":
            everything_is_there(came.text, books)
    assert books.asked[before:] == []
    slots = LOGGED if which == "logged" else SHOWN
    saw(payloads_in_slots=len(USED) * len(slots), scripts_run=0, requests=0)


def everything_is_there(text: str, books: Books) -> None:
    """Every payload can be read in each place; or else that nothing of it acts proves nothing."""
    text = squeezed(text)
    absent = [
        (slot, PAYLOADS[place].text)
        for place in USED
        for slot in LOGGED
        if squeezed(visible(in_place(place, slot, books.url))[:36]) not in text
    ]
    assert absent == []


@pytest.mark.torture("html")
@pytest.mark.parametrize("part", range(size(1, full=3)))
def test_the_same_eyes_see_what_nbconvert_lets_run(
    part: int, books: Books, tmp_path: Path, saw: Saw
) -> None:
    from nbconvert import HTMLExporter

    found = Came(ran=set(), asked=set(), alive={}, text="", seen=browser.Seen())
    places = list(USED)[part :: size(1, full=3)]
    for start in range(0, len(places), 24):  # some pages lead away, or swallow what is below
        book = shown(places[start : start + 24], books.url)
        (tmp_path / "unsafe.html").write_text(HTMLExporter().from_notebook_node(book)[0])
        came = opened(tmp_path / "unsafe.html", books, tmp_path / f"profile{start}")
        found.ran |= came.ran
        found.asked |= came.asked
    assert len(found.ran) >= 10
    assert len(found.asked) >= 5
    saw(ran_in_nbconverts_page=len(found.ran), asked_for_by_nbconverts_page=len(found.asked))
