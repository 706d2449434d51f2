"""Text that is given twice: what is held out of one copy is trained on in the other."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final

from petkit.data.text import byte_blocks
from petkit.errors import DataError, raise_problems
from petkit.pretraining.sourcefiles import saved, source_files
from petkit.wording import shortened

__all__ = ["copies", "refuse_repeats"]

_WHY: Final = "counts twice, and what is held out of one copy is trained on in the other"


def refuse_repeats(sources: Sequence[str]) -> None:
    """Raise DataError where a file is among the sources, or in their folders, more than once: by the same name, another, or a link."""
    _refuse([_same(first, second) for first, second in _pairs(sources, _place)])
    files = chain.from_iterable(map(_texts, sources))
    _refuse([_same(first, second) for first, second in _pairs(files, Path.resolve)])


def copies(sources: Sequence[str]) -> list[str]:
    """What to tell of files that have the content of another one, packed (``.gz``) or not; empty files apart. Nothing if there are none.

    Beginnings are compared first, so that of most files no more is read.
    """
    files = {file.resolve(): file for file in chain.from_iterable(map(_texts, sources))}
    alike = chain.from_iterable(_pairs(group, _content) for group in _groups(files.values(), _beginning))
    found = [f"{second} has the content of {first}" for first, second in alike]
    return [f"text that is there twice {_WHY}: {'; '.join(shortened(found, most=10))}"] if found else []


def _refuse(problems: list[str]) -> None:
    raise_problems(DataError, f"text that is given twice {_WHY}; give each file once", shortened(problems, most=10))


def _same(first: str | Path, second: str | Path) -> str:
    return f"{second} is given twice" if str(first) == str(second) else f"{second} is {first}"


def _place(source: str) -> str | Path:
    """Where a source lies; itself where it is no file and no folder of the user's."""
    return Path(source).resolve() if source_files(source) else source


def _texts(source: str) -> list[Path]:
    """The files that hold the source's text: of a folder that ``datasets`` saved, not those that describe it."""
    files = source_files(source)
    return [file for file in files if file.suffix == ".arrow"] if saved(Path(source)) else files


def _groups(items: Iterable[Any], key: Callable[[Any], Any]) -> Iterator[list[Any]]:
    """The items that have a key in common, in their order; those of the key None have none."""
    found: dict[Any, list[Any]] = defaultdict(list)
    for item in items:
        found[key(item)].append(item)
    found.pop(None, None)
    yield from (group for group in found.values() if len(group) > 1)


def _pairs(items: Iterable[Any], key: Callable[[Any], Any]) -> Iterator[tuple[Any, Any]]:
    """Each item whose key another one before it has, behind the first that has it."""
    for first, *others in _groups(items, key):
        yield from ((first, other) for other in others)


def _beginning(file: Path) -> bytes | None:
    """A digest of the first block, unpacked; None for an empty file."""
    first = next(byte_blocks(str(file)), b"")
    return hashlib.sha256(first).digest() if first else None


def _content(file: Path) -> bytes:
    """A digest of all bytes, unpacked."""
    found = hashlib.sha256()
    for block in byte_blocks(str(file)):
        found.update(block)
    return found.digest()
