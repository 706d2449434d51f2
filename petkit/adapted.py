"""Models with adapters as transformers' Auto classes open and save them: ``import petkit.adapted`` is all that a program needs.

A model saved with its adapters has the model type "petkit.adapted" in its config, beside its real one: transformers alone refuses it,
rather than open it without them and answer differently. Inside, its config is that of its family in every other respect.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import transformers
from transformers import AutoConfig, PreTrainedConfig

from petkit.errors import SettingsError
from petkit.strategies.adapters import add_adapters

__all__ = ["ADAPTERS_KEY", "MODEL_TYPE", "AdaptedConfig", "check_width", "family_type", "has_adapters", "insert_adapters"]

MODEL_TYPE: Final = "petkit.adapted"
"""``model_type`` of a saved config."""
ADAPTERS_KEY: Final = "petkit_adapters"
"""Entry of a config: the width of the adapters."""
_FAMILY_KEY: Final = "petkit_adapted_type"
"""Entry of a saved config: the model type without adapters."""

_AUTO: Final = tuple(
    getattr(transformers, f"AutoModel{purpose}")
    for purpose in (
        "",
        "ForCausalLM",
        "ForMaskedLM",
        "ForPreTraining",
        "ForQuestionAnswering",
        "ForSeq2SeqLM",
        "ForSequenceClassification",
        "ForTokenClassification",
    )
)


class AdaptedConfig(PreTrainedConfig):
    """Stands for "petkit.adapted" among the configs that ``AutoConfig`` knows; what it opens is a config of the family's own class."""

    model_type = MODEL_TYPE

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **options: Any) -> Any:
        """The family's config from what was saved. Raises ValueError, as AutoConfig does, for a family that transformers does not know."""
        kind = family_type(config_dict)
        values = {name: value for name, value in config_dict.items() if name != _FAMILY_KEY}
        return _config_class(kind).from_dict({**values, "model_type": kind}, **options)


AutoConfig.register(MODEL_TYPE, AdaptedConfig, exist_ok=True)


def family_type(config: dict[str, Any]) -> Any:
    """The model type of a config.json without regard to adapters.

    >>> family_type({"model_type": "bert"}), family_type({"model_type": "petkit.adapted", "petkit_adapted_type": "bert"})
    ('bert', 'bert')
    """
    found = config.get("model_type")
    return config.get(_FAMILY_KEY) if found == MODEL_TYPE else found


def has_adapters(config: Any) -> bool:
    """Whether a transformers config is that of a model with adapters."""
    return getattr(config, ADAPTERS_KEY, None) is not None


def check_width(config: Any, width: int) -> None:
    """Raise SettingsError if a transformers config is that of a model with adapters of another width."""
    if has_adapters(config) and (there := getattr(config, ADAPTERS_KEY)) != width:
        raise SettingsError(f"the model has adapters of width {there} already; strategy adapters:{there} trains them on")


def insert_adapters(model: Any, width: int) -> None:
    """Put adapters into a transformers model, in place, drawn from torch's generator; from then on it is saved with them.

    A model that has them already keeps them. Raises SettingsError if those have another width, ModelError for an unknown family.
    """
    check_width(model.config, width)
    if has_adapters(model.config):
        return
    add_adapters(model, width)
    setattr(model.config, ADAPTERS_KEY, width)
    model.config.__class__ = _config_class(model.config.model_type)


@cache
def _config_class(kind: str) -> type[PreTrainedConfig]:
    """A family's config class that is written as that of a model with adapters; the Auto classes know it from then on."""
    base = type(AutoConfig.for_model(kind))

    def to_dict(self: PreTrainedConfig) -> dict[str, Any]:
        return {**base.to_dict(self), "model_type": MODEL_TYPE, _FAMILY_KEY: kind}

    made = _subclass(base, to_dict=to_dict)
    for auto in _AUTO:
        if base in auto._model_mapping:
            auto.register(made, _model_class(auto._model_mapping[base], made), exist_ok=True)
    return made


def _model_class(base: type[Any], config_class: type[PreTrainedConfig]) -> type[Any]:
    """A family's model class that is made with the adapters of its config, so that ``from_pretrained`` finds their weights a place."""

    def __init__(self: Any, config: Any, *args: Any, **options: Any) -> None:
        base.__init__(self, config, *args, **options)
        add_adapters(self, getattr(config, ADAPTERS_KEY))

    return _subclass(base, __init__=__init__, config_class=config_class)


def _subclass(base: type[Any], **members: Any) -> type[Any]:
    """Called as its base is, since pipelines go by names and saved configs hold them."""
    return type(base.__name__, (base,), {**members, "__module__": __name__, "__doc__": base.__doc__})
