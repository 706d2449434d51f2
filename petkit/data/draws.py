"""Few-shot draws: so many rows of each label, or of all, by chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from petkit.errors import DataError
from petkit.rows import Rows

__all__ = ["draw_rows", "draw_shots"]


def draw_shots(rows: Rows, *, shots: int, n_labels: int, rng: np.random.Generator, names: Sequence[str] = ()) -> list[int]:
    """Indices of ``shots`` rows of each label, drawn without replacement, in ascending order.

    0 draws nothing (not everything), and no seed is built in: the draw is that of ``rng``. Rows without a label are
    never drawn. Each label's draw depends on its own rows only, not on how the labels are interleaved.

    Args:
        rows: N labelled rows. shots: rows per label. n_labels: C. rng: moved on by the draw. names: of the labels, for messages.

    Raises DataError that names every label with fewer rows.

    >>> rows = Rows(ids=tuple("abcd"), fields={}, labels=(0, 1, 0, 1))
    >>> len(draw_shots(rows, shots=1, n_labels=2, rng=np.random.default_rng(0)))
    2
    """
    if shots < 0:
        raise DataError(f"--shots must be 0 or more, not {shots}")
    if shots == 0:
        return []
    labels = np.asarray(rows.labels, dtype=np.int64)
    places = [np.flatnonzero(labels == label) for label in range(n_labels)]
    _check_enough(places, shots, names)
    drawn = [rng.choice(where, size=shots, replace=False) for where in places]
    return sorted(int(index) for index in np.concatenate(drawn))


def draw_rows(rows: Rows, n: int, rng: np.random.Generator) -> list[int]:
    """Indices of ``n`` rows drawn without replacement, in ascending order. Raises DataError if there are fewer."""
    if not 0 <= n <= len(rows):
        raise DataError(f"cannot draw {n} rows from {len(rows)}")
    return sorted(int(index) for index in rng.choice(len(rows), size=n, replace=False))


def _check_enough(places: Sequence[np.ndarray], shots: int, names: Sequence[str]) -> None:
    short = [f"{names[label] if names else label!r} has {len(where)}" for label, where in enumerate(places) if len(where) < shots]
    if short:
        raise DataError(f"--shots {shots} needs {shots} labelled rows of every label; {', '.join(short)}")
