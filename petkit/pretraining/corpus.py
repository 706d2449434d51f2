"""Raw text for pretraining: sources -> documents -> units of at most T tokens -> packed rows of token ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from petkit.encoding.tokenizing import Plain, plain_tokenizer
from petkit.errors import DataError

__all__ = ["TokenUnits", "pack", "read_documents", "tokenize_units"]

Int = npt.NDArray[np.int64]


def read_documents(source: str, *, column: str = "text") -> Iterator[list[str]]:
    """The documents of a source, each a list of paragraphs.

    ``builtin:docs`` is the documentation of installed packages (see ``petkit.builtin.docs``); a ``.txt`` file is one document,
    its paragraphs set apart by blank lines; of any other format (JSONL, CSV, parquet, ...) each row's ``column`` is a document;
    a folder stands for its ``.txt`` files.
    """
    if source == "builtin:docs":
        from petkit.builtin.corpus import training_documents

        yield from training_documents()
        return
    path = Path(source)
    if path.is_dir() and (files := sorted(path.glob("*.txt"))):
        for file in files:
            yield _paragraphs(_read_text(file))
    elif path.suffix == ".txt":
        yield _paragraphs(_read_text(path))
    else:
        yield from _column(source, column)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start} is not UTF-8; convert the file first") from error
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error


def _paragraphs(text: str) -> list[str]:
    blocks = text.replace("\r\n", "\n").split("\n\n")
    return [" ".join(block.split()) for block in blocks if block.strip()]


def _column(source: str, column: str) -> Iterator[list[str]]:
    from petkit.data import iter_records

    for records in iter_records(source):
        for record in records:
            if column not in record:
                raise DataError(f"{source}: no column {column!r}; columns are {', '.join(record)}; name one with --text-column")
            if record[column]:
                yield _paragraphs(str(record[column]))


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
