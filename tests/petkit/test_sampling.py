"""Rows of an update: once per epoch, in an order that depends on the epoch alone."""

from __future__ import annotations

import numpy as np
import pytest

from petkit.sampling import epoch_batch


def batches(indices: range, *, batch: int, size: int, seed: int = 1) -> list[list[int]]:
    return [epoch_batch(seed, "rows", index=index, batch=batch, size=size).tolist() for index in indices]


@pytest.mark.parametrize(("batch", "size"), [(1, 5), (4, 10), (3, 7), (5, 5), (12, 5), (7, 1)])
def test_every_row_comes_once_per_epoch(batch: int, size: int) -> None:
    drawn = np.concatenate(batches(range(4 * size), batch=batch, size=size))
    for epoch in range(len(drawn) // size):
        assert sorted(drawn[epoch * size : (epoch + 1) * size].tolist()) == list(range(size))


def test_orders_differ_between_epochs_seeds_and_names() -> None:
    epochs = batches(range(3), batch=50, size=50)
    others = [epoch_batch(2, "rows", index=0, batch=50, size=50).tolist(), epoch_batch(1, "b", index=0, batch=50, size=50).tolist()]
    assert len({tuple(order) for order in [*epochs, *others]}) == 5


def test_a_batch_does_not_depend_on_the_batches_before_it() -> None:
    forward = batches(range(12), batch=4, size=10)
    backward = [epoch_batch(1, "rows", index=index, batch=4, size=10).tolist() for index in reversed(range(12))]
    assert forward == backward[::-1]
    assert batches(range(7, 9), batch=4, size=10) == forward[7:9]


def test_batches_of_another_size_walk_the_same_order() -> None:
    twos, threes = (np.concatenate(batches(range(12 // n), batch=n, size=6)).tolist() for n in (2, 3))
    assert twos == threes


def test_shape_and_dtype() -> None:
    drawn = epoch_batch(1, "x", index=3, batch=4, size=3)
    assert drawn.shape == (4,)
    assert drawn.dtype == np.int64
