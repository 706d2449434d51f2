"""NSP's and SOP's pairs: where their texts come from, what the label says, how rows are laid out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chisquare

from petkit.errors import DataError, SettingsError
from petkit.objectives import Documents, Pairs, nsp_pairs, pair_rows, preset, sop_pairs, stream
from tests.petkit.objectives.made import BOS, EOS, PAD, WORDS


def documents(sentences: list[list[int]]) -> Documents:
    """Documents of sentences of these lengths; token ids are 1000 times the document plus the place in it."""
    lengths = [length for document in sentences for length in document]
    ids = [1000 * number + place for number, document in enumerate(sentences) for place in range(sum(document))]
    bounds = np.cumsum([0, *lengths])
    return Documents(np.array(ids), bounds, np.cumsum([0, *map(len, sentences)]))


def many(seed: int = 0) -> Documents:
    draw = stream(seed, "documents")
    return documents([draw.integers(1, 12, size=int(draw.integers(1, 30))).tolist() for _ in range(300)])


def text(docs: Documents, span: np.ndarray) -> list[int]:
    return docs.ids[span[0] : span[1]].tolist()


def test_half_of_the_pairs_follow_and_the_others_come_from_another_document() -> None:
    docs = documents([[3] * 40 for _ in range(60)])
    pairs = nsp_pairs(docs, stream(1), tokens=24, short=0.0)
    assert chisquare(np.bincount(pairs.labels)).pvalue > 1e-3
    for first, second, label in zip(pairs.first, pairs.second, pairs.labels, strict=True):
        a, b = text(docs, first), text(docs, second)
        if label == 0:
            assert b[0] == a[-1] + 1
            assert a[0] // 1000 == b[-1] // 1000
        else:
            assert a[0] // 1000 != b[0] // 1000
        assert len({token // 1000 for token in b}) == 1
        assert 24 <= len(a) + len(b) <= 27 or b[-1] % 1000 == 119 or a[-1] % 1000 == 119


def test_every_sentence_is_used_and_first_texts_do_not_overlap() -> None:
    docs = many()
    pairs = nsp_pairs(docs, stream(2), tokens=30)
    used = np.zeros(len(docs.ids), dtype=np.int64)
    for first, second, label in zip(pairs.first, pairs.second, pairs.labels, strict=True):
        used[slice(*first)] += 1
        if label == 0:
            used[slice(*second)] += 1
    assert (used == 1).all()  # what a random pair did not use is used again
    assert set(pairs.first.reshape(-1).tolist()) <= set(docs.sentences.tolist())


def test_a_tenth_of_the_chunks_is_short() -> None:
    docs = documents([[1] * 4000, [1] * 10])
    for short, share in ((0.0, 0.0), (0.1, 0.1 * 26 / 29)):  # lengths 2 to 30, of which 28 to 30 do not count as short here
        pairs = sop_pairs(docs, stream(3), tokens=30, short=short)
        sizes = (pairs.first[:, 1] - pairs.first[:, 0]) + (pairs.second[:, 1] - pairs.second[:, 0])
        assert (sizes < 28).mean() == pytest.approx(share, abs=0.06)


def test_sop_swaps_half_and_never_leaves_the_document() -> None:
    docs = documents([[2] * 30 for _ in range(100)])
    pairs = sop_pairs(docs, stream(4), tokens=20, short=0.0)
    assert chisquare(np.bincount(pairs.labels)).pvalue > 1e-3
    for first, second, label in zip(pairs.first, pairs.second, pairs.labels, strict=True):
        earlier, later = (first, second) if label == 0 else (second, first)
        assert earlier[1] == later[0]
        assert text(docs, first)[0] // 1000 == text(docs, second)[0] // 1000


def test_single_sentences_make_no_sop_pair_and_are_counted() -> None:
    docs = documents([[40], [5, 50], [3, 3]])
    pairs = sop_pairs(docs, stream(5), tokens=30, short=0.0)
    assert (len(pairs.labels), pairs.left_out) == (2, 1)
    nsp = nsp_pairs(docs, stream(5), tokens=30, short=0.0)
    single = nsp.first.tolist().index([0, 40])
    assert nsp.labels[single] == 1  # one sentence cannot be parted: a random text follows
    assert nsp.unparted >= 1
    assert (pairs.unparted, nsp.left_out) == (0, 0)


def test_pairs_that_no_draw_makes_of_one_document_are_counted() -> None:
    alone = nsp_pairs(documents([[4]] * 50), stream(6), tokens=20)
    assert (alone.unparted, alone.labels.tolist()) == (50, [1] * 50)
    assert nsp_pairs(documents([[4, 4]] * 50), stream(6), tokens=4, short=0.0).unparted == 100  # rows too short for two
    two = nsp_pairs(documents([[2, 2]] * 300), stream(6), tokens=20, short=0.0)
    assert two.unparted == len(two.labels) - 300  # what is left of those that were torn apart
    assert two.labels.mean() == pytest.approx(2 / 3, abs=0.05)
    assert nsp_pairs(documents([[3] * 40 for _ in range(60)]), stream(1), tokens=24).unparted < 0.2 * 60 * 40 * 3 / 24


def test_nsp_needs_two_documents() -> None:
    with pytest.raises(DataError, match="two documents"):
        nsp_pairs(documents([[3, 3, 3], []]), stream(6), tokens=20)
    assert len(sop_pairs(documents([]), stream(6), tokens=20).labels) == 0


def test_rows_by_hand() -> None:
    docs = Documents(np.arange(10, 30), np.array([0, 3, 7, 20]), np.array([0, 3]))
    pairs = Pairs(np.array([[0, 3], [3, 7]]), np.array([[3, 7], [0, 3]]), np.array([0, 1]))
    rows = pair_rows(docs, pairs, np.array([1, 0]), stream(7), WORDS, length=12)
    assert rows.ids.tolist() == [
        [BOS, 13, 14, 15, 16, EOS, 10, 11, 12, EOS, PAD, PAD],
        [BOS, 10, 11, 12, EOS, 13, 14, 15, 16, EOS, PAD, PAD],
    ]
    assert rows.types.tolist() == [[0] * 6 + [1] * 4 + [0] * 2, [0] * 5 + [1] * 5 + [0] * 2]
    assert rows.valid.sum(axis=1).tolist() == [10, 10]
    assert rows.labels.tolist() == [1, 0]


@pytest.mark.parametrize(("first", "second", "room"), [(10, 2, 8), (2, 10, 8), (10, 10, 9), (9, 4, 9), (3, 3, 9), (20, 7, 13)])
def test_the_longer_text_is_shortened_as_in_the_reference(first: int, second: int, room: int) -> None:
    a, b = first, second
    while a + b > room:
        if a > b:
            a -= 1
        else:
            b -= 1
    docs = Documents(np.arange(10, 60), np.array([0, first, first + second]), np.array([0, 2]))
    pairs = Pairs(np.array([[0, first]] * 400), np.array([[first, first + second]] * 400), np.zeros(400, np.int64))
    rows = pair_rows(docs, pairs, np.arange(400), stream(8), WORDS, length=room + 3)
    ends = [np.flatnonzero(row == EOS).tolist() for row in rows.ids]
    assert ends == [[a + 1, a + b + 2]] * 400
    starts = rows.ids[:, 1] - 10
    counts = np.bincount(starts, minlength=first - a + 1)  # front or end, by chance
    assert len(counts) == first - a + 1
    assert first == a or chisquare(counts, binomial(first - a) * 400).pvalue > 1e-4
    assert (np.diff(rows.ids[:, 1 : a + 1]) == 1).all()


def binomial(count: int) -> np.ndarray:
    chances = np.ones(1)
    for _ in range(count):
        chances = np.convolve(chances, [0.5, 0.5])
    return chances


@pytest.mark.parametrize("name", ["nsp", "sop"])
def test_pair_batches_mask_texts_only_and_keep_the_labels(name: str) -> None:
    docs, row = many(1), preset(name)
    docs = replace(docs, ids=WORDS.ordinary[docs.ids % len(WORDS.ordinary)])
    pairs = row.build(docs, stream(9), tokens=29, short=row.short)
    rows = pair_rows(docs, pairs, np.arange(64), stream(10), WORDS, length=32)
    batch = row.batch(rows, WORDS, stream(11))
    assert (batch.labels == pairs.labels[:64]).all()
    assert not WORDS.special[rows.ids.reshape(-1)[batch.masked.positions]].any()
    assert (batch.masked.targets == rows.ids.reshape(-1)[batch.masked.positions]).all()
    assert len(batch.masked.positions) / (~WORDS.special[rows.ids]).sum() == pytest.approx(0.15, abs=0.03)


def test_pairs_need_a_tokenizer_with_separators() -> None:
    docs = documents([[2, 2], [2, 2]])
    pairs = sop_pairs(docs, stream(12), tokens=10, short=0.0)
    with pytest.raises(SettingsError, match="sep token"):
        pair_rows(docs, pairs, np.array([0]), stream(1), replace(WORDS, sep_id=None), length=12)
