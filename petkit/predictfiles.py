"""Labels for the rows of a file or stream, in their order, in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from petkit.data import Reading, iter_records, rows_from_records
from petkit.data.readers import JSON_FORMATS, columns_may_differ, refuse_own_source, source_name, with_columns
from petkit.data.rows import choose_columns
from petkit.data.text import ENCODING
from petkit.data.writers import PredictionWriter
from petkit.predicting import Predictor

__all__ = ["Predicted", "predict_file", "predict_records"]

OnRows = Callable[[int], None]
"""Called with the number of rows that are done so far."""


@dataclass(frozen=True)
class Predicted:
    """What ``predict_file`` did: rows written, how many of them have a blank or missing text, and how many got each label."""

    rows: int
    blank: int
    labels: Mapping[str, int]


def predict_file(
    predictor: Predictor,
    source: str,
    out: str | Path | BinaryIO,
    *,
    columns: Mapping[str, str] | None = None,
    format: Literal["jsonl", "csv"] | None = None,
    chunk: int = 1000,
    encoding: str = ENCODING,
    quotes: bool = True,
    on_rows: OnRows | None = None,
) -> Predicted:
    """Label the rows of ``source`` (``-``: standard input) and write them to ``out``, ``chunk`` at a time.

    Args:
        predictor: a ``Classifier`` or an ``Ensemble``.
        out: a path (whole or not at all) or an open binary stream (as the rows come).
        columns: field -> column, where the names differ. format: None takes that of the path's ending.
        encoding: of text formats. quotes: whether ``"`` encloses cells in CSV and TSV.

    Raises DataError for a source that cannot be read and for a field without a column, SettingsError for ``out``, which must not be the
    source itself.
    """
    formats: list[str] = []
    if isinstance(out, str | Path):
        refuse_own_source(source, out)

    def records() -> Iterator[list[dict[str, Any]]]:
        return iter_records(source, chunk=chunk, encoding=encoding, quotes=quotes, on_format=formats.append)

    told: dict[str, Any] = {"source": source_name(source), "columns": columns, "format": format, "on_rows": on_rows}
    told["may_differ"] = lambda: not JSON_FORMATS.isdisjoint(formats)
    return predict_records(predictor, records(), out, **told, expected=records() if columns_may_differ(source) else None)


def predict_records(
    predictor: Predictor,
    chunks: Iterable[Sequence[Mapping[str, Any]]],
    out: str | Path | BinaryIO,
    *,
    source: str,
    columns: Mapping[str, str] | None = None,
    format: Literal["jsonl", "csv"] | None = None,
    on_rows: OnRows | None = None,
    expected: Iterable[Sequence[Mapping[str, Any]]] | None = None,
    may_differ: Callable[[], bool] = lambda: False,
) -> Predicted:
    """As ``predict_file``, for records in memory; ``source`` is what messages call them.

    ``expected``: the same records once more, which are gone through for their columns if CSV, which has these first, is written.
    ``may_differ``: asked after the first chunk, whether the columns may differ from row to row.
    A blank text is labelled like any other and counted. A column that no row of the first chunk has (where columns may differ: none of
    the first thousand rows, or of all) is an error; rows that lack it count as blank.
    """
    needed = choose_columns(predictor.task, labels="ignored", columns=columns or {}, id_column=None).fields.values()
    done, blank, counts = 0, 0, Counter[str]()
    readings: list[Reading] = []
    with PredictionWriter(out, labels=predictor.labels, format=format) as writer:
        if expected is not None:
            writer.expect(expected)
        for records, known in with_columns(chunks, needed, may_differ=may_differ):
            rows = rows_from_records(known, predictor.task, source=source, first_row=done + 1, columns=columns, report=readings.append)
            probabilities = predictor.predict_proba(rows)
            writer.write(records, probabilities)
            done, blank = done + len(rows), blank + readings.pop().blank_kept
            counts.update(predictor.labels[best] for best in probabilities.argmax(axis=1))
            if on_rows is not None:
                on_rows(done)
    return Predicted(done, blank, {label: counts[label] for label in predictor.labels})
