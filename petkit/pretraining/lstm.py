"""A bidirectional LSTM language model in ELMo's manner (Peters et al. 2018, arXiv 1802.05365): objectives without transformers.

Two stacks of LSTM layers, one left to right and one right to left, read the same embeddings and answer by the same softmax. Each learns the
next token on its side, so the objective ``causal`` feeds both. What they know of a token is mixed over the layers by learned weights
(``ScalarMix``). Differs from masked models in that no direction ever sees the other, and from ELMo's own model in that tokens are pieces of
a vocabulary and not characters, and that a layer's cells are not projected down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from petkit.errors import ModelError, SettingsError, raise_problems
from petkit.files import DamagedFileError, make_directory, read_json_checked, read_tensors_checked, write_json, write_tensors
from petkit.objectives import IGNORED, CausalBatch, preset
from petkit.objectives.rows import BoolArray, IntArray
from petkit.tensors import on
from petkit.training import seeded

__all__ = ["LstmConfig", "LstmLanguageModel", "LstmLearner", "ScalarMix", "load_lstm", "new_lstm"]

_KIND = "petkit-lstm"


@dataclass(frozen=True)
class LstmConfig:
    """The shape of a model.

    Attributes:
        vocabulary: V, token ids. width: W, of the embeddings and of each layer's output, per direction. layers: L, per direction.
        dropout: on the input of every layer and on what the softmax reads. tied: the softmax has the embeddings as its weights.
    """

    vocabulary: int
    width: int = 128
    layers: int = 2
    dropout: float = 0.1
    tied: bool = True

    def __post_init__(self) -> None:
        rules = (
            (self.vocabulary >= 2, f"vocabulary is {self.vocabulary}; at least 2 is legal"),
            (self.width >= 1, f"width is {self.width}; at least 1 is legal"),
            (self.layers >= 1, f"layers is {self.layers}; at least 1 is legal"),
            (0 <= self.dropout < 1, f"dropout is {self.dropout}; a share from 0 to below 1 is legal"),
        )
        raise_problems(SettingsError, "LSTM language model", [problem for holds, problem in rules if not holds])


class LstmLanguageModel(nn.Module):
    """Two directions of LSTM layers over shared embeddings, with a residual connection from the second layer on (section 3.4)."""

    def __init__(self, config: LstmConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        nn.init.normal_(self.embedding.weight, std=config.width**-0.5)
        self.ahead, self.back = (
            nn.ModuleList(nn.LSTM(config.width, config.width, batch_first=True) for _ in range(config.layers)) for _ in range(2)
        )
        self.output = None if config.tied else nn.Linear(config.width, config.vocabulary, bias=False)
        self.bias = nn.Parameter(torch.zeros(config.vocabulary))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """All layers of all tokens.

        Args:
            ids: (B, T) int64, padded on the right. lengths: (B,) int64, tokens of each row.

        Returns:
            (L + 1, B, T, 2 W): the embeddings twice, then each layer, left to right before right to left; 0 at padding.
        """
        columns = torch.arange(ids.shape[1], device=ids.device)[None, :]
        there = columns < lengths[:, None]
        turned = torch.where(there, lengths[:, None] - 1 - columns, columns)  # its own inverse; padding stays behind the text
        embedded = self.embedding(ids)
        ahead = self._direction(self.ahead, embedded)
        back = self._direction(self.back, _taken(embedded, turned))
        pairs = [torch.cat([one, _taken(other, turned)], dim=-1) for one, other in zip(ahead, back, strict=True)]
        states = torch.stack([torch.cat([embedded, embedded], dim=-1), *pairs])
        return torch.where(there[None, :, :, None], states, 0.0)

    def _direction(self, layers: nn.ModuleList, inputs: Tensor) -> list[Tensor]:
        outputs: list[Tensor] = []
        for layer in layers:
            result, _ = layer(self.dropout(inputs))
            inputs = result + inputs if outputs else result
            outputs.append(inputs)
        return outputs

    def vocab_logits(self, hidden: Tensor) -> Tensor:
        """(S, W) states of the last layer, of either direction -> (S, V)."""
        weight = self.embedding.weight if self.output is None else self.output.weight
        return functional.linear(self.dropout(hidden), weight, self.bias)


def _taken(states: Tensor, columns: Tensor) -> Tensor:
    """(B, T, W) states in the order of ``columns`` (B, T)."""
    return states.gather(1, columns[:, :, None].expand(-1, -1, states.shape[2]))


def new_lstm(config: LstmConfig, *, seed: int) -> LstmLanguageModel:
    """A model with random weights of ``seed``."""
    with seeded(seed, "pretrain", "weights"):
        return LstmLanguageModel(config)


class ScalarMix(nn.Module):
    """ELMo's mixing of layers: gamma times the sum of the layers, weighted by a softmax over learned numbers (section 3.2, equation 1).

    Belongs to the task that reads the layers, not to the language model, and begins as their mean.

    Args:
        layers: how many are mixed, L + 1 with the embeddings. normalise: scale each layer's state of a token to mean 0 and variance 1
            first, so that the weights need not level the layers' sizes as well; the paper does so in some cases.
    """

    def __init__(self, layers: int, *, normalise: bool = False) -> None:
        super().__init__()
        self.normalise = normalise
        self.weights = nn.Parameter(torch.zeros(layers))
        self.gamma = nn.Parameter(torch.ones(()))

    @property
    def shares(self) -> Tensor:
        """(L + 1,) what each layer counts; their sum is 1."""
        return self.weights.softmax(0)

    def forward(self, states: Tensor) -> Tensor:
        """(L + 1, ..., H) layers -> (..., H)."""
        states = functional.layer_norm(states, states.shape[-1:]) if self.normalise else states
        mixed: Tensor = self.gamma * torch.tensordot(self.shares, states, dims=1)
        return mixed


class LstmLearner(nn.Module):
    """The model's loss: the mean of next-token cross-entropy to the right and to the left (section 3.1; the paper sums them).

    Its parts are ``forward`` and ``backward``. A token counts where its neighbour on the side that is read is there too: a row of n tokens
    has n - 1 terms in each direction.
    """

    def __init__(self, model: LstmLanguageModel, objective: Any = None) -> None:
        super().__init__()
        self.model = model
        self.objective = preset("causal") if objective is None else objective

    def counts(self, batch: CausalBatch) -> dict[str, float]:
        """How many terms each part has in a batch."""
        return {name: float(len(positions)) for name, (positions, _) in _targets(batch).items()}

    def forward(self, batch: CausalBatch, counts: Mapping[str, float]) -> dict[str, Tensor]:
        """``loss`` and its two parts, each its sum of terms over ``counts``. Raises ValueError unless padding is on the right."""
        parts: dict[str, Tensor] = {}
        for name, (logits, targets) in self._answers(batch).items():
            total = functional.cross_entropy(logits.float(), targets, reduction="sum")
            parts[name] = total / counts[name] if counts[name] else total * 0.0
        return {"loss": (parts["forward"] + parts["backward"]) / 2, **{name: part.detach() for name, part in parts.items()}}

    @torch.no_grad()
    def score(self, batch: CausalBatch) -> dict[str, tuple[float, float]]:
        """Sums and counts of negative log-likelihood and of right guesses in each direction, without dropout."""
        training = self.training
        self.eval()
        figures: dict[str, tuple[float, float]] = {}
        for name, (logits, targets) in self._answers(batch).items():
            total = functional.cross_entropy(logits.float(), targets, reduction="sum")
            figures[name] = float(total), float(len(targets))
            figures[f"{name}_accuracy"] = float((logits.argmax(-1) == targets).sum()), float(len(targets))
        self.train(training)
        return figures

    def _answers(self, batch: CausalBatch) -> dict[str, tuple[Tensor, Tensor]]:
        """Of each direction (S, V) logits where it has a target, and (S,) targets."""
        device, width = self.model.bias.device, self.model.config.width
        ids, lengths = on(batch.inputs, device), on(_lengths(batch.valid), device)
        flat = self.model(ids, lengths)[-1].flatten(0, 1)
        sides = {"forward": flat[:, :width], "backward": flat[:, width:]}
        found = {}
        for name, (positions, targets) in _targets(batch).items():
            hidden = sides[name].index_select(0, on(positions, device))
            found[name] = self.model.vocab_logits(hidden), on(targets, device)
        return found

    def save(self, folder: str | Path, *, half: bool = False) -> None:
        """Write ``model.safetensors``, in half precision if asked, and ``config.json``; ``load_lstm`` opens them."""
        folder, state = Path(folder), self.model.state_dict()
        make_directory(folder)
        write_tensors(folder / "model.safetensors", {name: value.half() if half else value for name, value in state.items()})
        write_json(folder / "config.json", {"model_type": _KIND, **asdict(self.model.config)})


def load_lstm(folder: str | Path) -> LstmLanguageModel:
    """The model of a folder that ``LstmLearner.save`` wrote, in float32 and evaluation mode. Raises ModelError on any other folder."""
    folder = Path(folder)
    try:
        config = read_json_checked(folder / "config.json")
    except DamagedFileError as error:
        raise ModelError(f"model '{folder}' has no config.json that can be read; give a folder that LstmLearner.save wrote") from error
    if (kind := config.pop("model_type", None)) != _KIND:
        raise ModelError(f"model '{folder}' has the model type {kind!r}; legal is {_KIND}")
    try:
        model = LstmLanguageModel(LstmConfig(**config))
        model.load_state_dict({name: value.float() for name, value in read_tensors_checked(folder / "model.safetensors").items()})
    except (TypeError, RuntimeError) as error:
        raise ModelError(f"model '{folder}': its weights and its config.json do not fit") from error
    return model.eval()


def _targets(batch: CausalBatch) -> dict[str, tuple[IntArray, IntArray]]:
    """Of each direction: positions (S,) into the flattened (B T) from which a neighbour is said, and those neighbours (S,)."""
    wanted = batch.valid & (batch.labels != IGNORED)
    ahead, back = np.zeros_like(wanted), np.zeros_like(wanted)
    ahead[:, :-1] = batch.valid[:, :-1] & wanted[:, 1:]
    back[:, 1:] = batch.valid[:, 1:] & wanted[:, :-1]
    labels, right, left = batch.labels.reshape(-1), np.flatnonzero(ahead), np.flatnonzero(back)
    return {"forward": (right, labels[right + 1]), "backward": (left, labels[left - 1])}


def _lengths(valid: BoolArray) -> IntArray:
    if (valid[:, 1:] & ~valid[:, :-1]).any():
        raise ValueError("rows must have their padding on the right")
    lengths: IntArray = valid.sum(axis=1)
    return lengths
