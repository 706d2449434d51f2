"""What a kind of fine-tuning is: the functions by which the driver reads, opens, teaches, asks and scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from petkit.batching import Batch
from petkit.encoding.encoded import Encoded
from petkit.finetuning.settings import FinetuneSettings

__all__ = ["Facts", "Job", "Kind", "Lessons", "Prediction", "Reads", "Tuned"]

R = TypeVar("R")

Facts = Mapping[str, Any]
"""What the training rows say of the task, in JSON: its labels, say."""

Prediction = dict[str, Any]
"""What was found for one row, in JSON."""

Chosen = NDArray[np.int64]


class Reads(Protocol[R]):
    """How rows of a kind are read. ``encoding``, ``quotes``: see ``petkit.data.readers.iter_records``."""

    def __call__(self, source: str, settings: FinetuneSettings, *, encoding: str = ..., quotes: bool = ...) -> list[R]: ...


@dataclass(frozen=True)
class Job:
    """What all functions of a kind go by: the checkpoint's config and tokenizer, what the training rows say, and the settings."""

    config: Any
    tokenizer: Any
    facts: Facts
    settings: FinetuneSettings


@dataclass(frozen=True)
class Lessons:
    """Training rows as a model takes them.

    Attributes:
        encoded: N rows of ids (windows, where texts are long).
        loss: model, batch of B rows, their numbers (B,) -> the scalar loss, a mean over the rows' terms.
        counts: what was cut, left out or split, by name.
        terms: (N,) int64, of how many terms of the mean each row has; None for one each.
    """

    encoded: Encoded
    loss: Callable[[Any, Batch, Chosen], Tensor]
    counts: Mapping[str, int] = field(default_factory=dict)
    terms: NDArray[np.int64] | None = None

    def weight(self, chosen: Chosen, among: Chosen) -> float:
        """By what the mean over ``chosen`` rows goes into the sum that is the mean over ``among``, of which they are a part."""
        if self.terms is None:
            return len(chosen) / len(among)
        return float(self.terms[chosen].sum() / max(1, self.terms[among].sum()))


class Tuned(NamedTuple):
    """What development rows decided after training.

    ``settings``: by name, in place of what was left open. ``report``: how each of them was found, by the same names, in JSON; in words
    in ``story``. ``predictions``: those of the development rows under these settings.
    """

    settings: Mapping[str, Any]
    report: Mapping[str, Mapping[str, Any]]
    story: str
    predictions: list[Prediction]


@dataclass(frozen=True)
class Kind(Generic[R]):
    """A kind of fine-tuning. All functions are pure but for ``open``, which reads a checkpoint.

    Attributes:
        row: the class of its rows.
        model_types: checkpoints that it takes. pipeline: the task of ``transformers.pipeline`` that opens the result, if one does.
        read: source, settings -> rows; DataError with everything that is wrong.
        facts: training rows, test rows, settings -> facts; DataError for test rows that do not fit.
        open: path, job, seed -> model.
        lessons: rows, job -> lessons.
        predict: model, rows, job -> a prediction per row.
        score: rows, predictions, job -> scores; None if no row says what is right.
        tune: development rows, of which some say what is right, their predictions, job -> what they decide; None if nothing is left
            open. Kinds that leave nothing open have no such function.
    """

    name: str
    row: type[R]
    model_types: tuple[str, ...]
    pipeline: str | None
    read: Reads[R]
    facts: Callable[[Sequence[R], Sequence[R], FinetuneSettings], Facts]
    open: Callable[[str, Job, int], Any]
    lessons: Callable[[Sequence[R], Job], Lessons]
    predict: Callable[[Any, Sequence[R], Job], list[Prediction]]
    score: Callable[[Sequence[R], Sequence[Prediction], Job], dict[str, Any] | None]
    tune: Callable[[Sequence[R], Sequence[Prediction], Job], Tuned | None] | None = None
