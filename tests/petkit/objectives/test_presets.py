"""The table of objectives, on real clozes: what is selected, what the model sees, and the loss that transformers computes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from petkit.backbones import MaskedLM
from petkit.batching import Batch, collate
from petkit.encoding import Encoder
from petkit.errors import SettingsError
from petkit.members import corrupt
from petkit.objectives import IGNORED, PRESETS, MaskedBatch, Vocabulary, objective, plain_objectives, stream
from petkit.pretraining.learners import masked_lm_loss
from petkit.pvp import Task
from petkit.rows import UNLABELED, Rows
from tests.builders import FAMILIES, TOKENIZERS, random_masked_lm, sentences, tokenizer

TASK = Task(name="t", fields=("text",), patterns="{text} ({mask})", verbalizer={"a": "good", "b": "bad"})


def clozes(name: str, count: int = 24) -> Batch:
    """Real texts of different lengths with a mask slot each, padded."""
    texts = sentences()[:count]
    rows = Rows(tuple(map(str, range(count))), {"text": texts}, (UNLABELED,) * count)
    encoder = Encoder(tokenizer(name), max_length=64)
    return collate(encoder.clozes(rows, TASK.pvps[0].pattern, filler="good"), range(count), pad_id=encoder.pad_id)


def masked_of(name: str, preset: str, batch: Batch, *, step: int = 0, rate: float | None = None) -> MaskedBatch:
    valid = batch.attention_mask.numpy() == 1
    return objective(preset, rate=rate).batch(batch.input_ids.numpy(), valid, Vocabulary.of(tokenizer(name)), stream(1, step=step))


@pytest.mark.parametrize("preset", plain_objectives())
@pytest.mark.parametrize("name", TOKENIZERS)
def test_padding_special_tokens_and_the_mask_slot_are_never_targets(name: str, preset: str) -> None:
    """In the original, 79 % of the targets were padding, and the pattern's own mask was one too."""
    batch = clozes(name)
    ids, words = batch.input_ids.numpy(), tokenizer(name)
    forbidden = np.isin(ids, words.all_special_ids)
    assert forbidden.any(axis=1).all()
    assert (ids == words.pad_token_id).any()
    for rate in (None, 1.0):
        masked = masked_of(name, preset, batch, rate=rate)
        assert not forbidden.reshape(-1)[masked.positions].any()
        assert (masked.inputs[forbidden] == ids[forbidden]).all()
        assert (masked.targets == ids.reshape(-1)[masked.positions]).all()
    assert len(masked.positions) == (~forbidden).sum()


@pytest.mark.parametrize("preset", plain_objectives())
def test_a_preset_corrupts_at_its_rate_and_nowhere_else(preset: str) -> None:
    batch = clozes("wordpiece", 200)
    ids = batch.input_ids.numpy()
    masked = masked_of("wordpiece", preset, batch)
    elsewhere = np.ones(ids.size, dtype=bool)
    elsewhere[masked.positions] = False
    assert (masked.inputs.reshape(-1)[elsewhere] == ids.reshape(-1)[elsewhere]).all()
    maskable = int((~np.isin(ids, tokenizer("wordpiece").all_special_ids)).sum())
    assert len(masked.positions) / maskable == pytest.approx(0.15, abs=0.02)
    there = masked.inputs.reshape(-1)[masked.positions]
    shares = [int((there == tokenizer("wordpiece").mask_token_id).sum()), int((there == masked.targets).sum())]
    n = len(there)
    assert chisquare([*shares, n - sum(shares)], [0.8 * n, 0.1 * n, 0.1 * n]).pvalue > 1e-4


def test_whole_words_are_selected_whole_in_real_text() -> None:
    batch = clozes("wordpiece", 100)
    vocabulary = Vocabulary.of(tokenizer("wordpiece"))
    masked = masked_of("wordpiece", "whole-word", batch)
    ids = batch.input_ids.numpy()
    words = vocabulary.words(ids) + np.arange(len(ids))[:, None] * ids.shape[1]
    selected = np.zeros(ids.shape, dtype=bool)
    selected.reshape(-1)[masked.positions] = True
    touched = np.isin(words, words[selected])
    assert (selected == touched).all()
    assert (~vocabulary.starts_word[ids[selected]]).any()  # words of several pieces among them


def test_a_row_is_masked_anew_whenever_it_comes_up_and_alike_after_a_resume() -> None:
    batch = clozes("wordpiece")
    first, again, later = (masked_of("wordpiece", "mlm", batch, step=step) for step in (3, 3, 4))
    assert (first.inputs == again.inputs).all()
    assert (first.positions == again.positions).all()
    assert not np.array_equal(first.positions, later.positions)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_through_gathered_positions_is_the_one_of_transformers(family: str) -> None:
    name = FAMILIES[family][0]
    batch, model = clozes(name), MaskedLM(random_masked_lm(family))
    masked = masked_of(name, "mlm", batch)
    corrupted = replace(batch, input_ids=torch.from_numpy(masked.inputs))
    labels = torch.full((batch.input_ids.numel(),), IGNORED)
    labels[torch.from_numpy(masked.positions)] = torch.from_numpy(masked.targets)
    inputs = {"input_ids": corrupted.input_ids, "attention_mask": batch.attention_mask, "labels": labels.view_as(batch.input_ids)}
    if model.family.types and model.model.config.type_vocab_size > 1:
        inputs["token_type_ids"] = batch.token_type_ids
    ours, theirs = masked_lm_loss(model, corrupted, masked), model.model(**inputs).loss
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-5)
    gradients = [torch.autograd.grad(loss, model.model.get_input_embeddings().weight)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_a_batch_with_nothing_selected_has_loss_zero_and_can_be_differentiated(family: str) -> None:
    batch, model = clozes(FAMILIES[family][0], 3), MaskedLM(random_masked_lm(family))
    nothing = np.zeros(0, dtype=np.int64)
    loss = masked_lm_loss(model, batch, MaskedBatch(batch.input_ids.numpy(), nothing, nothing))
    loss.backward()
    assert loss.item() == 0.0
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())


def test_a_batch_of_special_tokens_only_has_language_loss_zero() -> None:
    words, model = tokenizer("wordpiece"), MaskedLM(random_masked_lm("bert"))
    ids = torch.tensor([[words.cls_token_id, words.mask_token_id, words.unk_token_id, words.sep_token_id]])
    batch = Batch(ids, torch.ones_like(ids), torch.zeros_like(ids), torch.tensor([[1]]))
    corrupted, masked = corrupt(batch, objective("mlm"), Vocabulary.of(words), stream(1))
    assert masked_lm_loss(model, corrupted, masked).item() == 0.0


def test_unknown_presets_and_impossible_rates_are_refused_with_what_is_legal() -> None:
    with pytest.raises(SettingsError, match=r"'span' is unknown.*mlm, mlm-independent, roberta, whole-word"):
        objective("span")
    for rate in (0.0, -0.1, 1.5, float("nan")):
        with pytest.raises(SettingsError, match="above 0 and at most 1"):
            objective("mlm", rate=rate)
    assert objective("mlm", rate=0.4).rate == 0.4
    assert PRESETS["mlm"].rate == 0.15
    assert all(preset.name == name and preset.source for name, preset in PRESETS.items())


def test_the_head_sees_only_the_selected_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The original computes logits of every word at every position, of which 15 % count."""
    seen: list[tuple[int, ...]] = []
    made = MaskedLM.vocab_logits

    def noted(self: MaskedLM, hidden: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(hidden.shape))
        return made(self, hidden)

    monkeypatch.setattr(MaskedLM, "vocab_logits", noted)
    batch, model = clozes("wordpiece"), MaskedLM(random_masked_lm("bert"))
    masked = masked_of("wordpiece", "mlm", batch)
    masked_lm_loss(model, replace(batch, input_ids=torch.from_numpy(masked.inputs)), masked)
    assert seen == [(len(masked.positions), model.hidden_size)]
    assert len(masked.positions) < 0.2 * batch.input_ids.numel()
