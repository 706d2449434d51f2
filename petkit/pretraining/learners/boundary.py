"""SpanBERT's boundary head: every token of a span from the two tokens around the span."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from petkit.errors import ModelError
from petkit.files import read_tensors_checked, write_tensors
from petkit.training import seeded

__all__ = ["FILE", "BoundaryHead"]

FILE: Final = "boundary_head.safetensors"
"""Its name beside a model."""


class BoundaryHead(nn.Module):
    """The span boundary objective's head (Joshi et al. 2020, section 3.2, arXiv 1907.10529).

    Two layers with GELU and layer norm over left state, right state and an embedding of the place in the span; the decoder's rows are
    the model's word embeddings, to whose width the second layer leads. Differs from the masked-LM head in that it never sees the place
    itself.

    Args:
        hidden: H. embedding: E, the width of the word embeddings. vocabulary: V. places: the most tokens of a span.
        seed: of the first weights, normal with deviation 0.02 as BERT's.
    """

    def __init__(self, hidden: int, embedding: int, vocabulary: int, *, places: int = 20, width: int = 200, seed: int = 0) -> None:
        super().__init__()
        with seeded(seed, "pretrain", "boundary head"):
            self.places = nn.Embedding(places, width)
            self.first, self.first_norm = nn.Linear(2 * hidden + width, hidden), nn.LayerNorm(hidden)
            self.second, self.second_norm = nn.Linear(hidden, embedding), nn.LayerNorm(embedding)
            self.bias = nn.Parameter(torch.zeros(vocabulary))
            for part in (self.places, self.first, self.second):
                nn.init.normal_(part.weight, std=0.02)
        for linear in (self.first, self.second):
            nn.init.zeros_(linear.bias)

    def forward(self, left: Tensor, right: Tensor, offsets: Tensor) -> Tensor:
        """Left and right states (N, H) and places (N,) int64 -> features (N, E)."""
        features = torch.cat([left, right, self.places(offsets).to(left.dtype)], dim=-1)
        features = self.first_norm(functional.gelu(self.first(features)))
        found: Tensor = self.second_norm(functional.gelu(self.second(features)))
        return found

    def save(self, folder: Path, *, half: bool = False) -> None:
        """Write ``boundary_head.safetensors`` into ``folder``."""
        write_tensors(folder / FILE, {name: value.half() if half else value for name, value in self.state_dict().items()})

    def load(self, folder: Path) -> None:
        """Take the weights of ``folder`` where it has some. Raises ModelError if they are of another model."""
        if not (folder / FILE).is_file():
            return
        found = read_tensors_checked(folder / FILE)
        shapes: dict[str, Any] = {name: tuple(value.shape) for name, value in self.state_dict().items()}
        if shapes != {name: tuple(value.shape) for name, value in found.items()}:
            raise ModelError(f"{folder / FILE} does not belong to this model; without that file a new boundary head is made")
        self.load_state_dict({name: value.float() for name, value in found.items()})
