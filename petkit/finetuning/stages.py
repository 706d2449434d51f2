"""Stages of a fine-tuning run: rows, model, development, predictions. Each is a function of its specification and of files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from petkit.adapted import has_adapters
from petkit.backbones.plain import save_for_pipelines
from petkit.canonical import hash_json
from petkit.compute import computing
from petkit.errors import RunError
from petkit.files import make_directory, read_json_checked, write_json, write_text
from petkit.finetuning.card import card, with_decided
from petkit.finetuning.kind import Job, Kind, Prediction
from petkit.finetuning.kinds import kind_of
from petkit.finetuning.loop import fit
from petkit.finetuning.models import open_config, open_tokenizer
from petkit.finetuning.rows import as_lines, load_rows, save_rows
from petkit.finetuning.settings import settings_from
from petkit.units import UnitContext

__all__ = [
    "DEVELOPMENT",
    "INCOMING",
    "MODEL",
    "PREDICTIONS",
    "ROWS",
    "development_unit",
    "fingerprint",
    "model_unit",
    "predictions_unit",
    "rows_unit",
]

ROWS, MODEL, DEVELOPMENT, PREDICTIONS, INCOMING = "rows", "model", "development", "predictions", "incoming"
"""Names of the units, and of the folder where rows lie until the first one has taken them."""

TUNED = "tuned.json"
"""Settings that development rows decided, in the folder of their unit."""


def fingerprint(rows: Sequence[Any]) -> str:
    """SHA-256 (hex) over all rows in their order."""
    return hash_json([asdict(row) for row in rows])


def rows_unit(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Stage: the run's rows, from ``incoming/``; record: how many. RunError if a part is not as ``spec["fingerprints"]`` says."""
    kind, counts = kind_of(spec["kind"]), {}
    for part, wanted in spec["fingerprints"].items():
        rows = load_rows(context.root / INCOMING / f"{part}.jsonl", kind.row)
        if fingerprint(rows) != wanted:
            raise RunError(f"{context.root / INCOMING / part}.jsonl is damaged; run the same command again")
        save_rows(context.out / f"{part}.jsonl", rows)
        counts[part] = len(rows)
    return {"rows": counts}


def model_unit(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Stage: train; writes the model as plain transformers opens it. Record: ``steps``, ``losses``, ``counts``, what learned."""
    kind = kind_of(spec["kind"])
    rows, job = _rows(kind, context, "train"), _job(kind, spec, spec["model"])
    with computing(job.settings):
        lessons = kind.lessons(rows, job)
        model = kind.open(spec["model"], job, context.seed_for("finetune", "head"))
        trained = fit(model, lessons, job, seed=context.seed_for("finetune"), context=context)
    save_for_pipelines(model, job.tokenizer, context.out, max_length=job.settings.max_length or 0)
    write_text(context.out / "README.md", card(kind, spec, rows=len(rows), adapted=has_adapters(model.config)))
    return {
        "steps": trained.steps,
        "losses": trained.losses,
        "rows": len(rows),
        "windows": len(lessons.encoded),
        "counts": dict(lessons.counts),
        **trained.extent(),
    }


def development_unit(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Stage: the finished model, opened anew, on the development rows, and what they decide; writes ``predictions.jsonl``.

    If they decide something also ``tuned.json``, the settings, and in ``model/`` the model's card and config with them.
    Record: ``development`` scores, rows ``cut``, ``tuned``, how each setting was found, and its ``story`` (None: nothing to decide).
    """
    kind, rows, job, found = _predicted(spec, context, "development")
    tuned = None if kind.tune is None else kind.tune(rows, found, job)
    if tuned is not None:
        found = tuned.predictions
        write_json(context.out / TUNED, tuned.settings)
        model, changed = context.need(MODEL), context.out / "model"
        make_directory(changed)
        write_json(changed / "config.json", {**read_json_checked(model / "config.json"), **tuned.settings})
        write_text(changed / "README.md", with_decided((model / "README.md").read_text("utf-8"), tuned.settings, tuned.story))
    decided = {"tuned": tuned.report if tuned else {}, "story": tuned.story if tuned else None}
    return {"development": kind.score(rows, found, job), **_written(context, rows, found), **decided}


def predictions_unit(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Stage: the finished model, opened anew, on the test rows; writes ``predictions.jsonl``. Record: ``test`` scores, rows ``cut``."""
    kind, rows, job, found = _predicted(spec, context, "test")
    return {"test": kind.score(rows, found, job), **_written(context, rows, found)}


def _predicted(spec: Mapping[str, Any], context: UnitContext, part: str) -> tuple[Kind[Any], list[Any], Job, list[Prediction]]:
    """The rows of a part and the finished model's predictions for them, by the settings that development rows decided too."""
    kind, folder = kind_of(spec["kind"]), str(context.need(MODEL))
    place = context.needed.get(DEVELOPMENT)
    tuned = read_json_checked(place / TUNED) if place is not None and (place / TUNED).exists() else {}
    rows, job = _rows(kind, context, part), _job(kind, {**spec, "settings": spec["settings"] | tuned}, folder)
    with computing(job.settings):
        return kind, rows, job, kind.predict(kind.open(folder, job, 0), rows, job)


def _written(context: UnitContext, rows: Sequence[Any], found: Sequence[Prediction]) -> dict[str, Any]:
    """Write ``predictions.jsonl``; the record says how many rows were ``cut``."""
    write_text(context.out / "predictions.jsonl", as_lines(_with_row(row, one) for row, one in zip(rows, found, strict=True)))
    return {"cut": sum(one.get("cut", False) for one in found)}


def _with_row(row: Any, prediction: Prediction) -> dict[str, Any]:
    """A row and what was predicted for it; names of the prediction get ``predicted_`` where the row has them too."""
    values = asdict(row)
    return values | {f"predicted_{name}" if name in values else name: value for name, value in prediction.items()}


def _job(kind: Kind[Any], spec: Mapping[str, Any], path: str) -> Job:
    """The job of a specification on the checkpoint at ``path``, without the null threshold that an earlier fine-tuning left there."""
    config = open_config(path, kind.model_types)
    vars(config).pop("null_threshold", None)
    return Job(config, open_tokenizer(path), spec["facts"], settings_from(spec["settings"]))


def _rows(kind: Kind[Any], context: UnitContext, part: str) -> list[Any]:
    return load_rows(Path(context.need(ROWS)) / f"{part}.jsonl", kind.row)
