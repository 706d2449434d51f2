"""Sources to records: which reader a source needs, and streaming in bounded memory.

A source is a file (``.csv .tsv .jsonl .ndjson .json .txt``, each also as ``.gz``, or ``.parquet``), a folder that
``datasets.save_to_disk`` wrote, ``hub:NAME[@CONFIG][:SPLIT]``, or ``-`` for standard input (JSON lines if its first
character is ``{``, else CSV). The hub is never asked unless the source says ``hub:``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final

from petkit.choices import did_you_mean, not_there
from petkit.data.arrow import HUB, hub_records, parquet_records, saved_records
from petkit.data.csvfiles import csv_records
from petkit.data.jsonfiles import json_file_records, json_line_records
from petkit.data.problems import Problems, Record
from petkit.data.text import ENCODING, byte_blocks, text_lines
from petkit.errors import DataError, SettingsError
from petkit.wording import verb

__all__ = [
    "HEADED_FORMATS",
    "JSON_FORMATS",
    "columns_may_differ",
    "iter_records",
    "records_of",
    "refuse_empty",
    "refuse_own_source",
    "source_identity",
    "source_name",
    "source_stem",
    "with_columns",
]

_TEXT_FORMATS: Final = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".txt")
HEADED_FORMATS: Final = frozenset({".csv", ".tsv"})
"""Formats whose first line names the columns."""
JSON_FORMATS: Final = frozenset({".jsonl", ".ndjson", ".json"})
"""Formats whose rows may each have other columns."""
_CHUNK_CHARACTERS: Final = 10_000_000
_DECIDING_ROWS: Final = 1000
"""After how many rows of JSON a column that none of them has is missing."""
_FORMATS: Final = "legal are .csv, .tsv, .jsonl, .ndjson, .json, .txt (each also .gz), .parquet, a folder that datasets wrote, hub:NAME, -"


def iter_records(
    source: str,
    *,
    chunk: int = 1000,
    encoding: str = ENCODING,
    quotes: bool = True,
    on_format: Callable[[str], object] | None = None,
) -> Iterator[list[dict[str, Any]]]:
    """All rows of a source as dicts, ``chunk`` at a time, in order; no more than that is held (a ``.json`` array is read whole).

    Fewer at a time where they are long, so that texts of whatever length are held in bounded memory.

    Values are as the source has them: strings in CSV, TSV and text files (field ``text``), else what JSON or Arrow hold.
    No row is left out: the rows of a chunk are numbered on from the rows before, starting at 1.

    Args:
        source: see the module.
        chunk: rows at a time, at most.
        encoding: of text formats. quotes: whether ``"`` encloses cells in CSV and TSV.
        on_format: is told which format is read (``.csv``; "" for saved folders and the hub) before the first chunk comes.

    Raises DataError, naming every problem of the rows read so far, before the chunk they are in.
    """
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1, not {chunk}")
    problems, batch, characters = Problems(source_name(source)), [], 0
    for record in records_of(source, problems, chunk=chunk, encoding=encoding, quotes=quotes, on_format=on_format):
        batch.append(record.values)
        characters += sum(len(value) for value in record.values.values() if isinstance(value, str))
        if len(batch) == chunk or characters >= _CHUNK_CHARACTERS:
            problems.stop()
            yield batch
            batch, characters = [], 0
    problems.stop()
    if batch:
        yield batch


def records_of(
    source: str,
    problems: Problems,
    *,
    chunk: int = 1000,
    encoding: str = ENCODING,
    quotes: bool = True,
    on_format: Callable[[str], object] | None = None,
) -> Iterator[Record]:
    """The rows of a source that can be read; ``problems`` takes the others, and a source without any row.

    The arguments are those of ``iter_records``. Raises DataError where nothing can be read at all.
    """
    found = False
    suffix, records = _records(source, problems, chunk, encoding, quotes)
    if on_format is not None:
        on_format(suffix)
    for record in records:
        found = True
        yield record
    if not found and not problems.lines():
        problems.add_line("holds no row")


def with_columns(
    chunks: Iterable[Sequence[Mapping[str, Any]]], needed: Collection[str], *, may_differ: Callable[[], bool]
) -> Iterator[tuple[Sequence[Mapping[str, Any]], list[dict[str, Any]]]]:
    """Each chunk of ``iter_records`` as it is, and with the ``needed`` columns in every row: None where a row lacks one.

    A column that is missing altogether stays out, so that whoever reads the rows can refuse them: one that the first chunk lacks, or,
    if the columns ``may_differ`` from row to row (asked once the first chunk is there), the first ``_DECIDING_ROWS`` rows, or all.
    While a column is awaited one chunk is held back: of a short source nothing is given out before it is refused.
    """
    seen: dict[str, None] = {}
    held: list[Sequence[Mapping[str, Any]]] = []
    rows = 0
    for records in chunks:
        while held:
            first = held.pop()
            yield first, _filled(first, needed)
        if not seen.keys() >= set(needed):
            seen.update(dict.fromkeys(name for record in records for name in record))
            rows += len(records)
        found = seen.keys() >= set(needed)
        if not found and rows < _DECIDING_ROWS and may_differ():
            held.append(records)
        else:
            yield records, _filled(records, needed if found else seen)
    for records in held:
        yield records, _filled(records, seen)


def _filled(records: Sequence[Mapping[str, Any]], columns: Collection[str]) -> list[dict[str, Any]]:
    return [dict.fromkeys(columns) | dict(record) for record in records]


def refuse_empty(sources: Mapping[str, Any]) -> None:
    """Raise DataError if a flag names an empty source, or one among several, as a shell variable without a value makes it.

    >>> refuse_empty({"--train": ["a.csv", ""], "--unlabeled": None})
    Traceback (most recent call last):
    ...
    petkit.errors.DataError: --train is empty; name a file, a folder, hub:NAME or -, or leave the flag out
    """
    listed = {flag: given if isinstance(given, list | tuple) else [given] for flag, given in sources.items()}
    empty = [flag for flag, given in listed.items() if any(isinstance(one, str) and not one.strip() for one in given)]
    if empty:
        are = verb(len(empty), "are")
        raise DataError(f"{' and '.join(empty)} {are} empty; name a file, a folder, hub:NAME or -, or leave the flag out")


def columns_may_differ(source: str) -> bool:
    """Whether a source is a file of JSON, whose rows may have columns that the first ones lack, and which can be read twice."""
    return os.path.isfile(source) and _format(Path(source)) in JSON_FORMATS


def refuse_own_source(source: str, out: str | Path) -> None:
    """Raise SettingsError if ``out`` is the file that is read: what is written takes its place, and has another form."""
    if source != "-" and Path(source).is_file() and Path(out).exists() and Path(source).samefile(out):
        raise SettingsError(f"--out is {str(out)!r}, the file that is read; give another name")


def source_name(source: str) -> str:
    """How messages call a source."""
    return "standard input" if source == "-" else source


def source_identity(source: str) -> str:
    """What is the same for two spellings of one source: the real path of a file or folder, else the name."""
    return source if source == "-" or source.startswith(HUB) else os.path.realpath(source)


def source_stem(source: str) -> str:
    """What names a source inside row ids.

    >>> source_stem("data/train.csv.gz"), source_stem("hub:ag_news:test"), source_stem("-")
    ('train', 'ag_news:test', 'stdin')
    """
    if source == "-":
        return "stdin"
    if source.startswith(HUB):
        return source.removeprefix(HUB).rpartition("/")[2]
    path = Path(source)
    return Path(path.stem).stem if path.suffix.lower() == ".gz" else path.stem


def _records(source: str, problems: Problems, chunk: int, encoding: str, quotes: bool) -> tuple[str, Iterator[Record]]:
    """The format of a source, "" where files have none, and its rows."""
    if source.startswith(HUB):
        return "", hub_records(source, chunk=chunk)
    if source == "-":
        return _standard_input(problems, encoding, quotes)
    if not source.strip():
        raise DataError(f"the name of a file is empty; {_FORMATS}")
    path = Path(source)
    if not os.path.exists(path):  # Path.exists raises on names that are too long
        raise DataError(f"{source}: no such file or folder; {_FORMATS}{not_there(path)}")
    if path.is_dir():
        return "", saved_records(source, chunk=chunk)
    suffix = _format(path)
    if suffix == ".parquet":
        return suffix, parquet_records(source, chunk=chunk)
    return suffix, _text_records(text_lines(byte_blocks(source), source=source, encoding=encoding), suffix, problems, quotes)


def _format(path: Path) -> str:
    suffix = path.suffix.lower()
    inner = Path(path.stem).suffix.lower() if suffix == ".gz" else suffix
    if inner not in _TEXT_FORMATS and suffix != ".parquet":
        found = "".join(path.suffixes[-2:]) or "(no ending)"
        raise DataError(f"{path}: unknown format {found!r}; {_FORMATS}{did_you_mean(inner, [*_TEXT_FORMATS, '.parquet'])}")
    return inner


def _standard_input(problems: Problems, encoding: str, quotes: bool) -> tuple[str, Iterator[Record]]:
    lines = text_lines(byte_blocks("-"), source=source_name("-"), encoding=encoding)
    opening = next((line for line in lines if line.strip()), "")
    suffix = ".jsonl" if opening.lstrip().startswith("{") else ".csv"
    return suffix, _text_records(chain([opening], lines), suffix, problems, quotes)


def _text_records(lines: Iterator[str], suffix: str, problems: Problems, quotes: bool) -> Iterator[Record]:
    match suffix:
        case ".csv":
            return csv_records(lines, problems, quotes=quotes)
        case ".tsv":
            return csv_records(lines, problems, separator="\t", quotes=quotes)
        case ".json":
            return json_file_records(lines, problems)
        case ".txt":
            return (Record(number, {"text": line.rstrip("\r\n")}, number) for number, line in enumerate(lines, start=1))
        case _:
            return json_line_records(lines, problems)
