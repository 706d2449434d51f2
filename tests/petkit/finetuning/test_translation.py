"""BART behind a new source encoder: what each stage trains, what the loss is, and a toy language that is learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForSeq2SeqLM, BartConfig, BartForConditionalGeneration
from transformers.models.bart.modeling_bart import BartEncoder

from petkit.errors import SettingsError
from petkit.finetuning.translation import Translator, new_translator, train_stage
from petkit.objectives import stream
from petkit.training import TrainSettings, seeded, train

WORDS, PAD, FOREIGN = 20, 1, 31
"""BART's words are 4 to 23; the foreign word of w is 30 - w + 4, in reverse order of the vocabulary."""


def bart() -> BartForConditionalGeneration:
    ends = {"pad_token_id": PAD, "bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2, "forced_eos_token_id": 2}
    sizes = {"d_model": 32, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_position_embeddings": 16}
    layers = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    with seeded(1, "bart"):
        return BartForConditionalGeneration(BartConfig(vocab_size=WORDS + 4, **ends, **sizes, **layers, dropout=0.0)).eval()


def batch(step: int, rows: int = 16) -> tuple[Tensor, Tensor, Tensor]:
    """Texts of 2 to 5 words and their translations, word by word."""
    rng = stream(3, "toy", step=step)
    lengths = torch.from_numpy(rng.integers(2, 6, rows))
    words = torch.from_numpy(rng.integers(4, 4 + WORDS, (rows, 5)))
    valid = torch.arange(5)[None] < lengths[:, None]
    labels = torch.full((rows, 6), -100)
    labels[:, :5][valid] = words[valid]
    labels[torch.arange(rows), lengths] = 2
    return torch.where(valid, 34 - words, 0), valid, labels


@pytest.fixture
def translator() -> Translator:
    return new_translator(bart(), vocabulary=FOREIGN, pad_id=0, layers=1, seed=2).eval()


def test_the_loss_is_the_cross_entropy_of_the_translation(translator: Translator) -> None:
    ids, valid, labels = batch(0)
    inputs = translator.source(input_ids=ids, attention_mask=valid.long()).last_hidden_state
    start = torch.cat([torch.full((16, 1), 2), labels[:, :-1]], dim=1).masked_fill(
        torch.cat([torch.zeros(16, 1), labels[:, :-1]], 1) == -100, PAD
    )
    logits = translator.bart(inputs_embeds=inputs, attention_mask=valid.long(), decoder_input_ids=start).logits
    expected = functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
    torch.testing.assert_close(translator(ids, valid, labels), expected)


def test_padding_changes_nothing(translator: Translator) -> None:
    ids, valid, labels = batch(0)
    wider = (functional.pad(ids, (0, 3)), functional.pad(valid, (0, 3)), labels)
    torch.testing.assert_close(translator(*wider), translator(ids, valid, labels))


def test_the_first_stage_trains_the_new_encoder_and_what_reads_it(translator: Translator) -> None:
    before = {name: value.clone() for name, value in translator.state_dict().items()}
    train_stage(translator, "encoder", batch, TrainSettings(steps=2, learning_rate=1e-2), seed=1)
    changed = {name for name, value in translator.state_dict().items() if not torch.equal(value, before[name])}
    first = "bart.model.encoder.layers.0.self_attn"
    own = [f"{first}.{part}_proj.{kind}" for part in "qkv" for kind in ("weight", "bias")]
    # a bias of the keys moves no attention
    expected = {name for name in before if name.startswith("source.")} | {"bart.model.encoder.embed_positions.weight", *own}
    assert changed <= expected
    assert {name for name in expected - changed} <= {name for name in expected if "k_proj.bias" in name}
    assert all(parameter.requires_grad for parameter in translator.parameters())
    train_stage(translator, "all", batch, TrainSettings(steps=1, learning_rate=1e-2), seed=1)
    assert not torch.equal(translator.state_dict()["bart.model.shared.weight"], before["bart.model.shared.weight"])


def test_the_parts_of_an_update_are_different_batches(translator: Translator) -> None:
    asked: list[int] = []

    def numbered(number: int) -> Any:
        asked.append(number)
        return batch(number)

    train_stage(translator, "all", numbered, TrainSettings(steps=2, learning_rate=1e-3, accumulate=3), seed=1)
    assert asked == list(range(6))


def test_both_parts_open_in_plain_transformers(translator: Translator, tmp_path: Path) -> None:
    translator.save(str(tmp_path))
    opened = Translator(AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "bart"), BartEncoder.from_pretrained(tmp_path / "source")).eval()
    torch.testing.assert_close(opened(*batch(0)), translator(*batch(0)))


def test_only_bart_is_taken(translator: Translator) -> None:
    with pytest.raises(SettingsError, match="this one is a gpt2"):
        new_translator(type("Other", (), {"config": type("C", (), {"model_type": "gpt2"})})(), vocabulary=9, pad_id=0)
    with pytest.raises(SettingsError, match="stage is 'some'; legal are encoder, all"):
        train_stage(translator, "some", batch, TrainSettings(steps=1), seed=1)  # type: ignore[arg-type]


class Copy(torch.nn.Module):
    """BART learning to write what it reads."""

    def __init__(self, own: BartForConditionalGeneration) -> None:
        super().__init__()
        self.bart = own

    def forward(self, step: int) -> dict[str, Tensor]:
        foreign, valid, labels = batch(step)
        ids = torch.where(valid, 34 - foreign, PAD)
        return {"loss": self.bart(input_ids=ids, attention_mask=valid.long(), labels=labels).loss}


@pytest.mark.slow
def test_a_toy_language_is_translated() -> None:
    """BART first learns its own language; then, behind a new encoder, it translates unseen texts word by word."""
    model = Copy(bart())
    train(model, lambda step, _: model(step), TrainSettings(steps=600, learning_rate=3e-3), seed=1, stage="copy")
    translator = new_translator(model.bart, vocabulary=FOREIGN, pad_id=0, layers=1, seed=2)
    first = train_stage(translator, "encoder", lambda step: batch(10_000 + step), TrainSettings(steps=400, learning_rate=3e-3), seed=1)
    train_stage(translator, "all", lambda step: batch(20_000 + step), TrainSettings(steps=100, learning_rate=1e-3), seed=1)
    ids, valid, labels = batch(99_999, rows=64)
    written = translator.translate(ids, valid, max_new_tokens=6, num_beams=2)[:, 1:]
    wanted = labels.masked_fill(labels == -100, PAD)
    right = functional.pad(written, (0, 6 - written.shape[1]), value=PAD)[:, :6] == wanted
    assert first.losses["loss"] < 1.5
    assert right[labels != -100].float().mean() > 0.9
