"""Which units a training run consists of, in order: a plain function of the task, the settings and the number of labelled rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from petkit.ipet import generations
from petkit.pvp import Task
from petkit.settings import Settings
from petkit.stages import ADAPT, ROWS
from petkit.units import Unit

__all__ = ["CHECKPOINT", "CLASSIFIER", "MEMBER", "SUPERVISED", "TFIDF", "Planner"]

CHECKPOINT, CLASSIFIER, SUPERVISED, TFIDF = "checkpoint", "classifier", "baseline-supervised", "baseline-tfidf"

MEMBER = "petkit.members:member_unit"
"""The function of every member's unit."""
_UNTRAINED = "petkit.members:untrained_unit"
_ENSEMBLE = "petkit.ensemble:ensemble_unit"
_SETS = "petkit.ipet:sets_unit"


@dataclass(frozen=True)
class Planner:
    """Makes the units of a run. ``common`` is what every unit's specification holds (see ``Stage.of``).

    The run goes in ``phases``, since weights are known only once the untrained patterns have been scored.
    """

    task: Task
    settings: Settings
    common: Mapping[str, Any]
    labeled: int

    @property
    def patterns(self) -> list[int]:
        """Indices of the patterns in use."""
        chosen = list(self.settings.patterns) or list(range(len(self.task.pvps)))
        return chosen[:1] if self.settings.method == "single" else chosen

    @property
    def last(self) -> int:
        """The number of the last generation."""
        if self.settings.method != "ipet":
            return 0
        ipet = self.settings.ipet
        return ipet.generations or generations(self.labeled, scale=ipet.scale)

    @property
    def asks(self) -> bool:
        """Whether patterns are asked; the baselines as methods ask none."""
        return self.settings.method not in ("supervised", "tfidf")

    @property
    def zero_shot(self) -> bool:
        """Whether generation 0 is the untrained model."""
        return self.settings.method == "zero-shot" or not self.labeled

    @property
    def adapts(self) -> bool:
        """Whether the checkpoint is adapted to the pool; TF-IDF alone has no checkpoint."""
        return self.settings.adapt_steps > 0 and self.settings.method != "tfidf"

    def _base(self) -> tuple[str, ...]:
        return (ROWS, ADAPT) if self.adapts else (ROWS,)

    def _unit(self, name: str, function: str, needs: Sequence[str] = (), **spec: Any) -> Unit:
        return Unit(name, function, {**self.common, **spec}, needs=(*self._base(), *needs))

    def phases(self, weights: Callable[[int], Sequence[float]]) -> Iterator[list[Unit]]:
        """All units of the run but its rows, in order, phase by phase: ``prepare``, ``generations``, ``finish``.

        Args:
            weights: generation -> weights of its members, asked for when its phase comes. No name depends on them.
        """
        yield self.prepare()
        if self.asks:
            yield from self.generations(weights)
        yield self.finish()

    def generations(self, weights: Callable[[int], Sequence[float]]) -> Iterator[list[Unit]]:
        """The units of each generation: its sets (from 1 on), its members, and these mixed."""
        before: Sequence[float] = ()
        for generation in range(self.last + 1):
            now = weights(generation)
            yield [*self.members(generation, before), self.ensemble(generation, now)]
            before = now

    def prepare(self) -> list[Unit]:
        """Adapting the checkpoint, a look at its head, and every pattern before training."""
        units = []
        if self.adapts:
            units.append(Unit(ADAPT, "petkit.adapting:adapt_unit", self.common, needs=(ROWS,)))
        if not self.asks:
            return units
        units.append(self._unit(CHECKPOINT, "petkit.members:checkpoint_unit", texts=200))
        return [*units, *(self._unit(untrained(p), _UNTRAINED, pattern=p, pool=self.zero_shot) for p in self.patterns)]

    def names(self, generation: int) -> list[str]:
        """The units whose scores make a generation's ensemble."""
        if generation == 0 and self.zero_shot:
            return [untrained(p) for p in self.patterns]
        return [member(generation, p, r) for p in self.patterns for r in range(self.settings.repetitions)]

    def pattern_of(self, generation: int) -> list[int]:
        """The pattern of each of ``names(generation)``."""
        once = generation == 0 and self.zero_shot
        return [p for p in self.patterns for _ in range(1 if once else self.settings.repetitions)]

    def members(self, generation: int, weights: Sequence[float]) -> list[Unit]:
        """A generation's sets (from 1 on) and members. ``weights`` are those of the last generation's members."""
        if generation == 0 and self.zero_shot:
            return []
        sets = [self._sets(generation, weights)] if generation else []
        keep = generation == self.last and self.settings.keep_members == "last"
        units = []
        for index, name in enumerate(self.names(generation)):
            source = [sets_name(generation), f"{name}.parquet"] if generation else None
            pattern, repetition = self.pattern_of(generation)[index], index % self.settings.repetitions
            spec = {"pattern": pattern, "repetition": repetition, "generation": generation, "set": source, "keep": keep}
            units.append(self._unit(name, MEMBER, [sets_name(generation)] if generation else [], **spec))
        return [*sets, *units]

    def _sets(self, generation: int, weights: Sequence[float]) -> Unit:
        teachers, students = self.names(generation - 1), self.names(generation)
        own = list(range(len(students)))
        if teachers[0] == untrained(self.patterns[0]):  # one teacher for all repetitions of a pattern
            own = [self.patterns.index(pattern) for pattern in self.pattern_of(generation)]
        spec = {"teachers": teachers, "weights": list(weights), "students": students, "own": own, "generation": generation}
        return self._unit(sets_name(generation), _SETS, teachers, **spec)

    def ensemble(self, generation: int, weights: Sequence[float]) -> Unit:
        """The generation's members mixed."""
        members = self.names(generation)
        return self._unit(ensemble_name(generation), _ENSEMBLE, members, members=members, weights=list(weights))

    def finish(self) -> list[Unit]:
        """The final classifier and the baselines."""
        method, units = self.settings.method, []
        if self.asks:
            teacher = ensemble_name(self.last)
            units.append(self._unit(CLASSIFIER, "petkit.distillation:distill_unit", [teacher], teacher=teacher))
        if method == "supervised" or (self.settings.baselines and self.labeled and method != "tfidf"):
            units.append(self._unit(SUPERVISED, "petkit.distillation:supervised_unit"))
        if method == "tfidf" or (self.settings.baselines and self.labeled):
            units.append(Unit(TFIDF, "petkit.baselines:tfidf_unit", self.common, needs=(ROWS,)))
        return units


def untrained(pattern: int) -> str:
    """The unit of a pattern before training."""
    return f"untrained-p{pattern}"


def member(generation: int, pattern: int, repetition: int) -> str:
    """The unit of a member."""
    return f"g{generation}-p{pattern}-s{repetition}"


def sets_name(generation: int) -> str:
    """The unit that chooses the rows a generation learns from."""
    return f"g{generation}-sets"


def ensemble_name(generation: int) -> str:
    """The unit of a generation's ensemble."""
    return f"g{generation}-ensemble"
