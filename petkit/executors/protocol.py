"""What every executor is and gives, and what it may ask of the units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from petkit.executors.events import OnEvent, silent
from petkit.runs import RunFolder
from petkit.units import Unit

__all__ = ["Executor", "UnitResult", "check_order", "result_of"]


@dataclass(frozen=True)
class UnitResult:
    """A finished unit: its record, its folder, the seconds it took when it ran, and whether it was done before."""

    name: str
    record: Mapping[str, Any]
    path: Path
    seconds: float
    skipped: bool


class Executor(Protocol):
    """Carries out units."""

    def run(self, units: Sequence[Unit], run: RunFolder, *, on_event: OnEvent = silent) -> Iterator[UnitResult]:
        """One result per unit, in the order of completion.

        Each unit's needs come earlier among ``units`` or are done in the run folder; ``ValueError`` if not. What a unit raises ends the
        iteration with that exception; finished units stay finished. ``MemoryExhaustedError`` if the device has too little memory for one.
        """


def check_order(units: Sequence[Unit], run: RunFolder) -> None:
    """Raise ``ValueError`` if two units share a name, or one needs what is neither earlier nor done."""
    outside = {name for unit in units for name in unit.needs} - {unit.name for unit in units}
    ready = {name for name in outside if run.done(name)}
    for unit in units:
        if unit.name in ready:
            raise ValueError(f"two units have the name {unit.name!r}")
        missing = [name for name in unit.needs if name not in ready]
        if missing:
            raise ValueError(f"unit {unit.name!r} needs {missing}, which are neither earlier in the list nor done")
        ready.add(unit.name)


def result_of(name: str, run: RunFolder, *, skipped: bool) -> UnitResult:
    """The result of a finished unit, read from its record."""
    record = run.stage_record(name)
    return UnitResult(name, record.record, run.path(name), record.seconds, skipped)
