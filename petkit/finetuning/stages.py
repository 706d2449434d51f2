"""Stages of a fine-tuning run: rows, model, predictions. Each is a function of its specification and of files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from petkit.adapted import has_adapters
from petkit.backbones.plain import save_for_pipelines
from petkit.canonical import hash_json
from petkit.compute import computing
from petkit.errors import RunError
from petkit.files import write_text
from petkit.finetuning.card import card
from petkit.finetuning.kind import Job, Kind, Prediction
from petkit.finetuning.kinds import kind_of
from petkit.finetuning.loop import fit
from petkit.finetuning.models import open_config, open_tokenizer
from petkit.finetuning.rows import as_lines, load_rows, save_rows
from petkit.finetuning.settings import settings_from
from petkit.units import UnitContext

__all__ = ["INCOMING", "MODEL", "PREDICTIONS", "ROWS", "fingerprint", "model_unit", "predictions_unit", "rows_unit"]

ROWS, MODEL, PREDICTIONS, INCOMING = "rows", "model", "predictions", "incoming"
"""Names of the units, and of the folder where rows lie until the first one has taken them."""

PARTS: Final = ("train", "test")


def fingerprint(rows: Sequence[Any]) -> str:
    """SHA-256 (hex) over all rows in their order."""
    return hash_json([asdict(row) for row in rows])


def rows_unit(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Stage: the run's rows, from ``incoming/``; record: how many. RunError if a part is not as ``spec["fingerprints"]`` says."""
    kind, counts = kind_of(spec["kind"]), {}
    for part in PARTS:
        rows = load_rows(context.root / INCOMING / f"{part}.jsonl", kind.row)
        if fingerprint(rows) != spec["fingerprints"][part]:
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


def predictions_unit(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Stage: the finished model, opened anew, on the test rows; writes ``predictions.jsonl``. Record: ``test`` scores, rows ``cut``."""
    kind, folder = kind_of(spec["kind"]), str(context.need(MODEL))
    rows, job = _rows(kind, context, "test"), _job(kind, spec, folder)
    with computing(job.settings):
        found = kind.predict(kind.open(folder, job, 0), rows, job)
    write_text(context.out / "predictions.jsonl", as_lines(_with_row(row, one) for row, one in zip(rows, found, strict=True)))
    return {"test": kind.score(rows, found, job), "cut": sum(one.get("cut", False) for one in found)}


def _with_row(row: Any, prediction: Prediction) -> dict[str, Any]:
    """A row and what was predicted for it; names of the prediction get ``predicted_`` where the row has them too."""
    values = asdict(row)
    return values | {f"predicted_{name}" if name in values else name: value for name, value in prediction.items()}


def _job(kind: Kind[Any], spec: dict[str, Any], path: str) -> Job:
    """The job of a specification on the checkpoint at ``path``."""
    return Job(open_config(path, kind.model_types), open_tokenizer(path), spec["facts"], settings_from(spec["settings"]))


def _rows(kind: Kind[Any], context: UnitContext, part: str) -> list[Any]:
    return load_rows(Path(context.need(ROWS)) / f"{part}.jsonl", kind.row)
