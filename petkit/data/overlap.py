"""Keeping test text out of training: test rows that are also pool rows or labelled rows."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from petkit.errors import DataError
from petkit.rows import Rows

__all__ = ["Separated", "normalise", "separate"]


@dataclass(frozen=True)
class Separated:
    """The pool without test rows, and what was found.

    ``overlap`` holds the ids of labelled rows that equal a test row (only with ``--allow-overlap``, and to be stamped on
    the report); ``labelled_in_pool`` counts pool rows that equal a labelled row: they stay, being no test text.
    """

    pool: Rows
    removed_from_pool: int = 0
    overlap: tuple[str, ...] = ()
    labelled_in_pool: int = 0


def normalise(text: str) -> str:
    r"""Text as it is compared: NFKC, case folded, blanks collapsed. Normalising again changes nothing.

    >>> normalise("  \uff32ain\nand STRASSE, Straße ")
    'rain and strasse, strasse'
    """
    while True:
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        if folded == text:
            return " ".join(text.split())
        text = folded


def separate(train: Rows, pool: Rows, test: Rows | None, *, allow_overlap: bool) -> Separated:
    """Take the test rows out of the pool, and refuse labelled rows that are test rows. Rows are equal if all fields are.

    Raises DataError that names labelled rows which equal a test row, unless ``allow_overlap``.
    """
    labelled = set(_keys(train))
    pool_keys = _keys(pool)
    tested = dict(zip(_keys(test), test.ids, strict=True)) if test is not None else {}
    overlap = {name: tested[key] for name, key in zip(train.ids, _keys(train), strict=True) if key in tested}
    if overlap and not allow_overlap:
        raise DataError(_overlap_message(overlap))
    kept = [index for index, key in enumerate(pool_keys) if key not in tested]
    return Separated(
        pool=pool.select(kept) if len(kept) < len(pool) else pool,
        removed_from_pool=len(pool) - len(kept),
        overlap=tuple(overlap),
        labelled_in_pool=sum(pool_keys[index] in labelled for index in kept),
    )


def _keys(rows: Rows) -> list[tuple[str, ...]]:
    return [tuple(normalise(text) for text in texts) for texts in zip(*rows.fields.values(), strict=True)]


def _overlap_message(overlap: dict[str, str], *, limit: int = 5) -> str:
    named = ", ".join(f"{name!r} is {test!r}" for name, test in list(overlap.items())[:limit])
    more = f" and {len(overlap) - limit} more" if len(overlap) > limit else ""
    return (
        f"labelled rows must not be test rows (blanks and case do not count), and {len(overlap)} are: {named}{more}; remove them from "
        "--train or --test, or give --allow-overlap, which the report will say"
    )
