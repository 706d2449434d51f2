"""Tiny checkpoints beyond masked language models, and files of rows, for the tests of fine-tuning."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from petkit.finetuning.kind import Job, Kind
from petkit.finetuning.models import open_config, open_tokenizer
from petkit.finetuning.settings import FinetuneSettings
from tests.builders import sentences, tiny_masked_lm, tokenizer

TEXTS = (
    "The old lighthouse keeper counted the waves.",
    "Rain.",
    "A committee of seven members met in March, and nobody took notes; the minutes were written from memory.",
    "Prices rose by 4.2 % in the first quarter.",
    "Whether the bridge would hold was a question that the engineers, all of them young, did not like to be asked.",
    "She sold the boat",
    "Two thirds of the voters stayed at home because of the snow, the radio said.",
    "Green tea, black tea, no sugar!",
    "It was the longest meeting that anyone in the village could remember, and it ended with a song about a goat.",
    "Nothing happened on Tuesday.",
    "The clock in the hall is three minutes fast, as it has always been.",
    "Who left the door open?",
)
"""Texts that do not change with the libraries, as ``tests.builders.sentences`` do."""

__all__ = ["TEXTS", "conll", "encoder", "job_for", "jsonl", "reader", "writer"]


@cache
def _gpt2_tokenizer() -> Any:
    """Byte-level BPE without padding, mask or separator, as GPT-2's."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=1000, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator(sentences(), trainer)
    state = json.loads(backend.to_str())["model"]
    merges: Any = [tuple(merge) for merge in state["merges"]]
    return transformers.GPT2Tokenizer(vocab=state["vocab"], merges=merges, model_max_length=128)


@cache
def _t5_tokenizer() -> Any:
    """Unigram pieces that end with </s>, as T5's."""
    backend = Tokenizer(models.Unigram())
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=300, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False)
    numbers = [f"{i}.{j}" for i in range(6) for j in range(10)] * 20
    backend.train_from_iterator([*sentences()[:60], *numbers], trainer)
    pieces = [(piece, score) for piece, score in json.loads(backend.to_str())["model"]["vocab"]]
    return transformers.T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=128)


def _saved(model: type[Any], config: Any, words: Any, folder: Path, seed: int) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model(config).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def reader(family: str, folder: Path, *, seed: int = 0) -> Path:
    """A causal model with random weights: gpt2, llama or qwen2."""
    words = _gpt2_tokenizer()
    common: dict[str, Any] = {"vocab_size": len(words), "bos_token_id": 0, "eos_token_id": 0}
    if family == "gpt2":
        config: Any = transformers.GPT2Config(**common, n_embd=32, n_layer=2, n_head=2, n_positions=128)
        return _saved(transformers.GPT2LMHeadModel, config, words, folder, seed)
    sizes: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2}
    name = {"llama": "Llama", "qwen2": "Qwen2"}[family]
    config = getattr(transformers, f"{name}Config")(**common, **sizes, intermediate_size=48, max_position_embeddings=128)
    return _saved(getattr(transformers, f"{name}ForCausalLM"), config, words, folder, seed)


def writer(family: str, folder: Path, *, seed: int = 0, **sizes: Any) -> Path:
    """A text-to-text model with random weights: t5 or bart."""
    if family == "t5":
        words = _t5_tokenizer()
        values = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2, **sizes}
        config: Any = transformers.T5Config(vocab_size=len(words), pad_token_id=0, eos_token_id=1, decoder_start_token_id=0, **values)
        return _saved(transformers.T5ForConditionalGeneration, config, words, folder, seed)
    words = tokenizer("bytelevel")
    ids = {"bos_token_id": words.bos_token_id, "pad_token_id": words.pad_token_id, "eos_token_id": words.eos_token_id}
    values = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    values |= {"encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "init_std": 0.3, **sizes}
    config = transformers.BartConfig(
        vocab_size=len(words), max_position_embeddings=128, decoder_start_token_id=ids["eos_token_id"],
        forced_eos_token_id=ids["eos_token_id"], **ids, **values,
    )  # fmt: skip
    return _saved(transformers.BartForConditionalGeneration, config, words, folder, seed)


def encoder(family: str, folder: Path, **config: Any) -> Path:
    """A masked language model of ``tests.builders``."""
    return tiny_masked_lm(family, folder, **config)


def job_for(kind: Kind[Any], model: Path, settings: FinetuneSettings, **facts: Any) -> Job:
    """The job of a kind on a checkpoint, its settings resolved."""
    path = str(model)
    return Job(open_config(path, kind.model_types), open_tokenizer(path), facts, settings.resolved(kind.name))


def jsonl(path: Path, rows: Sequence[dict[str, Any]]) -> str:
    """A file of JSON lines; its path."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(path)


def conll(path: Path, rows: Sequence[tuple[Sequence[str], Sequence[str]]]) -> str:
    """A file with a word and its tag per line; its path."""
    blocks = ("".join(f"{word}\t{tag}\n" for word, tag in zip(words, tags, strict=True)) for words, tags in rows)
    path.write_text("\n".join(blocks), "utf-8")
    return str(path)
