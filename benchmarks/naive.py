"""The classic way, written out plainly: what petkit is measured against.

It does what the first implementation of pattern-exploiting training does, step by step, and no worse than that:
each part of each cloze is tokenised by itself; every row is padded to the maximum length; the model gives logits of the whole
vocabulary at every position; label scores are picked out row by row; AdamW is torch's default one. It has what current
libraries give anybody without being asked: fast tokenizers, scaled-dot-product attention, no gradients while labelling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from petkit.pvp import MASK, PVP, SEGMENT_BREAK, Text
from petkit.rows import Rows

__all__ = ["Features", "encode", "evaluate", "make_optimizer", "mask_tokens", "train_step"]

_IGNORED = -100


@dataclass(frozen=True)
class Features:
    """N padded rows, all (N, T) int64; ``mlm_labels`` is 1 at the mask and -1 elsewhere."""

    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor
    mlm_labels: Tensor

    def __len__(self) -> int:
        return len(self.input_ids)

    def __getitem__(self, rows: slice | Tensor) -> Features:
        return Features(self.input_ids[rows], self.attention_mask[rows], self.token_type_ids[rows], self.mlm_labels[rows])

    def longest(self) -> Features:
        """Without the columns that are padding in every row."""
        width = int(self.attention_mask.sum(1).max())
        return Features(*(t[:, :width] for t in (self.input_ids, self.attention_mask, self.token_type_ids, self.mlm_labels)))

    def inputs(self) -> dict[str, Tensor]:
        """What the model is called with."""
        return {"input_ids": self.input_ids, "attention_mask": self.attention_mask, "token_type_ids": self.token_type_ids}


def encode(tokenizer: Any, rows: Rows, pvp: PVP, *, max_length: int = 256) -> Features:
    """Tokenise row by row and part by part, shorten token by token, add special tokens, pad to ``max_length``."""
    encoded = [_encode_row(tokenizer, pvp.pattern.parts(rows.row(i)), max_length) for i in range(len(rows))]
    return Features(*(torch.tensor([row[column] for row in encoded]) for column in range(4)))


def _encode_row(tokenizer: Any, parts: Sequence[Any], max_length: int) -> tuple[list[int], list[int], list[int], list[int]]:
    segments: list[list[tuple[list[int], bool]]] = [[]]
    for part in parts:
        if part is SEGMENT_BREAK:
            segments.append([])
        elif part is MASK:
            segments[-1].append(([tokenizer.mask_token_id], False))
        else:
            text = part.text if isinstance(part, Text) else part
            ids = tokenizer.encode(text, add_special_tokens=False)
            segments[-1].append((ids, isinstance(part, Text) and part.shorten))
    _shorten(segments, max_length - (3 if len(segments) == 2 else 2))
    joined = [[token for ids, _ in segment for token in ids] for segment in segments]
    cls, sep = [tokenizer.cls_token_id], [tokenizer.sep_token_id]
    ids = cls + joined[0] + sep + (joined[1] + sep if len(joined) == 2 else [])
    types = [0] * (len(joined[0]) + 2) + ([1] * (len(joined[1]) + 1) if len(joined) == 2 else [])
    padding = max_length - len(ids)
    mlm_labels = [-1] * max_length
    mlm_labels[ids.index(tokenizer.mask_token_id)] = 1
    return ids + [tokenizer.pad_token_id] * padding, [1] * len(ids) + [0] * padding, types + [0] * padding, mlm_labels


def _shorten(segments: list[list[tuple[list[int], bool]]], room: int) -> None:
    while sum(len(ids) for segment in segments for ids, _ in segment) > room:
        longest = max(segments, key=lambda segment: sum(len(ids) for ids, may in segment if may))
        next(ids for ids, may in reversed(longest) if may and ids).pop()


def label_scores(logits: Tensor, mlm_labels: Tensor, words: Sequence[Sequence[int]]) -> Tensor:
    """Logits (B, T, V) at the mask to label scores (B, C), one row and one label at a time: the mean logit of the label's words."""
    at_mask = logits[mlm_labels >= 0]
    return torch.stack([torch.stack([row[torch.tensor(ids)].mean() for ids in words]) for row in at_mask])


def evaluate(model: nn.Module, features: Features, words: Sequence[Sequence[int]], *, batch: int = 8, to_longest: bool = False) -> Tensor:
    """Label scores (N, C) of all rows, ``batch`` at a time in the order they come. ``words``: for each label the ids of its words."""
    scores = []
    model.eval()
    for start in range(0, len(features), batch):
        chosen = features[start : start + batch]
        chosen = chosen.longest() if to_longest else chosen
        with torch.no_grad():
            logits = model(**chosen.inputs()).logits
            scores.append(label_scores(logits, chosen.mlm_labels, words))
    return torch.cat(scores)


def mask_tokens(tokenizer: Any, input_ids: Tensor, generator: torch.Generator, *, rate: float = 0.15) -> tuple[Tensor, Tensor]:
    """Corrupted ids and targets (B, T), 15 % of the tokens that are not special; 80 % masked, 10 % random, 10 % kept."""
    special = [tokenizer.get_special_tokens_mask(row, already_has_special_tokens=True) for row in input_ids.tolist()]
    share = torch.full(input_ids.shape, rate).masked_fill(torch.tensor(special, dtype=torch.bool), 0.0)
    chosen = torch.bernoulli(share, generator=generator).bool()
    inputs, targets = input_ids.clone(), input_ids.masked_fill(~chosen, _IGNORED)
    masked = torch.bernoulli(torch.full(input_ids.shape, 0.8), generator=generator).bool() & chosen
    inputs[masked] = tokenizer.mask_token_id
    random = torch.bernoulli(torch.full(input_ids.shape, 0.5), generator=generator).bool() & chosen & ~masked
    inputs[random] = torch.randint(len(tokenizer), input_ids.shape, generator=generator)[random]
    return inputs, targets


def losses(
    model: nn.Module,
    labelled: Features,
    labels: Tensor,
    words: Sequence[Sequence[int]],
    unlabelled: Features,
    targets: Tensor,
    weight: float,
) -> Tensor:
    """(1 - a) L_label + a L_MLM. ``unlabelled`` holds the corrupted ids, ``targets`` (B, T) what stood there, -100 elsewhere."""
    scores = label_scores(model(**labelled.inputs()).logits, labelled.mlm_labels, words)
    logits = model(**unlabelled.inputs()).logits
    language = functional.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1), ignore_index=_IGNORED)
    return (1 - weight) * functional.cross_entropy(scores, labels) + weight * language


def make_optimizer(model: nn.Module, *, rate: float = 1e-5) -> torch.optim.Optimizer:
    """AdamW as torch gives it by default, no weight decay on biases and norms."""
    free = [p for name, p in model.named_parameters() if "bias" in name or "LayerNorm.weight" in name]
    kept = [p for name, p in model.named_parameters() if "bias" not in name and "LayerNorm.weight" not in name]
    return torch.optim.AdamW([{"params": kept, "weight_decay": 0.01}, {"params": free, "weight_decay": 0.0}], lr=rate, eps=1e-8)


def train_step(model: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor) -> float:
    """Backward, clip at norm 1, update."""
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return float(loss.item())
