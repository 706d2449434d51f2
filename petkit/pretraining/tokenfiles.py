"""Tokenised text on disk: flat files that are appended to, published whole, and mapped into memory when opened."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from petkit.files import DamagedFileError, open_atomic, read_json_checked, write_json
from petkit.objectives import Documents
from petkit.objectives.rows import BoolArray, IntArray

__all__ = ["FORMAT", "RECORD", "Section", "SplitTokens", "TokenFile", "TokenWriter", "id_type", "open_split", "write_record"]

RECORD: Final = "tokens.json"
"""Written last: without it a folder holds no finished tokens."""
FORMAT: Final = 3
"""Raised when the same text gives other files: those of an earlier one are made anew."""
_PARTS: Final = ("train", "held")
_BLOCK: Final = 2**20
"""Bytes of a file that are held while its checksum is taken."""


@dataclass(frozen=True)
class TokenFile:
    """N tokens in P paragraphs, S sentences and D documents, mapped into memory: what is not asked for is not read.

    Attributes:
        ids: (N,) uint16 if the vocabulary has at most 65,536 ids, else int32. No special tokens.
        paragraphs: (P + 1,) int64, the first token of each paragraph, and N.
        sentences: (S + 1,) int64, the first token of each sentence, and N. A paragraph ends a sentence.
        documents: (D + 1,) int64, the first sentence of each document, and S.
        begins: (N,) bool, which tokens begin a unit: a word of the segmenter, or what the text marks; None without units.
    """

    ids: npt.NDArray[np.integer[Any]]
    paragraphs: IntArray
    sentences: IntArray
    documents: IntArray
    begins: BoolArray | None = None

    @property
    def as_documents(self) -> Documents:
        """The same as ``petkit.objectives`` makes pairs of."""
        return Documents(self.ids, self.sentences, self.documents)

    @property
    def starts(self) -> IntArray:
        """(D + 1,) int64, the first token of each document, and N."""
        return self.sentences[self.documents]


@dataclass(frozen=True)
class SplitTokens:
    """What is trained on, and what is held out."""

    train: TokenFile
    held: TokenFile


@dataclass(frozen=True)
class Section:
    """A stretch of one document: ``ids`` (n,), ``paragraphs`` (p,) int64 the first token of each, ``begins`` (n,) bool or None."""

    ids: npt.NDArray[np.integer[Any]]
    paragraphs: IntArray
    begins: BoolArray | None = None


def id_type(size: int) -> np.dtype[Any]:
    """The type in which ids below ``size`` are kept."""
    return np.dtype("<u2" if size <= 2**16 else "<i4")


@dataclass
class TokenWriter:
    """Appends sections to the files of one part, counts what is in them and keeps the CRC-32 of each. ``stack`` closes the files; each
    takes its name whole.

    Args:
        stops: (V,) bool, pieces that end a sentence, None for none. words: whether sections say which tokens begin a unit.
    """

    stack: ExitStack
    folder: Path
    part: str
    stops: BoolArray | None
    words: bool
    counts: dict[str, int] = field(default_factory=lambda: {"tokens": 0, "paragraphs": 0, "sentences": 0, "documents": 0})
    checksums: dict[str, int] = field(default_factory=dict)
    _files: dict[str, BinaryIO] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("ids", "paragraphs", "sentences", "documents", *(("begins",) if self.words else ())):
            self._files[name] = self.stack.enter_context(open_atomic(_path(self.folder, self.part, name)))
            self.checksums[name] = zlib.crc32(b"")

    def add(self, sections: Sequence[Section]) -> None:
        """Append sections, each as a document."""
        if not sections:
            return
        ids = np.concatenate([section.ids for section in sections])
        starts = np.cumsum([0, *(len(section.ids) for section in sections)])
        paragraphs = np.concatenate([section.paragraphs + start for section, start in zip(sections, starts[:-1], strict=True)])
        sentences = self._sentences(ids, paragraphs)
        documents = np.searchsorted(sentences, starts[:-1])
        tokens, before = self.counts["tokens"], self.counts["sentences"]
        self._append(ids=ids, paragraphs=paragraphs + tokens, sentences=sentences + tokens, documents=documents + before)
        if self.words:
            self._append(begins=np.concatenate([section.begins for section in sections if section.begins is not None]))
        for name, count in (("tokens", ids), ("paragraphs", paragraphs), ("sentences", sentences), ("documents", documents)):
            self.counts[name] += len(count)

    def _sentences(self, ids: npt.NDArray[np.integer[Any]], paragraphs: IntArray) -> IntArray:
        """Where sentences begin: with a paragraph, and behind the last stop of a row of stops."""
        begins = np.zeros(len(ids), dtype=bool)
        if self.stops is not None:
            stops = self.stops[ids]
            begins[1:] = stops[:-1] & ~stops[1:]
        begins[paragraphs] = True
        return np.flatnonzero(begins)

    def _append(self, **arrays: npt.NDArray[Any]) -> None:
        for name, array in arrays.items():
            kind = array.dtype if name in ("ids", "begins") else np.dtype("<i8")
            data = np.ascontiguousarray(array, dtype=kind).data
            self._files[name].write(data)
            self.checksums[name] = zlib.crc32(data, self.checksums[name])

    def finish(self) -> None:
        """Write the last bounds."""
        tokens, sentences = np.array([self.counts["tokens"]]), np.array([self.counts["sentences"]])
        self._append(paragraphs=tokens, sentences=tokens, documents=sentences)


def write_record(folder: Path, writers: Sequence[TokenWriter], *, kind: np.dtype[Any], words: bool) -> None:
    """Say what the files hold that the writers of both parts have finished."""
    counts = {writer.part: writer.counts for writer in writers}
    checksums = {writer.part: writer.checksums for writer in writers}
    write_json(folder / RECORD, {"format": FORMAT, "ids": kind.str, "words": words, "counts": counts, "checksums": checksums})


def open_split(folder: Path, *, verify: bool = False) -> SplitTokens:
    """The tokens that ``tokenize_split`` left in a folder, mapped into memory.

    Args:
        verify: whether to read all files once and compare their checksums; else only their sizes are compared.

    Raises:
        DamagedFileError: the folder is not there or not whole, or was written by another version.
    """
    record = read_json_checked(folder / RECORD)
    try:
        if record["format"] != FORMAT:
            raise DamagedFileError(f"{folder} holds tokens in format {record['format']}; this version reads {FORMAT}")
        kind = {kind.str: kind for kind in map(id_type, (0, 2**31))}[record["ids"]]
        train, held = (_opened(folder, part, record["counts"][part], kind, record["words"]) for part in _PARTS)
        for part in _PARTS if verify else ():
            for name, checksum in record["checksums"][part].items():
                _verify(_path(folder, part, name), checksum)
    except (KeyError, TypeError, AttributeError) as error:
        raise DamagedFileError(f"{folder / RECORD} is damaged: {error!r}") from error
    return SplitTokens(train, held)


def _verify(path: Path, checksum: int) -> None:
    found = zlib.crc32(b"")
    try:
        with path.open("rb") as file:
            for block in iter(lambda: file.read(_BLOCK), b""):
                found = zlib.crc32(block, found)
    except OSError as error:
        raise DamagedFileError(f"{path} is damaged: {error.strerror or error}") from error
    if found != checksum:
        raise DamagedFileError(f"{path} is damaged: it has checksum {found}, not {checksum}")


def _opened(folder: Path, part: str, counts: dict[str, int], kind: np.dtype[Any], words: bool) -> TokenFile:
    tokens, bound = counts["tokens"], np.dtype("<i8")
    return TokenFile(
        ids=_mapped(_path(folder, part, "ids"), kind, tokens),
        paragraphs=_mapped(_path(folder, part, "paragraphs"), bound, counts["paragraphs"] + 1),
        sentences=_mapped(_path(folder, part, "sentences"), bound, counts["sentences"] + 1),
        documents=_mapped(_path(folder, part, "documents"), bound, counts["documents"] + 1),
        begins=_mapped(_path(folder, part, "begins"), np.dtype(bool), tokens) if words else None,
    )


def _path(folder: Path, part: str, name: str) -> Path:
    return folder / f"{part}-{name}.bin"


def _mapped(path: Path, kind: np.dtype[Any], count: int) -> Any:
    """(count,) values of a file, as a plain array: a ``memmap`` is slow to take single numbers from."""
    try:
        size = path.stat().st_size
        if size != count * kind.itemsize:
            raise DamagedFileError(f"{path} is damaged: it holds {size} bytes, not {count * kind.itemsize}")
        return np.asarray(np.memmap(path, dtype=kind, mode="r", shape=(count,)))
    except OSError as error:
        raise DamagedFileError(f"{path} is damaged: {error.strerror or error}") from error
