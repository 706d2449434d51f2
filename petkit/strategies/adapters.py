"""Bottleneck adapters (Houlsby et al. 2019, arXiv 1902.00751, section 2.1): two small layers at the end of every sublayer.

An adapter is a child called ``adapter`` of the linear layer whose output it changes. So the names of all other weights stay, the
layer-by-layer forward of ``petkit.backbones.stacks`` goes through it as transformers' own does, and plain transformers opens a saved
model without its adapters. Differs from the authors' code in that dropout comes after the adapter, not before it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional

from petkit.errors import ModelError, SettingsError
from petkit.strategies.anatomy import ends

__all__ = ["ADAPTERS_KEY", "Adapter", "adapter_parameters", "insert_adapters", "restore_adapters"]

ADAPTERS_KEY = "petkit_adapters"
"""Entry of a model's config: the width of its adapters."""

_SPREAD = 1e-3
"""Standard deviation at the start, as in the authors' code (the paper's section 3.6 finds all up to 1e-2 alike)."""


class Adapter(nn.Module):
    """x + up(gelu(down(x))), H to ``width`` to H; at the start nearly x itself."""

    def __init__(self, hidden: int, width: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(hidden, width), nn.Linear(width, hidden)
        for linear in (self.down, self.up):
            nn.init.trunc_normal_(linear.weight, std=_SPREAD, a=-2 * _SPREAD, b=2 * _SPREAD)
            nn.init.zeros_(linear.bias)

    def forward(self, states: Tensor) -> Tensor:
        """(..., H) to (..., H)."""
        changed: Tensor = self.up(functional.gelu(self.down(states)))
        return states + changed


def _adapt(module: nn.Module, _: Any, output: Tensor) -> Tensor:
    changed: Tensor = module.adapter(output)  # type: ignore[operator]
    return changed


def insert_adapters(model: Any, width: int) -> None:
    """Put adapters at the ends of both sublayers of every layer of a transformers model, in place, drawn from torch's generator.

    A model that has them already keeps them. Raises SettingsError if those have another width, ModelError for an unknown family.
    """
    there = getattr(model.config, ADAPTERS_KEY, None)
    if there is not None:
        if there != width:
            raise SettingsError(f"the model has adapters of width {there} already; strategy adapters:{there} trains them on")
        return
    for linear in ends(model):
        linear.adapter = Adapter(model.config.hidden_size, width).to(model.device)
        linear.register_forward_hook(_adapt)
    setattr(model.config, ADAPTERS_KEY, width)


def adapter_parameters(model: Any) -> list[nn.Parameter]:
    """The weights of all adapters."""
    return [p for module in model.modules() if isinstance(module, Adapter) for p in module.parameters()]


@torch.no_grad()
def restore_adapters(model: Any, folder: str) -> None:
    """Give a model that was just opened the adapters that its config tells of, with the weights saved in ``folder``.

    Raises ModelError if weights are missing.
    """
    width = getattr(model.config, ADAPTERS_KEY)
    delattr(model.config, ADAPTERS_KEY)
    with torch.random.fork_rng(devices=[]):
        insert_adapters(model, width)
    bare = model.base_model is model  # opened without its head: names lack what the saved ones begin with
    before = f"{model.base_model_prefix}." if bare else ""
    wanted = {before + name: p for name, p in model.named_parameters() if ".adapter." in name}
    for file in sorted(Path(folder).glob("model*.safetensors")):
        with safe_open(str(file), framework="pt") as saved:
            for name in set(saved.keys()) & set(wanted):
                wanted.pop(name).copy_(saved.get_tensor(name))
    if wanted:
        raise ModelError(f"model {folder!r} lacks {len(wanted)} weights of its adapters ({', '.join(sorted(wanted)[:3])}, ...)")
