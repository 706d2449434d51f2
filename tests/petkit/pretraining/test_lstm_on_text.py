"""The bidirectional LSTM on real text: both directions learn, and a task's learned weights choose the layer that knows the answer."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from petkit.objectives import CausalBatch, Vocabulary, preset, stream
from petkit.pretraining.lstm import LstmConfig, LstmLearner, ScalarMix, new_lstm
from petkit.pretraining.wordpiece import train_wordpiece
from petkit.training import TrainSettings, train


@pytest.fixture(scope="module")
def pieces(data_dir: Path) -> tuple[np.ndarray[Any, Any], Vocabulary, Any]:
    """Rows (R, 32) of a novel, what the tokenizer says of its pieces, and the tokenizer."""
    text = (data_dir / "corpus" / "gutenberg_emma.txt").read_text("utf-8")[2000:402000]
    words = train_wordpiece(text.split("\n\n"), size=1000)
    ids = np.array(words(" ".join(text.split()), add_special_tokens=False, verbose=False)["input_ids"])
    return ids[: len(ids) // 32 * 32].reshape(-1, 32), Vocabulary.of(words), words


def causal(rows: np.ndarray[Any, Any], vocabulary: Vocabulary) -> CausalBatch:
    batch: CausalBatch = preset("causal").batch(rows, np.ones_like(rows, dtype=bool), vocabulary, stream(0))
    return batch


@pytest.fixture(scope="module")
def learned(pieces: Any) -> tuple[LstmLearner, dict[str, float], dict[str, float]]:
    """A learner trained on the first nine tenths of the rows, and held-out losses of both directions before and after."""
    rows, vocabulary, words = pieces
    kept = len(rows) * 9 // 10
    learner = LstmLearner(new_lstm(LstmConfig(len(words), width=64, dropout=0.0), seed=0))
    held = causal(rows[kept:][:128], vocabulary)

    def measured() -> dict[str, float]:
        figures = learner.score(held)
        return {name: figures[name][0] / figures[name][1] for name in ("forward", "backward")}

    def losses(step: int, micro: int) -> Any:
        batch = causal(rows[stream(0, "rows", step=step).integers(0, kept, size=32)], vocabulary)
        return learner(batch, learner.counts(batch))

    before = measured()
    train(learner, losses, TrainSettings(steps=150, learning_rate=1e-2, warmup=0.1), seed=0, stage="lstm")
    return learner, before, measured()


def chances_of_tokens(rows: np.ndarray[Any, Any]) -> float:
    """What a model that knew how common each token is, and nothing else, would score."""
    shares = np.bincount(rows.reshape(-1)) / rows.size
    return -float((shares[shares > 0] * np.log(shares[shares > 0])).sum())


@pytest.mark.slow
def test_held_out_loss_falls_in_both_directions(learned: Any, pieces: Any) -> None:
    _, before, after = learned
    for name in ("forward", "backward"):
        assert before[name] == pytest.approx(math.log(len(pieces[2])), rel=0.1)
        assert after[name] < chances_of_tokens(pieces[0]) - 0.5


def probe(learner: LstmLearner, rows: Any, labels: Any, *, steps: int = 150) -> tuple[Tensor, float, float]:
    """A mix and a linear classifier over frozen layers: shares of the layers, held-out accuracy, and that of the commonest label."""
    with torch.no_grad():
        states = learner.model(torch.from_numpy(rows), torch.full((len(rows),), rows.shape[1]))[:, :, 1:-1].flatten(1, 2)
    targets = torch.from_numpy(labels[:, 1:-1]).flatten().long()
    kept = len(targets) * 3 // 4
    torch.manual_seed(0)
    mix, classify = ScalarMix(len(states), normalise=True), nn.Linear(states.shape[-1], 2)
    optimizer = torch.optim.Adam([*mix.parameters(), *classify.parameters()], lr=0.03)
    for _ in range(steps):
        optimizer.zero_grad()
        functional.cross_entropy(classify(mix(states[:, :kept])), targets[:kept]).backward()
        optimizer.step()
    with torch.no_grad():
        right = classify(mix(states[:, kept:])).argmax(-1) == targets[kept:]
    return mix.shares.detach(), float(right.float().mean()), float(torch.bincount(targets[kept:]).max() / len(targets[kept:]))


@pytest.mark.slow
def test_learned_weights_choose_the_layer_that_knows_the_answer(learned: Any, pieces: Any) -> None:
    """What a token is stands in its embedding; what stands beside it was read by the layers above only."""
    rows, vocabulary, _ = pieces
    rows = rows[-200:]
    goes_on = ~vocabulary.starts_word[rows]
    beside = np.zeros_like(goes_on)
    beside[:, 1:-1] = goes_on[:, 2:]
    (own, own_accuracy, own_most), (near, near_accuracy, near_most) = (probe(learned[0], rows, labels) for labels in (goes_on, beside))
    assert own.argmax() == 0
    assert near.argmax() > 0
    assert own[0] > 1 / 3 > near[0] + 0.1
    assert own_accuracy > own_most + 0.1
    assert near_accuracy > near_most + 0.1
