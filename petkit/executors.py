"""Where units run. An executor takes units in order and yields a result for each; the run folder holds the truth.

An executor that uses other processes hands each of them a unit, the run folder's path and a key: ``units.perform`` needs no more,
and all of it is JSON and paths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from petkit.runs import RunFolder
from petkit.units import Unit, perform

__all__ = ["Event", "Executor", "InProcess", "OnEvent", "UnitResult", "run_all"]


@dataclass(frozen=True)
class Event:
    """What an executor tells while it works.

    ``started``, ``progress`` (with ``done``, ``total``, ``facts``), ``finished`` (with ``seconds``), ``skipped`` (done before), and
    ``rerun`` (was done, but cannot be used: ``reason``), which precedes ``started``.
    """

    kind: Literal["started", "progress", "finished", "skipped", "rerun"]
    unit: str
    done: int | None = None
    total: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    reason: str = ""


OnEvent = Callable[[Event], None]


@dataclass(frozen=True)
class UnitResult:
    """A finished unit: its record, its folder, the seconds it took when it ran, and whether it was done before."""

    name: str
    record: Mapping[str, Any]
    path: Path
    seconds: float
    skipped: bool


def silent(event: Event) -> None:
    """Ignore the event."""


class Executor(Protocol):
    """Carries out units.

    ``run`` yields one result per unit, in the order of completion. Each unit's needs come earlier among ``units`` or are done in the
    run folder; ``ValueError`` if not. What a unit raises ends the iteration with that exception; finished units stay finished.
    """

    def run(self, units: Sequence[Unit], run: RunFolder, *, on_event: OnEvent = silent) -> Iterator[UnitResult]: ...


@dataclass(frozen=True)
class InProcess:
    """One unit after the other, in this process and in the order given: the default, and the reference for other executors."""

    def run(self, units: Sequence[Unit], run: RunFolder, *, on_event: OnEvent = silent) -> Iterator[UnitResult]:
        """See ``Executor``. Units are carried out as the iterator is read: nothing runs ahead."""
        check_order(units, run)
        run.plan(units)
        for unit in units:
            yield _settle(unit, run, on_event)


def run_all(
    units: Sequence[Unit], run: RunFolder, *, executor: Executor | None = None, on_event: OnEvent = silent
) -> dict[str, UnitResult]:
    """Carry out every unit (in this process unless told otherwise) and return the results by name."""
    return {result.name: result for result in (executor or InProcess()).run(units, run, on_event=on_event)}


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


def _settle(unit: Unit, run: RunFolder, on_event: OnEvent) -> UnitResult:
    """Skip the unit if it is done, run it otherwise."""
    key = run.key(unit)
    state, reason = run.check(unit, key)
    if state == "done":
        run.clear_work(unit.name)
        on_event(Event("skipped", unit.name))
        return _result(unit, run, skipped=True)
    if state != "todo":
        on_event(Event("rerun", unit.name, reason=reason))
    return _carry_out(unit, run, key, on_event)


def _carry_out(unit: Unit, run: RunFolder, key: str, on_event: OnEvent) -> UnitResult:
    def progress(done: int, total: int | None = None, **facts: Any) -> None:
        on_event(Event("progress", unit.name, done=done, total=total, facts=facts))

    on_event(Event("started", unit.name))
    seconds = perform(unit, root=run.root, key=key, progress=progress).seconds
    on_event(Event("finished", unit.name, seconds=seconds))
    return _result(unit, run, skipped=False)


def _result(unit: Unit, run: RunFolder, *, skipped: bool) -> UnitResult:
    record = run.stage_record(unit.name)
    return UnitResult(unit.name, record.record, run.path(unit.name), record.seconds, skipped)
