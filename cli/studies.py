"""What ``petkit evaluate`` shows: how far it is, and the table at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text

from petkit.cli.reporter import INTERVAL, Screen, duration
from petkit.cli.tables import print_table
from petkit.wording import many

if TYPE_CHECKING:
    from petkit.evaluation.progress import Progress as HowFar

__all__ = ["StudyReporter", "show_scores", "show_study", "show_table"]


class StudyReporter(Screen):
    """Shows how far a study is: one bar on a terminal, a line now and then elsewhere."""

    def __init__(self, *, quiet: bool = False, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(quiet=quiet, console=console, clock=clock)
        self._task = self._bars.add_task("cells", total=None, state="")
        self._told: float | None = None
        self._done = -1

    @staticmethod
    def columns(*, wide: bool) -> list[ProgressColumn]:
        """How many cells of how many, and what is running."""
        bar = [BarColumn(bar_width=20)] if wide else []
        return [TextColumn("cells"), *bar, MofNCompleteColumn(), TextColumn("{task.fields[state]}", markup=False)]

    def progress(self, far: HowFar) -> None:
        """How far the study is (``petkit.evaluation.progress.OnProgress``)."""
        if self._told is None:
            self._begin(far)
            return
        event = far.event
        if event is not None and event.kind == "rerun":
            self.say(f"{event.unit}: again, since {event.reason}")
        total = far.done + far.running + far.left
        unit = f"; {event.unit}" if event is not None and event.kind in ("started", "progress") else ""
        told = state(far)
        self._bars.update(self._task, completed=far.done, total=total, state=told + unit)
        now = self._clock()
        last = far.done == total != self._done
        if not self._console.is_terminal and (now - self._told >= INTERVAL or last):
            self._told = now
            self.say(f"cells: {far.done} of {total} done{told and ', '}{told}")
        self._done = far.done

    def _begin(self, far: HowFar) -> None:
        """The estimate, before the first unit."""
        self._told = self._clock()
        total = far.done + far.running + far.left
        cells = many(total, "cell")
        if far.seconds_left is None:
            self.say(f"{cells}, all done before.")
            return
        guess = about(far.seconds_left)
        self.say(f"{cells}; about {guess} of work is left, a rough guess from this machine's speed on a few texts.")


def state(far: HowFar) -> str:
    """What is running, what is left, and how long that may take; nothing where all is done."""
    if not far.running + far.left:
        return ""
    left = "" if far.seconds_left is None else f", about {about(far.seconds_left)} left"
    return f"{far.running} running, {far.left} to come{left}"


def about(seconds: float) -> str:
    """A duration with no more digits than a guess has.

    >>> about(3.4), about(134), about(9000)
    ('5 s', '2 min', '2.5 h')
    """
    if seconds < 100:
        return f"{max(5, 5 * round(seconds / 5))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def show_study(report: Mapping[str, Any], *, path: Path, regressions: Sequence[Any] | None = None, console: Console | None = None) -> None:
    """A table per task, what can be said of the differences, warnings, and where the report lies."""
    console = console or Console(highlight=False)
    show_scores(report, console)
    for comparison in report["comparisons"]:
        console.print(Text(comparison["sentence"]), soft_wrap=True)
    console.print(Text(report["power"]["sentence"]), soft_wrap=True)
    gain = report["gain_from_development"]
    if gain:
        console.print(Text(gain["sentence"]), soft_wrap=True)
        for choice in gain.get("choices", ()):
            if "sentence" in choice:  # older reports have one text for all
                console.print(Text(f"  {choice['sentence']}"), soft_wrap=True)
    for line in report["warnings"]:
        console.print(Text(f"Warning: {line}"), soft_wrap=True)
    if regressions is not None:
        found = many(len(regressions), "regression") if regressions else "no regressions"
        console.print(Text(f"Against the earlier study: {found}"), soft_wrap=True)
    for one in regressions or ():
        console.print(Text(f"  {one.get('sentence', one) if isinstance(one, Mapping) else one}"), soft_wrap=True)
    shown = [name for name in ("report.html", "report.md", "report.json") if (path / name).exists()]
    console.print(Text(f"Report: {', '.join(str(path / name) for name in shown)}"), soft_wrap=True)
    console.print(Text(f"Time: {duration(report['measured']['seconds'])} of work in all processes"), soft_wrap=True)


def show_scores(report: Mapping[str, Any], console: Console) -> None:
    """A study's methods x shots, for each task: the primary metric over splits, as in the report."""
    from petkit.report.names import METRIC_NAMES, SHARES, method_name
    from petkit.report.view import grids, shown
    from petkit.report.words import legend

    for grid in grids(report, report["study"]["primary"]["metric"]):
        title = f"{grid.title}: {METRIC_NAMES[grid.metric]}{' in %' if grid.metric in SHARES else ''}, {legend(report)}"
        show_table(title, grid.columns, ((method_name(method), cells) for method, cells in shown(grid)), console)


def show_table(title: str, columns: Sequence[str], lines: Iterable[tuple[str, Sequence[tuple[str, str]]]], console: Console) -> None:
    """A table with two lines in each cell, such as a mean and its interval; the title, which says what they are, above it."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", overflow="fold")
    for column in columns:
        table.add_column(Text(column, overflow="fold"), justify="right", overflow="fold")
    for what, cells in lines:
        table.add_row(Text(what), *(Text("\n".join(part for part in cell if part)) for cell in cells))
    console.print(Text(title), soft_wrap=True)
    print_table(table, console)
