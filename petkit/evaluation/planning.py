"""Which units a study consists of. Cells share what they can: rows, the adapted checkpoint, untrained patterns, first members.

    per task            rows, truth, adapt, checkpoint, untrained-pP, embeddings, zero-shot, label-embedding
    per split           rows, weights, majority
    per split and seed  g0-pP-sR (members of pet, ipet and single alike), and one unit named like each method, with what it needs

Two phases, since weights are known only when the untrained patterns have seen the labelled rows: ``preparing``, then ``cells``. Within
each, a unit starts as soon as those that it needs are done, so that the generations of one cell run beside other cells.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from petkit.ensemble import member_weights
from petkit.evaluation.grid import DISTILLED, PROMPTED, Group, Study, TaskPlan
from petkit.plan import CHECKPOINT, CLASSIFIER, MEMBER, SUPERVISED, Planner, ensemble_name, untrained
from petkit.settings import Settings
from petkit.stages import ADAPT, ROWS, SHARED
from petkit.taskspec import task_spec
from petkit.units import Unit

__all__ = ["Plan", "Weights"]

Weights = Mapping[str, Mapping[str, float | None]]
"""Name of a split -> pattern -> its accuracy before training on the split's labelled rows."""

_STAGES = "petkit.evaluation.stages"
_SIMPLE = "petkit.evaluation.simple"


@dataclass(frozen=True)
class Plan:
    """Makes the units. ``common`` is what every unit's specification holds beside its task: model, device, digest of the model."""

    study: Study
    common: Mapping[str, Any]
    fingerprints: Mapping[str, Mapping[str, str]]
    """Unit of rows -> part -> fingerprint."""

    # What is there for all

    def takes(self) -> list[Unit]:
        """The units that take rows in."""
        return [Unit(name, "petkit.evaluation.rows:rows_unit", {"fingerprints": parts}) for name, parts in self.fingerprints.items()]

    def preparing(self) -> list[Unit]:
        """What the weights of members rest on, and what only needs the task's rows."""
        units = [unit for plan in self.study.tasks for unit in self._of_task(plan)]
        for plan in self.study.tasks:
            units += [self._weights(Group(plan, split, 0)) for split in plan.splits if self._asks(*DISTILLED)]
        return units

    def _asks(self, *methods: str) -> bool:
        return any(method in self.study.methods for method in methods)

    def _of_task(self, plan: TaskPlan) -> Iterator[Unit]:
        if self.adapts:
            yield self._unit(plan, ADAPT, "petkit.adapting:adapt_unit", needs=(ROWS,))
        if self._asks(*PROMPTED):
            yield self._unit(plan, CHECKPOINT, "petkit.members:checkpoint_unit", texts=200)
            for pattern in self.patterns(plan):
                yield self._unit(plan, untrained(pattern), "petkit.members:untrained_unit", pattern=pattern, pool=False)
        if self._asks("zero-shot"):
            members = [untrained(pattern) for pattern in self.patterns(plan)]
            spec = {"members": members, "patterns": self.patterns(plan)}
            yield self._unit(plan, "zero-shot", f"{_STAGES}:zero_shot_unit", needs=(*self._base(), *members), inner=False, **spec)
        if self._asks("linear-probe", "label-embedding"):
            yield self._unit(plan, "embeddings", f"{_SIMPLE}:embeddings_unit", inner=False)
        if self._asks("label-embedding"):
            needs = (*self._base(), "embeddings")
            yield self._unit(plan, "label-embedding", f"{_SIMPLE}:label_embedding_unit", needs=needs, inner=False)

    @property
    def adapts(self) -> bool:
        """Whether checkpoints are adapted to the pools."""
        return self.study.settings.adapt_steps > 0 and self._asks(*(m for m in self.study.methods if m not in ("tfidf", "majority")))

    def patterns(self, plan: TaskPlan) -> list[int]:
        """Indices of a task's patterns in use."""
        return list(self.study.settings.patterns) or list(range(len(plan.task.pvps)))

    def _base(self) -> tuple[str, ...]:
        return (ROWS, ADAPT) if self.adapts else (ROWS,)

    # What a split and a seed have of their own

    def cells(self, weights: Weights) -> list[Unit]:
        """Everything else, cell by cell."""
        units: dict[str, Unit] = {}
        for group in self.study.groups:
            for unit in self._of_group(group, weights.get(group.of_split, {})):
                units.setdefault(unit.name, unit)
        return list(units.values())

    def _of_group(self, group: Group, weights: Mapping[str, float | None]) -> Iterator[Unit]:
        for method in self.study.methods:
            if method in DISTILLED:
                yield from self._prompted(group, method, weights)
            elif method == "supervised":
                settings = self.study.settings_for(method, group.split)
                spec = {"folds": self.study.folds, "development": self.study.development}
                name, function = "petkit.distillation:supervised_unit", f"{_STAGES}:supervised_unit"
                yield self._own(group, SUPERVISED, name, called=method, wrapper=function, settings=settings, more=spec)
            elif method in ("tfidf", "linear-probe", "setfit"):
                yield self._baseline(group, method)
            elif method == "majority":
                yield self._own(group, method, "", called="", wrapper=f"{_SIMPLE}:majority_unit", adapted=False)

    def _baseline(self, group: Group, method: str) -> Unit:
        functions = {"tfidf": f"{_SIMPLE}:tfidf_unit", "linear-probe": f"{_SIMPLE}:linear_probe_unit"}
        function = functions.get(method, "petkit.evaluation.setfit_method:setfit_unit")
        needs = ("embeddings",) if method == "linear-probe" else ()
        spec = {"development": self.study.development}
        return self._own(group, method, "", called=method, wrapper=function, adapted=method != "tfidf", needs=needs, more=spec)

    def planner(self, group: Group, method: str) -> Planner:
        """The planner of the training run that a cell is."""
        return Planner(group.plan.task, self.study.settings_for(method, group.split), self._common(group), labeled=group.split.rows)

    def member_weights(self, group: Group, method: str, weights: Mapping[str, float | None]) -> list[list[float]]:
        """The weights of the members of every generation."""
        planner, how = self.planner(group, method), self.study.settings.weighting
        patterns = [planner.pattern_of(generation) for generation in range(planner.last + 1)]
        return [member_weights([weights.get(str(p), 1.0) for p in of_generation], how) for of_generation in patterns]

    def _prompted(self, group: Group, method: str, weights: Mapping[str, float | None]) -> Iterator[Unit]:
        planner, of_members = self.planner(group, method), self.member_weights(group, method, weights)
        for unit in chain(*planner.generations(of_members.__getitem__), planner.finish()):
            yield self._placed(group, method, unit)

    def _placed(self, group: Group, method: str, unit: Unit) -> Unit:
        """A unit of a training run as one of the study."""
        names = {local: self.name(group, method, local) for local in self._with_shared(unit.needs)}
        last = unit.name == CLASSIFIER
        spec = {**unit.spec, "settings": self._normal(self.study.settings_for(method, group.split))}
        spec |= {"inner": {"function": unit.function, "name": unit.name, "names": names}}
        spec |= {"development": self.study.development} if last else {}
        spec |= {"development": True} if self.study.development and unit.function == MEMBER else {}
        function = f"{_STAGES}:classifier_unit" if last else f"{_STAGES}:inner_unit"
        return Unit(self.name(group, method, unit.name), function, spec, needs=tuple(names.values()))

    def name(self, group: Group, method: str, local: str) -> str:
        """What a unit of a training run is called in the study."""
        if local == ROWS:
            return f"{group.of_split}.rows"
        if local in (SHARED, ADAPT, CHECKPOINT, "embeddings") or local.startswith("untrained-"):
            return f"{group.plan.tag}.{'rows' if local == SHARED else local}"
        if local.startswith("g0-p"):
            return f"{group.tag}.{local}"
        if local == ensemble_name(0) and method == "ipet":
            return f"{group.tag}.pet.{local}"
        return f"{group.tag}.{method}" if local in (CLASSIFIER, SUPERVISED) else f"{group.tag}.{method}.{local}"

    def final(self, group: Group, method: str) -> str:
        """The unit that holds a cell's scores of the test rows."""
        if method in ("zero-shot", "label-embedding"):
            return f"{group.plan.tag}.{method}"
        return f"{group.of_split}.majority" if method == "majority" else f"{group.tag}.{method}"

    def units_of(self, group: Group, method: str) -> list[str]:
        """The units whose work a cell is, the adaptation of the checkpoint apart."""
        tag = group.plan.tag
        if method in DISTILLED:
            return [
                *(f"{tag}.{untrained(p)}" for p in self.planner(group, method).patterns),
                *(u.name for u in self._prompted(group, method, {})),
            ]
        shared = {"linear-probe": ["embeddings"], "label-embedding": ["embeddings"]}.get(method, [])
        shared += [untrained(pattern) for pattern in self.patterns(group.plan)] if method == "zero-shot" else []
        return [*(f"{tag}.{local}" for local in shared), self.final(group, method)]

    # Specifications

    def _weights(self, group: Group) -> Unit:
        spec = {"patterns": self.patterns(group.plan), "seed": self.study.settings.seed}
        return self._own(group, "weights", "", called="", wrapper=f"{_STAGES}:weights_unit", more=spec)

    def _own(
        self,
        group: Group,
        local: str,
        function: str,
        *,
        called: str,
        wrapper: str,
        adapted: bool = True,
        needs: Sequence[str] = (),
        settings: Settings | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> Unit:
        """A unit on a split's rows: one of the split's own if ``called`` is empty, else one of the seed's."""
        base = (ROWS, SHARED, *([ADAPT] if self.adapts and adapted else []), *needs)
        names = {name: self.name(group, "", name) for name in base}
        whole = {**self._common(group), "inner": {"function": function, "name": local, "names": names}}
        whole |= {"settings": self._normal(settings or self.study.settings), **({} if called else {"seed": self.study.settings.seed})}
        whole |= more or {}
        place = f"{group.tag}.{called}" if called else f"{group.of_split}.{local}"
        return Unit(place, wrapper, whole, needs=tuple(names.values()))

    def _unit(
        self, plan: TaskPlan, local: str, function: str, *, needs: Sequence[str] | None = None, inner: bool = True, **spec: Any
    ) -> Unit:
        """A unit on a task's rows."""
        names = {name: f"{plan.tag}.{name}" for name in (needs if needs is not None else self._base())}
        whole = {**self._common(Group(plan, plan.splits[0], self.study.settings.seed)), "settings": self._normal(self.study.settings)}
        whole |= {"inner": {"function": function if inner else "", "name": local, "names": names}, **spec}
        return Unit(f"{plan.tag}.{local}", f"{_STAGES}:inner_unit" if inner else function, whole, needs=tuple(names.values()))

    def _common(self, group: Group) -> dict[str, Any]:
        return {**self.common, "task": task_spec(group.plan.task), "seed": group.seed}

    def _normal(self, settings: Settings) -> dict[str, Any]:
        """Settings as every method's units hold them, so that methods share units."""
        return replace(settings, method="pet", keep_members="none", baselines=False).as_dict()

    def _with_shared(self, needs: Sequence[str]) -> list[str]:
        return [name for local in needs for name in ((ROWS, SHARED) if local == ROWS else (local,))]
