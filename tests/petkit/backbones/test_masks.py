"""Masks that transformers need not look into: the same numbers as from its own, and no look."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from petkit.backbones import masks
from petkit.backbones.masks import ready_mask
from petkit.backbones.plain import inputs_of
from petkit.batching import Batch
from tests.builders import FAMILIES, random_masked_lm
from tests.waiting import Waits

LENGTHS = (40, 7, 23)


def batch_of(*lengths: int) -> Batch:
    width = max(lengths)
    ids = torch.randint(5, 200, (len(lengths), width), generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(width) < torch.tensor(lengths)[:, None]).long()
    return Batch(ids * mask, mask, torch.zeros_like(ids), ids.new_zeros(len(ids), 0), full=bool(mask.all()))


def classifier_of(family: str, **changes: Any) -> Any:
    config = random_masked_lm(family, **changes).config
    config.num_labels = 3
    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_config(config, attn_implementation="eager" if family == "deberta-v2" else "sdpa").eval()


@pytest.mark.parametrize("lengths", [LENGTHS, (30, 30)])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_numbers_are_those_of_the_plain_mask(family: str, lengths: tuple[int, ...]) -> None:
    model, batch = classifier_of(family), batch_of(*lengths)
    ready = ready_mask(model, batch.attention_mask, full=batch.full)
    assert (ready is None) == (batch.full and family != "deberta-v2")
    with torch.inference_mode():
        expected = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
        found = model(input_ids=batch.input_ids, attention_mask=ready).logits
    assert expected.std() > 0
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


def test_a_window_shorter_than_the_rows_matters() -> None:
    """So that the test above would see a wrong one."""
    model, batch = classifier_of("modernbert"), batch_of(*LENGTHS)
    ready = ready_mask(model, batch.attention_mask, full=False)
    assert model.config.sliding_window < 20
    everywhere = {**ready, "sliding_attention": ready["full_attention"]}
    with torch.inference_mode():
        found, other = (model(input_ids=batch.input_ids, attention_mask=mask).logits for mask in (ready, everywhere))
    assert (found - other).abs().max() > 1e-4


def test_a_head_that_averages_by_the_mask_gets_it_as_it_is() -> None:
    model, batch = classifier_of("modernbert", classifier_pooling="mean"), batch_of(*LENGTHS)
    assert ready_mask(model, batch.attention_mask, full=False) is batch.attention_mask
    assert isinstance(ready_mask(model.model, batch.attention_mask, full=False), dict)


@pytest.mark.parametrize("lengths", [LENGTHS, (30, 30)])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_classifier_with_them_waits_for_nothing(family: str, lengths: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = classifier_of(family).train(), batch_of(*lengths)
    monkeypatch.setattr(masks, "attention_mask_for", lambda model, batch: ready_mask(model, batch.attention_mask, full=batch.full))
    monkeypatch.setattr("petkit.backbones.plain.attention_mask_for", masks.attention_mask_for)
    with Waits() as waits:
        model(**inputs_of(model, batch)).logits.sum().backward()
    assert waits.seen == []


def test_the_plain_mask_is_looked_into() -> None:
    """Or else the test above could not fail."""
    batch = batch_of(*LENGTHS)
    with Waits() as waits:
        classifier_of("bert")(input_ids=batch.input_ids, attention_mask=batch.attention_mask)
    assert waits.seen
