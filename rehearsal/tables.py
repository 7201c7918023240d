"""Tables for people."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

WIDTH = 160  # columns; nobody knows how wide the reader's terminal is, so lines are not broken for it


def lines(title: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The lines of a table whose columns are the keys of the rows; lists in a row follow below it, line by line."""
    if not rows:
        return []
    columns = [key for key, value in rows[0].items() if not isinstance(value, list)]
    table = Table(*columns, title=title, box=box.SIMPLE)
    for row in rows:
        table.add_row(*(_cell(row[key]) for key in columns))
    target = io.StringIO()
    Console(file=target, width=WIDTH, color_system=None).print(table)
    notes = [f"  {columns[0]} {row[columns[0]]}, {key.replace('_', ' ')}: {', '.join(map(_cell, value))}"
             for row in rows for key, value in row.items() if isinstance(value, list) and value]
    return [*(line.rstrip() for line in target.getvalue().splitlines() if line.strip()), *notes]


def _cell(value: Any) -> str:
    return " ".join(f"{key} {each}" for key, each in value.items()) if isinstance(value, Mapping) else str(value)
