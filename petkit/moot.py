"""What scikit-learn warns of although nobody can do anything about it: few rows of many labels are what petkit is for."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from sklearn.exceptions import ConvergenceWarning

__all__ = ["moot_warnings_ignored"]


@contextmanager
def moot_warnings_ignored() -> Iterator[None]:
    """No warnings inside of many labels for the number of rows, nor of a fit that stops at its last iteration; others as ever."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The number of unique classes is greater than 50%", category=UserWarning)
        warnings.filterwarnings("ignore", category=ConvergenceWarning)
        yield
