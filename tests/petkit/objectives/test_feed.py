"""The same masks for any number of workers and ranks, in any order, and after a resume."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest
from torch.utils.data import DataLoader

from petkit.objectives import PRESETS, Feed, preset, share, stream
from tests.petkit.objectives.made import WORDS, Bools, Ints, framed

NAMES = [name for name in PRESETS if name not in ("nsp", "sop")]


def gather(step: int) -> tuple[Ints, Bools]:
    return framed([12, 30, 7, 25, 1, 18], 32, seed=step % 3)  # rows come up again


def feed(name: str = "mlm", **changes: Any) -> Feed:
    return replace(Feed(preset(name), gather, WORDS, steps=6, seed=3), **changes)


def arrays(batch: Any) -> Iterator[Any]:
    """The arrays of a batch, those inside of it too."""
    for field in fields(batch):
        value = getattr(batch, field.name)
        if is_dataclass(value):
            yield from arrays(value)
        elif value is not None:
            yield value


def same(first: Any, second: Any) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(arrays(first), arrays(second), strict=True))


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than this machine has cores
@pytest.mark.parametrize("workers", [0, 1, 4])
def test_workers_draw_what_one_process_draws(workers: int) -> None:
    mine = feed("spanbert")
    loader = DataLoader(mine, batch_size=None, num_workers=workers)
    for _ in range(2):  # workers are started anew for each pass, and draw the same: the step says what
        batches = list(loader)
        assert len(batches) == 6
        assert all(same(batch, mine[step]) for step, batch in enumerate(batches))


def test_a_resume_goes_on_with_the_same_draws_and_rows_are_masked_anew() -> None:
    whole, rest = feed(), feed(start=4)
    assert (len(whole), len(rest)) == (6, 2)
    assert same(rest[0], whole[4])
    assert same(rest[1], whole[5])
    assert not np.array_equal(whole[0].positions, whole[3].positions)  # the same rows, three steps later
    assert not same(whole[0], feed(seed=4)[0])
    with pytest.raises(IndexError):
        rest[2]


def given(name: str) -> dict[str, Ints]:
    ids, _ = gather(0)
    return {"words": WORDS.words(ids)} if getattr(preset(name), "given_units", False) else {}


@pytest.mark.parametrize("name", NAMES)
def test_ranks_share_the_global_batch(name: str) -> None:
    ids, valid = gather(1)
    batch = preset(name).batch(ids, valid, WORDS, stream(1), **given(name))
    for ranks in (1, 2, 4):
        parts = [share(batch, rank=rank, ranks=ranks) for rank in range(ranks)]
        starts = [rank * 6 // ranks for rank in range(ranks)]
        assert same(joined(parts, starts, ids.shape[1]), batch)


def joined(parts: list[Any], starts: list[int], width: int) -> Any:
    """Shares as one batch again, by field; what points into the flattened rows is moved."""
    values: dict[str, Any] = {}
    for field in fields(parts[0]):
        column = [getattr(part, field.name) for part in parts]
        if column[0] is None:
            values[field.name] = None
        elif is_dataclass(column[0]):
            values[field.name] = joined(column, starts, width)
        else:
            flat = field.name in ("positions", "left", "right") and column[0].ndim == 1
            values[field.name] = np.concatenate([v + start * width * flat for v, start in zip(column, starts, strict=True)])
    return type(parts[0])(**values)


def test_a_rank_of_the_feed_gets_its_share() -> None:
    assert same(feed(rank=1, ranks=2)[2], share(feed()[2], rank=1, ranks=2))


@pytest.mark.parametrize("name", NAMES)
def test_objectives_reach_worker_processes(name: str) -> None:
    again = pickle.loads(pickle.dumps(preset(name)))
    ids, valid = gather(2)
    assert same(again.batch(ids, valid, WORDS, stream(2), **given(name)), preset(name).batch(ids, valid, WORDS, stream(2), **given(name)))
