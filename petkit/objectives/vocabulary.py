"""What objectives need to know of a tokenizer, as arrays over its vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Vocabulary"]


_MARKS = ("\u0120", "\u2581")
"""How a piece after a blank begins: byte-level BPE, SentencePiece."""


@dataclass(frozen=True)
class Vocabulary:
    """Facts over a vocabulary of V ids.

    Attributes:
        mask_id: the mask token. pad_id: the padding token.
        special: (V,) bool, ids that are never selected and never drawn as random replacements.
        starts_word: (V,) bool, pieces that begin a word. alone: (V,) bool, pieces that are one (punctuation), so the next begins another.
        ordinary: (V',) int64, the ids that are not special, from which random replacements are drawn.
    """

    mask_id: int
    pad_id: int
    special: npt.NDArray[np.bool_]
    starts_word: npt.NDArray[np.bool_]
    alone: npt.NDArray[np.bool_]
    ordinary: npt.NDArray[np.int64]

    @classmethod
    def of(cls, tokenizer: Any) -> Vocabulary:
        """Read a transformers tokenizer: WordPiece (##), byte-level BPE (Ġ) or SentencePiece (▁)."""
        size = len(tokenizer)
        pieces = tokenizer.convert_ids_to_tokens(list(range(size)))
        special = np.zeros(size, dtype=bool)
        special[[i for i in tokenizer.all_special_ids if i < size]] = True
        special[[i for i, piece in enumerate(pieces) if piece is None]] = True
        starts, alone = _words([piece or "" for piece in pieces])
        return cls(
            mask_id=tokenizer.mask_token_id,
            pad_id=tokenizer.pad_token_id,
            special=special,
            starts_word=starts | special,
            alone=alone | special,
            ordinary=np.flatnonzero(~special),
        )

    def words(self, ids: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int64]:
        """(B, T) ids -> (B, T) word ids that count up from 0 or 1 within each row."""
        starts = self.starts_word[ids]
        starts[:, 1:] |= self.alone[ids[:, :-1]]
        return np.cumsum(starts, axis=1, dtype=np.int64)


def _words(pieces: list[str]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which pieces begin a word, by the family's mark, and which are one: whole characters, none of them a letter or a digit."""
    if any(piece.startswith("##") for piece in pieces):
        return np.array([not piece.startswith("##") for piece in pieces]), np.zeros(len(pieces), dtype=bool)
    marked = np.array([piece.startswith(_MARKS) for piece in pieces])
    texts = _decoded(pieces) if any(piece.startswith(_MARKS[0]) for piece in pieces) else pieces
    bare = [text.strip(" \u2581") for text in texts]
    alone = np.array([bool(text) and not any(c.isalnum() or c == "\ufffd" for c in text) for text in bare])
    return marked | alone if marked.any() else np.ones(len(pieces), dtype=bool), alone


def _decoded(pieces: list[str]) -> list[str]:
    """Pieces of byte-level BPE as text, U+FFFD where one is only a part of a character."""
    from tokenizers import decoders

    decoder = decoders.ByteLevel()
    return [decoder.decode([piece]) for piece in pieces]
