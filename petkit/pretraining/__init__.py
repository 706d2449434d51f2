"""Pretraining on raw text: from scratch, or adapting a checkpoint to a domain."""

from petkit.pretraining.architectures import ARCHITECTURES, new_model, open_model
from petkit.pretraining.learners import learner_for
from petkit.pretraining.run import measured, pretrain, run_pretraining
from petkit.pretraining.settings import SIZES, PretrainSettings
from petkit.pretraining.starting import repeat_positions
from petkit.pretraining.texts import InMemory, Sources

__all__ = [
    "ARCHITECTURES",
    "SIZES",
    "InMemory",
    "PretrainSettings",
    "Sources",
    "learner_for",
    "measured",
    "new_model",
    "open_model",
    "pretrain",
    "repeat_positions",
    "run_pretraining",
]
