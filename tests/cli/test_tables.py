"""Tables: rules and folds on a terminal, plain lines elsewhere."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from petkit.cli.studies import show_study
from petkit.cli.tables import print_table
from tests.petkit.report.sample_study import sample_study

LONG = "a text of many words " * 12


def shown(table: Table, *, terminal: bool, width: int = 40) -> list[str]:
    stream = io.StringIO()
    print_table(table, Console(file=stream, force_terminal=terminal, color_system=None, width=width))
    return stream.getvalue().splitlines()


def made() -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="a title " * 9, caption="a caption " * 9)
    table.add_column("name")
    table.add_column("what", overflow="fold")
    table.add_column("rows", justify="right")
    table.add_row(Text("one"), Text(LONG.strip()), "7")
    table.add_row(Text("two"), Text("first\nsecond"), "1234")
    return table


def test_without_a_terminal_no_line_is_folded_and_none_is_a_rule() -> None:
    rest = len(LONG.strip())
    assert shown(made(), terminal=False) == [
        "a title " * 9,
        f"name  {'what':{rest}}  rows",
        f"one   {LONG.strip()}     7",
        f"two   {'first':{rest}}  1234",
        "      second",
        "a caption " * 9,
    ]


@pytest.mark.parametrize("width", [30, 60])
def test_a_terminal_sees_rules_and_folds(width: int) -> None:
    lines = shown(made(), terminal=True, width=width)
    assert any(set(line.strip()) == {"\u2500"} for line in lines)
    assert max(map(len, lines)) <= width
    assert len(lines) > 10


@pytest.mark.parametrize("width", [40, 120])
def test_a_study_on_a_terminal_has_tables_of_its_width(width: int, tmp_path: Path) -> None:
    stream = io.StringIO()
    show_study(sample_study(), path=tmp_path, console=Console(file=stream, force_terminal=True, color_system=None, width=width))
    rules = [line for line in stream.getvalue().splitlines() if line and set(line.strip()) == {"\u2500"}]
    assert rules
    assert max(map(len, rules)) <= width
