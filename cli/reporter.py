"""Progress on standard error: one line per unit of work. A moving bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column
from rich.text import Text

from petkit.canonical import plain

if TYPE_CHECKING:
    from petkit.executors import Event

__all__ = ["INTERVAL", "Reporter", "Screen", "duration", "print_json", "spelled"]

NARROW: Final = 72
"""Terminals narrower than this see no bar."""

INTERVAL: Final = 10.0
"""Seconds between two plain lines about one thing."""


def print_json(value: object) -> None:
    """One JSON object on standard output; NaN and the infinities, which JSON lacks, become null."""
    print(json.dumps(plain(value), ensure_ascii=False, allow_nan=False))


def duration(seconds: float) -> str:
    """Seconds as people say them.

    >>> duration(0.41), duration(12.3), duration(200), duration(7300)
    ('0.4 s', '12 s', '3 min 20 s', '2 h 1 min')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def spelled(facts: Mapping[str, Any], names: Mapping[str, str] | None = None) -> str:
    """Facts such as the loss, numbers short; what is no number or word is left out. ``names``: what readers see for a name.

    >>> spelled({"loss": 0.41234, "rows": 1200, "device": "cpu", "parts": [1]})
    'loss 0.412, rows 1200, device cpu'
    >>> spelled({"macro_f1": 0.5, "rows": 3}, {"macro_f1": "macro-F1"})
    'macro-F1 0.5, rows 3'
    """
    shown = {(names or {}).get(name, name): value for name, value in facts.items() if isinstance(value, (int, float, str))}
    return ", ".join(f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in shown.items())


class Screen(ABC):
    """Standard error while a ``with`` block lasts: bars on a terminal, and lines of their own.

    Args:
        quiet: show nothing; ``notices`` are gathered all the same.
        console: default: standard error. clock: seconds, for tests.
    """

    def __init__(self, *, quiet: bool = False, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.notices: list[str] = []
        self._quiet, self._clock = quiet, clock
        self._console = console or Console(stderr=True, highlight=False)
        columns = self.columns(wide=self._console.width >= NARROW)
        self._bars = Progress(*columns, console=self._console, transient=True, disable=quiet or not self._console.is_terminal)

    def __enter__(self) -> Self:
        if not self._bars.disable:
            self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if not self._bars.disable:  # rich before 14 ends bars that it never showed with an empty line
            self._bars.stop()

    @staticmethod
    @abstractmethod
    def columns(*, wide: bool) -> list[ProgressColumn]:
        """What a bar consists of. wide: the terminal has room for a bar proper."""

    def notice(self, text: str) -> None:
        """Something to know about the work."""
        self.notices.append(text)
        self.say(f"Note: {text}")

    def say(self, text: str) -> None:
        """A line of its own, if anything is shown."""
        if not self._quiet:
            self._console.print(Text(text), soft_wrap=True)


class Reporter(Screen):
    """Takes the events of a run and shows them: one bar per unit of work."""

    def __init__(self, *, quiet: bool = False, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(quiet=quiet, console=console, clock=clock)
        self._tasks: dict[str, TaskID] = {}
        self._facts: dict[str, str] = {}
        self._told: dict[str, float] = {}

    @staticmethod
    def columns(*, wide: bool) -> list[ProgressColumn]:
        """The unit, how far it is, the time, and facts such as the loss."""
        facts = TextColumn("{task.fields[facts]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis"))
        bar = [BarColumn(bar_width=20)] if wide else []
        return [TextColumn("{task.description}", markup=False), *bar, _Count(), TimeElapsedColumn(), facts]

    def event(self, event: Event) -> None:
        """An event of an executor (``petkit.executors.OnEvent``)."""
        match event.kind:
            case "started":
                self._tasks[event.unit] = self._bars.add_task(event.unit, total=None, facts="")
                self._told[event.unit] = self._clock()
            case "progress":
                self._progress(event)
            case "finished":
                self._close(event.unit)
                facts = self._facts.pop(event.unit, "")
                self.say(f"{event.unit}: {duration(event.seconds or 0)}" + (f"  {facts}" if facts else ""))
            case "skipped":
                self.say(f"{event.unit}: done before")
            case "rerun":
                self._close(event.unit)  # of a process that died
                self.say(f"{event.unit}: again, since {event.reason}")

    def _progress(self, event: Event) -> None:
        self._facts[event.unit] = spelled(event.facts) or self._facts.get(event.unit, "")
        if event.unit not in self._tasks:
            self._tasks[event.unit] = self._bars.add_task(event.unit, total=None, facts="")
        self._bars.update(self._tasks[event.unit], completed=event.done, total=event.total, facts=self._facts[event.unit])
        now = self._clock()
        if not self._console.is_terminal and now - self._told.setdefault(event.unit, now) >= INTERVAL:
            self._told[event.unit] = now
            of = f" of {event.total}" if event.total is not None else ""
            self.say(f"{event.unit}: {event.done}{of}  {self._facts[event.unit]}".rstrip())

    def _close(self, unit: str) -> None:
        if unit in self._tasks:
            self._bars.remove_task(self._tasks.pop(unit))
        self._told.pop(unit, None)


class _Count(MofNCompleteColumn):
    """How many of how many; nothing where the number is not known."""

    def render(self, task: Task) -> Text:
        return Text() if task.total is None else super().render(task)
