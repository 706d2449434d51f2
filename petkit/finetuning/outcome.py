"""What a finished fine-tuning run shows: the model where users look for it, notices, report.json."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from petkit.files import digest_files, staged_directory
from petkit.finetuning.rouge import ROUGE_MISSING, rouge_is_there
from petkit.finetuning.settings import FinetuneSettings
from petkit.finetuning.stages import DEVELOPMENT, MODEL, PREDICTIONS
from petkit.provenance import publish
from petkit.runs import RunFolder
from petkit.wording import many

__all__ = ["Overlaps", "notices_of", "publish_model", "report_of"]

Overlaps = Mapping[tuple[str, str], Sequence[str]]
"""Two parts, such as train and test -> the ids of rows of the first that equal one of the second."""


def publish_model(run: RunFolder, names: Sequence[str]) -> None:
    """Copy the finished model to ``model``, card and config as the development rows left them. Whole or not at all; done once.

    ``names``: the finished units.
    """
    stage, final = run.path(MODEL), run.root / "model"
    changed = run.path(DEVELOPMENT) / "model" if DEVELOPMENT in names else None
    if changed is None or not changed.exists():
        publish(stage, final)
        return
    over = digest_files(changed)
    outputs = run.stage_record(MODEL).outputs | over
    if final.is_dir() and digest_files(final) == outputs:
        return
    with staged_directory(final) as staging:
        for name in outputs:
            (staging / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile((changed if name in over else stage) / name, staging / name)


def notices_of(run: RunFolder, names: Sequence[str], settings: FinetuneSettings, overlaps: Overlaps) -> list[str]:
    """What the user should know of the rows and of the scores. ``names``: the finished units."""
    tested, developed = PREDICTIONS in names, DEVELOPMENT in names
    notices = [f"{count} {what}" for what, count in run.record(MODEL)["counts"].items() if count]
    notices += _overlap_notices(overlaps)
    if developed and run.record(DEVELOPMENT)["cut"]:
        notices.append(f"{many(run.record(DEVELOPMENT)['cut'], 'development row')} cut to --max-length")
    if tested and run.record(PREDICTIONS)["cut"]:
        notices.append(f"{run.record(PREDICTIONS)['cut']} test rows cut to --max-length")
    if developed and (story := run.record(DEVELOPMENT)["story"]):
        notices.append(story)
    if tested and run.record(PREDICTIONS)["test"] is None:
        notices.append(f"{'no test row' if developed else 'nothing'} is scored: no test row says what is right")
    if tested and settings.target == "text" and not rouge_is_there():
        notices.append(ROUGE_MISSING)
    return notices


def _overlap_notices(overlaps: Overlaps) -> list[str]:
    said = {
        ("train", "test"): ("training rows equal a test row", "test scores are too good"),
        ("development", "test"): ("development rows equal a test row", "what is fitted on them is fitted on test rows"),
        ("development", "train"): ("development rows equal a training row", "development scores are too good"),
    }
    return [f"{len(ids)} {said[pair][0]} (--allow-overlap); {said[pair][1]}" for pair, ids in overlaps.items() if ids]


def report_of(
    run: RunFolder,
    names: Sequence[str],
    common: Mapping[str, Any],
    rows: Mapping[str, Sequence[Any]],
    inputs: Mapping[str, str],
    overlaps: Overlaps,
    notices: Sequence[str],
) -> dict[str, Any]:
    """report.json: of the development rows, and of what they decided, only where there are any. ``names``: the finished units."""
    report = {
        "schema": 1,
        "kind": "finetuning",
        "task": common["kind"],
        "model": common["model"],
        "settings": common["settings"],
        "labels": common["facts"].get("labels"),
        "rows": {part: len(found) for part, found in rows.items()},
        "inputs": dict(inputs),
        "trained": run.record(MODEL),
        "test": run.record(PREDICTIONS)["test"] if PREDICTIONS in names else None,
        "overlap": list(overlaps["train", "test"]),
        "notices": list(notices),
        "seconds": {name: run.stage_record(name).seconds for name in names},
    }
    if DEVELOPMENT not in names:
        return report
    found = run.record(DEVELOPMENT)
    shared = {other: list(overlaps["development", other]) for other in ("test", "train")}
    return {**report, "development": found["development"], **found["tuned"], "development_overlap": shared}
