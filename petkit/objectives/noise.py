"""BART's noises (Lewis et al. 2020, section 2.2, arXiv 1910.13461): rows -> rows. They compose in any order and number.

Rows are texts without the tokens around them, flush left, with word and sentence ids. A noise may shorten or lengthen them. What an
earlier noise put in, a mask or a random token, is not maskable any more, so a later one does not touch it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from petkit.objectives.rows import BoolArray, IntArray, TokenRows, Words, flat_words, pack_left
from petkit.objectives.select import ceiling_budgets, select_counts
from petkit.objectives.vocabulary import Vocabulary

__all__ = ["Noise", "delete_tokens", "infill", "mask_tokens", "permute_sentences", "rotate", "valid_of"]

Noise = Callable[[TokenRows, np.random.Generator, Vocabulary], TokenRows]


def valid_of(rows: TokenRows) -> BoolArray:
    """(B, T) bool: what is no padding."""
    return rows.maskable if rows.valid is None else rows.valid


def mask_tokens(rows: TokenRows, rng: np.random.Generator, vocabulary: Vocabulary, *, rate: float = 0.3, random: float = 0.1) -> TokenRows:
    """``ceil(rate n)`` tokens become masks, or with probability ``random`` ordinary random tokens."""
    chosen = select_counts(rows, rng, ceiling_budgets(rows.maskable.sum(axis=1), rate))
    return replace(rows, ids=_masked(rows.ids, chosen, rng, vocabulary, random), maskable=rows.maskable & ~chosen, valid=valid_of(rows))


def delete_tokens(rows: TokenRows, rng: np.random.Generator, vocabulary: Vocabulary, *, rate: float = 0.3) -> TokenRows:
    """``ceil(rate n)`` tokens go. Differs from masking in that the model must find out where."""
    chosen = select_counts(rows, rng, ceiling_budgets(rows.maskable.sum(axis=1), rate))
    return _keep(rows, valid_of(rows) & ~chosen, vocabulary.pad_id)


def permute_sentences(rows: TokenRows, rng: np.random.Generator, vocabulary: Vocabulary) -> TokenRows:
    """All sentences of a row in random order. What an earlier noise put in goes with the sentence before it; a torn one is two."""
    del vocabulary
    valid = valid_of(rows)
    number = np.where(valid, _sentence_numbers(rows), 0)
    count = int(number.max(initial=0)) + 1
    cell = number + np.arange(len(number))[:, None] * count
    sizes = np.bincount(cell[valid], minlength=len(number) * count).reshape(len(number), count)
    order = np.argsort(np.where(sizes > 0, rng.random(sizes.shape), 2.0), axis=1)
    in_order = np.take_along_axis(sizes, order, axis=1)
    begins = np.zeros(sizes.shape, dtype=np.int64)
    np.put_along_axis(begins, order, np.cumsum(in_order, axis=1) - in_order, axis=1)
    shift = begins - (np.cumsum(sizes, axis=1) - sizes)
    return _move(rows, np.arange(valid.shape[1]) + shift.reshape(-1)[cell])


def _sentence_numbers(rows: TokenRows) -> IntArray:
    """(B, T) int64: 0, 1, ... by the unbroken runs of a sentence id; -1, for what was put in, breaks none."""
    if rows.sentences is None:
        raise ValueError("sentence permutation needs sentence ids")
    known = np.maximum.accumulate(np.where(rows.sentences >= 0, np.arange(rows.ids.shape[1]), 0), axis=1)
    ids = np.take_along_axis(rows.sentences, known, axis=1)
    starts = np.zeros(ids.shape, dtype=np.int64)
    starts[:, 1:] = ids[:, 1:] != ids[:, :-1]
    return np.cumsum(starts, axis=1)


def rotate(rows: TokenRows, rng: np.random.Generator, vocabulary: Vocabulary) -> TokenRows:
    """A row begins with a uniformly drawn token; what was before it comes last."""
    del vocabulary
    lengths = np.maximum(valid_of(rows).sum(axis=1), 1)
    offsets = np.floor(rng.random(len(lengths)) * lengths).astype(np.int64)
    return _move(rows, (np.arange(rows.ids.shape[1]) - offsets[:, None]) % lengths[:, None])


def infill(
    rows: TokenRows, rng: np.random.Generator, vocabulary: Vocabulary, *, rate: float = 0.3, random: float = 0.1, mean: float = 3.5
) -> TokenRows:
    """Spans of words become a single mask each, or with probability ``random`` an ordinary random token; empty ones are put in as masks.

    As in the reference implementation (fairseq): lengths in words are Poisson until they add up to ``ceil(rate w)``, the last one cut
    to fit; spans start at different random words, and one that starts within another leaves no mask of its own. The paper has a
    mean of 3, the reference's recipe 3.5.
    """
    valid = valid_of(rows)
    words = flat_words(rows)
    budget = ceiling_budgets(np.diff(words.row_words), rate)
    lengths, empty = _span_lengths(budget, mean, rng)
    span = _spans_at(words, lengths, rng)
    start = span > 0
    ends = np.minimum(np.arange(len(span)) + span, words.stop)
    change = np.bincount(np.flatnonzero(start) + 1, minlength=len(span) + 2) - np.bincount(ends[start], minlength=len(span) + 2)
    inside = np.cumsum(change)[: len(span)] > 0
    gone, becomes = np.zeros(rows.ids.size, dtype=bool), np.zeros(rows.ids.size, dtype=bool)
    gone[words.places] = (start | inside)[words.word]
    becomes[words.places[words.first[:-1][start & ~inside]]] = True
    masks, out = becomes.reshape(valid.shape), gone.reshape(valid.shape)
    ids = _masked(rows.ids, masks, rng, vocabulary, random)
    kept = replace(rows, ids=ids, maskable=rows.maskable & ~masks, valid=valid)
    return _insert(_keep(kept, valid & (masks | ~out), vocabulary.pad_id), empty, rng, vocabulary, random)


def _span_lengths(budget: IntArray, mean: float, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Lengths of spans (B, K) int64, padded with 0, that add up to the budget; (B,) how many empty ones come among them.

    K leaves room for any run of empty ones that is likely; the last place takes what may be left.
    """
    most = int(budget.max(initial=0))
    lengths: IntArray = np.column_stack([rng.poisson(mean, (len(budget), most + 32)), budget]).astype(np.int64)
    before = np.cumsum(lengths, axis=1) - lengths
    used = before < budget[:, None]
    lengths = np.minimum(lengths, budget[:, None] - before) * used
    packed, _ = pack_left(lengths, lengths > 0, 0)
    return packed.astype(np.int64), (used & (lengths == 0)).sum(axis=1)


def _spans_at(words: Words, lengths: IntArray, rng: np.random.Generator) -> IntArray:
    """(W,) int64: the length of the span that starts at each word, 0 where none does. Rows' spans start at different random words."""
    order = np.argsort(words.row + rng.random(len(words.row)))
    row = words.row[order]
    turn = np.arange(len(order)) - words.row_words[row]
    some = turn < lengths.shape[1]
    span = np.zeros(len(order), dtype=np.int64)
    span[order[some]] = lengths[row[some], turn[some]]
    return span


def _masked(ids: IntArray, chosen: BoolArray, rng: np.random.Generator, vocabulary: Vocabulary, random: float) -> IntArray:
    """The ids with masks or random tokens at the chosen positions."""
    out = ids.copy()
    count = int(chosen.sum())
    drawn = rng.choice(vocabulary.ordinary, size=count) if random else np.zeros(count, np.int64)
    out[chosen] = np.where(rng.random(count) < random, drawn, vocabulary.need("mask_id", "bart"))
    return out


def _insert(rows: TokenRows, counts: IntArray, rng: np.random.Generator, vocabulary: Vocabulary, random: float) -> TokenRows:
    """Put ``counts`` masks into each row, at random among the tokens and at both ends."""
    lengths = valid_of(rows).sum(axis=1) + counts
    slots = np.arange(int(lengths.max(initial=0)))[None, :] < lengths[:, None]
    new = select_counts(TokenRows(np.zeros(slots.shape, np.int64), slots), rng, counts)
    ids = np.full(slots.shape, vocabulary.pad_id, dtype=np.int64)
    laid = _laid(replace(rows, ids=rows.ids), slots & ~new, slots.shape, ids)
    return replace(laid, ids=_masked(laid.ids, new, rng, vocabulary, random), valid=slots)


def _laid(rows: TokenRows, target: BoolArray, shape: tuple[int, ...], ids: IntArray) -> TokenRows:
    """The valid tokens of ``rows``, in order, at the target positions of wider rows."""
    valid = valid_of(rows)

    def spread(values: Any, into: Any) -> Any:
        into[target] = values[valid]
        return into

    fields = {name: getattr(rows, name) for name in ("words", "sentences")}
    others: dict[str, Any] = {
        name: None if value is None else spread(value, np.full(shape, -1, np.int64)) for name, value in fields.items()
    }
    return TokenRows(spread(rows.ids, ids), spread(rows.maskable, np.zeros(shape, bool)), **others, valid=target)


def _keep(rows: TokenRows, keep: BoolArray, pad_id: int) -> TokenRows:
    """The kept tokens, flush left, with all that is known of them."""
    lengths = keep.sum(axis=1)
    there = np.arange(int(lengths.max(initial=0)))[None, :] < lengths[:, None]
    return _laid(replace(rows, valid=keep), there, there.shape, np.full(there.shape, pad_id, dtype=np.int64))


def _move(rows: TokenRows, to: IntArray) -> TokenRows:
    """Each valid token to column ``to`` of its row."""
    valid = valid_of(rows)
    places = np.flatnonzero(valid)
    targets = places - places % max(valid.shape[1], 1) + to.reshape(-1)[places]

    def moved(values: Any) -> Any:
        out = values.copy()
        out.reshape(-1)[targets] = values.reshape(-1)[places]
        return out

    fields = {name: getattr(rows, name) for name in ("ids", "maskable", "words", "sentences")}
    changed: dict[str, Any] = {name: value if value is None else moved(value) for name, value in fields.items()}
    return replace(rows, valid=valid, **changed)
