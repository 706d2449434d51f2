"""``petkit predict`` and ``petkit label``: labels for new texts, by the classifier and by the ensemble."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, cast

from typer import Argument

from petkit.choices import legal_are
from petkit.cli.jsonstream import OneObject
from petkit.cli.options import (
    AsJson,
    ColumnMap,
    Device,
    Encoding,
    Format,
    OutFile,
    Quotes,
    RunFolderPath,
    TextArguments,
    TrustRemoteCode,
    pairs,
)
from petkit.cli.reporter import Reporter
from petkit.errors import SettingsError

if TYPE_CHECKING:
    from petkit.predictfiles import Predicted
    from petkit.predicting import Predictor

__all__ = ["label", "predict"]

Source = Annotated[str | None, Argument(metavar="FILE", help="Rows to label: CSV, TSV, JSONL, parquet, ..., or - for standard input.")]


def predict(
    path: RunFolderPath,
    file: Source = None,
    text: TextArguments = None,
    out: OutFile = None,
    format: Format = None,
    columns: ColumnMap = None,
    encoding: Encoding = None,
    quotes: Quotes = True,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Label texts with a run's classifier: label, score and probabilities, in the order of the input."""
    options = _options(file, text, format, columns, encoding, quotes)
    from petkit.predicting import Classifier

    _label_all(Classifier.load(path, device=device), file, text, out, as_json, options)


def label(
    path: RunFolderPath,
    file: Source = None,
    text: TextArguments = None,
    out: OutFile = None,
    format: Format = None,
    columns: ColumnMap = None,
    encoding: Encoding = None,
    quotes: Quotes = True,
    device: Device = "auto",
    trust_remote_code: TrustRemoteCode = False,
    as_json: AsJson = False,
) -> None:
    """Label texts with a run's ensemble: slower than predict, and what taught the classifier."""
    options = _options(file, text, format, columns, encoding, quotes)
    from petkit.predicting import Ensemble

    _label_all(Ensemble.load(path, device=device, trust_remote_code=trust_remote_code), file, text, out, as_json, options)


def _options(
    file: str | None, text: list[str] | None, format: str | None, columns: list[str] | None, encoding: str | None, quotes: bool
) -> dict[str, Any]:
    """Check the flags before any model is opened."""
    if (file is None) == (not text):
        raise SettingsError("give either a FILE (- for standard input) or --text, " + ("not both" if file else "and neither is given"))
    if format not in (None, "jsonl", "csv"):
        raise SettingsError(f"--format is {format!r}; {legal_are(format, ('jsonl', 'csv'))}")
    given = [flag for flag, value in (("--column", columns), ("--encoding", encoding), ("--no-quotes", not quotes)) if value]
    found: dict[str, Any] = {"format": format, "columns": pairs(columns, "--column"), "quotes": quotes}
    if text and given:
        raise SettingsError(f"{', '.join(given)}: for a FILE only; with --text, leave it out")
    return found | ({"encoding": encoding} if encoding else {})


def _label_all(
    predictor: Predictor, file: str | None, text: list[str] | None, out: Path | None, as_json: bool, options: Mapping[str, Any]
) -> None:
    """Label the file or the texts, into ``out`` or standard output; with --json all of it as one object."""
    with Reporter(quiet=as_json) as reporter:
        run = _texts(predictor, text, options) if text else _file(predictor, str(file), options, reporter)
        if as_json:
            _as_one_object(run, out)
            return
        done = run(out or sys.stdout.buffer)
        if done.blank:
            reporter.notice(f"{done.blank} of {done.rows} rows have a blank or missing text; they are labelled all the same")
        if out is not None:
            reporter.say(f"Labelled {done.rows} rows: {out}")


Run = Callable[[Path | BinaryIO], "Predicted"]


def _as_one_object(run: Run, out: Path | None) -> None:
    stream = OneObject(sys.stdout, "predictions")
    done = run(out or cast(BinaryIO, stream))
    stream.finish({"out": str(out) if out else None, "rows": done.rows, "blank": done.blank, "labels": dict(done.labels)})


def _file(predictor: Predictor, file: str, options: Mapping[str, Any], reporter: Reporter) -> Run:
    from petkit.executors import Event
    from petkit.predictfiles import predict_file

    def on_rows(done: int) -> None:
        reporter.event(Event("progress", "rows", done=done))

    return lambda out: predict_file(predictor, file, out, on_rows=on_rows, **options)


def _texts(predictor: Predictor, texts: Sequence[str], options: Mapping[str, Any]) -> Run:
    from petkit.predictfiles import predict_records

    fields = predictor.task.fields
    if len(texts) % len(fields):
        raise SettingsError(f"--text is given {len(texts)} times; a row takes {len(fields)}, in this order: {', '.join(fields)}")
    rows = [dict(zip(fields, texts[i : i + len(fields)], strict=True)) for i in range(0, len(texts), len(fields))]
    return lambda out: predict_records(predictor, [rows], out, source="--text", format=options["format"])
