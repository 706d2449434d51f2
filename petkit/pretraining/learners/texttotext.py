"""Text to text: an encoder reads one text, a decoder says the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import numpy as np
from torch import Tensor

from petkit.objectives import IGNORED, TextToTextBatch
from petkit.pretraining.learners.base import Asked, Learner
from petkit.tensors import on

__all__ = ["TextToTextLearner"]


def _t5_states(model: Any, inputs: dict[str, Any], decoder_inputs: Tensor) -> Tensor:
    encoded = model.encoder(**inputs).last_hidden_state
    asked = {"encoder_hidden_states": encoded, "encoder_attention_mask": inputs["attention_mask"], "use_cache": False}
    states: Tensor = model.decoder(input_ids=decoder_inputs, **asked).last_hidden_state
    return states


def _t5_logits(model: Any, states: Tensor) -> Tensor:
    """Embeddings that are the head too are of another scale than a head of its own."""
    logits: Tensor = model.lm_head(states * model.model_dim**-0.5 if model.config.scale_decoder_outputs else states)
    return logits


def _bart_states(model: Any, inputs: dict[str, Any], decoder_inputs: Tensor) -> Tensor:
    states: Tensor = model.model(**inputs, decoder_input_ids=decoder_inputs, use_cache=False).last_hidden_state
    return states


def _bart_logits(model: Any, states: Tensor) -> Tensor:
    logits: Tensor = model.lm_head(states) + model.final_logits_bias
    return logits


_PARTS: Final[Mapping[str, tuple[Callable[..., Tensor], Callable[[Any, Tensor], Tensor]]]] = {
    "t5": (_t5_states, _t5_logits),
    "bart": (_bart_states, _bart_logits),
}
"""config.model_type -> the decoder's last states (B, U, H), and states (N, H) -> logits (N, V)."""


class TextToTextLearner(Learner):
    """Part ``denoising``: mean cross-entropy of the target's tokens, as the models have it with ``labels=``.

    The decoder's inputs come with the batch. The head sees places whose token counts, in pieces.
    """

    def counts(self, batch: TextToTextBatch) -> dict[str, float]:
        """Tokens of the targets, ends included."""
        return {"denoising": float((batch.labels != IGNORED).sum())}

    def asked(self, batch: TextToTextBatch) -> dict[str, Asked]:
        """The tokens of the targets."""
        states_of, logits_of = _PARTS[self.model.config.model_type]
        mask = None if batch.valid.all() else on(batch.valid.astype(np.int64), self.device)
        inputs = {"input_ids": on(batch.inputs, self.device), "attention_mask": mask}
        states = states_of(self.model, inputs, on(batch.decoder_inputs, self.device))
        places = np.flatnonzero(batch.labels != IGNORED)
        hidden = states.flatten(0, 1).index_select(0, on(places, self.device))
        targets = on(batch.labels.reshape(-1)[places], self.device)
        return {"denoising": Asked(hidden, targets, partial(logits_of, self.model), self.model.lm_head.weight.shape[0])}
