"""Label words of several tokens: filling the mask slots one by one, for many rows and words at a time.

Schick & Schütze 2021b, section 3.1 (arXiv 2009.07118): a word of k tokens is scored in a cloze of exactly k masks. Until none is
left: one forward pass; among the word's open slots take the one whose own token is most probable; add its log-probability; fill
the token in. log q~ is the sum. Differs from the one-pass score of training, which never fills a slot and gives every word the
longest word's masks.

All words of k tokens share the first pass over a row. Later passes run over distinct (row, tokens filled so far), so words that
have the same tokens filled in share them too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from petkit.batching import collate, token_budget_batches
from petkit.scoring import Decoding, OnBatch, ScoringPlan, inference, token_log_probs, word_scores

if TYPE_CHECKING:
    from petkit.backbones import MaskedLM
    from petkit.encoding import Encoder
    from petkit.encoding.encoded import Encoded
    from petkit.pvp import PVP
    from petkit.rows import Rows

__all__ = ["fill_scores", "score_multi"]

_OPEN = -1
_ROWS = 4096
"""Rows whose partly filled clozes are held at a time, so that memory does not grow with the pool."""


def score_multi(
    model: MaskedLM,
    encoder: Encoder,
    rows: Rows,
    pvp: PVP,
    plan: ScoringPlan,
    *,
    token_budget: int,
    decoding: Decoding = "max-first",
    autocast: torch.dtype | None = None,
    on_batch: OnBatch | None = None,
) -> NDArray[np.float32]:
    """Label scores (N, C) float32: the mean of log q~ over each label's words. Arguments as ``scoring.score_rows``."""
    texts = [word for words in pvp.verbalizer.words for word in words]
    scores = np.empty((len(rows), len(plan.flat)), np.float32)
    parts = [slice(start, start + _ROWS) for start in range(0, len(rows), _ROWS)]
    with inference(model, autocast):
        for masks in sorted({len(word) for word in plan.flat}):
            chosen = [w for w, word in enumerate(plan.flat) if len(word) == masks]
            words = np.array([plan.flat[w] for w in chosen])
            encoded = encoder.clozes(rows, pvp.pattern, masks=masks, filler=texts[chosen[0]])
            for part in parts:
                some = encoded.select(np.arange(len(rows))[part])
                scores[part, chosen] = fill_scores(_Passes(model, some, words, encoder.pad_id, token_budget, on_batch), words, decoding)
    return word_scores(torch.from_numpy(scores), torch.tensor(plan.owner), plan.labels).numpy()


def fill_scores(passes: _Passes, words: NDArray[np.int64], decoding: Decoding) -> NDArray[np.float32]:
    """log q~ of words (W, k) of the same length in each row of ``passes``: (N, W) float32."""
    rows, (count, masks) = len(passes.encoded), words.shape
    pair_row, pair_word = (grid.ravel() for grid in np.meshgrid(np.arange(rows), np.arange(count), indexing="ij"))
    filled = np.full((rows * count, masks), _OPEN)
    total = np.zeros(rows * count, np.float32)
    pairs = np.arange(rows * count)
    for _ in range(1 if decoding == "parallel" else masks):
        found = passes(pair_row, pair_word, filled)
        if decoding == "parallel":
            total += found.sum(1)
            continue
        surest = np.where(filled == _OPEN, found, -np.inf).argmax(1)
        slot = surest if decoding == "max-first" else (filled == _OPEN).argmax(1)
        total += found[pairs, slot]
        filled[pairs, slot] = words[pair_word, slot]
    return total.reshape(rows, count)


class _Passes:
    """Forward passes over partly filled clozes: for each (row, word) the log-probability of the word's own token at every slot."""

    def __init__(
        self, model: MaskedLM, encoded: Encoded, words: NDArray[np.int64], pad_id: int, token_budget: int, on_batch: OnBatch | None
    ) -> None:
        self.model, self.encoded, self.words = model, encoded, words
        self.pad_id, self.token_budget, self.on_batch = pad_id, token_budget, on_batch
        tokens, columns = np.unique(words, return_inverse=True)
        self.tokens, self.columns = torch.from_numpy(tokens).to(model.device), columns.reshape(words.shape)

    def __call__(self, row: NDArray[np.int64], word: NDArray[np.int64], filled: NDArray[np.int64]) -> NDArray[np.float32]:
        """Rows (P,), words (P,) and the tokens filled in (P, k), -1 where open: (P, k) float32."""
        states, state_of = np.unique(np.column_stack([row, filled]), axis=0, return_inverse=True)
        state_of = state_of.reshape(-1)
        table = np.empty((len(states), filled.shape[1], len(self.tokens)), np.float32)
        lengths = self.encoded.lengths[states[:, 0]]
        for chosen in token_budget_batches(lengths, tokens=self.token_budget):
            table[chosen] = self._forward(states[chosen, 0], states[chosen, 1:])
            if self.on_batch is not None:
                self.on_batch(len(chosen))
        slots = np.arange(filled.shape[1])
        found: NDArray[np.float32] = table[state_of[:, None], slots, self.columns[word]]
        return found

    def _forward(self, row: NDArray[np.int64], filled: NDArray[np.int64]) -> NDArray[np.float32]:
        """One pass over states (S,) and (S, k): (S, k, U), the log-probability of each of the words' tokens at each slot."""
        batch = collate(self.encoded, row, pad_id=self.pad_id, device=self.model.device)
        tokens = torch.from_numpy(filled).to(batch.input_ids.device)
        kept = torch.where(tokens == _OPEN, batch.input_ids.gather(1, batch.slots), tokens)
        batch.input_ids.scatter_(1, batch.slots, kept)
        hidden = self.model.slot_hidden(batch)
        found = token_log_probs(self.model, hidden.flatten(0, 1), self.tokens)
        table: NDArray[np.float32] = found.unflatten(0, hidden.shape[:2]).cpu().numpy()
        return table
