"""The course of a pretraining run: learners on one model, updates over all ranks, held-out figures, curves."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from petkit.backbones.modelfiles import quiet
from petkit.checkpoints import CHECKPOINT_FILE
from petkit.errors import DataError, ModelError
from petkit.objectives import Vocabulary, share, stream
from petkit.pretraining.curves import Curves, TensorBoard
from petkit.pretraining.packing import PairedRows, RowSource
from petkit.pretraining.ranks import first_says_why, means_of_all, ranks
from petkit.pretraining.settings import PretrainSettings
from petkit.pretraining.tasks import Task, Updates, measured_form, rows_and_tokens, task_rates
from petkit.training import Trained, autocast, train
from petkit.units import UnitContext

__all__ = ["Course", "Joint"]

MEASURED_ROWS = 2048
"""At most so many held-out rows are measured, always the same ones."""

LOOKED_AT = 2**20
"""Held-out tokens that are looked through for words that the tokenizer knows."""


class Joint(nn.Module):
    """Learners by objective, all of one model; ``forward`` goes through one of them."""

    def __init__(self, learners: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.names = list(learners)
        self.learners = nn.ModuleList(learners.values())

    def learner(self, name: str) -> Any:
        """An objective's learner."""
        return self.learners[self.names.index(name)]

    def forward(self, name: str, batch: Any, counts: Mapping[str, float]) -> dict[str, Tensor]:
        """The learner's losses."""
        losses: dict[str, Tensor] = self.learner(name)(batch, counts)
        return losses


class Course:
    """A model's learners, the tasks, and how they are trained.

    Args:
        joint: on its device. before_step: see ``petkit.training.train``.
    """

    def __init__(
        self,
        joint: Joint,
        tasks: Sequence[Task],
        settings: PretrainSettings,
        vocabulary: Vocabulary,
        *,
        before_step: Callable[[int, int], None] | None = None,
    ) -> None:
        self.joint, self.tasks, self.settings, self.vocabulary = joint, tasks, settings, vocabulary
        self.rates = task_rates(tasks, settings)
        self.updates = Updates(tasks, self.rates, settings, vocabulary)
        self._before_step = before_step
        self._batches: Iterator[tuple[int, Any]] | None = None
        self._current: tuple[int, Any] = (0, None)
        self._first = 0

    def train(self, context: UnitContext, curves: Curves, board: TensorBoard | None = None) -> Trained:
        """All updates; on rank 0 with checkpoints, reports and curves."""
        here = ranks()
        module: nn.Module = self.joint
        if here.size > 1:
            module = DistributedDataParallel(self.joint, find_unused_parameters=len(self.joint.names) > 1)

        def losses(step: int, micro: int) -> dict[str, Tensor]:
            return self._losses(module, step, micro)

        def on_step(step: int, steps: int, means: Mapping[str, float] | None) -> None:
            if here.first:
                context.progress(step, steps, **(means or {}))
                self._report(step, means, curves, board)

        options: dict[str, Any] = {} if here.first else {"checkpoint_seconds": math.inf}  # the others read, and never write
        with first_says_why():  # losses are those of all processes, so where they diverge all end
            return train(
                self.joint,
                losses,
                self.settings.training(),
                seed=self.settings.seed,
                stage="pretrain" if here.first else f"pretrain, rank {here.rank}",
                checkpoint=context.work / CHECKPOINT_FILE,
                before_step=self._before_step,
                on_step=on_step,
                log_every=max(1, min(50, self.settings.steps // 20)),
                pooled=means_of_all if here.size > 1 else None,
                **options,
            )

    def _losses(self, module: nn.Module, step: int, micro: int) -> dict[str, Tensor]:
        here, parts = ranks(), self.settings.accumulate
        if micro == 0:
            self._current = self._next(step)
        number, batch = self._current
        task = self.tasks[number]
        counted = self.joint.learner(task.objective.name).counts(batch)
        counts = {name: count / (here.size * parts) for name, count in counted.items()}
        mine = share(batch, rank=here.rank * parts + micro, ranks=here.size * parts)
        waiting = micro + 1 < parts and isinstance(module, DistributedDataParallel)
        with cast(DistributedDataParallel, module).no_sync() if waiting else nullcontext():
            found: dict[str, Tensor] = module(task.objective.name, mine, counts)
        return {"loss": found["loss"], **{self._label(task, name): value for name, value in found.items() if name != "loss"}}

    def _label(self, task: Task, part: str) -> str:
        return part if len(self.tasks) == 1 else f"{task.name}/{part}"

    def _next(self, step: int) -> tuple[int, Any]:
        if self._batches is None:
            self._batches, self._first = self._loaded(step), step
        return next(self._batches)

    def _loaded(self, step: int) -> Iterator[tuple[int, Any]]:
        with quiet():  # torch warns of more workers than cores
            loader = DataLoader(
                cast(Any, self.updates),
                batch_size=None,
                sampler=range(step, len(self.updates)),
                num_workers=self.settings.workers,
                collate_fn=_as_is,
                generator=torch.Generator(),  # its own: else the loader would draw from the stream that dropout draws from
            )
            return iter(loader)

    def _report(self, step: int, means: Mapping[str, float] | None, curves: Curves, board: TensorBoard | None) -> None:
        every, last = self.settings.interval, step == self.settings.steps
        due = every > 0 and step % every == 0 and not last  # at the end it is measured once, by the caller
        if (means is None and not due) or (every == 0 and not last):  # where only the end counts, there is no curve to write
            return
        point: dict[str, Any] = {"step": step, "rows": rows_and_tokens(self.settings, step)[0]}
        point |= {f"training/{name}": value for name, value in (means or {}).items()}
        if due:
            point |= self.held_out()
            self.joint.train()
        curves.add(point)
        if board is not None and not last:
            board.add(point)

    def speed(self, trained: Trained) -> dict[str, Any]:
        """Tokens (padding included) and rows per second, of the updates that this process made; nothing if there were none.

        ``objectives`` has by name ``rows_per_second``, or ``pairs_per_second`` where rows are pairs of texts: the part of each in the
        same seconds, so of several they add up to ``rows_per_second``.
        """
        if self._batches is None:
            return {}
        seconds = max(trained.seconds, time.get_clock_info("monotonic").resolution)
        rows, tokens = rows_and_tokens(self.settings, trained.steps, start=self._first)
        found: dict[str, dict[str, float]] = {}
        for task, count in zip(self.tasks, self.updates.rows_of_tasks(self._first, trained.steps), strict=True):
            unit = "pairs_per_second" if isinstance(task.train, PairedRows) else "rows_per_second"
            part = found.setdefault(task.objective.name, {unit: 0.0})
            part[unit] += count / seconds
        return {"rows_per_second": rows / seconds, "tokens_per_second": tokens / seconds, "objectives": found}

    def held_out(self) -> dict[str, float]:
        """``held out/PART`` of every task: loss in nats, accuracy as a share. Leaves the model in evaluation mode.

        Parts without terms, which ``unmeasured`` names, are left out. Raises ModelError where a loss is no finite number.
        """
        figures = ((task, self.measure(task)) for task in self.tasks)
        return {f"held out/{self._label(task, part)}": value for task, parts in figures for part, value in parts.items()}

    def unmeasured(self) -> dict[str, str]:
        """The parts of tasks of which the text held out has nothing to measure, and why; to be asked before training.

        A task for which it makes no rows is named as a whole.

        Raises DataError where there is nothing to measure at all.
        """
        lacking: dict[str, str] = {}
        found = False
        for task in self.tasks:
            if task.held is None:
                lacking[task.name] = task.lacking
                continue
            counts: dict[str, float] = {}
            for batch in self._held_batches(task):
                for part, count in self.joint.learner(task.objective.name).counts(batch).items():
                    counts[part] = counts.get(part, 0.0) + count
            found |= any(counts.values())
            lacking |= {self._label(task, part): self._why_nothing(task, task.held) for part, count in counts.items() if not count}
        if not found:
            raise DataError(f"of the text held out nothing can be measured: {'; '.join(dict.fromkeys(lacking.values()))}")
        return lacking

    def _why_nothing(self, task: Task, held: RowSource) -> str:
        ids = held.tokens.ids
        if self.vocabulary.special[ids[:LOOKED_AT]].all():
            return "the tokenizer knows no word of it; it is of another language"
        name, length = task.objective.name, self.settings.length
        return f"its {len(ids)} tokens in rows of {length} are too short for --objective {name}; raise --length or --held-out"

    def _held_batches(self, task: Task) -> Iterator[Any]:
        """The rows that are measured, corrupted the same way every time; none where the text held out makes none."""
        if task.held is None:
            return
        how, count = measured_form(task.objective), min(len(task.held), MEASURED_ROWS)
        for start in range(0, count, 64):
            chosen = np.arange(start, min(start + 64, count))
            yield task.held.batch(chosen, how, self.vocabulary, stream(0, "measure", step=start))

    @torch.inference_mode()
    def measure(self, task: Task) -> dict[str, float]:
        """Means over held-out rows, corrupted the same way every time; a part without terms is left out. Raises as ``held_out`` does."""
        learner = self.joint.learner(task.objective.name)
        sums: dict[str, np.ndarray[Any, Any]] = {}
        self.joint.eval()
        for batch in self._held_batches(task):
            with autocast(torch.device(self.settings.device), self.settings.precision):
                scores = learner.score(batch)
            for name, pair in scores.items():
                sums[name] = sums.get(name, np.zeros(2)) + np.array(pair)
        means = {name: float(total / number) for name, (total, number) in sums.items() if number}
        for name, value in means.items():
            if not math.isfinite(value):
                raise ModelError(
                    f"the model's loss {name} on the text held out is {value}; lower --learning-rate, or begin with sound weights"
                )
        return means


def _as_is(update: Any) -> Any:
    return update
