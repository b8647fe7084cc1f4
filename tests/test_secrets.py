"""The last gate: no known secret is written, in whatever spelling."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import Run, curve, fill, run_id

from qualia_lab import ArtifactExplorer, load, secrets
from qualia_lab.cli import doctor
from qualia_lab.errors import QualiaError
from qualia_lab.model import Query
from qualia_lab.text import markdown, visible
from qualia_lab.tracking import patience, uris

SECRETS = [
    "correct-horse-battery",
    "qu\"ot'e back\\slash <&> {x} #1",
    "pässwörd ☃ 汉字 long",
    "a/b+c=d?e@f:g%41",
    "dGVzdD09+/==abcdefgh",
    "new\nline and\ttab",
]


def same(text: str) -> str:
    return text


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def in_base64_without_padding(text: str) -> str:
    return in_base64(text).rstrip("=")


def in_base64_for_urls(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


def in_a_url(text: str) -> str:
    return quote(text, safe="")


def in_a_path(text: str) -> str:
    return quote(text)


def in_a_form(text: str) -> str:
    return quote_plus(text)


def in_json(text: str) -> str:
    return json.dumps(text)


def in_readable_json(text: str) -> str:
    return json.dumps({"x": f"<{text}>"}, ensure_ascii=False)


def in_html(text: str) -> str:
    return f"<td>{html.escape(text)}</td>"


def in_a_markdown_cell(text: str) -> str:
    return json.dumps(f"## {markdown(text)} ##")


def in_a_code_cell(text: str) -> str:
    return json.dumps(f"TITLE = {text!r}")


def in_a_message(text: str) -> str:
    return f"cannot open {visible(text)}: refused"


def in_html_in_json(text: str) -> str:
    return json.dumps(html.escape(text))


SPELLINGS: list[Callable[[str], str]] = [
    same,
    in_base64,
    in_base64_without_padding,
    in_base64_for_urls,
    in_a_url,
    in_a_path,
    in_a_form,
    in_json,
    in_readable_json,
    in_html,
    in_a_markdown_cell,
    in_a_code_cell,
    in_a_message,
    in_html_in_json,
]


@pytest.fixture(autouse=True)
def _own_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a test brings in is secret."""
    monkeypatch.setattr(secrets, "_known", set())
    for name in ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME"):
        monkeypatch.delenv(name, raising=False)


def is_refused(text: str) -> bool:
    try:
        secrets.refuse(text, "The notebook x.ipynb")
    except QualiaError:
        return True
    return False


@pytest.mark.parametrize("spell", SPELLINGS)
@pytest.mark.parametrize("secret", SECRETS)
def test_a_known_secret_is_found_in_every_spelling(
    secret: str, spell: Callable[[str], str]
) -> None:
    written = f"before {spell(secret)} after"
    assert secrets.scrub(written) == written
    assert not is_refused(written)
    secrets.remember(secret)
    scrubbed = secrets.scrub(written)
    assert secrets.MASK in scrubbed
    assert scrubbed.startswith("before ")
    assert scrubbed.endswith(" after")
    assert spell(secret) not in scrubbed
    assert is_refused(written)
    assert not is_refused(scrubbed)


@settings(deadline=None)
@given(st.text(min_size=8, max_size=30), st.sampled_from(SPELLINGS))
def test_any_long_secret_is_found(text: str, spell: Callable[[str], str]) -> None:
    secret = text.encode("utf-8", "replace").decode()
    # Markdown has no spaces at the ends of a text, and one between words.
    secret = "x".join(secret.split()) or "x"
    known = secrets._known
    try:
        secrets._known = {f"s3cret{secret}"}
        assert is_refused(spell(f"s3cret{secret}"))
    finally:
        secrets._known = known


def test_the_error_says_what_and_never_shows_the_secret() -> None:
    secrets.remember("correct-horse")
    with pytest.raises(QualiaError) as caught:
        secrets.refuse("... correct-horse ...", "The notebook x.ipynb")
    assert "The notebook x.ipynb" in str(caught.value)
    assert caught.value.hint
    assert "correct-horse" not in f"{caught.value}{caught.value.hint}{caught.value.args}"


@pytest.mark.parametrize(
    "name",
    [
        "MLFLOW_TRACKING_PASSWORD",
        "MLFLOW_TRACKING_TOKEN",
        "DATABRICKS_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AZURE_STORAGE_ACCESS_KEY",
        "PGPASSWORD",
        "MYSQL_PWD",
    ],
)
def test_the_secrets_of_the_environment_are_known(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "the value is correct-horse, say"
    assert not is_refused(text)
    monkeypatch.setenv(name, "correct-horse\n")
    assert secrets.scrub(text) == "the value is ***, say"
    assert is_refused(text)
    monkeypatch.delenv(name)
    assert secrets.scrub(text) == text


def test_a_login_of_the_environment_is_known_as_a_header_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ann")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "correct-horse")
    header = "Authorization: Basic " + in_base64("ann:correct-horse")
    assert secrets.scrub(header) == "Authorization: Basic ***"
    assert secrets.scrub("ann") == "ann"


def test_a_secret_in_the_name_of_a_file_is_known() -> None:
    secrets.remember("sk-AbCdEf+0123")
    assert secrets.scrub("notebooks/observation-sk-abcdef-0123.ipynb") == (
        "notebooks/observation-***.ipynb"
    )


def test_a_short_secret_counts_as_a_word_only() -> None:
    secrets.remember("demo")
    assert secrets.scrub("a demonstrator of demo-runs, demo") == "a demonstrator of ***-runs, ***"
    assert not is_refused("demonstrator")
    assert is_refused('{"x": "demo"}')


@pytest.mark.parametrize("secret", ["", "a", "abc"])
def test_what_is_too_short_to_be_a_secret_is_no_secret(secret: str) -> None:
    secrets.remember(secret)
    assert secrets.scrub("a abc b") == "a abc b"
    assert not is_refused("a abc b")


def test_the_longest_secret_is_taken_out_whole() -> None:
    secrets.remember("correct-horse")
    secrets.remember("correct-horse-battery")
    assert secrets.scrub("<correct-horse-battery> <correct-horse>") == "<***> <***>"


def test_what_looks_like_a_pattern_is_taken_as_it_is() -> None:
    secrets.remember("a.*b(c[d+e")
    assert secrets.scrub("a.*b(c[d+e axxb(c[d+e") == "*** axxb(c[d+e"


def test_a_password_that_a_run_repeats_is_not_shown_by_an_error(
    empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "correct-horse")
    fill(empty_store, [Run(run_id=run_id(0), metrics={"m": curve([1.0])})])
    assert len(load(f"sqlite:///{empty_store}", [run_id(0)])) == 1
    with pytest.raises(QualiaError) as caught:
        ArtifactExplorer(f"sqlite:///{empty_store}").runs(Query(filter="correct-horse"))
    assert "correct-horse" not in str(caught.value)
    assert secrets.MASK in str(caught.value)


def test_a_token_in_place_of_a_user_is_a_secret() -> None:
    token = "ghx_0123456789abcdefABCDEF"
    assert uris.without_password(f"https://{token}@host.invalid") == "https://host.invalid"
    assert token not in secrets.scrub(f"401 for {token}")
    assert uris.without_password("https://ann@host.invalid") == "https://host.invalid"
    assert "ann" in secrets.scrub("hello ann")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://ann:hunter2@host.invalid/x.git", "https://***@host.invalid/x.git"),
        ("https://ghp_0123456789abcdefABCDEF@host.invalid", "https://***@host.invalid"),
        ("see postgresql://u:p/a#ss@db:5432/x now", "see postgresql://***@db:5432/x now"),
        ("s3+https://b/k?X-Amz-Signature=abc&x=1", "s3+https://b/k?X-Amz-Signature=***&x=1"),
        ("https://a.blob/x?sv=2&sig=a%2Fb#f", "https://a.blob/x?sv=2&sig=***#f"),
        ('{"uri": "https://h/x?token=abc"}', '{"uri": "https://h/x?token=***"}'),
        ("ssh://git@host.invalid/x.git", "ssh://git@host.invalid/x.git"),
        ("git@host.invalid:x.git", "git@host.invalid:x.git"),
        ("http://host:80/x@y?page=2", "http://host:80/x@y?page=2"),
        ("http://host/a b:c@d", "http://host/a b:c@d"),
    ],
)
def test_logins_in_what_runs_logged_are_taken_out(text: str, shown: str, empty_store: Path) -> None:
    assert secrets.without_logins(text) == shown
    fill(empty_store, [Run(run_id=run_id(0), params={"p": text}, tags={"t": text, "u": "plain"})])
    runs = load(f"sqlite:///{empty_store}", [run_id(0)])
    assert runs.params.at[run_id(0), "p"] == runs.tags.at[run_id(0), "t"] == shown
    assert runs.tags.at[run_id(0), "u"] == "plain"


@pytest.mark.parametrize("part", ["a", "a:", "postgres://", "postgres://a:", "?token", "?a&token="])
def test_no_text_is_looked_at_for_long(part: str) -> None:
    import time

    began = time.perf_counter()
    secrets.without_logins("x://" + part * (60_000 // len(part)))
    assert time.perf_counter() - began < 2


@pytest.mark.parametrize(
    ("name", "value", "is_secret"),
    [
        ("OPENAI_API_KEY", "sk-0123456789abcdefABCDEF", True),
        ("HF_TOKEN", "hf_0123456789abcdefABCDEF", True),
        ("MY_DB_PASSWORD", "correct-horse-battery", True),
        ("TOKENIZERS_PARALLELISM", "correct-horse-battery", False),
        ("SSH_PRIVATE_KEY", "/home/ann/.ssh/id_ed25519", False),
        ("APP_TOKEN", "none", False),
        ("PWD", "correct-horse-battery", False),
    ],
)
def test_variables_are_secrets_by_their_names(
    name: str, value: str, is_secret: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert is_refused(f"the value is {value}, say") is is_secret


def test_the_password_of_mlflows_own_file_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert secrets.scrub("correct-horse") == "correct-horse"
    file = tmp_path / ".mlflow" / "credentials"
    file.parent.mkdir()
    file.write_text("[mlflow]\nmlflow_tracking_username = ann\n")
    assert secrets.scrub("correct-horse") == "correct-horse"
    file.write_text(
        "[mlflow]\nmlflow_tracking_username = ann\nmlflow_tracking_password = correct-horse%41\n"
    )
    assert secrets.scrub("<correct-horse%41>") == "<***>"
    assert secrets.scrub(in_base64("ann:correct-horse%41")) == "***"
    file.write_text("no [ini")
    assert secrets.scrub("<correct-horse%41>") == "<correct-horse%41>"


def test_what_is_cut_shows_no_part_of_a_secret() -> None:
    """An answer of a server, and a line of the doctor: first without secrets, then cut."""
    secret = "correct-horse-battery"
    secrets.remember(secret)
    text = f"the password {secret} is wrong, " + "x" * 200
    for most in range(1, 60):
        shown = patience.beginning(text.encode(), most)
        assert shown == text.replace(secret, "***")[:most]
        line = doctor._line("y" * (doctor._MOST - most) + text)
        assert secret[:4] not in line
