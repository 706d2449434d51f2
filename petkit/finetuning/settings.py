"""How to fine-tune: one set of settings for all kinds, with the published recipe of each kind where nothing is given."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from petkit.choices import legal_are
from petkit.errors import SettingsError, raise_problems
from petkit.strategies import FORMS, is_legal, legal_forms
from petkit.training import Schedule, TrainSettings

__all__ = ["KINDS", "OPTIONS", "RECIPES", "TARGETS", "FinetuneSettings", "check_kind"]

KINDS: Final = ("classify", "tag", "answer", "generate")

TARGETS: Final = ("label", "similarity", "answer", "text")
"""What a text-to-text model is to write: a label's name, a number, an answer, any other text such as a summary."""


_CLASSIFY: Final[Mapping[str, Any]] = {
    "epochs": 3.0,
    "batch": 32,
    "learning_rate": 2e-5,
    "max_length": 128,
    "fields": ("text",),
    "label_column": "label",
}
_TAG: Final[Mapping[str, Any]] = {
    "epochs": 3.0,
    "batch": 32,
    "learning_rate": 5e-5,
    "max_length": 128,
    "stride": 32,
    "token_column": "tokens",
    "tag_column": "tags",
}
_ANSWER: Final[Mapping[str, Any]] = {
    "epochs": 3.0,
    "batch": 32,
    "learning_rate": 5e-5,
    "max_length": 384,
    "stride": 128,
    "no_answer": False,
    "null_threshold": 0.0,
    "n_best": 20,
    "longest_answer": 30,
}
_GENERATE: Final[Mapping[str, Any]] = {
    "epochs": 3.0,
    "batch": 32,
    "learning_rate": 1e-4,
    "max_length": 512,
    "target": "text",
    "prefix": "",
    "fields": ("text",),
    "label_column": "label",
    "longest_target": 64,
    "beams": 4,
}

RECIPES: Final[Mapping[str, Mapping[str, Any]]] = {"classify": _CLASSIFY, "tag": _TAG, "answer": _ANSWER, "generate": _GENERATE}
"""What None means for each kind. ``classify``: the shape of BERT's runs on MRPC (Devlin et al. 2019, section 4.1, appendix A.3 and the
released code: 3 epochs, batch 32, 2e-5, warm-up over 10 %, linear decay, 128 tokens). ``answer``: theirs on SQuAD (section 4.2: 3 epochs,
batch 32, 5e-5; rows of 384 tokens as in the released code). ``tag``: from the same grid (appendix A.3). ``generate``: petkit's own, since
T5's published 1e-3 is for Adafactor (Raffel et al. 2020, section 3.1.2)."""

OPTIONS: Final = {name for recipe in RECIPES.values() for name in recipe} - {"epochs", "batch", "learning_rate", "max_length"}
"""Settings that only some kinds have."""


@dataclass(frozen=True)
class FinetuneSettings:
    """How to fine-tune. None takes what ``RECIPES`` has for the kind; a setting of another kind is refused.

    Attributes:
        epochs, steps: passes over the training rows, or updates instead; not both.
        batch: rows (for long texts: windows) per update, in ``accumulate`` equal parts one after the other.
        learning_rate, warmup, schedule, weight_decay: see ``petkit.training.TrainSettings``.
        max_length: tokens per row or window, special tokens included.
        fields: columns that hold the texts: one or two (classify), or more (generate). label_column: label, number or text to write.
        token_column, tag_column: lists of words and of their tags (tag).
        stride: tokens that neighbouring windows of a long text share (tag, answer).
        no_answer: whether a question may have none. null_threshold: it has none if the null score minus the best answer's is above;
            not given, it is 0, or fitted on development rows.
        n_best, longest_answer: answers to list, and tokens of one at most (answer).
        target: one of ``TARGETS``. prefix: what every source text begins with. longest_target: tokens to write at most.
        beams: of beam search (generate).
        token_budget: positions per batch where nothing is learned.
        strategy: which weights learn (see ``petkit.strategies``); "full" means all.
        threads: of the CPU; None for ``petkit.compute.default_threads``. deterministic: by kernels that give the same numbers every time.
    """

    epochs: float | None = None
    steps: int | None = None
    batch: int | None = None
    accumulate: int = 1
    learning_rate: float | None = None
    warmup: float = 0.1
    schedule: Schedule = "linear"
    weight_decay: float = 0.01
    max_length: int | None = None
    fields: tuple[str, ...] | None = None
    label_column: str | None = None
    token_column: str | None = None
    tag_column: str | None = None
    stride: int | None = None
    no_answer: bool | None = None
    null_threshold: float | None = None
    n_best: int | None = None
    longest_answer: int | None = None
    target: str | None = None
    prefix: str | None = None
    longest_target: int | None = None
    beams: int | None = None
    token_budget: int = 8192
    strategy: str = "full"
    precision: str = "float32"
    device: str = "cpu"
    threads: int | None = None
    deterministic: bool = False
    seed: int = 42

    def resolved(self, kind: str) -> FinetuneSettings:
        """With the recipe of ``kind`` in place of None. Raises SettingsError naming everything that is not legal."""
        check_kind(kind)
        recipe = RECIPES[kind]
        foreign = sorted(name for name in OPTIONS - set(recipe) if getattr(self, name) is not None)
        problems = [f"{name} is a setting of {' and '.join(k for k in KINDS if name in RECIPES[k])}, not of {kind}" for name in foreign]
        problems += ["epochs and steps are both given; give one"] if self.epochs is not None and self.steps is not None else []
        missing = {name: value for name, value in recipe.items() if getattr(self, name) is None}
        if self.steps is not None:
            missing.pop("epochs", None)
        found = replace(self, **missing)
        problems += found._problems(kind)
        raise_problems(SettingsError, "fine-tuning settings", problems)
        return found

    def updates(self, size: int) -> int:
        """Updates for ``size`` training rows: ``steps``, or as many as the epochs take, the last one wrapping round."""
        if self.steps is not None:
            return self.steps
        return max(1, math.ceil(round((self.epochs or 0) * size / (self.batch or 1), 6)))  # 1.1 * 50 > 55

    def training(self, size: int) -> TrainSettings:
        """The loop's settings for ``size`` training rows."""
        return TrainSettings(
            steps=self.updates(size),
            learning_rate=self.learning_rate or 0.0,
            accumulate=self.accumulate,
            warmup=self.warmup,
            schedule=self.schedule,
            weight_decay=self.weight_decay,
            precision=self.precision,  # type: ignore[arg-type]  # checked there
        )

    def _problems(self, kind: str) -> list[str]:
        """What is not legal in resolved settings."""
        problems = [rule for holds, rule in (*self._common_rules(), *self._rules(kind)) if not holds]
        try:
            self.training(1)
        except SettingsError as error:
            problems += [line for line in error.problems or (str(error),) if line not in problems]
        return problems

    def _common_rules(self) -> list[tuple[bool, str]]:
        batch = self.batch or 0
        return [
            (self.epochs is None or 0 < self.epochs < math.inf, f"epochs is {self.epochs}; a number above 0 is legal"),
            (batch >= 1, f"batch is {self.batch}; at least 1 is legal"),
            (
                self.accumulate < 1 or batch % self.accumulate == 0,
                f"accumulate is {self.accumulate}; a divisor of batch ({batch}) is legal",
            ),
            ((self.max_length or 0) >= 8, f"max_length is {self.max_length}; at least 8 is legal"),
            (self.token_budget >= 1, f"token_budget is {self.token_budget}; at least 1 is legal"),
            (self.threads is None or self.threads >= 1, f"threads is {self.threads}; at least 1 is legal"),
            (is_legal(self.strategy), f"strategy is {self.strategy!r}; {legal_forms(self.strategy, FORMS)}"),
        ]

    def _own_columns(self, *names: str, kind: str) -> bool:
        """Whether one of these columns is another than the recipe's."""
        return any(getattr(self, name) not in (None, RECIPES[kind][name]) for name in names)

    def _rules(self, kind: str) -> list[tuple[bool, str]]:
        columns = self.fields or ()
        match kind:
            case "classify":
                return [
                    (len(columns) in (1, 2), f"fields (--text-column) is {list(columns)}; one column or two are legal"),
                    _all_named(columns),
                ]
            case "generate":
                return [
                    (len(columns) >= 1, "fields (--text-column) is empty; name the columns of the texts"),
                    _all_named(columns),
                    (
                        self.target != "answer" or not self._own_columns("fields", "label_column", kind=kind),
                        "target answer reads columns called question, context and answers; --text-column and --label-column are not for it",
                    ),
                    (self.target in TARGETS, f"target is {self.target!r}; {legal_are(self.target, TARGETS)}"),
                    ((self.longest_target or 0) >= 1, f"longest_target is {self.longest_target}; at least 1 is legal"),
                    ((self.beams or 0) >= 1, f"beams is {self.beams}; at least 1 is legal"),
                ]
            case "answer":
                return [
                    _stride_rule(self.stride, self.max_length),
                    ((self.n_best or 0) >= 1, f"n_best is {self.n_best}; at least 1 is legal"),
                    ((self.longest_answer or 0) >= 1, f"longest_answer is {self.longest_answer}; at least 1 is legal"),
                    (math.isfinite(self.null_threshold or 0.0), f"null_threshold is {self.null_threshold}; a number is legal"),
                    (
                        self.no_answer or not self.null_threshold,
                        f"null_threshold is {self.null_threshold}, and every question has an answer; it goes with --no-answer (no_answer)",
                    ),
                ]
            case _:
                return [_stride_rule(self.stride, self.max_length)]


def _all_named(columns: tuple[str, ...]) -> tuple[bool, str]:
    return all(columns) and len(set(columns)) == len(columns), f"fields (--text-column) is {list(columns)}; each column is named once"


def _stride_rule(stride: int | None, length: int | None) -> tuple[bool, str]:
    return 0 <= (stride or 0) < (length or 0), f"stride is {stride}; 0 or more and less than max_length ({length}) is legal"


def check_kind(kind: str) -> None:
    """Raise SettingsError unless ``kind`` is one of ``KINDS``."""
    if kind not in KINDS:
        raise SettingsError(f"nothing to fine-tune is called {kind!r}; {legal_are(kind, KINDS)}")


def settings_from(values: Mapping[str, Any]) -> FinetuneSettings:
    """Settings from JSON, as ``dataclasses.asdict`` gave them."""
    known = {item.name for item in fields(FinetuneSettings)}
    found = {name: value for name, value in values.items() if name in known}
    columns = found.get("fields")
    return FinetuneSettings(**{**found, "fields": None if columns is None else tuple(columns)})
