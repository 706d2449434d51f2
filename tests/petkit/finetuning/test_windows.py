"""Windows over long texts: the same as a tokenizer's own overflow, and everything is seen."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from petkit.encoding.tokenizing import plain_tokenizer
from petkit.finetuning.windows import encode_rows, framed, padded, seen_best, windows
from tests.builders import FAMILIES, sentences, tokenizer


@given(length=some.integers(0, 60), room=some.integers(1, 20), stride=some.integers(0, 19))
def test_windows_cover_everything_and_share_the_stride(length: int, room: int, stride: int) -> None:
    if stride >= room:
        with pytest.raises(ValueError, match="stride"):
            windows(length, room=room, stride=stride)
        return
    found = windows(length, room=room, stride=stride)
    assert {place for start, stop in found for place in range(start, stop)} == set(range(length))
    assert all(stop - start <= room for start, stop in found)
    assert all(before[1] - after[0] == stride for before, after in pairwise(found))


@pytest.mark.parametrize("family", list(FAMILIES))
@pytest.mark.parametrize("stride", [0, 3])
def test_rows_are_those_of_the_tokenizer(family: str, stride: int) -> None:
    words = tokenizer(FAMILIES[family][0])
    plain, texts = plain_tokenizer(words), list(sentences()[:6])
    theirs = words(texts, truncation=True, max_length=9, stride=stride, return_overflowing_tokens=True, return_token_type_ids=True)
    room = 9 - plain.frame.specials(1)
    ours = [
        framed(plain.frame, [ids[start:stop]]) for ids in plain.ids(texts) for start, stop in windows(len(ids), room=room, stride=stride)
    ]
    assert [row[0].tolist() for row in ours] == theirs["input_ids"]
    assert [row[1].tolist() for row in ours] == theirs["token_type_ids"]


def test_the_window_that_shows_most_is_found_by_counting() -> None:
    spans = windows(50, room=12, stride=5)
    best = seen_best(np.arange(50), spans)
    for place, chosen in enumerate(best):
        shown = [min(place - start, stop - 1 - place) if start <= place < stop else -1 for start, stop in spans]
        assert shown[chosen] == max(shown) >= 0
        assert chosen == shown.index(max(shown))


def test_labels_are_padded_beside_their_rows() -> None:
    labels = encode_rows([[1, -100], [2, 3, 4]])
    assert padded(labels, np.array([1, 0]), fill=-100).tolist() == [[2, 3, 4], [1, -100, -100]]


def test_no_rows_are_rows() -> None:
    assert len(encode_rows([])) == 0
    assert encode_rows([[], [5]]).lengths.tolist() == [0, 1]
