"""Which price counts: the person's own, then genai-prices, then MLflow's catalogue, else none."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

from qualia_lab.prices import file, published
from qualia_lab.prices.price import Price


class Prices:
    """Prices of models.

    Args:
        path: of a ``prices.toml``, which wins over what is published; none by default.

    Raises:
        QualiaError: as ``file.read``.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self._lines = file.read(Path(path)) if path else ()

    def find(self, model: str | None, provider: str | None, at: datetime) -> Price | None:
        """What a model costs at a time; None where no source knows it.

        Args:
            model: as MLflow recorded it.
            provider: as MLflow recorded it; empty where it did not.
            at: a time with its zone; without one it is UTC.
        """
        if not model:
            return None
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        named, on = provider or "", at.date()
        for line in self._lines:
            if line.is_for(model, named, on):
                return line.price
        return published.genai_price(model, named, at) or published.catalogue_price(model, named)

    def changes(self, model: str, provider: str) -> bool:
        """Whether it depends on the time what a model costs."""
        lines = [one for one in self._lines if one.is_for(model, provider, date.max)]
        return len(lines) > 1 or published.changes(model, provider)

    def batch(self, price: Price) -> Price | None:
        """The same model in the batch tier, where a source knows what that costs."""
        known = price if price.batch else published.catalogue_price(price.model, price.provider)
        if known is None or known.batch is None:
            return None
        return replace(price, rates=known.batch, tiers=(), source=known.source)
