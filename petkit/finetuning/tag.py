"""A tag for each word: entities in BIO tags. A plain linear head on the last layer; no CRF.

Words are joined by single spaces and tokenised as one text, so that a plain ``token-classification`` pipeline reads what was learned.
A word is learned and answered at its first piece (Devlin et al. 2019, section 5.3), in the window that shows most around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForTokenClassification

from petkit.backbones.plain import inputs_of
from petkit.batching import Batch
from petkit.encoding.encoded import Encoded
from petkit.encoding.tokenizing import Spans, plain_tokenizer
from petkit.errors import DataError, SettingsError
from petkit.finetuning.entities import entity_scores, tag_order
from petkit.finetuning.kind import Chosen, Facts, Job, Kind, Lessons, Prediction
from petkit.finetuning.loop import batches
from petkit.finetuning.models import ENCODERS, named_labels, open_model
from petkit.finetuning.rows import TaggedSentence
from petkit.finetuning.sentences import read_sentences
from petkit.finetuning.settings import FinetuneSettings
from petkit.finetuning.sources import unseen
from petkit.finetuning.windows import encode_rows, framed, padded, seen_best, windows
from petkit.tensors import on

__all__ = ["TAG", "Tokenised", "tokenise"]

IGNORED: Final = -100
"""The label of what carries no loss."""


@dataclass(frozen=True)
class Tokenised:
    """N sentences in W windows.

    Args:
        encoded: the windows' ids.
        words: for every answered word, sentence by sentence: (P, 4) int64, its sentence, its place there, its window, its place there.
        lost: words of which the tokenizer leaves nothing; they have no row in ``words``.
        long: sentences in more than one window.
    """

    encoded: Encoded
    words: NDArray[np.int64]
    lost: int
    long: int


def tokenise(tokenizer: Any, sentences: Sequence[Sequence[str]], *, max_length: int, stride: int) -> Tokenised:
    """Sentences of words as windows of at most ``max_length`` tokens that share ``stride`` of them."""
    plain = plain_tokenizer(tokenizer)
    room = max_length - plain.frame.specials(1)
    if not stride < room:
        raise SettingsError(f"--stride is {stride}; with --max-length {max_length}, 0 to {room - 1} is legal")
    ids: list[NDArray[np.int32]] = []
    types: list[NDArray[np.uint8]] = []
    places: list[NDArray[np.int64]] = []
    lost = long = 0
    for number, (words, spans) in enumerate(zip(sentences, plain.spans([" ".join(words) for words in sentences]), strict=True)):
        kept, firsts = _first_pieces(words, spans)
        lost += len(words) - len(kept)
        parts = windows(len(spans.ids), room=room, stride=stride)
        long += len(parts) > 1
        best = seen_best(firsts, parts)
        begin = np.array([start for start, _ in parts])[best]
        lead = 0
        for start, stop in parts:
            row, kinds, (lead,) = framed(plain.frame, [spans.ids[start:stop]])
            ids.append(row)
            types.append(kinds)
        window = len(ids) - len(parts) + best
        places.append(np.stack([np.full(len(kept), number), kept, window, firsts - begin + lead], axis=1))
    return Tokenised(encode_rows(ids, types), np.concatenate([np.zeros((0, 4), dtype=np.int64), *places]), lost, long)


def _first_pieces(words: Sequence[str], spans: Spans) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Words that have a piece, and the number of the first one of each: (P,) and (P,) int64."""
    ends = np.array(list(accumulate(len(word) + 1 for word in words))) - 1
    starts = ends - np.array([len(word) for word in words])
    first = np.searchsorted(spans.ends, starts, side="right")  # the first piece that ends behind the word's start
    found = np.flatnonzero(first < len(spans.ids))
    found = found[spans.starts[first[found]] < ends[found]]
    return found.astype(np.int64), first[found].astype(np.int64)


def facts(train: Sequence[TaggedSentence], test: Sequence[TaggedSentence], settings: FinetuneSettings) -> Facts:
    """``labels``: the tags of the training rows. DataError: rows without tags, no entity, tags of test rows that are not among them."""
    missing = [row.id for row in train if row.tags is None]
    if missing:
        raise DataError(f"{len(missing)} training rows have no tags in column {settings.tag_column!r} (--tag-column), first {missing[0]}")
    labels = tag_order([tag for row in train for tag in row.tags or ()])
    if len(labels) < 2:
        raise DataError("the training rows have no entity: every tag is O")
    unseen({tag: row.id for row in reversed(test) for tag in row.tags or () if tag != "O"}, labels, what="tags")
    return {"labels": labels}


def open_tagger(path: str, job: Job, seed: int) -> Any:
    """The checkpoint with a head for the tags, whose names are in its config."""
    config = named_labels(job.config, job.facts["labels"])
    return open_model(AutoModelForTokenClassification, path, config, seed=seed).to(job.settings.device)


def _tokenised(rows: Sequence[TaggedSentence], job: Job) -> Tokenised:
    length, stride = job.settings.max_length or 0, job.settings.stride or 0
    return tokenise(job.tokenizer, [row.tokens for row in rows], max_length=length, stride=stride)


def lessons(rows: Sequence[TaggedSentence], job: Job) -> Lessons:
    """Mean cross-entropy at the first pieces of words, as transformers' ``labels=`` has it where all others are -100."""
    tokens = _tokenised(rows, job)
    labels = _labels(tokens, rows, job.facts["labels"])

    def loss(model: Any, batch: Batch, chosen: Chosen) -> Tensor:
        wanted = on(padded(labels, chosen, fill=IGNORED), model.device)
        logits = model(**inputs_of(model, batch)).logits.float()
        total: Tensor = functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=IGNORED, reduction="sum")
        mean: Tensor = total / (wanted != IGNORED).sum().clamp(min=1)  # a window between two words' first pieces may have none
        return mean

    counts = {
        "sentences longer than --max-length, read in windows": tokens.long,
        "words of which the tokenizer leaves nothing": tokens.lost,
    }
    return Lessons(tokens.encoded, loss, counts, terms=np.bincount(tokens.words[:, 2], minlength=len(tokens.encoded)))


def _labels(tokens: Tokenised, rows: Sequence[TaggedSentence], names: Sequence[str]) -> Encoded:
    """The tags' numbers where words are answered, ``IGNORED`` elsewhere; rows as ``tokens.encoded`` has them."""
    index = {name: place for place, name in enumerate(names)}
    flat = np.full(len(tokens.encoded.ids), IGNORED, dtype=np.int32)
    sentence, word, window, place = tokens.words.T
    flat[tokens.encoded.offsets[window] + place] = [index[(rows[s].tags or ())[w]] for s, w in zip(sentence, word, strict=True)]
    offsets = tokens.encoded.offsets
    return encode_rows([flat[a:b] for a, b in pairwise(offsets)])


def predict(model: Any, rows: Sequence[TaggedSentence], job: Job) -> list[Prediction]:
    """Per sentence ``tags``, one for each word; O for a word of which the tokenizer leaves nothing."""
    tokens = _tokenised(rows, job)
    best: dict[int, NDArray[np.int64]] = {}

    def forward(batch: Batch) -> Tensor:
        logits: Tensor = model(**inputs_of(model, batch)).logits
        return logits.argmax(-1)

    for chosen, values in batches(model, tokens.encoded, forward, job):
        best.update(zip(chosen.tolist(), values.cpu().numpy(), strict=True))
    tags = [["O"] * len(row.tokens) for row in rows]
    for sentence, word, window, place in tokens.words.tolist():
        tags[sentence][word] = job.facts["labels"][int(best[window][place])]
    return [{"tags": one} for one in tags]


def score(rows: Sequence[TaggedSentence], predictions: Sequence[Prediction], _job: Job) -> dict[str, Any] | None:
    """Precision, recall and F1 of whole entities over the rows that have tags."""
    known = [(row.tags, prediction["tags"]) for row, prediction in zip(rows, predictions, strict=True) if row.tags is not None]
    return entity_scores([truth for truth, _ in known], [tags for _, tags in known]) if known else None


TAG: Final = Kind(
    name="tag",
    row=TaggedSentence,
    model_types=ENCODERS,
    pipeline="token-classification",
    read=read_sentences,
    facts=facts,
    open=open_tagger,
    lessons=lessons,
    predict=predict,
    score=score,
)
