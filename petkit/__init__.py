"""petkit: few-shot text classification by pattern-exploiting training.

    from petkit import Classifier, Task, train

    task = Task(name="t", fields=("text",), patterns=("{text} It was {mask}.",), verbalizer={"neg": "bad", "pos": "good"})
    result = train(task, train="ten_labels.csv", unlabeled="raw.txt", test="test.csv", out="run")
    Classifier.load("run").predict(["Lovely place."])

Names are loaded when they are first asked for, so that the import itself is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from petkit.data.predicted import predict_dataset
    from petkit.errors import DataError, ModelError, PetkitError, RunError, SettingsError, TaskError, UserError
    from petkit.estimator import PETClassifier
    from petkit.evaluation.study import StudyResult, evaluate
    from petkit.loading import load_task, ready_made
    from petkit.pipeline import RunResult, train
    from petkit.predicting import Classifier, Ensemble
    from petkit.pvp import MASK, PVP, SEGMENT_BREAK, Pattern, Task, Text, Verbalizer
    from petkit.rows import Rows
    from petkit.settings import Settings

_HOMES = {
    "petkit.data.predicted": ("predict_dataset",),
    "petkit.errors": ("DataError", "ModelError", "PetkitError", "RunError", "SettingsError", "TaskError", "UserError"),
    "petkit.estimator": ("PETClassifier",),
    "petkit.evaluation.study": ("StudyResult", "evaluate"),
    "petkit.loading": ("load_task", "ready_made"),
    "petkit.pipeline": ("RunResult", "train"),
    "petkit.predicting": ("Classifier", "Ensemble"),
    "petkit.pvp": ("MASK", "PVP", "SEGMENT_BREAK", "Pattern", "Task", "Text", "Verbalizer"),
    "petkit.rows": ("Rows",),
    "petkit.settings": ("Settings",),
}
_NAMES = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "MASK",
    "PVP",
    "SEGMENT_BREAK",
    "Classifier",
    "DataError",
    "Ensemble",
    "ModelError",
    "PETClassifier",
    "Pattern",
    "PetkitError",
    "Rows",
    "RunError",
    "RunResult",
    "Settings",
    "SettingsError",
    "StudyResult",
    "Task",
    "TaskError",
    "Text",
    "UserError",
    "Verbalizer",
    "evaluate",
    "load_task",
    "predict_dataset",
    "ready_made",
    "train",
]


def __getattr__(name: str) -> Any:
    """The public names, loaded when first asked for: ``import petkit`` alone loads neither torch nor transformers."""
    if name not in _NAMES:
        raise AttributeError(f"module 'petkit' has no attribute {name!r}")
    return getattr(importlib.import_module(_NAMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
