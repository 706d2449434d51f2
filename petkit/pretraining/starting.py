"""What a pretraining run starts from: a new model or a checkpoint, with a learner for each objective."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch

from petkit.backbones import MaskedLM
from petkit.errors import SettingsError
from petkit.objectives import Vocabulary
from petkit.pretraining.architectures import longest_row, new_model, open_model
from petkit.pretraining.electra import Electra
from petkit.pretraining.learners import learner_for
from petkit.pretraining.loop import Joint
from petkit.pretraining.settings import PretrainSettings
from petkit.pretraining.tasks import turn

__all__ = ["join_learners", "lengthen", "new_weights", "repeat_positions", "start_model"]


def start_model(settings: PretrainSettings, tokenizer: Any) -> Any:
    """A new model from the settings' seed, or the checkpoint ``init``. Raises SettingsError where rows are longer than it can read."""
    objectives = settings.rows_of_table()
    if settings.init is not None:
        model = open_model(settings.init, objectives, dropout=settings.dropout, trust_remote_code=settings.trust_remote_code)
        if (most := longest_row(model)) is not None and settings.longest > most:
            raise SettingsError(f"rows of {settings.longest} tokens exceed the {most} that {settings.init} can read; --length sets them")
        return model
    return new_model(
        settings.arch,
        tokenizer,
        layers=settings.layers,
        hidden=settings.hidden,
        heads=settings.heads,
        intermediate=settings.intermediate,
        max_positions=settings.max_positions,
        dropout=settings.dropout,
        seed=settings.seed,
        objectives=objectives,
        teacher=settings.teacher,
    )


def new_weights(settings: PretrainSettings) -> tuple[str, ...]:
    """The names of the weights that the objectives need and ``init`` lacks, which start at random. Raises as ``open_model``."""
    if settings.init is None:
        return ()
    model = open_model(settings.init, settings.rows_of_table(), trust_remote_code=settings.trust_remote_code)
    return tuple(getattr(model.generator if isinstance(model, Electra) else model, "missing", ()))


def join_learners(model: Any, settings: PretrainSettings, vocabulary: Vocabulary) -> Joint:
    """The learners of all objectives on one model, on the settings' device."""
    learners = {
        objective.name: learner_for(objective, model, vocabulary, teacher=settings.teacher, seed=settings.seed, init=settings.init)
        for objective in settings.rows_of_table()
    }
    joint = Joint(learners).to(settings.device)
    for learner in learners.values():
        if settings.gradient_checkpointing:
            learner.checkpoint_activations()
        if settings.compile:
            learner.compile_layers()
    return joint


def lengthen(model: Any, settings: PretrainSettings, step: int, _steps: int) -> None:
    """Before the first of the longer rows, a new model's later positions start from the trained ones."""
    if step == turn(settings) and settings.init is None and (settings.long_length or 0) > settings.length:
        repeat_positions(model, settings.length)


_TABLES: Final[Mapping[str, str]] = {"bart": "embed_positions", "gpt2": "wpe"}
"""What ends the name of a family's table of learned positions, where it is not ``position_embeddings``."""


def _first_position(config: Any) -> int:
    """The row of a family's table that the first token of a text has."""
    return {"roberta": (config.pad_token_id or 0) + 1, "bart": 2}.get(config.model_type, 0)


@torch.no_grad()
def repeat_positions(model: Any, trained: int) -> None:
    """Start learned positions from the ``trained``-th on as copies of those before, so that longer rows need little learning.

    As Beltagy et al. 2020 (arXiv 2004.05150, section 5) extend a model to longer inputs. Differs from BERT's schedule, which leaves
    them at random until the longer rows come. A model without learned positions (T5, XLNet, DeBERTa, ModernBERT) stays as it is.

    Args:
        model: as ``new_model`` makes it.
    """
    config = model.model.config if isinstance(model, MaskedLM) else model.config
    name, first = _TABLES.get(config.model_type, "position_embeddings"), _first_position(config)
    for path, module in model.named_modules():
        if path.endswith(name) and isinstance(module, torch.nn.Embedding):
            weight = module.weight[first:]
            for start in range(trained, len(weight), trained):
                weight[start : start + trained] = weight[: min(trained, len(weight) - start)]
