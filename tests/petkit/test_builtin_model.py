"""The builtin model: small enough, loaded by plain transformers, its head works, label words whole."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForMaskedLM, AutoTokenizer

from petkit.backbones import load_masked_lm, load_tokenizer
from petkit.backbones.headcheck import head_report
from petkit.builtin import label_words, model_path
from tests.builders import sentences


def test_all_of_it_takes_at_most_twelve_megabytes_in_half_precision() -> None:
    files = [path for path in model_path().rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 12_000_000
    assert {tensor.dtype for tensor in load_file(model_path() / "model.safetensors").values()} == {torch.float16}
    assert {path.suffix for path in files} == {".json", ".safetensors", ".md"}


def test_plain_transformers_loads_it() -> None:
    model, info = AutoModelForMaskedLM.from_pretrained(model_path(), output_loading_info=True, dtype=torch.float32)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert len(AutoTokenizer.from_pretrained(model_path())) == model.config.vocab_size


def test_every_english_label_word_of_the_ready_made_tasks_is_one_piece() -> None:
    tokenizer = load_tokenizer("builtin")
    split = {word: tokenizer.tokenize(word) for word in label_words() if len(tokenizer.tokenize(word)) != 1}
    assert not split
    assert {"sports", "business", "terrible", "great", "yes"} <= {word.lower() for word in label_words()}


@pytest.mark.wheel
def test_its_head_works() -> None:
    report = head_report(load_masked_lm("builtin"), sentences()[:100], tokenizer=load_tokenizer("builtin"))
    assert report.status == "trained", report


def test_the_card_says_how_it_was_made() -> None:
    card = (model_path() / "README.md").read_text()
    assert "petkit pretrain builtin:docs" in card
    assert "Moby Dick" in card
