"""Raw text for pretraining: sources -> documents, as a stream: a file of any size, a row, a folder of these."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from petkit.data.text import ENCODING, byte_blocks, decoded_blocks
from petkit.data.values import as_text
from petkit.encoding.tokenizing import Plain, plain_tokenizer
from petkit.errors import DataError
from petkit.files import digest

__all__ = ["TokenUnits", "pack", "read_documents", "source_digest", "source_files", "tokenize_units"]

Int = npt.NDArray[np.int64]

BUILTIN: Final = "builtin:docs"
_HUB: Final = "hub:"
_ENDINGS: Final = (".txt", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
"""Of the files for which a folder stands, all but parquet also with ``.gz``."""
LONGEST: Final = 2**13
"""The longest paragraph, in characters: a longer one is cut."""
_PART: Final = 2**18
"""Characters of a text file that are read as one document at most."""
_BLANK_LINE: Final = re.compile(r"\n\s*\n")
_ENDS: Final = (re.compile(r"[.!?][\"')\]]*\s|[\u3002\uff01\uff1f]|\n"), re.compile(r"\s"))
"""Behind what a paragraph that is too long is cut, if it is there: a sentence or a line, else a word."""


def read_documents(source: str, *, column: str = "text", encoding: str = ENCODING) -> Iterator[list[str]]:
    """The documents of a source, each a list of paragraphs, one after the other: no file is held in memory.

    ``builtin:docs`` is the documentation of installed packages (see ``petkit.builtin.docs``). A ``.txt`` file (also ``.gz``) is one
    document, its paragraphs set apart by blank lines; a long one comes in parts of some 250,000 characters. Of any other format (JSONL,
    CSV, parquet, ... see ``petkit.data.iter_records``) each row's ``column`` is a document. A folder stands for its files of these
    formats, at any depth, sorted; hidden ones are left out. Paragraphs of more than ``LONGEST`` characters are cut behind a
    sentence, a line or a word.

    Raises DataError, naming file and line or row, at what is missing or cannot be read.
    """
    if source == BUILTIN:
        from petkit.builtin.corpus import training_documents

        yield from training_documents()
    elif source.startswith(_HUB) or _saved(Path(source)):
        yield from _rows(source, column, encoding)
    else:
        for file in source_files(source):
            yield from _texts(str(file), encoding) if _ending(file) == ".txt" else _rows(str(file), column, encoding)


def source_files(source: str) -> list[Path]:
    """The files that a source is read from, sorted; none for text that is not in files of the user's.

    Raises DataError if there is no such file, or none in a folder that can be read, and for standard input, which cannot be read twice.
    """
    path = Path(source)
    if source == "-":
        raise DataError("standard input can be read once only, and the text is read several times; save it to a file")
    if source == BUILTIN or source.startswith(_HUB):
        return []
    if not os.path.exists(path):  # Path.exists raises on names that are too long
        raise DataError(f"{source}: no such file or folder")
    if not path.is_dir():
        return [path]
    files = list(_walk(path)) if _saved(path) else [file for file in _walk(path) if _ending(file) in _ENDINGS]
    if not files:
        raise DataError(f"{source}: the folder holds no text; files that end in {', '.join(_ENDINGS)} are read")
    return files


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


def _walk(folder: Path) -> Iterator[Path]:
    """Files at any depth, in the order of their paths, without hidden ones. Links to folders are not followed."""
    found = []
    for current, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(current, name) for name in names if not name.startswith(".")]
    yield from sorted(found, key=lambda path: path.relative_to(folder).parts)


def _ending(path: Path) -> str:
    """The file's format, ``.txt`` for ``a.txt.gz``."""
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix == ".gz" else suffix


def _saved(path: Path) -> bool:
    """Whether this is a folder that ``datasets`` saved."""
    return any((path / name).is_file() for name in ("state.json", "dataset_dict.json"))


# Text files


def _texts(source: str, encoding: str) -> Iterator[list[str]]:
    part: list[str] = []
    size = 0
    for paragraph in _paragraphs(decoded_blocks(byte_blocks(source), source, encoding)):
        part.append(paragraph)
        size += len(paragraph)
        if size >= _PART:
            yield part
            part, size = [], 0
    if part:
        yield part


def _paragraphs(blocks: Iterable[str]) -> Iterator[str]:
    """The paragraphs of a text that comes in blocks, all blanks and line ends in them single blanks."""
    ends = io.IncrementalNewlineDecoder(None, translate=True)
    pending = ""
    for block in chain(blocks, [None]):
        text = pending + (ends.decode("", final=True) if block is None else ends.decode(block))
        *whole, last = _BLANK_LINE.split(text)
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


def _rows(source: str, column: str, encoding: str) -> Iterator[list[str]]:
    from petkit.data import iter_records

    row = 0
    for records in iter_records(source, encoding=encoding):
        for record in records:
            row += 1
            if text := _cell(record, column, source, row):
                yield list(_paragraphs([text]))


def _cell(record: dict[str, Any], column: str, source: str, row: int) -> str | None:
    if column not in record:
        where = "" if row == 1 else f"row {row} has "
        raise DataError(f"{source}: {where}no column {column!r}; columns are {', '.join(record)}; name one with --text-column")
    try:
        return as_text(record[column])
    except ValueError as error:
        raise DataError(f"{source}: row {row}: column {column!r} holds {error}; a text is needed") from error


@dataclass(frozen=True)
class TokenUnits:
    """Runs of text that stay together in a row: ``ids`` (sum,) int32 flat without special tokens; ``offsets`` (N + 1,) int64."""

    ids: npt.NDArray[np.int32]
    offsets: Int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int:
        """(N,) tokens of each unit."""
        return np.diff(self.offsets)


def _units(runs: Sequence[npt.NDArray[np.int32]]) -> TokenUnits:
    offsets = np.concatenate([[0], np.cumsum([len(run) for run in runs], dtype=np.int64)])
    return TokenUnits(np.concatenate(runs) if runs else np.zeros(0, np.int32), offsets.astype(np.int64))


def tokenize_units(documents: Iterable[list[str]], tokenizer: Any, *, longest: int, batch: int = 4096) -> TokenUnits:
    """Tokenise documents once: paragraphs that follow each other are joined while they fit ``longest`` tokens; longer ones are cut.

    A literal special token in the text stays text.
    """
    plain = plain_tokenizer(tokenizer)
    runs: list[npt.NDArray[np.int32]] = []
    for document in documents:
        runs.extend(_join(_encoded(document, plain, batch), longest))
    return _units(runs)


def _encoded(paragraphs: list[str], plain: Plain, batch: int) -> Iterator[npt.NDArray[np.int32]]:
    for start in range(0, len(paragraphs), batch):
        yield from plain.ids(paragraphs[start : start + batch])


def _join(paragraphs: Iterable[npt.NDArray[np.int32]], longest: int) -> Iterator[npt.NDArray[np.int32]]:
    held: list[npt.NDArray[np.int32]] = []
    size = 0
    for ids in paragraphs:
        for piece in (ids[i : i + longest] for i in range(0, len(ids), longest)):
            if held and size + len(piece) > longest:
                yield np.concatenate(held)
                held, size = [], 0
            held.append(piece)
            size += len(piece)
    if held:
        yield np.concatenate(held)


def pack(units: TokenUnits, order: Int, *, length: int, cls_id: int, sep_id: int, pad_id: int) -> npt.NDArray[np.int32]:
    """(R, length) rows ``[CLS] unit [SEP] unit [SEP] ...``, the rest padding. Units of more than ``length - 2`` tokens are cut there.

    Full sentences across documents, as in RoBERTa (Liu et al. 2019, section 4.2, arXiv 1907.11692). Each row starts with the next
    unit in ``order`` and takes the longest ones that still fit from the block of units around it, so little is padding.
    """
    sizes = np.minimum(units.lengths, length - 2) + 1
    rows = [row for start in range(0, len(order), _BLOCK) for row in _best_fit(order[start : start + _BLOCK], sizes, length - 1)]
    packed = np.full((len(rows), length), pad_id, dtype=np.int32)
    packed[:, 0] = cls_id
    for row, members in enumerate(rows):
        place = 1
        for unit in members:
            start, size = units.offsets[unit], sizes[unit]
            packed[row, place : place + size - 1] = units.ids[start : start + size - 1]
            packed[row, place + size - 1] = sep_id
            place += size
    return packed


_BLOCK = 4096


def _best_fit(order: Int, sizes: Int, room: int) -> list[list[int]]:
    by_size: list[list[int]] = [[] for _ in range(room + 1)]
    for unit in order[::-1].tolist():
        by_size[sizes[unit]].append(unit)
    rows, used = [], set()
    for first in order.tolist():
        if first in used:
            continue
        by_size[sizes[first]].remove(first)
        row, left = [first], room - int(sizes[first])
        while (size := next((n for n in range(left, 1, -1) if by_size[n]), None)) is not None:
            row.append(by_size[size].pop())
            left -= size
        used.update(row)
        rows.append(row)
    return rows
