"""Documents to sections of tokens, as a stream in bounded memory, and which of these are held out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from itertools import chain, islice
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from petkit.encoding.tokenizing import encoded, plain_backend
from petkit.errors import DataError
from petkit.objectives import segmented
from petkit.objectives.rows import BoolArray, IntArray
from petkit.objectives.segmenting import Segment
from petkit.pretraining.tokenfiles import Section

__all__ = ["SECTION", "Run", "behind_blanks", "document_sections", "draw_held_out", "set_apart", "text_encoder", "wants_blanks"]

SECTION: Final = 4000
"""Tokens from which on a document is cut."""
_BLOCK: Final = 2**19
"""Characters that are tokenised at a time."""
_FIRST: Final = 1024
"""Sections among which the least numbers of trained and held-out ones are seen to."""
_AT_A_TIME: Final = 256
_PIECES: Final = 20
"""Into about how many sections a short text is cut."""

Run = tuple[npt.NDArray[np.integer[Any]], BoolArray | None]
Encode = Callable[[list[str]], Iterator[Run]]
Paragraph = TypeVar("Paragraph", bound=Sized)
"""Text, or text with marks; its length is in characters."""
Drawn = tuple[list[Section], BoolArray]


def text_encoder(tokenizer: Any, kind: np.dtype[Any], segment: Segment | None) -> Encode:
    """Texts -> for each its ids (T,) of type ``kind`` and, with a segmenter, (T,) bool which tokens begin one of its words.

    Texts are encoded as they are; ``set_apart`` puts the blanks in that byte-level tokenizers want between paragraphs.

    A literal special token in a text stays text. Raises ModelError where the tokenizer has no fast backend.
    """
    backend = plain_backend(tokenizer)

    def encode(texts: list[str]) -> Iterator[Run]:
        return ((np.array(one.ids, dtype=kind), None) for one in encoded(backend, texts, fast=True))

    def places(text: str, **_: Any) -> dict[str, Any]:
        """What ``segmented`` asks a tokenizer for; a token begins at its first character that is no blank."""
        one = next(encoded(backend, [text], fast=False))
        offsets = np.array(one.offsets, dtype=np.int64).reshape(-1, 2)
        offsets[:, 0] = behind_blanks(text)[offsets[:, 0]]
        return {"input_ids": one.ids, "offset_mapping": offsets}

    if segment is None:
        return encode
    words = segment
    return lambda texts: ((ids.astype(kind), begins) for ids, begins in segmented(texts, places, words))


def behind_blanks(text: str) -> IntArray:
    """(characters + 1,) int64, the first character from each on that is no blank; the length of the text where none is."""
    blank = np.frombuffer(text.encode("utf-32-le"), dtype="<u4") == ord(" ")
    at = np.append(np.where(blank, len(text), np.arange(len(text))), len(text))
    return np.minimum.accumulate(at[::-1])[::-1]


def wants_blanks(tokenizer: Any) -> bool:
    """Whether a word after a blank has other tokens than one at the start of a text, as byte-level BPE without ``add_prefix_space`` has.

    Paragraphs that such a tokenizer reads one by one would run together where they are joined: ``again`` and ``CHAPTER`` are
    ``againCHAPTER``, and one word. Raises ModelError where the tokenizer has no fast backend.
    """
    backend = plain_backend(tokenizer)
    alone, behind = (backend.encode(text, add_special_tokens=False).ids for text in ("a", " a"))
    return bool(alone != behind)


def set_apart(documents: Iterable[list[str]]) -> Iterator[list[str]]:
    """Documents with a blank before each paragraph but the first that holds something; those that begin with one already stay.

    So joined paragraphs are one text, in which every word but the first has its blank, and a document begins as any text that this
    tokenizer is given. A row that begins within a document begins with that blank, as a cloze's segment does (``petkit.encoding``).
    """
    for document in documents:
        first = next((i for i, paragraph in enumerate(document) if paragraph), 0)
        yield [
            f" {paragraph}" if i > first and paragraph and not paragraph[0].isspace() else paragraph for i, paragraph in enumerate(document)
        ]


def _blocks(documents: Iterable[list[Paragraph]]) -> Iterator[tuple[list[Paragraph], list[int]]]:
    """Paragraphs of about ``_BLOCK`` characters together, and the number of the document of each."""
    texts: list[Paragraph] = []
    numbers: list[int] = []
    size = 0
    for number, document in enumerate(documents):
        for paragraph in document:
            texts.append(paragraph)
            numbers.append(number)
            size += len(paragraph) + 1
            if size >= _BLOCK:
                yield texts, numbers
                texts, numbers, size = [], [], 0
    yield texts, numbers


def document_sections(documents: Iterable[list[Paragraph]], encode: Callable[[list[Paragraph]], Iterator[Run]]) -> Iterator[Section]:
    """Whole documents; one of more than ``SECTION`` tokens is cut at its paragraphs. Paragraphs without tokens are left out."""
    open_: list[Run] = []
    size, at = 0, -1
    for texts, numbers in _blocks(documents):
        for number, run in zip(numbers, encode(texts), strict=True):
            count = len(run[0])
            if open_ and count and (number != at or size + count > SECTION):
                yield _joined(open_)
                open_, size = [], 0
            if count:
                open_.append(run)
                size, at = size + count, number
    if open_:
        yield _joined(open_)


def _joined(runs: list[Run]) -> Section:
    if len(runs) == 1:  # as rows of short texts are
        return Section(runs[0][0], np.zeros(1, np.int64), runs[0][1])
    starts = np.cumsum([0, *(len(ids) for ids, _ in runs[:-1])])
    flags = [begins for _, begins in runs if begins is not None]
    return Section(np.concatenate([ids for ids, _ in runs]), starts, np.concatenate(flags) if flags else None)


def draw_held_out(sections: Iterator[Section], held_out: float, rng: np.random.Generator) -> Iterator[Drawn]:
    """Some sections at a time, and which of them are held out: each with probability ``held_out``.

    At least one is held out and one is not, two where there are four; a text of few sections is cut into more, at paragraphs.
    Raises DataError where there are no two paragraphs.
    """
    yield _first(list(islice(sections, _FIRST)), held_out, rng)
    while more := list(islice(sections, _AT_A_TIME)):
        yield more, rng.random(len(more)) < held_out


def _first(sections: list[Section], held_out: float, rng: np.random.Generator) -> Drawn:
    sections = _cut(sections) if len(sections) < _PIECES else sections
    if len(sections) < 2:
        tokens = sum(len(section.ids) for section in sections)
        raise DataError(f"the text holds {tokens} tokens in {len(sections)} paragraphs; that is too little to train on and hold some out")
    draws, least = rng.random(len(sections)), 2 if len(sections) >= 4 else 1
    order, held = np.argsort(draws), draws < held_out
    held[order[:least]], held[order[-least:]] = True, False
    return sections, held


def _cut(sections: list[Section]) -> list[Section]:
    """The sections of a short text cut again, at paragraphs, into some ``_PIECES``."""
    most = sum(len(section.ids) for section in sections) // _PIECES
    return list(chain.from_iterable(_pieces(section, most) for section in sections))


def _pieces(section: Section, most: int) -> Iterator[Section]:
    bounds = np.append(section.paragraphs, len(section.ids))
    at = 0
    while at < len(bounds) - 1:
        stop = max(int(np.searchsorted(bounds, bounds[at] + most, side="right")) - 1, at + 1)
        part = slice(bounds[at], bounds[stop])
        flags = None if section.begins is None else section.begins[part]
        yield Section(section.ids[part], section.paragraphs[at:stop] - bounds[at], flags)
        at = stop
