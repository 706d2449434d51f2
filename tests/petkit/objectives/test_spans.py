"""N-grams and SpanBERT's spans are those of the loops that define them, token for token, on the same draws."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare, geom

from petkit.objectives import Lengths, TokenRows, geometric, reciprocal, select_ngrams, select_spans, stream
from petkit.objectives.rows import flat_words
from petkit.objectives.spans import draw_lengths
from tests.petkit.objectives.made import Bools, calls, rows_of

SIZES = st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=14), min_size=1, max_size=4)
RATES = st.sampled_from([0.0, 0.15, 0.5, 0.9, 1.0])


def holes_of(sizes: list[list[int]], seed: int) -> list[list[int]]:
    """A place or two in some rows that may not be selected, as a separator between texts."""
    return [stream(seed, "hole", row).choice(sum(counts), size=row % 3 % (sum(counts) + 1)).tolist() for row, counts in enumerate(sizes)]


def words_of_row(rows: TokenRows, row: int) -> list[list[int]]:
    """The words of a row as lists of columns, an empty one where a run of words breaks off."""
    assert rows.words is not None
    found: list[list[int]] = []
    for column in np.flatnonzero(rows.maskable[row]).tolist():
        follows = found and found[-1] and found[-1][-1] == column - 1
        if found and not follows:
            found.append([])
        if follows and rows.words[row, column] == rows.words[row, column - 1]:
            found[-1].append(column)
        else:
            found.append([column])
    return found


@given(sizes=SIZES, rate=RATES, seed=st.integers(0, 200))
@settings(max_examples=80, deadline=None)
def test_spans_are_those_of_the_loop(sizes: list[list[int]], rate: float, seed: int) -> None:
    rows = rows_of(sizes, holes=holes_of(sizes, seed))
    got = select_spans(rows, stream(seed), rate=rate, lengths=geometric(5))
    rng, flat = stream(seed), flat_words(rows)
    keys, lengths = rng.random(len(flat.places)), draw_lengths(geometric(5), len(flat.row), rng) if len(flat.row) else []
    for row in range(len(sizes)):
        n = int(rows.maskable[row].sum())
        mine = keys[flat.places // rows.ids.shape[1] == row].tolist()
        wanted = _spans_by_token(
            rows, row, mine, [int(x) for x, r in zip(lengths, flat.row, strict=True) if r == row], math.ceil(rate * n - 1e-9)
        )
        assert set(np.flatnonzero(got[row]).tolist()) == wanted


def _spans_by_token(rows: TokenRows, row: int, keys: list[float], lengths: list[int], budget: int) -> set[int]:
    words = words_of_row(rows, row)
    number = [i for i, word in enumerate(words) if word]
    columns = [column for word in words for column in word]
    where = {column: i for i, word in enumerate(words) for column in word}
    span_length = dict(zip(number, lengths, strict=True))
    selected: set[int] = set()
    for _, anchor in sorted(zip(keys, columns, strict=True)):
        if anchor in selected:
            continue
        for word in words[where[anchor] : where[anchor] + span_length[where[anchor]]]:
            if not word:  # the run is over
                break
            for column in word:
                if len(selected) < budget:
                    selected.add(column)
    return selected


@given(sizes=SIZES, rate=RATES, seed=st.integers(0, 200), longest=st.integers(1, 4))
@settings(max_examples=90, deadline=None)
def test_ngrams_are_those_of_the_loop(sizes: list[list[int]], rate: float, seed: int, longest: int) -> None:
    rows = rows_of(sizes, holes=holes_of(sizes, seed))
    got = select_ngrams(rows, stream(seed), rate=rate, lengths=reciprocal(longest))
    rng, flat = stream(seed), flat_words(rows)
    keys = rng.random(len(flat.row))
    grams = draw_lengths(reciprocal(longest), len(keys), rng) if len(keys) else keys
    for row in range(len(sizes)):
        mine = flat.row == row
        wanted = _ngrams_by_loop(words_of_row(rows, row), keys[mine].tolist(), [int(n) for n in grams[mine]], rate)
        assert set(np.flatnonzero(got[row]).tolist()) == wanted


def _ngrams_by_loop(words: list[list[int]], keys: list[float], grams: list[int], rate: float) -> set[int]:
    """ALBERT's loop: starts in random order; shrink to fit; leave out what overlaps. Then single words, if some are still missing."""
    real = [i for i, word in enumerate(words) if word]
    n = sum(len(words[i]) for i in real)
    budget = max(1, math.floor(rate * n + 0.5)) if n and rate > 0 else 0
    budget = max(budget, min(len(words[i]) for i in real)) if budget else 0
    selected: set[int] = set()
    order = sorted(zip(keys, real, grams, strict=True))
    for start, gram in [(i, g) for _, i, g in order] + [(i, 1) for _, i, _ in order]:
        end = start
        while end < len(words) and words[end] and end < start + gram:
            end += 1
        while end > start and sum(map(len, words[start:end])) > budget - len(selected):
            end -= 1
        columns = {column for word in words[start:end] for column in word}
        if not columns & selected:
            selected |= columns
    return selected


@pytest.mark.parametrize(("lengths", "count"), [(geometric(10), 3.797), (reciprocal(3), 18 / 11)])
def test_lengths_are_drawn_by_their_law(lengths: np.ndarray, count: float) -> None:
    drawn = draw_lengths(lengths, 40_000, stream(1))
    assert chisquare(np.bincount(drawn, minlength=len(lengths) + 1)[1:], lengths * 40_000).pvalue > 1e-4
    assert float(lengths @ np.arange(1, len(lengths) + 1)) == pytest.approx(count, abs=1e-3)


def test_laws_are_those_of_scipy_and_of_the_papers() -> None:
    np.testing.assert_allclose(geometric(10), geom(0.2).pmf(np.arange(1, 11)) / geom(0.2).cdf(10))
    np.testing.assert_allclose(reciprocal(3), [6 / 11, 3 / 11, 2 / 11])
    assert str(Lengths("geometric", 10)) == "geometric(0.2), 1 to 10"
    np.testing.assert_array_equal(Lengths("reciprocal", 4).chances(), reciprocal(4))
    np.testing.assert_array_equal(Lengths("geometric", 4, 0.5).chances(), geometric(4, 0.5))


def test_spans_take_exactly_the_ceiling_of_every_row() -> None:
    sizes = [[1] * n for n in range(1, 120)]
    got = select_spans(rows_of(sizes), stream(2), rate=0.15, lengths=geometric(10)).sum(axis=1)
    assert got.tolist() == [-(-15 * n // 100) for n in range(1, 120)]


def test_span_starts_and_lengths_by_chi_square() -> None:
    """With a budget of one long span, what is selected is one run, of the drawn length unless the row ends."""
    rows = TokenRows(np.zeros((6000, 40), np.int64), np.ones((6000, 40), bool), np.tile(np.arange(40), (6000, 1)))
    got = select_spans(rows, stream(3), rate=0.025, lengths=geometric(10))  # one token: the first of the first span
    assert (got.sum(axis=1) == 1).all()
    assert chisquare(got.sum(axis=0)).pvalue > 1e-4
    pairs = select_ngrams(rows, stream(4), rate=3 / 40, lengths=reciprocal(3))
    runs = (pairs[:, 1:] & ~pairs[:, :-1]).sum(axis=1) + pairs[:, 0]
    assert (pairs.sum(axis=1) == 3).all()
    assert 0.1 < (runs == 1).mean() < 0.4  # a trigram at once has probability 2/11; two n-grams may touch


def test_a_span_breaks_words_at_most_once_in_a_row() -> None:
    rows = rows_of([[2, 3, 1, 2] * 12] * 50)
    assert rows.words is not None
    got = select_spans(rows, stream(5), rate=0.3, lengths=geometric(10))
    for words, chosen in zip(rows.words, got, strict=True):
        broken = [word for word in set(words[chosen].tolist()) if not chosen[words == word].all()]
        assert len(broken) <= 1


SELECTORS = [
    pytest.param(partial(select_spans, lengths=geometric(10)), id="spans"),
    pytest.param(partial(select_ngrams, lengths=reciprocal(3)), id="ngrams"),
    pytest.param(partial(select_ngrams, lengths=geometric(10)), id="ngrams-geometric"),
]


@pytest.mark.parametrize("select", SELECTORS)
def test_all_none_nothing_and_no_rows(select: Callable[..., Bools]) -> None:
    rows = rows_of([[1, 2, 1], [3], [1] * 30], holes=[[1], [], [7, 8, 20]])
    assert (select(rows, stream(6), rate=1.0) == rows.maskable).all()
    assert not select(rows, stream(6), rate=0.0).any()
    nothing = TokenRows(rows.ids, np.zeros_like(rows.maskable), rows.words)
    assert not select(nothing, stream(6), rate=0.15).any()
    assert select(TokenRows(*(np.zeros((0, 4), kind) for kind in (np.int64, bool, np.int64))), stream(6), rate=0.15).shape == (0, 4)
    with pytest.raises(ValueError, match="word ids"):
        select(TokenRows(rows.ids, rows.maskable), stream(6), rate=0.15)


@pytest.mark.parametrize("select", SELECTORS)
def test_longer_rows_and_more_rows_take_no_more_calls(select: Callable[..., Bools]) -> None:
    short, long, many = (rows_of([[1, 2, 1, 1, 3] * n] * rows) for n, rows in ((12, 8), (96, 8), (12, 64)))
    least, *more = (max(calls(partial(select, rows, stream(7, step=i), rate=0.15)) for i in range(6)) for rows in (short, long, many))
    assert least > 20
    assert max(more) < 1.7 * least  # 8 times the tokens: rounds go by sizes and chains of neighbours
