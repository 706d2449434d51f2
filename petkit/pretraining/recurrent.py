"""Segment-recurrent causal language modelling in Transformer-XL's manner (Dai et al. 2019, section 3, arXiv 1901.02860), on XLNet's layers.

A long row is read in segments. Each layer attends to its inputs of the segment and to those of the last ``memory`` tokens before it, which
are kept and not computed again; positions are relative, so that old states stay right in a new place. XLNet's layers do both. What is used
of them is the content stream alone, left to right; XLNet's own objective (the query stream, permutations) is another one.

Limits:

- No gradient flows through the memory. A segment learns to use what came before, and not to leave something useful behind.
- With a memory of m tokens, n layers reach some n m tokens back, more weakly the further; what is older is lost. Only where the memory
  holds all that came before is reading in segments the same as reading at once.
- While training, kept states are those of the weights of earlier updates (of the same update within a row).
- Distances beyond ``clamp_len`` of the model look alike, if it is set. Distances that training never saw are defined but not learned.
- Dropout is drawn for each segment by itself, so in training mode segments equal the whole in distribution only.
- Attention masks are (T, memory + T) per row and head: a long segment costs as much as a long row.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy, deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from petkit.errors import DataError, ModelError, SettingsError, raise_problems
from petkit.objectives import IGNORED, CausalBatch, Vocabulary
from petkit.objectives.rows import IntArray
from petkit.pretraining.learners.base import Asked, Learner, save_pretrained
from petkit.tensors import on

__all__ = ["Memory", "RecurrentLearner", "Streams", "read_segments", "stream_batches"]


@dataclass(frozen=True)
class Memory:
    """What is kept of the last M tokens of B rows.

    Attributes:
        states: (L, M, B, H), the inputs of each of L layers. M is 0 at the start and ``memory`` at most.
        documents: (B, M) int64, how many documents of the row ended before each token; -1 at padding, which nothing sees.
        ended: (B,) int64, how many have ended so far.
    """

    states: Tensor
    documents: Tensor
    ended: Tensor


def read_segments(
    model: Any,
    ids: Tensor,
    valid: Tensor,
    *,
    segment: int,
    memory: int,
    end_id: int | None = None,
    kept: Memory | None = None,
) -> tuple[Tensor, Memory]:
    """Read rows segment by segment, left to right.

    Args:
        model: a transformers ``XLNetModel``.
        ids: (B, T) int64. valid: (B, T) bool.
        segment: tokens that are read at once, the last segment may be shorter. memory: tokens that are kept before it.
        end_id: the token that ends a document; what follows it sees nothing before it. None where all text of a row goes on.
        kept: the memory of the text before; None at the start of it.

    Returns:
        (B, T, H) last hidden states, of which position t knows the tokens up to t, and the memory for the text that follows, which carries
        no gradient.

    Raises:
        ValueError: ``kept`` is of another number of rows.
    """
    kept = _nothing(model, ids) if kept is None else kept
    if len(kept.ended) != len(ids):
        raise ValueError(f"the memory is of {len(kept.ended)} rows, the batch of {len(ids)}; clear it where rows begin anew")
    outputs = []
    for start in range(0, ids.shape[1], segment):
        part, there = ids[:, start : start + segment], valid[:, start : start + segment]
        documents, ended = _documents(part, there, kept.ended, end_id)
        output, states = _read(model, part, kept.states, _hidden(documents, kept.documents))
        states = torch.cat([kept.states, states], dim=1)
        known = torch.cat([kept.documents, documents], dim=1)
        first = max(0, known.shape[1] - memory)
        kept = Memory(states[:, first:], known[:, first:], ended)
        outputs.append(output)
    return torch.cat(outputs, dim=1), kept


def _nothing(model: Any, ids: Tensor) -> Memory:
    weight = model.word_embedding.weight
    states = weight.new_zeros((len(model.layer), 0, len(ids), weight.shape[1]))
    return Memory(states, ids.new_zeros((len(ids), 0)), ids.new_zeros(len(ids)))


def _documents(ids: Tensor, valid: Tensor, ended: Tensor, end_id: int | None) -> tuple[Tensor, Tensor]:
    """(B, T) the number of each token's document, -1 at padding; (B,) how many have ended after the last token."""
    if end_id is None:
        return torch.where(valid, 0, -1), ended
    ends = ((ids == end_id) & valid).long()
    after = ended[:, None] + ends.cumsum(1)
    return torch.where(valid, after - ends, -1), after[:, -1]


def _hidden(documents: Tensor, before: Tensor) -> Tensor:
    """(T, M + T, B, 1) bool: which keys a query must not see, those of other documents and those after it."""
    length, old = documents.shape[1], before.shape[1]
    others = documents[:, :, None] != torch.cat([before, documents], dim=1)[:, None, :]
    later = torch.ones((length, old + length), dtype=torch.bool, device=documents.device).triu(old + 1)
    return (others | later).permute(1, 2, 0)[..., None]


def _read(model: Any, ids: Tensor, states: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """One segment through XLNet's layers: (B, T, H) last hidden states, and (L, T, B, H) the layers' inputs, without a gradient.

    As ``XLNetModel.forward`` does, whose own masks cannot hide a part of the memory.
    """
    length, rows = ids.shape[1], ids.shape[0]
    state = model.dropout(model.word_embedding(ids.transpose(0, 1)))
    with ids.device:  # transformers 5.0 makes positions on the default device
        places = model.relative_positional_encoding(length, states.shape[1] + length, bsz=rows)
    places = model.dropout(places)
    mask, inputs = hidden.to(state.dtype), []
    for layer, old in zip(model.layer, states.unbind(0), strict=True):
        inputs.append(state.detach())
        state = layer(state, None, attn_mask_h=mask, attn_mask_g=None, r=places, seg_mat=None, mems=old.to(state.dtype))[0]
    return model.dropout(state).transpose(0, 1), torch.stack(inputs)


class RecurrentLearner(Learner):
    """Part ``causal``: next-token loss of rows read in segments with memory.

    A row's last token is a target only and is not read. Without ``carry`` every row begins with an empty memory, which is handed on from
    segment to segment inside the row: the learner has no state, and rows may come in any order. With ``carry`` the memory goes on from one
    call to the next, for batches of ``stream_batches``; it then is a part of an exact resume: ``state`` and ``restore``.

    Differs from ``CausalLearner`` in that attention costs segment x (memory + segment) and not the row's length squared.
    """

    def __init__(
        self, objective: Any, model: Any, vocabulary: Vocabulary, *, segment: int, memory: int, apart: bool = False, carry: bool = False
    ) -> None:
        """Take the objective ``causal`` and a transformers ``XLNetLMHeadModel``.

        Args:
            segment, memory: see ``read_segments``. apart: documents, parted by the vocabulary's end token, do not see each other.
            carry: rows go on from one batch to the next.

        Raises:
            ModelError: the model is not XLNet. SettingsError: a number is not legal, or the vocabulary has no end token.
        """
        super().__init__(objective, model, vocabulary)
        if getattr(getattr(model, "config", None), "model_type", None) != "xlnet":
            raise ModelError("segments with memory need an XLNet model: its layers take memory and relative positions")
        rules = ((segment >= 1, f"segment is {segment}; at least 1 is legal"), (memory >= 0, f"memory is {memory}; 0 or more is legal"))
        raise_problems(SettingsError, "segments with memory", [problem for holds, problem in rules if not holds])
        self.segment, self.memory, self.carry = segment, memory, carry
        self.end_id = vocabulary.need("eos_id", objective.name) if apart else None
        self._kept: Memory | None = None

    def counts(self, batch: CausalBatch) -> dict[str, float]:
        """Tokens with one before them."""
        return {"causal": float(len(_targets(batch)[0]))}

    def asked(self, batch: CausalBatch) -> dict[str, Asked]:
        """The next token of each place, of rows that begin without memory; what is carried stays."""
        return self._asked(batch, None)[0]

    def sums(self, batch: CausalBatch) -> dict[str, Tensor]:
        """The sum of the terms. With ``carry`` the memory moves on, up to the last token."""
        asked, kept = self._asked(batch, self._kept)
        if self.carry:
            self._kept = kept
        return {name: part.loss() for name, part in asked.items()}

    def _asked(self, batch: CausalBatch, kept: Memory | None) -> tuple[dict[str, Asked], Memory]:
        positions, targets = (on(part, self.device) for part in _targets(batch))
        ids, valid = (on(np.ascontiguousarray(part[:, :-1]), self.device) for part in (batch.inputs, batch.valid))
        options: dict[str, Any] = {"segment": self.segment, "memory": self.memory, "end_id": self.end_id}
        states, kept = read_segments(self.model.transformer, ids, valid, kept=kept, **options)
        head = self.model.lm_loss
        return {"causal": Asked(states.flatten(0, 1).index_select(0, positions), targets, head, head.weight.shape[0])}, kept

    def clear(self) -> None:
        """Forget the carried memory: before a stream begins anew."""
        self._kept = None

    def state(self) -> dict[str, Tensor]:
        """The carried memory as tensors, ``states``, ``documents``, ``ended``; empty where there is none."""
        return {} if self._kept is None else {name: getattr(self._kept, name) for name in ("states", "documents", "ended")}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take up the memory of ``state``, so that the next batch is read as if nothing had come between."""
        self._kept = Memory(**{name: value.to(self.device) for name, value in state.items()}) if state else None

    def save(self, folder: Path, *, half: bool = False) -> None:
        """Save the model for plain transformers, in half precision if asked, its config saying ``attn_type="uni"`` and ``mem_len``.

        So ``XLNetLMHeadModel.from_pretrained(folder)`` is causal without a mask and hands its own ``mems`` on.
        """
        model = copy(self.model)
        model.config = deepcopy(self.model.config)
        model.config.attn_type, model.config.mem_len, model.config.use_mems_eval = "uni", self.memory or None, self.memory > 0
        save_pretrained(model, folder, half=half)


def _targets(batch: CausalBatch) -> tuple[IntArray, IntArray]:
    """Positions (S,) into the flattened (B, T - 1) from which the next token is said, and those tokens (S,)."""
    labels = batch.labels[:, 1:]
    wanted = batch.valid[:, :-1] & batch.valid[:, 1:] & (labels != IGNORED)
    return np.flatnonzero(wanted), labels[wanted]


@dataclass(frozen=True)
class Streams:
    """One long text as R rows side by side, read in chunks: ``streams[step]`` is (R, length) int64.

    Row r has the r-th part of the text, and each chunk goes on where the one before ended. The last token of a chunk is the first of the
    next: a target of the former, read in the latter, so that no target is lost. What does not fill a chunk of every row is left out.

    Attributes:
        ids: (N,) integer, a memory map if need be. rows: R. length: tokens of a chunk.
    """

    ids: npt.NDArray[np.integer[Any]]
    rows: int
    length: int

    def __post_init__(self) -> None:
        rules = (
            (self.rows >= 1, f"rows is {self.rows}; at least 1 is legal"),
            (self.length >= 2, f"length is {self.length}; at least 2 is legal"),
        )
        raise_problems(SettingsError, "streams", [problem for holds, problem in rules if not holds])
        if len(self) < 1:
            raise DataError(f"the text has {len(self.ids)} tokens; {self.rows} rows of {self.length} need {self.rows * self.length}")

    @property
    def part(self) -> int:
        """Tokens of a row's part of the text."""
        return len(self.ids) // self.rows

    def __len__(self) -> int:
        """Chunks until the text is over."""
        return (self.part - 1) // (self.length - 1)

    def __getitem__(self, step: int) -> IntArray:
        if not 0 <= step < len(self):
            raise IndexError(step)
        starts = np.arange(self.rows) * self.part + step * (self.length - 1)
        chunk: IntArray = self.ids[starts[:, None] + np.arange(self.length)].astype(np.int64)
        return chunk


def stream_batches(ids: npt.NDArray[np.integer[Any]], *, rows: int, length: int) -> Streams:
    """The chunks of a text for a learner that carries its memory, by their number.

    Args:
        ids: (N,) integer, with the end token between documents.

    Raises:
        SettingsError: there is no row, or a chunk has fewer than two tokens.
        DataError: the text does not fill one chunk of every row.
    """
    return Streams(ids, rows, length)
