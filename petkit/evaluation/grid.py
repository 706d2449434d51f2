"""The grid of a study as values: what is asked for, its cells, and how units of the run folder are called."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product
from typing import Final, NamedTuple

from petkit.pvp import Task
from petkit.settings import ClassifierSettings, Settings

__all__ = ["METHODS", "Cell", "Group", "Split", "Study", "TaskPlan", "split_tag", "task_tag"]

METHODS: Final = (
    "pet", "ipet", "single", "supervised", "linear-probe", "tfidf", "setfit", "zero-shot", "label-embedding", "majority",
)  # fmt: skip
"""What ``--methods`` takes, in the order of reports."""

PROMPTED: Final = ("pet", "ipet", "single", "zero-shot")
DISTILLED: Final = ("pet", "ipet", "single")
SEEDLESS: Final = ("zero-shot", "label-embedding", "majority")
"""Methods whose result no seed can change."""
POOLED: Final = (*DISTILLED, "linear-probe", "tfidf", "label-embedding")
"""Methods whose result the pool changes, whatever the checkpoint: they learn from it, or take means or counts of words from it."""


class Cell(NamedTuple):
    """One result: a method with a seed on one split of a task."""

    task: str
    shots: int | None
    split: int
    seed: int
    method: str


@dataclass(frozen=True)
class Split:
    """Labelled rows that a task's cells learn from: ``shots`` per label (None: given rows of unequal numbers), number, name, hash.

    ``shared`` is the share of them that an earlier split of as many shots has too, mean over these; None for the first.
    """

    shots: int | None
    split: int
    name: str
    hash: str
    rows: int
    class_counts: tuple[int, ...]
    shared: float | None = None

    @property
    def tag(self) -> str:
        """Part of the names of units."""
        return split_tag(self.shots, self.split)


@dataclass(frozen=True)
class TaskPlan:
    """A task of a study, its place in it, and its splits."""

    task: Task
    index: int
    splits: tuple[Split, ...]
    text_tokens: float = 40.0
    """Mean tokens of a text, for the estimate of time."""
    pool: int = 0
    test: int = 0

    @property
    def tag(self) -> str:
        """Begins the names of the task's units."""
        return task_tag(self.index, self.task.name)


def task_tag(index: int, name: str) -> str:
    """A task's part of file names, legal in a unit's name; its place makes it unique within one study, its name does not.

    >>> task_tag(0, "tone & mood"), task_tag(1, "情感")
    ('t0-tone-mood', 't1-task')
    """
    return f"t{index}-{re.sub(r'[^A-Za-z0-9_-]+', '-', name)[:30].strip('-') or 'task'}"


def split_tag(shots: int | None, split: int) -> str:
    """A split's part of file names.

    >>> split_tag(16, 0), split_tag(None, 2)
    ('k16.n0', 'kx.n2')
    """
    return f"k{'x' if shots is None else shots}.n{split}"


@dataclass(frozen=True)
class Study:
    """What is asked for."""

    tasks: tuple[TaskPlan, ...]
    seeds: tuple[int, ...]
    methods: tuple[str, ...]
    settings: Settings
    base: Settings
    """The preset, to see what the user changed."""
    folds: int = 2
    development: bool = False

    @property
    def groups(self) -> list[Group]:
        """Every (task, split, seed), in the order in which units are carried out."""
        return [Group(plan, split, seed) for plan in self.tasks for split, seed in product(plan.splits, self.seeds)]

    @property
    def cells(self) -> list[Cell]:
        """Every cell, in the order of the report."""
        return [group.cell(method) for group in self.groups for method in self.methods]

    def settings_for(self, method: str, split: Split) -> Settings:
        """The settings of a cell: no models kept, no baselines beside it, and plain fine-tuning with what is known to steady it."""
        settings = replace(self.settings, method=method if method in DISTILLED else "pet", keep_members="none", baselines=False)
        own = steadied(settings.supervised, self.base.supervised, split.rows)
        return replace(settings, supervised=own) if method == "supervised" else settings


def steadied(own: ClassifierSettings, preset: ClassifierSettings, rows: int) -> ClassifierSettings:
    """Plain fine-tuning for few rows: at least 20 epochs, a warm-up over a tenth of the steps; Adam's bias correction is always on.

    Mosbach et al. 2021 (arXiv 2006.04884), Zhang et al. 2021 (arXiv 2006.05987). What differs from the preset was asked for, and stays.
    """
    epochs = -(-20 * rows // (own.batch * own.accumulate))
    steps = max(own.steps, epochs) if own.steps == preset.steps else own.steps
    return replace(own, steps=steps, warmup=max(own.warmup, 0.1) if own.warmup == preset.warmup else own.warmup)


@dataclass(frozen=True)
class Group:
    """Cells that share rows and seed: one task, split and seed."""

    plan: TaskPlan
    split: Split
    seed: int

    def cell(self, method: str) -> Cell:
        """The cell of a method."""
        return Cell(self.plan.task.name, self.split.shots, self.split.split, self.seed, method)

    @property
    def of_split(self) -> str:
        """Begins the names of units that all seeds of the split share."""
        return f"{self.plan.tag}.{self.split.tag}"

    @property
    def tag(self) -> str:
        """Begins the names of the group's own units."""
        return f"{self.of_split}.s{self.seed}"


def pooled(methods: Iterable[str], *, adapted: bool) -> list[str]:
    """The methods whose result the pool changes; ``adapted``: it taught the checkpoint before all else (``--adapt``).

    >>> pooled(["tfidf", "supervised", "majority"], adapted=False), pooled(["tfidf", "supervised", "majority"], adapted=True)
    (['tfidf'], ['tfidf', 'supervised'])
    """
    return [method for method in methods if method in POOLED or (adapted and method != "majority")]


def in_order(methods: Iterable[str]) -> tuple[str, ...]:
    """Methods, each once, in the order given."""
    return tuple(dict.fromkeys(methods))
