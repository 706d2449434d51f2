"""Does a checkpoint have a masked-LM head that works? Missing weights tell, or a quick cloze test on real text.

An encoder-only checkpoint, a sequence classifier or ELECTRA's discriminator has no such head; the published DeBERTa-v2 and v3 files
have one that predicts noise. Neither fails when it is loaded, and PET learns little from either: adapt the checkpoint first.

A tokenizer that does not know the texts tells nothing of the head: how many of their tokens are unknown is reported beside it.

Token frequencies are counted in the very texts that are asked about. Few or much alike texts make them hard to beat for a good
head too, so one that does not beat them there is called untrained only if it fails on English documentation as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from petkit.backbones import MaskedLM, load_masked_lm, load_tokenizer
from petkit.batching import Batch, token_budget_batches
from petkit.encoding.tokenizing import encoded
from petkit.errors import DataError, SettingsError
from petkit.scoring import inference
from petkit.unknowns import NOTED

__all__ = ["HeadReport", "head_notice", "head_report", "unknown_share"]

_ENOUGH: Final = 20
"""Fewer texts cannot show that a head is untrained."""

_REFERENCE: Final = ("argparse", "collections", "datetime", "random", "subprocess", "threading")
"""Modules of the standard library; their documentation is English prose."""
_REFERENCE_TEXTS, _REFERENCE_WORDS = 100, 12

_RATE = 0.15
_ERRORS = 2.0
"""How many standard errors better than word frequency counts as better."""

_SPECIAL: Final = ("bos", "cls", "eos", "mask", "pad", "sep")
_LONG: Final = 20
"""Characters a token: no more of a text is tokenised to mask tokens in it."""
_BEGINNING: Final = 1024
"""Characters of a text in which unknown tokens are counted."""
_WORD_MARK: Final = "\u2581"
"""SentencePiece's blank: before a word of which nothing is known it is a token of its own, and says nothing of the word."""


@dataclass(frozen=True)
class HeadReport:
    """What ``head_report`` found.

    ``unclear``: it does no better than token frequencies on these texts, which are fewer than 20, or does better on other texts;
    or the tokenizer knows no token of these texts.
    ``accuracy`` and ``log_prob`` are the model's means over the masked tokens, ``frequent`` and ``unigram`` those of
    always saying the most frequent token and of token frequencies; all None where the head was not asked.
    ``unknown`` is the share of the texts' tokens that the tokenizer does not know; None where there is no text.
    """

    status: Literal["trained", "missing", "untrained", "unclear"]
    detail: str
    accuracy: float | None = None
    frequent: float | None = None
    log_prob: float | None = None
    unigram: float | None = None
    unknown: float | None = None


def head_report(
    model: str | MaskedLM,
    texts: Sequence[str],
    *,
    tokenizer: Any = None,
    max_length: int = 128,
    token_budget: int = 4096,
    seed: int = 0,
) -> HeadReport:
    """Whether a checkpoint's masked-LM head is missing, untrained or trained, if that can be told.

    15 % of the tokens of each text (at least one) are masked, chosen by ``seed``. The head counts as trained if, by two standard
    errors of the paired difference, its accuracy beats always saying the texts' most frequent token, or its mean
    log-probability of the true tokens beats their frequencies in these same texts. If it does not, it is asked about documentation of
    Python's standard library too.

    Args:
        model: a loaded model, or what ``load_masked_lm`` takes.
        texts: real texts, a few hundred are plenty.
        tokenizer: the model's; needed with a loaded model.
        max_length: tokens taken of each text. token_budget: tokens per forward pass.

    Raises DataError if no text has a token to mask, ModelError if the checkpoint cannot be opened.
    """
    if isinstance(model, str):
        tokenizer = tokenizer or load_tokenizer(model)
        model = load_masked_lm(model)
    unknown = None if tokenizer is None else unknown_share(tokenizer, texts)
    if model.missing:
        return HeadReport("missing", f"the checkpoint lacks the head's weights ({', '.join(model.missing[:3])}, ...)", unknown=unknown)
    if tokenizer is None:
        raise SettingsError("head_report needs the tokenizer of a loaded model: tokenizer=...")
    judged = partial(_judged, model, tokenizer, max_length=min(max_length, model.max_length), token_budget=token_budget, seed=seed)
    report = None if unknown == 1 else judged(texts)
    if report is None and unknown:
        return HeadReport("unclear", "the tokenizer knows no token of these texts, so that nothing could be asked", unknown=unknown)
    if report is None:
        raise DataError("the texts hold no token to mask; give real texts")
    report = replace(report, unknown=unknown)
    if report.status == "trained":
        return report
    if (elsewhere := judged(_documentation())) is not None and elsewhere.status == "trained":
        return replace(report, status="unclear", detail=f"{report.detail}; on English documentation the head is better than that")
    if len(texts) < _ENOUGH:
        return replace(report, status="unclear", detail=f"{report.detail}; {len(texts)} texts are too few to tell")
    return report


def head_notice(head: Mapping[str, Any], advice: str) -> str | None:
    """What a run tells of a head that is missing or untrained; None of any other.

    Args:
        head: a ``HeadReport`` as a dict, as records have it. advice: left out where the tokenizer knows too little of the texts.
    """
    if head["status"] not in ("missing", "untrained"):
        return None
    told = f"the checkpoint's masked-LM head is {head['status']}: {head['detail']}"
    return told if (head.get("unknown") or 0) >= NOTED else f"{told}; {advice}"


def unknown_share(tokenizer: Any, texts: Sequence[str]) -> float | None:
    """The share of the tokens of the texts that the tokenizer does not know; None if they hold no token.

    Special tokens do not count, nor word marks that are tokens of their own.

    The beginning of each text is looked at. Tokenizers of bytes know all; of those without a fast backend nothing is told (None).
    """
    if (backend := getattr(tokenizer, "backend_tokenizer", None)) is None:
        return None
    if backend.truncation or backend.padding:  # as of the last call before it was saved, which may have been on pairs
        backend = type(backend).from_str(backend.to_str())
        backend.no_truncation()
        backend.no_padding()
    special = {token for name in _SPECIAL if (token := getattr(tokenizer, f"{name}_token_id", None)) is not None}
    tokens = Counter(token for one in encoded(backend, [t[:_BEGINNING] for t in texts], fast=True) for token in one.ids)
    for token in list(tokens):
        if token in special or not backend.id_to_token(token).strip(_WORD_MARK):
            del tokens[token]
    return tokens[tokenizer.unk_token_id] / tokens.total() if tokens else None


def _judged(model: MaskedLM, tokenizer: Any, texts: Sequence[str], *, max_length: int, token_budget: int, seed: int) -> HeadReport | None:
    """Trained or untrained, by these texts; None if they hold no token to mask."""
    beginnings = [text[: _LONG * max_length] for text in texts]
    rows = [np.array(tokenizer(text, truncation=True, max_length=max_length)["input_ids"]) for text in beginnings]
    special = np.array(sorted(tokenizer.all_special_ids))
    masked = _masked_positions(rows, special, np.random.default_rng(seed))
    if not masked:
        return None
    found = _ask(model, [rows[i] for i, _ in masked], [at for _, at in masked], tokenizer, token_budget)
    return _judge(found, _frequencies(rows, special, model.vocab_size))


@cache
def _documentation() -> tuple[str, ...]:
    """English texts that every installation has."""
    from petkit.builtin.docs import docstrings  # on demand: seldom needed

    found = (" ".join(doc.text.split()) for name in _REFERENCE for doc in docstrings(name))
    return tuple(text for text in found if text.count(" ") >= _REFERENCE_WORDS)[:_REFERENCE_TEXTS]


def _masked_positions(
    rows: Sequence[NDArray[np.int64]], special: NDArray[np.int64], rng: np.random.Generator
) -> list[tuple[int, NDArray[np.int64]]]:
    """For each row with an ordinary token: its index and 15 % of the ordinary positions, at least one."""
    chosen = []
    for index, ids in enumerate(rows):
        open_to = np.flatnonzero(~np.isin(ids, special))
        if len(open_to):
            chosen.append((index, np.sort(rng.choice(open_to, max(1, round(_RATE * len(open_to))), replace=False))))
    return chosen


def _frequencies(rows: Sequence[NDArray[np.int64]], special: NDArray[np.int64], vocab: int) -> NDArray[np.float64]:
    """Log of the share of each token (V,) among the ordinary tokens of all rows; -inf for tokens that are not there."""
    flat = np.concatenate(rows)
    counts = np.bincount(flat[~np.isin(flat, special)], minlength=vocab)
    with np.errstate(divide="ignore"):
        shares: NDArray[np.float64] = np.log(counts / counts.sum())
    return shares


def _ask(
    model: MaskedLM, rows: Sequence[NDArray[np.int64]], masked: Sequence[NDArray[np.int64]], tokenizer: Any, token_budget: int
) -> NDArray[np.float64]:
    """(K, 3): for each masked token its id, its log-probability and whether the model's first guess is right."""
    parts = []
    with inference(model):
        for chosen in token_budget_batches(np.array([len(ids) for ids in rows]), tokens=token_budget):
            batch, row, at = _masked_batch([rows[i] for i in chosen], [masked[i] for i in chosen], tokenizer, model.device)
            targets = batch.input_ids[row, at]
            batch.input_ids[row, at] = tokenizer.mask_token_id
            logits = model.vocab_logits(model.hidden(batch)[row, at])
            own = logits.gather(1, targets[:, None])[:, 0] - logits.logsumexp(1)
            parts.append(torch.stack([one.cpu().double() for one in (targets, own, logits.argmax(1) == targets)], 1))
    asked: NDArray[np.float64] = torch.cat(parts).numpy()
    return asked


def _masked_batch(
    rows: Sequence[NDArray[np.int64]], masked: Sequence[NDArray[np.int64]], tokenizer: Any, device: torch.device
) -> tuple[Batch, torch.Tensor, torch.Tensor]:
    """The rows padded, nothing masked yet, and the (row, position) pairs to mask."""
    ids = torch.full((len(rows), max(map(len, rows))), tokenizer.pad_token_id)
    attention = torch.zeros_like(ids)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.from_numpy(row)
        attention[index, : len(row)] = 1
    pairs = [(index, int(position)) for index, positions in enumerate(masked) for position in positions]
    row, at = torch.tensor(pairs, device=device).T
    ids, attention = ids.to(device), attention.to(device)
    return Batch(ids, attention, torch.zeros_like(ids), ids.new_zeros(len(rows), 0)), row, at


def _judge(found: NDArray[np.float64], log_shares: NDArray[np.float64]) -> HeadReport:
    targets, own, right = found[:, 0].astype(int), found[:, 1], found[:, 2]
    frequent, unigram = (targets == log_shares.argmax()).astype(float), log_shares[targets]
    better = _better(right - frequent) or _better(own - unigram)
    means = [float(values.mean()) for values in (right, frequent, own, unigram)]
    detail = (
        f"of {len(targets)} masked tokens {means[0]:.1%} are right (the most frequent token: {means[1]:.1%}), "
        f"mean log-probability {means[2]:.2f} (token frequencies: {means[3]:.2f})"
    )
    return HeadReport("trained" if better else "untrained", detail, *means)


def _better(difference: NDArray[np.float64]) -> bool:
    """Whether a mean difference is above zero by more than chance allows."""
    error = difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else np.inf
    return bool(difference.mean() > _ERRORS * error)
