"""What a token costs, as far as the ground truth is concerned. Money is in whole nano-dollars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

SOURCE = "genai-prices 0.2.3, its bundled data, standard tier, read on 2026-11-26"
NANO = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars per million tokens.

    None: the provider names no price for these tokens, and none of the calls has any.
    """

    provider: str
    input: str
    output: str
    cache_read: str | None = None
    cache_write: str | None = None


# ``provider`` is MLflow's name for it. MLflow's bundled catalogue (3.17.2) knows all of these but
# ``claude-sonnet-4-0`` and ``mistral-small-2506``.
PRICES: Mapping[str, Price] = {
    "gpt-4.1": Price(provider="openai", input="2", output="8", cache_read="0.5"),
    "gpt-4.1-mini": Price(provider="openai", input="0.4", output="1.6", cache_read="0.1"),
    "claude-sonnet-4-5": Price(
        provider="anthropic", input="3", output="15", cache_read="0.3", cache_write="3.75"
    ),
    "claude-haiku-4-5": Price(
        provider="anthropic", input="1", output="5", cache_read="0.1", cache_write="1.25"
    ),
    "gemini-2.5-flash": Price(provider="gemini", input="0.3", output="2.5", cache_read="0.03"),
    "claude-sonnet-4-0": Price(
        provider="anthropic", input="3", output="15", cache_read="0.3", cache_write="3.75"
    ),
    "mistral-small-2506": Price(provider="mistral", input="0.1", output="0.3"),
}
# Whose calls carry no cost of their own: MLflow knows no price for them either, and would record
# one by itself otherwise.
NOT_RECORDED = frozenset({"claude-sonnet-4-0", "mistral-small-2506"})
UNLISTED = "qualia-demo-local-8b"  # in no list of prices
UNLISTED_PROVIDER = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one call. ``input`` includes those read from and written to the cache."""

    input: int
    output: int
    cache_read: int = 0
    cache_write: int = 0


def provider(model: str) -> str:
    """MLflow's name of who offers a model."""
    return PRICES[model].provider if model in PRICES else UNLISTED_PROVIDER


def cost(model: str, usage: Usage) -> tuple[int, int] | None:
    """What the input and the output cost, in nano-dollars; None if no list has a price.

    Each kind of input token at its own price: the sum that providers bill.
    """
    price = PRICES.get(model)
    if price is None:
        return None
    plain = usage.input - usage.cache_read - usage.cache_write
    read, written = price.cache_read or price.input, price.cache_write or price.input
    spent = (
        plain * _a_token(price.input)
        + usage.cache_read * _a_token(read)
        + usage.cache_write * _a_token(written)
    )
    return spent, usage.output * _a_token(price.output)


def _a_token(a_million: str) -> int:
    """Nano-dollars for one token: every price in the table is a whole number of them."""
    return int(Decimal(a_million) * NANO) // 1_000_000


def dollars(nano: int) -> str:
    """An exact amount in dollars, with nine decimals."""
    return f"{Decimal(nano) / NANO:.9f}"
