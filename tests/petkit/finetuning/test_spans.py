"""The best spans, against looking at every span of every window."""

from __future__ import annotations

import numpy as np
import pytest

from petkit.finetuning.spans import Span, WindowScores, best_spans, null_score, window_spans
from petkit.finetuning.windows import windows

CONTEXT = "0123456789" * 4


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("longest", "n"), [(1, 3), (4, 1), (4, 10), (100, 20), (7, 10_000)])
def test_spans_of_a_window_are_the_best_of_all(seed: int, longest: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    starts, ends = rng.normal(size=(2, 17))
    every = [(starts[i] + ends[j], i, j) for i in range(17) for j in range(i, min(17, i + longest))]
    expected = sorted(every, key=lambda one: (-one[0], one[1], one[2]))[:n]
    found = window_spans(starts, ends, longest=longest, n=n)
    assert [one[1:] for one in found] == [one[1:] for one in expected]
    np.testing.assert_allclose([one[0] for one in found], [one[0] for one in expected])


@pytest.mark.parametrize("seed", range(4))
def test_spans_over_windows_are_the_best_of_all_each_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = windows(40, room=15, stride=6)
    given = [_window(start, stop, rng) for start, stop in parts]
    every: dict[tuple[int, int], float] = {}
    for window in given:
        for i in range(len(window.starts)):
            for j in range(i, min(len(window.starts), i + 5)):
                place = (int(window.begins[i]), int(window.stops[j]))
                every[place] = max(window.starts[i] + window.ends[j], every.get(place, -np.inf))
    expected = sorted(((score, *place) for place, score in every.items()), key=lambda one: (-one[0], one[1:]))[:8]
    assert best_spans(given, CONTEXT, longest=5, n=8) == [Span(*one) for one in expected]


def _window(start: int, stop: int, rng: np.random.Generator) -> WindowScores:
    places = np.arange(start, stop)
    starts, ends = rng.normal(size=(2, stop - start))
    return WindowScores(starts, ends, places, places + 1, float(rng.normal()))


def test_blanks_at_the_ends_are_no_part_of_an_answer() -> None:
    window = WindowScores(np.array([1.0, 5.0]), np.array([0.0, 5.0]), np.array([0, 3]), np.array([3, 8]), 0.0)
    assert best_spans([window], "old  red pen", longest=2, n=1) == [Span(10.0, 5, 8)]


def test_a_window_without_context_has_no_answer() -> None:
    nothing = np.zeros(0)
    assert best_spans([WindowScores(nothing, nothing, nothing, nothing, 1.0)], "", longest=3, n=3) == []


def test_every_window_must_say_that_there_is_no_answer() -> None:
    rng = np.random.default_rng(0)
    given = [_window(0, 5, rng)._replace(null=null) for null in (3.0, -1.0, 2.0)]
    assert null_score(given) == -1.0
