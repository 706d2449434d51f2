"""What is compared for speed does the same work: with dropout off, the naive way and ours agree."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from petkit.backbones import MaskedLM
from petkit.batching import collate
from petkit.encoding import Encoder
from petkit.losses import label_loss, mix_losses
from petkit.members import corrupt, joint_pass
from petkit.objectives import Vocabulary, objective, stream
from petkit.pvp import PVP, Task
from petkit.rows import Rows
from petkit.scoring import plan, score_encoded
from tests import builders

naive = pytest.importorskip("benchmarks.naive", reason="benchmarks are in the checkout only, not in the wheel")

PATTERNS = ("{mask}: {text}", "{text} ( {mask} )", "[ Category: {mask} ] {text}", "{text} || {mask} News")
WORDS = {"world": "World", "sports": "Sports", "rest": ("Business", "Tech")}
LENGTH = 64
WEIGHT = 0.3
"""Of the MLM loss: large, so that its gradient counts in the comparison."""


@pytest.fixture(scope="module")
def model() -> MaskedLM:
    # Weights larger than usual at the start, so that scores differ by more than the tolerance from row to row and label to label.
    return MaskedLM(builders.random_masked_lm("bert", initializer_range=0.3, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return builders.tokenizer("wordpiece")


def task() -> Task:
    return Task(name="news", fields=("text",), patterns=PATTERNS, verbalizer=WORDS)


def some_rows(count: int, start: int = 0) -> Rows:
    texts = builders.sentences()[start : start + count]
    return Rows(ids=tuple(str(i) for i in range(count)), fields={"text": texts}, labels=tuple(i % 3 for i in range(count)))


def word_ids(tokenizer: Any, pvp: PVP) -> list[list[int]]:
    return [[tokenizer.convert_tokens_to_ids(word.lower()) for word in words] for words in pvp.verbalizer.words]


def largest(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """The largest difference."""
    return float((ours - theirs).detach().abs().max())


@pytest.mark.parametrize("pvp", task().pvps, ids=lambda pvp: pvp.pattern.name)
def test_labelling_gives_the_same_scores(model: MaskedLM, tokenizer: Any, pvp: PVP) -> None:
    rows, encoder = some_rows(24), Encoder(tokenizer, max_length=LENGTH)
    features, words = naive.encode(tokenizer, rows, pvp, max_length=LENGTH), word_ids(tokenizer, pvp)
    encoded = encoder.clozes(rows, pvp.pattern, filler="World")
    ours = torch.from_numpy(score_encoded(model, encoded, plan(encoder, pvp, rows), pad_id=encoder.pad_id, token_budget=200))
    for to_longest in (False, True):
        assert largest(ours, naive.evaluate(model.model, features, words, batch=5, to_longest=to_longest)) <= 1e-5
    assert ours.shape == (24, 3)
    assert float(ours.std(dim=0).min()) > 0.01


def spread(values: torch.Tensor, *, fill: int, width: int = LENGTH) -> torch.Tensor:
    """(B, T) padded to the maximum length."""
    return functional.pad(values, (0, width - values.shape[1]), value=fill)


def test_a_training_step_has_the_same_losses_and_gradients(model: MaskedLM, tokenizer: Any) -> None:
    pvp, encoder, vocabulary = task().pvps[0], Encoder(tokenizer, max_length=LENGTH), Vocabulary.of(tokenizer)
    few, many = some_rows(4), some_rows(12, start=4)
    labels = torch.tensor(few.labels)
    labelled, raw = (
        collate(encoder.clozes(rows, pvp.pattern, filler="World"), np.arange(len(rows)), pad_id=encoder.pad_id) for rows in (few, many)
    )
    corrupted, masked = corrupt(raw, objective("mlm"), vocabulary, stream(0, "mask"))
    scores, language = joint_pass(model, labelled, plan(encoder, pvp, few), corrupted, masked, pad_id=encoder.pad_id)
    ours = mix_losses(label_loss(scores, labels), language, weight=WEIGHT)

    features = [naive.encode(tokenizer, rows, pvp, max_length=LENGTH) for rows in (few, many)]
    assert torch.equal(features[1].input_ids, spread(raw.input_ids, fill=encoder.pad_id))
    targets = (
        torch.full(raw.input_ids.shape, -100).flatten().index_put((torch.from_numpy(masked.positions),), torch.from_numpy(masked.targets))
    )
    unlabelled = replace(features[1], input_ids=spread(corrupted.input_ids, fill=encoder.pad_id))
    goals = spread(targets.view_as(raw.input_ids), fill=-100)
    theirs = naive.losses(model.model, features[0], labels, word_ids(tokenizer, pvp), unlabelled, goals, WEIGHT)

    assert len(masked.positions) > 10
    assert largest(ours, theirs) <= 1e-5
    gradients = [torch.autograd.grad(loss, list(model.parameters()), allow_unused=True) for loss in (ours, theirs)]
    for name, mine, other in zip(dict(model.named_parameters()), *gradients, strict=True):
        assert mine is not None, name
        assert other is not None, name
        assert largest(mine, other) <= 1e-5 * max(1.0, float(other.abs().max())), name
    assert max(float(gradient.abs().max()) for gradient in gradients[1] if gradient is not None) > 0.01
