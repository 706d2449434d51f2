"""``petkit encode``: the rows of a file as vectors in a parquet file, in their order, in bounded memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from petkit.data import Reading, iter_records, rows_from_records
from petkit.data.readers import JSON_FORMATS, refuse_own_source, source_name, with_columns
from petkit.data.text import ENCODING
from petkit.data.values import as_text
from petkit.errors import DataError, SettingsError
from petkit.files import open_atomic
from petkit.pvp import Task
from petkit.representations import TokenRows, Vectors
from petkit.rows import Rows

__all__ = ["Written", "encode_file"]

_WINDOW: Final = 4
"""Batches' worth of tokens whose states are held at a time, where each token gets a row."""


@dataclass(frozen=True)
class Written:
    """What ``encode_file`` did.

    Attributes:
        rows: of the source. written: rows of the parquet file, which are tokens if those were asked for. tokens: that the model read.
        blank: rows with a blank or missing text. cut: rows that were too long and lost tokens. columns: of vectors. width: H.
        unknown: the share of the texts' tokens that the tokenizer does not know; None where they have no token.
    """

    rows: int
    written: int
    tokens: int
    blank: int
    cut: int
    columns: tuple[str, ...]
    width: int
    unknown: float | None = None


def encode_file(
    vectors: Vectors,
    source: str,
    out: str | Path,
    *,
    poolings: Sequence[str] | None = None,
    tokens: bool = False,
    pair: str | None = None,
    columns: Mapping[str, str] | None = None,
    id_column: str | None = None,
    chunk: int = 1000,
    encoding: str = ENCODING,
    quotes: bool = True,
    facts: Mapping[str, Any] | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> Written:
    """Write vectors of the rows of ``source`` (``-``: standard input) to the parquet file ``out``, whole or not at all.

    Columns, a row of the source each: ``id``, and for each of ``poolings`` a fixed-size list of H float32. With ``tokens``, a row for each
    token of the texts (no special ones): ``id``, ``position`` (in the row, special tokens counted), ``token`` (as the vocabulary has it),
    ``text``, ``start`` and ``end`` (characters of the text), ``segment`` (0 or 1; with ``pair`` only), ``state``.

    Args:
        poolings: of ``representations.POOLINGS``; None for all that the model has. Not with ``tokens``.
        pair: the column of a second text. columns: ``text`` (and ``pair``) -> column. id_column: None for file name and row number.
        facts: kept in the file's metadata under ``petkit``, as JSON.

    Raises DataError for a source that cannot be read, SettingsError for options that contradict each other.
    """
    wanted = tuple(poolings or vectors.poolings)
    vectors.check(wanted)
    if tokens and poolings:
        raise SettingsError("--tokens writes a state for each token, and --pooling one vector for each row; give one of them")
    names = {"text": "text", **({"pair": pair} if pair is not None else {}), **(columns or {})}
    counts, unknown = {"rows": 0, "written": 0, "tokens": 0, "blank": 0, "cut": 0}, np.zeros(2, dtype=np.int64)
    every = tokens or vectors.frame.specials(1) > 0  # else a row may be without a vector, which older Arrow reads in lists of any size only
    kind = pa.list_(pa.float32(), vectors.hidden_size if every else -1)
    schema = _schema(("state",) if tokens else wanted, kind, tokens=tokens, pair=pair is not None, facts=facts or {})
    refuse_own_source(source, out)
    whole = Path(out).absolute()  # wherever the working directory is when the last row is written
    with open_atomic(whole) as handle, pq.ParquetWriter(handle, schema) as writer:
        for rows in _rows(source, names, id_column, counts, chunk=chunk, encoding=encoding, quotes=quotes):
            texts = [tuple(rows.row(i)[name] for name in rows.fields) for i in range(len(rows))]
            for part in _windows(vectors.tokens(texts), vectors.token_budget if tokens else None):
                ids, some = [rows.ids[i] for i in part.numbers], [texts[i] for i in part.numbers]
                if tokens:
                    made = _token_table(vectors, part.rows, ids, some, kind)
                else:
                    made = _sentence_table(vectors, part.rows, ids, wanted, kind)
                writer.write_table(pa.table([made[name] for name in schema.names], schema=schema))
                counts["written"] += len(made["id"])
                counts["tokens"] += len(part.rows.inputs.ids)
                counts["cut"] += int(part.rows.cut.sum())
                unknown += vectors.unknown(part.rows)
            counts["rows"] += len(rows)
            if on_rows is not None:
                on_rows(counts["rows"])
    share = float(unknown[0] / unknown[1]) if unknown[1] else None
    return Written(**counts, columns=("state",) if tokens else wanted, width=vectors.hidden_size, unknown=share)


def _schema(columns: Sequence[str], kind: pa.DataType, *, tokens: bool, pair: bool, facts: Mapping[str, Any]) -> pa.Schema:
    fields = [("id", pa.string())]
    if tokens:
        fields += [("position", pa.int32()), ("token", pa.string()), ("text", pa.string()), ("start", pa.int32()), ("end", pa.int32())]
        fields += [("segment", pa.int8())] if pair else []
    fields += [(name, kind) for name in columns]
    return pa.schema(fields, metadata={"petkit": json.dumps(dict(facts), ensure_ascii=False, sort_keys=True)})


def _rows(
    source: str, names: Mapping[str, str], id_column: str | None, counts: dict[str, int], *, chunk: int, encoding: str, quotes: bool
) -> Iterator[Rows]:
    """Rows with the fields ``text`` and maybe ``pair``, a chunk at a time; blank ones are kept and counted."""
    fields = tuple(name for name in ("text", "pair") if name in names)
    task = Task(name="encode", fields=fields, patterns="{mask}" + "".join(f" {{{f}}}" for f in fields), verbalizer={"a": "a", "b": "b"})
    readings: list[Reading] = []
    formats: list[str] = []
    done = 0
    chunks = iter_records(source, chunk=chunk, encoding=encoding, quotes=quotes, on_format=formats.append)
    for records, known in with_columns(chunks, names.values(), may_differ=lambda: not JSON_FORMATS.isdisjoint(formats)):
        kept: dict[str, Any] = {"columns": names, "first_row": done + 1, "report": readings.append, "flag": "--{}-column "}
        rows = rows_from_records(known, task, source=source_name(source), **kept)
        if id_column is not None:
            rows = Rows(_ids(records, id_column, done, source_name(source)), rows.fields)
        counts["blank"] += readings.pop().blank_kept
        done += len(rows)
        yield rows


def _ids(records: Sequence[Mapping[str, Any]], column: str, done: int, source: str) -> tuple[str, ...]:
    try:
        found = [as_text(record.get(column), whole=True) for record in records]
    except ValueError as error:
        raise DataError(f"{source}: column {column!r} (--id-column) holds {error}, which is no id") from error
    missing = [str(done + place) for place, name in enumerate(found, start=1) if not (name or "").strip()]
    if missing:
        raise DataError(f"{source}: no id in column {column!r} (--id-column) of row {', '.join(missing[:5])}; each row needs one")
    return tuple(str(name) for name in found)


@dataclass(frozen=True)
class _Window:
    """Some rows in their order, and their numbers among all."""

    numbers: range
    rows: TokenRows


def _windows(rows: TokenRows, token_budget: int | None) -> Iterator[_Window]:
    """All rows at once; or, with a budget, so many that their tokens' states stay few."""
    lengths, start = rows.inputs.lengths, 0
    while start < len(lengths):
        fitting = len(lengths) if token_budget is None else int((np.cumsum(lengths[start:]) <= _WINDOW * token_budget).sum())
        stop = min(len(lengths), start + max(1, fitting))
        first, last = rows.inputs.offsets[start], rows.inputs.offsets[stop]
        places = (rows.segments[first:last], rows.starts[first:last], rows.ends[first:last])
        yield _Window(range(start, stop), TokenRows(rows.inputs.select(range(start, stop)), *places, rows.cut[start:stop]))
        start = stop


def _sentence_table(vectors: Vectors, rows: TokenRows, ids: Sequence[str], wanted: Sequence[str], kind: pa.DataType) -> dict[str, Any]:
    known = rows.inputs.lengths > 0
    found = vectors.sentences(rows, wanted)
    return {"id": pa.array(ids, pa.string())} | {name: _lists(states, known, kind) for name, states in found.items()}


def _token_table(
    vectors: Vectors, rows: TokenRows, ids: Sequence[str], texts: Sequence[Sequence[str]], kind: pa.DataType
) -> dict[str, Any]:
    lengths = rows.inputs.lengths
    chosen = np.flatnonzero(rows.segments >= 0)
    owner = np.repeat(np.arange(len(lengths)), lengths)[chosen]
    segments, starts, ends = rows.segments[chosen], rows.starts[chosen], rows.ends[chosen]
    places = zip(owner.tolist(), segments.tolist(), starts.tolist(), ends.tolist(), strict=True)
    return {
        "id": pa.array([ids[row] for row in owner.tolist()], pa.string()),
        "position": pa.array((chosen - rows.inputs.offsets[owner]).astype(np.int32)),
        "token": pa.array([vectors.piece(token) for token in rows.inputs.ids[chosen].tolist()], pa.string()),
        "text": pa.array([texts[row][segment][start:end] for row, segment, start, end in places], pa.string()),
        "start": pa.array(starts.astype(np.int32)),
        "end": pa.array(ends.astype(np.int32)),
        "segment": pa.array(segments),
        "state": _lists(vectors.token_states(rows)[chosen], np.ones(len(chosen), dtype=np.bool_), kind),
    }


def _lists(found: NDArray[np.float32], known: NDArray[np.bool_], kind: pa.DataType) -> pa.Array:
    """Rows (N, H) as a list each, of the type ``kind``; null where ``known`` (N,) is false, which lists of a fixed size do not take."""
    values = pa.array(found[known].reshape(-1))
    if pa.types.is_fixed_size_list(kind):
        return pa.FixedSizeListArray.from_arrays(values, found.shape[1])
    offsets = np.concatenate([[0], np.cumsum(known * found.shape[1])]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets, mask=np.append(~known, False)), values)
