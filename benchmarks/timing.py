"""Measuring several ways to do the same work: interleaved, repeated, compared round by round.

The clock is this process's own CPU time. With one thread that is the time the work takes on an idle machine, nearly: other
programs that hold the processor do not count, though what they do to caches and clock rates does. Rounds are interleaved, so that
a slow minute is slow for all ways, and ratios are taken within a round before their median is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import torch

__all__ = ["Timings", "Way", "interleave", "one_thread"]


@dataclass(frozen=True)
class Way:
    """One way to do the work. ``run`` does ``amount`` units of it; ways may do different amounts, so that none takes too long."""

    name: str
    run: Callable[[], object]
    amount: float


@dataclass(frozen=True)
class Timings:
    """CPU and wall-clock seconds per unit of work, by way, one number per round."""

    cpu: dict[str, list[float]]
    wall: dict[str, list[float]]

    def per_second(self, way: str) -> float:
        """Median units per second of CPU time."""
        return 1.0 / median(self.cpu[way])

    def ratios(self, way: str, other: str) -> list[float]:
        """How many times as fast as ``other`` in each round, ascending."""
        return sorted(theirs / ours for ours, theirs in zip(self.cpu[way], self.cpu[other], strict=True))


def interleave(ways: Sequence[Way], *, rounds: int) -> Timings:
    """Run every way once to warm up, then ``rounds`` times in turn, every other round backwards."""
    cpu: dict[str, list[float]] = {way.name: [] for way in ways}
    wall: dict[str, list[float]] = {way.name: [] for way in ways}
    for way in ways:
        way.run()
    for number in range(rounds):
        for way in ways if number % 2 == 0 else ways[::-1]:
            start, started = time.perf_counter(), time.process_time()
            way.run()
            cpu[way.name].append((time.process_time() - started) / way.amount)
            wall[way.name].append((time.perf_counter() - start) / way.amount)
    return Timings(cpu, wall)


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread inside the block."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
