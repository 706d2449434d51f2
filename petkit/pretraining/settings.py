"""How to pretrain: all numbers of a run, checked before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from petkit.errors import SettingsError, raise_problems
from petkit.objectives import MaskedLanguageModeling, objective
from petkit.training import Schedule, TrainSettings

__all__ = ["SIZES", "PretrainSettings"]

SIZES: Final[Mapping[str, tuple[int, int]]] = {
    "tiny": (2, 128),
    "mini": (4, 256),
    "small": (4, 512),
    "medium": (8, 512),
    "base": (12, 768),
}
"""Layers and hidden size of BERT's published sizes (Turc et al. 2019, arXiv 1908.08962); heads are 64 wide."""


@dataclass(frozen=True)
class PretrainSettings:
    """How to pretrain.

    Attributes:
        objective: a preset's name. mask_rate: share of tokens with a loss; None for the preset's.
        init: checkpoint to start from; None for a new BERT of ``layers`` x ``hidden`` with ``vocabulary`` pieces at most.
        keep: words that a new tokenizer keeps whole.
        steps, rows, length: updates, rows per update, tokens per row. long_length, long_share: the last share of the
            steps takes rows of another length, as many tokens per update (BERT's schedule: Devlin et al. 2019, appendix A.2).
        held_out: share of the units of text that measures the loss and is not trained on.
        trust_remote_code: let code in the checkpoint ``init`` run.
        dropout: while pretraining; a checkpoint made here says 0.1, the usual rate for fine-tuning.
    """

    steps: int
    objective: str = "mlm"
    mask_rate: float | None = None
    init: str | None = None
    layers: int = 2
    hidden: int = 128
    vocabulary: int = 8192
    keep: tuple[str, ...] = ()
    rows: int = 32
    length: int = 128
    long_length: int | None = None
    long_share: float = 0.1
    max_positions: int = 256
    learning_rate: float = 1e-3
    warmup: float = 0.06
    schedule: Schedule = "linear"
    weight_decay: float = 0.01
    dropout: float = 0.0
    held_out: float = 0.01
    precision: str = "float32"
    device: str = "cpu"
    seed: int = 42
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        longest = max(self.length, self.long_length or 0)
        rules = (
            (self.rows >= 1, f"rows is {self.rows}; at least 1 is legal"),
            (self.length >= 8, f"length is {self.length}; at least 8 is legal"),
            (self.long_length is None or self.long_length >= 8, f"long_length is {self.long_length}; at least 8 is legal"),
            (0 <= self.long_share <= 1, f"long_share is {self.long_share}; a share from 0 to 1 is legal"),
            (self.hidden > 0 and (self.hidden % 64 == 0 or self.hidden < 64), f"hidden is {self.hidden}; a multiple of 64 is legal"),
            (self.layers >= 1, f"layers is {self.layers}; at least 1 is legal"),
            (self.vocabulary >= len(self.keep) + 100, f"vocabulary is {self.vocabulary}; at least 100 and the words to keep is legal"),
            (self.init is not None or longest <= self.max_positions, f"rows of {longest} tokens exceed {self.max_positions} positions"),
            (0 < self.held_out < 1, f"held_out is {self.held_out}; a share between 0 and 1 is legal"),
            (0 <= self.dropout < 1, f"dropout is {self.dropout}; a share from 0 to below 1 is legal"),
        )
        problems = [problem for holds, problem in rules if not holds]
        for check in (self.masking, self.training):
            try:
                check()
            except SettingsError as error:
                problems += error.problems or (str(error),)
        raise_problems(SettingsError, "pretraining settings", problems)

    def masking(self) -> MaskedLanguageModeling:
        """The objective with its rate."""
        return objective(self.objective, rate=self.mask_rate)

    def training(self) -> TrainSettings:
        """The loop's settings."""
        return TrainSettings(
            steps=self.steps,
            learning_rate=self.learning_rate,
            warmup=self.warmup,
            schedule=self.schedule,
            weight_decay=self.weight_decay,
            eps=1e-6,
            beta2=0.98,
            precision=self.precision,  # type: ignore[arg-type]
        )
