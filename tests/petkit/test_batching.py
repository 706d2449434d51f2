"""Batches: every row once, within the budget, hardly any padding; padding never changes a row."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from petkit.batching import collate, token_budget_batches
from petkit.encoding import Encoded, Encoder
from petkit.errors import SettingsError
from petkit.pvp import Pattern
from petkit.rows import Rows
from tests import builders


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 60), max_size=80), st.integers(1, 200), st.none() | st.integers(1, 9))
def test_every_row_once_within_the_budget(lengths: list[int], tokens: int, rows: int | None) -> None:
    batches = token_budget_batches(np.array(lengths, dtype=np.int64), tokens=tokens, rows=rows)
    assert sorted(i for batch in batches for i in batch.tolist()) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) > 0
        assert len(batch) == 1 or max(lengths[i] for i in batch) * len(batch) <= tokens
        assert rows is None or len(batch) <= rows


@given(st.integers(1, 50), st.integers(1, 40), st.integers(1, 300))
def test_batches_of_equal_length_are_full(length: int, count: int, tokens: int) -> None:
    batches = token_budget_batches([length] * count, tokens=tokens)
    assert all(len(batch) == max(1, tokens // length) for batch in batches[:-1])


@pytest.mark.parametrize("limits", [{"tokens": 0}, {"tokens": 5, "rows": 0}])
def test_a_batch_of_nothing_is_refused(limits: dict[str, int]) -> None:
    with pytest.raises(SettingsError, match="at least 1"):
        token_budget_batches([1], **limits)


def test_real_text_needs_under_three_per_cent_padding() -> None:
    texts = builders.sentences()[:2500]
    rows = Rows(tuple(map(str, range(len(texts)))), {"text": texts})
    encoded = Encoder(builders.tokenizer("wordpiece")).clozes(rows, Pattern("{mask}: {text}"), filler="graph")
    lengths = encoded.lengths
    padded = sum(len(batch) * int(lengths[batch].max()) for batch in token_budget_batches(lengths, tokens=4096))
    assert 0 < padded / lengths.sum() - 1 < 0.03


@given(st.lists(st.lists(st.integers(5, 99), min_size=1, max_size=12), min_size=1, max_size=8), st.data())
def test_padding_never_changes_a_row(rows: list[list[int]], data: st.DataObject) -> None:
    slots = [[data.draw(st.integers(0, len(row) - 1))] for row in rows]
    encoded = Encoded.of(rows, slots=slots)
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=8))
    batch = collate(encoded, chosen, pad_id=0)
    assert batch.input_ids.shape == (len(chosen), max(len(rows[i]) for i in chosen))
    assert batch.full == batch.to("cpu").full == bool(batch.attention_mask.all())
    for i, ids, mask, slot in zip(chosen, batch.input_ids, batch.attention_mask, batch.slots, strict=True):
        assert ids[mask.bool()].tolist() == rows[i]
        assert not ids[len(rows[i]) :].any()
        assert slot.tolist() == slots[i]


def test_a_batch_carries_types_and_int64() -> None:
    rows = Rows(("0", "1"), {"a": ("good", "a great table"), "b": ("no number", "yes")})
    encoded = Encoder(builders.tokenizer("wordpiece")).clozes(rows, Pattern("{a} || {mask} {b}"), filler="yes")
    batch = collate(encoded, [1, 0], pad_id=0)
    fields = [getattr(batch, field.name) for field in dataclasses.fields(batch) if field.name != "full"]
    assert [tensor.dtype for tensor in fields] == [torch.int64] * 4
    assert batch.token_type_ids.tolist() == [[0] * 5 + [1] * 3, [0] * 3 + [1] * 4 + [0]]
    assert all(torch.equal(one, other) for one, other in zip(fields, dataclasses.astuple(batch.to("cpu"))[:4], strict=True))
    with pytest.raises(dataclasses.FrozenInstanceError):
        batch.slots = batch.slots  # type: ignore[misc]


def test_two_batches_above_each_other_keep_their_rows() -> None:
    one, other = collate(Encoded.of([[5, 6], [7]], slots=[[0], [0]]), [0, 1], pad_id=3), collate(Encoded.of([[8, 9, 10]]), [0], pad_id=3)
    both, turned = one.above(other, pad_id=3), other.above(one, pad_id=3)
    assert both.input_ids.tolist() == [[5, 6, 3], [7, 3, 3], [8, 9, 10]]
    assert both.attention_mask.tolist() == [[1, 1, 0], [1, 0, 0], [1, 1, 1]]
    assert turned.input_ids.tolist() == [[8, 9, 10], [5, 6, 3], [7, 3, 3]]
    assert both.token_type_ids.tolist() == [[0] * 3] * 3
    assert both.slots.shape == (3, 0)
    assert [both.full, one.above(one, pad_id=3).full, other.above(other, pad_id=3).full] == [False, False, True]
    flat = collate(Encoded.of([[1, 2]]), [0], pad_id=3)
    assert flat.full
    assert not flat.above(other, pad_id=3).full


def test_an_empty_batch_is_empty() -> None:
    batch = collate(Encoded.of([[1, 2]], slots=[[0]]), [], pad_id=0)
    assert [tuple(t.shape) for t in (batch.input_ids, batch.attention_mask, batch.slots)] == [(0, 0), (0, 0), (0, 1)]
