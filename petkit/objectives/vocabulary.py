"""What objectives need to know of a tokenizer, as arrays over its vocabulary."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from petkit.errors import SettingsError

__all__ = ["Vocabulary"]


_METASPACE, _BYTES = "\u2581", "\u0120"
"""How a piece after a blank begins: SentencePiece, byte-level BPE."""
_STOPS = frozenset(".!?\u3002\uff01\uff1f")
"""Pieces that end a sentence."""


@dataclass(frozen=True)
class Vocabulary:
    """Facts over a vocabulary of V ids.

    Attributes:
        mask_id: the mask token, None without one. pad_id: the padding token, the end token where there is none (GPT-2).
        special: (V,) bool, ids that are never selected and never drawn as random replacements.
        starts_word: (V,) bool, pieces that begin a word. alone: (V,) bool, pieces that are one (punctuation), so the next begins another.
        ordinary: (V',) int64, the ids that are not special, from which random replacements are drawn.
        bos_id, eos_id: what stands before and after a text (BERT: [CLS] and [SEP]), None without one.
        cls_id, sep_id: what stands before a pair and after each of its texts, None without one.
        sentinels: the ids of T5's <extra_id_0>, <extra_id_1>, ... in this order. stops: (V,) bool, pieces that end a sentence.
    """

    mask_id: int | None
    pad_id: int
    special: npt.NDArray[np.bool_]
    starts_word: npt.NDArray[np.bool_]
    alone: npt.NDArray[np.bool_]
    ordinary: npt.NDArray[np.int64]
    bos_id: int | None = None
    eos_id: int | None = None
    cls_id: int | None = None
    sep_id: int | None = None
    sentinels: tuple[int, ...] = ()
    stops: npt.NDArray[np.bool_] | None = None

    @classmethod
    def of(cls, tokenizer: Any) -> Vocabulary:
        """Read a fast transformers tokenizer: WordPiece (##), byte-level BPE (Ġ) or SentencePiece (▁).

        Its model says whether it is WordPiece, not its pieces: GPT-2's vocabulary has Markdown's ``##``.
        """
        size = len(tokenizer)
        pieces = tokenizer.convert_ids_to_tokens(list(range(size)))
        special = np.zeros(size, dtype=bool)
        special[[i for i in tokenizer.all_special_ids if i < size]] = True
        special[[i for i, piece in enumerate(pieces) if piece is None]] = True
        sentinels = _sentinels(pieces)
        special[list(sentinels)] = True
        starts, alone = _words([piece or "" for piece in pieces], _continuing(tokenizer))
        return cls(
            mask_id=tokenizer.mask_token_id,
            pad_id=_first_known(tokenizer.pad_token_id, tokenizer.eos_token_id, 0),
            special=special,
            starts_word=starts | special,
            alone=alone | special,
            ordinary=np.flatnonzero(~special),
            bos_id=_first_known(tokenizer.bos_token_id, tokenizer.cls_token_id),
            eos_id=_first_known(tokenizer.eos_token_id, tokenizer.sep_token_id),
            cls_id=tokenizer.cls_token_id,
            sep_id=tokenizer.sep_token_id,
            sentinels=sentinels,
            stops=np.array([(piece or "").strip("#\u0120\u2581") in _STOPS for piece in pieces]),
        )

    def need(self, name: str, objective: str) -> int:
        """The id called ``name`` (such as mask_id). Raises SettingsError where the tokenizer has none."""
        found: int | None = getattr(self, name)
        if found is None:
            raise SettingsError(f"--objective {objective} needs a tokenizer with a {name.removesuffix('_id')} token; this one has none")
        return found

    @cached_property
    def frame(self) -> npt.NDArray[np.bool_]:
        """(V,) bool: the ids that stand around texts, and padding; unlike ``special`` not the unknown token, which is text."""
        frame = np.zeros(len(self.special), dtype=bool)
        frame[[i for i in (self.pad_id, self.bos_id, self.eos_id, self.cls_id, self.sep_id) if i is not None]] = True
        return frame

    def words(self, ids: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int64]:
        """(B, T) ids -> (B, T) word ids that count up from 0 or 1 within each row."""
        starts = self.starts_word[ids]
        starts[:, 1:] |= self.alone[ids[:, :-1]]
        return np.cumsum(starts, axis=1, dtype=np.int64)

    def sentences(self, ids: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int64]:
        """(B, T) ids -> (B, T) sentence ids that count up from 0: a sentence ends with its last stop of a row of stops."""
        if self.stops is None:
            raise ValueError("this vocabulary does not say which pieces end a sentence")
        stops = self.stops[ids]
        begins = np.zeros(ids.shape, dtype=np.int64)
        begins[:, 1:] = stops[:, :-1] & ~stops[:, 1:]
        return np.cumsum(begins, axis=1)


def _first_known(*ids: int | None) -> Any:
    return next((i for i in ids if i is not None), None)


def _sentinels(pieces: list[str | None]) -> tuple[int, ...]:
    """The ids of T5's sentinels, from number 0 on, however the vocabulary orders them."""
    numbers = ((re.fullmatch(r"<extra_id_(\d+)>", piece or ""), i) for i, piece in enumerate(pieces))
    return tuple(i for _, i in sorted((int(match[1]), i) for match, i in numbers if match))


def _continuing(tokenizer: Any) -> str | None:
    """How a piece inside a word begins, where a tokenizer's model marks those (WordPiece)."""
    model = getattr(getattr(tokenizer, "backend_tokenizer", None), "model", None)
    return getattr(model, "continuing_subword_prefix", None) or None


def _words(pieces: list[str], continuing: str | None) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which pieces begin a word, by the family's mark, and which are one: whole characters, none of them a letter or a digit."""
    if continuing is not None:
        return np.array([not piece.startswith(continuing) for piece in pieces]), np.zeros(len(pieces), dtype=bool)
    by_mark = {mark: np.array([piece.startswith(mark) for piece in pieces]) for mark in (_METASPACE, _BYTES)}
    mark = max(by_mark, key=lambda mark: int(by_mark[mark].sum()))  # a SentencePiece may have the letter G with a dot, of Maltese
    marked = by_mark[mark]
    bare = [text.strip(" \u2581") for text in (_decoded(pieces) if mark == _BYTES else pieces)]
    alone = np.array([bool(text) and not any(c.isalnum() or c == "\ufffd" for c in text) for text in bare])
    return marked | alone if marked.any() else np.ones(len(pieces), dtype=bool), alone


def _decoded(pieces: list[str]) -> list[str]:
    """Pieces of byte-level BPE as text, U+FFFD where one is only a part of a character."""
    from tokenizers import decoders

    decoder = decoders.ByteLevel()
    return [decoder.decode([piece]) for piece in pieces]
