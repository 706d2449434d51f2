"""Checkpoints of training: everything comes back; what is cut off, another model's or nothing of ours is not taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from petkit.checkpoints import load_checkpoint, save_checkpoint
from petkit.files import write_bytes, write_tensors


def model_of(width: int = 3, *, seed: int = 0, bias: bool = True) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, width, bias=bias), nn.Tanh(), nn.Linear(width, 2))


def optimizer_of(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)


def stepped(model: nn.Module, optimizer: torch.optim.Optimizer, *, updates: int = 1) -> None:
    for update in range(updates):
        model(torch.full((1, 4), 1.0 + update)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()


def values(model: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def equal(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A checkpoint after 3 updates of the model of seed 0."""
    model = model_of()
    optimizer = optimizer_of(model)
    stepped(model, optimizer, updates=3)
    path = tmp_path / "training.safetensors"
    save_checkpoint(path, model, optimizer, 3, {"loss": torch.tensor([1.5, 2.0])})
    return path


def test_parameters_moments_step_and_extras_come_back(saved: Path) -> None:
    straight, resumed = model_of(), model_of(seed=9)
    optimizers = [optimizer_of(straight), optimizer_of(resumed)]
    stepped(straight, optimizers[0], updates=3)
    step, extra = load_checkpoint(saved, resumed, optimizers[1])
    assert (step, extra["loss"].tolist()) == (3, [1.5, 2.0])
    assert equal(values(straight), values(resumed))
    for model, optimizer in zip((straight, resumed), optimizers, strict=True):
        stepped(model, optimizer)  # equal only if the moments and their step count are
    assert equal(values(straight), values(resumed))


def test_tied_weights_stay_tied(tmp_path: Path) -> None:
    def tied(seed: int) -> nn.Module:
        first, second = nn.Linear(4, 4), nn.Linear(4, 4)
        nn.init.constant_(first.weight, float(seed))
        second.weight = first.weight
        return nn.Sequential(first, second)

    one, other = tied(1), tied(2)
    optimizer = optimizer_of(one)
    stepped(one, optimizer)
    save_checkpoint(tmp_path / "c", one, optimizer, 1, {})
    assert load_checkpoint(tmp_path / "c", other, optimizer_of(other))[0] == 1
    assert other[1].weight is other[0].weight  # type: ignore[index]
    assert equal(values(one), values(other))


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


DAMAGE: dict[str, Callable[[Path], None]] = {
    "missing": Path.unlink,
    "empty": lambda path: write_bytes(path, b""),
    "cut off": cut,
    "text": lambda path: write_bytes(path, b"not a checkpoint at all"),
    "of nothing": lambda path: write_tensors(path, {"x": torch.zeros(1)}),
    "without a step": lambda path: write_tensors(path, {f"model/{k}": v for k, v in model_of().named_parameters()}),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_checkpoint_is_ignored(saved: Path, kind: str) -> None:
    DAMAGE[kind](saved)
    model = model_of(seed=5)
    before = values(model)
    optimizer = optimizer_of(model)
    assert load_checkpoint(saved, model, optimizer) == (0, {})
    assert equal(values(model), before)
    assert not optimizer.state


@pytest.mark.parametrize("other", [model_of(5), model_of(1), model_of(bias=False), nn.Linear(4, 3)])
def test_the_checkpoint_of_another_model_is_ignored(saved: Path, other: nn.Module) -> None:
    before = values(other)
    assert load_checkpoint(saved, other, optimizer_of(other)) == (0, {})
    assert equal(values(other), before)
