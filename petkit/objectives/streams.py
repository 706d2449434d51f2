"""Stateless random streams: the numbers depend on the seed, the names and the step, never on what was drawn before.

So a resumed run draws what the undisturbed one would have drawn, whatever the order or the number of workers.
"""

from __future__ import annotations

import hashlib

import numpy as np

__all__ = ["seed_for", "stream"]


def seed_for(seed: int, *names: str | int) -> int:
    """A 63-bit seed derived by SHA-256 from a run's seed and a path of names.

    >>> seed_for(1, "member", 0) == seed_for(1, "member", 0) != seed_for(1, "member", 1)
    True
    """
    text = "\x1f".join([str(seed), *(f"{type(name).__name__}:{name}" for name in names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def stream(seed: int, *names: str | int, step: int = 0, epoch: int = 0) -> np.random.Generator:
    """A generator on Philox (Salmon et al. 2011): key from seed and names, counter from (step, epoch).

    Streams of different steps lie 2**128 draws apart, so they never overlap.

    >>> stream(1, "mask", step=3).random() == stream(1, "mask", step=3).random()
    True
    """
    return np.random.Generator(np.random.Philox(key=seed_for(seed, *names), counter=[0, 0, step, epoch]))
