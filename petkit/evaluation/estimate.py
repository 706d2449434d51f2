"""How long a study will take: tokens counted beforehand, at a speed measured on a few texts."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from petkit.backbones import load_classifier, load_tokenizer, longest_input
from petkit.classifier import predict_logits, train_classifier
from petkit.compute import computing
from petkit.encoding.shared import units_encoder
from petkit.evaluation.grid import TaskPlan
from petkit.losses import label_loss
from petkit.members import loop_settings
from petkit.pvp import Task
from petkit.rows import Rows
from petkit.settings import Settings, from_dict
from petkit.training import TrainSettings
from petkit.units import Unit

__all__ = ["Speed", "measure_speed", "seconds_of", "text_tokens"]

_PATTERN_TOKENS, _ADAPT_ROWS, _ADAPT_LENGTH = 8, 32, 128
_LEAST = 0.05
"""Seconds that a unit takes which computes next to nothing."""

_BESIDE = {
    "tfidf_unit": 2.0,
    "linear_probe_unit": 2.0,
    "zero_shot_unit": 1.0,
    "distill_unit": 0.5,
    "supervised_unit": 0.5,
    "setfit_unit": 5.0,
}
"""Seconds beside tokens: cross-validation, latency. Seen on one slow core."""


@dataclass(frozen=True)
class Speed:
    """Seconds: per token trained on, per token labelled, and to open the checkpoint."""

    train: float
    forward: float
    opening: float


def text_tokens(model: str, task: Task, rows: Rows, settings: Settings, *, trust_remote_code: bool = False) -> float:
    """Mean tokens of a text, cut to what the settings allow, over at most 200 rows."""
    some = rows.select(range(min(200, len(rows))))
    tokenizer = load_tokenizer(model, trust_remote_code=trust_remote_code)
    encoder = units_encoder(tokenizer, max_length=settings.max_length, joining=settings.joining)
    return float(encoder.plain(some, task).lengths.mean()) if len(some) else 1.0


def measure_speed(model: str, task: Task, rows: Rows, settings: Settings, *, device: str, trust_remote_code: bool = False) -> Speed:
    """Train three updates of a classifier and label up to 64 rows, timed without the first pass of each."""
    with computing(settings):
        found = _measured(model, task, rows, settings, device, trust_remote_code)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # the GPU is the workers'
    return found


def _measured(model: str, task: Task, rows: Rows, settings: Settings, device: str, trust_remote_code: bool) -> Speed:
    started = time.monotonic()
    network = load_classifier(model, task.labels, trust_remote_code=trust_remote_code).to(device)
    opening = time.monotonic() - started
    length, tokenizer = min(settings.max_length, longest_input(network.config)), load_tokenizer(model, trust_remote_code=trust_remote_code)
    encoder = units_encoder(tokenizer, max_length=length, joining=settings.joining)
    encoded = encoder.plain(rows.select(range(min(64, len(rows)))), task)
    options: dict[str, Any] = {"pad_id": encoder.pad_id, "token_budget": settings.token_budget, "precision": settings.precision}
    predict_logits(network, encoded.select([0]), **options)
    forward = _timed(lambda: predict_logits(network, encoded, **options)) / int(encoded.lengths.sum())
    loop, batch = loop_settings(settings.classifier, settings.precision), min(16, len(encoded))
    targets = np.zeros(len(encoded), dtype=np.int64)

    def steps(count: int) -> None:
        how = TrainSettings(steps=count, learning_rate=loop.learning_rate, precision=loop.precision)
        train_classifier(network, encoded, targets, label_loss, how, batch=batch, pad_id=encoder.pad_id, seed=0)

    steps(1)
    train = _timed(lambda: steps(2)) / (2 * batch * float(encoded.lengths.mean()))
    return Speed(train, forward, opening)


def _timed(work: Any) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def seconds_of(unit: Unit, plans: Sequence[TaskPlan], speed: Speed) -> float:
    """A guess at a unit's seconds: its tokens at the speed measured."""
    plan = next((plan for plan in plans if unit.name.startswith(plan.tag + ".")), None)
    if plan is None or "settings" not in unit.spec:
        return _LEAST
    stage = (unit.spec["inner"]["function"] or unit.function).rpartition(":")[2]
    trained, labelled = _tokens(unit.spec, stage, plan, from_dict(unit.spec["settings"]))
    opens = speed.opening if trained or labelled else 0.0
    return _LEAST + _BESIDE.get(stage, 0.0) + opens + trained * speed.train + labelled * speed.forward


def _tokens(spec: Mapping[str, Any], stage: str, plan: TaskPlan, settings: Settings) -> tuple[float, float]:
    """Tokens trained on, and labelled."""
    length, rows = plan.text_tokens, plan.pool + plan.test
    cloze = length + _PATTERN_TOKENS
    match stage:
        case "member_unit":
            member = settings.member
            others = member.unlabeled_batch if member.mlm_weight > 0 else 0
            return member.steps * member.accumulate * (member.batch + others) * cloze, rows * cloze
        case "distill_unit":
            own = settings.classifier
            return own.steps * own.accumulate * own.batch * length, rows * length
        case "supervised_unit":
            own = settings.supervised
            return own.steps * own.accumulate * own.batch * length * (1 + spec["folds"]), plan.test * length
        case "adapt_unit":
            return settings.adapt_steps * _ADAPT_ROWS * min(_ADAPT_LENGTH, settings.max_length), 0.0
        case "untrained_unit":
            return 0.0, plan.test * cloze
        case "embeddings_unit":
            return 0.0, rows * length
        case "setfit_unit":
            return 80 * plan.splits[0].rows * length, plan.test * length
    return 0.0, 0.0
