"""Encoders, models and rows for tests of label scores: texts that are numbers, models that are tables or tiny."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from petkit.backbones import MaskedLM
from petkit.batching import Batch
from petkit.encoding import WordGap
from petkit.encoding.encoded import Encoded
from petkit.pvp import PVP, Pattern, Verbalizer
from petkit.rows import Rows
from tests import builders

CLS, SEP, MASK, PAD, UNK, VOCAB = 1, 2, 3, 4, 6, 40


class NumberEncoder:
    """An encoder for texts that are numbers: the cloze is [CLS] text gap text [SEP], the word "7+9" is the tokens 7 and 9."""

    joining = "string"
    pad_id, mask_id, special_ids = PAD, MASK, frozenset({CLS, SEP, MASK, PAD, UNK})

    def __init__(self, changed: Callable[[str, Mapping[str, str]], str] = lambda word, row: word) -> None:
        self.changed, self.asked = changed, list[int]()

    def clozes(self, rows: Rows, pattern: Pattern, *, masks: int = 1, filler: str) -> Encoded:
        self.asked.append(masks)
        assert len(filler.split("+")) == masks, "the filler stands for the words of this length"
        texts = [[int(token) for token in text.split()] for text in rows.fields["text"]]
        halves = [len(text) // 2 for text in texts]
        ids = [[CLS, *t[:h], *[MASK] * masks, *t[h:], SEP] for t, h in zip(texts, halves, strict=True)]
        return Encoded.of(ids, slots=[list(range(1 + h, 1 + h + masks)) for h in halves])

    def word_gap(self, pattern: Pattern, words: Sequence[str], row: Mapping[str, str]) -> WordGap:
        return WordGap([tuple(int(token) for token in self.changed(word, row).split("+") if token) for word in words], [])


class TableLM(torch.nn.Module):
    """A masked LM by table: tokens at the slots (None where masked) -> for each slot {token: probability}; the rest shares what is left.

    A hidden state is the number of a distribution. It counts its passes and their rows.
    """

    vocab_size, device = VOCAB, torch.device("cpu")

    def __init__(self, table: Mapping[tuple[int | None, ...], Sequence[Mapping[int, float]]]) -> None:
        super().__init__()
        self.table, self.logits, self.passes = table, list[list[float]](), list[int]()

    def slot_hidden(self, batch: Batch) -> Tensor:
        found = batch.input_ids.gather(1, batch.slots)
        self.passes.append(len(found))
        keys = [tuple(None if token == MASK else token for token in row) for row in found.tolist()]
        return torch.tensor([[[float(self._number(spread))] for spread in self.table[key]] for key in keys])

    def _number(self, spread: Mapping[int, float]) -> int:
        rest = (1 - sum(spread.values())) / (VOCAB - len(spread))
        self.logits.append([math.log(spread.get(token, rest)) + 5 for token in range(VOCAB)])  # logits are log p up to a constant
        return len(self.logits) - 1

    def vocab_logits(self, hidden: Tensor) -> Tensor:
        return torch.tensor(self.logits)[hidden[:, 0].long()]

    def word_logits(self, hidden: Tensor, ids: Tensor) -> Tensor:
        return self.vocab_logits(hidden)[:, ids]


def rows_of(*texts: str) -> Rows:
    return Rows(ids=tuple(f"r{i}" for i in range(len(texts))), fields={"text": texts})


def pvp_of(**words: str | tuple[str, ...]) -> PVP:
    return PVP(Pattern("{text} {mask}"), Verbalizer(words))


VOCAB_OF_MODEL = 60


def tiny(family: str = "bert") -> MaskedLM:
    """A random model, its weights large enough that words and rows differ."""
    extra = {"pad_token_id": PAD, "bos_token_id": CLS, "eos_token_id": SEP}
    model = builders.random_masked_lm(family, vocab_size=VOCAB_OF_MODEL, **extra)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return MaskedLM(model)


def some_rows(count: int, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    return rows_of(*(" ".join(map(str, rng.integers(7, VOCAB_OF_MODEL, rng.integers(1, 20)))) for _ in range(count)))


MANY = {"a": ("10", "11+12"), "b": ("13+14+15", "13+16+15", "20"), "c": "11+17", "d": "0+10+11+12"}
