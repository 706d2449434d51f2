"""Fine-tuning beside PET, with the same loop: text classification, tags, answers, text to text."""

from petkit.finetuning.run import FinetuneResult, finetune
from petkit.finetuning.settings import KINDS, RECIPES, FinetuneSettings

__all__ = ["KINDS", "RECIPES", "FinetuneResult", "FinetuneSettings", "finetune"]
