"""Tokens that a tokenizer does not know, in words: a model sees nothing of them, and texts in another language may be little else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["NOTED", "REMEDY", "percentage", "unknown_notice"]

NOTED: Final = 0.2
"""The share of unknown tokens from which on it is told."""

REMEDY: Final = "take a checkpoint for the language of the texts, for example FacebookAI/xlm-roberta-base"

_PARTS: Final = {"train": "the labelled rows", "pool": "the unlabelled rows"}


def unknown_notice(shares: Mapping[str, float | None]) -> str | None:
    """What the user should know of the shares of unknown tokens; None if none is large.

    Args:
        shares: by part, ``train`` or ``pool``; or by what the texts are called. None where nothing is known.

    >>> unknown_notice({"pool": 0.663, "train": 0.3, "other": 0.1}).partition(";")[0]
    "30 % of the tokens of the labelled rows and 66 % of those of the unlabelled rows are unknown to the model's tokenizer"
    """
    ordered = {_PARTS.get(part, part): shares[part] for part in sorted(shares, key=[*_PARTS, *shares].index)}
    large = [(what, share) for what, share in ordered.items() if share is not None and share >= NOTED]
    if not large:
        return None
    told = [f"{percentage(share)} of {'those' if place else 'the tokens'} of {what}" for place, (what, share) in enumerate(large)]
    return f"{' and '.join(told)} are unknown to the model's tokenizer; {REMEDY}"


def percentage(share: float) -> str:
    """A share as text; all only where it is all.

    >>> percentage(0.66), percentage(0.999), percentage(1.0)
    ('66 %', '99 %', '100 %')
    """
    return f"{min(round(100 * share), 99 if share < 1 else 100)} %"
