"""SetFit through its own package (extra ``compare``): sentence embeddings tuned on pairs, then logistic regression.

Tunstall et al. 2022 (arXiv 2209.11055), with the package's recipe: 20 pairs per row, one epoch, batches of 16. The body is the study's
checkpoint, adapted like everyone's, with mean pooling; it is no sentence encoder that has seen labelled pairs before.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from io import StringIO
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from petkit.backbones.modelfiles import resolve
from petkit.compute import computing
from petkit.errors import SettingsError
from petkit.evaluation.latency import latency
from petkit.evaluation.stages import as_in_a_run
from petkit.pvp import Task
from petkit.rowfiles import save_scores
from petkit.rows import Rows
from petkit.stages import Stage
from petkit.training import seeded
from petkit.units import UnitContext

__all__ = ["check_setfit", "setfit_unit"]

PAIRS, BATCH = 20, 16
_TOKEN: Final = 1e-12


def check_setfit() -> None:
    """Raise SettingsError if the package or accelerate is missing, or setfit does not go with the transformers that is installed."""
    missing = [name for name in ("setfit", "accelerate") if find_spec(name) is None]
    if missing:
        raise SettingsError(f"--methods setfit needs {' and '.join(missing)}, not installed here: install petkit[compare]")
    try:
        with _quietly():
            import setfit  # noqa: F401
    except Exception as error:  # whatever a package says that was made for another version of another one
        raise SettingsError(
            f"--methods setfit: the installed setfit cannot be imported with transformers {version('transformers')} "
            f"({type(error).__name__}: {error}); leave setfit out, or install another version of it (extra petkit[compare])"
        ) from error


def setfit_unit(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Stage: SetFit on the split's labelled rows. Fields are joined by a space. No temperature is fitted. Record: ``counts``.

    Rows that all have one label make no pairs to train on: that label is the answer, as with the other methods.
    """
    stage = Stage.of(spec, as_in_a_run(spec, context))
    train, task, seed = stage.rows("train"), stage.task, context.seed_for("setfit") % 2**32
    parts = {"test": stage.rows("test")} | ({"development": stage.rows("development")} if spec["development"] else {})
    with computing(stage.settings), _quietly(), seeded(seed, "setfit"):
        fitted = _trained(stage, train, seed) if len(set(train.labels)) > 1 else _constant(train)

        def probabilities(rows: Rows) -> Any:
            spread = np.zeros((len(rows), len(task.labels)))
            spread[:, fitted.labels] = fitted.predict(_texts(task, rows))
            return spread

        for part, rows in parts.items():
            save_scores(context.out / f"{part}.parquet", rows.ids, task.labels, np.log(probabilities(rows) + _TOKEN))
        context.measured["latency_ms"] = latency(probabilities, parts["test"])
    counts = {"trained_steps": fitted.steps, "trained_tokens": None, "forward_tokens": None}  # the package does not count them
    return {"temperature": None, "size_bytes": 4 * fitted.parameters, "parameters": fitted.parameters, "counts": counts}


@dataclass(frozen=True)
class _Fitted:
    """What a split's rows made: ``predict`` takes N texts and gives the probabilities (N, K) of the K ``labels`` that it knows."""

    predict: Callable[[list[str]], npt.NDArray[np.float64]]
    labels: npt.NDArray[np.int64]
    parameters: int
    steps: int


def _texts(task: Task, rows: Rows) -> list[str]:
    return [" ".join(task.classifier_texts(rows.row(i))) for i in range(len(rows))]


def _constant(train: Rows) -> _Fitted:
    return _Fitted(lambda texts: np.ones((len(texts), 1)), np.array(train.labels[:1], dtype=np.int64), parameters=1, steps=0)


def _trained(stage: Stage, train: Rows, seed: int) -> _Fitted:
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer, models
    from setfit import SetFitModel, Trainer, TrainingArguments
    from sklearn.linear_model import LogisticRegression

    word = models.Transformer(resolve(stage.checkpoint), max_seq_length=stage.settings.max_length)
    body = SentenceTransformer(modules=[word, models.Pooling(word.get_word_embedding_dimension())], device=stage.device)
    model = SetFitModel(model_body=body, model_head=LogisticRegression(max_iter=2000))
    rows = Dataset.from_dict({"text": _texts(stage.task, train), "label": list(train.labels)})
    arguments = TrainingArguments(
        output_dir=str(stage.context.work / "setfit"),
        batch_size=BATCH,
        num_epochs=1,
        num_iterations=PAIRS,
        seed=seed,
        report_to="none",
        save_strategy="no",
        show_progress_bar=False,
    )
    Trainer(model=model, args=arguments, train_dataset=rows).train()
    return _Fitted(
        lambda texts: np.asarray(model.predict_proba(texts, as_numpy=True), dtype=np.float64),
        np.asarray(model.model_head.classes_, dtype=np.int64),
        parameters=sum(parameter.numel() for parameter in body.parameters()) + model.model_head.coef_.size,
        steps=-(-2 * PAIRS * len(train) // BATCH),
    )


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the package's bars, logs and warnings; nothing is reported to anyone."""
    os.environ.setdefault("WANDB_DISABLED", "true")
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
