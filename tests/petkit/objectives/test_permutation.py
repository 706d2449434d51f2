"""XLNet's spans against the loop that defines them, orders, masks, and what a model with them can see."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from transformers import XLNetConfig, XLNetLMHeadModel

from petkit.objectives import (
    IGNORED,
    TokenRows,
    factorization_order,
    permutation_masks,
    preset,
    reciprocal,
    select_in_contexts,
    stream,
)
from petkit.objectives.rows import flat_words
from petkit.objectives.spans import draw_lengths
from tests.petkit.objectives.made import SIZE, WORDS, calls, framed, rows_of


def reference(starts: list[bool], n: list[int], draw: list[float], alpha: int, beta: int) -> set[int]:
    """The reference's loop over a text; ``n`` and ``draw`` are those of the token where a context starts."""
    chosen: set[int] = set()
    length, at = len(starts), 0
    while at < length:
        context = n[at] * alpha // beta
        left = int(draw[at] * context)
        begin = at + left
        while begin < length and not starts[begin]:
            begin += 1
        if begin >= length:
            break
        end, seen = begin + 1, 1
        while end < length:
            if starts[end]:
                seen += 1
                if seen > n[at]:
                    break
            end += 1
        if end >= length:
            break
        chosen |= set(range(begin, end))
        at = end + context - left
    return chosen


@given(
    sizes=st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=60), min_size=1, max_size=4),
    seed=st.integers(0, 300),
    alpha=st.sampled_from([2, 6]),
)
@settings(max_examples=80, deadline=None)
def test_spans_are_those_of_the_loop(sizes: list[list[int]], seed: int, alpha: int) -> None:
    rows = rows_of(sizes)
    got = select_in_contexts(rows, stream(seed), lengths=reciprocal(5), alpha=alpha)
    rng, words = stream(seed), flat_words(rows)
    n, draw = draw_lengths(reciprocal(5), len(words.places), rng), rng.random(len(words.places))
    for row, counts in enumerate(sizes):
        starts = [first for count in counts for first in (True, *[False] * (count - 1))]
        mine = words.places // rows.ids.shape[1] == row
        assert set(np.flatnonzero(got[row]).tolist()) == reference(starts, n[mine].tolist(), draw[mine].tolist(), alpha, 1)


def test_a_seventh_of_long_texts_is_selected() -> None:
    rows = rows_of([[1] * 500] * 200)
    share = select_in_contexts(rows, stream(1), lengths=reciprocal(5)).mean()
    assert share == pytest.approx(1 / 7, abs=0.004)
    none = TokenRows(rows.ids, np.zeros_like(rows.maskable), rows.words)
    assert not select_in_contexts(none, stream(1), lengths=reciprocal(5)).any()


def test_orders_are_permutations_within_blocks() -> None:
    order = factorization_order((5000, 7), stream(2), block=3)
    assert (np.sort(order[:, :3], axis=1) == [0, 1, 2]).all()
    assert (np.sort(order[:, 3:6], axis=1) == [3, 4, 5]).all()
    assert (order[:, 6] == 6).all()
    kinds = order[:, 0] * 9 + order[:, 1] * 3 + order[:, 2]
    assert chisquare(np.unique(kinds, return_counts=True)[1]).pvalue > 1e-4
    assert len(set(kinds.tolist())) == 6


def test_masks_by_hand() -> None:
    order = torch.tensor([[2, 0, 3, 1]])
    selection = torch.tensor([[True, False, True, True]])
    positions = torch.tensor([[0, 2, 3], [-1, -1, -1]])
    masks, mapping = permutation_masks(order, selection, positions[:1])
    # target 0 comes second, target 2 third, target 3 first; position 1 is context
    assert masks.tolist() == [[[1, 0, 1, 0], [1, 0, 1, 1], [0, 0, 1, 0], [1, 0, 1, 1]]]
    assert mapping.tolist() == [[[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]]
    assert not permutation_masks(order, ~selection & False, positions[1:])[1].any()


def test_batches_hide_nothing_in_the_text_and_pad_targets() -> None:
    ids, valid = framed([60, 3, 0], 64)
    batch = preset("xlnet").batch(ids, valid, WORDS, stream(3))
    assert batch.inputs is ids
    for row in range(3):
        columns = np.flatnonzero(batch.selection[row])
        assert batch.positions[row, : len(columns)].tolist() == columns.tolist()
        assert batch.labels[row, : len(columns)].tolist() == ids[row, columns].tolist()
        assert (batch.labels[row, len(columns) :] == IGNORED).all()
    assert not WORDS.special[ids[batch.selection]].any()
    assert batch.order.max() == 63


def test_a_target_changes_only_what_may_see_it() -> None:
    config = XLNetConfig(vocab_size=SIZE, d_model=16, n_layer=2, n_head=2, d_inner=32, dropout=0.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = XLNetLMHeadModel(config).eval()
    ids, valid = framed([38], 40, seed=5)
    batch = preset("xlnet", alpha=2).batch(ids, valid, WORDS, stream(4))
    order, selection, positions = (torch.from_numpy(array) for array in (batch.order, batch.selection, batch.positions))
    masks, mapping = permutation_masks(order, selection, positions)
    targets = batch.positions[0].tolist()
    assert len(targets) > 4

    def logits(changed: int | None) -> torch.Tensor:
        tokens = torch.from_numpy(batch.inputs).clone()
        if changed is not None:
            tokens[0, changed] = 50 + (tokens[0, changed] == 50)
        with torch.no_grad():
            found: torch.Tensor = model(input_ids=tokens, perm_mask=masks, target_mapping=mapping).logits[0]
        return found

    before = logits(None)
    for changed in targets:
        moved = (logits(changed) - before).abs().amax(dim=1) > 1e-7
        may_see = [bool(batch.order[0, changed] < batch.order[0, target]) for target in targets]
        assert moved.tolist() == may_see  # its own prediction not among them
    assert ((logits(1) - before).abs().amax(dim=1) > 1e-7).all() or batch.selection[0, 1]  # context is seen by all


def test_longer_rows_take_a_few_doublings_more() -> None:
    few, many = (
        max(calls(partial(select_in_contexts, rows_of([[1, 2] * n] * 8), stream(6, step=i), lengths=reciprocal(5))) for i in range(3))
        for n in (24, 192)
    )
    assert many <= few + 3 * 20  # 8 times as long: three doublings; a loop over spans would add hundreds
