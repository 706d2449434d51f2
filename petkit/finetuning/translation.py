"""A translator into BART's language (Lewis et al. 2020, section 3.4, arXiv 1910.13461): BART with a new encoder for another vocabulary.

The new encoder reads the foreign text and gives BART's own encoder, in the place of its word embeddings, something that it can denoise.
Two stages: first the new encoder learns, with BART's positions and the input projections of its first layer; then all weights, for
few steps.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn

from petkit.choices import legal_are
from petkit.errors import SettingsError
from petkit.strategies.preparing import restoring, train_only
from petkit.training import Trained, TrainSettings, seeded, train

__all__ = ["STAGES", "Translator", "new_translator", "train_stage"]

Stage = Literal["encoder", "all"]
STAGES: Final = ("encoder", "all")
"""In their order."""

TranslationBatch = tuple[Tensor, Tensor, Tensor]
"""Foreign ids (B, S) int64, which of them are no padding (B, S) bool, and labels (B, U) int64, -100 at padding."""


class Translator(nn.Module):
    """BART behind a source encoder of its own width.

    Args:
        bart: a ``BartForConditionalGeneration``. source: a ``BartEncoder`` over the foreign vocabulary.
    """

    def __init__(self, bart: Any, source: Any) -> None:
        super().__init__()
        self.bart, self.source = bart, source

    def embedded(self, ids: Tensor, valid: Tensor) -> Tensor:
        """What BART's encoder reads in the place of word embeddings: (B, S, H)."""
        states: Tensor = self.source(input_ids=ids, attention_mask=valid.long()).last_hidden_state
        return states

    def forward(self, ids: Tensor, valid: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy of the translation's tokens: a scalar."""
        found = self.bart(inputs_embeds=self.embedded(ids, valid), attention_mask=valid.long(), labels=labels)
        loss: Tensor = found.loss
        return loss

    @torch.no_grad()
    def translate(self, ids: Tensor, valid: Tensor, **options: Any) -> Tensor:
        """Ids (B, U) int64 in BART's vocabulary by transformers' ``generate``; ``options`` are its own, such as ``num_beams``."""
        found: Tensor = self.bart.generate(inputs_embeds=self.embedded(ids, valid), attention_mask=valid.long(), **options)
        return found

    def stage_parameters(self, stage: Stage) -> list[nn.Parameter]:
        """The weights that a stage trains. "encoder": of the new encoder, BART's encoder positions, and the projections to queries,
        keys and values of its first layer. "all": all."""
        if stage == "all":
            return list(self.parameters())
        encoder = self.bart.model.encoder
        first = encoder.layers[0].self_attn
        parts = (self.source, encoder.embed_positions, first.q_proj, first.k_proj, first.v_proj)
        return [parameter for part in parts for parameter in part.parameters()]

    def save(self, folder: str | Path) -> None:
        """BART into ``folder/bart``, the source encoder into ``folder/source``; plain transformers opens both."""
        self.bart.save_pretrained(str(Path(folder) / "bart"))
        self.source.save_pretrained(str(Path(folder) / "source"))


def new_translator(bart: Any, *, vocabulary: int, pad_id: int, layers: int = 6, seed: int = 0) -> Translator:
    """BART with a new source encoder over ``vocabulary`` foreign ids, as wide as BART, with random weights from ``seed``."""
    from transformers.models.bart.modeling_bart import BartEncoder

    if bart.config.model_type != "bart":
        raise SettingsError(f"a translator is made of a bart model; this one is a {bart.config.model_type}")
    config = copy.deepcopy(bart.config)
    config.update({"vocab_size": vocabulary, "pad_token_id": pad_id, "encoder_layers": layers, "num_hidden_layers": layers})
    with seeded(seed, "translation", "source"):
        return Translator(bart, BartEncoder(config))


def train_stage(
    translator: Translator,
    stage: Stage,
    batch: Callable[[int], TranslationBatch],
    settings: TrainSettings,
    *,
    seed: int,
    checkpoint: Path | None = None,
) -> Trained:
    """Train one of ``STAGES`` in place, in their order.

    Args:
        batch: number -> batch, 0, 1, 2, ...: ``settings.accumulate`` of them for each update.
    """
    if stage not in STAGES:
        raise SettingsError(f"stage is {stage!r}; {legal_are(stage, STAGES)}")

    def losses(step: int, micro: int) -> dict[str, Tensor]:
        return {"loss": translator(*batch(step * settings.accumulate + micro))}

    with restoring(translator):
        train_only(translator, translator.stage_parameters(stage))
        return train(translator, losses, settings, seed=seed, stage=f"translation, {stage}", checkpoint=checkpoint)
