"""Units in several processes at a time, on this machine. The driver decides and looks on; the workers compute.

A unit is handed out as soon as what it needs is done, with the key that follows from that. The run's lock is the driver's. Nothing that a
worker writes depends on which worker it is or on what ran beside it, so the outputs are those of ``InProcess``.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType

from petkit import files
from petkit.errors import RunError, SettingsError, raise_problems
from petkit.executors.events import Event, OnEvent, silent
from petkit.executors.messages import Message, rebuilt
from petkit.executors.pool import Pool, Worker
from petkit.executors.protocol import UnitResult, check_order, result_of
from petkit.memory import MemoryExhaustedError
from petkit.runs import RunFolder
from petkit.units import Unit

__all__ = ["Spawned"]


@dataclass(frozen=True)
class Spawned:
    """Up to ``workers`` units at a time, each in a process of its own that goes on to the next unit.

    Attributes:
        workers: processes, at most.
        devices: GPUs ("cuda:0", ...) that the workers take in turn. A worker sees its own only, under the name "cuda", so units say
            "cuda" and not a number. Empty: every worker sees what this process sees.
        retries: how often a unit is run again when its process dies (killed, crashed) or runs out of memory, before that is an error.

    Processes start with the first unit that is not done and end with the call of ``run``; in a ``with`` block they stay until its end, so
    that several calls pay for loading torch once. They end by themselves if this process is killed. While the iterator is not read,
    no new unit is handed out.

    Raises SettingsError if ``workers``, ``devices`` or ``retries`` make no sense.
    """

    workers: int
    devices: Sequence[str] = ()
    retries: int = 1
    _kept: list[Pool] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        rules = [
            (self.workers >= 1, f"workers is {self.workers}; at least 1 is legal"),
            (self.retries >= 0, f"retries is {self.retries}; 0 or more is legal"),
            *((bool(re.fullmatch(r"cuda:\d+", name)), f"device {name!r}; legal are cuda:0, cuda:1 and so on") for name in self.devices),
        ]
        raise_problems(SettingsError, "workers", [problem for holds, problem in rules if not holds])

    def __enter__(self) -> Spawned:
        self._kept.append(Pool(self.workers, self.devices))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._kept.pop().stop(idle_too=True)

    def run(self, units: Sequence[Unit], run: RunFolder, *, on_event: OnEvent = silent) -> Iterator[UnitResult]:
        """See ``Executor``. ``RunError`` if a unit has lost its process, or run out of memory, once more than ``retries``."""
        check_order(units, run)
        _check_modules(units)
        run.plan(units)
        with self._pool() as pool:
            if pool.busy():
                raise ValueError("this executor is at work for another call, whose iterator is not at its end")
            call = _Call(units, run, pool, on_event, self.retries)
            try:
                yield from call.results()
            finally:
                if pool.stop(idle_too=False) or call.deaths:
                    for name in ("stages", "work"):  # no worker is at work, so what is unfinished there is nobody's
                        files.discard_leftovers(run.root / name)

    @contextmanager
    def _pool(self) -> Iterator[Pool]:
        if self._kept:
            yield self._kept[-1]
            return
        pool = Pool(self.workers, self.devices)
        try:
            yield pool
        finally:
            pool.stop(idle_too=True)


def _check_modules(units: Sequence[Unit]) -> None:
    """Raise ``ValueError`` if a unit's function is in the script itself, which no other process can import."""
    own = [unit.name for unit in units if unit.function.startswith("__main__:")]
    if own:
        raise ValueError(f"units {own}: their functions are in the script that runs; put them into a module, so that workers can import it")


@dataclass
class _Ready:
    """A unit that can be handed out: its key, and why it runs again if it does."""

    unit: Unit
    key: str
    reason: str


class _Call:
    """One call of ``run``: the units in order, how far each is, and how often it has lost its process or run out of memory."""

    def __init__(self, units: Sequence[Unit], run: RunFolder, pool: Pool, on_event: OnEvent, retries: int) -> None:
        self.deaths: Counter[str] = Counter()
        self._run, self._pool, self._tell, self._retries = run, pool, on_event, retries
        self._waiting = list(units)
        self._ready: deque[_Ready] = deque()
        self._keys: dict[str, str] = {}
        self._unsettled = {unit.name for unit in units}
        self._settled: deque[UnitResult] = deque()

    def results(self) -> Iterator[UnitResult]:
        """The results. Workers have their next units before a result is yielded."""
        self._look()
        while self._settled or self._unsettled:
            while self._settled:
                yield self._settled.popleft()
            for worker, message in self._pool.listen() if self._unsettled else ():
                name = self._take(worker, message)
                if name is not None:
                    self._settle(name, skipped=False)
                    self._look()
                self._hand_out()

    def _look(self) -> None:
        """Settle units that are done, make others ready whose needs are settled, and hand out meanwhile."""
        waiting, self._waiting = self._waiting, []
        for unit in waiting:
            if not self._unsettled.isdisjoint(unit.needs):
                self._waiting.append(unit)
                continue
            key = self._keys[unit.name] = self._run.key(unit)
            state, reason = self._run.check(unit, key)
            if state == "done":
                self._settle(unit.name, skipped=True)
            else:
                self._ready.append(_Ready(unit, key, "" if state == "todo" else reason))
                self._hand_out()

    def _hand_out(self) -> None:
        while self._ready and (worker := self._pool.idle()) is not None:
            ready = self._ready.popleft()
            if ready.reason:
                self._tell(Event("rerun", ready.unit.name, reason=ready.reason))
            self._tell(Event("started", ready.unit.name))
            worker.give(ready.unit, self._run, ready.key)

    def _take(self, worker: Worker, message: Message | None) -> str | None:
        """Deal with what a worker says; the name of its unit if that is done now."""
        unit = worker.unit
        if unit is None:
            raise ValueError("a worker without a unit spoke")
        if message is None:
            return self._bury(worker, unit)
        if message["kind"] == "progress":
            self._tell(Event("progress", unit.name, done=message["done"], total=message["total"], facts=message["facts"]))
            return None
        worker.unit = None
        if message["kind"] == "failed":
            self._failed(worker, unit, rebuilt(message))
            return None
        return unit.name

    def _failed(self, worker: Worker, unit: Unit, error: BaseException) -> None:
        """Raise what a unit has raised; but have it run again in another process, if memory ran out and it was not run too often."""
        if not isinstance(error, MemoryExhaustedError):
            raise error
        worker.stop()  # what it holds is free for the others
        self.deaths[unit.name] += 1
        if self.deaths[unit.name] > self._retries:
            raise error
        self._ready.appendleft(_Ready(unit, self._keys[unit.name], "its process ran out of memory"))

    def _bury(self, worker: Worker, unit: Unit) -> str | None:
        """Deal with a dead worker: its unit's name if that was complete, else the unit is to run again.

        Raises RunError if it has lost its process too often.
        """
        how = worker.died()
        self.deaths[unit.name] += 1
        times = self.deaths[unit.name]
        if self._run.check(unit, self._keys[unit.name])[0] == "done":
            return unit.name
        if times > self._retries:
            last = f", the last of {times} tries" if times > 1 else ""
            remedy = "if memory ran out, use fewer workers. Finished units are kept: the same command goes on"
            raise RunError(f"unit {unit.name}: its process {how}{last}; {remedy}")
        self._ready.appendleft(_Ready(unit, self._keys[unit.name], f"its process {how}"))
        return None

    def _settle(self, name: str, *, skipped: bool) -> None:
        self._unsettled.discard(name)
        self._run.clear_work(name)
        result = result_of(name, self._run, skipped=skipped)
        self._settled.append(result)
        self._tell(Event("skipped", name) if skipped else Event("finished", name, seconds=result.seconds))
