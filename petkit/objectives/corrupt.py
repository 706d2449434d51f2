"""What the model sees at the selected positions, and what it has to say there."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from petkit.objectives.select import BoolArray, IntArray
from petkit.objectives.vocabulary import Vocabulary

__all__ = ["IGNORED", "replace_bert"]

IGNORED = -100
"""The target of positions without a loss."""


def replace_bert(
    ids: IntArray,
    selection: BoolArray,
    rng: np.random.Generator,
    vocabulary: Vocabulary,
    *,
    masked: float = 0.8,
    random: float = 0.1,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """BERT's replacement (Devlin et al. 2019, section 3.1): per selected token the mask, an ordinary random token, or itself.

    Args:
        ids: (B, T) int64. selection: (B, T) bool.
        masked, random: shares; the rest stays as it is. Random tokens are never special ones.

    Returns:
        inputs (B, T) int64 and targets (B, T) int64, the latter ``IGNORED`` off the selection.
    """
    draw = rng.random(ids.shape, dtype=np.float32)
    inputs = np.where(selection & (draw < masked), vocabulary.mask_id, ids)
    swap = selection & (draw >= masked) & (draw < masked + random)
    inputs[swap] = rng.choice(vocabulary.ordinary, size=int(swap.sum()))
    return inputs, np.where(selection, ids, IGNORED)
