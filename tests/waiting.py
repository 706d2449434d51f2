"""What would make the host wait for a GPU, seen on the CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "unique", "is_nonzero", "repeat_interleave.Tensor")


class Waits(TorchDispatchMode):
    """Notes the operations inside the block whose result the host has to wait for, on a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func).removeprefix("aten.")
        by_mask = name.startswith("index.") and any(i is not None and i.dtype in (torch.bool, torch.uint8) for i in args[1])
        if name.startswith(WAITING) or by_mask:
            self.seen.append(name)
        return func(*args, **(kwargs or {}))
