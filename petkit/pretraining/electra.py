"""ELECTRA's two models: a small generator and a discriminator over the same embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from torch import nn
from transformers import ElectraConfig, ElectraForMaskedLM, ElectraForPreTraining

from petkit.backbones import MaskedLM, load_masked_lm
from petkit.backbones.dropout import set_dropout
from petkit.backbones.modelfiles import check_folder, check_model_type, open_pretrained, resolve
from petkit.errors import ModelError

__all__ = ["DISCRIMINATOR", "Electra", "new_electra", "open_electra"]

DISCRIMINATOR: Final = "discriminator"
"""The discriminator's folder in that of the generator."""


class Electra(nn.Module):
    """Generator and discriminator with one embedding module (Clark et al. 2020, section 3.2, arXiv 2003.10555).

    As in the reference implementation not only the words' but all embeddings are shared, their layer norm too.
    """

    def __init__(self, generator: MaskedLM, discriminator: Any) -> None:
        super().__init__()
        shapes = [tuple(model.get_input_embeddings().weight.shape) for model in (generator.model, discriminator)]
        if shapes[0] != shapes[1]:
            raise ModelError(f"generator and discriminator have word embeddings of {shapes[0]} and {shapes[1]}; they are to share them")
        self.generator, self.discriminator = generator, MaskedLM(discriminator)
        discriminator.electra.embeddings = generator.model.electra.embeddings

    @property
    def config(self) -> Any:
        """The discriminator's."""
        return self.discriminator.model.config

    @property
    def max_length(self) -> int:
        """The most tokens a row may have, special tokens counted."""
        return min(self.generator.max_length, self.discriminator.max_length)


def new_electra(config: ElectraConfig, *, width: float, dropout: float | None) -> Electra:
    """Two new models: the discriminator as ``config`` says, the generator with ``width`` times its hidden size, heads and feed-forward.

    Both have as many layers. The generator has at least one head, and as many heads as divide its hidden size.
    """
    hidden = max(1, round(width * config.hidden_size))
    most = max(1, round(width * config.num_attention_heads))
    heads = next(count for count in range(most, 0, -1) if hidden % count == 0)
    small = {"hidden_size": hidden, "num_attention_heads": heads, "intermediate_size": max(1, round(width * config.intermediate_size))}
    smaller = ElectraConfig(**{**config.to_dict(), **small})
    usual = [set_dropout(each, dropout) for each in (smaller, config)]
    generator, discriminator = ElectraForMaskedLM(smaller), ElectraForPreTraining(config)
    for model, rates in zip((generator, discriminator), usual, strict=True):
        model.config.update(rates)
    return Electra(MaskedLM(generator), discriminator)


def open_electra(path: str, *, dropout: float | None = None) -> Electra:
    """Both models of a folder that holds the generator and in ``discriminator`` the other one; safetensors only.

    Raises ModelError: one of them is missing, damaged, or they have other embeddings.
    """
    folder = Path(resolve(path)) / DISCRIMINATOR
    if not folder.is_dir():
        raise ModelError(f"model {path!r} has no folder {DISCRIMINATOR!r}; what --objective electra wrote has one, with the second model")
    check_folder(str(folder))
    check_model_type(str(folder), ["electra"])
    config = open_pretrained(ElectraConfig, str(folder))
    usual = set_dropout(config, dropout)
    options = {"config": config, "use_safetensors": True, "output_loading_info": True}
    discriminator, found = open_pretrained(ElectraForPreTraining, str(folder), **options)
    if found["missing_keys"]:
        raise ModelError(f"model '{folder}' is no ELECTRA discriminator; it lacks {', '.join(sorted(found['missing_keys'])[:3])}")
    discriminator.config.update(usual)
    return Electra(load_masked_lm(path, dropout=dropout), discriminator.float())
