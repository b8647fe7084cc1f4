"""Numbers and objects out of JSON that others wrote: what is none is as if it were not there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from qualia_lab.tracking import frames


def counts(told: Any, names: Mapping[str, str]) -> dict[str, int]:
    """Counts of tokens, by our names of them; what is no count is left out.

    Args:
        told: an object, or its JSON.
        names: what MLflow calls each.
    """
    found = parsed(told)
    numbers = {name: number(found.get(theirs)) for name, theirs in names.items()}
    return {
        name: int(one)
        for name, one in numbers.items()
        if one is not None and 0 <= one < 2**63 and one == int(one)
    }


def cost(told: Any) -> float | None:
    """The whole cost out of an object or its JSON, unless it is no finite number."""
    found = number(parsed(told).get("total_cost"))
    return None if found is None else float(found)


def number(value: Any) -> int | float | None:
    """The value, where it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) <= frames.LARGEST else None  # neither NaN nor infinite


def parsed(told: Any) -> dict[str, Any]:
    """A JSON object out of its text, or as it is; an empty one where it is none."""
    if isinstance(told, dict):
        return told
    try:
        found = json.loads(told or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
