"""What stands at the selected places: 80 % masks, 10 % random ordinary tokens, 10 % as it was; targets only there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chisquare

from petkit.errors import SettingsError
from petkit.objectives import IGNORED, Vocabulary, boundaries, collapse, drop, replace_bert, sentinels, stream
from petkit.objectives.corrupt import nameable

SIZE = 50
SPECIAL = np.isin(np.arange(SIZE), [0, 1, 2, 3, 4, 30])
WORDS = Vocabulary(mask_id=4, pad_id=0, special=SPECIAL, starts_word=~SPECIAL, alone=SPECIAL, ordinary=np.flatnonzero(~SPECIAL))
IDS = np.full((300, 100), 7, dtype=np.int64)
EVERYWHERE = np.ones(IDS.shape, dtype=bool)


def test_eighty_ten_ten() -> None:
    inputs, _ = replace_bert(IDS, EVERYWHERE, stream(1), WORDS)
    masked, same = int((inputs == 4).sum()), int((inputs == 7).sum())
    n, ordinary = IDS.size, len(WORDS.ordinary)
    lucky = 0.1 * n / ordinary  # random draws that hit the token itself
    assert chisquare([masked, same, n - masked - same], [0.8 * n, 0.1 * n + lucky, 0.1 * n - lucky]).pvalue > 1e-4


def test_random_replacements_are_ordinary_tokens_all_equally_likely() -> None:
    inputs, _ = replace_bert(IDS, EVERYWHERE, stream(2), WORDS, masked=0.0, random=1.0)
    drawn = np.bincount(inputs.reshape(-1), minlength=SIZE)
    assert drawn[SPECIAL].sum() == 0
    assert chisquare(drawn[~SPECIAL]).pvalue > 1e-4


def test_targets_are_the_original_tokens_at_the_selection_and_nothing_else_changes() -> None:
    ids = stream(3).integers(5, 30, size=(40, 30))
    selection = stream(4).random(ids.shape) < 0.3
    before = ids.copy()
    inputs, targets = replace_bert(ids, selection, stream(5), WORDS)
    assert (targets[selection] == ids[selection]).all()
    assert (targets[~selection] == IGNORED).all()
    assert (inputs[~selection] == ids[~selection]).all()
    assert (ids == before).all()
    assert inputs.dtype == targets.dtype == np.int64
    assert inputs.shape == targets.shape == ids.shape


def test_an_empty_selection_changes_nothing() -> None:
    inputs, targets = replace_bert(IDS, ~EVERYWHERE, stream(6), WORDS)
    assert (inputs == IDS).all()
    assert (targets == IGNORED).all()


@pytest.mark.parametrize(("masked", "random", "expected"), [(1.0, 0.0, 4), (0.0, 0.0, 7)])
def test_shares_of_all_and_none(masked: float, random: float, expected: int) -> None:
    inputs, _ = replace_bert(IDS, EVERYWHERE, stream(7), WORDS, masked=masked, random=random)
    assert (inputs == expected).all()


def runs(flags: list[int]) -> np.ndarray:
    return np.array([flags], dtype=bool)


def test_eighty_ten_ten_by_span_is_one_decision_for_a_span() -> None:
    selection = np.zeros((4000, 12), dtype=bool)
    selection[:, [0, 1, 2, 5, 6, 7, 8, 11]] = True  # three spans, at both ends of the row and in the middle
    ids = np.full(selection.shape, 7, dtype=np.int64)
    inputs, targets = replace_bert(ids, selection, stream(8), WORDS, by_run=True)
    kinds = np.where(inputs == 4, 0, np.where(inputs == 7, 2, 1))
    for span in ([0, 1, 2], [5, 6, 7, 8]):
        assert ((kinds[:, span] == 0).all(axis=1) == (kinds[:, span] == 0).any(axis=1)).all()
    first = kinds[:, [0, 5, 11]].reshape(-1)
    lucky = 0.1 / len(WORDS.ordinary)
    assert chisquare(np.bincount(first), np.array([0.8, 0.1 - lucky, 0.1 + lucky]) * len(first)).pvalue > 1e-4
    random = inputs[(kinds[:, 0] == 1) & (kinds[:, 1] == 1)][:, :3]
    assert (random[:, 0] != random[:, 1]).mean() > 0.9  # each token of a random span is drawn on its own
    assert (targets[selection] == 7).all()
    apart = np.corrcoef(kinds[:, 0] == 0, kinds[:, 5] == 0)[0, 1]
    assert abs(apart) < 0.08


def test_boundaries_are_those_of_a_slow_reference() -> None:
    ids = stream(9).integers(5, 30, size=(60, 25))
    valid = np.arange(25)[None, :] < stream(10).integers(3, 26, size=60)[:, None]
    selection = (stream(11).random(ids.shape) < 0.5) & valid
    wanted = []
    for row in range(len(ids)):
        column = 0
        while column < 25:
            end = column
            while end < 25 and selection[row, end]:
                end += 1
            if end > column and column > 0 and end < 25 and valid[row, column - 1] and valid[row, end]:
                wanted += [(row * 25 + column - 1, row * 25 + end, k - column, ids[row, k]) for k in range(column, min(end, column + 4))]
            column = max(end, column + 1)
    got = boundaries(ids, selection, valid, longest=4)
    assert list(zip(got.left.tolist(), got.right.tolist(), got.offsets.tolist(), got.targets.tolist(), strict=True)) == wanted
    empty = boundaries(ids, np.zeros_like(selection), valid)
    assert len(empty.left) == len(empty.targets) == 0


TEXT = np.array([[10, 11, 12, 13, 14, 15]])
NOISE = runs([1, 1, 0, 0, 1, 0])
HERE = np.ones((1, 6), dtype=bool)
THOUSAND = np.zeros(1000, dtype=bool)
T5 = Vocabulary(None, 0, THOUSAND, ~THOUSAND, THOUSAND, np.arange(1000), sentinels=tuple(range(999, 899, -1)))


def test_sentinels_of_the_published_vector() -> None:
    assert sentinels(TEXT, NOISE, HERE, T5)[0].tolist() == [[999, 12, 13, 998, 15]]
    assert sentinels(TEXT, ~NOISE, HERE, T5)[0].tolist() == [[10, 11, 999, 14, 998]]


def test_dropped_and_collapsed() -> None:
    assert drop(TEXT, NOISE, HERE, pad_id=0)[0].tolist() == [[12, 13, 15]]
    ids = np.array([[4, 4, 12, 4, 14, 4, 4], [7, 4, 0, 0, 0, 0, 0]])
    valid = np.array([[1, 1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0, 0]], dtype=bool)
    collapsed, there = collapse(ids, valid, mask_id=4, pad_id=0)
    assert collapsed.tolist() == [[4, 12, 4, 14, 4], [7, 4, 0, 0, 0]]
    assert there.sum(axis=1).tolist() == [5, 2]
    large = np.array([[70_000, 70_000, 9]])  # compared by value: equal numbers of this size need not be one object
    assert collapse(large, np.ones((1, 3), bool), mask_id=int("70000"), pad_id=0)[0].tolist() == [[70_000, 9]]


def test_more_spans_than_sentinels_are_refused_with_what_helps() -> None:
    few = replace(T5, sentinels=(999,))
    with pytest.raises(SettingsError, match=r"2 spans.*1 sentinels.*longer spans"):
        sentinels(TEXT, NOISE, HERE, few)


@pytest.mark.parametrize(
    ("flags", "kept"),
    [
        ([1, 1, 0, 0, 1, 0], [1, 1, 0, 0, 1, 0]),
        ([0, 0, 1, 0, 0, 1], [0, 0, 1, 0, 0, 1]),
        ([0, 1, 0, 1, 0, 1], [0, 1, 0, 0, 0, 0]),
        ([0, 1, 0, 1, 0, 0], [0, 1, 0, 0, 0, 0]),
        ([1, 0, 1, 0, 1, 0], [1, 0, 1, 0, 0, 0]),
        ([0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]),
    ],
)
def test_spans_that_no_sentinel_is_left_for_stay_as_they_are(flags: list[int], kept: list[int]) -> None:
    assert (nameable(runs(flags), HERE, sentinels=2) == runs(kept)).all()
    for selection in (runs(kept), ~runs(kept)):
        sentinels(TEXT, selection, HERE, replace(T5, sentinels=(999, 998)))


def test_a_tokenizer_without_a_mask_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match="needs a tokenizer with a mask token"):
        replace_bert(TEXT, NOISE, stream(1), T5)
