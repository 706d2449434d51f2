"""``PETClassifier``: few-shot training behind scikit-learn's contract, strings in and labels out."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from petkit import pipeline
from petkit.backbones.modelfiles import quiet
from petkit.choices import did_you_mean
from petkit.errors import DataError, SettingsError
from petkit.files import DamagedFileError, read_json_checked, staged_directory, write_json
from petkit.labelnames import named_task
from petkit.loading import load_task
from petkit.predicting import Classifier, classifier_folder
from petkit.pvp import Task
from petkit.rows import Rows
from petkit.textcolumns import column_values, is_null, is_table, text_columns
from petkit.verbose import Lines

__all__ = ["PETClassifier"]

_STATE: Final = "estimator.json"
_QUICK: Final = {"baselines": False, "keep_members": "none"}
"""What a run behind ``fit`` leaves out unless ``settings`` asks for it: nobody sees its report, and its folder goes."""


class PETClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Pattern-exploiting training (Schick & Schütze 2021a) as a scikit-learn classifier of texts.

    Args:
        task: a Task, a ready-made task's name or a task file; None makes one from the labels in ``y``.
        label_words: label -> word or words for the gap; None takes the label's own name (``"Sci/Tech"``: sci tech).
        patterns: pattern strings; None takes ``petkit.labelnames.PATTERNS``. Neither goes with ``task``.
        columns: the columns of a frame, data set or dict that hold the texts, in the order of the task's fields; None takes those that
            the task names, or every column of text.
        label_column: the column with the labels, where ``y`` is not given apart.
        model: ``builtin``, a checkpoint's folder, or a name on the hub. method: ``petkit.settings.METHODS``, but tfidf.
        preset: as ``petkit train --preset``. settings: changes to it by dotted name, such as ``{"member.steps": 100}``.
        unlabeled: raw texts, held as ``X`` is; ``fit(unlabeled=...)`` goes before it. None: the training texts without their labels,
            which is much less to learn from.
        language: BCP 47 tag of the texts, if no task says it. out: a new folder that keeps the run; None keeps only the classifier.
        device: auto, cpu, cuda ... random_state: a number, a RandomState, or None for another result each time.
        verbose: lines on standard error while ``fit`` trains. 0: none. 1: notices, and every stage that is done. 2: also the steps of
            a stage, every ten seconds.

    Attributes:
        classes_: (C,) the labels, sorted, of the type that ``y`` had. n_features_in_: number of text fields.
        classifier_: the ``petkit.Classifier``. task_: the task. report_: the run's report.json; ``from_run`` has it of a run's folder only,
            unless it is damaged.
    """

    classifier_: Classifier
    _files_: dict[str, bytes]

    def __init__(
        self,
        *,
        task: Task | str | None = None,
        label_words: Mapping[Any, str | Sequence[str]] | None = None,
        patterns: Sequence[Any] | None = None,
        columns: Sequence[Hashable] | str | None = None,
        label_column: Hashable = "label",
        model: str | os.PathLike[str] = "builtin",
        method: str = "pet",
        preset: str = "auto",
        settings: Mapping[str, Any] | None = None,
        unlabeled: Any = None,
        language: str = "en",
        out: str | Path | None = None,
        device: str = "auto",
        random_state: Any = 42,
        verbose: int = 0,
    ) -> None:
        self.task = task
        self.label_words = label_words
        self.patterns = patterns
        self.columns = columns
        self.label_column = label_column
        self.model = model
        self.method = method
        self.preset = preset
        self.settings = settings
        self.unlabeled = unlabeled
        self.language = language
        self.out = out
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn may feed it: text, not numbers."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.two_d_array, tags.input_tags.one_d_array = True, False, True
        return tags

    def fit(self, X: Any, y: Any = None, *, unlabeled: Any = None) -> PETClassifier:
        """Train on N texts and labels.

        Args:
            X: strings, tuples or dicts of strings, an array, a frame, a ``datasets.Dataset``, a dict of columns.
            y: (N,) labels; for what has columns also a column's name, None meaning ``label_column``.
            unlabeled: raw texts; no text of them may be a test text, which only the caller can know.

        Raises ValueError where scikit-learn's contract says so, else UserError.
        """
        labels = self._labels(X, y)
        classes, indices = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(f"the training data has only one class ({classes.tolist()[0]!r}); a classifier needs at least two")
        columns = self._columns(X, y if isinstance(y, str) else self.label_column)
        task = self._task(classes.tolist(), list(map(str, columns)))
        train = _rows("train", task, columns)
        check_consistent_length(train.ids, labels)
        places = self._places(task, classes)
        raw = unlabeled if unlabeled is not None else self.unlabeled
        pool = _rows("pool", task, columns if raw is None else text_columns(raw, list(columns)))
        self._train(task, train.with_labels([places[index] for index in indices]), pool)
        self.classes_, self._places_, self._columns_ = classes, places, tuple(columns)
        self.n_features_in_ = len(task.fields)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """(N, C) float32 probabilities, in the order of ``classes_``."""
        check_is_fitted(self)
        rows = _rows("text", self.classifier_.task, text_columns(X, list(self._columns_)))
        return np.asarray(self.classifier_.predict_proba(rows)[:, list(self._places_)])

    def predict(self, X: Any) -> NDArray[Any]:
        """(N,) the most probable label of each text, of the type that ``y`` had."""
        probabilities = self.predict_proba(X)
        found: NDArray[Any] = self.classes_[probabilities.argmax(axis=1)]
        return found

    def save(self, path: str | Path) -> Path:
        """Write the classifier's folder, which transformers, ``petkit predict`` and ``from_run`` open; returns its path.

        Raises SettingsError if something is there already, other than an empty folder or one that holds what ``save`` wrote and no more.
        """
        check_is_fitted(self)
        _check_free(Path(path))
        with staged_directory(path) as folder:
            for name, content in self._files_.items():
                (folder / name).write_bytes(content)
            with quiet():
                self.classifier_.model.save_pretrained(str(folder))
            kind = type(self.classes_.tolist()[0]).__name__
            labels = [self.classifier_.labels[place] for place in self._places_]
            written = sorted({_STATE, *(file.name for file in folder.iterdir())})
            state = {"schema": 1, "kind": kind, "labels": labels, "columns": list(self._columns_), "files": written}
            write_json(folder / _STATE, state)
        return Path(path)

    @classmethod
    def from_run(cls, path: str | Path, *, device: str = "auto") -> PETClassifier:
        """A fitted estimator from a run of ``petkit train``, a classifier's folder, or what ``save`` wrote.

        Labels are strings, but in what ``save`` wrote, which keeps their type. It predicts; its parameters are the defaults, so that
        ``fit`` starts a training of its own. Raises as ``Classifier.load``.
        """
        classifier = Classifier.load(path, device=device)
        folder = classifier_folder(Path(path))
        state = read_json_checked(folder / _STATE) if (folder / _STATE).is_file() else {}
        labels = state.get("labels", sorted(classifier.labels))
        made = cls(device=device)
        made.classes_ = _typed(labels, state.get("kind", "str"))
        made._places_ = tuple(classifier.labels.index(label) for label in labels)
        # JSON knows no tuples, and those are what frames of several header rows call their columns
        columns = state.get("columns", classifier.task.fields)
        made._columns_ = tuple(tuple(name) if isinstance(name, list) else name for name in columns)
        made.task_, made.n_features_in_ = classifier.task, len(classifier.task.fields)
        made.classifier_, made._files_ = classifier, _small_files(folder)
        if (Path(path) / "run.json").is_file():  # beside any other classifier, a file of that name is the user's
            with contextlib.suppress(DamagedFileError):  # missing too, while a run is under way; the classifier serves without it
                made.report_ = read_json_checked(Path(path) / "report.json")
        return made

    def __getstate__(self) -> dict[str, Any]:
        """The state for pickle and joblib: the model as the bytes of its safetensors file, no torch object."""
        state = dict(super().__getstate__())
        if state.pop("classifier_", None) is not None:
            with tempfile.TemporaryDirectory(prefix="petkit-") as folder:
                saved = self.save(Path(folder) / "model")
                state["_weights_"] = {file.name: file.read_bytes() for file in sorted(saved.glob("*.safetensors"))}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the model again; on the device that ``device`` means here."""
        weights = state.pop("_weights_", None)
        super().__setstate__(state)
        if weights is not None:
            with tempfile.TemporaryDirectory(prefix="petkit-") as folder:
                for name, content in {**self._files_, **weights}.items():
                    (Path(folder) / name).write_bytes(content)
                self.classifier_ = Classifier.load(folder, device=self.device)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "classifier_") and hasattr(self, "classes_")

    def _labels(self, X: Any, y: Any) -> NDArray[Any]:
        framed = is_table(X)
        if y is None and not framed:
            raise ValueError("PETClassifier requires y to be passed, but the target y is None")
        values = column_values(X, self.label_column if y is None else y) if framed and (y is None or isinstance(y, str)) else y
        labels: NDArray[Any] = column_or_1d(values, warn=True)
        missing = [place for place, value in enumerate(labels.tolist(), start=1) if value is None or is_null(value) or value != value]
        if missing:
            raise ValueError(f"y contains NaN or None (row {missing[0]}); give texts without a label as unlabeled")
        check_classification_targets(labels)
        return labels

    def _columns(self, X: Any, label: Hashable) -> dict[Hashable, tuple[str, ...]]:
        names: Sequence[Hashable] | None = [self.columns] if isinstance(self.columns, str) else self.columns
        if names is None and self.task is not None:
            names = load_task(self.task).fields if isinstance(self.task, str) else self.task.fields
        return text_columns(X, names, label=label)

    def _task(self, labels: list[Any], columns: Sequence[str]) -> Task:
        if self.task is None:
            return named_task(
                labels,
                columns,
                label_words=self.label_words,
                patterns=self.patterns,
                language=self.language,
                asks=self.method != "supervised",
            )
        if self.label_words is not None or self.patterns is not None:
            raise SettingsError("task brings its own patterns and words; leave label_words and patterns out, or task")
        task = load_task(self.task) if isinstance(self.task, str) else self.task
        if len(columns) != len(task.fields):
            raise DataError(f"task {task.name!r} has the fields {', '.join(task.fields)}, and the texts the columns {', '.join(columns)}")
        return task

    def _places(self, task: Task, classes: NDArray[Any]) -> tuple[int, ...]:
        """Where each class stands among the task's labels."""
        unknown = [label for label in classes.tolist() if str(label) not in task.labels]
        if unknown:
            raise DataError(
                f"y has the labels {unknown}, and task {task.name!r} has {', '.join(task.labels)}{did_you_mean(unknown, task.labels)}"
            )
        return tuple(task.labels.index(str(label)) for label in classes.tolist())

    def _train(self, task: Task, train: Rows, pool: Rows) -> None:
        if self.method == "tfidf":
            raise SettingsError("method tfidf makes no classifier of its own; use TfidfVectorizer and LogisticRegression in a Pipeline")
        seed = self.random_state
        seed = int(seed) if isinstance(seed, int | np.integer) else int(check_random_state(seed).randint(2**31 - 1))
        changes = {**_QUICK, **(self.settings or {}), "method": self.method, "seed": seed}
        with tempfile.TemporaryDirectory(prefix="petkit-") as folder:
            out = Path(folder) / "run" if self.out is None else Path(self.out)
            lines = Lines(self.verbose, out, name=type(self).__name__)
            result = pipeline.train(
                task,
                out=out,
                train=train,
                unlabeled=pool,
                model=self.model,
                preset=self.preset,
                settings=changes,
                keep_blank=True,  # as scikit-learn's own vectorizers do
                device=self.device,
                on_event=lines.event,
                on_notice=lines.notice,
            )
            made = result.path / "classifier"
            self.classifier_, self._files_ = Classifier.load(made, device=self.device), _small_files(made)
        self.task_, self.report_ = task, result.report


def _rows(name: str, task: Task, columns: Mapping[Hashable, tuple[str, ...]]) -> Rows:
    """The columns as rows of the task, field by field; ids ``NAME:1`` and on."""
    texts = dict(zip(task.fields, columns.values(), strict=True))
    return Rows(tuple(f"{name}:{place}" for place in range(1, len(texts[task.fields[0]]) + 1)), texts)


def _check_free(path: Path) -> None:
    """Refuse to write over anything of the user's."""
    if not path.exists():
        return
    there = {file.name for file in path.iterdir()} if path.is_dir() else None
    written = read_json_checked(path / _STATE).get("files", []) if there and _STATE in there else []
    if there is None or there - set(written):
        found = "no folder" if there is None else f"a folder that holds {', '.join(sorted(there - set(written))[:5])}"
        raise SettingsError(f"save: {path} is {found}; a new folder, an empty one, or one that holds only what save wrote is legal")


def _small_files(folder: Path) -> dict[str, bytes]:
    """A classifier's files but for its weights, which the open model holds."""
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir()) if file.is_file() and ".safetensors" not in file.suffixes}


def _typed(labels: Sequence[str], kind: str) -> NDArray[Any]:
    kinds: dict[str, Any] = {"int": int, "float": float, "str": str, "bool": lambda label: label == "True"}
    return np.array([kinds[kind](label) for label in labels])
