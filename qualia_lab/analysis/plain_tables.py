"""How a report writes its tables: each value as it is read, all columns as wide as they must be."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qualia_lab.analysis.labels import number

if TYPE_CHECKING:
    import pandas as pd

_LEFT = ' style="text-align: left"'


def table_text(table: pd.DataFrame) -> str:
    """A table in a fixed width font: names to the left, values to the right."""
    columns = _columns(table)
    if columns is None:
        return table.to_string()
    names, *values = columns
    width = max(map(len, names))
    rows = [[name.ljust(width) for name in names]]
    for heading, *texts in values:
        width = max(len(heading), *(1 + len(text) for text in texts))  # as pandas spaces texts
        rows.append([one.rjust(width) for one in (heading, *texts)])
    return "\n".join(" ".join(row) for row in zip(*rows, strict=True))


def table_html(table: pd.DataFrame) -> str:
    """A table as pandas writes it, texts to the left; one column of values explains itself."""
    headed = list(table.columns) != ["value"]
    left = "" if len(table.select_dtypes("number").columns) else _LEFT
    columns = _columns(table)
    if columns is None:
        shown = table.to_html(border=0, index_names=False, header=headed, float_format=number)
        return shown.replace("<td>", f"<td{left}>").replace("<th>", f"<th{left}>")
    safe = ([html.escape(one, quote=False) for one in column] for column in columns)
    first, *rows = zip(*safe, strict=True)
    lines = ['<table class="dataframe">']
    if headed:
        lines += ["  <thead>", '    <tr style="text-align: right;">']
        lines += [f"      <th{left}>{one}</th>" for one in first]
        lines += ["    </tr>", "  </thead>"]
    lines.append("  <tbody>")
    for name, *values in rows:
        lines += ["    <tr>", f"      <th{left}>{name}</th>"]
        lines += [f"      <td{left}>{one}</td>" for one in values]
        lines.append("    </tr>")
    return "\n".join([*lines, "  </tbody>", "</table>"])


def _columns(table: pd.DataFrame) -> list[list[str]] | None:
    """Names and values of each column with its heading, the names of the rows first.

    None where there is more to a table than numbers and texts that stand as they are. A notebook
    has four of these tables for each run, and pandas takes ten times as long to write one.
    """
    if not len(table) or table.columns.nlevels > 1 or table.index.nlevels > 1:
        return None
    found = []
    for heading, column in [("", table.index), *table.items()]:
        texts = _texts([heading, *column.tolist()])
        if texts is None:
            return None
        found.append(texts)
    return found


def _texts(values: Sequence[object]) -> list[str] | None:
    texts = []
    for value in values:
        if type(value) is float:
            texts.append(number(value))
        elif type(value) is int:
            texts.append(str(value))
        elif isinstance(value, str) and value.isprintable() and value == " ".join(value.split()):
            texts.append(value)
        else:
            return None
    return texts
