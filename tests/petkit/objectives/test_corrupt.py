"""What stands at the selected places: 80 % masks, 10 % random ordinary tokens, 10 % as it was; targets only there."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare

from petkit.objectives import IGNORED, Vocabulary, replace_bert, stream

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
