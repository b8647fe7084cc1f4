"""Numbers and objects out of JSON that others wrote: what is none is as if it were not there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qualia_lab.tracking import frames

if TYPE_CHECKING:
    import pyarrow as pa

# Bytes that Arrow parses at once; no text may be longer.
_BLOCK = 1 << 20


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
    if not isinstance(told, str):
        return {}
    try:
        found = json.loads(told or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def counts_of(texts: pa.Array, names: Mapping[str, str]) -> dict[str, pa.Array]:
    """``counts`` of many texts at once: a column a name, null for what is no count.

    Raises:
        ValueError: a text is no object with whole numbers under these names.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    found = columns_of(texts, pa.schema([(one, pa.int64()) for one in names.values()]))
    nothing = pa.nulls(len(texts), pa.int64())
    return {
        name: pc.if_else(pc.greater_equal(found[theirs], 0), found[theirs], nothing)
        for name, theirs in names.items()
    }


def costs_of(texts: pa.Array) -> pa.Array:
    """``cost`` of many texts at once: null for what is no finite number.

    Raises:
        ValueError: a text is no object with a number as its whole cost.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    costs = columns_of(texts, pa.schema([("total_cost", pa.float64())]))["total_cost"]
    finite = pc.less_equal(pc.abs(costs), frames.LARGEST)
    return pc.if_else(finite, costs, pa.nulls(len(texts), pa.float64()))


def columns_of(texts: pa.Array, schema: pa.Schema) -> pa.Table:
    """Objects of JSON as columns, a row a text; null where there is no text.

    Raises:
        ValueError: a text is no object of these types.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import json as arrow_json

    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    here = pc.greater(pc.binary_length(texts), 0).fill_null(False)
    lines = texts.filter(here)
    if not len(lines):
        return pa.table([pa.nulls(len(texts), field.type) for field in schema], schema=schema)
    objects = pc.and_(pc.starts_with(lines, "{"), pc.ends_with(lines, "}"))
    if not pc.all(objects).as_py():
        raise ValueError("a text is no object")  # Arrow 25 crashes on a bare null
    longest = pc.max(pc.binary_length(lines)).as_py()
    # Joined in Arrow: as Python's strings, they would be copied three times.
    (joined,) = pc.binary_join(pa.ListArray.from_arrays([0, len(lines)], lines), "\n")
    found = arrow_json.read_json(
        pa.BufferReader(joined.as_buffer()),
        arrow_json.ReadOptions(block_size=max(_BLOCK, longest + 1)),
        arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
    )
    if len(found) != len(lines):
        raise ValueError("a text holds several objects, or none")
    if len(lines) == len(texts):
        return found
    place = pc.subtract(pc.cumulative_sum(pc.cast(here, pa.int64())), 1)
    return found.take(pc.if_else(here, place, pa.nulls(len(texts), pa.int64())))
