"""Prices: against what genai-prices and MLflow compute themselves, and files that people write."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualia_lab.errors import NotFoundError, QualiaError, UsageError
from qualia_lab.prices import Prices, file, published

NOW = datetime(2026, 11, 1, tzinfo=UTC)
COUNTS = [  # input, output, cache read, cache write
    (1000, 500, 0, 0),
    (1000, 0, 800, 0),
    (250_001, 7, 1000, 2000),
    (200_000, 7, 0, 0),
    (0, 3, 0, 0),
]


def write(folder: Path, text: str) -> Path:
    path = folder / "prices.toml"
    path.write_text(text, encoding="utf-8")
    return path


MODELS = [
    ("gpt-4o", "openai"),
    ("gpt-5.2", "openai"),
    ("claude-sonnet-4-5", "anthropic"),
    ("claude-3-5-haiku-latest", "anthropic"),
    ("gemini-2.5-pro", "google"),
    ("deepseek-chat", "deepseek"),
]


@pytest.mark.parametrize(("model", "provider"), MODELS)
@pytest.mark.parametrize("counts", COUNTS, ids=str)
def test_a_published_price_is_what_genai_prices_computes(
    model: str, provider: str, counts: tuple[int, int, int, int]
) -> None:
    from genai_prices import Usage, calc_price

    inputs, outputs, read, written = counts
    theirs = calc_price(
        Usage(
            input_tokens=inputs,
            output_tokens=outputs,
            cache_read_tokens=read,
            cache_write_tokens=written,
        ),
        model,
        provider_id=provider,
        genai_request_timestamp=NOW,
    )
    price = Prices().find(model, provider, NOW)
    assert price is not None and price.source == "genai-prices"
    assert price.cost(inputs, outputs, read, written) == theirs.total_price


def test_a_price_is_that_of_its_day() -> None:
    """Each model whose price changed has the old one before, as genai-prices has it."""
    from genai_prices import Usage, calc_price
    from genai_prices.data_snapshot import get_snapshot

    changed = 0
    for provider in get_snapshot().providers:
        for model in provider.models:
            for one in model.prices if isinstance(model.prices, list) else ():
                start = getattr(one.constraint, "start_date", None)
                if start is None:
                    continue
                noon = datetime(start.year, start.month, start.day, 12, tzinfo=UTC)
                for at in (noon - timedelta(days=2), noon):
                    usage = Usage(input_tokens=1000, output_tokens=1000)
                    try:
                        theirs = calc_price(
                            usage, model.id, provider_id=provider.id, genai_request_timestamp=at
                        )
                    except LookupError:
                        continue  # some ids are no name that it finds again
                    price = published.genai_price(model.id, provider.id, at)
                    assert price is not None
                    assert price.cost(1000, 1000) == theirs.total_price, (model.id, at)
                    changed += 1
    assert changed > 10


@pytest.mark.parametrize("counts", COUNTS, ids=str)
@pytest.mark.parametrize("model", ["gpt-4o", "claude-haiku-4-5", "gpt-5-mini"])
def test_the_catalogue_is_read_as_mlflow_reads_it(
    model: str, counts: tuple[int, int, int, int]
) -> None:
    from mlflow.utils.providers import cost_per_token

    inputs, outputs, read, written = counts
    theirs = cost_per_token(
        model,
        inputs,
        outputs,
        "anthropic" if model.startswith("claude") else "openai",
        cache_read_input_tokens=read,
        cache_creation_input_tokens=written,
    )
    price = published.catalogue_price(model, "")
    assert theirs is not None and price is not None
    assert not price.tiers, "MLflow leaves the tiers out"
    assert float(price.cost(inputs, outputs, read, written)) == pytest.approx(sum(theirs))


def test_a_model_that_only_the_catalogue_knows_is_priced_by_it() -> None:
    known = [
        model
        for model in published._models("fireworks_ai")
        if published.genai_price(model, "fireworks_ai", NOW) is None
        and published.catalogue_price(model, "fireworks_ai")
    ]
    price = Prices().find(known[0], "fireworks_ai", NOW)
    assert price is not None
    assert (price.source, price.provider) == ("MLflow's catalogue", "fireworks_ai")
    assert price.version.startswith("mlflow ")


@pytest.mark.parametrize("model", ["", None, "no-such-model-at-all", "a\nb", "../../etc/passwd"])
def test_a_model_that_nobody_knows_has_no_price(model: str | None) -> None:
    assert Prices().find(model, "openai", NOW) is None
    assert Prices().find(model, "../openai", NOW) is None


def test_what_a_person_wrote_wins_and_the_rest_is_as_published(tmp_path: Path) -> None:
    path = write(tmp_path, '[[price]]\nmodel = "gpt-4o"\ninput = 1\noutput = 2.5\n')
    prices = Prices(path)
    mine = prices.find("gpt-4o", "openai", NOW)
    assert mine is not None
    assert (mine.source, mine.cost(1_000_000, 1_000_000)) == ("prices.toml", Decimal("3.5"))
    other = prices.find("gpt-5.2", "openai", NOW)
    assert other is not None and other.source == "genai-prices"


def test_the_narrowest_line_wins(tmp_path: Path) -> None:
    text = """
        [[price]]
        model = "*"
        input = 1
        [[price]]
        model = "m"
        input = 2
        [[price]]
        model = "m"
        provider = "P"
        input = 3
        [[price]]
        model = "m"
        provider = "P"
        from = 2026-06-01
        input = 4
        """
    prices = Prices(write(tmp_path, text))

    def of(model: str, provider: str, at: datetime = NOW) -> int:
        price = prices.find(model, provider, at)
        assert price is not None
        return int(price.rates.input)

    assert [of("x", ""), of("M", ""), of("m", "q"), of("m", "p")] == [1, 2, 2, 4]
    assert of("m", "p", datetime(2026, 5, 31, 23, 59, tzinfo=UTC)) == 3


def test_another_currency_is_converted(tmp_path: Path) -> None:
    head = 'currency = "EUR"\nin_usd = 1.25\n'
    (line,) = file.read(write(tmp_path, head + '[[price]]\nmodel = "m"\ninput = 2\n'))
    assert line.price.rates.input == Decimal("2.50")


@pytest.mark.parametrize(
    ("text", "said"),
    {
        "no TOML": ("[[price]", "no TOML"),
        "unknown at the top": ("prize = 1", "no key prize"),
        "unknown in a line": ('[[price]]\nmodel = "m"\ninptu = 1', "no key inptu"),
        "no model": ("[[price]]\ninput = 1", "names no model"),
        "no price": ('[[price]]\nmodel = "m"', "neither input nor output"),
        "negative": ('[[price]]\nmodel = "m"\ninput = -1', "0 or more"),
        "not a number": ('[[price]]\nmodel = "m"\ninput = nan', "0 or more"),
        "text": ('[[price]]\nmodel = "m"\ninput = "$1"', "is a number"),
        "truth": ('[[price]]\nmodel = "m"\ninput = true', "is a number"),
        "no list": ("price = 3", "list of tables"),
        "a day as text": ('[[price]]\nmodel = "m"\ninput = 1\nfrom = "soon"', "is a day"),
        "twice": ('[[price]]\nmodel = "m"\ninput = 1\n' * 2, "twice"),
        "another currency": ('currency = "EUR"', "in EUR"),
        "mixed currencies": (
            '[[price]]\nmodel = "m"\ninput = 1\ncurrency = "EUR"',
            "currency of its own",
        ),
        "no utf-8": ("\udcff", "no TOML"),
    }.values(),
)
def test_a_file_that_makes_no_sense_says_where(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "prices.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError, match=said):
        Prices(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no price file"):
        Prices(tmp_path / "prices.toml")
    with pytest.raises(QualiaError, match="no plain file"):
        Prices(tmp_path)


def test_what_is_no_plain_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "prices.toml")
    with pytest.raises(UsageError, match="no plain file"):
        Prices(tmp_path / "prices.toml")


@given(model=st.text(min_size=1), provider=st.text())
def test_what_is_written_reads_back(
    tmp_path_factory: pytest.TempPathFactory, model: str, provider: str
) -> None:
    found = published.genai_price("claude-sonnet-4-5", "anthropic", NOW)
    assert found is not None
    from dataclasses import replace

    model, provider = (one.encode("utf-8", "replace").decode() for one in (model, provider))
    path = tmp_path_factory.mktemp("prices") / "prices.toml"
    path.write_text(file.write([replace(found, model=model, provider=provider)]), encoding="utf-8")
    (line,) = file.read(path)
    assert (line.model, line.provider) == (model, provider)
    assert line.price.rates == found.rates


def test_the_batch_tier_is_that_of_the_catalogue() -> None:
    price = Prices().find("gpt-4o", "openai", NOW)
    assert price is not None
    batch = Prices().batch(price)
    assert batch is not None
    assert batch.rates.input == price.rates.input / 2
