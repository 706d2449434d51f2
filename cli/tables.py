"""Tables on standard output: as wide as the terminal, or plain text for files and pipes."""

from __future__ import annotations

from typing import Final

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

__all__ = ["print_table"]

_WIDEST: Final = 100_000


def print_table(table: Table, console: Console) -> None:
    """Print a table. Without a terminal: no rules, columns two spaces apart, and no line is folded, however long it gets."""
    if console.is_terminal:
        console.print(table)
        return
    title, caption = table.title, table.caption
    table.title = table.caption = table.box = None
    table.show_lines = table.pad_edge = False
    options = console.options.update(width=_WIDEST)
    lines = console.render_lines(table, options.update(width=Measurement.get(console, options, table).maximum), pad=False)
    rows = [Text("".join(segment.text for segment in line).rstrip()) for line in lines]
    for line in (title, *rows, caption):
        if line is not None:
            console.print(line, soft_wrap=True)
