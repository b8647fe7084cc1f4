"""``prices.toml``: prices that somebody wrote down."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from qualia_lab.errors import NotFoundError, UsageError, known_list
from qualia_lab.prices.price import Price, Rates
from qualia_lab.text import visible

_RATES = ("input", "output", "cache_read", "cache_write", "cache_write_1h")
_KEYS = ("model", "provider", *_RATES, "batch", "from")
_TOP = ("currency", "in_usd", "price")
_LARGEST = 10_000_000  # bytes; nobody writes more prices by hand


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One price of the file: of models whose name matches, from a day on."""

    model: str
    provider: str
    since: date
    price: Price

    def is_for(self, model: str, provider: str, on: date) -> bool:
        """Whether it prices this model of this provider on this day."""
        return (
            fnmatchcase(model.lower(), self.model.lower())
            and self.provider.lower() in ("", provider.lower())
            and self.since <= on
        )


def read(path: Path) -> tuple[Line, ...]:
    """The prices of a file, the ones that win first: exact names, then newer days.

    Raises:
        NotFoundError: there is no such file.
        UsageError: it is no TOML, or a line of it makes no sense; it is named.
    """
    if path.exists() and not path.is_file():
        raise UsageError(f"{visible(str(path))} is no plain file")
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST + 1)
    except FileNotFoundError:
        raise NotFoundError(
            f"no price file {visible(str(path))}",
            hint="`qualia-lab prices --format toml > prices.toml` writes one to start from.",
        ) from None
    except OSError as error:
        raise UsageError(f"{visible(str(path))} can't be read: {error.strerror}") from error
    where = visible(path.name, 60)
    if len(text) > _LARGEST:
        raise UsageError(f"{where} has more than {_LARGEST:,} bytes")
    try:
        found = tomllib.loads(text.decode("utf-8"), parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is no TOML: {visible(str(error), 200)}") from error
    _require_known(found, _TOP, where)
    in_usd = _in_usd(found, where)
    rows = found.get("price", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"{where}: price is a list of tables", hint="Write [[price]].")
    lines = [_line(row, f"{where}, price {n}", in_usd) for n, row in enumerate(rows, 1)]
    seen: set[tuple[str, str, date]] = set()
    for line in lines:
        key = (line.model.lower(), line.provider.lower(), line.since)
        if key in seen:
            raise UsageError(f"{where} prices {visible(line.model, 60)} twice for {line.since}")
        seen.add(key)
    # A name beats a pattern, a provider beats none, and a later day an earlier one.
    return tuple(
        sorted(lines, key=lambda one: ("*" in one.model, not one.provider, -one.since.toordinal()))
    )


def write(prices: list[Price]) -> str:
    """Prices as the text of such a file."""
    lines = ["# US dollars for a million tokens.", 'currency = "USD"']
    for price in prices:
        lines += ["", "[[price]]", f"model = {_quoted(price.model)}"]
        lines += [f"provider = {_quoted(price.provider)}"] if price.provider else []
        for name in _RATES:
            rate = getattr(price.rates, name)
            lines += [] if rate is None else [f"{name} = {rate:f}"]
        said = " ".join(one for one in (price.source, price.version, price.as_of) if one)
        lines.append(f"# from {visible(said, 100)}")
        for threshold, _ in price.tiers:
            lines.append(f"# it costs more from {threshold:,} input tokens on, which is not here")
    return "\n".join(lines) + "\n"


def _line(row: Mapping[str, Any], where: str, in_usd: Decimal) -> Line:
    _require_known(row, _KEYS, where)
    for name in ("model", "provider"):
        if not isinstance(row.get(name, ""), str):
            raise UsageError(f"{where}: {name} is text")
    model = row.get("model", "")
    if not model:
        raise UsageError(f"{where} names no model", hint='Write model = "..."; * is any text.')
    if "input" not in row and "output" not in row:
        raise UsageError(f"{where} has neither input nor output", hint="0 is a price too.")
    rates = Rates(
        **{name: _amount(row[name], f"{where}: {name}") * in_usd for name in _RATES if name in row}
    )
    batch = _amount(row["batch"], f"{where}: batch") if "batch" in row else None
    since = row.get("from", date.min)
    since = since.date() if isinstance(since, datetime) else since
    if not isinstance(since, date):
        raise UsageError(f"{where}: from is a day", hint="Write from = 2026-01-31, no quotes.")
    price = Price(
        model=model,
        provider=row.get("provider", ""),
        rates=rates,
        batch=None if batch is None else rates.times(batch),
        source="prices.toml",
        as_of="" if since == date.min else since.isoformat(),
    )
    return Line(model=model, provider=row.get("provider", ""), since=since, price=price)


def _in_usd(found: Mapping[str, Any], where: str) -> Decimal:
    """What one unit of the file's currency costs in US dollars."""
    currency = found.get("currency", "USD")
    if not isinstance(currency, str) or not currency:
        raise UsageError(f"{where}: currency is text", hint='Write currency = "USD".')
    rate = _amount(found["in_usd"], f"{where}: in_usd") if "in_usd" in found else None
    if currency.upper() == "USD":
        if rate not in (None, 1):
            raise UsageError(f"{where}: in_usd of US dollars is 1")
        return Decimal(1)
    if not rate:
        raise UsageError(
            f"{where} is in {visible(currency, 20)}, and what MLflow records in US dollars",
            hint="Say what one unit costs in US dollars: in_usd = 1.08, above the first [[price]].",
        )
    return rate


def _amount(value: Any, where: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise UsageError(f"{where} is a number", hint="Without quotes and without a currency sign.")
    amount = Decimal(value)
    if not amount.is_finite() or amount < 0:
        raise UsageError(f"{where} is {amount}; a price is 0 or more")
    return amount


def _require_known(found: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for name in found:
        if name == "currency" and name not in known:
            raise UsageError(
                f"{where} has a currency of its own: prices of several can't be added up",
                hint="Write one currency at the top of the file, and in_usd where it is not USD.",
            )
        if name not in known:
            raise UsageError(
                f"{where}: no key {visible(name, 60)}", hint=known_list(name, list(known))
            )


def _quoted(text: str) -> str:
    """A string of TOML."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(one if one.isprintable() else f"\\U{ord(one):08x}" for one in plain) + '"'
