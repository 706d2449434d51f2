"""What is measured on: news texts, or documentation texts where there are none, a tokenizer learnt from them, models without training."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from transformers import BertConfig, BertForMaskedLM

from petkit.backbones import MaskedLM
from petkit.builtin.docs import docstrings
from petkit.data import read_rows
from petkit.encoding import Encoder
from petkit.loading import load_task
from petkit.pretraining.wordpiece import train_wordpiece
from petkit.pvp import PVP, Task
from petkit.rows import Rows

__all__ = ["VOCABULARY", "Material", "bert", "gather"]

VOCABULARY: Final = 30_522
"""Words of the models: as many as BERT's. The tokenizer learns as many as the texts have; the model's further rows are never asked."""

_WORDS: Final = 60
_PACKAGES: Final = ("torch", "scipy", "sklearn", "transformers")


@dataclass(frozen=True)
class Material:
    """A text file, its N rows with a label each, the task, and a tokenizer."""

    file: Path
    origin: str
    rows: Rows
    task: Task
    tokenizer: Any

    @property
    def pvp(self) -> PVP:
        """The pattern and the words that are measured: the mask before the text."""
        return self.task.pvps[0]

    def encoder(self) -> Encoder:
        """A new encoder, which has seen no text yet."""
        return Encoder(self.tokenizer, max_length=256)

    def word_ids(self) -> list[list[int]]:
        """For each label the ids of its words."""
        return [[self.tokenizer.convert_tokens_to_ids(word.lower()) for word in words] for words in self.pvp.verbalizer.words]


def gather(folder: Path, *, rows: int, seed: int = 0) -> Material:
    """Read and draw the rows, write them to a file in ``folder``, train the tokenizer on all the texts there are."""
    task = load_task("ag_news")
    records, origin = _news() or _documentation()
    keep = [word for words in task.pvps[0].verbalizer.words for word in words]
    tokenizer = train_wordpiece([record["text"] for record in records], size=VOCABULARY, keep=keep)
    chosen = np.random.default_rng(seed).permutation(len(records))[:rows]
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(records[i]) + "\n" for i in chosen), encoding="utf-8")
    return Material(file, origin, read_rows(str(file), task, labels="required"), task, tokenizer)


def _news() -> tuple[list[dict[str, str]], str] | None:
    folder = Path(os.environ.get("PETKIT_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data") / "ag_news"
    files = [folder / name for name in ("train.jsonl", "test.jsonl")]
    if not all(file.is_file() for file in files):
        return None
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()], "ag_news"


def _documentation() -> tuple[list[dict[str, str]], str]:
    """First words of docstrings; their labels are those of the news task, in turn: speed does not depend on them."""
    labels = load_task("ag_news").labels
    texts = dict.fromkeys(" ".join(doc.text.split()[:_WORDS]) for package in _PACKAGES for doc in docstrings(package))
    return [{"text": text, "label": labels[i % len(labels)]} for i, text in enumerate(filter(None, texts))], "docstrings"


def bert(layers: int, hidden: int, *, dropout: float = 0.1, seed: int = 0) -> MaskedLM:
    """A BERT of ``VOCABULARY`` words with random weights, heads of 64, in evaluation mode."""
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        intermediate_size=4 * hidden,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MaskedLM(BertForMaskedLM(config).eval())
