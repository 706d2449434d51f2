"""``petkit report``: the pages of runs and studies again, and several side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer import Argument, Option

from petkit.cli.options import AsJson
from petkit.cli.reporter import print_json
from petkit.errors import SettingsError

__all__ = ["report"]


def report(
    folders: Annotated[list[Path], Argument(metavar="DIR...", help="Finished runs, or studies. Several are shown side by side.")],
    out: Annotated[Path | None, Option(metavar="DIR", help="Where to write; default: beside report.json; several are only shown.")] = None,
    merge: Annotated[
        bool, Option("--merge", help="Make one study of several, compared and corrected together, in the new folder --out.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Render reports again from report.json; compare several runs or studies, or merge studies."""
    from petkit.report.beside import compared, read_report, render_again, write_comparison

    if merge:
        found, written = _merged(folders, out)
    elif len(folders) == 1:
        found = read_report(folders[0])
        written = render_again(found, out or folders[0])
    else:
        found = compared(folders)
        written = write_comparison(found, out) if out else []
    if as_json:
        print_json({**found, "written": [str(path) for path in written]})
        return
    _show(found, Console(highlight=False))
    if written:
        Console(highlight=False).print(Text(f"Written: {', '.join(map(str, written))}"), soft_wrap=True)


def _merged(folders: list[Path], out: Path | None) -> tuple[dict[str, Any], list[Path]]:
    from petkit.evaluation.merging import merge_studies

    if out is None:
        raise SettingsError("--merge needs --out, a new folder for the merged study")
    return merge_studies(folders, out), [out / name for name in ("report.html", "report.md", "report.tex", "report.json")]


def _show(found: Mapping[str, Any], console: Console) -> None:
    if "names" in found:
        console.print(_side_by_side(found))
    elif found.get("kind") == "study":
        for table in _study(found):
            console.print(table)
    else:
        from petkit.cli.results import results_table

        console.print(results_table(found))


def _study(found: Mapping[str, Any]) -> Sequence[Table]:
    from petkit.report.names import METRIC_NAMES, SHARES, method_name
    from petkit.report.view import grids, shown
    from petkit.report.words import legend

    tables = []
    for grid in grids(found, found["study"]["primary"]["metric"]):
        unit = " in %" if grid.metric in SHARES else ""
        table = _table(f"{grid.title}: {METRIC_NAMES[grid.metric]}{unit}, {legend(found)}", grid.columns)
        for method, cells in shown(grid):
            table.add_row(Text(method_name(method)), *(Text("\n".join(part for part in cell if part)) for cell in cells))
        tables.append(table)
    return tables


def _side_by_side(found: Mapping[str, Any]) -> Table:
    from petkit.report.beside import shown_cell

    table = _table(f"{found['kind'].capitalize()}; below, the difference to {found['names'][0]}", found["names"])
    for row in found["rows"]:
        cells = (shown_cell(row["metric"], cell) for cell in row["cells"])
        table.add_row(Text(row["what"]), *(Text("\n".join(part for part in cell if part)) for cell in cells))
    return table


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=Text(title), title_justify="left")
    table.add_column("", overflow="fold")
    for column in columns:
        table.add_column(Text(column, overflow="fold"), justify="right", overflow="fold")
    return table
