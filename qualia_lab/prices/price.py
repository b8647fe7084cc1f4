"""The records: a price, and the rates in it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """US dollars for a million tokens.

    Tokens read from or written to a cache are part of the input; where there is no rate of their
    own (None), they cost what input costs. ``cache_write_1h`` is for entries that live an hour.
    """

    input: Decimal = Decimal(0)
    output: Decimal = Decimal(0)
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None

    @property
    def all(self) -> tuple[Decimal, Decimal, Decimal, Decimal, Decimal]:
        """The rates of plain input, output, cache reads, cache writes, and writes for an hour."""
        read = self.input if self.cache_read is None else self.cache_read
        write = self.input if self.cache_write is None else self.cache_write
        hour = write if self.cache_write_1h is None else self.cache_write_1h
        return self.input, self.output, read, write, hour

    def times(self, factor: Decimal) -> Rates:
        """All rates times a factor."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return Rates(**{name: rate * factor for name, rate in found.items() if rate is not None})


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a model costs, and who says so.

    Attributes:
        rates: of a request.
        tiers: (tokens, rates): those of a request whose input has more tokens than that, from the
            lowest threshold up. The rates of a tier are for all tokens of such a request.
        batch: the rates of the batch tier, where the source knows them.
        source, version: who says so, and which edition of it.
        as_of: since when it holds, or when the source last looked; empty where it does not say.
    """

    model: str
    provider: str
    rates: Rates
    source: str
    tiers: tuple[tuple[int, Rates], ...] = ()
    batch: Rates | None = None
    version: str = ""
    as_of: str = ""

    def rates_of(self, input_tokens: int) -> Rates:
        """The rates of a request with so many input tokens."""
        found = self.rates
        for threshold, rates in self.tiers:
            if input_tokens > threshold:
                found = rates
        return found

    def cost(
        self,
        input_tokens: int,
        output_tokens: int,
        cache_read_tokens: int = 0,
        cache_write_tokens: int = 0,
        cache_write_1h_tokens: int = 0,
    ) -> Decimal:
        """US dollars for one request, to the last digit.

        The tokens of the cache are among the input tokens, those written for an hour among those
        written: as MLflow counts them (``cost_per_token`` in mlflow/utils/providers.py).
        """
        plain, output, read, write, hour = self.rates_of(input_tokens).all
        long = min(cache_write_1h_tokens, cache_write_tokens)
        regular = max(input_tokens - cache_read_tokens - cache_write_tokens, 0)
        parts = (
            (regular, plain),
            (output_tokens, output),
            (cache_read_tokens, read),
            (cache_write_tokens - long, write),
            (long, hour),
        )
        return sum((count * rate for count, rate in parts), Decimal(0)) / 1_000_000
