"""Bottleneck adapters (Houlsby et al. 2019, arXiv 1902.00751, section 2.1): two small layers at the end of every sublayer.

An adapter is a child called ``adapter`` of the linear layer whose output it changes. So the names of all other weights stay, the
layer-by-layer forward of ``petkit.backbones.stacks`` goes through it as transformers' own does. Differs from the authors' code in that
dropout comes after the adapter, not before it. ``petkit.adapted`` has what saving and opening need.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from petkit.strategies.anatomy import ends

__all__ = ["Adapter", "adapter_parameters", "add_adapters"]

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


def add_adapters(model: Any, width: int) -> None:
    """Put adapters at the ends of both sublayers of every layer of a transformers model, in place, drawn from torch's generator.

    Its config says nothing of them: see ``petkit.adapted.insert_adapters``. Raises ModelError for an unknown family.
    """
    for linear in ends(model):
        linear.adapter = Adapter(model.config.hidden_size, width).to(model.device)
        linear.register_forward_hook(_adapt)


def adapter_parameters(model: Any) -> list[nn.Parameter]:
    """The weights of all adapters."""
    return [p for module in model.modules() if isinstance(module, Adapter) for p in module.parameters()]
