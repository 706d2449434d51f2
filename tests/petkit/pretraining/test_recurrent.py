"""Segments with memory: read piece by piece a text is what it is at once, as far as the memory reaches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import BertConfig, BertForMaskedLM, GPT2Config, GPT2LMHeadModel, XLNetConfig, XLNetLMHeadModel

from petkit.errors import ModelError, SettingsError
from petkit.objectives import IGNORED, CausalBatch, Vocabulary, preset, stream
from petkit.pretraining.recurrent import RecurrentLearner, read_segments, stream_batches
from petkit.training import autocast, seeded

SHAPE: dict[str, Any] = {"vocab_size": 40, "d_model": 16, "n_layer": 3, "n_head": 2, "d_inner": 24}
END = 4
ORDINARY = np.arange(40) >= 5
VOCABULARY = Vocabulary(None, 0, ~ORDINARY, ORDINARY, ~ORDINARY, np.flatnonzero(ORDINARY), eos_id=END)


def xlnet(**changes: Any) -> Any:
    with seeded(0, "xlnet"):
        model = XLNetLMHeadModel(XLNetConfig(**{**SHAPE, "dropout": 0.0, "summary_last_dropout": 0.0, **changes})).eval()
        for weight in model.parameters():  # the usual 0.02 leaves attention almost even
            if weight.ndim > 1:
                torch.nn.init.normal_(weight, std=0.2)
    return model


def rows_of(count: int, length: int, *, seed: int = 0) -> Tensor:
    return torch.from_numpy(stream(seed, "rows").integers(5, 40, size=(count, length)))


def batch_of(ids: Tensor | np.ndarray[Any, Any], valid: np.ndarray[Any, Any] | None = None) -> CausalBatch:
    ids = np.asarray(ids)
    valid = np.ones(ids.shape, dtype=bool) if valid is None else valid
    return CausalBatch(ids, valid, np.where(valid, ids, IGNORED))


def learner_of(model: Any, **options: Any) -> RecurrentLearner:
    return RecurrentLearner(preset("causal"), model, VOCABULARY, **options).eval()


def read(model: Any, ids: Tensor, **options: Any) -> Tensor:
    with torch.no_grad():
        hidden, _ = read_segments(model.transformer, ids, torch.ones_like(ids, dtype=torch.bool), **options)
    return hidden


def at_once(model: Any, ids: Tensor) -> Tensor:
    """What plain transformers computes of the whole row where a mask, its own or one that is given, hides what comes later."""
    later = torch.ones((ids.shape[1], ids.shape[1])).triu(1).expand(len(ids), -1, -1)
    mask = None if model.config.attn_type == "uni" else later
    with torch.no_grad():
        hidden: Tensor = model.transformer(ids, perm_mask=mask).last_hidden_state
    return hidden


def in_chunks(model: Any, ids: Tensor, length: int) -> Tensor:
    """What plain transformers computes where it hands its own memory on. A mask for each chunk; the memory is seen by all."""
    outputs, mems = [], None
    with torch.no_grad():
        for chunk in ids.split(length, dim=1):
            later = torch.ones((chunk.shape[1], chunk.shape[1])).triu(1).expand(len(ids), -1, -1)
            output = model.transformer(chunk, perm_mask=later, mems=mems, use_mems=True)
            mems = output.mems
            outputs.append(output.last_hidden_state)
    return torch.cat(outputs, dim=1)


@pytest.mark.parametrize("kind", ["bi", "uni"])
@pytest.mark.parametrize("segment", [1, 4, 5, 13, 20])
def test_segments_equal_the_whole_where_the_memory_holds_all(kind: str, segment: int) -> None:
    model, ids = xlnet(attn_type=kind), rows_of(3, 13)
    torch.testing.assert_close(read(model, ids, segment=segment, memory=13), at_once(model, ids), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("memory", [1, 3, 4, 7])
def test_a_shorter_memory_is_that_of_plain_transformers_and_not_the_whole(memory: int) -> None:
    model, ids = xlnet(mem_len=memory), rows_of(3, 16)
    segments = read(model, ids, segment=4, memory=memory)
    torch.testing.assert_close(segments, in_chunks(model, ids, 4), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(segments, at_once(model, ids), atol=1e-3)


def test_without_memory_every_segment_is_a_text_of_its_own() -> None:
    model, ids = xlnet(), rows_of(2, 12)
    alone = torch.cat([at_once(model, part) for part in ids.split(4, dim=1)], dim=1)
    torch.testing.assert_close(read(model, ids, segment=4, memory=0), alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("memory", "reach"), [(2, 9), (4, 11), (20, 15)])
def test_a_change_is_felt_later_only_and_as_far_as_the_memory_hands_it_on(memory: int, reach: int) -> None:
    """Of three layers in segments of 4, each hands a change on by what is left of the segment, and by the memory into the next one."""
    model, ids = xlnet(), rows_of(1, 16)
    changed = ids.clone()
    changed[0, 3] = 5 + (ids[0, 3] - 4) % 35
    before, after = (read(model, rows, segment=4, memory=memory) for rows in (ids, changed))
    felt = (before != after)[0].any(-1).nonzero().flatten()
    assert felt[0] == 3
    assert felt[-1] >= reach
    assert (felt.diff() == 1).all()


def test_relative_positions_beyond_the_clamp_look_alike() -> None:
    model, ids = xlnet(clamp_len=3), rows_of(2, 12)
    torch.testing.assert_close(read(model, ids, segment=4, memory=12), at_once(model, ids), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(at_once(model, ids), at_once(xlnet(), ids), atol=1e-3)


def test_no_gradient_flows_through_the_memory() -> None:
    model, ids = xlnet(), torch.arange(5, 17)[None]
    hidden, kept = read_segments(model.transformer, ids, torch.ones_like(ids, dtype=torch.bool), segment=4, memory=8)
    assert not kept.states.requires_grad
    hidden[:, 8:].pow(3).sum().backward()
    moved = model.transformer.word_embedding.weight.grad.abs().sum(1).nonzero().flatten()
    assert moved.tolist() == ids[0, 8:].tolist()


@pytest.mark.parametrize(("segment", "memory"), [(3, 11), (4, 11), (11, 0)])
def test_a_document_sees_nothing_of_the_one_before(segment: int, memory: int) -> None:
    """Each document as if it stood alone, rows parted at places of their own, the end token with the document that it ends."""
    model, ids = xlnet(), rows_of(2, 11)
    ids[0, 4], ids[1, 6] = END, END
    segments = read(model, ids, segment=segment, memory=memory, end_id=END)
    for row, cut in ((0, 5), (1, 7)):
        for part in (slice(0, cut), slice(cut, 11)):
            torch.testing.assert_close(segments[row : row + 1, part], at_once(model, ids[row : row + 1, part]), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(segments, read(model, ids, segment=segment, memory=memory), atol=1e-3)


def test_a_document_goes_on_across_calls_and_a_new_one_begins_there() -> None:
    model, ids = xlnet(), rows_of(2, 12)
    ids[0, 5] = END  # the last token of the first call; row 1 goes on
    valid = torch.ones_like(ids, dtype=torch.bool)
    options: dict[str, Any] = {"segment": 4, "memory": 12, "end_id": END}
    with torch.no_grad():
        first, kept = read_segments(model.transformer, ids[:, :6], valid[:, :6], **options)
        second, _ = read_segments(model.transformer, ids[:, 6:], valid[:, 6:], kept=kept, **options)
    torch.testing.assert_close(torch.cat([first, second], 1), read(model, ids, **options), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(second[:1], at_once(model, ids[:1, 6:]), atol=1e-5, rtol=1e-5)


# The learner


def test_the_loss_is_that_of_the_whole_rows_logits() -> None:
    model, ids = xlnet(), rows_of(3, 13)
    learner, batch = learner_of(model, segment=4, memory=12), batch_of(ids)
    logits = model.lm_loss(at_once(model, ids))
    expected = functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    parts = learner(batch, learner.counts(batch))
    assert learner.counts(batch) == {"causal": 36}
    torch.testing.assert_close(parts["loss"], expected)
    torch.testing.assert_close(parts["causal"], expected)
    figures = learner.score(batch)
    assert figures["causal"] == (pytest.approx(expected.item() * 36, rel=1e-5), 36)
    assert figures["causal_accuracy"] == (float((logits[:, :-1].argmax(-1) == ids[:, 1:]).sum()), 36)


def test_bfloat16_gives_about_the_same_loss() -> None:
    learner, batch = learner_of(xlnet(), segment=4, memory=12), batch_of(rows_of(3, 13))
    exact = learner(batch, learner.counts(batch))["loss"]
    with autocast(learner.device, "bfloat16"):
        rough = learner(batch, learner.counts(batch))["loss"]
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, exact, rtol=0.05, atol=0)


def test_padding_is_neither_target_nor_seen() -> None:
    model, ids = xlnet(), rows_of(2, 13)
    valid = np.arange(13) < np.array([[13], [6]])
    learner, batch = learner_of(model, segment=4, memory=12), batch_of(ids, valid)
    whole, short = (at_once(model, rows) for rows in (ids[:1], ids[1:, :6]))
    terms = [
        functional.cross_entropy(model.lm_loss(h[0, :-1]), rows[0, 1:], reduction="sum") for h, rows in ((whole, ids), (short, ids[1:, :6]))
    ]
    torch.testing.assert_close(learner(batch, learner.counts(batch))["loss"], sum(terms) / 17)


def test_a_batch_without_targets_has_loss_0_and_a_gradient() -> None:
    learner, batch = learner_of(xlnet(), segment=4, memory=4), batch_of(rows_of(2, 5), np.arange(5) < np.array([[1], [1]]))
    loss = learner(batch, learner.counts(batch))["loss"]
    assert loss.item() == 0
    loss.backward()
    assert learner.model.transformer.word_embedding.weight.grad is not None


def test_losses_of_a_carried_stream_add_up_to_that_of_the_whole_text() -> None:
    model, ids = xlnet(), rows_of(2, 13)
    chunks = stream_batches(ids.numpy().reshape(-1), rows=2, length=5)
    carried = learner_of(model, segment=4, memory=12, carry=True)
    parts = [carried(batch_of(chunks[step]), {"causal": 24})["loss"] for step in range(len(chunks))]
    whole = learner_of(model, segment=13, memory=0)
    torch.testing.assert_close(sum(parts), whole(batch_of(ids), {"causal": 24})["loss"])


def test_the_score_leaves_the_carried_memory_alone() -> None:
    ids = rows_of(2, 13)
    learner = learner_of(xlnet(), segment=4, memory=8, carry=True)
    learner(batch_of(ids), {"causal": 24})
    before = learner.state()
    learner.score(batch_of(rows_of(3, 9, seed=1)))
    assert all(torch.equal(before[name], value) for name, value in learner.state().items())
    learner.clear()
    assert learner.state() == {}


def test_a_resumed_stream_gives_the_same_losses_and_weights() -> None:
    chunks = stream_batches(stream(1, "text").integers(4, 40, size=200), rows=3, length=9)

    def fresh() -> tuple[RecurrentLearner, torch.optim.Optimizer]:
        learner = learner_of(xlnet(dropout=0.1), segment=4, memory=6, apart=True, carry=True).train()
        return learner, torch.optim.SGD(learner.parameters(), lr=0.1)

    def run(learner: RecurrentLearner, optimizer: torch.optim.Optimizer, steps: range) -> list[float]:
        losses = []
        for step in steps:
            batch = batch_of(chunks[step])
            with seeded(0, "dropout", step):
                loss = learner(batch, learner.counts(batch))["loss"]
                loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        return losses

    undisturbed, resumed = fresh(), fresh()
    expected = run(*undisturbed, range(6))
    stopped = fresh()
    begun = run(*stopped, range(3))
    resumed[0].load_state_dict(stopped[0].state_dict())
    resumed[0].restore({name: value.clone() for name, value in stopped[0].state().items()})
    assert begun + run(*resumed, range(3, 6)) == expected
    for one, other in zip(undisturbed[0].parameters(), resumed[0].parameters(), strict=True):
        assert torch.equal(one, other)
    forgotten = fresh()
    forgotten[0].load_state_dict(stopped[0].state_dict())
    run(*forgotten, range(3, 6))
    assert not torch.equal(forgotten[0].model.lm_loss.weight, undisturbed[0].model.lm_loss.weight)


def test_plain_transformers_opens_what_is_saved_and_hands_its_memory_on(tmp_path: Path) -> None:
    model, ids = xlnet(attn_type="bi"), rows_of(2, 16)
    learner_of(model, segment=4, memory=6).save(tmp_path, half=False)
    again = XLNetLMHeadModel.from_pretrained(tmp_path).eval()
    assert (again.config.attn_type, again.config.mem_len) == ("uni", 6)
    outputs, mems = [], None
    with torch.no_grad():
        for chunk in ids.split(4, dim=1):
            output = again(chunk, mems=mems)
            mems = output.mems
            outputs.append(output.logits)
        expected = model.lm_loss(read(model, ids, segment=4, memory=6))
    torch.testing.assert_close(torch.cat(outputs, 1), expected, atol=1e-5, rtol=1e-5)


def test_half_precision_is_saved_where_asked_and_the_model_stays(tmp_path: Path) -> None:
    model = xlnet()
    learner_of(model, segment=4, memory=6).save(tmp_path, half=True)
    assert XLNetLMHeadModel.from_pretrained(tmp_path, dtype="auto").lm_loss.weight.dtype == torch.float16
    assert model.lm_loss.weight.dtype == torch.float32


def test_other_models_numbers_and_rows_are_refused() -> None:
    bert = BertForMaskedLM(BertConfig(vocab_size=40, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8))
    with pytest.raises(ModelError, match="need an XLNet model"):
        learner_of(bert, segment=4, memory=4)
    with pytest.raises(SettingsError, match=r"(?s)segment is 0.*memory is -1"):
        learner_of(xlnet(), segment=0, memory=-1)
    learner = learner_of(xlnet(), segment=4, memory=4, carry=True)
    learner(batch_of(rows_of(2, 6)), {"causal": 10})
    with pytest.raises(ValueError, match="the memory is of 2 rows, the batch of 3"):
        learner(batch_of(rows_of(3, 6)), {"causal": 15})


# The same of a model that carries keys and values


@pytest.mark.parametrize("length", [1, 4, 7])
def test_gpt2_in_chunks_with_carried_keys_and_values_equals_the_whole(length: int) -> None:
    with seeded(0, "gpt2"):
        model = GPT2LMHeadModel(GPT2Config(vocab_size=40, n_embd=16, n_layer=3, n_head=2, n_positions=32)).eval()
    ids, outputs, past = rows_of(3, 14), [], None
    with torch.no_grad():
        for chunk in ids.split(length, dim=1):
            output = model(chunk, past_key_values=past, use_cache=True)
            past = output.past_key_values
            outputs.append(output.logits)
        torch.testing.assert_close(torch.cat(outputs, dim=1), model(ids).logits, atol=1e-5, rtol=1e-5)
