"""``petkit status``: what a run has done and what is left."""

from __future__ import annotations

import shlex
from collections import Counter
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from petkit.cli.options import AsJson, RunFolderPath
from petkit.cli.reporter import duration, print_json
from petkit.cli.tables import print_table

if TYPE_CHECKING:
    from petkit.runs import RunStatus

__all__ = ["status"]


def status(path: RunFolderPath, as_json: AsJson = False) -> None:
    """Show the units of a run: done, begun, still to do."""
    from petkit.runs import read_status

    found = read_status(path)
    if as_json:
        print_json(_record(found))
        return
    console = Console(highlight=False)
    console.print(Text(_headline(found)), soft_wrap=True)
    print_table(_units(found), console)
    for line in _next(found):
        console.print(Text(line), soft_wrap=True)


def _state(found: RunStatus) -> str:
    """``running`` while a process holds the folder, ``finished`` once the last results are there, else ``unfinished``."""
    if found.holder is not None:
        return "running"
    return "finished" if any((found.root / name).exists() for name in ("report.json", "model")) else "unfinished"


def _problems(found: RunStatus) -> list[str]:
    """What a finished run has lost; a process that works on the folder may be about to restore it."""
    from petkit.results import result_problems

    return [] if found.holder else result_problems(found.root)


def _record(found: RunStatus) -> dict[str, Any]:
    return {
        "path": str(found.root),
        "state": _state(found),
        "holder": found.holder,
        "units": [unit._asdict() for unit in found.units],
        "problems": _problems(found),
        **{name: found.manifest[name] for name in ("created", "settings", "inputs", "versions", "hardware")},
    }


def _headline(found: RunStatus) -> str:
    counts = Counter(unit.state for unit in found.units)
    of = ", ".join(f"{count} {state}" for state, count in counts.items()) or "none planned yet"
    by = f" ({found.holder})" if found.holder else ""
    return f"{found.root}: {_state(found)}{by}; begun {found.manifest['created']}; units: {of}"


def _units(found: RunStatus) -> Table:
    table = Table("unit", "state", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("time", justify="right", no_wrap=True)
    for unit in found.units:
        table.add_row(Text(unit.name), unit.state, "" if unit.seconds is None else duration(unit.seconds))
    return table


def _next(found: RunStatus) -> list[str]:
    if problems := _problems(found):
        return [f"Problem: {line}" for line in problems]
    if _state(found) == "unfinished":
        return ["Next: the command that began this run goes on with it."]
    if (found.root / "classifier").is_dir():
        page = "report.html" if (found.root / "report.html").exists() else "report.json"  # runs of older versions have no page
        return [f"Report: {found.root / page}", f"Next: petkit predict {shlex.quote(str(found.root))} FILE"]
    return [f"Model: {found.root / 'model'}"] if (found.root / "model").is_dir() else []
