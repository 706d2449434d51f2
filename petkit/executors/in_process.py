"""Units one after the other in this process: the default, and the reference for the other executors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from petkit.executors.events import Event, OnEvent, silent
from petkit.executors.protocol import Executor, UnitResult, check_order, result_of
from petkit.memory import memory_explained
from petkit.runs import RunFolder
from petkit.units import Unit, perform

__all__ = ["InProcess", "run_all"]


@dataclass(frozen=True)
class InProcess:
    """One unit after the other, in this process and in the order given."""

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


def _settle(unit: Unit, run: RunFolder, on_event: OnEvent) -> UnitResult:
    """Skip the unit if it is done, run it otherwise."""
    key = run.key(unit)
    state, reason = run.check(unit, key)
    if state == "done":
        run.clear_work(unit.name)
        on_event(Event("skipped", unit.name))
        return result_of(unit.name, run, skipped=True)
    if state != "todo":
        on_event(Event("rerun", unit.name, reason=reason))
    return _carry_out(unit, run, key, on_event)


def _carry_out(unit: Unit, run: RunFolder, key: str, on_event: OnEvent) -> UnitResult:
    def progress(done: int, total: int | None = None, **facts: Any) -> None:
        on_event(Event("progress", unit.name, done=done, total=total, facts=facts))

    on_event(Event("started", unit.name))
    with memory_explained(f"unit {unit.name}", unit.function):
        seconds = perform(unit, root=run.root, key=key, progress=progress).seconds
    on_event(Event("finished", unit.name, seconds=seconds))
    return result_of(unit.name, run, skipped=False)
