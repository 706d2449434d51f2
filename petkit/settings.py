"""Settings of a training run: values with their legal ranges, presets, and how `--set` and TOML files change them.

Settings end at the stage boundary: stages hand plain parameters to the functions they call.
"""

from __future__ import annotations

import math
import tomllib
import types
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from petkit.choices import legal_are
from petkit.errors import SettingsError, raise_problems
from petkit.objectives.presets import adapting_objectives, plain_objectives
from petkit.strategies import FORMS, PLAIN_FORMS, is_legal, legal_forms, strategy

__all__ = ["METHODS", "PRESETS", "Settings", "apply_changes", "batch_problems", "from_dict", "preset", "preset_for", "read_toml"]

METHODS: Final = ("pet", "ipet", "single", "supervised", "zero-shot", "tfidf")
"""pet: ensemble and distillation. ipet: generations before it. single: one pattern. supervised: a plain classification head on the
labelled rows. zero-shot: untrained patterns, distilled. tfidf: TF-IDF and logistic regression."""


@dataclass(frozen=True)
class Optimization:
    """Updates of one model. Units: steps are updates; batch sizes count rows per micro-batch. strategy: see ``petkit.strategies``."""

    steps: int = 1000
    learning_rate: float = 1e-5
    batch: int = 1
    accumulate: int = 4
    warmup: float = 0.0
    weight_decay: float = 0.01
    clip: float | None = 1.0
    strategy: str = "full"


@dataclass(frozen=True)
class MemberSettings(Optimization):
    """Training of one (pattern, verbalizer, seed). ``unlabeled_batch`` rows beside each labelled micro-batch carry the MLM loss."""

    unlabeled_batch: int = 3
    mlm_weight: float = 1e-4
    mask_rate: float = 0.15
    objective: str = "mlm-independent"


@dataclass(frozen=True)
class ClassifierSettings(Optimization):
    """Training of the final classifier, and of the plain baseline on the labelled rows."""

    steps: int = 5000
    batch: int = 16
    accumulate: int = 1


@dataclass(frozen=True)
class IpetSettings:
    """Growth of the training sets (Schick & Schütze 2021a, section 3.4).

    Attributes:
        generations: after generation 0; None for ceil(log_d(1000 / N_0)). scale: d.
        share: of the other members that label a member's new rows. most_likely: zero-shot start, rows per label to choose from.
        balance: of the new rows' labels: as among the labelled rows, which is the paper's rule, or as the last generation sees the pool.
    """

    generations: int | None = None
    scale: float = 5.0
    balance: Literal["labeled", "pool"] = "labeled"
    share: float = 0.25
    most_likely: int = 100


@dataclass(frozen=True)
class Settings:
    """All that decides a run's numbers beside its data, its task and its model.

    Attributes:
        repetitions: members per pattern, differing in seed. patterns: indices of the patterns to use, () for all.
        weighting: of members by accuracy on the labelled rows before training, or uniform. temperature: of the soft labels.
        pool_limit: unlabelled rows per label, at most. max_length: tokens of a cloze. joining: see ``petkit.encoding``.
        decoding: of words of several tokens. adapt_steps: MLM on the pool before all else, 0 for none; adapt_objective: of
            ``petkit.objectives.adapting_objectives``, adapt_mask_rate: share of tokens to predict, None for the objective's.
        token_budget: padded tokens per labelling batch. threads: of the CPU, per process.
    """

    method: str = "pet"
    seed: int = 42
    repetitions: int = 3
    patterns: tuple[int, ...] = ()
    weighting: Literal["weighted", "uniform"] = "weighted"
    temperature: float = 2.0
    pool_limit: int = 10_000
    max_length: int = 256
    joining: Literal["string", "parts"] = "string"
    decoding: Literal["max-first", "left-to-right", "parallel"] = "max-first"
    adapt_steps: int = 0
    adapt_learning_rate: float = 5e-5
    adapt_objective: str = "mlm"
    adapt_mask_rate: float | None = None
    token_budget: int = 8192
    precision: Literal["float32", "bfloat16"] = "float32"
    deterministic: bool = False
    threads: int = 1
    baselines: bool = True
    keep_members: Literal["last", "none"] = "last"
    member: MemberSettings = field(default_factory=MemberSettings)
    classifier: ClassifierSettings = field(default_factory=ClassifierSettings)
    supervised: ClassifierSettings = field(default_factory=lambda: ClassifierSettings(steps=250))
    ipet: IpetSettings = field(default_factory=IpetSettings)

    def __post_init__(self) -> None:
        raise_problems(SettingsError, "settings", _problems(self))

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def _problems(settings: Any) -> list[str]:
    """The rules that the values of a Settings break."""
    rules = [
        (settings.method in METHODS, f"method is {settings.method!r}; {legal_are(settings.method, METHODS)}"),
        (settings.repetitions >= 1, f"repetitions is {settings.repetitions}; at least 1 is legal"),
        (0 < settings.temperature < math.inf, f"temperature is {settings.temperature}; a number above 0 is legal"),
        (settings.pool_limit >= 1, f"pool_limit is {settings.pool_limit}; at least 1 is legal"),
        (settings.max_length >= 8, f"max_length is {settings.max_length}; at least 8 is legal"),
        (settings.adapt_steps >= 0, f"adapt_steps is {settings.adapt_steps}; 0 or more is legal"),
        (0 < settings.adapt_learning_rate < 1, f"adapt_learning_rate is {settings.adapt_learning_rate}; above 0 and below 1 is legal"),
        (
            settings.adapt_objective in adapting_objectives(),
            f"adapt_objective is {settings.adapt_objective!r}; {legal_are(settings.adapt_objective, adapting_objectives())}",
        ),
        (
            settings.adapt_mask_rate is None or 0 < settings.adapt_mask_rate <= 1,
            f"adapt_mask_rate is {settings.adapt_mask_rate}; above 0 and at most 1, or none, is legal",
        ),
        (
            settings.token_budget >= settings.max_length,
            f"max_length is {settings.max_length} and token_budget, the tokens of a labelling batch, is {settings.token_budget}; "
            "at most token_budget is legal for max_length",
        ),
        (settings.threads >= 1, f"threads is {settings.threads}; at least 1 is legal"),
        (0 <= settings.member.mlm_weight <= 1, f"member.mlm_weight is {settings.member.mlm_weight}; a share from 0 to 1 is legal"),
        (0 < settings.member.mask_rate <= 1, f"member.mask_rate is {settings.member.mask_rate}; above 0 and at most 1 is legal"),
        (settings.member.unlabeled_batch >= 0, f"member.unlabeled_batch is {settings.member.unlabeled_batch}; 0 or more is legal"),
        (1 < settings.ipet.scale < math.inf, f"ipet.scale is {settings.ipet.scale}; a number above 1 is legal"),
        (
            settings.member.objective in plain_objectives(),
            f"member.objective is {settings.member.objective!r}; {legal_are(settings.member.objective, plain_objectives())}",
        ),
        (0 < settings.ipet.share <= 1, f"ipet.share is {settings.ipet.share}; above 0 and at most 1 is legal"),
        (settings.ipet.most_likely >= 1, f"ipet.most_likely is {settings.ipet.most_likely}; at least 1 is legal"),
        (settings.ipet.generations is None or settings.ipet.generations >= 1, "ipet.generations: at least 1, or none for the paper's rule"),
    ]
    for name in ("member", "classifier", "supervised"):
        part: Optimization = getattr(settings, name)
        rules += [
            (part.steps >= 1, f"{name}.steps is {part.steps}; at least 1 is legal"),
            (0 < part.learning_rate < 1, f"{name}.learning_rate is {part.learning_rate}; above 0 and below 1 is legal"),
            (part.batch >= 1, f"{name}.batch is {part.batch}; at least 1 is legal"),
            (part.accumulate >= 1, f"{name}.accumulate is {part.accumulate}; at least 1 is legal"),
            (0 <= part.weight_decay < math.inf, f"{name}.weight_decay is {part.weight_decay}; 0 or more is legal"),
            (0 <= part.warmup < 1, f"{name}.warmup is {part.warmup}; a share from 0 to below 1 is legal"),
            (part.clip is None or part.clip > 0, f"{name}.clip is {part.clip}; above 0, or none, is legal"),
            _strategy_rule(name, part.strategy),
        ]
    found = [problem for holds, problem in rules if not holds]
    return found + _choice_problems(settings)


def _strategy_rule(name: str, text: str) -> tuple[bool, str]:
    """Only members may keep adapters: plain transformers, which the classifier is for, knows none."""
    forms, why = (FORMS, "") if name == "member" else (PLAIN_FORMS, ", so that plain transformers opens the classifier")
    holds = is_legal(text) and (name == "member" or strategy(text).kind != "adapters")
    return holds, f"{name}.strategy is {text!r}; {legal_forms(text, forms, why=why)}"


def _choice_problems(settings: Any, prefix: str = "") -> list[str]:
    found = []
    for name, hint in get_type_hints(type(settings)).items():
        value = getattr(settings, name)
        if is_dataclass(value):
            found += _choice_problems(value, f"{name}.")
        elif get_origin(hint) is Literal and value not in get_args(hint):
            found.append(f"{prefix}{name} is {value!r}; {legal_are(value, get_args(hint))}")
    return found


PAPER: Final = Settings(joining="parts")
"""Schick & Schütze 2021a, section 4 and appendix: (1 labelled + 3 unlabelled) x 4 accumulated, 1000 steps, rate 1e-5;
classifier: batches of 16, 5000 steps. For models of 200 to 400 million parameters."""

SUPERGLUE: Final = Settings(
    joining="parts",
    member=MemberSettings(steps=250, batch=16, accumulate=1, unlabeled_batch=0, mlm_weight=0.0),
)
"""Schick & Schütze 2021b, section 4: 16 labelled, 250 steps, no MLM loss."""

LARGE: Final = Settings()
"""The paper's numbers with clozes tokenised as whole strings: the default for checkpoints of 50 million parameters and more."""

SMALL: Final = Settings(
    repetitions=1,
    member=MemberSettings(steps=150, learning_rate=5e-4, batch=8, accumulate=1, unlabeled_batch=16, mlm_weight=0.05, warmup=0.1),
    classifier=ClassifierSettings(steps=400, learning_rate=5e-4, batch=32, warmup=0.1),
    supervised=ClassifierSettings(steps=150, learning_rate=5e-4, batch=16, warmup=0.1),
    ipet=IpetSettings(generations=1),
    adapt_learning_rate=5e-4,
)
"""For models of a few million parameters, which want larger rates. From one early trial on the demo's kind of text, not from a
search; docs/results.md has what changing one of them does there."""

PRESETS: Final[Mapping[str, Settings]] = {"paper": PAPER, "superglue": SUPERGLUE, "large": LARGE, "small": SMALL}


_REPEATED: Final = max(part.batch for each in PRESETS.values() for part in (each.member, each.classifier, each.supervised))
"""Batches up to this size, the largest of the presets, may hold any row as often as need be."""

_TIMES: Final = 8
"""Larger ones may hold each row so many times."""


def preset(name: str) -> Settings:
    """A preset by name. Raises SettingsError on an unknown one."""
    if name not in PRESETS:
        raise SettingsError(f"--preset {name!r} is unknown; {legal_are(name, ['auto', *PRESETS])}")
    return PRESETS[name]


def preset_for(parameters: int) -> str:
    """The preset that `auto` takes for a model of so many parameters."""
    return "large" if parameters >= 50_000_000 else "small"


def batch_problems(settings: Settings, *, labeled: int, unlabeled: int) -> list[str]:
    """What is wrong with the batches of a run over so many rows.

    A batch may be 8 times the rows there are, or 32 where that is more: batches hold rows more than once if they must
    (``petkit.sampling``), but beyond this they cost memory and time for nothing. With ``ipet`` members of later generations learn from
    unlabelled rows too, so those count for ``member.batch``.

    >>> batch_problems(apply_changes(Settings(), {"classifier.batch": 100000}), labeled=8, unlabeled=60)
    ['classifier.batch is 100000, and there are 60 unlabelled rows; at most 480 (each of them 8 times) is legal']
    >>> batch_problems(apply_changes(Settings(), {"member.batch": 64}), labeled=50, unlabeled=60)
    []
    """
    method, member = settings.method, settings.member
    members = labeled > 0 and method in ("pet", "ipet", "single")
    supervised = method == "supervised" or (settings.baselines and labeled > 0 and method != "tfidf")
    learned = (labeled + unlabeled, "labelled and unlabelled") if method == "ipet" else (labeled, "labelled")
    used = [
        ("member.batch", member.batch, *learned, members),
        ("member.unlabeled_batch", member.unlabeled_batch, unlabeled, "unlabelled", members and member.mlm_weight > 0),
        ("classifier.batch", settings.classifier.batch, unlabeled, "unlabelled", method not in ("supervised", "tfidf")),
        ("supervised.batch", settings.supervised.batch, labeled, "labelled", supervised),
    ]
    return [
        f"{name} is {batch}, and there are {rows} {kind} rows; at most {_most(rows)} is legal"
        for name, batch, rows, kind, counts in used
        if counts and batch > max(_TIMES * rows, _REPEATED)
    ]


def _most(rows: int) -> str:
    """The largest legal batch, and where it comes from."""
    times = _TIMES * rows
    return f"{times} (each of them {_TIMES} times)" if times > _REPEATED else str(_REPEATED)


def read_toml(path: str) -> dict[str, Any]:
    """Settings from a TOML file: the names of ``Settings``, tables for its parts. Raises SettingsError."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"--config {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"--config {path}: {error}") from error


def apply_changes(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """Settings with some values changed. Names may be dotted (``member.steps``); values may be strings as typed.

    Raises SettingsError that names every unknown name, every value of the wrong type and every broken rule at once.

    >>> apply_changes(Settings(), {"member.steps": "20", "temperature": 1}).member.steps
    20
    """
    problems: list[str] = []
    flat = _flatten(changes)
    updates = _updates(settings, flat, "", problems)
    unknown = [name for name in flat if name not in _names(settings)]
    if unknown:
        problems.append(f"no such setting: {', '.join(unknown)}; {legal_are(unknown, _names(settings))}")
    raise_problems(SettingsError, "settings", problems + _problems(SimpleNamespace(**updates)))
    return replace(settings, **updates)


def _flatten(changes: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in changes.items():
        flat |= _flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def _names(values: Any, prefix: str = "") -> list[str]:
    names: list[str] = []
    for item in fields(values):
        value = getattr(values, item.name)
        names += _names(value, f"{prefix}{item.name}.") if is_dataclass(value) else [f"{prefix}{item.name}"]
    return names


def _updates(values: Any, flat: Mapping[str, Any], prefix: str, problems: list[str]) -> dict[str, Any]:
    """Every field of ``values`` with its new value, or its old one where ``flat`` has none or a wrong one."""
    updates: dict[str, Any] = {}
    for name, hint in get_type_hints(type(values)).items():
        key, value = f"{prefix}{name}", getattr(values, name)
        updates[name] = value
        if is_dataclass(value):
            updates[name] = replace(value, **_updates(value, flat, f"{key}.", problems))  # type: ignore[type-var]
        elif key in flat:
            try:
                updates[name] = _parsed(flat[key], hint)
            except ValueError as error:
                problems.append(f"{key} is {flat[key]!r}; {error}")
    return updates


def _parsed(value: Any, hint: Any) -> Any:
    """A value as its type hint wants it: int, float, bool, str, Literal, tuple of int, or None."""
    if get_origin(hint) in (Union, types.UnionType):
        if value is None or (isinstance(value, str) and value.lower() == "none"):
            return None
        hint = next(kind for kind in get_args(hint) if kind is not type(None))
    if get_origin(hint) is tuple:
        parts: Any = [p for p in value.split(",") if p.strip()] if isinstance(value, str) else value
        parts = parts if isinstance(parts, Sequence) else [parts]
        return tuple(_number(part, int) for part in parts)
    if hint is bool:
        return _boolean(value)
    if hint in (int, float):
        return _number(value, hint)
    return str(value)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if str(value).lower() not in words:
        raise ValueError("true or false is legal")
    return words[str(value).lower()]


def _number(value: Any, kind: type[int] | type[float]) -> int | float:
    wanted = "a whole number" if kind is int else "a number"
    if isinstance(value, bool):
        raise ValueError(f"{wanted} is legal")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{wanted} is legal") from None
    if not math.isfinite(number) or (kind is int and number != int(number)):
        raise ValueError(f"{wanted} is legal")
    return kind(number)


def from_dict(values: Mapping[str, Any]) -> Settings:
    """Settings from ``as_dict``, also after a trip through JSON."""
    return apply_changes(Settings(), values)
