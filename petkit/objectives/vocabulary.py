"""What objectives need to know of a tokenizer, as arrays over its vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Vocabulary"]


@dataclass(frozen=True)
class Vocabulary:
    """Facts over a vocabulary of V ids.

    Attributes:
        mask_id: the mask token. pad_id: the padding token.
        special: (V,) bool, ids that are never selected and never drawn as random replacements.
        starts_word: (V,) bool, pieces that begin a word; a cumulative sum over a row gives word ids.
        ordinary: (V',) int64, the ids that are not special, from which random replacements are drawn.
    """

    mask_id: int
    pad_id: int
    special: npt.NDArray[np.bool_]
    starts_word: npt.NDArray[np.bool_]
    ordinary: npt.NDArray[np.int64]

    @classmethod
    def of(cls, tokenizer: Any) -> Vocabulary:
        """Read a transformers tokenizer: WordPiece (##), byte-level BPE (Ġ) or SentencePiece (▁)."""
        size = len(tokenizer)
        pieces = tokenizer.convert_ids_to_tokens(list(range(size)))
        special = np.zeros(size, dtype=bool)
        special[[i for i in tokenizer.all_special_ids if i < size]] = True
        special[[i for i, piece in enumerate(pieces) if piece is None]] = True
        return cls(
            mask_id=tokenizer.mask_token_id,
            pad_id=tokenizer.pad_token_id,
            special=special,
            starts_word=_starts_word([piece or "" for piece in pieces]) | special,
            ordinary=np.flatnonzero(~special),
        )

    def words(self, ids: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int64]:
        """(B, T) ids -> (B, T) word ids that count up from 0 or 1 within each row."""
        return np.cumsum(self.starts_word[ids], axis=1, dtype=np.int64)


def _starts_word(pieces: list[str]) -> npt.NDArray[np.bool_]:
    """By the family's mark; a piece without letters or digits is a word of its own."""
    if any(piece.startswith("##") for piece in pieces):
        return np.array([not piece.startswith("##") for piece in pieces])
    marks = ("\u0120", "\u2581")
    marked = any(piece.startswith(marks) for piece in pieces)
    return np.array([not marked or piece.startswith(marks) or not any(c.isalnum() for c in piece) for piece in pieces])
