"""Long texts as streams of rows that go on from chunk to chunk, and what a model learns of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import XLNetConfig, XLNetLMHeadModel

from petkit.errors import DataError, SettingsError
from petkit.objectives import CausalBatch, Vocabulary, preset
from petkit.pretraining.recurrent import RecurrentLearner, stream_batches
from petkit.pretraining.wordpiece import train_wordpiece
from petkit.training import TrainSettings, seeded, train


def batch_of(ids: np.ndarray[Any, Any]) -> CausalBatch:
    return CausalBatch(ids, np.ones(ids.shape, dtype=bool), ids)


def test_every_row_goes_on_where_it_ended_and_no_target_is_lost() -> None:
    text = np.arange(100, 131, dtype=np.uint16)
    chunks = stream_batches(text, rows=3, length=4)
    assert len(chunks) == 3
    assert chunks[0].tolist() == [[100, 101, 102, 103], [110, 111, 112, 113], [120, 121, 122, 123]]
    assert chunks[0].dtype == np.int64
    for step in range(1, 3):
        assert np.array_equal(chunks[step][:, 0], chunks[step - 1][:, -1])
    said = np.concatenate([chunks[step][:, 1:] for step in range(3)], axis=1)
    assert np.array_equal(said, text[:30].reshape(3, 10)[:, 1:])
    for step in (-1, 3):
        with pytest.raises(IndexError):
            chunks[step]


def test_streams_are_cut_out_of_a_memory_map(tmp_path: Path) -> None:
    np.arange(50, dtype=np.uint16).tofile(tmp_path / "ids")
    chunks = stream_batches(np.memmap(tmp_path / "ids", dtype=np.uint16, mode="r"), rows=2, length=5)
    assert chunks[1].tolist() == [[4, 5, 6, 7, 8], [29, 30, 31, 32, 33]]


def test_impossible_streams_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"(?s)rows is 0.*length is 1"):
        stream_batches(np.arange(9), rows=0, length=1)
    with pytest.raises(DataError, match="the text has 9 tokens; 3 rows of 4 need 12"):
        stream_batches(np.arange(9), rows=3, length=4)


@pytest.mark.slow
def test_held_out_loss_falls_and_memory_helps(data_dir: Path) -> None:
    """The same short segments, once with and once without what came before them."""
    text = (data_dir / "corpus" / "gutenberg_emma.txt").read_text("utf-8")[2000:402000]
    words = train_wordpiece(text.split("\n\n"), size=1000)
    ids = np.array(words(" ".join(text.split()), add_special_tokens=False, verbose=False)["input_ids"])
    kept, held = ids[:-4100], batch_of(ids[-4096:].reshape(32, 128))
    shape: dict[str, Any] = {"vocab_size": len(words), "d_model": 64, "n_layer": 1, "n_head": 2, "d_inner": 256, "dropout": 0.0}
    with seeded(0, "weights"):
        model = XLNetLMHeadModel(XLNetConfig(**shape, initializer_range=0.05))
    vocabulary, causal = Vocabulary.of(words), preset("causal")
    learner, alone = (RecurrentLearner(causal, model, vocabulary, segment=8, memory=memory, carry=memory > 0) for memory in (48, 0))
    chunks = stream_batches(kept, rows=32, length=33)

    def losses(step: int, micro: int) -> Any:
        batch = batch_of(chunks[step])
        return learner(batch, learner.counts(batch))

    before = learner.score(held)["causal"]
    train(learner, losses, TrainSettings(steps=len(chunks), learning_rate=1e-2, warmup=0.1), seed=0, stage="recurrent")
    after, without = learner.score(held)["causal"], alone.score(held)["causal"]
    assert before[1] == after[1] == without[1] == 32 * 127
    assert after[0] / after[1] < before[0] / before[1] - 2
    assert after[0] / after[1] < without[0] / without[1] - 0.05
