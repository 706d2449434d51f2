"""How far a study is, from the events of its units."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from petkit.evaluation.grid import Cell
from petkit.executors import Event

__all__ = ["OnProgress", "Progress", "Tracker", "unheard"]


@dataclass(frozen=True)
class Progress:
    """Cells done, at work on now, and all others; seconds left, None before anything is known; and the event that changed it.

    Of cells that share the unit that runs, one counts: there are no more of them than workers.
    """

    done: int
    running: int
    left: int
    seconds_left: float | None
    event: Event | None = None


OnProgress = Callable[[Progress], None]


def unheard(progress: Progress) -> None:
    """Ignore how far it is."""


@dataclass
class Tracker:
    """Takes events and tells how far the study is.

    Args:
        expected: seconds of each unit that is still to do. cells: the units of each cell, the last one its result.
        workers: units at a time. clock: seconds.
    """

    expected: Mapping[str, float]
    cells: Mapping[Cell, tuple[str, ...]]
    workers: int
    tell: OnProgress
    clock: Callable[[], float] = time.monotonic
    _finished: set[str] = field(default_factory=set)
    _begun: set[str] = field(default_factory=set)
    _spent: float = 0.0
    _guessed: float = 0.0

    def event(self, event: Event) -> None:
        """An event of an executor."""
        if event.kind == "started":
            self._begun.add(event.unit)
        elif event.kind in ("finished", "skipped"):
            self._finished.add(event.unit)
            self._begun.discard(event.unit)
            if event.kind == "finished" and event.unit in self.expected:
                self._spent += event.seconds or 0.0
                self._guessed += self.expected[event.unit]
        self.tell(self.now(event))

    def now(self, event: Event | None = None) -> Progress:
        """How far it is."""
        open_cells = [units for units in self.cells.values() if units[-1] not in self._finished]
        running = {next((units for units in open_cells if unit in units), None) for unit in self._begun} - {None}
        left = len(open_cells) - len(running)
        return Progress(len(self.cells) - len(open_cells), len(running), left, self.seconds_left(), event)

    def seconds_left(self) -> float | None:
        """The seconds expected of the units to come, corrected by how those so far compared, shared among the workers."""
        if not self.expected:
            return None
        left = sum(seconds for unit, seconds in self.expected.items() if unit not in self._finished)
        sure = min(1.0, self._guessed / max(1e-9, 0.02 * sum(self.expected.values())))
        pace = self._spent / self._guessed if self._guessed else 1.0
        return left * (sure * pace + (1 - sure)) / self.workers
