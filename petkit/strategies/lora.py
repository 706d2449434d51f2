"""LoRA through the package peft (Hu et al. 2022, arXiv 2106.09685): low-rank matrices beside queries and values, merged afterwards.

Section 4.2: W becomes W + (alpha / r) B A; B is 0 at the start. Here alpha = r, so that the factor is 1. ModernBERT and GPT-2
make queries, keys and values by one matrix, which is taken as a whole.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from torch import nn
from transformers.pytorch_utils import Conv1D

from petkit.errors import SettingsError
from petkit.strategies.anatomy import queries

__all__ = ["check_peft", "inject_lora", "merge_lora"]


def check_peft() -> None:
    """Raise SettingsError if the package is not installed."""
    if find_spec("peft") is None:
        raise SettingsError("the strategy lora needs the package peft, which is not installed: install petkit[lora]")


def inject_lora(model: Any, rank: int) -> list[nn.Parameter]:
    """Put low-rank matrices into a transformers model in place, drawn from torch's generator; return them. All else is frozen."""
    check_peft()
    from peft import LoraConfig, inject_adapter_in_model

    found = queries(model)
    wanted = {id(module) for module in found}
    turned = isinstance(found[0], Conv1D)  # GPT-2 keeps its matrices the other way round
    names = [name for name, module in model.named_modules() if id(module) in wanted]
    before = {id(p) for p in model.parameters()}
    how = LoraConfig(r=rank, lora_alpha=rank, lora_dropout=0.0, target_modules=names, fan_in_fan_out=turned)
    inject_adapter_in_model(how, model)
    return [p for p in model.parameters() if id(p) not in before]


def merge_lora(model: Any) -> None:
    """Add the low-rank matrices to the weights they stand beside and take them out, in place."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in list(model.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            model.set_submodule(name, module.get_base_layer())
    del model.peft_config
