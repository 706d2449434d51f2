"""Vectors of texts from a pretrained model, as it is: of tokens, of sentences and of pairs.

Letters: N rows, S tokens of all rows, T tokens of one row, H hidden.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike, fspath
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer as Backend
from torch import Tensor
from transformers import AutoConfig, AutoModel

from petkit.backbones import FAMILIES
from petkit.backbones.modelfiles import check_folder, open_pretrained, resolve
from petkit.backbones.plain import inputs_of
from petkit.batching import Batch, collate, token_budget_batches
from petkit.choices import did_you_mean
from petkit.compute import choose_device
from petkit.encoding.encoded import Encoded, flat_ranges
from petkit.encoding.tokenizing import Frame, Spans, frame_of, is_separable, plain_backend, read_rows, spans_of
from petkit.encoding.truncation import drop_longest_first
from petkit.errors import ModelError, SettingsError
from petkit.finetuning.models import longest_input, open_tokenizer
from petkit.finetuning.windows import framed

__all__ = ["POOLINGS", "TokenRows", "Vectors", "load_vectors"]

Float = NDArray[np.float32]

POOLINGS: Final = ("cls", "mean")
"""cls: the state at the CLS token. mean: of the states of all tokens of the row, special ones included, as in Sentence-BERT
(Reimers & Gurevych 2019, section 3, arXiv 1908.10084)."""

_LONGEST: Final = 512


@dataclass(frozen=True)
class TokenRows:
    """N rows of tokens, and where those of the texts stand.

    Attributes:
        inputs: what the model reads, special tokens included.
        segments: (S,) int8: 0 and 1 for tokens of the first and the second text, -1 for special tokens.
        starts, ends: (S,) int64: a token's first character and the one after its last, counted in its text; 0 for special tokens.
        cut: (N,) bool: rows that were too long and lost tokens.
    """

    inputs: Encoded
    segments: NDArray[np.int8]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    cut: NDArray[np.bool_]


@dataclass(frozen=True)
class Vectors:
    """A pretrained encoder that gives vectors; made by ``load_vectors``.

    Attributes:
        model: gives states at its layers. names: its tokenizer as it is, which knows what tokens are called; backend: the same, plain;
            separable: whether it splits at spaces, so that only the beginning of a long text need be read;
            frame: the special tokens around one or two texts.
        cls_id: the token whose state stands for the row, None if the tokenizer adds none. unk_id: the one for what it does not know.
        max_length: tokens of a row, special ones included. layer: 0 for the embeddings, None for the last. token_budget: of a batch.
    """

    model: Any
    names: Backend
    backend: Backend
    separable: bool
    frame: Frame
    pad_id: int
    cls_id: int | None
    unk_id: int | None
    max_length: int
    layer: int | None = None
    token_budget: int = 8192

    @property
    def hidden_size(self) -> int:
        """H."""
        return int(self.model.config.hidden_size)

    @property
    def poolings(self) -> tuple[str, ...]:
        """Those of ``POOLINGS`` that the tokenizer allows."""
        return POOLINGS if self.cls_id is not None else ("mean",)

    def piece(self, token: int) -> str:
        """A token as the vocabulary has it."""
        return str(self.names.id_to_token(token))

    def tokens(self, rows: Sequence[Sequence[str]]) -> TokenRows:
        """Rows of one text or two, tokenised as transformers does with ``truncation=True``; special tokens that a text spells stay text."""
        if (lone := next((row for row in rows if isinstance(row, str)), None)) is not None:
            raise SettingsError(f"rows hold the string {lone[:40]!r}; a row is a tuple of one text, or of two: {(lone[:40],)!r}")
        enough, room = self.max_length if self.separable else None, self.max_length - self.frame.specials(2)
        found = read_rows(partial(spans_of, self.backend), lambda one: len(one.ids), rows, enough=enough, room=room)
        return _joined([self._row(list(zip(row, spans, strict=True))) for row, spans in zip(rows, found, strict=True)])

    def _row(self, texts: Sequence[tuple[str, Spans]]) -> _Row:
        lengths = [len(found.ids) for _, found in texts]
        room = self.max_length - self.frame.specials(len(texts))
        kept = [min(lengths[0], room)] if len(texts) == 1 else list(drop_longest_first(lengths[0], lengths[1], room))
        parts = [found.ids[:keep] for (_, found), keep in zip(texts, kept, strict=True)]
        ids, types, firsts = framed(self.frame, parts)
        segments, places = np.full(len(ids), -1, dtype=np.int8), np.zeros((len(ids), 2), dtype=np.int64)
        for number, (first, keep, (text, found)) in enumerate(zip(firsts, kept, texts, strict=True)):
            segments[first : first + keep] = number
            spans = [
                _trimmed(text, start, end) for start, end in zip(found.starts[:keep].tolist(), found.ends[:keep].tolist(), strict=True)
            ]
            places[first : first + keep] = np.array(spans, dtype=np.int64).reshape(-1, 2)
        return _Row(ids, types, segments, places, sum(kept) < sum(lengths))

    def sentences(self, rows: TokenRows, poolings: Sequence[str] = ("mean",)) -> dict[str, Float]:
        """Vectors (N, H) float32 for each of ``poolings``. Rows without any token, which only GPT-2's like has, are zeros.

        Raises SettingsError for a pooling that is unknown or that the tokenizer has no token for.
        """
        self.check(poolings)
        found = {name: np.zeros((len(rows.inputs), self.hidden_size), dtype=np.float32) for name in poolings}
        for chosen, batch, states in self._states(rows.inputs):
            for name, vectors in found.items():
                vectors[chosen] = (self._cls if name == "cls" else _mean)(batch, states).cpu().numpy()
        return found

    def token_states(self, rows: TokenRows) -> Float:
        """Vectors (S, H) float32 of all tokens, special ones included, in the order of ``rows``."""
        found = np.zeros((len(rows.inputs.ids), self.hidden_size), dtype=np.float32)
        for chosen, batch, states in self._states(rows.inputs):
            where = flat_ranges(rows.inputs.offsets[chosen], rows.inputs.lengths[chosen])
            found[where] = states[batch.attention_mask.bool()].cpu().numpy()
        return found

    def unknown(self, rows: TokenRows) -> tuple[int, int]:
        """How many tokens of the texts the tokenizer does not know, and how many there are; special tokens do not count."""
        of_texts = rows.inputs.ids[rows.segments >= 0]
        return int((of_texts == self.unk_id).sum()) if self.unk_id is not None else 0, len(of_texts)

    def check(self, poolings: Sequence[str]) -> None:
        """Raise SettingsError for a pooling that is unknown or that the tokenizer has no token for."""
        odd = [name for name in poolings if name not in POOLINGS]
        if odd or not poolings:
            legal = f"{', '.join(POOLINGS)}, or both with a comma between{did_you_mean(odd, POOLINGS)}"
            raise SettingsError(f"--pooling is {','.join(poolings)!r}; legal are {legal}")
        if "cls" in poolings and self.cls_id is None:
            raise SettingsError("--pooling cls: this model's tokenizer adds no CLS token; mean is legal")

    def _cls(self, batch: Batch, states: Tensor) -> Tensor:
        """(B, H); the token stands at the start of the row or, in XLNet, at its end, and nowhere else."""
        place = torch.eq(batch.input_ids, int(self.cls_id or 0)).int().argmax(dim=1)
        return states[torch.arange(len(states), device=states.device), place]

    @torch.inference_mode()
    def _states(self, inputs: Encoded) -> Iterator[tuple[NDArray[np.int64], Batch, Tensor]]:
        """Row numbers (B,), batch and states (B, T, H) float32, longest rows first; rows without tokens are left out."""
        for chosen in token_budget_batches(inputs.lengths, tokens=self.token_budget):
            chosen = chosen[inputs.lengths[chosen] > 0]
            if not len(chosen):
                continue
            batch = collate(inputs, chosen, pad_id=self.pad_id, device=self.model.device)
            found = self.model(**inputs_of(self.model, batch), output_hidden_states=self.layer is not None)
            states = found.last_hidden_state if self.layer is None else found.hidden_states[self.layer]
            yield chosen, batch, states.float()


@dataclass(frozen=True)
class _Row:
    """One row, as in ``TokenRows``; ``places`` (T, 2) are starts and ends."""

    ids: NDArray[np.int32]
    types: NDArray[np.uint8]
    segments: NDArray[np.int8]
    places: NDArray[np.int64]
    cut: bool


def _joined(rows: Sequence[_Row]) -> TokenRows:
    lengths = np.array([len(row.ids) for row in rows], dtype=np.int64)
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
    ids = np.concatenate([np.zeros(0, dtype=np.int32), *(row.ids for row in rows)])
    types = np.concatenate([np.zeros(0, dtype=np.uint8), *(row.types for row in rows)])
    segments = np.concatenate([np.zeros(0, dtype=np.int8), *(row.segments for row in rows)])
    places = np.concatenate([np.zeros((0, 2), dtype=np.int64), *(row.places for row in rows)])
    none = np.zeros((len(rows), 0), dtype=np.int32)
    inputs = Encoded(ids, types, offsets, none, lengths.astype(np.int32), np.zeros(len(rows), dtype=np.int32))
    return TokenRows(inputs, segments, places[:, 0], places[:, 1], np.array([row.cut for row in rows], dtype=np.bool_))


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """A token's place without the blanks that byte-level and SentencePiece tokenizers count to it; of blanks alone, all of them."""
    token = text[start:end]
    if not token.strip():
        return start, end
    return start + len(token) - len(token.lstrip()), end - len(token) + len(token.rstrip())


def _mean(batch: Batch, states: Tensor) -> Tensor:
    """(B, H): padding counts for nothing."""
    mask = batch.attention_mask.unsqueeze(-1).to(states.dtype)
    return (states * mask).sum(dim=1) / mask.sum(dim=1)


def load_vectors(
    path: str | PathLike[str],
    *,
    layer: int | None = None,
    max_length: int | None = None,
    token_budget: int = 8192,
    device: str = "auto",
) -> Vectors:
    """Open a text model of any type that AutoModel opens, from safetensors only; of T5's and BART's kind the encoder alone.

    Args:
        path: a folder, a hub name, or ``builtin``. layer: whose output; 0 for the embeddings, None for the last.
        max_length: tokens of a row; None for the most that the model takes, at most 512. token_budget: tokens of a batch.

    Raises ModelError: no checkpoint, several models in one (CLIP), pickle weights, damaged or incomplete weights, no fast tokenizer.
    SettingsError: a layer or a length that the model has not.
    """
    path = resolve(fspath(path))
    check_folder(path)
    tokenizer, config = open_tokenizer(path), open_pretrained(AutoConfig, path)
    longest = longest_input(config)
    length = min(longest or _LONGEST, _LONGEST) if max_length is None else max_length
    frame = frame_of(tokenizer)
    _check(path, config, layer, length, longest, frame.specials(2) + 2)
    model = _open(path, config).to(choose_device(device))
    cls_id = tokenizer.cls_token_id
    added = cls_id is not None and any(token == cls_id for token, _ in frame.single)
    names, backend = tokenizer.backend_tokenizer, plain_backend(tokenizer)
    ids = {"pad_id": int(tokenizer.pad_token_id), "cls_id": cls_id if added else None, "unk_id": tokenizer.unk_token_id}
    return Vectors(model, names, backend, is_separable(backend), frame, **ids, max_length=length, layer=layer, token_budget=token_budget)


def _check(path: str, config: Any, layer: int | None, length: int, longest: int | None, least: int) -> None:
    if not all(hasattr(config, name) for name in ("num_hidden_layers", "hidden_size")):
        raise ModelError(f"model {path!r} is of type {config.model_type!r}, which is not one stack of layers over text; give a text model")
    layers = int(config.num_hidden_layers)
    if layer is not None and not 0 <= layer <= layers:
        raise SettingsError(f"--layer is {layer}; this model has 0 (the embeddings) to {layers}")
    if length < least or (longest is not None and length > longest):
        raise SettingsError(f"--max-length is {length}; this model takes {least} to {longest or 'any number of'} tokens")


def _open(path: str, config: Any) -> Any:
    options: dict[str, Any] = {"config": config, "dtype": torch.float32, "use_safetensors": True}
    if config.model_type in FAMILIES:
        options["attn_implementation"] = FAMILIES[config.model_type].attention
    model, found = open_pretrained(AutoModel, path, output_loading_info=True, **options)
    lost = sorted(key for key in found["missing_keys"] if "pooler" not in key.split("."))
    if lost:
        raise ModelError(f"model {path!r} lacks {len(lost)} of its weights ({', '.join(lost[:3])}, ...)")
    return (model.get_encoder() if config.is_encoder_decoder else model).eval()
