"""What all learners share: questions to a model and the sums of their losses."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel
from transformers.models.albert.modeling_albert import AlbertLayer
from transformers.models.xlnet.modeling_xlnet import XLNetLayer

from petkit.backbones import MaskedLM
from petkit.backbones.modelfiles import quiet
from petkit.backbones.stacks import COMPILED
from petkit.batching import Batch
from petkit.objectives import Vocabulary
from petkit.tensors import on

__all__ = ["Asked", "Learner", "evaluating", "save_pretrained", "states_at", "summed", "token_batch"]

Int = npt.NDArray[np.int64]

_CELLS: Final = 2**26
"""At most so many logits exist at a time: 256 MiB in float32."""

_OWN_LAYERS: Final = (AlbertLayer, XLNetLayer)
"""Layers of families that transformers does not checkpoint."""


def token_batch(ids: Int, valid: npt.NDArray[np.bool_], device: torch.device, *, types: Int | None = None) -> Batch:
    """(B, T) ids, which are no padding, and types (None: zeros) as a batch without slots on ``device``."""
    tokens, mask = on(ids, device), on(valid.astype(np.int64), device)
    kinds = torch.zeros_like(tokens) if types is None else on(types, device)
    return Batch(tokens, mask, kinds, tokens.new_zeros((len(ids), 0)), full=bool(valid.all()))


def states_at(model: MaskedLM, batch: Batch, *groups: Int) -> list[Tensor]:
    """The last layer's states at several groups of positions (N,) into the flattened (B T), in any order: (N, H) for each.

    The last layer runs once, and at these positions only.
    """
    places, where = np.unique(np.concatenate(groups), return_inverse=True)
    states = model.hidden_at(batch, places.astype(np.int64))
    parts = np.split(where, np.cumsum([len(group) for group in groups])[:-1])
    return [states.index_select(0, on(part, states.device)) for part in parts]


def summed(term: Callable[..., Tensor], *rows: Tensor, width: int) -> Tensor:
    """The sum of ``term`` over pieces of rows. What a piece needs of ``width`` numbers a row is computed again in the backward pass.

    So there are never more than some 67 million logits, however many positions are asked. A term draws nothing.

    Args:
        term: (pieces of the rows) -> a sum over the piece, of any shape. rows: tensors with the same first axis.
    """
    size = max(1, _CELLS // width)
    if len(rows[0]) <= size:
        return term(*rows)
    pieces = zip(*(tensor.split(size) for tensor in rows), strict=True)
    return torch.stack([checkpoint(term, *piece, use_reentrant=False, preserve_rng_state=False) for piece in pieces]).sum(0)


@dataclass(frozen=True)
class Asked:
    """N questions with one right answer each.

    Attributes:
        hidden: (N, H). targets: (N,) int64. logits: (N, H) -> (N, V). width: V.
    """

    hidden: Tensor
    targets: Tensor
    logits: Callable[[Tensor], Tensor]
    width: int

    def loss(self) -> Tensor:
        """The sum of the cross-entropies, a scalar float32; 0 where nothing is asked, and still part of the graph."""
        return summed(self._loss, self.hidden, self.targets, width=self.width)

    def measured(self) -> tuple[float, float, float]:
        """Sum of the cross-entropies, how many answers are right, and N."""
        total = summed(self._measured, self.hidden, self.targets, width=self.width).tolist()
        return total[0], total[1], len(self.targets)

    def _loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(self.logits(hidden).float(), targets, reduction="sum")

    def _measured(self, hidden: Tensor, targets: Tensor) -> Tensor:
        logits = self.logits(hidden).float()
        return torch.stack([functional.cross_entropy(logits, targets, reduction="sum"), (logits.argmax(-1) == targets).sum().float()])


class Learner(nn.Module):
    """A model and an objective: batches in, named losses out. All that it trains is among its parameters.

    Batches hold numpy arrays; ``forward`` queues them to the model's device and waits for nothing. (Inside ModernBERT, T5, BART and GPT-2
    transformers looks whether anything is padded, once or a few times, before the first layer.)

    Attributes:
        objective: a row of petkit.objectives. model: what is trained and saved. weights: of the parts in the loss; 1 where not named.
    """

    def __init__(self, objective: Any, model: Any, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.objective, self.model, self.vocabulary = objective, model, vocabulary
        self.weights: Mapping[str, float] = {}

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        first: Tensor = next(self.model.parameters())
        return first.device

    def counts(self, batch: Any) -> dict[str, float]:
        """How many terms the mean of each part has, read off the arrays."""
        raise NotImplementedError

    def asked(self, batch: Any) -> dict[str, Asked]:
        """The questions of each part."""
        raise NotImplementedError

    def sums(self, batch: Any) -> dict[str, Tensor]:
        """The sum of each part's terms."""
        return {name: part.loss() for name, part in self.asked(batch).items()}

    def forward(self, batch: Any, counts: Mapping[str, float]) -> dict[str, Tensor]:
        """Scalars: ``loss``, and by name its parts, each the sum of its terms divided by ``counts``; 0 where that is 0.

        With R ranks, ``counts`` of the whole batch divided by R make the mean of the ranks' gradients exactly that of the whole batch.
        """
        parts = {name: total / counts[name] if counts[name] else total * 0.0 for name, total in self.sums(batch).items()}
        loss = torch.stack([self.weights.get(name, 1.0) * part for name, part in parts.items()]).sum()
        return {"loss": loss, **{name: part.detach() for name, part in parts.items()}}

    def checkpoint_activations(self) -> None:
        """From now on compute what is inside layers again in the backward pass instead of keeping it: less memory, a third more work."""
        for model in [part for part in self.modules() if isinstance(part, PreTrainedModel)]:
            if model.supports_gradient_checkpointing:
                later: Any = getattr(model, "activation_checkpointing_enable", None)  # its name in newer versions
                (later or model.gradient_checkpointing_enable)({"use_reentrant": False})
            for layer in [part for part in model.modules() if isinstance(part, _OWN_LAYERS)]:
                _checkpointed(layer)

    def compile_layers(self) -> None:
        """From now on run the layers of the models through torch.compile."""
        for layer in [part for part in self.modules() if _is_layer(part)]:
            setattr(layer, COMPILED, True)  # for families whose layers petkit runs itself
            with quiet():
                layer.compile(dynamic=True)  # for the others

    @torch.no_grad()
    def score(self, batch: Any) -> dict[str, tuple[float, float]]:
        """Figures in evaluation mode as (sum, count): each part's loss, and ``PART_accuracy``."""
        found: dict[str, tuple[float, float]] = {}
        with evaluating(self):
            for name, part in self.asked(batch).items():
                total, right, count = part.measured()
                found |= {name: (total, count), f"{name}_accuracy": (right, count)}
        return found

    def save(self, folder: Path, *, half: bool = False) -> None:
        """Write what plain transformers opens into ``folder`` (in half precision if asked), and beside it what belongs to it."""
        save_pretrained(self.model.model if isinstance(self.model, MaskedLM) else self.model, folder, half=half)


def _checkpointed(layer: nn.Module) -> None:
    """What transformers does not do for a family."""
    if isinstance(layer, AlbertLayer):
        vars(layer)["gradient_checkpointing"] = True  # petkit.backbones.stacks looks at it
    elif not isinstance(layer.forward, partial):
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)


def _is_layer(part: nn.Module) -> bool:
    """transformers derives layers from a class of this name, ALBERT's and XLNet's apart."""
    return isinstance(part, _OWN_LAYERS) or any(parent.__name__ == "GradientCheckpointingLayer" for parent in type(part).__mro__)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """In evaluation mode inside the block, as it was after it."""
    was = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in was:
            part.training = training


def save_pretrained(model: Any, folder: Path, *, half: bool) -> None:
    """Write a transformers model as safetensors; its own weights stay as they are."""
    with quiet():
        (copy.deepcopy(model).half() if half else model).save_pretrained(str(folder))
