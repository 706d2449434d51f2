"""Models with adapters as transformers' Auto classes open and save them: ``import petkit.adapted`` is all that a program needs.

A model saved with its adapters has the model type "petkit.adapted" in its config, beside its real one, and its weights in a file of
another name: transformers alone refuses it, rather than open it without them and answer differently. Opened, model and config are of
subclasses of their family's.
"""

from __future__ import annotations

from functools import cache
from inspect import isclass
from typing import Any, Final

import transformers
from transformers import AutoConfig, PreTrainedConfig
from transformers.models.auto import modeling_auto

from petkit.errors import SettingsError
from petkit.strategies.adapters import add_adapters

__all__ = ["ADAPTERS_KEY", "MODEL_TYPE", "VARIANT", "AdaptedConfig", "check_width", "family_type", "has_adapters", "insert_adapters"]

MODEL_TYPE: Final = "petkit.adapted"
"""``model_type`` of a saved config."""
ADAPTERS_KEY: Final = "petkit_adapters"
"""Entry of a config: the width of the adapters."""
VARIANT: Final = "adapters"
"""Variant of the saved weights, ``model.adapters.safetensors``: a class of one family, which asks no config, does not find them."""
_FAMILY_KEY: Final = "petkit_adapted_type"
"""Entry of a saved config: the model type without adapters."""
_PREFIX: Final = "Adapted"


class AdaptedConfig(PreTrainedConfig):
    """Stands for "petkit.adapted" among the configs that ``AutoConfig`` knows; what it opens is a config of the family's own class."""

    model_type = MODEL_TYPE

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **options: Any) -> Any:
        """The family's config from what was saved. Raises ValueError, as AutoConfig does, for a family that transformers does not know."""
        kind = family_type(config_dict)
        values = {name: value for name, value in config_dict.items() if name != _FAMILY_KEY}
        return _known_config_class(kind).from_dict({**values, "model_type": kind}, **options)


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
    base: Any = type(model)
    model.config.__class__ = _known_config_class(model.config.model_type)
    model.__class__ = _model_class(base)


def __getattr__(name: str) -> Any:
    """The classes that are made here, by their names, so that pickles find them."""
    base: Any = getattr(transformers, name.removeprefix(_PREFIX), None) if name.startswith(_PREFIX) else None
    if base is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _known_config_class(base.model_type) if issubclass(base, PreTrainedConfig) else _model_class(base)


@cache
def _known_config_class(kind: str) -> type[PreTrainedConfig]:
    """``_config_class``; the Auto classes that know the family know it from then on."""
    base, made = type(AutoConfig.for_model(kind)), _config_class(kind)
    autos: list[Any] = [found for found in vars(modeling_auto).values() if isclass(found)]
    for auto in autos:
        known = getattr(auto, "_model_mapping", None)
        model: Any = known[base] if known is not None and base in known else None
        if getattr(model, "config_class", None) is base:  # else several classes, or one that is borrowed from another family
            auto.register(made, _model_class(model), exist_ok=True)
    return made


@cache
def _config_class(kind: str) -> type[PreTrainedConfig]:
    """A family's config class that is written as that of a model with adapters."""
    base = type(AutoConfig.for_model(kind))

    def to_dict(self: PreTrainedConfig) -> dict[str, Any]:
        return {**base.to_dict(self), "model_type": MODEL_TYPE, _FAMILY_KEY: kind}

    return _subclass(base, to_dict=to_dict)


@cache
def _model_class(base: Any) -> type[Any]:
    """A family's model class that is made with the adapters of its config, so that ``from_pretrained`` finds their weights a place."""

    def __init__(self: Any, config: Any, *args: Any, **options: Any) -> None:
        base.__init__(self, config, *args, **options)
        add_adapters(self, getattr(config, ADAPTERS_KEY))

    def from_pretrained(cls: Any, path: Any, *args: Any, **options: Any) -> Any:
        return base.from_pretrained.__func__(cls, path, *args, **{"variant": VARIANT, **options})

    def save_pretrained(self: Any, folder: Any, *args: Any, **options: Any) -> None:
        base.save_pretrained(self, folder, *args, **{"variant": VARIANT, **options})

    config_class = _config_class(base.config_class.model_type)
    members = {"from_pretrained": classmethod(from_pretrained), "save_pretrained": save_pretrained, "config_class": config_class}
    return _subclass(base, __init__=__init__, **members)


def _subclass(base: Any, **members: Any) -> type[Any]:
    """Under a name of its own: transformers knows classes by their names."""
    return type(f"{_PREFIX}{base.__name__}", (base,), {**members, "__module__": __name__, "__doc__": base.__doc__})
