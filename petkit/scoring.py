"""From mask logits to label scores: the same plan for training and for labelling, float32, log space.

Two kinds of verbalizer (ALGORITHMS: sections of the papers are given at the functions):

``single``  every label word is one token. s(l|x) = mean over the label's words of the logit at the mask
            (Schick & Schütze 2021a, section 3, arXiv 2001.07676). Only the decoder rows of the label words are computed.
``multi``   some word has several tokens. s(l|x) = mean over the label's words of log q~, the summed log-probabilities of the
            word's tokens (Schick & Schütze 2021b, section 3.1, arXiv 2009.07118). They need the log-sum over the
            vocabulary, at the mask slots only. Labelling fills the slots step by step: ``petkit.multitoken``.

Differs from a softmax over words: the words of a label are averaged as logits (or log q~), not as probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from petkit.batching import collate, token_budget_batches
from petkit.choices import legal_are
from petkit.compute import any_shape
from petkit.errors import SettingsError, TaskError, raise_problems
from petkit.filling import refuse_failing
from petkit.surroundings import differing_rows
from petkit.wording import Places, plural

if TYPE_CHECKING:
    from petkit.backbones import MaskedLM
    from petkit.batching import Batch
    from petkit.encoding import Encoder
    from petkit.encoding.encoded import Encoded
    from petkit.pvp import PVP, Pattern
    from petkit.rows import Rows

__all__ = [
    "Decoding",
    "ScoringPlan",
    "label_scores",
    "plan",
    "score_encoded",
    "score_rows",
    "slot_scores",
    "token_log_probs",
    "word_scores",
]

Decoding = Literal["max-first", "left-to-right", "parallel"]
"""Which slot of a word is filled next: the one the model is surest of, the leftmost, or all in one pass."""

OnBatch = Callable[[int], None]
"""Called after each forward pass with the number of clozes that were in it."""

_CHUNK = 1 << 24
"""At most so many logits at a time where full rows are needed (64 MB of float32)."""


_Ids = list[tuple[int, ...]]
"""The tokens of each word."""


@dataclass(frozen=True)
class ScoringPlan:
    """The token ids of a verbalizer's words in one pattern's gap. Training and labelling share it.

    >>> two = ScoringPlan(words=(((5,),), ((7,), (8, 9))))
    >>> two.kind, two.masks, two.labels, two.owner, two.tokens
    ('multi', 2, 2, (0, 1, 1), (5, 7, 8, 9))
    """

    words: tuple[tuple[tuple[int, ...], ...], ...]
    """For each label, for each of its words, the token ids (id 0 is a token like any other)."""

    @property
    def kind(self) -> Literal["single", "multi"]:
        """``single`` if every word is one token."""
        return "single" if self.masks == 1 else "multi"

    @cached_property
    def flat(self) -> tuple[tuple[int, ...], ...]:
        """All W words in the order of the labels."""
        return tuple(word for words in self.words for word in words)

    @cached_property
    def owner(self) -> tuple[int, ...]:
        """The label of each of the W words."""
        return tuple(label for label, words in enumerate(self.words) for _ in words)

    @cached_property
    def tokens(self) -> tuple[int, ...]:
        """The distinct tokens of all words, ascending."""
        return tuple(sorted({token for word in self.flat for token in word}))

    @property
    def masks(self) -> int:
        """The number of mask slots that training needs: the length of the longest word."""
        return max(len(word) for word in self.flat)

    @property
    def labels(self) -> int:
        """C."""
        return len(self.words)


@lru_cache(maxsize=64)
def _tensors(plan: ScoringPlan, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """On the device, once: ids (U,), owner (W,), and for each word the column of its j-th token in ids (W, M), -1 after its end."""
    place = {token: column for column, token in enumerate(plan.tokens)}
    columns = [[place[token] for token in word] + [-1] * (plan.masks - len(word)) for word in plan.flat]
    with torch.inference_mode(False):  # they are kept, and training must be able to use them after labelling
        ids = torch.tensor(plan.tokens if plan.kind == "multi" else [word[0] for word in plan.flat], device=device)
        return ids, torch.tensor(plan.owner, device=device), torch.tensor(columns, device=device)


def plan(encoder: Encoder, pvp: PVP, rows: Rows) -> ScoringPlan:
    """The plan for a PVP: how its words tokenise in the gap, looked up once for each way in which the rows surround it.

    Raises TaskError for words that give no token or an unknown or special one, for labels that share a word's tokens, and
    where a word tokenises differently from row to row (the pattern then needs a space or a sign beside the gap), naming rows where
    not all have the problem, and those on which a pattern function fails; ValueError without any row.
    """
    if len(rows) == 0:
        raise ValueError("a plan needs at least one row to see how the words tokenise in its gap")
    words = pvp.verbalizer.words
    owner = [label for label, of_label in zip(pvp.verbalizer.labels, words, strict=True) for _ in of_label]
    flat = [word for of_label in words for word in of_label]
    found, first, problems = _in_all_rows(encoder, pvp.pattern, flat, rows)
    problems += _unknown(flat, found, owner, encoder.special_ids) if found else []  # else told already
    raise_problems(TaskError, f"pattern {pvp.pattern.name!r}", problems + _alike(flat, found or first, owner, encoder.special_ids))
    ids = iter(found)
    return ScoringPlan(tuple(tuple(next(ids) for _ in of_label) for of_label in words))


def _in_all_rows(encoder: Encoder, pattern: Pattern, words: Sequence[str], rows: Rows) -> tuple[_Ids, _Ids, list[str]]:
    """The tokens of each word in the gap of the first row where all can stand ([] if there is none), and of the first row; and what is
    wrong in any row."""
    found, first = _Ids(), _Ids()
    where: dict[str, Places] = {}
    looks = _looks(encoder, pattern, rows)
    for row in looks:
        ids, problems = encoder.word_gap(pattern, words, rows.row(row))
        first = first or ids
        if not problems:
            found = found or ids
            problems = [_changed(*each) for each in zip(words, found, ids, strict=True) if each[1] != each[2]]
        for problem in problems:
            where.setdefault(problem, Places()).add(repr(rows.ids[row]))
    return found, first, [f"{problem}{_named(places, len(looks))}" for problem, places in where.items()]


def _changed(word: str, here: Sequence[int], there: Sequence[int]) -> str:
    return f"the word {word!r} gives the tokens {list(here)} in one row and {list(there)} in another; put a space beside {{mask}}"


def _named(places: Places, looks: int) -> str:
    """Which rows have a problem, where not all that were looked at have it."""
    return f" ({plural(places.count, 'row')} {places})" if places.count < looks else ""


def _looks(encoder: Encoder, pattern: Pattern, rows: Rows) -> list[int]:
    """The rows to look at: one for each way in which the gap is surrounded; the first, the middle and the last in any case."""
    usual = {0, len(rows) // 2, len(rows) - 1}
    if encoder.joining == "string":
        return sorted(usual.union(differing_rows(pattern, rows)))
    refuse_failing(pattern, rows)  # words and texts are tokenised apart, so that rows differ in nothing else
    return sorted(usual)


def _unknown(words: Sequence[str], ids: Sequence[tuple[int, ...]], owner: Sequence[str], special: frozenset[int]) -> list[str]:
    return [
        f"the tokenizer does not know the word {word!r} of the label {label!r}"
        for word, tokens, label in zip(words, ids, owner, strict=True)
        if not tokens or special & set(tokens)
    ]


def _alike(words: Sequence[str], ids: Sequence[tuple[int, ...]], owner: Sequence[str], special: frozenset[int]) -> list[str]:
    """Words of two labels that are the same tokens; those that the tokenizer does not know are told as such."""
    taken = dict[tuple[int, ...], int]()
    for index, tokens in enumerate(ids):
        if tokens and not special & set(tokens):
            taken.setdefault(tokens, index)
    pairs = [(taken[tokens], index) for index, tokens in enumerate(ids) if tokens in taken]
    return [
        f"{words[first]!r} of {owner[first]!r} and {words[index]!r} of {owner[index]!r} are the same to the tokenizer"
        for first, index in pairs
        if owner[first] != owner[index]
    ]


def word_scores(logits: Tensor, owner: Tensor, labels: int) -> Tensor:
    """The mean score of each label's words, (B, W) float and owner (W,) int64 to (B, C) float32.

    >>> word_scores(torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([0, 1, 1]), 2)
    tensor([[1., 3.]])
    """
    logits = logits.float()
    count = torch.zeros(labels, device=logits.device).index_add(0, owner, torch.ones_like(owner, dtype=torch.float32))
    return logits.new_zeros(logits.shape[0], labels).index_add(1, owner, logits) / count


def token_log_probs(model: MaskedLM, hidden: Tensor, ids: Tensor) -> Tensor:
    """Log-probabilities of the tokens ids (U,) at hidden states (N, H): (N, U) float32.

    Target logits minus the log-sum over the vocabulary, a few rows at a time: finite however small the probability.
    """
    parts = []
    with torch.autocast(hidden.device.type, enabled=False):
        for chunk in hidden.float().split(max(1, _CHUNK // model.vocab_size)):
            logits = model.vocab_logits(chunk)
            parts.append(logits.index_select(1, ids) - logits.logsumexp(1, keepdim=True))
    return torch.cat(parts)


def label_scores(model: MaskedLM, batch: Batch, plan: ScoringPlan) -> Tensor:
    """Scores (B, C) float32 of a batch in one pass, with gradient: ``slot_scores`` of its slots."""
    return slot_scores(model, model.slot_hidden(batch), plan)


def slot_scores(model: MaskedLM, hidden: Tensor, plan: ScoringPlan) -> Tensor:
    """Scores (B, C) float32 from the states (B, M, H) at the mask slots, with gradient: what training uses.

    ``single``: mean logits of the words. ``multi``: for all labels with the same ``plan.masks`` slots,
    log q~(l|x) = sum of the token log-probabilities at the word's first |v(l)| slots (2009.07118, section 3.1); they do not
    sum to one over the labels, hence the hinge loss there.
    """
    if hidden.shape[1] != plan.masks:
        raise ValueError(f"the batch has {hidden.shape[1]} mask slots per row; the plan needs {plan.masks}")
    ids, owner, columns = _tensors(plan, hidden.device)
    if plan.kind == "single":
        return word_scores(model.word_logits(hidden[:, 0], ids), owner, plan.labels)
    table = token_log_probs(model, hidden.flatten(0, 1), ids).unflatten(0, hidden.shape[:2])  # (B, M, U)
    slots = torch.arange(plan.masks, device=hidden.device)
    sums = (table[:, slots, columns.clamp(min=0)] * (columns >= 0)).sum(-1)  # (B, W, M) -> (B, W)
    return word_scores(sums, owner, plan.labels)


@contextmanager
def inference(model: MaskedLM, autocast: torch.dtype | None = None) -> Iterator[None]:
    """Evaluation mode without gradients, optionally in a lower precision; the model's mode is restored."""
    training, kind = model.training, model.device.type
    model.eval()
    try:
        with any_shape(), torch.inference_mode(), torch.autocast(kind, dtype=autocast, enabled=autocast is not None):
            yield
    finally:
        model.train(training)


def score_encoded(
    model: MaskedLM,
    encoded: Encoded,
    plan: ScoringPlan,
    *,
    pad_id: int,
    token_budget: int,
    autocast: torch.dtype | None = None,
    on_batch: OnBatch | None = None,
) -> NDArray[np.float32]:
    """Scores (N, C) of encoded clozes with ``plan.masks`` slots by ``label_scores``, batched by length under a token budget.

    Without gradient, in evaluation mode. Rows keep their order.
    """
    scores = np.empty((len(encoded), plan.labels), np.float32)
    done: list[tuple[NDArray[Any], Tensor]] = []
    with inference(model, autocast):
        for chosen in token_budget_batches(encoded.lengths, tokens=token_budget):
            done.append((chosen, label_scores(model, collate(encoded, chosen, pad_id=pad_id, device=model.device), plan)))
            if on_batch is not None:
                on_batch(len(chosen))
        for chosen, found in done:  # only now, so that the device never waits for a copy
            scores[chosen] = found.cpu().numpy()
    return scores


def score_rows(
    model: MaskedLM,
    encoder: Encoder,
    rows: Rows,
    pvp: PVP,
    *,
    token_budget: int,
    decoding: Decoding = "max-first",
    autocast: torch.dtype | None = None,
    on_batch: OnBatch | None = None,
) -> NDArray[np.float32]:
    """Label scores (N, C) float32 of rows under a PVP: s(l|x) before any softmax.

    Args:
        token_budget: tokens per forward pass, padding counted.
        decoding: in which order the slots of a word of several tokens are filled; one-token verbalizers have no order.
        autocast: precision of the forward pass, None for float32; log-probabilities are float32 in any case.
        on_batch: told after each pass how many clozes were in it.

    Raises TaskError as ``plan``, SettingsError for an unknown decoding.
    """
    if decoding not in get_args(Decoding):
        raise SettingsError(f"decoding is {decoding!r}; {legal_are(decoding, get_args(Decoding))}")
    if len(rows) == 0:
        return np.empty((0, len(pvp.verbalizer.labels)), np.float32)
    words = plan(encoder, pvp, rows)
    if words.kind == "multi":
        from petkit.multitoken import score_multi

        return score_multi(
            model, encoder, rows, pvp, words, token_budget=token_budget, decoding=decoding, autocast=autocast, on_batch=on_batch
        )
    encoded = encoder.clozes(rows, pvp.pattern, masks=1, filler=pvp.verbalizer.words[0][0])
    return score_encoded(model, encoded, words, pad_id=encoder.pad_id, token_budget=token_budget, autocast=autocast, on_batch=on_batch)
