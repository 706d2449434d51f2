"""T5's noise: the counts, every composition equally likely, the published lengths."""

from __future__ import annotations

from functools import partial
from itertools import combinations, product

import numpy as np
import pytest
from scipy.stats import chisquare

from petkit.objectives import TokenRows, select_t5_spans, span_counts, stream, t5_lengths
from tests.petkit.objectives.made import calls


def whole(rows: int, tokens: int) -> TokenRows:
    return TokenRows(np.zeros((rows, tokens), np.int64), np.ones((rows, tokens), bool))


def compositions(total: int, parts: int) -> list[tuple[int, ...]]:
    """All ways to write a number as an ordered sum of positive ones."""
    cuts = combinations(range(1, total), parts - 1)
    return [tuple(b - a for a, b in zip((0, *cut), (*cut, total), strict=True)) for cut in cuts]


@pytest.mark.parametrize(("tokens", "rate", "mean"), [(7, 0.43, 1.5), (9, 0.5, 1.4), (6, 0.17, 3.0), (8, 0.4, 1.0)])
def test_every_way_to_cut_is_equally_likely(tokens: int, rate: float, mean: float) -> None:
    noise = round(tokens * rate)
    spans = max(1, round(noise / mean))
    patterns = {
        "".join("." * clean + "x" * noisy for clean, noisy in zip(*pair, strict=True)): 0
        for pair in product(compositions(tokens - noise, spans), compositions(noise, spans))
    }
    assert len(patterns) > 1 or spans == 1
    for row in select_t5_spans(whole(4000, tokens), stream(1), rate=rate, mean=mean):
        patterns["".join(".x"[int(flag)] for flag in row)] += 1  # KeyError: a pattern that cannot be
    assert len(patterns) == 1 or chisquare(list(patterns.values())).pvalue > 1e-4


def test_counts_are_the_rule_in_rows_of_any_length() -> None:
    lengths = list(range(200))
    maskable = np.arange(200)[None, :] < np.array(lengths)[:, None]
    for rate, mean in ((0.15, 3.0), (0.5, 1.0), (0.9, 3.0)):
        selection = select_t5_spans(TokenRows(np.zeros(maskable.shape, np.int64), maskable), stream(2), rate=rate, mean=mean)
        runs = (selection[:, 1:] & ~selection[:, :-1]).sum(axis=1) + selection[:, 0]
        for n in lengths:
            noise = min(max(round(n * rate), 1), n - 1) if n > 1 else 0
            assert selection[n].sum() == noise
            assert runs[n] == (min(max(round(noise / mean), 1), noise, n - noise) if n > 1 else 0)
            assert n < 2 or (not selection[n, 0] and selection[n, n - 1])  # starts clean, ends noisy


def test_published_lengths() -> None:
    assert t5_lengths(512) == (568, 114)
    assert t5_lengths(64, rate=0.2, mean=2.0) == (70, 22)
    for inputs in range(8, 200, 7):
        tokens, targets = t5_lengths(inputs)
        (noise,), (spans,) = span_counts(np.array([tokens]), rate=0.15, mean=3.0)
        assert tokens - noise + spans + 1 <= inputs
        assert targets == noise + spans + 1
        (noise,), (spans,) = span_counts(np.array([tokens + 1]), rate=0.15, mean=3.0)
        assert tokens + 1 - noise + spans + 1 > inputs
    for wrong in ({"inputs": 2}, {"inputs": 20, "rate": 1.0}):
        with pytest.raises(ValueError, match="at least 3 tokens"):
            t5_lengths(**wrong)  # type: ignore[arg-type]


def test_no_noise_all_noise_and_nothing_there() -> None:
    assert not select_t5_spans(whole(3, 20), stream(3), rate=0.0, mean=3.0).any()
    assert select_t5_spans(whole(3, 20), stream(3), rate=1.0, mean=3.0).sum(axis=1).tolist() == [19, 19, 19]
    assert not select_t5_spans(TokenRows(np.zeros((2, 5), np.int64), np.zeros((2, 5), bool)), stream(3), rate=0.15, mean=3.0).any()
    assert select_t5_spans(whole(0, 5), stream(3), rate=0.15, mean=3.0).shape == (0, 5)


def test_holes_are_passed_over() -> None:
    rows = whole(50, 40)
    rows.maskable[:, [0, 7, 8, 39]] = False
    selection = select_t5_spans(rows, stream(4), rate=0.3, mean=3.0)
    assert not (selection & ~rows.maskable).any()
    assert (selection.sum(axis=1) == round(36 * 0.3)).all()


def test_longer_rows_take_no_more_calls() -> None:
    few, many = (calls(partial(select_t5_spans, whole(8, n), stream(5), rate=0.15, mean=3.0)) for n in (64, 512))
    assert many <= few + 8
