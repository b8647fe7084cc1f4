"""``qualia-lab prices``: what models cost, and who says so; a file to start one's own from."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qualia_lab.cli.options import Configured, Talk, takes
from qualia_lab.cli.tables import Column, Table
from qualia_lab.text import visible

if TYPE_CHECKING:
    from qualia_lab.cli.config import Settings
    from qualia_lab.cli.console import Console
    from qualia_lab.prices import Price

EPILOG = """Examples:

\b
qualia-lab prices gpt-4o claude-sonnet-4-5
qualia-lab prices --experiment assistant
qualia-lab prices --experiment assistant --format toml > prices.toml
qualia-lab prices gpt-4o --prices prices.toml --on 2026-01-31 --json
"""

_FORMATS = ("table", "csv", "json", "toml")
_RATES = ("input", "output", "cache_read", "cache_write", "cache_write_1h")


@takes(Configured, Talk)
def prices(
    configured: Configured,
    talk: Talk,
    *,
    model: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL]...", help="As MLflow records it; PROVIDER/MODEL too."),
    ] = None,
    experiment: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="The models that its traces called. Repeatable."),
    ] = None,
    tracking_uri: Annotated[
        str | None,
        typer.Option(metavar="URI", help="Where the experiments are; MLFLOW_TRACKING_URI else."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--prices", metavar="FILE", dir_okay=False, help="A prices.toml, which wins."),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(metavar="DAY", help="The price of that day; today's by default."),
    ] = None,
    format_: Annotated[
        str, typer.Option("--format", metavar="table|csv|json|toml", help="How to print them.")
    ] = "table",
) -> None:
    """Show the prices that cost notebooks use, in US dollars for a million tokens.

    A price comes from your prices.toml, else from genai-prices at that day, else from the catalogue
    that MLflow brings along; a model that none knows is listed without one. Nothing is fetched.
    With --format toml it is a prices.toml to edit.
    """
    from qualia_lab.errors import UsageError, known_list
    from qualia_lab.prices import Prices
    from qualia_lab.prices.file import write

    if format_ not in _FORMATS:
        raise UsageError(f"no format {visible(format_, 60)}", hint=known_list(format_, _FORMATS))
    if not model and not experiment:
        raise UsageError(
            "which models is not said",
            hint="Name some, or --experiment NAME for those that its traces called.",
        )
    settings = configured.settings()
    settings.require_trust(configured.trust, tracking_uri)
    out = replace(talk, as_json=talk.as_json or format_ == "json").console(settings)
    source, at = Prices(file), _day(on)
    wanted = [_named(one) for one in model or ()]
    wanted += _called(experiment or [], tracking_uri, settings, out)
    rows = [(name, by, source.find(name, by, at)) for name, by in dict.fromkeys(wanted)]
    records = [_record(*row) for row in rows]
    known = [
        replace(price, model=name, provider=by) for name, by, price in rows if price is not None
    ]
    text = {"toml": lambda: write(known).rstrip("\n"), "csv": lambda: _csv(records)}
    out.result(
        text.get(format_, lambda: _table(rows))(), {"on": f"{at:%Y-%m-%d}", "prices": records}
    )
    lacking = [visible(name, 60) for name, _, price in rows if price is None]
    if lacking:
        out.warn(f"no source has a price of {', '.join(lacking)}; a prices.toml can give one")


def _named(word: str) -> tuple[str, str]:
    """A model and its provider; ``openai/gpt-4o`` names both."""
    by, slash, name = word.partition("/")
    return (name, by) if slash else (word, "")


def _day(text: str | None) -> datetime:
    from qualia_lab.errors import UsageError

    if text is None:
        return datetime.now(UTC)
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        raise UsageError(f"--on {visible(text, 40)} is no day", hint="2026-01-31") from None


def _called(
    experiments: list[str], tracking_uri: str | None, settings: Settings, out: Console
) -> list[tuple[str, str]]:
    """The models that the traces of these experiments called, those called most first."""
    if not experiments:
        return []
    from qualia_lab.model import Query
    from qualia_lab.tracking.explorer import ArtifactExplorer

    explorer = ArtifactExplorer(settings.value("tracking_uri", tracking_uri))
    with out.waiting("Reading the traces"):
        ids = tuple(explorer.experiment(name).experiment_id for name in experiments)
        spans = explorer.load(Query(experiment_ids=ids)).spans()
    called = spans[spans["model"].notna()]
    counts = called.groupby(["model", "provider"], dropna=False).size()
    order = counts.sort_values(ascending=False, kind="stable").index
    return [(str(name), "" if by != by else str(by)) for name, by in order]


def _record(name: str, by: str, price: Price | None) -> dict[str, Any]:
    rates = price.rates if price else None
    told = {one: getattr(rates, one, None) for one in _RATES}
    return {
        "model": name,
        "provider": by or (price.provider if price else ""),
        **{one: None if rate is None else float(rate) for one, rate in told.items()},
        "tiers_from": [threshold for threshold, _ in price.tiers] if price else [],
        "source": price.source if price else None,
        "version": price.version if price else "",
        "as_of": price.as_of if price else "",
    }


def _table(rows: list[tuple[str, str, Price | None]]) -> str:
    columns = [Column(title="model"), Column(title="provider")]
    columns += [Column(title=one.replace("_", " "), right=True) for one in _RATES[:4]]
    columns += [Column(title="source"), Column(title="as of", spare=True)]
    cells = []
    for name, by, price in rows:
        row = _record(name, by, price)
        rates = ["" if row[one] is None else f"{row[one]:g}" for one in _RATES[:4]]
        tiers = f", dearer from {row['tiers_from'][0]:,} tokens" if row["tiers_from"] else ""
        said = f"{row['source']} {row['version']}".strip() + tiers if price else "no price"
        shown = (visible(name, 60), visible(row["provider"], 40), *rates, said, row["as_of"])
        cells.append(shown)
    table = Table(columns, cells)
    widths = table.widths()
    return "\n".join(table.line(one, widths) for one in (table.header, *cells))


def _csv(records: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(records[0] if records else [])
    for record in records:
        writer.writerow("" if one is None else one for one in record.values())
    return text.getvalue().rstrip("\n")
