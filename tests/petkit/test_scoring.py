"""Label scores by hand, the original's defects, and how scoring is run."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from petkit.batching import Batch
from petkit.errors import SettingsError
from petkit.pvp import PVP
from petkit.scoring import ScoringPlan, label_scores, score_rows, word_scores
from tests.petkit.scoring_toys import CLS, MASK, SEP, VOCAB, NumberEncoder, TableLM, pvp_of, rows_of, some_rows, tiny


def by_table(table: Any, pvp: PVP, **options: Any) -> np.ndarray:
    """Scores of one row under a table."""
    encoder: Any = NumberEncoder()
    model: Any = TableLM(table)
    return score_rows(model, encoder, rows_of("8 9"), pvp, token_budget=100, **options)


def test_one_token_words_are_scored_by_their_logits() -> None:
    scores = by_table({(None,): [{10: 0.5, 11: 0.125}]}, pvp_of(n="10", p="11"))
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, [[math.log(0.5) + 5, math.log(0.125) + 5]], atol=1e-5)
    np.testing.assert_allclose(np.exp(scores) / np.exp(scores).sum(), [[0.8, 0.2]], atol=1e-5)


def test_several_words_of_a_label_are_averaged_as_logits_not_as_probabilities() -> None:
    scores = by_table({(None,): [{10: 0.5, 11: 0.01, 12: 0.2}]}, pvp_of(n=("10", "11"), p="12"))
    np.testing.assert_allclose(scores, [[(math.log(0.5) + math.log(0.01)) / 2 + 5, math.log(0.2) + 5]], atol=1e-5)


ORDER = {
    (None, None): [{10: 0.2}, {11: 0.5}],
    (None, 11): [{10: 0.9}, {}],
    (10, None): [{}, {11: 0.1}],
    (None,): [{12: 0.3}],
}
"""The word 10+11: surest first 0.5 * 0.9, from the left 0.2 * 0.1, at once 0.2 * 0.5."""


@pytest.mark.parametrize(("decoding", "wanted"), [("max-first", 0.45), ("left-to-right", 0.02), ("parallel", 0.1)])
def test_the_order_of_filling_is_as_asked(decoding: Any, wanted: float) -> None:
    scores = by_table(ORDER, pvp_of(n="10+11", p="12"), decoding=decoding)
    np.testing.assert_allclose(np.exp(scores), [[wanted, 0.3]], rtol=1e-5)


def test_max_first_is_the_default() -> None:
    np.testing.assert_allclose(np.exp(by_table(ORDER, pvp_of(n="10+11", p="12"))), [[0.45, 0.3]], rtol=1e-5)


THREE = {
    (None, None, None): [{10: 0.1}, {11: 0.6, 13: 0.05}, {12: 0.3}],
    (None, 11, None): [{10: 0.5}, {}, {12: 0.2}],
    (10, 11, None): [{}, {}, {12: 0.8}],
    (None, None, 12): [{10: 0.4}, {13: 0.1}, {}],
    (10, None, 12): [{}, {13: 0.7}, {}],
    (None,): [{14: 0.25}],
}


def test_three_tokens_and_words_that_part_after_the_first_pass() -> None:
    """10+11+12: middle, left, right. 10+13+12 in the same first pass: right, left, middle. Their label averages log q~."""
    scores = by_table(THREE, pvp_of(a=("10+11+12", "10+13+12"), b="14"))
    wanted = [(math.log(0.6 * 0.5 * 0.8) + math.log(0.3 * 0.4 * 0.7)) / 2, math.log(0.25)]
    np.testing.assert_allclose(scores, [wanted], atol=1e-5)


def test_a_slot_that_is_filled_is_never_chosen_again() -> None:
    """After the fill the model is surer of the filled token than of anything else; it must not count twice."""
    sure = {(None, None): [{10: 0.2}, {11: 0.5}], (None, 11): [{10: 0.3}, {11: 0.99}], (None,): [{12: 0.3}]}
    np.testing.assert_allclose(np.exp(by_table(sure, pvp_of(n="10+11", p="12"))), [[0.15, 0.3]], rtol=1e-5)


def test_training_scores_by_hand() -> None:
    """One pass with the longest word's masks; a shorter word uses its first slots. The scores do not sum to one."""
    model: Any = TableLM({(None, None): [{10: 0.2, 12: 0.3}, {11: 0.5, 12: 0.4}]})
    batch = Batch(torch.tensor([[CLS, MASK, MASK, SEP]]), torch.ones(1, 4).long(), torch.zeros(1, 4).long(), torch.tensor([[1, 2]]))
    scores = label_scores(model, batch, ScoringPlan(words=(((10, 11),), ((12,), (10,)))))
    torch.testing.assert_close(scores, torch.tensor([[math.log(0.2 * 0.5), (math.log(0.3) + math.log(0.2)) / 2]]))


def test_word_scores_by_hand() -> None:
    logits = torch.tensor([[1.0, 2.0, 4.0, 8.0], [0.0, -1.0, -3.0, 5.0]], dtype=torch.float16)
    found = word_scores(logits, torch.tensor([1, 0, 0, 2]), 3)
    assert found.dtype == torch.float32
    assert found.tolist() == [[3.0, 1.0, 8.0], [-2.0, 0.0, 5.0]]


def test_token_id_zero_is_a_word_like_any_other() -> None:
    """The original tests `m2c > 0` and drops the token 0 (pvp.py:212-230)."""
    scores = by_table({(None,): [{0: 0.5, 11: 0.125}]}, pvp_of(n="0", p="11"))
    np.testing.assert_allclose(scores, [[math.log(0.5) + 5, math.log(0.125) + 5]], atol=1e-5)
    scores = by_table({(None, None): [{0: 0.2}, {0: 0.5}], (None, 0): [{0: 0.9}, {}], (None,): [{11: 0.3}]}, pvp_of(n="0+0", p="11"))
    np.testing.assert_allclose(np.exp(scores), [[0.45, 0.3]], rtol=1e-5)
    assert ScoringPlan(words=(((0,),), ((5, 0),))).tokens == (0, 5)


class _Sure(TableLM):
    """A model so sure of token 20 that every other probability underflows to 0."""

    def __init__(self) -> None:
        super().__init__({})

    def slot_hidden(self, batch: Batch) -> Tensor:
        return torch.zeros(*batch.slots.shape, 1)

    def vocab_logits(self, hidden: Tensor) -> Tensor:
        logits = torch.zeros(len(hidden), VOCAB)
        logits[:, 20] = 400.0
        return logits


@pytest.mark.parametrize("decoding", ["max-first", "left-to-right", "parallel"])
def test_probability_zero_is_a_finite_score(decoding: Any) -> None:
    """In the original `math.log(0.0)` raises a math domain error (task_helpers.py)."""
    model, encoder = _Sure(), NumberEncoder()
    assert torch.softmax(model.vocab_logits(torch.zeros(1, 1)), 1)[0, 10] == 0
    scores = score_rows(model, encoder, rows_of("8 9"), pvp_of(n="10+11", p="20+10", z="10"), token_budget=99, decoding=decoding)
    np.testing.assert_allclose(scores, [[-800.0, -400.0, -400.0]])


def test_many_rows_share_a_pass() -> None:
    """The original asserts a batch of one for words of several tokens."""
    model, encoder = TableLM(ORDER), NumberEncoder()
    counts: list[int] = []
    rows = rows_of(*["8 9"] * 7)
    scores = score_rows(model, encoder, rows, pvp_of(n="10+11", p="12"), token_budget=10_000, on_batch=counts.append)
    np.testing.assert_allclose(np.exp(scores), [[0.45, 0.3]] * 7, rtol=1e-5)
    assert model.passes == counts == [7, 7, 7], "one for one mask, two for two"
    assert encoder.asked == [1, 2]


def test_words_with_the_same_tokens_filled_in_share_a_pass() -> None:
    same = {(None, None): [{10: 0.2}, {11: 0.4, 12: 0.5}], (None, 11): [{10: 0.9}, {}], (None, 12): [{10: 0.1, 13: 0.7}, {}]}
    model, encoder = TableLM(same), NumberEncoder()
    scores = score_rows(model, encoder, rows_of("8", "9"), pvp_of(a="10+11", b="10+12", c="13+12"), token_budget=10_000)
    np.testing.assert_allclose(np.exp(scores), [[0.36, 0.05, 0.35]] * 2, rtol=1e-5)
    assert model.passes == [2, 4], "two rows, then two states of each, not three"


@pytest.mark.parametrize("words", [{"a": "10", "b": "11"}, {"a": "10+12", "b": "11"}])
@pytest.mark.parametrize("training", [True, False])
def test_the_models_mode_is_restored_and_dropout_is_off_while_scoring(words: dict[str, str], training: bool) -> None:
    model, rows = tiny(), some_rows(4)
    wanted = score_rows(model.eval(), NumberEncoder(), rows, pvp_of(**words), token_budget=64)
    model.train(training)
    found = score_rows(model, NumberEncoder(), rows, pvp_of(**words), token_budget=64)
    assert model.training is model.model.training is training
    np.testing.assert_array_equal(found, wanted)


def test_the_mode_is_restored_after_an_error() -> None:
    model = tiny()
    model.train()

    def stop(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_rows(model, NumberEncoder(), some_rows(3), pvp_of(a="10", b="11"), token_budget=64, on_batch=stop)
    assert model.training
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("words", [{"a": "10", "b": "11"}, {"a": "10+12", "b": "11"}])
def test_autocast_gives_float32_scores_close_to_the_exact_ones(words: dict[str, str]) -> None:
    model, rows = tiny(), some_rows(4)
    exact = score_rows(model, NumberEncoder(), rows, pvp_of(**words), token_budget=64)
    rough = score_rows(model, NumberEncoder(), rows, pvp_of(**words), token_budget=64, autocast=torch.bfloat16)
    assert rough.dtype == np.float32
    assert 0 < np.abs(rough - exact).max() < 0.5


def test_no_rows_give_no_scores() -> None:
    assert score_rows(tiny(), NumberEncoder(), rows_of(), pvp_of(a="10", b="11"), token_budget=9).shape == (0, 2)


def test_an_unknown_order_is_refused_with_the_legal_ones() -> None:
    with pytest.raises(SettingsError, match=r"'random'; legal are max-first, left-to-right, parallel"):
        by_table(ORDER, pvp_of(n="10+11", p="12"), decoding="random")
