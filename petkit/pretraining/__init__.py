"""Pretraining on raw text: from scratch, or adapting a checkpoint to a domain."""

from petkit.pretraining.run import masked_lm_loss, new_bert, pretrain, repeat_positions, run_pretraining
from petkit.pretraining.settings import SIZES, PretrainSettings

__all__ = ["SIZES", "PretrainSettings", "masked_lm_loss", "new_bert", "pretrain", "repeat_positions", "run_pretraining"]
