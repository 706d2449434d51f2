"""Lines on standard error about a training under way: the one place of the library that writes there, and only since it was asked to."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from petkit.executors import Event
from petkit.runs import read_status

__all__ = ["Lines"]

_INTERVAL: Final = 10.0
"""Seconds between two lines about one unit."""


class Lines:
    """Takes the events and notices of a run and writes them as lines.

    Args:
        level: 0: nothing. 1: notices, and every unit that is done. 2: also how far a unit is, every ten seconds.
        root: the run folder, which knows how many units there are. name: what the lines begin with. clock: seconds.
    """

    def __init__(self, level: int, root: Path, *, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._level, self._root, self._name, self._clock = level, root, name, clock
        self._done = self._of = 0
        self._told = 0.0

    def notice(self, text: str) -> None:
        """Something that the user should know (``on_notice``)."""
        if self._level:
            sys.stderr.write(f"[{self._name}] Note: {text}\n")

    def event(self, event: Event) -> None:
        """Something that happened to a unit (``on_event``)."""
        if not self._level:
            return
        self._of = self._of or len(read_status(self._root).units)
        if event.kind in ("finished", "skipped"):
            self._done += 1
            self._say(f"{event.unit}, {'done before' if event.seconds is None else f'{event.seconds:.1f} s'}")
        elif event.kind == "rerun":
            self._say(f"{event.unit} again, since {event.reason}")
        elif event.kind == "started":
            self._told = self._clock()
        elif self._level > 1 and self._clock() - self._told >= _INTERVAL:
            self._told = self._clock()
            steps = f"{event.done} of {event.total}" if event.total is not None else str(event.done)
            loss = f", loss {event.facts['loss']:.3g}" if "loss" in event.facts else ""
            self._say(f"{event.unit}, at {steps}{loss}")

    def _say(self, text: str) -> None:
        sys.stderr.write(f"[{self._name}] {self._done} of {self._of} done: {text}\n")
