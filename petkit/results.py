"""What a finished run ought to hold, and why a folder has no classifier or no ensemble."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from petkit.choices import not_there
from petkit.errors import ModelError, RunError
from petkit.files import DamagedFileError, read_json_checked
from petkit.units import StageRecord, stage_folder

__all__ = ["CARD", "ENSEMBLE", "no_result", "result_problems"]

CARD: Final = "petkit.json"
"""The file that makes a folder a classifier of petkit."""
ENSEMBLE: Final = "ensemble.json"
_RESTORE: Final = "the petkit train command that made the run restores it"
_COMPLETED: Final = "README.md"
"""The model card, which users are asked to complete."""
_OTHER_KINDS: Final = {
    "study": "a study (petkit evaluate), which keeps predictions and no models; petkit train makes a classifier",
    "finetuning": "a fine-tuning run; its model, in the folder model, is for transformers' pipeline()",
}
"""What a folder with a report may be beside a run of petkit train."""
_RULES: Final = {
    "classifier": "method tfidf makes none",
    "ensemble": "methods pet, ipet and single make one when there are labelled rows, and --set keep_members=none does without; "
    "petkit predict asks the classifier",
}


def result_problems(root: Path) -> list[str]:
    """What a finished run of ``petkit train`` has lost of its results; empty for any other folder.

    Of the classifier's files, presence and size are compared with the record of the unit that made them, and no content is read.
    """
    if not (root / "report.json").is_file() or not (root / "run.json").is_file():
        return []
    try:
        report = read_json_checked(root / "report.json")
    except DamagedFileError as error:
        return [f"{error}; the petkit train command that made the run writes it again"]
    found = []
    if (stage := _classifier_stage(report)) and (problem := _damage(root / "classifier", stage_folder(root, stage))):
        found.append(f"the classifier is missing or damaged ({problem}); {_RESTORE}")
    if _has_ensemble(report) and (problem := _unreadable(root / ENSEMBLE)):
        found.append(f"the ensemble is missing or damaged ({problem}); {_RESTORE}")
    return found


def no_result(root: Path, what: str) -> RunError | ModelError:
    """Why there is no ``what``, "classifier" or "ensemble", at a path."""
    quoted = shlex.quote(str(root))
    if not root.is_dir():
        return RunError(f"{root}: no such folder; give the folder that petkit train wrote (--out){not_there(root)}")
    if (root / "report.json").is_file():
        return RunError(f"{root} is {_of_report(read_json_checked(root / 'report.json'), what)}")
    if (root / "model").is_dir() and (root / "run.json").is_file():
        model = shlex.quote(str(root / "model"))
        return RunError(f"{root} is a pretraining run; train a classifier from it with petkit train TASK --model {model}")
    if (root / "run.json").is_file():
        return RunError(
            f"{root} is not finished: it has no {what} yet. petkit status {quoted} shows what is left; "
            "run the petkit train command again to finish it"
        )
    if (root / CARD).is_file():
        run = shlex.quote(str(root.parent)) if (root.parent / ENSEMBLE).is_file() else "RUN"
        return RunError(
            f"{root} is a classifier alone; the ensemble that taught it lies in the run's folder (petkit label {run}). "
            f"petkit predict {quoted} asks the classifier"
        )
    return ModelError(f"{root} is neither a run nor a classifier of petkit (it has no run.json and no {CARD})")


def _of_report(report: Mapping[str, Any], what: str) -> str:
    """What a folder with this report and without ``what`` is."""
    if (kind := report.get("kind", "run")) in _OTHER_KINDS:
        return _OTHER_KINDS[kind]
    expected = _classifier_stage(report) is not None if what == "classifier" else _has_ensemble(report)
    if expected:
        name = f"classifier/{CARD}" if what == "classifier" else ENSEMBLE
        return f"a finished run whose {what} is missing or damaged (no {name}); {_RESTORE}"
    method = report.get("settings", {}).get("method", "unknown")
    return f"a finished run without {what} (method {method}); {_RULES[what]}"


def _classifier_stage(report: Mapping[str, Any]) -> str | None:
    """The unit whose model is published as the run's classifier; None for a method without one, and for other kinds of report."""
    method = report.get("settings", {}).get("method")
    return {None: None, "tfidf": None, "supervised": "baseline-supervised"}.get(method, "classifier")


def _has_ensemble(report: Mapping[str, Any]) -> bool:
    """Whether the members of the last generation were trained and kept."""
    members = report.get("scores", {}).get("members", [])
    last = max((member["generation"] for member in members), default=0)
    trained = any(member["seed"] is not None for member in members if member["generation"] == last)
    return trained and report.get("settings", {}).get("keep_members", "last") == "last"


def _damage(classifier: Path, stage: Path) -> str:
    """What of a unit's model is not in the classifier's folder as it was published; empty if all is."""
    if not (classifier / CARD).is_file():
        return f"no {classifier.name}/{CARD}"
    try:
        sizes = StageRecord.read(stage).sizes
    except DamagedFileError:  # the state of the unit says so
        return ""
    for name, size in sizes.items():
        folder, _, inner = name.partition("/")
        path = classifier / inner
        if folder != "model" or inner == _COMPLETED:
            continue
        if not path.is_file():
            return f"no {classifier.name}/{inner}"
        if path.stat().st_size != size:
            return f"{classifier.name}/{inner} has {path.stat().st_size} bytes instead of {size}"
    return ""


def _unreadable(path: Path) -> str:
    if not path.is_file():
        return f"no {path.name}"
    try:
        read_json_checked(path)
    except DamagedFileError as error:
        return str(error)
    return ""
