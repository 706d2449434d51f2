"""What is looked at before a run's folder is made, so that a mistake leaves nothing behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from transformers import AutoConfig

from petkit.adapted import check_width
from petkit.backbones import FAMILIES, load_tokenizer
from petkit.backbones.headcheck import unknown_share
from petkit.backbones.modelfiles import check_folder, check_model_type, open_pretrained, refuse_adapters, refuse_model_type, resolve
from petkit.checking import stretches
from petkit.encoding.shared import units_encoder
from petkit.errors import ModelError, SettingsError
from petkit.pvp import Task
from petkit.rows import Rows
from petkit.scoring import plan
from petkit.settings import Settings
from petkit.strategies import strategy
from petkit.strategies.anatomy import depth
from petkit.strategies.lora import check_peft
from petkit.unknowns import REMEDY

__all__ = ["check_checkpoint", "check_known", "check_patterns", "check_strategies", "check_strategy", "check_words", "unknown_in"]

_LOOKED_AT: Final = 200
"""Rows of each part in which unknown tokens are counted; more only where nothing in these is known."""
_CALLED: Final = {"train": "labelled", "pool": "unlabelled"}


def check_checkpoint(model: str, *, trust_remote_code: bool) -> Any:
    """Raise ModelError for a checkpoint of the wrong kind, with pickle weights only, damaged, or with another model's tokenizer.

    Reads its configuration, its tokenizer, which is returned, and the heads of its weights.
    """
    path, legal = resolve(model), list(FAMILIES)
    check_folder(path)
    check_model_type(path, legal)
    config = open_pretrained(AutoConfig, path, trust_remote_code=trust_remote_code)
    refuse_model_type(path, config.model_type, legal)
    refuse_adapters(model, config, "an ordinary classifier")
    tokenizer = load_tokenizer(model, trust_remote_code=trust_remote_code)
    if (tokens := len(tokenizer)) > config.vocab_size:
        raise ModelError(
            f"model {model!r}: its tokenizer has {tokens} tokens and its weights {config.vocab_size}; they do not belong together"
        )
    return tokenizer


def check_patterns(task: Task, settings: Settings) -> None:
    """Raise SettingsError if the settings name a pattern that the task has not, or one twice."""
    bad = [p for p in settings.patterns if not 0 <= p < len(task.pvps)]
    if bad:
        raise SettingsError(f"patterns names {bad}; task {task.name!r} has the patterns 0 to {len(task.pvps) - 1}")
    if len(set(settings.patterns)) < len(settings.patterns):
        raise SettingsError(f"patterns names {list(settings.patterns)}; each pattern can be named once")


def check_strategies(settings: Settings, model: str, *, trust_remote_code: bool) -> None:
    """Raise SettingsError for a strategy that the checkpoint cannot follow (layers, width of adapters) or that lacks its package."""
    parts = ("member", "classifier", "supervised")
    check_strategy({f"{part}.strategy": getattr(settings, part).strategy for part in parts}, model, trust_remote_code=trust_remote_code)


def check_strategy(named: Mapping[str, str], model: str, *, trust_remote_code: bool = False) -> None:
    """The same for strategies by the name of their setting."""
    found = {name: strategy(text) for name, text in named.items()}
    if any(how.kind == "lora" for how in found.values()):
        check_peft()
    if any(how.kind in ("last", "adapters") for how in found.values()):
        config = open_pretrained(AutoConfig, resolve(model), trust_remote_code=trust_remote_code)
        for how in found.values():
            if how.kind == "adapters":
                check_width(config, int(how.number or 0))
        there = depth(config)
        bad = [f"{name} is {how}" for name, how in found.items() if how.kind == "last" and int(how.number or 0) > there]
        if bad:
            raise SettingsError(f"{', '.join(bad)}; model {model!r} has {there} layers, so last:0 to last:{there} are legal")


def check_known(task: Task, parts: Mapping[str, Rows], model: str, *, trust_remote_code: bool, tokenizer: Any = None) -> dict[str, float]:
    """By part, the share of tokens that the checkpoint's tokenizer does not know; parts without a token are left out.

    ``tokenizer`` is the checkpoint's, where it is open already.

    Raises ModelError if it knows no token of any part: a few odd rows beside others that it knows are no reason not to train.
    """
    tokenizer = tokenizer or load_tokenizer(model, trust_remote_code=trust_remote_code)
    found = {part: unknown_in(tokenizer, list(zip(*rows.fields.values(), strict=True))) for part, rows in parts.items()}
    shares = {part: share for part, share in found.items() if share is not None}
    if shares and min(shares.values()) == 1:
        what = f"the {' and the '.join(_CALLED.get(part, part) for part in shares)} rows of task {task.name!r}"
        raise ModelError(f"model {model!r}: its tokenizer knows no token of {what}; {REMEDY}")
    return shares


def unknown_in(tokenizer: Any, rows: Sequence[Sequence[str]]) -> float | None:
    """The share of tokens of the texts of up to 200 rows that the tokenizer does not know, None if they hold no token.

    Of all rows if these hold no known token, so that all is said of all only.
    """
    share = _share(tokenizer, [rows[i] for i in stretches(len(rows), _LOOKED_AT)])
    return _share(tokenizer, rows) if share in (None, 1) and len(rows) > _LOOKED_AT else share


def _share(tokenizer: Any, rows: Sequence[Sequence[str]]) -> float | None:
    return unknown_share(tokenizer, [text for texts in rows for text in texts])


def check_words(task: Task, settings: Settings, rows: Rows, model: str, *, trust_remote_code: bool, tokenizer: Any = None) -> None:
    """Raise TaskError for label words that the tokenizer does not know or cannot tell apart, and for patterns that fail on a row.

    ``tokenizer`` is the checkpoint's, where it is open already.
    """
    tokenizer = tokenizer or load_tokenizer(model, trust_remote_code=trust_remote_code)
    encoder = units_encoder(tokenizer, max_length=settings.max_length, joining=settings.joining)
    chosen = list(settings.patterns) or list(range(len(task.pvps)))
    for index in chosen[:1] if settings.method == "single" else chosen:
        plan(encoder, task.pvps[index], rows)
