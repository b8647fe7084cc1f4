"""Prices that others collect: the package genai-prices, and MLflow's bundled catalogue.

Both are files of this machine; nothing is fetched.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from qualia_lab.prices.price import Price, Rates

GENAI, CATALOGUE = "genai-prices", "MLflow's catalogue"
# MLflow's names of the fields of ``Rates`` (mlflow/utils/providers.py, CatalogPricingTier).
_FIELDS = {
    "input": "input_per_million_tokens",
    "output": "output_per_million_tokens",
    "cache_read": "cache_read_per_million_tokens",
    "cache_write": "cache_write_per_million_tokens",
    "cache_write_1h": "cache_write_1hr_per_million_tokens",
}
# What tracing calls a provider, and what the catalogue's file is called.
_FILES = {"google": "gemini", "vertexai": "vertex_ai", "azure_openai": "azure", "aws": "bedrock"}
# Of a model without a provider, those who make models are asked before those who resell them.
_MAKERS = ("openai", "anthropic", "gemini", "mistral", "deepseek", "xai", "cohere_chat", "meta")


def genai_price(model: str, provider: str, at: datetime) -> Price | None:
    """What genai-prices says that a model cost at that time; None where it does not know it."""
    found = _genai_model(model, provider)
    if found is None:
        return None
    maker, info = found
    return _genai_rates(maker, info.id, info.get_prices(at), at)


def changes(model: str, provider: str) -> bool:
    """Whether genai-prices has several prices of a model, for several times."""
    found = _genai_model(model, provider) if model else None
    return found is not None and isinstance(found[1].prices, list) and len(found[1].prices) > 1


@cache
def _genai_model(model: str, provider: str) -> tuple[str, Any] | None:
    from genai_prices.data_snapshot import get_snapshot

    snapshot = get_snapshot()
    for named in dict.fromkeys([provider or None, None]):
        try:
            maker, info = snapshot.find_provider_model(model, None, named, None)
        except LookupError:
            continue
        return str(maker.id), info
    return None


_genai_known: dict[tuple[str, str, int], tuple[Any, Price]] = {}


def _genai_rates(maker: str, model: str, prices: Any, at: datetime) -> Price:
    """The record of a price; the same one for the same price, of which there are few."""
    key = (maker, model, id(prices))
    if key not in _genai_known:
        names = {name: f"{name}_mtok" for name in _FIELDS}
        given = {name: getattr(prices, theirs) for name, theirs in names.items()}
        starts = sorted(
            {tier.start for one in given.values() for tier in getattr(one, "tiers", ())}
        )
        price = Price(
            model=model,
            provider=maker,
            rates=_genai_tier(given, 0),
            tiers=tuple((start, _genai_tier(given, start + 1)) for start in starts),
            source=GENAI,
            version=version("genai-prices"),
        )
        _genai_known[key] = (prices, price)  # kept, so that its id is no other's
    return _genai_known[key][1]


def _genai_tier(given: dict[str, Any], tokens: int) -> Rates:
    """The rates of a request with so many input tokens."""
    found: dict[str, Decimal] = {}
    for name, price in given.items():
        if price is None:
            continue
        rate = getattr(price, "base", price)
        for tier in getattr(price, "tiers", ()):
            rate = tier.price if tokens > tier.start else rate
        found[name] = Decimal(rate)
    return Rates(**found)


def catalogue_price(model: str, provider: str) -> Price | None:
    """What MLflow's catalogue says that a model costs; None where it does not know it.

    As MLflow looks prices up: by the provider, and where it is unknown there, by the name alone.
    """
    bare = model.split("/", 1)[-1]
    own = _FILES.get(provider.lower(), provider.lower())
    for name in dict.fromkeys([*([own] if own else []), *_MAKERS, *_providers()]):
        pricing = _models(name).get(bare, {}).get("pricing")
        if isinstance(pricing, dict) and {_FIELDS["input"], _FIELDS["output"]} & set(pricing):
            return _catalogued(bare, name)
    return None


@cache
def _catalogued(model: str, provider: str) -> Price:
    entry = _models(provider)[model]
    pricing = entry["pricing"]
    long = sorted(pricing.get("long_context", ()), key=lambda one: one["threshold_tokens"])
    batch = pricing.get("service_tiers", {}).get("batch")
    base = _rates(pricing)
    return Price(
        model=model,
        provider=provider,
        rates=base,
        tiers=tuple((one["threshold_tokens"], _rates({**pricing, **one})) for one in long),
        batch=_rates(batch) if batch else None,
        source=CATALOGUE,
        version=f"mlflow {version('mlflow')}",
        as_of=str(entry.get("last_updated_at", "")),
    )


def _rates(told: dict[str, Any]) -> Rates:
    return Rates(
        **{
            name: Decimal(str(told[theirs]))
            for name, theirs in _FIELDS.items()
            if isinstance(told.get(theirs), int | float)
        }
    )


@cache
def _folder() -> Path | None:
    """Where the catalogue lies. Finding a package does not import it, which takes seconds."""
    spec = find_spec("mlflow")
    for place in (spec and spec.submodule_search_locations) or ():
        folder = Path(place) / "utils" / "model_catalog"
        if folder.is_dir():
            return folder
    return None


@cache
def _providers() -> tuple[str, ...]:
    return tuple(sorted(_stems()))


def _stems() -> Iterator[str]:
    folder = _folder()
    for path in folder.glob("*.json") if folder else ():
        yield path.stem


@cache
def _models(provider: str) -> dict[str, Any]:
    if provider not in _providers():
        return {}
    text = ((_folder() or Path()) / f"{provider}.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)["models"]
    return found
