"""Masked language models: what differs between families in one table, and a model that computes only what is asked.

A classic masked-LM forward makes (B, T, V) logits to read a few numbers at one position. ``MaskedLM`` splits it:
``slot_hidden`` (B, M, H) at the mask slots, then ``word_logits`` (decoder rows of the label words only) or
``vocab_logits`` (all rows, for the positions that are given). No (B, T, V) array is ever made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForSequenceClassification, AutoTokenizer

from petkit.backbones import heads, stacks
from petkit.backbones.dropout import set_dropout
from petkit.backbones.heads import Head
from petkit.backbones.masks import attention_mask_for
from petkit.backbones.modelfiles import (
    check_folder,
    check_model_type,
    check_tokenizer_folder,
    open_pretrained,
    quiet,
    refuse_adapters,
    refuse_model_type,
    resolve,
)
from petkit.backbones.stacks import Layout, Stack, gather_slots, hidden_states, slot_states
from petkit.errors import ModelError
from petkit.tensors import on

if TYPE_CHECKING:
    from petkit.batching import Batch

__all__ = ["FAMILIES", "Family", "MaskedLM", "check_vocabulary", "load_classifier", "load_masked_lm", "load_tokenizer"]


@dataclass(frozen=True)
class Family:
    """Where a family of models keeps its parts."""

    encoder: str
    """Attribute of the masked-LM model that holds the encoder."""
    head: Callable[[Any], Head]
    own: tuple[str, ...]
    """How the names of the head's own weights begin; if they are missing, so is the head."""
    types: bool = False
    """Whether it takes token type ids."""
    stack: Stack | None = None
    """How to run it layer by layer; None if only as a whole."""
    attention: str = "sdpa"


_ROBERTA = Family("roberta", heads.roberta_head, ("lm_head.",), stack=stacks.bert_stack)

FAMILIES: dict[str, Family] = {
    "bert": Family("bert", heads.bert_head, ("cls.",), types=True, stack=stacks.bert_stack),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "albert": Family("albert", heads.albert_head, ("predictions.",), types=True, stack=stacks.albert_stack),
    "distilbert": Family("distilbert", heads.distilbert_head, ("vocab_",), stack=stacks.distilbert_stack),
    "deberta-v2": Family("deberta", heads.deberta_head, ("cls.", "lm_predictions."), types=True, attention="eager"),
    "electra": Family("electra", heads.electra_head, ("generator_",), types=True, stack=stacks.bert_stack),
    "modernbert": Family("model", heads.modernbert_head, ("head.", "decoder.")),
}
"""config.model_type -> family. DeBERTa-v2 includes v3; ELECTRA means its generator."""


class MaskedLM(nn.Module):
    """A masked language model of transformers, asked in pieces. Letters: B rows, T tokens, M slots, H hidden, V vocabulary.

    Args:
        model: a ``*ForMaskedLM`` of a family in ``FAMILIES``.
        missing: names of the head's weights that the checkpoint lacked.
    """

    def __init__(self, model: Any, *, missing: Sequence[str] = ()) -> None:
        super().__init__()
        refuse_model_type(type(model).__name__, model.config.model_type, list(FAMILIES))
        self.model = model
        self.missing = tuple(sorted(missing))
        self.train(model.training)

    @property
    def family(self) -> Family:
        """The model's row of the table."""
        return FAMILIES[self.model.config.model_type]

    @property
    def hidden_size(self) -> int:
        """H."""
        return int(self.model.config.hidden_size)

    @property
    def vocab_size(self) -> int:
        """V, the rows of the decoder."""
        return int(self._head().weight.shape[0])

    @property
    def max_length(self) -> int:
        """The most tokens a row may have, special tokens counted."""
        return longest_input(self.model.config)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        first: Tensor = next(self.model.parameters())
        return first.device

    def _head(self) -> Head:
        return self.family.head(self.model)

    def _encoder(self) -> Any:
        return getattr(self.model, self.family.encoder)

    def _inputs(self, batch: Batch) -> dict[str, Tensor]:
        inputs = {"input_ids": batch.input_ids}
        if self.family.types and self.model.config.type_vocab_size > 1:
            inputs["token_type_ids"] = batch.token_type_ids
        return inputs

    def _stack(self) -> Stack | None:
        """The way to run layers one by one; not if someone chose another attention, whose masks have another form."""
        return self.family.stack if self.model.config._attn_implementation == "sdpa" else None

    def hidden(self, batch: Batch) -> Tensor:
        """The last layer's states at all positions, before the head: (B, T, H). What stands at padding means nothing."""
        stack, encoder, inputs = self._stack(), self._encoder(), self._inputs(batch)
        if stack is not None:
            return hidden_states(stack, encoder, inputs, Layout.of(batch.attention_mask, full=batch.full))
        states: Tensor = encoder(attention_mask=attention_mask_for(encoder, batch), **inputs).last_hidden_state
        return states

    def slot_hidden(self, batch: Batch) -> Tensor:
        """The last layer's states at ``batch.slots``: (B, M, H), the same as ``hidden`` there.

        Where the family allows, the last layer runs only there: keys and values for all positions,
        queries and feed-forward for the slots.
        """
        stack = self._stack()
        if stack is None or batch.slots.shape[1] == 0:
            return gather_slots(self.hidden(batch), batch.slots)
        layout = Layout.of(batch.attention_mask, full=batch.full)
        return slot_states(stack, self._encoder(), self._inputs(batch), layout, batch.slots)

    def hidden_at(self, batch: Batch, positions: NDArray[np.int64]) -> Tensor:
        """The last layer's states at some positions: (S, H), computed as ``slot_hidden``; ``batch.slots`` plays no part.

        Args:
            positions: (S,) int64 into the flattened (B T), ascending; in the CPU's memory, so that no device has to be waited for.
        """
        rows, places = np.divmod(positions, batch.input_ids.shape[1])
        counts = np.bincount(rows, minlength=len(batch))
        rank = np.arange(len(rows)) - (np.cumsum(counts) - counts)[rows]
        slots = np.zeros((len(batch), int(counts.max(initial=1))), dtype=np.int64)
        slots[rows, rank] = places
        asked = replace(batch, slots=on(slots, batch.input_ids.device))
        found = self.slot_hidden(asked).flatten(0, 1)
        return found.index_select(0, on(rows * slots.shape[1] + rank, found.device))

    def _features(self, head: Head, hidden: Tensor) -> Tensor:
        for step in head.transform:
            hidden = step(hidden)
        return hidden

    def vocab_logits(self, hidden: Tensor) -> Tensor:
        """Logits of all words for hidden states (N, H): (N, V) float32. N is meant to be small."""
        head = self._head()
        return functional.linear(self._features(head, hidden), head.weight, head.bias).float()

    def word_logits(self, hidden: Tensor, ids: Tensor) -> Tensor:
        """Logits of the words ``ids`` (W,) int64 for hidden states (N, H): (N, W) float32, columns of ``vocab_logits``."""
        head = self._head()
        bias = None if head.bias is None else head.bias[ids]
        with torch.autocast(hidden.device.type, enabled=False):  # so few rows cost nothing, and label scores keep their digits
            return functional.linear(self._features(head, hidden.float()), head.weight[ids], bias).float()

    def save(self, path: str) -> None:
        """Write config and weights (safetensors) into the folder ``path``; plain transformers opens it."""
        with quiet():
            self.model.save_pretrained(path)


def longest_input(config: Any) -> int:
    """The most tokens a row may have for a model with this transformers config, special tokens counted."""
    taken = config.pad_token_id + 1 if FAMILIES[config.model_type] is _ROBERTA else 0  # RoBERTa counts positions from there
    return int(config.max_position_embeddings) - taken


def load_masked_lm(
    path: str,
    *,
    trust_remote_code: bool = False,
    revision: str | None = None,
    local_files_only: bool = False,
    dropout: float | None = None,
) -> MaskedLM:
    """Open a checkpoint as a masked language model, in float32 and evaluation mode.

    A head that the checkpoint lacks is drawn at random (seed 0) and named in ``MaskedLM.missing``.

    Args:
        path: a folder, a hub name, or ``builtin``.
        trust_remote_code: let code in the checkpoint run.
        revision: of the hub repository.
        local_files_only: take hub names from the local cache only.
        dropout: rate of all its layers while it is trained, whatever its config says and goes on to say; None for the config's.

    Raises ModelError: not a model folder, a model type outside ``FAMILIES``, pickle weights, damaged or incomplete weights.
    """
    path, config, options = _prepare(path, trust_remote_code, revision, local_files_only)
    usual = set_dropout(config, dropout)
    if not getattr(config, "legacy", True):
        config.tie_word_embeddings = False  # that head's decoder is the word embeddings; transformers 5.4 would look for weights to tie
    model, found = open_pretrained(AutoModelForMaskedLM, path, config=config, output_loading_info=True, **options)
    if getattr(config, "legacy", False) and any(key.startswith("lm_predictions.lm_head.") for key in found["unexpected_keys"]):
        config.legacy = False  # the published DeBERTa-v3 files hold the other head, and their configs do not say so
        config.tie_word_embeddings = False
        model, found = open_pretrained(AutoModelForMaskedLM, path, config=config, output_loading_info=True, **options)
    model.config.update(usual)
    own = FAMILIES[config.model_type].own
    _refuse_lost(path, [key for key in found["missing_keys"] if not key.startswith(own)])
    return MaskedLM(model, missing=[key for key in found["missing_keys"] if key.startswith(own)])


def _refuse_lost(path: str, lost: Sequence[str]) -> None:
    if lost:
        raise ModelError(f"model {path!r} lacks {len(lost)} of its encoder's weights ({', '.join(sorted(lost)[:3])}, ...)")


def load_classifier(
    path: str,
    labels: Sequence[str],
    *,
    seed: int = 0,
    trust_remote_code: bool = False,
    revision: str | None = None,
    local_files_only: bool = False,
) -> Any:
    """Open a checkpoint as a sequence classifier over ``labels``: logits (B, C), label names in its config.

    The classification head is drawn at random by ``seed`` unless the checkpoint has one for as many labels.
    Arguments and errors as ``load_masked_lm``.
    """
    path, config, options = _prepare(path, trust_remote_code, revision, local_files_only)
    refuse_adapters(path, config, "an ordinary classifier")
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in enumerate(labels)}
    config.problem_type = "single_label_classification"
    options |= {"ignore_mismatched_sizes": True, "output_loading_info": True}
    model, found = open_pretrained(AutoModelForSequenceClassification, path, seed=seed, config=config, **options)
    body = FAMILIES[config.model_type].encoder + "."
    _refuse_lost(path, [key for key in found["missing_keys"] if key.startswith(body) and ".pooler." not in key])
    return model


def _prepare(path: str, trust_remote_code: bool, revision: str | None, local_files_only: bool) -> tuple[str, Any, dict[str, Any]]:
    """Check a checkpoint; give its resolved path, its config and the options to open it with."""
    path, legal = resolve(path), list(FAMILIES)
    check_folder(path)
    check_model_type(path, legal)
    common: dict[str, Any] = {"trust_remote_code": trust_remote_code, "revision": revision or "main", "local_files_only": local_files_only}
    config = open_pretrained(AutoConfig, path, **common)
    refuse_model_type(path, config.model_type, legal)
    attention = FAMILIES[config.model_type].attention
    return path, config, {**common, "dtype": torch.float32, "use_safetensors": True, "attn_implementation": attention}


def load_tokenizer(
    path: str, *, trust_remote_code: bool = False, revision: str | None = None, local_files_only: bool = False, masked: bool = True
) -> Any:
    """Open a checkpoint's tokenizer. Arguments as ``load_masked_lm``.

    Args:
        masked: it has to be one of a masked language model. Otherwise a missing padding token (GPT-2) is the end token.

    Raises ModelError: no tokenizer there, none that tracks characters ("fast"), or none with the mask and padding tokens that it needs.
    """
    path = resolve(path)
    check_tokenizer_folder(path)
    tokenizer = open_pretrained(
        AutoTokenizer,
        path,
        trust_remote_code=trust_remote_code,
        revision=revision or "main",
        local_files_only=local_files_only,
    )
    if not tokenizer.is_fast:
        raise ModelError(f"tokenizer {path!r} is a slow one; a tokenizer.json is needed")
    if not masked and tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    for name in ("mask_token", "pad_token") if masked else ("pad_token",):
        if getattr(tokenizer, name) is None:
            raise ModelError(f"tokenizer {path!r} has no {name}; it is not one of a {'masked ' if masked else ''}language model")
    return tokenizer


def check_vocabulary(model: MaskedLM, tokenizer: Any) -> None:
    """Refuse a tokenizer with tokens that the model has no embedding for. Raises ModelError. (A model may have more.)"""
    rows, tokens = int(model.model.get_input_embeddings().num_embeddings), len(tokenizer)
    if tokens > rows:
        raise ModelError(f"the tokenizer has {tokens} tokens and the model embeddings for {rows}; they do not belong together")
