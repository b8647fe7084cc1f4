"""How runs, times, sizes and numbers are written in tables and charts."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from qualia_lab.errors import NotFoundError, known_list
from qualia_lab.text import visible

if TYPE_CHECKING:
    import pandas as pd

    from qualia_lab.model import RunSet

_NAME_CHARACTERS = 40
_ID_CHARACTERS = 8


def run_labels(runs: RunSet) -> dict[str, str]:
    """Run id -> a label no other run has: its name, with the start of its id where names repeat."""
    names = {run_id: plain(name).strip() for run_id, name in runs.runs["name"].items()}
    shared = {name for name, count in Counter(names.values()).items() if count > 1}
    return {
        str(run_id): f"{name} ({str(run_id)[:_ID_CHARACTERS]})".strip()
        if name in shared or not name
        else name
        for run_id, name in names.items()
    }


def find_run(runs: RunSet, which: str) -> str:
    """The id of the run that has this id, this label or this name, or whose id begins so.

    Raises:
        NotFoundError: none is called so, or several are; the known ones are listed.
    """
    names = runs.runs["name"]
    labels = run_labels(runs)
    for found in (
        [which] if which in labels else [],
        [run_id for run_id, label in labels.items() if label == which],
        [str(run_id) for run_id, name in names.items() if name == which],
        [run_id for run_id in labels if which and run_id.startswith(which)],
    ):
        if len(found) == 1:
            return found[0]
        if found:
            several = ", ".join(labels[one] for one in found[:5])
            raise NotFoundError(
                f"{visible(which, 60)} is the name of {len(found):,} runs: {several}"
            )
    raise NotFoundError(
        f"no run {visible(which, 60)} among the {len(runs):,} loaded",
        hint=known_list(which, list(labels.values())),
    )


def plain(value: object, most: int = _NAME_CHARACTERS) -> str:
    """A logged string on one line, nothing hidden; empty for a missing one."""
    return visible(value, most) if isinstance(value, str) else ""


def when(time: pd.Timestamp) -> str:
    """A time to the second, in UTC; empty for a missing one, and for one before the year 1."""
    return f"{time:%Y-%m-%d %H:%M:%S}" if time == time and time.year > 0 else ""


def how_long(duration: pd.Timedelta) -> str:
    """A duration in its two largest units, such as ``3 m 20 s``; empty for a missing one."""
    if duration != duration:
        return ""
    seconds = duration.total_seconds()
    sign, seconds = ("-" if seconds < 0 else ""), abs(seconds)
    if seconds < 10:
        return f"{sign}{seconds:.2f} s"
    if seconds < 60:
        return f"{sign}{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{sign}{minutes} m {rest} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{sign}{hours} h {minutes} m"
    days, hours = divmod(hours, 24)
    return f"{sign}{days:,} d {hours} h"


def how_large(size: int | None) -> str:
    """A size in bytes, kB, MB or GB (powers of 1000); empty when unknown."""
    if size is None:
        return ""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:,.1f} {unit}"
    return f"{size:,} bytes"


def number(value: float) -> str:
    """A number with five significant digits; ``NaN`` and ``inf`` by name."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if value == int(value) and abs(value) < 10**9:
        return f"{value:,.0f}"
    return f"{value:.5g}"


def rough(value: float) -> str:
    """A number with three significant digits, for prose."""
    whole = not math.isfinite(value) or value == round(value)
    return number(value) if whole else number(float(f"{value:.3g}"))


def chance(p: float) -> str:
    """A probability with two significant digits; below 1e-12 just that, as no law is so exact."""
    return "< 1e-12" if p < 1e-12 else f"{p:.2g}"


def dollars(value: float) -> str:
    """An amount of US dollars for prose: to the cent from a dollar on, else three digits."""
    if not math.isfinite(value):
        return f"${number(value)}"
    sign, amount = ("-" if value < 0 else ""), abs(value)
    if amount >= 1000:
        return f"{sign}${amount:,.0f}"
    return f"{sign}${amount:.2f}" if amount >= 1 else f"{sign}${rough(amount)}"


def with_spread(mean: float, spread: float) -> str:
    """``mean ± spread``: the spread with two significant digits, the mean to the same place."""
    if not (math.isfinite(mean) and math.isfinite(spread)) or spread <= 0:
        return f"{number(mean)} ± {number(spread)}"
    places = 1 - math.floor(math.log10(spread))
    if not 0 <= places <= 6:
        return f"{mean:.5g} ± {spread:.2g}"
    return f"{mean:,.{places}f} ± {spread:,.{places}f}"


def distinct(names: list[str]) -> list[str]:
    """The same names, with a number behind those that came before."""
    seen: dict[str, int] = {}
    out = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return out
