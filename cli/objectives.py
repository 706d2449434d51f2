"""``petkit objectives``: the table of pretraining objectives, or one row of it."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from petkit.cli.completing import objective_names
from petkit.cli.options import AsJson
from petkit.cli.reporter import print_json
from petkit.cli.tables import print_table

__all__ = ["objectives"]


def objectives(
    name: Annotated[str | None, typer.Argument(help="An objective to show alone.", autocompletion=objective_names)] = None,
    as_json: AsJson = False,
) -> None:
    """List the pretraining objectives: what each does exactly, its numbers, and who says so."""
    from petkit.objectives.presets import PRESETS, preset  # here, so that --help needs no numpy

    rows = [preset(name)] if name else list(PRESETS.values())
    if as_json:
        print_json(_record(rows[0]) if name else {"objectives": [_record(row) for row in rows]})
        return
    print_table(_table(rows), Console())


def _record(row: Any) -> dict[str, Any]:
    from petkit.objectives.presets import numbers, plain_objectives

    return {
        "name": row.name,
        "summary": row.summary,
        "numbers": numbers(row),
        "source": row.source,
        "plain": row.name in plain_objectives(),
    }


def _table(rows: list[Any]) -> Table:
    from petkit.objectives.presets import plain_objectives

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.caption = (
        "petkit pretrain takes all, ernie with --units; member.objective those with a *, for which a masked language model and text are "
        "enough."
    )
    for header in ("name", "what exactly", "numbers", "source"):
        table.add_column(header, no_wrap=header == "name", overflow="fold")
    for row in rows:
        star = " *" if row.name in plain_objectives() else ""
        table.add_row(*map(Text, (row.name + star, row.summary, shown(row), row.source)))
    return table


def shown(row: Any) -> str:
    """The numbers of a row in a line."""
    from petkit.objectives.presets import numbers

    return "; ".join(f"{key} {_value(value)}" for key, value in numbers(row).items())


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
