"""Checkpoints inside a training stage: parameters, AdamW's moments and the step, in one safetensors file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from petkit.files import DamagedFileError, read_tensors_checked, write_tensors

__all__ = ["CHECKPOINT_FILE", "load_checkpoint", "save_checkpoint"]

CHECKPOINT_FILE: Final = "training.safetensors"
"""Its name in a unit's folder for checkpoints."""


def save_checkpoint(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, step: int, extra: Mapping[str, Tensor]) -> None:
    """Write the state after ``step`` updates, with ``extra`` tensors of the caller's, atomically."""
    tensors = _tensors(model, optimizer) | {f"extra/{name}": value.detach() for name, value in extra.items()}
    write_tensors(path, tensors | {"step": torch.tensor(step)})


def load_checkpoint(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[int, dict[str, Tensor]]:
    """Restore a state in place; return its step and extra tensors, or (0, {}) if there is no file, it is damaged or another model's.

    A damaged checkpoint costs the steps since the start of its stage, never the run.
    """
    try:
        tensors = read_tensors_checked(path)
    except DamagedFileError:
        return 0, {}
    parameters = dict(model.named_parameters())
    shapes = {name.removeprefix("model/"): value.shape for name, value in tensors.items() if name.startswith("model/")}
    if "step" not in tensors or shapes != {name: parameter.shape for name, parameter in parameters.items()}:
        return 0, {}
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[f"model/{name}"])
    for name, parameter in parameters.items():
        prefix = f"optimizer/{name}/"
        state = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        if state:
            optimizer.state[parameter] = {key: value.to(parameter.device) for key, value in state.items()}
    return int(tensors["step"]), {key.removeprefix("extra/"): value for key, value in tensors.items() if key.startswith("extra/")}


def _tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters():
        tensors[f"model/{name}"] = parameter.detach()
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer/{name}/{key}"] = value.detach()
    return tensors
