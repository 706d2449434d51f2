"""ELECTRA: what is sampled, what counts as replaced, both losses against transformers' own, what is shared and saved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from transformers import ElectraForMaskedLM, ElectraForPreTraining

from petkit.backbones import load_masked_lm
from petkit.errors import ModelError, SettingsError
from petkit.objectives import IGNORED, preset, share, stream
from petkit.pretraining.architectures import new_model, open_model
from petkit.pretraining.learners import MaskedLearner, ReplacedLearner, learner_for
from petkit.pretraining.learners.replaced import sample
from tests.petkit.pretraining.learners.tiny import batch_of, tiny, vocabulary, words


def learner_of(**options: Any) -> ReplacedLearner:
    learner = learner_for(preset("electra"), tiny("electra", "electra", **options), vocabulary())
    assert isinstance(learner, ReplacedLearner)
    return learner


def read_by_discriminator(learner: ReplacedLearner, batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """From transformers' logits at all places: the samples put into the originals, and where they differ."""
    with torch.no_grad():
        generated = learner.model.generator
        ids, valid = torch.from_numpy(batch.masked.inputs), torch.from_numpy(batch.valid).long()
        logits = generated.model(input_ids=ids, attention_mask=valid).logits.flatten(0, 1)[torch.from_numpy(batch.masked.positions)]
    drawn = sample(logits, torch.from_numpy(batch.draws))
    inputs = torch.from_numpy(batch.originals.copy()).flatten()
    inputs[torch.from_numpy(batch.masked.positions)] = drawn
    inputs = inputs.view(batch.originals.shape)
    return inputs, inputs != torch.from_numpy(batch.originals)


def test_in_bfloat16_the_generators_head_learns() -> None:
    """Sampling casts the head's weights without gradients; the loss must not take those casts from autocast's cache."""
    learner, batch = learner_of().train(), batch_of("electra")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = learner(batch, learner.counts(batch))["loss"]
    loss.backward()
    model = learner.model.generator.model
    assert all(p.grad is not None and p.grad.any() for p in model.generator_predictions.parameters())
    assert model.generator_lm_head.bias.grad.any()


def test_sampling_leaves_no_cast_weights_in_autocasts_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """What older versions of torch would hand to the loss (pytorch issue 65766)."""
    learner, batch = learner_of().train(), batch_of("electra")
    seen: list[tuple[bool, bool, bool]] = []
    logits = learner.model.generator.vocab_logits

    def noted(hidden: torch.Tensor) -> torch.Tensor:
        seen.append((torch.is_grad_enabled(), torch.is_autocast_enabled("cpu"), torch.is_autocast_cache_enabled()))
        return logits(hidden)

    monkeypatch.setattr(learner.model.generator, "vocab_logits", noted)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        learner(batch, learner.counts(batch))
    learner(batch, learner.counts(batch))
    assert seen == [(False, True, False), (True, True, True), (False, False, False), (True, False, True)]


# Sampling


def test_samples_are_distributed_as_the_softmax() -> None:
    logits = torch.tensor([2.0, 0.0, -1.0, 1.0, -30.0, 0.5])
    draws = torch.from_numpy(stream(1, "draws").random(40_000))
    found = sample(logits.expand(len(draws), -1), draws)
    counts = np.bincount(found.numpy(), minlength=6)
    expected = torch.softmax(logits.double(), -1).numpy()
    kept = [0, 1, 2, 3, 5]
    assert counts[4] == 0
    assert chisquare(counts[kept], expected[kept] / expected[kept].sum() * counts.sum()).pvalue > 1e-3


def test_a_draw_is_a_place_in_the_distribution() -> None:
    logits = torch.log(torch.tensor([[0.25, 0.5, 0.25]])).expand(6, -1)
    draws = torch.tensor([0.0, 0.2499, 0.2501, 0.7499, 0.7501, 1 - 1e-16], dtype=torch.float64)
    assert sample(logits, draws).tolist() == [0, 0, 1, 1, 2, 2]
    assert sample(logits[:, :2].bfloat16(), draws).tolist()[0] == 0
    assert sample(torch.tensor([[-1e4, 0.0, -1e4]]).expand(2, -1), torch.tensor([0.0, 1 - 1e-9], dtype=torch.float64)).tolist() == [1, 1]
    assert sample(torch.zeros(0, 5), torch.zeros(0)).shape == (0,)


def test_ranks_draw_what_one_process_draws() -> None:
    learner, batch = learner_of().eval(), batch_of("electra", lengths=(20, 9, 16, 5, 22, 13))
    whole, _ = read_by_discriminator(learner, batch)
    for ranks in (2, 3):
        parts = [read_by_discriminator(learner, share(batch, rank=rank, ranks=ranks))[0] for rank in range(ranks)]
        assert torch.equal(torch.cat(parts), whole)


# Losses


def test_both_losses_are_those_of_transformers() -> None:
    learner, batch = learner_of().train(), batch_of("electra")
    masked, model = batch.masked, learner.model
    labels = torch.full((masked.inputs.size,), IGNORED)
    labels[torch.from_numpy(masked.positions)] = torch.from_numpy(masked.targets)
    valid = torch.from_numpy(batch.valid).long()
    inputs, replaced = read_by_discriminator(learner, batch)
    generator = model.generator.model(
        input_ids=torch.from_numpy(masked.inputs), attention_mask=valid, labels=labels.view(masked.inputs.shape)
    ).loss
    discriminator = model.discriminator.model(input_ids=inputs, attention_mask=valid, labels=replaced.long()).loss
    counts = learner.counts(batch)
    found = learner(batch, counts)
    assert 0 < replaced.sum() < len(masked.positions) + 1
    assert counts == {"generator": len(masked.positions), "discriminator": batch.valid.sum()}
    assert found["generator"].item() == pytest.approx(generator.item(), abs=1e-5)
    assert found["discriminator"].item() == pytest.approx(discriminator.item(), abs=1e-5)
    assert found["loss"].item() == pytest.approx((generator + 50 * discriminator).item(), rel=1e-5)
    weights = list(learner.parameters())
    ours, theirs = (torch.autograd.grad(loss, weights) for loss in (found["loss"], generator + 50 * discriminator))
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-3)


def test_the_discriminators_loss_does_not_reach_the_generators_layers() -> None:
    """Samples pass no gradient; the shared embeddings learn from both."""
    learner, batch = learner_of().train(), batch_of("electra")
    counts = learner.counts(batch)
    learner(batch, {**counts, "generator": 0.0})["loss"].backward()
    generator = learner.model.generator.model
    own = [*generator.electra.encoder.parameters(), *generator.generator_predictions.parameters()]
    assert all(p.grad is None or not p.grad.any() for p in own)
    assert generator.electra.embeddings.word_embeddings.weight.grad.any()


def test_a_token_that_was_guessed_right_is_an_original() -> None:
    """A generator that knows the text: nothing is replaced, whatever the draws."""
    learner, batch = learner_of().eval(), batch_of("electra")
    head = learner.model.generator.model.generator_lm_head
    word = int(vocabulary().ordinary[0])
    one = replace(
        batch,
        originals=np.where(batch.valid, word, batch.originals),
        masked=replace(batch.masked, targets=np.full_like(batch.masked.targets, word)),
    )
    with torch.no_grad():
        head.bias.fill_(-1e4)
        head.bias[word] = 1e4
    assert not learner.asked(one)["discriminator"].targets.any()
    with torch.no_grad():
        head.bias[word + 1] = 2e4
    replaced = learner.asked(one)["discriminator"]
    assert int(replaced.targets.sum()) == len(batch.masked.positions)
    scores = learner.score(one)
    assert scores["generator_accuracy"] == (0, len(batch.masked.positions))
    assert scores["discriminator"][1] == scores["discriminator_accuracy"][1] == batch.valid.sum()


@pytest.mark.parametrize("lengths", [(0, 0), (20, 9, 16, 5)])
def test_nothing_selected_is_a_loss_of_zero_for_the_generator(lengths: tuple[int, ...]) -> None:
    learner, batch = learner_of().train(), batch_of("electra", lengths=lengths)
    found = learner(batch, learner.counts(batch))
    found["loss"].backward()
    assert torch.isfinite(found["loss"])
    assert (found["generator"].item() == 0.0) == (lengths == (0, 0))
    assert all(p.grad is not None for p in learner.parameters())


def test_two_halves_with_the_whole_counts_have_the_gradient_of_the_whole() -> None:
    learner, batch = learner_of().train(), batch_of("electra")
    weights, counts = list(learner.parameters()), learner.counts(batch)
    whole = torch.autograd.grad(learner(batch, counts)["loss"], weights)
    half = {part: count / 2 for part, count in counts.items()}
    parts = [torch.autograd.grad(learner(share(batch, rank=rank, ranks=2), half)["loss"], weights) for rank in range(2)]
    for one, first, second in zip(whole, *parts, strict=True):
        torch.testing.assert_close((first + second) / 2, one, atol=2e-4, rtol=1e-3)


def test_weights_of_the_two_losses_are_the_objectives() -> None:
    objective = preset("electra", generator_weight=2.0, discriminator_weight=3.0)
    learner, batch = learner_for(objective, tiny("electra", "electra"), vocabulary()), batch_of("electra")
    found = learner(batch, learner.counts(batch))
    assert found["loss"].item() == pytest.approx(2 * found["generator"].item() + 3 * found["discriminator"].item(), rel=1e-5)


# The two models


def test_the_generator_is_narrow_and_shares_its_embeddings() -> None:
    model = new_model("electra", words(), layers=3, hidden=256, max_positions=32, dropout=0.0, seed=0, objectives=[preset("electra")])
    generator, discriminator = model.generator.model, model.discriminator.model
    small, large = generator.config, discriminator.config
    assert (small.hidden_size, small.num_attention_heads, small.intermediate_size, small.num_hidden_layers) == (64, 1, 256, 3)
    assert (large.hidden_size, large.num_attention_heads, large.intermediate_size, large.num_hidden_layers) == (256, 4, 1024, 3)
    assert small.embedding_size == large.embedding_size == 128
    assert generator.electra.embeddings is discriminator.electra.embeddings
    assert generator.generator_lm_head.weight is discriminator.get_input_embeddings().weight
    wide = new_model("electra", words(), layers=1, hidden=768, max_positions=16, dropout=0.0, seed=0, objectives=[preset("electra")])
    assert wide.config.embedding_size == 768
    tiny_one = tiny("electra", "electra")
    assert tiny_one.generator.model.config.num_attention_heads == 1
    assert tiny_one.max_length == 64


def test_both_models_are_saved_opened_and_tied_again(tmp_path: Path) -> None:
    learner, batch = learner_of().eval(), batch_of("electra")
    counts = learner.counts(batch)
    learner.save(tmp_path, half=False)
    generator = ElectraForMaskedLM.from_pretrained(tmp_path).eval()
    discriminator = ElectraForPreTraining.from_pretrained(tmp_path / "discriminator").eval()
    inputs = {"input_ids": torch.from_numpy(batch.originals), "attention_mask": torch.from_numpy(batch.valid).long()}
    with torch.no_grad():
        torch.testing.assert_close(generator(**inputs).logits, learner.model.generator.model(**inputs).logits)
        torch.testing.assert_close(discriminator(**inputs).logits, learner.model.discriminator.model(**inputs).logits)
    assert load_masked_lm(str(tmp_path)).missing == ()
    opened = open_model(str(tmp_path), [preset("electra")])
    assert opened.generator.model.electra.embeddings is opened.discriminator.model.electra.embeddings
    again = learner_for(preset("electra"), opened, vocabulary())
    assert again(batch, counts)["loss"].item() == pytest.approx(learner(batch, counts)["loss"].item(), abs=1e-4)
    learner.save(tmp_path / "half", half=True)
    assert ElectraForPreTraining.from_pretrained(tmp_path / "half" / "discriminator").num_parameters() == discriminator.num_parameters()


def test_dropout_is_on_while_training_and_usual_in_both_configs(tmp_path: Path) -> None:
    learner, batch = learner_of(dropout=0.5).train(), batch_of("electra")
    counts = learner.counts(batch)
    assert learner(batch, counts)["generator"].item() != learner(batch, counts)["generator"].item()
    learner.save(tmp_path, half=False)
    for model in (ElectraForMaskedLM.from_pretrained(tmp_path), ElectraForPreTraining.from_pretrained(tmp_path / "discriminator")):
        assert model.config.hidden_dropout_prob == model.config.attention_probs_dropout_prob == 0.1
    still = learner_for(preset("electra"), open_model(str(tmp_path), [preset("electra")], dropout=0.0), vocabulary()).train()
    assert still(batch, counts)["loss"].item() == still(batch, counts)["loss"].item()
    assert still.model.config.hidden_dropout_prob == 0.1


def test_the_generator_alone_learns_masked_language_modelling() -> None:
    model = tiny("electra", "electra", "mlm")
    plain, both = (learner_for(preset(name), model, vocabulary()) for name in ("mlm", "electra"))
    assert isinstance(plain, MaskedLearner)
    assert {id(p) for p in plain.parameters()} < {id(p) for p in both.parameters()}


def test_a_lone_generator_is_refused(tmp_path: Path) -> None:
    alone = tiny("electra", "mlm")
    with pytest.raises(SettingsError, match="needs a generator and a discriminator"):
        learner_for(preset("electra"), alone, vocabulary())
    learner_for(preset("mlm"), alone, vocabulary()).save(tmp_path, half=False)
    with pytest.raises(ModelError, match="has no folder 'discriminator'"):
        open_model(str(tmp_path), [preset("electra")])
    tiny("electra", "mlm", hidden=48).model.save_pretrained(tmp_path / "discriminator")
    with pytest.raises(ModelError, match="is no ELECTRA discriminator; it lacks discriminator_predictions"):
        open_model(str(tmp_path), [preset("electra")])
    tiny("electra", "electra", hidden=48).discriminator.model.save_pretrained(tmp_path / "discriminator")
    with pytest.raises(ModelError, match="word embeddings of"):
        open_model(str(tmp_path), [preset("electra")])
