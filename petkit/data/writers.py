"""Predictions out: the input's own columns, then ``label``, ``score`` and the probabilities, as JSON lines or CSV.

Columns of the input that bear one of these names (``label``, ``score``, ``probabilities``, ``p:LABEL``) are kept under
``input_`` + name, in both formats alike. Bytes, which a parquet file may hold, are written as base64.
"""

from __future__ import annotations

import base64
import json
import math
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Literal

import numpy as np

from petkit.data.leftovers import remove_leftovers, temporary_beside
from petkit.errors import DataError, SettingsError

__all__ = ["PredictionWriter"]

Format = Literal["jsonl", "csv"]
_FORMATS: Final[Mapping[str, Format]] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".csv": "csv"}


class PredictionWriter:
    """Writes predictions in the order they come, holding no more than one batch.

    A file appears whole or not at all: it is written under a temporary name beside its place, synced and renamed when the
    ``with`` block ends, and removed if that ends in an error (what a killed process left there
    goes when the file is written again). A stream (standard output) is written to as rows come.

    Args:
        target: path ending in .jsonl, .ndjson, .json (JSON lines) or .csv, or an open binary stream.
        labels: the C labels, in the order of the probabilities.
        format: None takes that of the path's ending; JSON lines for a stream.

    Raises SettingsError for a path that cannot be written, before anything is.

    >>> import sys, io
    >>> stream = io.BytesIO()
    >>> with PredictionWriter(stream, labels=("bad", "good")) as writer:
    ...     writer.write([{"text": "Rain", "label": "x"}], np.array([[0.25, 0.75]], dtype=np.float32))
    >>> print(stream.getvalue().decode(), end="")
    {"text": "Rain", "input_label": "x", "label": "good", "score": 0.75, "probabilities": {"bad": 0.25, "good": 0.75}}
    """

    def __init__(self, target: str | Path | BinaryIO, *, labels: Sequence[str], format: Format | None = None) -> None:
        self._labels = tuple(labels)
        self._reserved = {"label", "score", "probabilities", *(f"p:{label}" for label in labels)}
        self._columns: dict[str, None] | None = None
        self._count = 0
        if isinstance(target, (str, Path)):
            self._path: Path | None = _behind_link(Path(target))
            self._format: Format = format or _format_of(Path(target))
            self._temporary = _temporary_beside(self._path)
            remove_leftovers(self._path)
            self._stream: BinaryIO = _opened(self._temporary)
        else:
            self._path, self._format, self._stream = None, format or "jsonl", target

    def __enter__(self) -> PredictionWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._path is None:
            self._stream.flush()
        elif kind is None:
            self._publish(self._path)
        else:
            self._discard()

    def expect(self, chunks: Iterable[Sequence[Mapping[str, Any]]]) -> None:
        """Look through all rows that are to come, before the first is written, for their columns; for JSON lines look at none."""
        if self._format == "csv":
            self._columns = dict.fromkeys(name for records in chunks for record in records for name in self._own_columns(record))

    def write(self, records: Sequence[Mapping[str, Any]], probabilities: np.ndarray) -> None:
        """Write N rows: ``records`` as they were read, ``probabilities`` (N, C) float, rows summing to 1.

        Raises DataError if a CSV row has columns that the first rows lack and nobody told to ``expect`` (JSON lines may differ from row
        to row).
        """
        if probabilities.shape != (len(records), len(self._labels)) or not np.isfinite(probabilities).all():
            raise ValueError(f"probabilities must be finite, of shape ({len(records)}, {len(self._labels)}), not {probabilities.shape}")
        lines = self._csv_lines if self._format == "csv" else self._json_lines
        renamed = [self._own_columns(record) for record in records]
        for line in lines(renamed, np.asarray(probabilities, dtype=np.float32)):
            self._stream.write(line.encode("utf-8", "backslashreplace"))
        self._count += len(records)

    def _own_columns(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """The record with ``input_`` before the names that the prediction takes; again, if that is taken as well."""
        own = {name: value for name, value in record.items() if name not in self._reserved}
        taken = {*own, *self._reserved}
        renamed = {}
        for name, value in record.items():
            new = name
            while name in self._reserved and new in taken:
                new = f"input_{new}"
            taken.add(new)
            renamed[new] = value
        return renamed

    def _json_lines(self, records: Sequence[Mapping[str, Any]], probabilities: np.ndarray) -> list[str]:
        lines = []
        for record, row in zip(records, probabilities, strict=True):
            best = int(row.argmax())
            numbers = {label: _number(p) for label, p in zip(self._labels, row, strict=True)}
            values = {**_jsonable(record), "label": self._labels[best], "score": _number(row[best]), "probabilities": numbers}
            lines.append(json.dumps(values, ensure_ascii=False, default=str) + "\n")
        return lines

    def _csv_lines(self, records: Sequence[Mapping[str, Any]], probabilities: np.ndarray) -> list[str]:
        lines = []
        if self._columns is None and records:
            self._columns = dict.fromkeys(name for record in records for name in record)
        if self._count == 0 and records:
            lines.append(_csv_line([*(self._columns or ()), "label", "score", *(f"p:{label}" for label in self._labels)]))
        columns = self._columns or {}
        for place, (record, row) in enumerate(zip(records, probabilities, strict=True), start=1):
            self._check_columns(record, columns, place)
            best = int(row.argmax())
            numbers = [str(_number(p)) for p in (row[best], *row)]
            lines.append(_csv_line([*(_cell(record.get(name)) for name in columns), self._labels[best], *numbers]))
        return lines

    def _check_columns(self, record: Mapping[str, Any], columns: Collection[str], place: int) -> None:
        new = [name for name in record if name not in columns]
        if new:
            raise DataError(
                f"row {self._count + place} has the column {new[0]!r}, which the first rows lack, and CSV needs all at the start; "
                "write JSON lines (--out NAME.jsonl)"
            )

    def _publish(self, path: Path) -> None:
        try:
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._stream.close()
            self._temporary.replace(path)
        except BaseException:
            self._discard()
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _discard(self) -> None:
        try:
            self._stream.close()
        finally:
            self._temporary.unlink(missing_ok=True)


def _format_of(path: Path) -> Format:
    if path.suffix.lower() not in _FORMATS:
        raise SettingsError(f"--out {path}: predictions are written to {', '.join(_FORMATS)}")
    return _FORMATS[path.suffix.lower()]


def _behind_link(path: Path) -> Path:
    """The file that a link leads to, which is written while the link stays; any other path as it is."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _temporary_beside(path: Path) -> Path:
    if path.is_dir():
        raise SettingsError(f"--out {path}: is a folder; name a file in it")
    if not path.parent.is_dir():
        raise SettingsError(f"--out {path}: there is no folder {path.parent}")
    return temporary_beside(path)


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("wb")
    except OSError as error:
        raise SettingsError(f"--out: cannot write in {path.parent} ({error.strerror})") from error


def _number(value: np.float32) -> float:
    """The shortest decimal that is this float32 (0.9, not 0.8999999761581421)."""
    return float(str(np.float32(value)))


def _jsonable(value: Any) -> Any:
    """The value with None for numbers that JSON has no word for (NaN, infinities), and base64 for bytes, at any depth."""
    if isinstance(value, Mapping):
        return {name: _jsonable(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(part) for part in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cell(value: Any) -> str:
    """A value as CSV holds it: texts and times as they are, numbers, lists and structures as JSON, nothing for None and NaN."""
    plain = _jsonable(value)
    if plain is None:
        return ""
    is_json = isinstance(plain, bool | int | float | list | dict)
    return json.dumps(plain, ensure_ascii=False, default=str) if is_json else str(plain)


def _csv_line(cells: Sequence[str]) -> str:
    """RFC 4180 with line feeds; the csv module would leave a bare carriage return unquoted under those."""
    quoted = ('"' + cell.replace('"', '""') + '"' if any(mark in cell for mark in ',"\r\n') else cell for cell in cells)
    return ",".join(quoted) + "\n"
