"""Which rows an update sees: every row once per epoch, in an order drawn anew for each, found from the step alone."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from petkit.objectives.streams import stream

__all__ = ["epoch_batch", "epoch_total"]


def epoch_batch(seed: int, *names: str | int, index: int, batch: int, size: int) -> npt.NDArray[np.int64]:
    """(batch,) int64 row numbers below ``size``: places ``index * batch`` onwards of the epochs' permutations, one after another.

    Stateless: a resumed run draws the same. A batch larger than the data holds rows more than once.

    >>> sorted(np.concatenate([epoch_batch(1, "x", index=i, batch=2, size=4) for i in range(2)]).tolist())
    [0, 1, 2, 3]
    """
    places = np.arange(index * batch, (index + 1) * batch)
    chosen = np.empty(batch, dtype=np.int64)
    for epoch in range(int(places[0]) // size, int(places[-1]) // size + 1):
        inside = places // size == epoch
        chosen[inside] = _order(seed, names, epoch, size)[places[inside] % size]
    return chosen


@lru_cache(maxsize=8)  # of many rows, drawing the order takes longer than an update
def _order(seed: int, names: tuple[str | int, ...], epoch: int, size: int) -> npt.NDArray[np.int64]:
    return stream(seed, *names, epoch=epoch).permutation(size)


def epoch_total(seed: int, *names: str | int, lengths: npt.NDArray[np.integer], draws: int) -> int:
    """The sum of ``lengths`` (N,) over the first ``draws`` rows that ``epoch_batch`` gives: tokens trained on, known without training.

    >>> epoch_total(1, "x", lengths=np.array([3, 4, 5]), draws=6)
    24
    """
    epochs, rest = divmod(draws, len(lengths))
    last = stream(seed, *names, epoch=epochs).permutation(len(lengths))[:rest]
    return epochs * int(lengths.sum()) + int(lengths[last].sum())
