"""Batches by their number, for any loader and any number of workers and ranks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from petkit.objectives.batches import share
from petkit.objectives.rows import BoolArray, IntArray
from petkit.objectives.streams import stream
from petkit.objectives.vocabulary import Vocabulary

__all__ = ["Feed"]


@dataclass(frozen=True)
class Feed:
    """``feed[step]`` is the batch of update ``step``: a map-style data set for ``torch.utils.data.DataLoader(feed, batch_size=None)``.

    Draws are made for the global batch, from seed and step alone, and split over the ranks afterwards. So they are the same for any number
    of workers and ranks, in whatever order batches are asked for, and after a resume. (A collator with a generator of its own
    repeats its masks every epoch when its workers are started anew.)

    Attributes:
        objective: a row of the table. gather: step -> ids (B, T) int64 and valid (B, T) bool of the global batch.
        steps: how many there are. start: the first one, after a resume.
    """

    objective: Any
    gather: Callable[[int], tuple[IntArray, BoolArray]]
    vocabulary: Vocabulary
    steps: int
    seed: int
    start: int = 0
    rank: int = 0
    ranks: int = 1

    def __len__(self) -> int:
        return self.steps - self.start

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(index)
        step = self.start + index
        ids, valid = self.gather(step)
        batch = self.objective.batch(ids, valid, self.vocabulary, stream(self.seed, "mask", step=step))
        return share(batch, rank=self.rank, ranks=self.ranks)
