"""Text that somebody else chose: nothing of it hides, acts, or ends up in a path."""

from __future__ import annotations

import html
import re
import string
import unicodedata

import pytest
from conftest import HOSTILE
from hypothesis import example, given
from hypothesis import strategies as st

from qualia_lab.text import markdown, settled, slug, visible, whole

HIDING = {"Cc", "Cf", "Cs", "Zl", "Zp"}

# Lone surrogates and the characters that matter are rare among all that there are.
SPECIAL = "\x00\x1b\x07\x7f\x85\xa0\u00ad\u200b\u200d\u202e\u2028\u2029\u2066\ufeff\ue000\U000e0041"
ANY = st.text(
    st.one_of(
        st.characters(),
        st.characters(categories=["Cs"]),
        st.sampled_from(SPECIAL + string.punctuation + "\r\n\t "),
    )
)


def hostile(test: object) -> object:
    for text in HOSTILE:
        test = example(text)(test)  # type: ignore[operator]
    return test


# --- whole ---------------------------------------------------------------------------------------


@given(ANY)
def test_whole_text_can_be_written_and_is_changed_in_nothing_else(text: str) -> None:
    made = whole(text)
    made.encode("utf-8")
    assert len(made) == len(text)
    for before, after in zip(text, made, strict=True):
        assert after == ("\ufffd" if unicodedata.category(before) == "Cs" else before)


# --- visible -------------------------------------------------------------------------------------


@hostile
@given(ANY)
def test_nothing_hides_in_visible_text(text: str) -> None:
    shown = visible(text)
    assert not {unicodedata.category(char) for char in shown} & HIDING
    shown.encode("utf-8")


@given(st.text(st.characters(exclude_categories=["C", "Zl", "Zp"])))
def test_what_does_not_hide_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb", "a⏎b"),
        ("a\r\nb\rc", "a⏎b\\x0dc"),
        ("tab\t nul\0 esc\x1b[31m del\x7f", "tab\\x09 nul\\x00 esc\\x1b[31m del\\x7f"),
        ("c1\x9b31m", "c1\\x9b31m"),
        ("\u202ertl\u2066 zero\u200bwidth", "\\u202ertl\\u2066 zero\\u200bwidth"),
        ("line\u2028paragraph\u2029", "line\\u2028paragraph\\u2029"),
        ("\ud800 \udcff", "\\ud800 \\udcff"),
        ("\U000e0041 \ufeff \xad", "\\U000e0041 \\ufeff \\xad"),
        ("汉字 ñ 😀 <b> `x` |", "汉字 ñ 😀 <b> `x` |"),
        ("", ""),
    ],
)
def test_what_hides_becomes_a_visible_escape(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(ANY, st.integers(0, 30))
def test_long_text_is_cut_and_its_length_said(text: str, most: int) -> None:
    shown = visible(text, most)
    if len(text) <= most:
        assert shown == visible(text)
    else:
        assert shown == f"{visible(text[:most])}… ({len(text):,} characters)"


def test_the_length_that_is_said_is_of_the_whole() -> None:
    assert visible("x" * 9000, 3) == "xxx… (9,000 characters)"


# --- markdown ------------------------------------------------------------------------------------


@hostile
@given(ANY)
def test_nothing_is_active_in_markdown(text: str) -> None:
    made = markdown(text)
    left = re.sub(r"&#[0-9]{2,3};", "", made)
    assert not set(left) & set(string.punctuation)
    assert "\n" not in made
    assert not re.search(r"^\s|\s$|\s\s", made)


@hostile
@given(ANY)
def test_markdown_shows_what_visible_shows(text: str) -> None:
    assert squeezed(html.unescape(markdown(text))) == squeezed(visible(text, 300))


def squeezed(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("text", HOSTILE)
def test_rendered_markdown_is_plain_text(text: str) -> None:
    """By the parser that Jupyter's exporter uses, in every place that a template puts a value."""
    from nbconvert.filters.markdown_mistune import markdown2html_mistune

    for place in ("{}", "## {}", "- {}", "| a |\n| --- |\n| {} |", "*{}*"):
        rendered = markdown2html_mistune(place.format(markdown(text)))
        tags = set(re.findall(r"</?([a-zA-Z0-9]+)", rendered))
        assert tags <= {
            "p",
            "h2",
            "ul",
            "li",
            "table",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
            "em",
            "a",
        }
        links = re.findall(r"<a [^>]*href=\"([^\"]*)\"", rendered)
        assert all(link.startswith("#") for link in links), "the anchor of a heading and no other"
        content = html.unescape(re.sub(r"<a [^>]*anchor-link.*?</a>|<[^>]+>", " ", rendered))
        assert squeezed(visible(text, 300)) in squeezed(content)


def test_markdown_is_cut_past_300_characters() -> None:
    assert markdown("x" * 300) == "x" * 300
    assert html.unescape(markdown("x" * 301)) == "x" * 300 + "… (301 characters)"


# --- slug ----------------------------------------------------------------------------------------


@hostile
@given(ANY)
@example("-" * 200 + "x")
@example("a" * 99 + "-b")
@example(".-." * 80)
@example("../../etc/passwd")
def test_a_slug_is_a_file_name_anywhere(text: str) -> None:
    made = slug(text)
    assert re.fullmatch(r"[a-z0-9._-]{1,100}", made)
    assert made[0] not in ".-"
    assert ".." not in made
    assert slug(made) == made


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("Observation: qualia-demo", "observation-qualia-demo"),
        ("Crème Brûlée №1 (final)", "creme-brulee-no1-final"),
        ("../../etc/passwd", "etc-passwd"),
        ("-rf", "rf"),
        (".hidden", "hidden"),
        ("_x_", "x"),
        ("v1.2..3 -- a", "v1.2.3-a"),
        ("a/b\\c\0d\ne", "a-b-c-d-e"),
        ("汉字", "notebook"),
        ("", "notebook"),
        ("---", "notebook"),
        ("x" * 150, "x" * 100),
        ("ABC", "abc"),
    ],
)
def test_slugs(text: str, made: str) -> None:
    assert slug(text) == made


def test_a_slug_of_nothing_is_the_default_given() -> None:
    assert slug("!!!", default="runs") == "runs"


def test_what_is_settled_keeps_its_lines_and_what_joins_letters() -> None:
    text = "a\tb\n\u202ec\u2066 \x1b[31m \x9b \x07 \U0001f469\u200d\U0001f4bb \u200c"
    assert settled(text) == (
        "a\tb\n\\u202ec\\u2066 \\x1b[31m \\x9b \\x07 \U0001f469\u200d\U0001f4bb \u200c"
    )


def test_what_is_no_character_is_an_escape() -> None:
    assert visible("a\ufffe\uffff\ufdd0\U0001ffff\ufffd") == (
        "a\\ufffe\\uffff\\ufdd0\\U0001ffff\ufffd"
    )
