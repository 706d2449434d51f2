"""What a pretraining run learns: data sets times objectives, how often each comes up, and the batch of every update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from petkit.errors import DataError
from petkit.objectives import MaskedLanguageModeling, Vocabulary, draw_sources, equal_rates, mixing_rates, stream
from petkit.pretraining.given import goes_by_segmenter, goes_by_units
from petkit.pretraining.packing import PairedRows, RowSource, row_source
from petkit.pretraining.settings import PretrainSettings
from petkit.pretraining.tokenfiles import TokenFile
from petkit.pretraining.tokens import SplitTokens
from petkit.sampling import epoch_batch

__all__ = ["Task", "Updates", "left_out", "make_tasks", "measured_form", "random_pairs", "rows_and_tokens", "task_rates"]

Int = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Task:
    """One data set with one objective.

    Attributes:
        name: the objective's, and the data set's where there are several.
        train, long: rows to train on, of ``length`` and of ``long_length`` tokens.
        held: rows held out; None where the text held out makes none, and ``lacking`` says why.
    """

    name: str
    objective: Any
    train: RowSource
    long: RowSource
    held: RowSource | None
    lacking: str = ""


def make_tasks(texts: Mapping[str, SplitTokens], settings: PretrainSettings, vocabulary: Vocabulary) -> list[Task]:
    """Every data set (by name) with every objective. Units that the tokens have are for the objectives that go by them, not for others.

    Raises as ``row_source`` for text that is trained on; text held out that makes no rows makes a task without ``held``.
    """
    return [
        _task(objective.name if len(texts) == 1 else f"{objective.name} on {name}", objective, tokens, settings, vocabulary)
        for name, tokens in texts.items()
        for objective in settings.rows_of_table()
    ]


def _task(name: str, objective: Any, tokens: SplitTokens, settings: PretrainSettings, vocabulary: Vocabulary) -> Task:
    def rows(part: TokenFile, length: int) -> RowSource:
        part = part if goes_by_units(objective) or goes_by_segmenter(objective) else replace(part, begins=None)
        return row_source(part, objective, vocabulary, length=length, seed=settings.seed)

    held, lacking = None, ""
    try:
        train = rows(tokens.train, settings.length)
        long = train if settings.long_length is None else rows(tokens.train, settings.long_length)
    except DataError as error:
        raise DataError(f"{error} (in the text trained on, which is all but what --held-out takes)") from error
    try:
        held = rows(tokens.held, settings.length)
    except DataError as error:
        lacking = str(error)
    return Task(name, objective, train, long, held, lacking)


def left_out(tasks: Sequence[Task]) -> dict[str, list[int]]:
    """By task that makes pairs: of how many stretches of the text trained on it made none, and of how many it made one.

    Of the first epoch; tasks that leave nothing out are not named.
    """
    sources = ((task.name, task.train) for task in tasks)
    return {name: [rows.left_out, len(rows)] for name, rows in sources if isinstance(rows, PairedRows) and rows.left_out}


def random_pairs(tasks: Sequence[Task]) -> dict[str, float]:
    """By task that makes pairs: which share of them is of two documents, where that is far from half for want of a second sentence.

    Of the first epoch. Without the pairs that could be of no single document it is half but for chance, so a fifth of such makes it 0.6.
    """
    sources = ((task.name, task.train) for task in tasks)
    return {name: round(rows.random, 3) for name, rows in sources if isinstance(rows, PairedRows) and rows.unparted > 0.2 * len(rows)}


def task_rates(tasks: Sequence[Task], settings: PretrainSettings) -> npt.NDArray[np.float64]:
    """(N,) how often each task comes up; sums to 1."""
    if settings.mixing == "equal":
        return equal_rates(len(tasks))
    return mixing_rates([len(task.train) for task in tasks], cap=settings.mix_cap, temperature=settings.mix_temperature)


class Updates:
    """``updates[step]`` is a task's number and the global batch of update ``step``: a map-style data set for torch's DataLoader.

    Draws depend on seed and step alone: the same for any number of workers and ranks, and after a resume.
    """

    def __init__(self, tasks: Sequence[Task], rates: npt.NDArray[np.float64], settings: PretrainSettings, vocabulary: Vocabulary) -> None:
        self.tasks, self.settings, self.vocabulary = tasks, settings, vocabulary
        self.turn = turn(settings)
        self.numbers = draw_sources(rates, seed=settings.seed, step=0, rows=settings.steps)
        self._earlier = _earlier(self.numbers + len(tasks) * (np.arange(settings.steps) >= self.turn))

    def __len__(self) -> int:
        return self.settings.steps

    def __getitem__(self, step: int) -> tuple[int, Any]:
        settings, number = self.settings, int(self.numbers[step])
        task, source, rows = self.tasks[number], self.tasks[number].train, settings.rows
        if step >= self.turn and settings.long_length:
            source, rows = task.long, settings.long_rows
        place = int(self._earlier[step])
        chosen = epoch_batch(settings.seed, "pretrain", "rows", number, index=place, batch=rows, size=len(source))
        rng = stream(settings.seed, "pretrain", "mask", step=step)
        return number, source.batch(chosen, task.objective, self.vocabulary, rng, epoch=place * rows // len(source))

    def rows_of_tasks(self, start: int, stop: int) -> list[int]:
        """How many rows updates ``start`` to ``stop`` (not included) take of each task."""
        rows = np.where(np.arange(start, stop) >= self.turn, self.settings.long_rows, self.settings.rows)
        return [int(rows[self.numbers[start:stop] == number].sum()) for number in range(len(self.tasks))]


def turn(settings: PretrainSettings) -> int:
    """The first update that takes the longer rows; the number of updates where none does."""
    return settings.steps - (round(settings.steps * settings.long_share) if settings.long_length else 0)


def rows_and_tokens(settings: PretrainSettings, stop: int, *, start: int = 0) -> tuple[int, int]:
    """How many rows updates ``start`` to ``stop`` (not included) take, and their places for tokens, padding included."""
    long = max(0, stop - max(start, turn(settings)))
    short = stop - start - long
    rows = short * settings.rows, long * settings.long_rows
    return sum(rows), rows[0] * settings.length + rows[1] * (settings.long_length or 0)


def _earlier(kinds: Int) -> Int:
    """(N,) how many earlier entries are equal to each.

    >>> _earlier(np.array([0, 1, 0, 0, 1])).tolist()
    [0, 0, 1, 2, 1]
    """
    order = np.argsort(kinds, kind="stable")
    starts = np.searchsorted(kinds[order], kinds[order])
    earlier = np.empty(len(kinds), dtype=np.int64)
    earlier[order] = np.arange(len(kinds)) - starts
    return earlier


def measured_form(objective: Any) -> Any:
    """The objective as held-out text is measured with it: every selected token is the mask, so that none can be read off."""
    if isinstance(objective, MaskedLanguageModeling):
        return replace(objective, masked=1.0, random=0.0)
    inner = getattr(objective, "masked", None)
    return replace(objective, masked=measured_form(inner)) if isinstance(inner, MaskedLanguageModeling) else objective
