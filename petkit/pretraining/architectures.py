"""The architectures that can be pretrained: how a new one is made, how a checkpoint is opened, which objectives each can learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal

import torch
import transformers

from petkit.backbones import FAMILIES, MaskedLM, load_masked_lm
from petkit.backbones.dropout import set_dropout
from petkit.backbones.modelfiles import check_folder, check_model_type, open_pretrained, refuse_adapters, resolve
from petkit.choices import legal_are
from petkit.errors import ModelError, SettingsError, raise_problems
from petkit.objectives import (
    PRESETS,
    Denoising,
    Distillation,
    MaskedLanguageModeling,
    NextToken,
    PairPrediction,
    Permutation,
    ReplacedTokenDetection,
    SpanCorruption,
    Vocabulary,
)
from petkit.pretraining import shapes
from petkit.pretraining.electra import new_electra, open_electra
from petkit.pretraining.shapes import Shape
from petkit.pretraining.students import open_teacher, start_from, student_layers
from petkit.training import seeded

__all__ = ["ARCHITECTURES", "Architecture", "Kind", "check_learnable", "kind_of", "longest_row", "new_model", "open_model"]

Kind = Literal["masked", "pairs", "replaced", "distilled", "text-to-text", "causal", "permutation"]
"""What an objective asks of a model."""

_KINDS: Final[Mapping[type, Kind]] = {
    MaskedLanguageModeling: "masked",
    PairPrediction: "pairs",
    ReplacedTokenDetection: "replaced",
    Distillation: "distilled",
    SpanCorruption: "text-to-text",
    Denoising: "text-to-text",
    NextToken: "causal",
    Permutation: "permutation",
}


@dataclass(frozen=True)
class Architecture:
    """A row of the table.

    Attributes:
        name: as ``config.model_type``. tokenizer: the kind that a new one gets. kinds: of objectives that it can learn.
        model: its class in transformers. config: shape -> what the config says. feed_forward: times hidden, the usual intermediate size.
        pairs: the class that learns pairs of texts.
    """

    name: str
    tokenizer: Literal["wordpiece", "bytelevel", "unigram"]
    kinds: tuple[Kind, ...]
    model: str
    config: Callable[[Shape], dict[str, Any]]
    feed_forward: float = 4.0
    pairs: str | None = None


_ROWS = (
    Architecture("bert", "wordpiece", ("masked", "pairs"), "BertForMaskedLM", shapes.bert, pairs="BertForPreTraining"),
    Architecture("roberta", "bytelevel", ("masked",), "RobertaForMaskedLM", shapes.roberta),
    Architecture("albert", "unigram", ("masked", "pairs"), "AlbertForMaskedLM", shapes.albert, pairs="AlbertForPreTraining"),
    Architecture("distilbert", "wordpiece", ("masked", "distilled"), "DistilBertForMaskedLM", shapes.distilbert),
    Architecture("deberta-v2", "unigram", ("masked",), "DebertaV2ForMaskedLM", shapes.deberta),
    Architecture("electra", "wordpiece", ("masked", "replaced"), "ElectraForMaskedLM", shapes.electra),
    Architecture("modernbert", "bytelevel", ("masked",), "ModernBertForMaskedLM", shapes.modernbert, feed_forward=1.5),
    Architecture("t5", "unigram", ("text-to-text",), "T5ForConditionalGeneration", shapes.t5),
    Architecture("bart", "bytelevel", ("text-to-text",), "BartForConditionalGeneration", shapes.bart),
    Architecture("gpt2", "bytelevel", ("causal",), "GPT2LMHeadModel", shapes.gpt2),
    Architecture("xlnet", "unigram", ("permutation",), "XLNetLMHeadModel", shapes.xlnet),
)
ARCHITECTURES: Final[Mapping[str, Architecture]] = MappingProxyType({row.name: row for row in _ROWS})
"""All architectures by name. ModernBERT's gated feed-forward is 1.5 times as wide as the model, as published; all others 4 times."""

_ALIKE: Final[Mapping[str, str]] = {"xlm-roberta": "roberta", "camembert": "roberta"}
"""Model types that can be opened and learn as another does."""


def kind_of(objective: Any) -> Kind:
    """What an objective asks of a model. Raises SettingsError for a registered row of a class that no learner knows."""
    for row, kind in _KINDS.items():
        if isinstance(objective, row):
            return kind
    known = ", ".join(row.__name__ for row in _KINDS)
    raise SettingsError(f"--objective {objective.name} is a {type(objective).__name__}, which no learner knows; legal are {known}")


def architecture(name: str) -> Architecture:
    """A row by name or model type. Raises SettingsError."""
    if (found := ARCHITECTURES.get(_ALIKE.get(name, name))) is None:
        raise SettingsError(f"--arch {name!r} is unknown; {legal_are(name, ARCHITECTURES)}")
    return found


def check_learnable(name: str, objectives: Sequence[Any]) -> Architecture:
    """The architecture, if it can learn all these objectives. Raises SettingsError with those that it can, and who can learn the others."""
    row = architecture(name)
    problems = []
    for objective in objectives:
        if (kind := kind_of(objective)) not in row.kinds:
            able = [other.name for other in _ROWS if kind in other.kinds]
            problems.append(f"--objective {objective.name} is for --arch {' or '.join(able)}")
    if problems:
        legal = [each.name for each in PRESETS.values() if _KINDS.get(type(each)) in row.kinds]
        problems[-1] += f"; legal for {row.name} are {', '.join(legal)}"
    raise_problems(SettingsError, f"--arch {row.name}", problems)
    return row


def new_model(
    arch: str,
    tokenizer: Any,
    *,
    layers: int,
    hidden: int,
    intermediate: int | None = None,
    heads: int | None = None,
    max_positions: int,
    dropout: float,
    seed: int,
    objectives: Sequence[Any],
    teacher: str | None = None,
) -> Any:
    """A model with random weights from ``seed`` that can learn ``objectives``, in training mode.

    Args:
        arch: a name out of ``ARCHITECTURES``. layers: of encoder and decoder each, where there are two. hidden: H.
        intermediate: width of the feed-forward; None for 4 H (ModernBERT 1.5 H). heads: None for H / 64, 1 at least.
        max_positions: the most tokens of a row, where the architecture has a limit.
        dropout: rate of all layers while it is trained. Its config says the architecture's usual rate, for those who fine-tune it.
        objectives: rows of petkit.objectives. teacher: a BERT checkpoint that a DistilBERT starts from (``student_layers`` says
            from which layers); heads, intermediate and vocabulary are then the teacher's.

    Returns:
        ``MaskedLM`` for encoders (a ``*ForPreTraining`` inside where pairs are learned), ``Electra`` for replaced-token detection,
        else the transformers model itself.

    Raises:
        SettingsError: an objective that the architecture cannot learn, or numbers that do not fit.
    """
    row, words = check_learnable(arch, objectives), Vocabulary.of(tokenizer)
    guide = open_teacher(teacher) if teacher is not None and row.name == "distilbert" else None
    heads, intermediate = _sizes(row, hidden, heads, intermediate, guide)
    size = len(tokenizer) if guide is None else guide.vocab_size
    shape = Shape(size, words, layers, hidden, heads, intermediate, max_positions)
    config: Any = transformers.AutoConfig.for_model(row.name, **row.config(shape))
    kinds = {kind_of(objective): objective for objective in reversed(objectives)}
    with seeded(seed, "pretrain", "weights"):
        if "replaced" in kinds:
            return new_electra(config, width=kinds["replaced"].generator_width, dropout=dropout).train()
        if "text-to-text" in kinds:  # T5's objectives start the decoder with the padding token, BART's with the end token
            config.decoder_start_token_id = words.eos_id if isinstance(kinds["text-to-text"], Denoising) else words.pad_id
        model = _built(row.pairs if "pairs" in kinds and row.pairs else row.model, config, dropout)
    if guide is not None:
        _start(model, guide, kinds.get("distilled", PRESETS["distilbert"]), len(tokenizer))
    return _wrapped(model).train()


def _sizes(row: Architecture, hidden: int, heads: int | None, intermediate: int | None, guide: MaskedLM | None) -> tuple[int, int]:
    if guide is not None:
        config = guide.model.config
        for name, given, theirs in (
            ("hidden", hidden, config.hidden_size),
            ("heads", heads, config.num_attention_heads),
            ("intermediate", intermediate, config.intermediate_size),
        ):
            if given not in (None, theirs):
                raise SettingsError(f"{name} is {given}; a student that starts from this teacher needs {theirs}")
        return int(config.num_attention_heads), int(config.intermediate_size)
    heads = max(1, hidden // 64) if heads is None else heads
    if heads < 1 or hidden % heads:
        raise SettingsError(f"heads is {heads}; a number that divides hidden {hidden} is legal")
    return heads, round(row.feed_forward * hidden) if intermediate is None else intermediate


def _built(name: str, config: Any, dropout: float | None) -> Any:
    usual = set_dropout(config, dropout)
    model = getattr(transformers, name)(config)
    model.config.update(usual)
    return model


def _start(model: Any, teacher: MaskedLM, objective: Distillation, tokens: int) -> None:
    theirs, config = teacher.model.config, model.config
    if tokens > teacher.vocab_size or config.max_position_embeddings > theirs.max_position_embeddings:
        raise SettingsError(
            f"the teacher has {teacher.vocab_size} words and {theirs.max_position_embeddings} positions; the student is to have "
            f"{tokens} and {config.max_position_embeddings}"
        )
    config.activation = theirs.hidden_act
    start_from(model, teacher, student_layers(objective, teacher=theirs.num_hidden_layers, student=config.n_layers))


def _wrapped(model: Any, missing: Sequence[str] = ()) -> Any:
    return MaskedLM(model, missing=missing) if model.config.model_type in FAMILIES else model


def open_model(path: str, objectives: Sequence[Any], *, dropout: float | None = None, trust_remote_code: bool = False) -> Any:
    """A checkpoint to be trained further on ``objectives``: what ``new_model`` returns, in float32 and evaluation mode.

    Args:
        path: a folder, a hub name, or ``builtin``; safetensors only. dropout: as in ``new_model``; None for the checkpoint's own.

    Raises:
        ModelError: it cannot be opened. SettingsError: an objective that it cannot learn.
    """
    local = resolve(path)
    check_folder(local)
    legal = [*ARCHITECTURES, *_ALIKE]
    check_model_type(local, legal)
    config = open_pretrained(transformers.AutoConfig, local, trust_remote_code=trust_remote_code)
    if config.model_type not in legal:
        raise ModelError(f"model {path!r} has the model type {config.model_type!r}; legal are {', '.join(legal)}")
    refuse_adapters(path, config, "a model that is pretrained further")
    row = check_learnable(config.model_type, objectives)
    kinds = {kind_of(objective) for objective in objectives}
    if "replaced" in kinds:
        return open_electra(local, dropout=dropout)
    if "masked" in row.kinds and "pairs" not in kinds:
        return load_masked_lm(path, trust_remote_code=trust_remote_code, dropout=dropout)
    lacking = ("cls.", "predictions.", "sop_classifier.") if "pairs" in kinds else ()
    return _wrapped(*_opened(local, row.pairs if "pairs" in kinds and row.pairs else row.model, config, dropout, lacking))


def _opened(path: str, name: str, config: Any, dropout: float | None, lacking: tuple[str, ...]) -> tuple[Any, list[str]]:
    """A model of this class, and what it lacks and is drawn (seed 0): only a pooler, and names that begin with ``lacking``."""
    usual = set_dropout(config, dropout)
    options = {"config": config, "dtype": torch.float32, "use_safetensors": True, "output_loading_info": True}
    model, found = open_pretrained(getattr(transformers, name), path, **options)
    lost = [key for key in found["missing_keys"] if not key.startswith(lacking) and ".pooler." not in key]
    if lost:
        raise ModelError(f"model {path!r} lacks {len(lost)} of its weights ({', '.join(sorted(lost)[:3])}, ...)")
    model.config.update(usual)
    return model, list(found["missing_keys"])


def longest_row(model: Any) -> int | None:
    """The most tokens that a row may have, special tokens counted; None where nothing limits it (T5, XLNet)."""
    if (found := getattr(model, "max_length", None)) is not None:
        return int(found)
    limit = getattr(model.config, "n_positions" if model.config.model_type == "gpt2" else "max_position_embeddings", None)
    return None if limit is None or model.config.model_type in ("t5", "xlnet") else int(limit)
