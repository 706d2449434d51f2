"""How to pretrain: all numbers of a run, checked before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from os import PathLike, fspath
from typing import Any, Final, Literal, get_args

from petkit.choices import legal_are
from petkit.errors import SettingsError, raise_problems
from petkit.objectives import Distillation, MaskedLanguageModeling, SpanCorruption, preset
from petkit.pretraining.given import check_units
from petkit.training import Schedule, TrainSettings

__all__ = ["SIZES", "Mixing", "PretrainSettings"]

SIZES: Final[Mapping[str, tuple[int, int]]] = {
    "tiny": (2, 128),
    "mini": (4, 256),
    "small": (4, 512),
    "medium": (8, 512),
    "base": (12, 768),
}
"""Layers and hidden size of BERT's published sizes (Turc et al. 2019, arXiv 1908.08962); heads are 64 wide."""

Mixing = Literal["proportional", "equal"]


@dataclass(frozen=True)
class PretrainSettings:
    """How to pretrain.

    Attributes:
        objectives: names of presets; several take turns, as ``mixing`` says. mask_rate: share of tokens with a loss; None for the preset's.
        units: for ``ernie``, the column of the files that holds phrases or entities, a list of [start, end) characters of each text.
        init: checkpoint to start from; None for a new model: ``arch`` (of ``petkit.pretraining.ARCHITECTURES``), ``layers`` x ``hidden``,
            ``heads`` (None: 64 wide each), ``intermediate`` (None: four times ``hidden``).
        tokenizer: a folder or hub name; None for ``init``'s, or a new one with ``vocabulary`` pieces at most and ``keep`` whole.
        teacher: the checkpoint that ``distilbert`` learns from.
        steps, rows, length: updates, rows per update, tokens per row. long_length, long_share: the last share of the
            steps takes rows of another length, as many tokens per update (BERT's schedule: Devlin et al. 2019, appendix A.2).
        accumulate: in how many parts an update's rows go through the model; the result is that of one part.
        separate: each source of text is a data set of its own. mixing, mix_cap, mix_temperature: how often each data set and objective
            comes up: by its rows, at most ``mix_cap`` of them, to the power 1 / ``mix_temperature``; or equally.
        held_out: share of the text that measures the loss and is not trained on. measure_every: updates between two measurements; None for
            a tenth of them, but 200 at least; 0 for the end only.
        dropout: while pretraining; a checkpoint made here says 0.1, the usual rate for fine-tuning.
        gradient_checkpointing: compute layers again in the backward pass, which saves memory. compile: layers by torch.compile.
        workers: processes that make batches; 0 for none beside the one that trains. The batches are the same.
        threads: of the CPU, per process; None for ``petkit.compute.default_threads``. deterministic: by kernels that give the same numbers
            every time.
        trust_remote_code: let code in the checkpoints run.
    """

    steps: int
    objectives: tuple[str, ...] = ("mlm",)
    mask_rate: float | None = None
    units: str | None = None
    init: str | None = None
    arch: str = "bert"
    layers: int = 2
    hidden: int = 128
    heads: int | None = None
    intermediate: int | None = None
    tokenizer: str | None = None
    vocabulary: int = 8192
    keep: tuple[str, ...] = ()
    teacher: str | None = None
    rows: int = 32
    length: int = 128
    long_length: int | None = None
    long_share: float = 0.1
    max_positions: int = 256
    accumulate: int = 1
    separate: bool = False
    mixing: Mixing = "proportional"
    mix_cap: int | None = None
    mix_temperature: float = 1.0
    learning_rate: float = 1e-3
    warmup: float = 0.06
    schedule: Schedule = "linear"
    weight_decay: float = 0.01
    beta2: float = 0.98
    clip: float | None = 1.0
    dropout: float = 0.0
    held_out: float = 0.01
    measure_every: int | None = None
    gradient_checkpointing: bool = False
    compile: bool = False
    workers: int = 0
    precision: str = "float32"
    device: str = "cpu"
    seed: int = 42
    threads: int | None = None
    deterministic: bool = False
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        for name in ("init", "tokenizer", "teacher"):
            if isinstance(path := getattr(self, name), PathLike):
                object.__setattr__(self, name, fspath(path))
        if isinstance(self.objectives, str):
            raise SettingsError(f"objectives is {self.objectives!r}, one string; a tuple such as {(self.objectives,)!r} is legal")
        problems = [problem for holds, problem in self._rules() if not holds]
        for check in (self._check_objectives, self.training):
            try:
                check()
            except SettingsError as error:
                problems += error.problems or (str(error),)
        raise_problems(SettingsError, "pretraining settings", problems)

    def _rules(self) -> tuple[tuple[bool, str], ...]:
        width, heads, longest = self.hidden, self.heads, self.longest
        torn = [word for word in self.keep if word.split() != [word]]
        whole = heads is not None or width % 64 == 0 or width < 64
        return (
            (bool(self.objectives), "there is no objective; at least 1 is legal"),
            (
                len(set(self.objectives)) == len(self.objectives),
                f"objectives are {', '.join(self.objectives)}; each once is legal (--mixing says how often each comes up)",
            ),
            (self.rows >= 1, f"rows is {self.rows}; at least 1 is legal"),
            (self.length >= 8, f"length is {self.length}; at least 8 is legal"),
            (self.long_length is None or self.long_length >= 8, f"long_length is {self.long_length}; at least 8 is legal"),
            (0 <= self.long_share <= 1, f"long_share is {self.long_share}; a share from 0 to 1 is legal"),
            (width > 0 and whole, f"hidden is {width}; a multiple of 64 is legal, or say how many heads"),
            (heads is None or (heads >= 1 and width % heads == 0), f"heads is {heads}; a divisor of {width}, the hidden size, is legal"),
            (self.intermediate is None or self.intermediate >= 1, f"intermediate is {self.intermediate}; at least 1 is legal"),
            (self.layers >= 1, f"layers is {self.layers}; at least 1 is legal"),
            (self.vocabulary >= len(self.keep) + 100, f"vocabulary is {self.vocabulary}; at least 100 and the words to keep is legal"),
            (not torn, f"keep (--keep-words) holds {', '.join(map(repr, torn))}; words without blanks are legal, set apart by commas"),
            (self.init is not None or longest <= self.max_positions, f"rows of {longest} tokens exceed {self.max_positions} positions"),
            (1 <= self.accumulate <= max(1, self.rows), f"accumulate is {self.accumulate}; 1 to rows ({self.rows}) is legal"),
            (
                (self.long_length or 8) < 8 or self.accumulate > self.rows or self.accumulate <= self.long_rows,
                f"accumulate is {self.accumulate}; 1 to {self.long_rows} is legal, the rows of an update of {self.long_length} tokens each",
            ),
            (self.threads is None or self.threads >= 1, f"threads is {self.threads}; at least 1 is legal"),
            (self.mixing in get_args(Mixing), f"mixing is {self.mixing!r}; {legal_are(self.mixing, get_args(Mixing))}"),
            (self.mix_cap is None or self.mix_cap >= 1, f"mix_cap is {self.mix_cap}; at least 1 is legal"),
            (self.mix_temperature > 0, f"mix_temperature is {self.mix_temperature}; above 0 is legal"),
            (
                self.mixing != "equal" or (self.mix_cap is None and self.mix_temperature == 1),
                "mix_cap and mix_temperature go with mixing proportional; equal leaves them nothing to say",
            ),
            (
                not self.keep or (self.init is None and self.tokenizer is None),
                "keep (--keep-words) is for a new tokenizer; init and tokenizer have one that is made",
            ),
            (0 < self.held_out < 1, f"held_out is {self.held_out}; a share between 0 and 1 is legal"),
            (self.measure_every is None or self.measure_every >= 0, f"measure_every is {self.measure_every}; 0 or more is legal"),
            (0 <= self.dropout < 1, f"dropout is {self.dropout}; a share from 0 to below 1 is legal"),
            (self.workers >= 0, f"workers is {self.workers}; 0 or more is legal"),
        )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> PretrainSettings:
        """From ``dataclasses.asdict`` that went through JSON."""
        lists = {field.name: tuple(values[field.name]) for field in fields(cls) if isinstance(values.get(field.name), list)}
        return cls(**{**values, **lists})

    @property
    def long_rows(self) -> int:
        """Rows of an update that takes the longer ones: no more tokens than the others have, but one row at least."""
        return max(1, self.rows * self.length // self.long_length) if self.long_length and self.long_share else self.rows

    @property
    def fewest_rows(self) -> int:
        """Rows of the smallest update."""
        return min(self.rows, self.long_rows)

    def check_processes(self, count: int) -> None:
        """Raise SettingsError unless every update has a row for each part of each of ``count`` processes."""
        parts = count * self.accumulate
        if parts > self.fewest_rows:
            raise SettingsError(
                f"{count} processes, each with {self.accumulate} parts of an update, need {parts} rows at least (--rows, --accumulate); "
                f"the smallest update has {self.fewest_rows}"
                + (f" (of {self.long_length} tokens each)" if self.long_rows < self.rows else "")
            )

    @property
    def longest(self) -> int:
        """Tokens of the longest rows."""
        return max(self.length, self.long_length or 0)

    @property
    def interval(self) -> int:
        """Updates between two measurements; 0 for none before the end."""
        return max(200, self.steps // 10) if self.measure_every is None else self.measure_every

    def rows_of_table(self) -> tuple[Any, ...]:
        """The objectives, with ``mask_rate``. Raises SettingsError on one that is unknown or has no such rate."""
        return tuple(with_rate(preset(name), self.mask_rate) for name in self.objectives)

    def _check_objectives(self) -> None:
        """Raise SettingsError on an objective that is not legal or makes no rows of these lengths, on units or a teacher of none."""
        rows = self.rows_of_table()
        check_units(rows, self.units)
        if self.teacher is not None and not any(isinstance(row, Distillation) for row in rows):
            raise SettingsError(f"teacher is {self.teacher}; --teacher is legal with --objective distilbert, which learns from it")
        for row in rows:
            for length in (self.length, self.longest) if isinstance(row, SpanCorruption) else ():
                row.raw_length(max(8, length))  # shorter ones are told already

    def training(self) -> TrainSettings:
        """The loop's settings."""
        return TrainSettings(
            steps=self.steps,
            learning_rate=self.learning_rate,
            accumulate=self.accumulate,
            warmup=self.warmup,
            schedule=self.schedule,
            weight_decay=self.weight_decay,
            eps=1e-6,
            beta2=self.beta2,
            clip=self.clip,
            precision=self.precision,  # type: ignore[arg-type]
        )


def with_rate(row: Any, rate: float | None) -> Any:
    """An objective with another share of tokens to predict, or the one of the masked objective in it."""
    if rate is None:
        return row
    if not 0 < rate <= 1:
        raise SettingsError(f"mask rate {rate} is not legal; it lies above 0 and at most 1")
    if isinstance(getattr(row, "masked", None), MaskedLanguageModeling):
        return replace(row, masked=replace(row.masked, rate=rate))
    if getattr(row, "rate", None) is None:
        raise SettingsError(f"objective {row.name!r} has no mask rate")
    return replace(row, rate=rate)
