"""What choosing by development rows would have gained: by hand, against scipy, in words, and on the pages."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import jsonschema
import numpy as np
import pytest
from scipy import stats

from petkit.evaluation.development import choice
from petkit.evaluation.sentences import CHOICES, choice_sentence
from petkit.report import study as study_pages
from petkit.report.study_markdown import study_markdown
from tests.petkit.report.sample_study import sample_study

Sets = list[list[list[tuple[float, float]]]]

TWO_BY_TWO: Sets = [
    [[(0.5, 0.6), (1.0, 0.8)], [(1.0, 0.7), (0.5, 0.7)]],
    [[(0.5, 0.5), (0.5, 0.9)], [(0.2, 0.4), (0.9, 0.3)]],
]
"""Two splits with two seeds each. Gains by hand: 0.1 and 0 in the first, 0 (a tie) and -0.05 in the second."""


def test_splits_and_seeds_are_counted_apart() -> None:
    found = choice(TWO_BY_TWO)
    assert (found["splits"], found["candidates"]) == (2, 2)
    assert found["gain"] == pytest.approx((0.05 - 0.025) / 2)
    assert found["mean"] == pytest.approx((0.7 + 0.7 + 0.7 + 0.35) / 4)
    assert found["best"] == pytest.approx((0.8 + 0.7 + 0.9 + 0.4) / 4)


def test_the_interval_is_students_over_splits() -> None:
    expected = stats.ttest_1samp([0.05, -0.025], 0).confidence_interval(0.9)
    assert choice(TWO_BY_TWO, level=0.9)["interval"] == pytest.approx(list(expected))


def test_without_spread_there_is_no_interval() -> None:
    always: Sets = [[[(0.5, 0.6), (1.0, 0.8)]]] * 3
    assert choice(always)["interval"] is None
    assert choice(always[:1])["interval"] is None
    nothing = choice([[[(0.5, 0.7), (1.0, 0.7)]]] * 3)
    assert nothing["interval"] is None
    assert "95 %" not in choice_sentence({**told(), **nothing}, level=0.95, draw="per-class")


def told(**changes: Any) -> dict[str, Any]:
    found = {"task": "tone", "shots": 4, "method": "tfidf", "what": "seed", "seeds": 2, "candidates": 2, "splits": 5}
    return {**found, "mean": 0.7, "chosen": 0.712, "best": 0.734, "gain": 0.012, "interval": [-0.003, 0.027], **changes}


def test_a_choice_in_words() -> None:
    assert choice_sentence(told(), level=0.95, draw="per-class") == (
        "tone, 4 per label, TF-IDF + logistic regression: choosing the seed by development rows gains 1.2 points over not choosing, "
        "95 % interval -0.3 to 2.7, mean of 5 splits; the best seed in hindsight gains 3.4 points."
    )
    pattern = told(what="pattern", method="pet", shots=None, splits=2, gain=-0.02, interval=None)
    assert choice_sentence(pattern, level=0.95, draw="per-class") == (
        "tone, as given, PET: choosing the pattern by development rows loses 2.0 points over not choosing, "
        "as much on each of 2 splits with 2 seeds each; the best pattern in hindsight gains 3.4 points."
    )
    nothing = choice_sentence(told(gain=0.0, interval=None), level=0.95, draw="per-class")
    assert "by development rows gains nothing over not choosing, on any of 5 splits; the best" in nothing
    by_chance = choice_sentence(told(), level=0.95, draw="random")
    assert by_chance.startswith("tone, 4 per label on average, TF-IDF + logistic regression: choosing")
    one = choice_sentence(told(splits=1, gain=0.0, interval=None, best=0.7), level=0.95, draw="per-class")
    assert "gains nothing over not choosing, on the only split" in one
    assert one.endswith("in hindsight gains nothing.")


@pytest.mark.parametrize("older", [False, True])
def test_each_choice_is_a_line_of_its_own(older: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_pages, "can_draw", lambda: False)
    lines = [choice_sentence(told(what=what), level=0.95, draw="per-class") for what in ("seed", "pattern")]
    report = sample_study(tasks=("mood",), shots=(4,), methods=("pet", "tfidf"))
    choices = [told(what=what) | ({} if older else {"sentence": line}) for what, line in zip(("seed", "pattern"), lines, strict=True)]
    report["gain_from_development"] = {"choices": choices, "sentence": CHOICES}
    schema = json.loads(resources.files("petkit.report").joinpath("schema", "study.schema.json").read_text("utf-8"))
    jsonschema.validate(report, schema)
    page, text = study_pages.study_page(report), study_markdown(report)
    assert CHOICES in page
    assert CHOICES in text
    assert [f"<li>{line}</li>" in page for line in lines] == [not older] * 2
    assert [f"- {line}" in text.splitlines() for line in lines] == [not older] * 2


def test_the_gain_of_many_splits_without_any_is_near_nothing() -> None:
    """Convergence: development accuracies that say nothing of the test gain nothing."""
    rng = np.random.default_rng(0)
    sets: Sets = [[[(float(rng.random()), float(rng.random())) for _ in range(3)]] for _ in range(2000)]
    found = choice(sets)
    low, high = found["interval"]
    assert low < 0 < high
    assert found["gain"] == pytest.approx(0, abs=0.03)
