"""``petkit report``: the pages of runs and studies again, and several side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from rich.text import Text
from typer import Argument, Option

from petkit.cli.options import AsJson
from petkit.cli.reporter import print_json
from petkit.cli.studies import show_scores, show_table
from petkit.cli.tables import print_table
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
        _show_side_by_side(found, console)
    elif found.get("kind") == "study":
        show_scores(found, console)
    else:
        from petkit.cli.results import results_table

        print_table(results_table(found), console)


def _show_side_by_side(found: Mapping[str, Any], console: Console) -> None:
    from petkit.report.beside import legend, shown_cell

    lines = ((row["what"], [shown_cell(row["metric"], cell) for cell in row["cells"]]) for row in found["rows"])
    show_table(f"{found['kind'].capitalize()}: {legend(found)}", found["names"], lines, console)
