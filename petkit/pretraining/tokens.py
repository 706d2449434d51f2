"""Documents to tokens: one pass in bounded memory into flat files, split into what is trained on and what is held out; cached."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path
from typing import Any, Final

from petkit.canonical import hash_json
from petkit.data.text import ENCODING
from petkit.encoding.tokenizing import plain_backend
from petkit.errors import DataError, RunError
from petkit.files import TEMPORARY, DamagedFileError, discard, make_directory, staged_directory
from petkit.locks import locked
from petkit.objectives import Vocabulary, stream
from petkit.objectives.segmenting import Segment
from petkit.pretraining.corpus import read_documents, source_digest
from petkit.pretraining.marked import Marked, read_marked
from petkit.pretraining.ranks import ranks
from petkit.pretraining.sections import Run, document_sections, draw_held_out, set_apart, text_encoder, wants_blanks
from petkit.pretraining.sourcefiles import source_files
from petkit.pretraining.tokenfiles import FORMAT, SplitTokens, TokenFile, TokenWriter, id_type, open_split, write_record
from petkit.pretraining.unitflags import marked_encoder, set_marked_apart

__all__ = ["SplitTokens", "TokenFile", "open_split", "split_documents", "split_tokens", "tokenize_split"]

_PAUSE: Final = 0.1
"""Seconds between looks whether another process is done."""


def tokenize_split(
    documents: Iterable[list[str]] | Iterable[list[Marked]],
    tokenizer: Any,
    folder: Path,
    *,
    held_out: float,
    seed: int,
    segment: Segment | None = None,
    marked: bool = False,
) -> SplitTokens:
    """Tokenise documents, lists of paragraphs, into ``folder``; a folder of that name is replaced when all is written.

    Nothing but a block of text and some sections is in memory at a time. A document of more than some 4,000 tokens is cut at a paragraph
    into sections, which are the documents of the files. Each section is held out with probability ``held_out``, drawn by
    ``stream(seed, "pretrain", "held out")``; one at least is held out and one is trained on, two where there are four. A literal special
    token in the text stays text. Paragraphs without tokens are left out; where a byte-level tokenizer would glue them together, a blank
    sets them apart.

    Args:
        tokenizer: a fast transformers tokenizer. segment: text -> its words, which joined give the text again.
        marked: whether the paragraphs are ``Marked``; the files then say which tokens begin a unit, instead of a segmenter's word.

    Raises:
        DataError: the text is less than two paragraphs. ModelError: the tokenizer has no fast backend.
    """
    kind, stops = id_type(len(tokenizer)), Vocabulary.of(tokenizer).stops
    encode: Callable[[Any], Iterator[Run]] = marked_encoder(tokenizer, kind) if marked else text_encoder(tokenizer, kind, segment)
    documents, units = _apart(documents, marked) if wants_blanks(tokenizer) else documents, marked or segment is not None
    make_directory(folder.parent)
    with staged_directory(folder) as staging:
        with ExitStack() as stack:
            train, held = (TokenWriter(stack, staging, part, stops, units) for part in ("train", "held"))
            for sections, out in draw_held_out(document_sections(documents, encode), held_out, stream(seed, "pretrain", "held out")):
                train.add([section for section, is_out in zip(sections, out, strict=True) if not is_out])
                held.add([section for section, is_out in zip(sections, out, strict=True) if is_out])
            train.finish()
            held.finish()
        write_record(staging, (train, held), kind=kind, words=units)
    return open_split(folder)


def _apart(documents: Iterable[Any], marked: bool) -> Iterator[Any]:
    return set_marked_apart(documents) if marked else set_apart(documents)


def split_tokens(
    sources: Sequence[str],
    *,
    column: str,
    tokenizer: Any,
    cache: Path,
    held_out: float,
    seed: int,
    segment: Segment | None = None,
    units: str | None = None,
    encoding: str = ENCODING,
    quotes: bool = True,
) -> SplitTokens:
    """``tokenize_split`` for sources (see ``read_documents``), in a folder of ``cache``; one there that is undamaged is opened as it is.

    ``units`` is the column that holds the spans of phrases or entities (see ``read_marked``); None for no such units.

    The folder's name is a fingerprint of all that decides what is in it. Several processes may ask at the same time: one does it, the
    others wait.

    Raises:
        DataError: a source cannot be read, is standard input, changes meanwhile, or is too little text.
    """
    stamps = _stamps(sources)

    def checked() -> Iterator[Any]:
        for source in sources:
            if units is None:
                yield from read_documents(source, column=column, encoding=encoding, quotes=quotes)
            else:
                yield from read_marked(source, units=units, column=column, encoding=encoding, quotes=quotes)
        _refuse_changed(sources, stamps)

    facts: dict[str, Any] = {"column": column, "encoding": encoding, "sources": [source_digest(source) for source in sources]}
    facts |= ({} if units is None else {"units": units}) | ({} if quotes else {"quotes": False})
    return _kept(checked(), facts, cache, tokenizer, held_out=held_out, seed=seed, segment=segment, marked=units is not None)


def split_documents(
    documents: Sequence[list[str]], *, tokenizer: Any, cache: Path, held_out: float, seed: int, segment: Segment | None = None
) -> SplitTokens:
    """``tokenize_split`` in a folder of ``cache``, as ``split_tokens`` does it for sources."""
    facts = {"documents": hash_json(list(documents))}
    return _kept(documents, facts, cache, tokenizer, held_out=held_out, seed=seed, segment=segment)


def _kept(
    documents: Iterable[list[str]] | Iterable[list[Marked]],
    facts: Mapping[str, Any],
    cache: Path,
    tokenizer: Any,
    *,
    held_out: float,
    seed: int,
    segment: Segment | None,
    marked: bool = False,
) -> SplitTokens:
    """The tokens of documents that ``facts`` say which they are: found in ``cache``, or made there."""
    how = {"tokenizer": _tokenizer_digest(tokenizer), "segment": _segmenter_name(segment), "held_out": held_out, "seed": seed}
    folder = cache / hash_json({"format": FORMAT, **how, **facts})[:32]
    make_directory(cache)
    with _turn(cache / f"{folder.name}.lock"):
        if (found := _whole(folder)) is not None:
            return found
        for leftover in cache.glob(f"{TEMPORARY}{folder.name}-*"):
            discard(leftover)
        return tokenize_split(documents, tokenizer, folder, held_out=held_out, seed=seed, segment=segment, marked=marked)


def _whole(folder: Path) -> SplitTokens | None:
    """What is there, if it is undamaged: of several processes the first one reads it all to see that, and the others come after it."""
    try:
        return open_split(folder, verify=ranks().first)
    except DamagedFileError:
        return None


@contextmanager
def _turn(path: Path) -> Iterator[None]:
    """Hold the lock file ``path``, after waiting for whoever has it."""
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(locked(path))
                break
            except RunError as error:
                if isinstance(error.__cause__, OSError):  # no lock can be had here at all
                    raise
                time.sleep(_PAUSE)
        yield


def _stamps(sources: Sequence[str]) -> list[tuple[str, int, int]]:
    """Name, size and time of every file of the sources."""
    files = chain.from_iterable(map(source_files, sources))
    return [(str(file), found.st_size, found.st_mtime_ns) for file in files for found in (os.stat(file),)]


def _refuse_changed(sources: Sequence[str], stamps: list[tuple[str, int, int]]) -> None:
    """Raise DataError if a file is another one than at the beginning."""
    changed = set(_stamps(sources)) ^ set(stamps)
    if changed:
        raise DataError(f"{min(changed)[0]}: changed while it was read; run again when it is complete")


# Fingerprints


def _tokenizer_digest(tokenizer: Any) -> str:
    """Of all that decides which ids a text has: not of padding and truncation, which calls leave behind in a tokenizer."""
    return hash_json([plain_backend(tokenizer).to_str(), len(tokenizer)])


def _segmenter_name(segment: Segment | None) -> str | None:
    """Where a segmenter is defined and in which version."""
    if segment is None:
        return None
    module = getattr(segment, "__module__", None) or type(segment).__module__
    name = getattr(segment, "__qualname__", type(segment).__qualname__)
    try:
        return f"{module}:{name} {version(module.partition('.')[0])}"
    except PackageNotFoundError:
        return f"{module}:{name}"
