"""Every family against transformers' own forward, and what is never computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from petkit.backbones import FAMILIES
from petkit.batching import Batch
from tests import builders
from tests.petkit.backbones.tiny_models import NEAR, OTHERS, VARIANTS, batch_of, model_of, reference


def test_the_table_is_tested_whole() -> None:
    assert set(FAMILIES) == {*builders.FAMILIES, *OTHERS}


@pytest.mark.parametrize("lengths", [(23, 9, 16, 4), (7, 7), (20, 19)])  # much padding, none, little
@pytest.mark.parametrize("name", [*VARIANTS, *OTHERS])
def test_logits_at_the_slots_are_those_of_transformers(name: str, lengths: tuple[int, ...]) -> None:
    model = model_of(name)
    batch = batch_of(model, lengths)
    with torch.no_grad():
        wanted = reference(model, batch)
        rows = torch.arange(len(lengths))[:, None]
        hidden, slots = model.hidden(batch), model.slot_hidden(batch)
        every = torch.tensor([0, 7, 2, model.vocab_size - 1])
        assert hidden.shape == (len(lengths), max(lengths), model.hidden_size)
        assert slots.shape == (len(lengths), 2, model.hidden_size)
        assert slots.dtype == torch.float32
        real = batch.attention_mask.bool()
        torch.testing.assert_close(model.vocab_logits(hidden[real]), wanted[real], **NEAR)
        torch.testing.assert_close(model.vocab_logits(slots.flatten(0, 1)), wanted[rows, batch.slots].flatten(0, 1), **NEAR)
        torch.testing.assert_close(model.word_logits(slots[:, 1], every), wanted[rows[:, 0], batch.slots[:, 1]][:, every], **NEAR)
    assert wanted.std() > 0.1, "logits so small that everything would agree"


@pytest.mark.parametrize("name", [*VARIANTS, *OTHERS])
def test_gradients_are_those_of_transformers(name: str) -> None:
    model = model_of(name, **_without_dropout(name))
    model.train()
    batch = batch_of(model)
    rows, words = torch.arange(4)[:, None], torch.tensor([3, 8])
    model.word_logits(model.slot_hidden(batch).flatten(0, 1), words).square().sum().backward()
    ours = {key: value.grad.clone() for key, value in model.named_parameters() if value.grad is not None}
    model.zero_grad(set_to_none=True)
    reference(model, batch)[rows, batch.slots][..., words].square().sum().backward()
    theirs = {key: value.grad for key, value in model.named_parameters() if value.grad is not None}
    for key, grad in theirs.items():
        torch.testing.assert_close(ours.get(key, torch.zeros_like(grad)), grad, atol=2e-4, rtol=1e-3, msg=lambda m, key=key: f"{key}: {m}")


def _without_dropout(name: str) -> dict[str, float]:
    if name == "distilbert":
        return {"dropout": 0.0, "attention_dropout": 0.0}
    return {} if name.startswith("modernbert") else {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def test_dropout_is_on_in_training_also_in_the_layer_that_runs_at_the_slots() -> None:
    """One layer, and one rate above zero at a time: dropout of the attention, then of the states."""
    for name, rate in [(family, key) for family in ("bert", "albert", "distilbert") for key in _without_dropout(family)]:
        key = "n_layers" if name == "distilbert" else "num_hidden_layers"
        model = model_of(name, **{key: 1}, **{**_without_dropout(name), rate: 0.3})
        batch = batch_of(model)
        model.train()
        getattr(model.model, FAMILIES[name].encoder).embeddings.eval()  # their dropout alone would make two passes differ
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(0)
            assert not torch.equal(model.slot_hidden(batch), model.slot_hidden(batch)), (name, rate)
            model.eval()
            assert torch.equal(model.slot_hidden(batch), model.slot_hidden(batch)), (name, rate)


class _Largest(TorchDispatchMode):
    """The largest number of rows of any (..., width) array that is computed."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width, self.rows = width, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for found in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(found, torch.Tensor) and found.ndim > 1 and found.shape[-1] == self.width and "t." not in str(func):
                self.rows = max(self.rows, found.numel() // self.width)
        return out


@pytest.mark.parametrize("name", [*VARIANTS, *OTHERS])
def test_no_logits_are_made_outside_the_slots(name: str) -> None:
    model = model_of(name)
    batch = batch_of(model)
    with torch.no_grad():
        with _Largest(model.vocab_size) as seen:
            model.vocab_logits(model.slot_hidden(batch).flatten(0, 1))
        assert seen.rows == 8
        with _Largest(model.vocab_size) as seen:
            model.word_logits(model.slot_hidden(batch).flatten(0, 1), torch.tensor([0, 5]))
        assert seen.rows == 0
        with _Largest(model.vocab_size) as seen:
            reference(model, batch)
        assert seen.rows == 4 * 23, "the watch does not see what it is for"


def test_the_last_layer_runs_at_the_slots_only() -> None:
    model = model_of("bert")
    batch = batch_of(model)
    with torch.no_grad(), _Largest(48) as seen:  # 48: the feed-forward width
        model.slot_hidden(batch)
    assert seen.rows == int(batch.attention_mask.sum()) < 0.9 * 4 * 23  # and the layers before it at tokens, not at padding
    single = model_of("bert, one layer")
    with torch.no_grad(), _Largest(48) as seen:
        single.slot_hidden(batch)
    assert seen.rows == 4 * 2


def test_type_ids_go_only_where_the_family_has_them() -> None:
    changed = {}
    for name in ("bert", "albert", "electra", "roberta", "distilbert", "modernbert", "deberta-v2", "deberta with types"):
        model = model_of(name)
        batch = batch_of(model)
        plain = Batch(batch.input_ids, batch.attention_mask, torch.zeros_like(batch.input_ids), batch.slots)
        with torch.no_grad():
            changed[name] = not torch.equal(model.slot_hidden(batch), model.slot_hidden(plain))
    assert {name for name, differs in changed.items() if differs} == {"bert", "albert", "electra", "deberta with types"}


@pytest.mark.parametrize("name", ["bert", "albert", "distilbert", "modernbert"])
def test_states_at_positions_are_those_of_a_whole_pass(name: str) -> None:
    model = model_of(name)
    batch = batch_of(model)
    positions = np.array([0, 3, 22, 23 * 2, 23 * 2 + 15, 23 * 3 + 3])  # none in the second row
    with torch.no_grad():
        found = model.hidden_at(batch, positions)
        torch.testing.assert_close(found, model.hidden(batch).flatten(0, 1)[torch.from_numpy(positions)], **NEAR)
        assert model.hidden_at(batch, positions[:0]).shape == (0, 32)


def test_a_batch_without_slots_gives_no_states() -> None:
    model = model_of("bert")
    batch = batch_of(model, slots=0)
    assert model.slot_hidden(batch).shape == (4, 0, 32)


def test_another_attention_still_gives_the_right_states() -> None:
    model = model_of("bert")
    batch = batch_of(model)
    with torch.no_grad():
        wanted = model.slot_hidden(batch)
        model.model.set_attn_implementation("eager")
        torch.testing.assert_close(model.slot_hidden(batch), wanted, **NEAR)


def test_word_logits_keep_their_digits_under_autocast() -> None:
    model = model_of("bert")
    hidden, ids = torch.randn(3, 32, generator=torch.Generator().manual_seed(0)), torch.tensor([1, 9])
    with torch.no_grad():
        wanted = model.word_logits(hidden, ids)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(model.word_logits(hidden, ids), wanted)
            assert model.vocab_logits(hidden).dtype == torch.float32


def test_max_length_counts_the_positions_that_roberta_skips() -> None:
    assert model_of("bert").max_length == 512
    roberta = model_of("roberta")
    assert roberta.max_length == 514 - 2
    batch = batch_of(roberta, (roberta.max_length,), slots=1)
    with torch.no_grad():
        assert roberta.slot_hidden(batch).isfinite().all()
