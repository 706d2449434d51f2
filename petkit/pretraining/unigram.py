"""Training a unigram language model of pieces (Kudo 2018, arXiv 1804.10959) over words that begin with U+2581, as SentencePiece does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from petkit.errors import DataError, SettingsError

__all__ = ["train_unigram"]

Pieces = list[tuple[str, float]]

_DIGITS: Final = 3
"""Of the scores. The trainer's sums depend on the order of a hash table from the eleventh on."""
_STEP: Final = 1e-4
"""By which the trainer sets characters apart that are no piece of their own, in the order of that table."""
_MARGIN: Final = 0.1
"""By how much a word to keep beats the best way to cut it."""


def train_unigram(
    texts: Callable[[], Iterable[str]],
    *,
    size: int,
    specials: Sequence[str],
    last: Sequence[str] = (),
    unknown: str,
    keep: Sequence[str] = (),
    lowercase: bool = False,
) -> Any:
    """A backend with ``size`` pieces at most: special tokens, pieces by falling score, ``last`` (T5's sentinels).

    The trainer gives the same pieces in every process, but neither the same order of equal ones nor the same last digits, and rare
    characters by chance. Here scores are rounded, rare characters all have the lowest one, and pieces are sorted.

    Args:
        keep: words that are one piece after a blank.

    Raises SettingsError where ``size`` leaves no room, DataError where the texts hold nothing.
    """
    from tokenizers import trainers

    words = [f"\u2581{word}" for word in dict.fromkeys(map(_normalizer(lowercase).normalize_str, keep))]
    room = size - len(specials) - len(last) - len(words)
    if room < 1:
        raise SettingsError(f"--vocab-size is {size}; {size - room + 1} is the least for the special tokens and the words to keep")
    backend = _backend([], None, lowercase)
    trainer = trainers.UnigramTrainer(vocab_size=room + 1, special_tokens=[unknown], unk_token=unknown, show_progress=False)
    try:
        backend.train_from_iterator(texts(), trainer)
    except Exception as error:
        raise DataError(f"no tokenizer can be trained on this text ({error})") from error
    pieces = _settled([(piece, score) for piece, score in json.loads(backend.to_str())["model"]["vocab"] if piece != unknown])
    if not pieces:
        raise DataError("no tokenizer can be trained on this text: it holds no word")
    vocabulary = [*((special, 0.0) for special in specials), *_with(words, pieces, lowercase), *((special, 0.0) for special in last)]
    return _backend(vocabulary, [*specials].index(unknown), lowercase)


def _normalizer(lowercase: bool) -> Any:
    from tokenizers import normalizers

    steps = [normalizers.NFKC(), *([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()] if lowercase else [])]
    return normalizers.Sequence(steps)


def _backend(vocabulary: Pieces, unknown: int | None, lowercase: bool) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    backend = Tokenizer(models.Unigram(vocabulary, unknown) if vocabulary else models.Unigram())
    backend.normalizer = _normalizer(lowercase)
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    backend.decoder = decoders.Metaspace()
    return backend


def _settled(pieces: Pieces) -> Pieces:
    """The pieces, none of them as chance has it, by falling score."""
    lowest = min((score for _, score in pieces), default=0.0)
    rare = lowest + _STEP * (len(pieces) + 1)
    scores = {piece: round(lowest if len(piece) == 1 and score < rare else score, _DIGITS) for piece, score in pieces}
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


def _with(words: Sequence[str], pieces: Pieces, lowercase: bool) -> Pieces:
    """The pieces with each word among them, at a score that beats the best way to cut it."""
    known = dict(pieces)
    unknown = min(known.values()) - 10  # as the model counts a character that it does not know
    backend = _backend([("<unk>", 0.0), *pieces], 0, lowercase)
    for word in words:
        if word not in known:
            cut = backend.encode(word[1:], add_special_tokens=False).tokens
            known[word] = round(min(sum(known.get(piece, unknown) for piece in cut) + _MARGIN, 0.0), _DIGITS)
    return sorted(known.items(), key=lambda item: (-item[1], item[0]))
