"""Few-shot splits of a study: drawn per class or by chance, nested, each with a hash."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from petkit.errors import DataError, raise_problems
from petkit.evaluation.grid import Split
from petkit.objectives.streams import stream
from petkit.rows import Rows

__all__ = ["SplitRows", "by_chance", "drawn_splits", "duplicates", "nominal_shots", "per_class", "split_of"]

_LEAST: Final = 4


@dataclass(frozen=True)
class SplitRows:
    """A split and its rows; ``development`` is empty unless a gain is measured."""

    split: Split
    train: Rows
    development: Rows


def drawn_splits(
    rows: Rows, labels: Sequence[str], *, shots: Sequence[int], splits: int, draw: str, seed: int, development: bool
) -> list[SplitRows]:
    """``splits`` draws for each of ``shots`` (rows per label). Draws of one number are nested: 4 per label are among the 16.

    Args:
        draw: ``per-class``, or ``random``: shots x labels rows by chance, so that imbalance is kept.
        development: also draw as many rows again, no labelled one among them.

    Raises DataError that names every label with too few rows.
    """
    _check_enough(rows, labels, shots, draw, development)
    found = []
    for k in shots:
        for number in range(splits):
            choose = per_class if draw == "per-class" else by_chance
            places = choose(rows, len(labels), k, number=number, seed=seed)
            others = choose(rows, len(labels), k, number=number, seed=seed, skip=k) if development else []
            split = split_of(rows.select(places), labels, number, f"draw {number}", shots=k)
            found.append(SplitRows(split, rows.select(places), rows.select(others)))
    return found


def per_class(rows: Rows, labels: int, shots: int, *, number: int, seed: int, skip: int = 0) -> list[int]:
    """Indices of ``shots`` rows of each label, ascending: places ``skip`` onwards of the label's own permutation."""
    known = np.asarray(rows.labels, dtype=np.int64)
    chosen: list[npt.NDArray[np.int64]] = []
    for label in range(labels):
        where = np.flatnonzero(known == label)
        chosen.append(where[stream(seed, "split", number, label).permutation(len(where))[skip : skip + shots]])
    return sorted(np.concatenate(chosen).tolist())


def by_chance(rows: Rows, labels: int, shots: int, *, number: int, seed: int, skip: int = 0) -> list[int]:
    """Indices of ``shots * labels`` rows of all, ascending; a rare label may be missing."""
    order = stream(seed, "split", number).permutation(len(rows))
    return sorted(order[skip * labels : (skip + shots) * labels].tolist())


def split_of(train: Rows, labels: Sequence[str], number: int, name: str, *, shots: int | None) -> Split:
    """What the report says of a split of ``shots`` rows per label (None: of unequal numbers)."""
    counts = tuple(np.bincount(np.asarray(train.labels, dtype=np.int64), minlength=len(labels)).tolist())
    return Split(shots, number, name, train.fingerprint()[:16], len(train), counts)


def nominal_shots(counts: Sequence[Sequence[int]]) -> int | None:
    """Rows per label of given splits, from those of each split and label; None where they are unequal.

    One row less than the most is no other number: published splits lose a row where a text came twice. Below 4 it would be.

    >>> nominal_shots([[16, 16], [15, 16]]), nominal_shots([[2, 2], [2, 2]])
    (16, 2)
    >>> nominal_shots([[16, 14]]), nominal_shots([[8, 8], [16, 16]]), nominal_shots([[4, 3]])
    (None, None, None)
    """
    every = [count for of_split in counts for count in of_split]
    most, least = max(every), min(every)
    return most if most == least or least >= max(most - 1, _LEAST) else None


def duplicates(keys: Sequence[tuple[str, ...]]) -> int:
    """How many rows repeat an earlier one.

    >>> duplicates([("a",), ("b",), ("a",), ("a",)])
    2
    """
    return sum(times - 1 for times in Counter(keys).values())


def _check_enough(rows: Rows, labels: Sequence[str], shots: Sequence[int], draw: str, development: bool) -> None:
    wanted = max(shots) * (2 if development else 1)
    counts = Counter(rows.labels)
    also = " (as many again for development)" if development else ""
    if draw != "per-class":
        short = [f"{wanted * len(labels)} rows are needed{also}, and {len(rows)} are there"] if wanted * len(labels) > len(rows) else []
    else:
        short = [f"{label!r} has {counts[i]} of {wanted} rows{also}" for i, label in enumerate(labels) if counts[i] < wanted]
    raise_problems(DataError, f"--shots {max(shots)}", short)
