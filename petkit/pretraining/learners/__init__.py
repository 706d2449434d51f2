"""Models that learn: batches of petkit.objectives in, losses with named parts out.

    learner.counts(batch)            how many terms each part has: {"mlm": 1234, "nsp": 32}
    learner(batch, counts)           {"loss": ..., "mlm": ..., "nsp": ...}
    learner.score(batch)             held-out figures as (sum, count)
    learner.save(folder, half=...)   what plain transformers opens, and the parts beside it

Heads see only the positions that are asked: hidden states are gathered first, and logits exist for a piece of them at a time.
"""

from __future__ import annotations

from typing import Any

from petkit.backbones import MaskedLM
from petkit.errors import SettingsError
from petkit.objectives import Vocabulary
from petkit.pretraining.architectures import check_learnable, kind_of
from petkit.pretraining.electra import Electra
from petkit.pretraining.learners.base import Learner
from petkit.pretraining.learners.causal import CausalLearner
from petkit.pretraining.learners.distillation import DistillationLearner
from petkit.pretraining.learners.masked import MaskedLearner, masked_lm_loss
from petkit.pretraining.learners.pairs import PairLearner
from petkit.pretraining.learners.permutation import PermutationLearner
from petkit.pretraining.learners.replaced import ReplacedLearner
from petkit.pretraining.learners.texttotext import TextToTextLearner
from petkit.pretraining.students import open_teacher

__all__ = [
    "CausalLearner",
    "DistillationLearner",
    "Learner",
    "MaskedLearner",
    "PairLearner",
    "PermutationLearner",
    "ReplacedLearner",
    "TextToTextLearner",
    "learner_for",
    "masked_lm_loss",
]


def learner_for(
    objective: Any,
    model: Any,
    vocabulary: Vocabulary,
    *,
    teacher: str | MaskedLM | None = None,
    seed: int = 0,
    init: str | None = None,
) -> Learner:
    """The learner of an objective. Several may share a model.

    Args:
        model: from ``new_model`` or ``open_model``, made for this objective. teacher: a BERT checkpoint, for distillation.
        seed: of new heads. init: the folder that ``model`` was opened from, for parts that lie beside it.

    Raises:
        SettingsError: the model cannot learn the objective, or a teacher is missing.
    """
    kind = kind_of(objective)
    check_learnable((model.model if isinstance(model, MaskedLM) else model).config.model_type, [objective])
    if isinstance(model, Electra) and kind == "masked":
        model = model.generator
    if kind == "masked":
        return MaskedLearner(objective, model, vocabulary, seed=seed, init=init)
    if kind == "distilled":
        if teacher is None:
            raise SettingsError(f"--objective {objective.name} needs a --teacher: a BERT checkpoint with the same tokenizer")
        return DistillationLearner(objective, model, vocabulary, open_teacher(teacher) if isinstance(teacher, str) else teacher)
    if (kind == "replaced") != isinstance(model, Electra):
        raise SettingsError(
            f"--objective {objective.name} needs a generator and a discriminator; new_model makes both, open_model opens both"
        )
    others = {
        "pairs": PairLearner,
        "replaced": ReplacedLearner,
        "causal": CausalLearner,
        "text-to-text": TextToTextLearner,
        "permutation": PermutationLearner,
    }
    made: Learner = others[kind](objective, model, vocabulary)
    return made
