"""BART's noises: what is kept, how much, where; infilling against a slow reference; any combination."""

from __future__ import annotations

from functools import partial
from itertools import chain, permutations
from math import ceil

import numpy as np
import pytest
from scipy.stats import chisquare, poisson

from petkit.objectives import TokenRows, delete_tokens, infill, mask_tokens, permute_sentences, rotate, stream
from petkit.objectives import noise as noises
from petkit.objectives.rows import flat_words
from tests.petkit.objectives.made import MASK, PAD, WORDS, Ints, calls, rows_of


def texts(lengths: list[int], *, sentence: int = 4, seed: int = 0) -> TokenRows:
    """Texts of these lengths, flush left, in sentences of about ``sentence`` tokens and words of one to three."""
    width = max(lengths)
    valid = np.arange(width)[None, :] < np.array(lengths)[:, None]
    draws = stream(seed).random((2, len(lengths), width))
    draws[:, :, 0] = 0
    ids = np.where(valid, stream(seed, "ids").choice(WORDS.ordinary, size=valid.shape), PAD)
    words, sentences = (np.cumsum(draw < share, axis=1) - 1 for draw, share in zip(draws, (0.6, 1 / sentence), strict=True))
    return TokenRows(ids, valid, words, sentences, valid)


def bags(rows: TokenRows) -> list[list[int]]:
    return [sorted(row[there].tolist()) for row, there in zip(rows.ids, noises.valid_of(rows), strict=True)]


ROWS = texts([0, 1, 2, 7, 30, 40])


@pytest.mark.parametrize("noise", [permute_sentences, rotate])
def test_orders_keep_the_tokens(noise: noises.Noise) -> None:
    for step in range(5):
        after = noise(ROWS, stream(1, step=step), WORDS)
        assert bags(after) == bags(ROWS)
        assert (noises.valid_of(after) == ROWS.valid).all()
        assert (after.ids[~noises.valid_of(after)] == PAD).all()
    assert not np.array_equal(after.ids, ROWS.ids)


def test_every_order_of_sentences_is_equally_likely_and_sentences_stay_whole() -> None:
    ids = np.tile(np.array([[10, 11, 12, 13, 14, 15]]), (6000, 1))
    sentences = np.tile(np.array([[0, 0, 0, 1, 2, 2]]), (6000, 1))
    rows = TokenRows(ids, np.ones(ids.shape, bool), ids, sentences)
    after = permute_sentences(rows, stream(2), WORDS)
    parts = ([10, 11, 12], [13], [14, 15])
    counts = {tuple(chain(*order)): 0 for order in permutations(parts)}
    for row in after.ids.tolist():
        counts[tuple(row)] += 1
    assert chisquare(list(counts.values())).pvalue > 1e-4
    assert after.words is not None
    assert (after.words == after.ids).all()  # what is known of a token goes with it


def test_sentences_that_an_earlier_noise_tore_or_filled_still_move_whole() -> None:
    ids = np.tile(np.array([[12, 13, MASK, 10, 11]]), (400, 1))
    rows = TokenRows(ids, ids != MASK, ids, np.tile(np.array([[1, 1, -1, 0, 0]]), (400, 1)), np.ones(ids.shape, bool))
    after = permute_sentences(rows, stream(2), WORDS)
    assert {tuple(row) for row in after.ids.tolist()} == {(12, 13, MASK, 10, 11), (10, 11, 12, 13, MASK)}


def test_rotation_starts_anywhere_and_keeps_the_circle() -> None:
    ids = np.tile(np.arange(10, 15), (5000, 1))
    after = rotate(TokenRows(ids, np.ones(ids.shape, bool)), stream(3), WORDS).ids
    assert chisquare(np.bincount(after[:, 0] - 10, minlength=5)).pvalue > 1e-4
    assert ((after - after[:, :1]) % 5 == np.arange(5)).all()


@pytest.mark.parametrize("rate", [0.0, 0.15, 0.3, 1.0])
def test_masking_and_deletion_take_the_ceiling(rate: float) -> None:
    counts = [ceil(rate * n - 1e-9) for n in (0, 1, 2, 7, 30, 40)]
    masked = mask_tokens(ROWS, stream(4), WORDS, rate=rate, random=0.0)
    assert (masked.ids == MASK).sum(axis=1).tolist() == counts
    assert (masked.maskable == (noises.valid_of(masked) & (masked.ids != MASK))).all()
    deleted = delete_tokens(ROWS, stream(5), WORDS, rate=rate)
    assert noises.valid_of(deleted).sum(axis=1).tolist() == [n - k for n, k in zip((0, 1, 2, 7, 30, 40), counts, strict=True)]
    for before, after in zip(ROWS.ids.tolist(), deleted.ids.tolist(), strict=True):
        rest = iter(before)
        assert all(token in rest for token in after if token != PAD)  # in the order of the text


def test_a_tenth_of_the_masks_are_ordinary_random_tokens() -> None:
    rows = TokenRows(np.full((300, 40), 9), np.ones((300, 40), bool))
    drawn = mask_tokens(rows, stream(6), WORDS, rate=1.0, random=0.1).ids.reshape(-1)
    assert chisquare([(drawn == MASK).sum(), (drawn != MASK).sum()], [0.9 * len(drawn), 0.1 * len(drawn)]).pvalue > 1e-4
    assert not WORDS.special[drawn[drawn != MASK]].any()


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.8, 1.0])
@pytest.mark.parametrize("mean", [0.7, 3.5])
def test_infilling_is_that_of_a_slow_reference(rate: float, mean: float) -> None:
    rows = texts([1, 3, 9, 30, 40, 40, 25], seed=1)
    for step in range(8):
        after = infill(rows, stream(7, step=step), WORDS, rate=rate, random=0.0, mean=mean)
        rng, words = stream(7, step=step), flat_words(rows)
        budget = noises.ceiling_budgets(np.diff(words.row_words), rate)
        lengths, empty = noises._span_lengths(budget, mean, rng)
        span = noises._spans_at(words, lengths, rng)
        assert (np.bincount(words.row, span, minlength=7) == budget).all()
        for row in range(7):
            kept = slow_infill(rows, row, span[words.row == row].tolist())
            got = after.ids[row][noises.valid_of(after)[row]].tolist()
            assert got.count(MASK) == kept.count(MASK) + empty[row]
            assert [token for token in got if token != MASK] == [token for token in kept if token != MASK]
            rest = iter(got)
            assert all(token in rest for token in kept)  # empty spans put masks in, anywhere, and change nothing else


def slow_infill(rows: TokenRows, row: int, spans: list[int]) -> list[int]:
    """fairseq's rule, word by word: a span's first token is the mask, unless an earlier span runs over it; the rest goes."""
    assert rows.words is not None
    mine = rows.maskable[row]
    tokens, word_of = rows.ids[row][mine].tolist(), rows.words[row][mine].tolist()
    order = list(dict.fromkeys(word_of))
    run_over = {word for i, length in enumerate(spans) for word in order[i + 1 : i + length]}
    kept: list[int] = []
    for i, word in enumerate(order):
        pieces = [token for token, w in zip(tokens, word_of, strict=True) if w == word]
        if word in run_over:
            continue
        kept += [MASK] if spans[i] else pieces
    return kept


def test_span_lengths_are_poisson_and_cut_to_fit() -> None:
    budget = np.full(3000, 60)
    lengths, empty = noises._span_lengths(budget, 3.5, stream(8))
    assert (lengths.sum(axis=1) == 60).all()
    first = lengths[:, :5].reshape(-1)  # 60 words: the first five are never cut
    chances = poisson(3.5).pmf(np.arange(1, 10)) / (1 - poisson(3.5).pmf(0))
    observed = np.bincount(np.minimum(first, 10), minlength=11)[1:]
    assert chisquare(observed, np.append(chances, 1 - chances.sum()) * len(first)).pvalue > 1e-4
    shares = empty.sum() / (empty.sum() + (lengths > 0).sum())
    assert shares == pytest.approx(float(poisson(3.5).pmf(0)), abs=0.003)


def test_empty_spans_are_put_in_at_any_place() -> None:
    rows = TokenRows(np.tile(np.array([[10, 11, 12]]), (4000, 1)), np.ones((4000, 3), bool))
    after = noises._insert(rows, np.ones(4000, np.int64), stream(9), WORDS, 0.0)
    assert chisquare((after.ids == MASK).sum(axis=0)).pvalue > 1e-4
    assert (after.ids[:, :].sum(axis=1) == 33 + MASK).all()


def test_no_infilling_and_all_of_it() -> None:
    none = infill(ROWS, stream(10), WORDS, rate=0.0)
    assert bags(none) == bags(ROWS)
    every = infill(ROWS, stream(10), WORDS, rate=1.0, random=0.0)
    words = flat_words(ROWS)
    assert (np.diff(words.row_words) > 0).tolist() == [False, True, True, True, True, True]
    assert noises.valid_of(every)[0].sum() == 0
    assert ((every.ids == MASK) & noises.valid_of(every)).any(axis=1).tolist() == [False, True, True, True, True, True]


def test_later_noises_leave_the_masks_of_earlier_ones() -> None:
    first = mask_tokens(ROWS, stream(11), WORDS, rate=0.3, random=0.0)
    masks: Ints = (first.ids == MASK).sum(axis=1)
    for later in (partial(delete_tokens, rate=1.0), permute_sentences, rotate):
        after = later(first, stream(12), WORDS)
        assert ((after.ids == MASK).sum(axis=1) == masks).all()


@pytest.mark.parametrize("noise", [mask_tokens, delete_tokens, permute_sentences, rotate, infill])
def test_longer_texts_take_no_more_calls(noise: noises.Noise) -> None:
    few, many = (max(calls(partial(noise, texts([n] * 8), stream(13, step=i), WORDS)) for i in range(3)) for n in (50, 400))
    assert many <= few + 6


def test_sentence_permutation_says_what_it_needs() -> None:
    with pytest.raises(ValueError, match="sentence ids"):
        permute_sentences(rows_of([[1, 2]]), stream(1), WORDS)
