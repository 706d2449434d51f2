"""The table at the end of a run, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from petkit.cli.tables import print_table
from petkit.report.markdown import result_rows

__all__ = ["results_table", "show_results"]

Score = Mapping[str, float] | None


class Line(NamedTuple):
    """A line of the table; scores are None where there is none."""

    what: str
    before: Score
    after: Score


def show_results(
    report: Mapping[str, Any], *, path: Path, classifier: Path | None, console: Console | None = None, next_step: bool = True
) -> None:
    """Print the table, where the classifier and the report lie, and (``next_step``) the next command."""
    console = console or Console(highlight=False)
    if any(line.after or line.before for line in _lines(report)):
        print_table(results_table(report), console)
    else:
        console.print(Text("Nothing is scored: no labelled test rows were given (--test)."))
    if classifier is not None:
        console.print(Text(f"Classifier: {classifier}"), soft_wrap=True)
    console.print(Text(f"Report: {path / 'report.html'}, also as report.md, and for programs {path / 'report.json'}"), soft_wrap=True)
    if classifier is not None and next_step:
        console.print(Text(f"Next: petkit predict {shlex.quote(str(path))} FILE"), soft_wrap=True)


def results_table(report: Mapping[str, Any]) -> Table:
    """Each pattern before and after training, the ensemble, each generation, the classifier, the baselines."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=Text(f"{report['task']}: test scores"), title_justify="left")
    table.add_column("", overflow="fold")
    for header in ("accuracy\nbefore", "\naccuracy", "\nmacro-F1"):
        table.add_column(header, justify="right", no_wrap=True)
    for line in _lines(report):
        cells = (_number(line.before, "accuracy"), _number(line.after, "accuracy"), _number(line.after, "macro_f1"))
        table.add_row(Text(line.what), *cells)
    return table


def _lines(report: Mapping[str, Any]) -> Iterator[Line]:
    yield from _patterns(report["scores"]["members"])
    yield from (Line(what, None, score) for what, score in result_rows(report))


def _patterns(members: Sequence[Mapping[str, Any]]) -> Iterator[Line]:
    """One line per pattern: means over the seeds of the first generation."""
    first = min((member["generation"] for member in members), default=0)
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for member in members:
        if member["generation"] == first:
            index = f"{member['pattern_index']}: " if "pattern_index" in member else ""
            groups.setdefault(f"{index}{member['pattern']}", []).append(member)
    for pattern, group in groups.items():
        yield Line(pattern, _mean([m["before"] for m in group]), _mean([m["after"] for m in group]))


def _mean(scores: Sequence[Score]) -> Score:
    known = [score for score in scores if score]
    if not known:
        return None
    return {name: sum(score[name] for score in known) / len(known) for name in known[0]}


def _number(score: Score, name: str) -> str:
    return "" if not score or score.get(name) is None else f"{score[name]:.3f}"
