"""Adapters: nearly nothing at the start, in every layer of every family, trained with the norms, and kept with a member."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import transformers

from petkit.adapted import insert_adapters
from petkit.backbones import MaskedLM, load_classifier, load_masked_lm
from petkit.errors import ModelError, SettingsError
from petkit.scoring import score_rows
from petkit.strategies import strategy
from petkit.strategies.adapters import Adapter
from petkit.strategies.anatomy import encoder_norms, head_parameters, layers
from petkit.strategies.preparing import prepared
from petkit.training import seeded
from tests.builders import FAMILIES, random_masked_lm
from tests.petkit.strategies.tiny import UNLABELED, changed, classifier_of, encoder_of, member_of, rows_of, snapshot
from tests.tiny_runs import TOPICS


def test_an_adapter_by_hand() -> None:
    """x + W2 gelu(W1 x + b1) + b2."""
    adapter = Adapter(2, 1)
    with torch.no_grad():
        adapter.down.weight.copy_(torch.tensor([[1.0, -2.0]]))
        adapter.down.bias.fill_(0.5)
        adapter.up.weight.copy_(torch.tensor([[3.0], [4.0]]))
        adapter.up.bias.copy_(torch.tensor([0.0, 1.0]))
    inner = 1.0 * 0.3 - 2.0 * 0.1 + 0.5
    gelu = inner * 0.5 * (1 + math.erf(inner / math.sqrt(2)))
    torch.testing.assert_close(adapter(torch.tensor([0.3, 0.1])), torch.tensor([0.3 + 3 * gelu, 0.1 + 4 * gelu + 1]))


@pytest.mark.parametrize("family", FAMILIES)
def test_at_the_start_a_model_with_adapters_is_nearly_the_one_without(family: str) -> None:
    model, inputs = random_masked_lm(family), rows_of(family)
    kept = inputs["attention_mask"].bool()
    with torch.inference_mode():
        before = model(**inputs).logits[kept]
    with seeded(1):
        insert_adapters(model, 64)
    with torch.inference_mode():
        after = model(**inputs).logits[kept]
    difference = float((after - before).abs().max())
    assert 0 < difference < 1e-4
    assert sum(isinstance(module, Adapter) for module in model.modules()) == 2 * len(layers(model))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_adapter_is_used_by_our_forward_as_by_transformers_own(family: str) -> None:
    """Large adapters change the states, and layer by layer they come out as from the whole model."""
    plain = random_masked_lm(family)
    model, encoder = MaskedLM(plain), encoder_of(family)
    before = score_rows(model, encoder, UNLABELED, TOPICS.pvps[1], token_budget=256)
    with seeded(1):
        insert_adapters(plain, 3)
    adapters = [module for module in plain.modules() if isinstance(module, Adapter)]
    previous = before
    for adapter in adapters:
        torch.nn.init.normal_(adapter.down.weight, std=0.5)
        torch.nn.init.normal_(adapter.up.weight, std=0.5)
        now = score_rows(model, encoder, UNLABELED, TOPICS.pvps[1], token_budget=256)
        assert (now != previous).any()
        previous = now
    encoded = encoder.clozes(UNLABELED, TOPICS.pvps[1].pattern, filler="World")
    row = torch.from_numpy(encoded.row(0).astype("int64"))[None]
    with torch.inference_mode():
        logits = plain(input_ids=row, attention_mask=torch.ones_like(row)).logits[0, encoded.slots[0, 0]].log_softmax(-1)
    words = [encoder.word_ids(TOPICS.pvps[1].pattern, [word], UNLABELED.row(0))[0][0] for word in ("World", "Sports", "Business")]
    expected = logits[words] - logits[words].logsumexp(0)
    found = torch.from_numpy(previous[0]).log_softmax(-1)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_adapters_norms_and_head_change_and_nothing_else(family: str) -> None:
    model, before, trained = member_of(family, "adapters:4")
    inner = model.model
    legal = {id(p) for p in (*head_parameters(inner), *encoder_norms(inner))}
    named = dict(inner.named_parameters())
    assert {name for name in changed(inner, before) if id(named[name]) not in legal} == set()
    fresh = {name for name in named if name not in before}
    assert fresh
    assert all(".adapter." in name for name in fresh)
    assert trained.trained_parameters == sum(p.numel() for name, p in named.items() if id(p) in legal or name in fresh)
    moved = changed(inner, before)
    assert len(moved) > 0.8 * sum(1 for name in before if id(named[name]) in legal)


def test_the_share_is_that_counted_by_hand() -> None:
    """BERT of 2 layers, H = 32, width 4: an adapter has 2 * 32 * 4 + 4 + 32 weights, a norm 2 * 32."""
    model, before, trained = member_of("bert", "adapters:4")
    adapters = 2 * 2 * (2 * 32 * 4 + 4 + 32)
    norms = (1 + 2 * 2) * 2 * 32
    head = 32 * 32 + 32 + 2 * 32 + model.vocab_size
    assert trained.trained_parameters == adapters + norms + head
    assert trained.parameters == sum(value.numel() for value in before.values()) + adapters
    assert trained.extent()["trained_share"] == pytest.approx((adapters + norms + head) / trained.parameters, abs=1e-6)


@pytest.mark.slow
def test_they_learn() -> None:
    _, _, first = member_of("bert", "adapters:8", steps=1)
    _, _, last = member_of("bert", "adapters:8", steps=60)
    assert last.losses["label"] < 0.7 * first.losses["label"]


# Kept


@pytest.mark.parametrize("family", FAMILIES)
def test_a_member_is_saved_and_opened_with_its_adapters(family: str, tmp_path: Path) -> None:
    model, _, _ = member_of(family, "adapters:4")
    model.save(str(tmp_path))
    again = load_masked_lm(str(tmp_path))
    assert set(dict(again.model.named_parameters())) == set(dict(model.model.named_parameters()))
    assert not changed(again.model, snapshot(model.model))
    scores = [score_rows(m, encoder_of(family), UNLABELED, TOPICS.pvps[1], token_budget=256) for m in (model, again)]
    assert (scores[0] == scores[1]).all()
    assert [path.name for path in tmp_path.glob("*.safetensors")] == ["model.adapters.safetensors"]


def test_adapters_with_missing_weights_are_refused(tmp_path: Path) -> None:
    plain = random_masked_lm("bert")
    weights = plain.state_dict()
    insert_adapters(plain, 4)
    plain.save_pretrained(tmp_path, state_dict=weights)
    with pytest.raises(ModelError, match=r"lacks 16 of its encoder's weights \(bert\.encoder\.layer\.0\.attention\.output\.dense\.adapter"):
        load_masked_lm(str(tmp_path))


def test_a_classifier_is_not_made_of_a_member_with_adapters(tmp_path: Path) -> None:
    model, _, _ = member_of("bert", "adapters:4")
    model.save(str(tmp_path))
    with pytest.raises(ModelError, match="has adapters, which an ordinary classifier cannot have"):
        load_classifier(str(tmp_path), ["a", "b"])


def test_adapters_that_are_there_are_trained_on_or_refused(tmp_path: Path) -> None:
    model, _, _ = member_of("bert", "adapters:4")
    before = len(list(model.parameters()))
    with prepared(model, strategy("adapters:4"), seed=0):
        assert len(list(model.parameters())) == before
    with (
        pytest.raises(SettingsError, match=r"has adapters of width 4 already; strategy adapters:4"),
        prepared(model, strategy("adapters"), seed=0),
    ):
        pass


def test_classifiers_take_adapters_in_transformers_own_forward_too() -> None:
    """Settings refuse it for the classifier of a PET run, which plain transformers has to open; fine-tuning takes them."""
    model, _, _ = classifier_of("bert", "adapters:4")
    assert isinstance(model, transformers.BertForSequenceClassification)
    assert all(p.abs().max() > 2.1e-3 for name, p in model.named_parameters() if name.endswith("adapter.up.weight")), (
        "beyond where they start"
    )
