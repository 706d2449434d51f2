"""What a message says of a name that is none of the legal ones: which they are, and which was meant."""

from __future__ import annotations

import contextlib
import difflib
import os
from collections.abc import Collection, Iterable
from itertools import islice
from pathlib import Path
from typing import Final

__all__ = ["did_you_mean", "legal_are", "nearest", "not_there"]

_SURE: Final = 0.85
"""Beside names as like as that, others are not worth telling."""

_FILES: Final = 1000
"""Of a folder, so many names are looked at."""


def nearest(given: str, names: Iterable[str], *, most: int = 3, alike: float = 0.6) -> list[str]:
    """The names most like the one given, the likest first. Case does not count, nor does ``-`` for ``_``.

    Args:
        most: how many. alike: how like they are at least, from 0 to 1 (``difflib.SequenceMatcher.ratio``).

    >>> nearest("Patern", ["patterns", "pool_limit"])
    ['patterns']

    A dotted name is found by its last part too:

    >>> nearest("step", ["member.steps", "classifier.steps", "seed"])
    ['member.steps', 'classifier.steps']
    """
    keys: dict[str, list[str]] = {}
    for name in names:
        folded = _folded(name)
        for key in {folded, folded.rpartition(".")[2]}:
            keys.setdefault(key, []).append(name)
    tries = (difflib.get_close_matches(_folded(given), keys, n=most, cutoff=cutoff) for cutoff in (max(_SURE, alike), alike))
    near = next(filter(None, tries), [])
    return list(dict.fromkeys(name for key in near for name in keys[key]))[:most]


def did_you_mean(given: object, names: Iterable[object]) -> str:
    """The end of a message about ``given``, which may be several names: the legal ones like it. Empty if there is none, or nothing to mend.

    >>> did_you_mean("linear-prob", ["linear-probe", "tfidf"])
    '; did you mean linear-probe?'
    >>> did_you_mean(["sed", "what", "Steps"], ["seed", "member.steps", "ipet.steps"])
    '; did you mean seed for sed, member.steps or ipet.steps for Steps?'
    """
    known = [str(name) for name in names]
    asked = [str(one) for one in (given if isinstance(given, list | tuple) else [given])]
    found = {one: " or ".join(nearest(one, known)) for one in asked if one not in known}
    hints = [near if len(asked) == 1 else f"{near} for {one}" for one, near in found.items() if near]
    return f"; did you mean {', '.join(hints)}?" if hints else ""


def legal_are(given: object, names: Collection[str]) -> str:
    """Which names are legal, and those that are like the one given.

    >>> legal_are("smal", ["small", "large"])
    'legal are small, large; did you mean small?'
    """
    return f"legal are {', '.join(names)}{did_you_mean(given, names)}"


def not_there(path: str | Path) -> str:
    """``did_you_mean`` for a file or folder, if it is not there: the names beside it that are like its own."""
    asked = Path(path)
    if os.path.exists(asked):  # Path.exists raises on names that are too long
        return ""
    with contextlib.suppress(OSError), os.scandir(asked.parent) as beside:
        return did_you_mean(asked.name, [entry.name for entry in islice(beside, _FILES)])
    return ""


def _folded(name: str) -> str:
    return name.strip().casefold().replace("-", "_")
