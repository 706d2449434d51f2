"""Replaced-token detection (Clark et al. 2020, arXiv 2003.10555): what the discriminator reads, once the generator has filled the masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["replaced_tokens"]


def replaced_tokens(ids: Tensor, positions: Tensor, sampled: Tensor) -> tuple[Tensor, Tensor]:
    """The discriminator's inputs and labels, by operations on the device of the arguments.

    A token that the generator guessed right is an original (section 2): labels compare ids, not positions.

    Args:
        ids: (B, T) int64, the original ids. positions: (S,) int64 into the flattened (B T). sampled: (S,) int64, what the generator drew.

    Returns:
        inputs (B, T) int64 and replaced (B, T) bool. The loss counts all positions that are no padding.
    """
    inputs = ids.flatten().scatter(0, positions, sampled).view_as(ids)
    return inputs, inputs != ids
