"""Arrays and tensors on their way to a device."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["on"]


def on(values: Tensor | NDArray[Any], device: torch.device) -> Tensor:
    """A tensor or an array on ``device``; a copy to a GPU goes through pinned memory, is queued, and nobody waits for it."""
    tensor = values if isinstance(values, Tensor) else torch.from_numpy(values)
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
