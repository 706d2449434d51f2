"""Raw text for pretraining: sources -> documents, as a stream: a file of any size, a row, a folder of these."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Final

from petkit.choices import did_you_mean
from petkit.data.text import ENCODING, byte_blocks, decoded_blocks
from petkit.data.values import as_text
from petkit.errors import DataError
from petkit.files import digest
from petkit.pretraining.sourcefiles import BUILTIN, HUB, ending, saved, source_files

__all__ = ["read_documents", "row_texts", "source_digest", "source_parts", "text_paragraphs"]

LONGEST: Final = 2**13
"""The longest paragraph, in characters: a longer one is cut."""
_PART: Final = 2**18
"""Characters of a text file that are read as one document at most."""
_BLANK_LINE: Final = re.compile(r"\n\s*\n")
_ENDS: Final = (re.compile(r"[.!?][\"')\]]*\s|[\u3002\uff01\uff1f]|\n"), re.compile(r"\s"))
"""Behind what a paragraph that is too long is cut, if it is there: a sentence or a line, else a word."""


def read_documents(source: str, *, column: str = "text", encoding: str = ENCODING, quotes: bool = True) -> Iterator[list[str]]:
    """The documents of a source, each a list of paragraphs, one after the other: no file is held in memory.

    ``builtin:docs`` is the documentation of installed packages (see ``petkit.builtin.docs``). A ``.txt`` file (also ``.gz``) is one
    document, its paragraphs set apart by blank lines; a long one comes in parts of some 250,000 characters. Where its first block has
    lines and no blank one, each line is a document. Of any other format (JSONL, CSV, parquet, ... see ``petkit.data.iter_records``)
    each row's ``column`` is a document. A folder stands for its files of these formats, at any depth, sorted; hidden ones are left
    out. Paragraphs of more than ``LONGEST`` characters are cut behind a sentence, a line or a word. ``quotes``: whether ``"`` encloses
    cells in CSV and TSV.

    Raises DataError, naming file and line or row, at what is missing or cannot be read.
    """
    if source == BUILTIN:
        from petkit.builtin.corpus import training_documents

        yield from training_documents()
        return
    for part, in_columns in source_parts(source):
        if in_columns:
            rows = row_texts(part, column=column, encoding=encoding, quotes=quotes)
            yield from (list(text_paragraphs(text)) for _, _, text in rows if text)
        else:
            yield from _texts(part, encoding)


def source_parts(source: str) -> list[tuple[str, bool]]:
    """What a source is read from, in order, and of each whether it is rows with columns. Raises DataError as ``source_files``."""
    if source.startswith(HUB) or saved(Path(source)):
        return [(source, True)]
    return [(source, False)] if source == BUILTIN else [(str(file), ending(file) != ".txt") for file in source_files(source)]


def source_digest(source: str) -> str:
    """SHA-256 (hex) of a source's content: the bytes of its files in order, and in a folder their names.

    For the installed packages' documentation, of the packages' versions; for a name on the hub, of the name. Raises as ``source_files``.
    """
    from petkit.canonical import hash_json

    if source == BUILTIN:
        return hash_json(_package_versions())
    files, root = source_files(source), Path(source)
    if files == [root]:
        return digest(root)
    return hash_json([source] if not files else [[file.relative_to(root).as_posix(), digest(file)] for file in files])


def _package_versions() -> dict[str, str]:
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from petkit.builtin.corpus import PACKAGES

    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version({"sklearn": "scikit-learn"}.get(name, name))
        except PackageNotFoundError:
            found[name] = "absent"
    return found


# Text files


def _texts(source: str, encoding: str) -> Iterator[list[str]]:
    blocks = decoded_blocks(byte_blocks(source), source, encoding)
    first = next(blocks, "")
    blocks = chain([first], blocks)
    beginning = "".join(_unix([first])).strip()
    if _BLANK_LINE.search(beginning) is None and "\n" in beginning:
        yield from ([piece] for line in _lines(blocks) for piece in map(_tidy, _cut(line)) if piece)
        return
    part: list[str] = []
    size = 0
    for paragraph in _paragraphs(blocks):
        part.append(paragraph)
        size += len(paragraph)
        if size >= _PART:
            yield part
            part, size = [], 0
    if part:
        yield part


def _unix(blocks: Iterable[str]) -> Iterator[str]:
    """The same text with ``\\n`` as the only line end."""
    ends = io.IncrementalNewlineDecoder(None, translate=True)
    yield from map(ends.decode, blocks)
    yield ends.decode("", final=True)


def _lines(blocks: Iterable[str]) -> Iterator[str]:
    """The lines of a text that comes in blocks."""
    pending = ""
    for block in _unix(blocks):
        *done, pending = (pending + block).split("\n")
        yield from done
    yield pending


def _paragraphs(blocks: Iterable[str]) -> Iterator[str]:
    """The paragraphs of a text that comes in blocks, all blanks and line ends in them single blanks."""
    pending = ""
    for block in _unix(blocks):
        *whole, last = _BLANK_LINE.split(pending + block)
        *done, pending = chain.from_iterable(map(_cut, [*whole, last]))
        yield from filter(None, map(_tidy, done))
    if paragraph := _tidy(pending):
        yield paragraph


def _tidy(text: str) -> str:
    return " ".join(text.split())


def _cut(text: str) -> Iterator[str]:
    """The text in pieces of ``LONGEST`` characters at most, the last one may be empty."""
    start = 0
    while len(text) - start > LONGEST:
        window = text[start : start + LONGEST]
        size = next((end for pattern in _ENDS if (end := _last_end(pattern, window)) > LONGEST // 2), LONGEST)
        yield window[:size]
        start += size
    yield text[start:]


def _last_end(pattern: re.Pattern[str], text: str) -> int:
    """Where the last match ends that begins in the second half, 0 without one."""
    return max((match.end() for match in pattern.finditer(text, len(text) // 2)), default=0)


# Rows


def text_paragraphs(text: str) -> Iterator[str]:
    """The paragraphs of a row's text: blank lines part them, other blanks become single ones. No other character is lost or moved."""
    return _paragraphs([text])


def row_texts(source: str, *, column: str, encoding: str, quotes: bool = True) -> Iterator[tuple[int, dict[str, Any], str]]:
    """The rows of a file, a saved data set or one of the hub: their number from 1, all their values, and the text, empty where none is.

    Raises DataError, naming file and row, where the column is missing or holds no text.
    """
    from petkit.data import iter_records

    row = 0
    for records in iter_records(source, encoding=encoding, quotes=quotes):
        for record in records:
            row += 1
            yield row, record, _cell(record, column, source, row) or ""


def _cell(record: dict[str, Any], column: str, source: str, row: int) -> str | None:
    if column not in record:
        where = "" if row == 1 else f"row {row} has "
        there = f"columns are {', '.join(record)}; name one with --text-column{did_you_mean(column, record)}"
        raise DataError(f"{source}: {where}no column {column!r}; {there}")
    try:
        return as_text(record[column])
    except ValueError as error:
        raise DataError(f"{source}: row {row}: column {column!r} holds {error}; a text is needed") from error
