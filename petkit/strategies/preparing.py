"""A model made ready for a strategy, and put back in order afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from petkit.adapted import insert_adapters
from petkit.backbones import MaskedLM
from petkit.errors import SettingsError
from petkit.strategies.adapters import adapter_parameters
from petkit.strategies.anatomy import encoder_norms, head_parameters, parts
from petkit.strategies.lora import inject_lora, merge_lora
from petkit.strategies.names import Strategy
from petkit.training import seeded

__all__ = ["BeforeStep", "prepared", "restoring", "thawed", "train_only"]

BeforeStep = Callable[[int, int], None]
"""Called by the training loop before every update with (step, steps), steps from 0."""


@contextmanager
def prepared(model: nn.Module, how: Strategy, *, seed: int) -> Iterator[BeforeStep | None]:
    """Inside the block ``model`` (a MaskedLM or a transformers model) has new modules and frozen weights as ``how`` wants them.

    Gives what ``train`` is to call before every step, or None. Afterwards every weight may be trained as before; LoRA is merged into
    the weights, adapters stay. New weights are drawn by ``seed``.

    Raises SettingsError: more layers than the model has, no package for LoRA. ModelError: a family that only "full" knows.
    """
    if how.kind == "full":
        yield None
        return
    inner = model.model if isinstance(model, MaskedLM) else model
    with restoring(inner):
        with seeded(seed, "strategy"):
            before_step = _PREPARE[how.kind](inner, how.number)
        yield before_step
        if how.kind == "lora":
            merge_lora(inner)


@contextmanager
def restoring(model: nn.Module) -> Iterator[None]:
    """After the block the weights that there were before it want gradients as they did then."""
    before = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        yield
    finally:
        for parameter, wanted in before:
            parameter.requires_grad_(wanted)


def thawed(step: int, steps: int, layers: int) -> int:
    """How many layers are trained in update ``step``: none in the first 1 / (layers + 1) of the steps, then one more each.

    Howard & Ruder 2018, section 3.3 (arXiv 1801.06146), with equal parts of the steps in place of epochs.

    >>> [thawed(step, 9, 2) for step in range(9)]
    [0, 0, 0, 1, 1, 1, 2, 2, 2]
    """
    return min(layers, step * (layers + 1) // steps)


def train_only(model: Any, chosen: Iterable[nn.Parameter]) -> None:
    """Freeze all weights but these."""
    kept = {id(p) for p in chosen}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in kept)


def _last(model: Any, number: int | None) -> None:
    head, *found, _ = parts(model)
    wanted = int(number or 0)
    if not wanted and not head:
        raise SettingsError("strategy last:0 trains the head alone, and this model has none of its own; last:1 is the least")
    if wanted > len(found):
        raise SettingsError(f"strategy last:{wanted} names more layers than the {len(found)} that the model has")
    train_only(model, [*head, *(p for part in found[:wanted] for p in part)])


def _gradual(model: Any, _: int | None) -> BeforeStep:
    *found, rest = parts(model)
    found[-1] += rest
    found = [part for part in found if part]  # a head of its own is missing where the decoder is tied to the embeddings

    def before_step(step: int, steps: int) -> None:
        warm = thawed(step, steps, len(found) - 1)
        for place, part in enumerate(found):
            for parameter in part:
                parameter.requires_grad_(place <= warm)

    return before_step


def _adapters(model: Any, number: int | None) -> None:
    insert_adapters(model, int(number or 0))
    train_only(model, [*head_parameters(model), *encoder_norms(model), *adapter_parameters(model)])


def _lora(model: Any, number: int | None) -> None:
    head = head_parameters(model)
    train_only(model, [*head, *inject_lora(model, int(number or 0))])


_PREPARE: dict[str, Callable[[Any, int | None], BeforeStep | None]] = {
    "last": _last,
    "gradual": _gradual,
    "adapters": _adapters,
    "lora": _lora,
}
