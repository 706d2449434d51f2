"""Label scores in training: one pass, and gradients as transformers has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from petkit.batching import Batch, collate
from petkit.pvp import Pattern
from petkit.scoring import ScoringPlan, label_scores, plan, score_encoded, score_rows, token_log_probs
from tests.petkit.scoring_toys import MANY, PAD, VOCAB_OF_MODEL, NumberEncoder, pvp_of, some_rows, tiny


def training_batch(masks: int) -> Batch:
    encoder = NumberEncoder()
    encoded = encoder.clozes(some_rows(5), Pattern("{text} {mask}"), masks=masks, filler="+".join("7" * masks))
    return collate(encoded, range(5), pad_id=PAD)


def test_training_scores_are_one_parallel_pass_with_the_longest_words_masks() -> None:
    model, words = tiny(), plan(NumberEncoder(), pvp_of(**MANY), some_rows(3))
    batch = training_batch(words.masks)
    with torch.no_grad():
        found = label_scores(model, batch, words)
        logs = model.model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits.log_softmax(-1)
    assert (found.shape, found.dtype) == ((5, 4), torch.float32)
    for i in range(5):
        for label, of_label in enumerate(words.words):
            each = [sum(float(logs[i, batch.slots[i, j], token]) for j, token in enumerate(word)) for word in of_label]
            assert float(found[i, label]) == pytest.approx(np.mean(each), abs=2e-5)


def test_training_and_labelling_agree_where_nothing_is_filled() -> None:
    """All words of two tokens: the parallel order of labelling is the one pass of training."""
    model, pvp = tiny(), pvp_of(a="10+11", b=("12+13", "14+10"))
    words = plan(NumberEncoder(), pvp, some_rows(3))
    with torch.no_grad():
        trained = label_scores(model, training_batch(2), words).numpy()
    labelled = score_rows(model, NumberEncoder(), some_rows(5), pvp, token_budget=64, decoding="parallel")
    np.testing.assert_allclose(labelled, trained, atol=1e-5)


@pytest.mark.parametrize("words", [(((10,),), ((11,), (0,))), (((10, 11),), ((12,),))])
def test_gradients_flow_and_are_those_of_transformers(words: Any) -> None:
    model, of = tiny(), ScoringPlan(words)
    batch = training_batch(of.masks)
    label_scores(model, batch, of).square().sum().backward()
    ours = {key: value.grad.clone() for key, value in model.named_parameters() if value.grad is not None}
    model.zero_grad()
    logits = model.model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits[torch.arange(5)[:, None], batch.slots]
    if of.kind == "single":
        theirs = torch.stack([logits[:, 0, 10], (logits[:, 0, 11] + logits[:, 0, 0]) / 2], 1)
    else:
        logs = logits.log_softmax(-1)
        theirs = torch.stack([logs[:, 0, 10] + logs[:, 1, 11], logs[:, 0, 12]], 1)
    theirs.square().sum().backward()
    for key, value in model.named_parameters():
        if value.grad is not None:
            torch.testing.assert_close(ours[key], value.grad, atol=1e-3, rtol=1e-3, msg=lambda m, key=key: f"{key}: {m}")


def test_training_goes_on_after_labelling() -> None:
    """What labelling keeps for later must not come from inference mode, where autograd cannot use it."""
    model, encoder = tiny(), NumberEncoder()
    for pvp in (pvp_of(a="33", b="34"), pvp_of(a="33+35", b="34")):
        score_rows(model, encoder, some_rows(3), pvp, token_budget=64)
        words = plan(encoder, pvp, some_rows(3))
        encoded = encoder.clozes(some_rows(3), pvp.pattern, masks=words.masks, filler="+".join("7" * words.masks))
        score_encoded(model, encoded, words, pad_id=PAD, token_budget=64)
        label_scores(model, training_batch(words.masks), words).sum().backward()
        assert next(model.parameters()).grad is not None


def test_a_batch_with_another_number_of_slots_is_refused() -> None:
    with pytest.raises(ValueError, match="1 mask slots per row; the plan needs 2"):
        label_scores(tiny(), training_batch(1), ScoringPlan((((10, 11),), ((12,),))))


def test_log_probabilities_in_pieces_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model, ids = tiny(), torch.tensor([0, 9, 3])
    hidden = torch.randn(7, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = token_log_probs(model, hidden, ids)
        torch.testing.assert_close(whole, model.vocab_logits(hidden).log_softmax(1)[:, ids])
        monkeypatch.setattr("petkit.scoring._CHUNK", 2 * VOCAB_OF_MODEL)
        torch.testing.assert_close(token_log_probs(model, hidden, ids), whole)
