"""Labels for new texts: by the final classifier of a run, or by the ensemble that taught it."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification

from petkit.arguments import names_arguments
from petkit.backbones import FAMILIES, MaskedLM, load_masked_lm, load_tokenizer
from petkit.backbones.modelfiles import check_folder, check_model_type, open_pretrained
from petkit.classifier import predict_logits
from petkit.compute import autocast_dtype, choose_device, default_precision, default_token_budget
from petkit.encoding import Encoder
from petkit.encoding.shared import Encoders
from petkit.errors import DataError, ModelError, raise_problems
from petkit.files import read_json_checked
from petkit.given import Frame
from petkit.losses import mix_scores, soft_labels
from petkit.pvp import PVP, Task
from petkit.results import CARD, ENSEMBLE, no_result
from petkit.rows import Rows
from petkit.runs import recorded
from petkit.scoring import score_rows
from petkit.settings import Settings, from_dict
from petkit.taskspec import task_from_spec
from petkit.textcolumns import is_table, text_columns
from petkit.wording import many, quoted, shortened

__all__ = ["Classifier", "Ensemble", "Member", "Predictor", "Texts", "classifier_folder", "rows_of"]

Texts = Rows | Iterable[str] | Iterable[Sequence[str]] | Iterable[Mapping[str, str]] | Mapping[str, Iterable[Any]] | Frame
"""What can be classified: rows; strings, for a task of one field; tuples, in the order of the fields; dicts, by field; columns by field
(a dict, a data frame, a ``datasets.Dataset``), of which those beside the fields are not read."""

_SCHEMA: Final = 1
_TOKENS: Final = 8192


class Predictor(Protocol):
    """What gives labels to texts."""

    @property
    def task(self) -> Task:
        """What the texts are asked for: fields and labels."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of the columns of ``predict_proba``."""

    def predict_proba(self, texts: Texts) -> NDArray[np.float32]:
        """Probabilities (texts, labels) float32; rows sum to one."""


@dataclass(frozen=True)
class Classifier:
    """The final classifier of a run; made by ``Classifier.load``.

    Attributes:
        task: gives fields, classifier inputs and labels; its patterns play no part here.
        token_budget: tokens per forward pass, padding counted.
    """

    task: Task
    model: Any
    encoder: Encoder
    token_budget: int = _TOKENS

    def __repr__(self) -> str:
        """In short, without the model's layers."""
        return f"<Classifier: task {self.task.name}, labels {shown_labels(self.labels)}>"

    @classmethod
    @names_arguments
    def load(cls, path: str | Path, *, device: str = "auto") -> Classifier:
        """Open a run folder, or the classifier folder in it (which may have been copied elsewhere).

        Raises RunError for a run without a classifier, ModelError for any other folder and for damaged files.
        """
        folder = classifier_folder(Path(path))
        card = _read_card(folder / CARD, ("task", "labels", "max_length"))
        model = _open_classifier(str(folder), card["labels"]).to(choose_device(device))
        return cls(_inputs_only(card), model, Encoder(load_tokenizer(str(folder)), max_length=card["max_length"]))

    @property
    def labels(self) -> tuple[str, ...]:
        """The C labels, in the order of the probabilities."""
        return self.task.labels

    def predict_proba(self, texts: Texts) -> NDArray[np.float32]:
        """Probabilities (N, C) float32, softmax of the classifier's logits, in the order of ``texts``.

        Raises DataError for texts that do not fit the task's fields.
        """
        rows = rows_of(texts, self.task.fields)
        encoded = self.encoder.plain(rows, self.task)
        logits = predict_logits(self.model, encoded, pad_id=self.encoder.pad_id, token_budget=self.token_budget)
        return soft_labels(logits, temperature=1.0)

    def predict(self, texts: Texts) -> list[str]:
        """The most probable label of each text."""
        return [self.labels[best] for best in self.predict_proba(texts).argmax(axis=1)]


@dataclass(frozen=True)
class Member:
    """One model of an ensemble with its pattern and its weight."""

    model: MaskedLM
    encoder: Encoder
    pvp: PVP
    weight: float


@dataclass(frozen=True)
class Ensemble:
    """The members of a run's last generation; made by ``Ensemble.load``. All of them are held in memory.

    Attributes:
        settings: the run's; but ``precision`` and ``token_budget`` are such as the device of the members can do with.
    """

    task: Task
    settings: Settings
    members: tuple[Member, ...]

    def __repr__(self) -> str:
        """In short, without the models' layers."""
        return f"<Ensemble: task {self.task.name}, labels {shown_labels(self.labels)}, {many(len(self.members), 'member')}>"

    @classmethod
    @names_arguments
    def load(cls, path: str | Path, *, device: str = "auto", trust_remote_code: bool = False) -> Ensemble:
        """Open the ensemble of a run folder.

        Raises RunError for a run without one, ModelError for any other folder and for damaged files, TaskError if the task has
        pattern functions and their file has changed.
        """
        root = Path(path)
        if not (root / ENSEMBLE).is_file():
            raise no_result(root, "ensemble")
        card = _read_card(root / ENSEMBLE, ("task", "settings", "members"))
        task, where = task_from_spec(card["task"]), choose_device(device)
        settings = _on_device(from_dict(card["settings"]), where, trained_on=str(recorded(root).get("device", where)))
        encoders = Encoders()  # one for all members, so that each text is tokenised once
        members = [_open_member(root, entry, task, settings, where, trust_remote_code, encoders) for entry in card["members"]]
        return cls(task, settings, tuple(members))

    @property
    def labels(self) -> tuple[str, ...]:
        """The C labels, in the order of the probabilities."""
        return self.task.labels

    def predict_proba(self, texts: Texts) -> NDArray[np.float32]:
        """Probabilities (N, C) float32: softmax at temperature 1 of the members' label scores, mixed by weight."""
        rows = rows_of(texts, self.task.fields)
        scores = [self._scores(member, rows) for member in self.members]
        return soft_labels(mix_scores(scores, [member.weight for member in self.members]), temperature=1.0)

    def predict(self, texts: Texts) -> list[str]:
        """The most probable label of each text."""
        return [self.labels[best] for best in self.predict_proba(texts).argmax(axis=1)]

    def _scores(self, member: Member, rows: Rows) -> NDArray[np.float32]:
        return score_rows(
            member.model,
            member.encoder,
            rows,
            member.pvp,
            token_budget=self.settings.token_budget,
            decoding=self.settings.decoding,
            autocast=autocast_dtype(self.settings.precision),
        )


def rows_of(texts: Texts, fields: Sequence[str]) -> Rows:
    """Texts as rows with these fields; rows pass as they are.

    Raises DataError, naming the texts' places, for values that are no strings, a string where there are several fields, a tuple of
    another length, a field or column that is not there.

    >>> rows_of([("a", "b")], ("premise", "hypothesis")).row(0)
    {'premise': 'a', 'hypothesis': 'b'}
    """
    if isinstance(texts, Rows):
        there = ", ".join(map(repr, texts.fields)) or "none"
        lacking = [f"the rows have no field {name!r}; they have {there}" for name in fields if name not in texts.fields]
        raise_problems(DataError, "texts", lacking)
        return texts
    if isinstance(texts, (str, bytes)) or (not isinstance(texts, Iterable) and not is_table(texts)):
        raise DataError(f"{_shown(texts)}, is given where a list of texts is needed; write [text]")
    if is_table(texts):
        columns = text_columns(texts, fields)
        return Rows(tuple(map(str, range(len(columns[fields[0]])))), columns)
    listed: Any = texts
    rows = [_row(text, fields, place) for place, text in enumerate(listed, start=1)]
    return Rows(tuple(str(i) for i in range(len(rows))), {name: tuple(row[name] for row in rows) for name in fields})


def _row(text: Any, fields: Sequence[str], place: int) -> Mapping[str, str]:
    values = [text] if isinstance(text, str) else text
    if isinstance(values, bytes) or not isinstance(values, Iterable):
        raise DataError(f"text {place} is {_shown(values)}; a text is a string")
    values = values if isinstance(values, Mapping) else list(values)
    found = f"the keys {', '.join(map(str, values))}" if isinstance(values, Mapping) else f"{len(values)} of them"
    if not isinstance(values, Mapping) and len(values) == len(fields):
        values = dict(zip(fields, values, strict=True))
    if not isinstance(values, Mapping) or any(name not in values for name in fields):
        raise DataError(f"text {place} must give the fields {', '.join(fields)} as strings; it has {found}")
    odd = [f"its {name} is {_shown(values[name])}" for name in fields if not isinstance(values[name], str)]
    if odd:
        raise DataError(f"text {place} must give the fields {', '.join(fields)} as strings; {', '.join(odd)}")
    return values


def shown_labels(labels: Sequence[str], *, most: int = 10) -> str:
    """Labels for a line: the first ones, and how many others there are."""
    return ", ".join(shortened(list(map(quoted, labels)), most=most, what="more"))


def _shown(value: object) -> str:
    return f"{reprlib.repr(value)}, a {type(value).__name__}"


def classifier_folder(root: Path) -> Path:
    """The classifier's folder of a run, or that folder itself. Raises RunError for a run without one, ModelError for any other folder."""
    for folder in (root, root / "classifier"):
        if (folder / CARD).is_file():
            return folder
    raise no_result(root, "classifier")


def _read_card(path: Path, needed: Sequence[str]) -> dict[str, Any]:
    card = read_json_checked(path)
    if card.get("schema") != _SCHEMA:
        raise ModelError(f"{path} has schema {card.get('schema')!r}, and this petkit reads {_SCHEMA}")
    missing = [name for name in needed if name not in card]
    if missing:
        raise ModelError(f"{path} is damaged: no {', '.join(missing)}")
    return card


def _on_device(settings: Settings, device: str, *, trained_on: str) -> Settings:
    """A run's settings for labelling on ``device``: bf16 only where that computes in it; of another kind of device no token budget."""
    precision = settings.precision if default_precision(device) == "bfloat16" else "float32"
    same = (device == "cpu") == (trained_on == "cpu")
    budget = settings.token_budget if same else max(settings.max_length, default_token_budget(device))
    return replace(settings, precision=precision, token_budget=budget)


def _inputs_only(card: Mapping[str, Any]) -> Task:
    """The task as far as a classifier needs it; its patterns, which may be functions of a file elsewhere, are left out."""
    spec = card["task"]
    return Task(
        name=spec["name"],
        fields=spec["fields"],
        patterns="{mask}" + "".join(f" {{{name}}}" for name in spec["fields"]),
        verbalizer={label: f"label{index}" for index, label in enumerate(card["labels"])},
        label_column=spec["label_column"],
        classifier_inputs=spec["classifier_inputs"],
        language=spec["language"],
    )


def _open_classifier(path: str, labels: Sequence[str]) -> Any:
    check_folder(path)
    check_model_type(path, list(FAMILIES))
    kind = read_json_checked(Path(path) / "config.json")["model_type"]
    options: dict[str, Any] = {"dtype": torch.float32, "use_safetensors": True, "local_files_only": True}
    options["attn_implementation"] = FAMILIES[kind].attention
    model, found = open_pretrained(AutoModelForSequenceClassification, path, output_loading_info=True, **options)
    if found["missing_keys"]:
        raise ModelError(f"model {path!r} lacks weights of a classifier ({', '.join(sorted(found['missing_keys'])[:3])})")
    named = [model.config.id2label[index] for index in sorted(model.config.id2label)]
    if named != list(labels):
        raise ModelError(f"model {path!r} has the labels {', '.join(named)}, but its {CARD} says {', '.join(labels)}")
    return model.eval()


def _open_member(
    root: Path, entry: Mapping[str, Any], task: Task, settings: Settings, device: str, trust: bool, encoders: Encoders
) -> Member:
    path = str(root / entry["path"])
    model = load_masked_lm(path, trust_remote_code=trust, local_files_only=True).to(device)
    tokenizer = load_tokenizer(path, trust_remote_code=trust, local_files_only=True)
    encoder = encoders.get(tokenizer, max_length=min(settings.max_length, model.max_length), joining=settings.joining)
    return Member(model, encoder, task.pvps[entry["pattern"]], float(entry["weight"]))
