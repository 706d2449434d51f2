"""Dropout while a model is trained, apart from what its config says to those who open it later."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["set_dropout"]

_RATES: Final = (
    "activation_dropout",
    "attention_dropout",
    "attention_probs_dropout_prob",
    "attn_pdrop",
    "classifier_dropout_prob",
    "dropout",
    "dropout_rate",
    "embd_pdrop",
    "embedding_dropout",
    "hidden_dropout_prob",
    "mlp_dropout",
    "resid_pdrop",
)
"""What transformers' configs call the rates inside a model. ALBERT's classifier_dropout_prob is that of its sentence-order head."""


def set_dropout(config: Any, rate: float | None) -> dict[str, Any]:
    """Set every rate of a transformers config; return what they were, for ``config.update`` once the model is built.

    Layers take their rates when they are made, so the config can say the usual ones afterwards. None changes nothing.
    """
    usual = {} if rate is None else {name: getattr(config, name) for name in _RATES if hasattr(config, name)}
    for name in usual:
        setattr(config, name, rate)
    return usual
