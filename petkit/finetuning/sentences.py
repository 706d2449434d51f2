"""Tagged sentences from CoNLL columns, or from rows with lists of words and tags."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from petkit.choices import not_there
from petkit.data.problems import Problems
from petkit.data.readers import source_stem
from petkit.data.text import ENCODING, byte_blocks, text_lines
from petkit.errors import DataError
from petkit.finetuning.entities import is_tag
from petkit.finetuning.rows import TaggedSentence
from petkit.finetuning.settings import FinetuneSettings
from petkit.finetuning.sources import complete_records, text_list

__all__ = ["COLUMN_FORMATS", "read_sentences"]

COLUMN_FORMATS: Final = (".conll", ".bio", ".iob2", ".txt", ".tsv")
"""Endings of files with a word and its tag per line, a blank line after each sentence."""

_DOCUMENT: Final = "-DOCSTART-"
_LEGAL: Final = "legal are O, B-KIND and I-KIND"


def read_sentences(source: str, settings: FinetuneSettings, *, encoding: str = ENCODING, quotes: bool = True) -> list[TaggedSentence]:
    """Sentences of a CoNLL file (see ``COLUMN_FORMATS``), or of any other source of rows. DataError names every problem with its line."""
    problems = Problems(source)
    columns = Path(source).suffix.lower() in COLUMN_FORMATS
    if columns:
        found = list(_from_columns(source, problems, encoding))
    else:
        found = list(_from_rows(source, settings, problems, encoding=encoding, quotes=quotes))
    problems.stop()
    return found


def _from_rows(source: str, settings: FinetuneSettings, problems: Problems, **reading: Any) -> Iterator[TaggedSentence]:
    words, tags, stem = settings.token_column or "", settings.tag_column or "", source_stem(source)
    for record in complete_records(source, {words: "--token-column "}, problems, **reading):
        tokens = text_list(record, words, problems)
        given = record.values.get(tags)
        found = None if given is None else text_list(record, tags, problems)
        if found and tokens and len(found) != len(tokens):
            problems.add("as many tags as words are needed", f"{record.where} has {len(tokens)} words and {len(found)} tags")
        for tag in found or ():
            if not is_tag(tag):
                problems.add(f"no BIO tag; {_LEGAL}", f"{tag!r} in {record.where}")
        yield TaggedSentence(f"{stem}:{record.row}", tokens, found)


def _from_columns(source: str, problems: Problems, encoding: str) -> Iterator[TaggedSentence]:
    if not Path(source).is_file():
        raise DataError(f"{source}: no such file{not_there(source)}")
    stem, number = source_stem(source), 0
    for sentence in _blocks(source, encoding):
        pairs = [_word_and_tag(line, place, problems) for place, line in sentence]
        number += 1
        yield TaggedSentence(f"{stem}:{number}", [word for word, _ in pairs], [tag for _, tag in pairs])
    if not number:
        problems.add_line("holds no sentence")


def _blocks(source: str, encoding: str) -> Iterator[list[tuple[int, str]]]:
    """The lines of each sentence with their numbers."""
    block: list[tuple[int, str]] = []
    for number, line in enumerate(text_lines(byte_blocks(source), source=source, encoding=encoding), start=1):
        if line.strip() and not line.startswith(_DOCUMENT):
            block.append((number, line))
        elif block:
            yield block
            block = []
    if block:
        yield block


def _word_and_tag(line: str, number: int, problems: Problems) -> tuple[str, str]:
    """The first and the last column of a line, which blanks and tabs part."""
    cells = [cell for cell in line.rstrip("\r\n").replace("\t", " ").split(" ") if cell]
    if any(len(cell.split()) != 1 for cell in cells):
        problems.add("a column must not hold a blank of another sort, such as a no-break space", f"line {number}")
        return "?", "O"
    if len(cells) < 2:
        problems.add("each line must hold a word and its tag", f"line {number}")
        return "?", "O"
    if not is_tag(cells[-1]):
        problems.add(f"no BIO tag; {_LEGAL}", f"{cells[-1]!r} in line {number}")
    return cells[0], cells[-1]
