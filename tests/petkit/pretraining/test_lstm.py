"""A bidirectional LSTM language model: each direction sees its side only, the loss is next-token cross-entropy, and layers are mixed."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from petkit.errors import ModelError, SettingsError
from petkit.objectives import IGNORED, CausalBatch, Vocabulary, preset, stream
from petkit.pretraining.lstm import LstmConfig, LstmLanguageModel, LstmLearner, ScalarMix, load_lstm, new_lstm

ROOT = Path(__file__).resolve().parents[3]
SHAPE: dict[str, Any] = {"vocabulary": 40, "width": 12, "layers": 3, "dropout": 0.0}
SHAPES = [SHAPE, {**SHAPE, "tied": False, "layers": 2}]


def batch_of(lengths: list[int], *, width: int | None = None, seed: int = 0) -> CausalBatch:
    """Random rows of 5 to 39, padded with 0 on the right."""
    width = width or max(lengths)
    valid = np.arange(width)[None, :] < np.array(lengths)[:, None]
    draws = stream(seed, "rows").integers(5, 40, size=(len(lengths), 64))[:, :width]
    return preset("causal").batch(np.where(valid, draws, 0), valid, _vocabulary(), stream(0))


def _vocabulary() -> Vocabulary:
    special = np.arange(40) < 5
    return Vocabulary(4, 0, special, ~special, special, np.flatnonzero(~special))


def learner_of(**shape: Any) -> LstmLearner:
    return LstmLearner(new_lstm(LstmConfig(**{**SHAPE, **shape}), seed=3)).eval()


def states_of(model: LstmLanguageModel, batch: CausalBatch) -> Tensor:
    with torch.no_grad():
        states: Tensor = model(torch.from_numpy(batch.inputs), torch.from_numpy(batch.valid.sum(1)))
    return states


def by_hand(model: LstmLanguageModel, row: Tensor, *, back: bool) -> Tensor:
    """The negative log-likelihoods of one row without padding, from the layers called one after the other."""
    row = row.flip(0) if back else row
    state = model.embedding(row)
    for depth, layer in enumerate(model.back if back else model.ahead):
        result, _ = layer(state[None])
        state = result[0] + (state if depth else 0)
    weight = model.embedding.weight if model.output is None else model.output.weight
    return -(state[:-1] @ weight.T + model.bias).log_softmax(-1)[torch.arange(len(row) - 1), row[1:]]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_loss_is_that_of_the_layers_called_by_hand(shape: dict[str, Any]) -> None:
    learner, batch = learner_of(**shape), batch_of([9, 4, 7])
    parts = learner(batch, learner.counts(batch))
    rows = [torch.from_numpy(ids[valid]) for ids, valid in zip(batch.inputs, batch.valid, strict=True)]
    ahead = torch.cat([by_hand(learner.model, row, back=False) for row in rows])
    back = torch.cat([by_hand(learner.model, row, back=True) for row in rows])
    assert len(ahead) == len(back) == 8 + 3 + 6
    torch.testing.assert_close(parts["forward"], ahead.mean())
    torch.testing.assert_close(parts["backward"], back.mean())
    torch.testing.assert_close(parts["loss"], (ahead.mean() + back.mean()) / 2)


def test_layers_are_those_of_a_stock_bidirectional_lstm_of_one_layer() -> None:
    model = new_lstm(LstmConfig(**{**SHAPE, "layers": 1}), seed=1).eval()
    stock = nn.LSTM(12, 12, batch_first=True, bidirectional=True)
    forward, backward = model.ahead[0].state_dict(), model.back[0].state_dict()
    stock.load_state_dict({**forward, **{f"{name}_reverse": value for name, value in backward.items()}})
    batch = batch_of([9, 4, 7])
    packed = nn.utils.rnn.pack_padded_sequence(
        model.embedding(torch.from_numpy(batch.inputs)), torch.tensor([9, 4, 7]), batch_first=True, enforce_sorted=False
    )
    expected, _ = nn.utils.rnn.pad_packed_sequence(stock(packed)[0], batch_first=True)
    torch.testing.assert_close(states_of(model, batch)[1], expected.detach())


@pytest.mark.parametrize("shape", SHAPES)
def test_more_padding_changes_nothing(shape: dict[str, Any]) -> None:
    learner, lengths = learner_of(**shape), [9, 4, 7]
    tight, wide = batch_of(lengths), batch_of(lengths, width=17)
    torch.testing.assert_close(states_of(learner.model, wide)[:, :, :9], states_of(learner.model, tight))
    assert not states_of(learner.model, wide)[:, :, 9:].any()
    assert learner.counts(tight) == learner.counts(wide) == {"forward": 17, "backward": 17}
    one, other = (learner(batch, learner.counts(batch))["loss"] for batch in (tight, wide))
    torch.testing.assert_close(one, other)


def test_what_the_padding_is_changes_nothing() -> None:
    learner, batch = learner_of(), batch_of([9, 4, 7])
    noisy = CausalBatch(np.where(batch.valid, batch.inputs, 17), batch.valid, batch.labels)
    assert torch.equal(states_of(learner.model, noisy), states_of(learner.model, batch))


@pytest.mark.parametrize("place", [0, 3, 8])
def test_a_token_is_seen_from_itself_on_to_the_right_and_to_the_left_only(place: int) -> None:
    model, batch = learner_of().model, batch_of([9])
    changed = batch.inputs.copy()
    changed[0, place] = 5 + (changed[0, place] - 4) % 35
    before, after = states_of(model, batch), states_of(model, CausalBatch(changed, batch.valid, changed))
    differs = (before != after)[1:, 0]
    ahead, back = differs[..., :12].any(-1), differs[..., 12:].any(-1)
    assert torch.equal(ahead, (torch.arange(9) >= place).expand(3, -1))  # so what is said of the tokens after it
    assert torch.equal(back, (torch.arange(9) <= place).expand(3, -1))  # and of those before it


def test_the_residual_connection_begins_with_the_second_layer() -> None:
    model, batch = learner_of().model, batch_of([6])
    with torch.no_grad():
        for layer in (*model.ahead[1:], *model.back[1:]):
            for weight in layer.parameters():
                weight.zero_()
    states = states_of(model, batch)
    assert torch.equal(states[2], states[1])
    assert torch.equal(states[3], states[1])
    assert not torch.equal(states[1], states[0])


def test_labels_that_are_ignored_are_no_targets() -> None:
    learner, batch = learner_of(), batch_of([6])
    labels = batch.labels.copy()
    labels[0, 2:5] = IGNORED
    part = CausalBatch(batch.inputs, batch.valid, labels)
    assert learner.counts(part) == {"forward": 2, "backward": 3 - 1}
    parts = learner(part, learner.counts(part))
    row = torch.from_numpy(batch.inputs[0])
    torch.testing.assert_close(parts["forward"], by_hand(learner.model, row, back=False)[[0, 4]].mean())
    torch.testing.assert_close(parts["backward"], by_hand(learner.model, row, back=True)[[3, 4]].mean())


def test_counts_of_a_larger_batch_make_its_parts_add_up() -> None:
    learner, whole = learner_of(), batch_of([9, 4, 7, 8])
    counts = learner.counts(whole)
    halves = [CausalBatch(whole.inputs[rows], whole.valid[rows], whole.labels[rows]) for rows in (slice(0, 2), slice(2, 4))]
    torch.testing.assert_close(sum(learner(half, counts)["loss"] for half in halves), learner(whole, counts)["loss"])


def test_rows_of_one_token_have_loss_0_and_a_gradient() -> None:
    learner, batch = learner_of(), batch_of([1, 1])
    parts = learner(batch, learner.counts(batch))
    assert {name: value.item() for name, value in parts.items()} == {"loss": 0, "forward": 0, "backward": 0}
    parts["loss"].backward()
    assert learner.model.embedding.weight.grad is not None


def test_the_score_is_the_loss_summed_and_knows_no_dropout() -> None:
    learner, batch = learner_of(dropout=0.5).train(), batch_of([9, 4, 7])
    figures = learner.score(batch)
    assert learner.training
    assert learner.model.dropout.training
    assert figures == learner.score(batch)
    parts = learner.eval()(batch, learner.counts(batch))
    assert not parts["forward"].requires_grad
    for name in ("forward", "backward"):
        assert figures[name] == (pytest.approx(float(parts[name]) * 17), 17)
        right, count = figures[f"{name}_accuracy"]
        assert (0 <= right <= 17, count) == (True, 17)


def test_padding_on_the_left_is_refused() -> None:
    learner, batch = learner_of(), batch_of([4, 6])
    with pytest.raises(ValueError, match="padding on the right"):
        learner(CausalBatch(batch.inputs, batch.valid[:, ::-1].copy(), batch.labels), {"forward": 1, "backward": 1})


@pytest.mark.parametrize("shape", SHAPES)
def test_a_saved_model_is_opened_as_it_was(shape: dict[str, Any], tmp_path: Path) -> None:
    learner, batch = learner_of(**shape), batch_of([9, 4])
    learner.save(str(tmp_path / "new" / "model"), half=False)
    again = load_lstm(str(tmp_path / "new" / "model"))
    assert again.config == learner.model.config
    assert torch.equal(states_of(again, batch), states_of(learner.model, batch))
    assert LstmLearner(again).score(batch) == learner.score(batch)


def test_half_precision_is_saved_where_asked(tmp_path: Path) -> None:
    learner, batch = learner_of(), batch_of([9, 4])
    learner.save(tmp_path, half=True)
    assert {tensor.dtype for tensor in load_file(tmp_path / "model.safetensors").values()} == {torch.float16}
    torch.testing.assert_close(states_of(load_lstm(tmp_path), batch), states_of(learner.model, batch), atol=1e-2, rtol=1e-2)


def test_other_folders_and_shapes_are_refused(tmp_path: Path) -> None:
    learner_of().save(tmp_path)
    config = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(config.replace('"width": 12', '"width": 13'))
    with pytest.raises(ModelError, match="do not fit"):
        load_lstm(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelError, match="model type 'bert'"):
        load_lstm(tmp_path)
    with pytest.raises(ModelError, match=r"has no config.json that can be read"):
        load_lstm(tmp_path / "missing")
    with pytest.raises(SettingsError, match=r"(?s)4 problems.*width is 0; at least 1"):
        LstmConfig(vocabulary=1, width=0, layers=0, dropout=1.0)


def test_a_mix_is_gamma_times_the_weighted_sum() -> None:
    mix, states = ScalarMix(3), torch.randn(3, 2, 5, 4)
    torch.testing.assert_close(mix(states), states.mean(0))
    with torch.no_grad():
        mix.weights.copy_(torch.tensor([0.0, math.log(2), math.log(3)]))
        mix.gamma.fill_(0.5)
    torch.testing.assert_close(mix(states), 0.5 * (states[0] + 2 * states[1] + 3 * states[2]) / 6)
    torch.testing.assert_close(mix.shares, torch.tensor([1.0, 2.0, 3.0]) / 6)


def test_the_same_seed_gives_the_same_model_and_another_one_another() -> None:
    one, same, other = (new_lstm(LstmConfig(**SHAPE), seed=seed).embedding.weight for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.slow
def test_model_and_objective_work_where_transformers_is_missing() -> None:
    """The module by its file, since its package opens checkpoints too."""
    script = f"""
import importlib.util, sys
sys.modules["transformers"] = None
spec = importlib.util.spec_from_file_location("lstm", {str(ROOT / "petkit" / "pretraining" / "lstm.py")!r})
lstm = importlib.util.module_from_spec(spec); sys.modules["lstm"] = lstm
spec.loader.exec_module(lstm)
import numpy as np
from petkit.objectives import preset
learner = lstm.LstmLearner(lstm.new_lstm(lstm.LstmConfig(20, width=8), seed=0))
ids = np.arange(12).reshape(2, 6)
batch = preset("causal").batch(ids, np.ones_like(ids, dtype=bool), None, None)
learner(batch, learner.counts(batch))["loss"].backward()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
