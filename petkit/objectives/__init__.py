"""Pretraining objectives: pure functions on arrays of token ids, composed into a table of presets.

    select   TokenRows, rng -> bool (B, T)             which positions carry a loss
    corrupt  ids, selection, rng -> inputs, targets    what the model sees there
    preset   name -> a selector, a corrupter and their numbers, with the source

Three users share it: the auxiliary loss of PET members, adapting a checkpoint to raw text, and pretraining.
"""

from petkit.objectives.corrupt import IGNORED, replace_bert
from petkit.objectives.presets import PRESETS, MaskedBatch, MaskedLanguageModeling, objective
from petkit.objectives.select import TokenRows, select_exact, select_independent, select_whole_words
from petkit.objectives.streams import seed_for, stream
from petkit.objectives.vocabulary import Vocabulary

__all__ = [
    "IGNORED",
    "PRESETS",
    "MaskedBatch",
    "MaskedLanguageModeling",
    "TokenRows",
    "Vocabulary",
    "objective",
    "replace_bert",
    "seed_for",
    "select_exact",
    "select_independent",
    "select_whole_words",
    "stream",
]
