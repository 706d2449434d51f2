"""DistilBERT's start: a student made of some of a BERT teacher's layers."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import torch

from petkit.backbones import MaskedLM, load_masked_lm
from petkit.errors import ModelError, SettingsError
from petkit.objectives import Distillation

__all__ = ["open_teacher", "start_from", "student_layers"]


def open_teacher(path: str) -> MaskedLM:
    """A BERT checkpoint as a teacher: in evaluation mode, without gradients. Raises ModelError, of another family too."""
    teacher = load_masked_lm(path)
    if teacher.model.config.model_type != "bert":
        raise ModelError(f"teacher {path!r} has the model type {teacher.model.config.model_type!r}; --objective distilbert takes a bert")
    return teacher.eval().requires_grad_(False)


def student_layers(objective: Distillation, *, teacher: int, student: int) -> tuple[int, ...]:
    """Which of ``teacher`` layers a student of ``student`` layers starts from.

    Spread evenly from the first to the last, rounded: of 12 for 6 the published 0 2 4 7 9 11. An objective with other
    ``teacher_layers`` than the preset's gives them itself. Raises SettingsError where they do not fit.

    >>> from petkit.objectives import preset
    >>> student_layers(preset("distilbert"), teacher=24, student=6)
    (0, 5, 9, 14, 18, 23)
    """
    usual = next(field.default for field in fields(Distillation) if field.name == "teacher_layers")
    given = objective.teacher_layers
    if given != usual:
        if len(given) != student or not all(0 <= layer < teacher for layer in given):
            raise SettingsError(f"teacher_layers {given} do not fit a student of {student} layers and a teacher of {teacher}")
        return given
    if student > teacher:
        raise SettingsError(f"a student of {student} layers cannot start from a teacher of {teacher}; --size layers={teacher} or fewer")
    return tuple(round(index * (teacher - 1) / max(1, student - 1)) for index in range(student))


def start_from(student: Any, teacher: MaskedLM, layers: tuple[int, ...]) -> None:
    """Copy a BERT's embeddings, these of its layers, and its head into a ``DistilBertForMaskedLM`` of the same width.

    The student has no token types; type 0 is added to its positions, so that it starts with the teacher's embeddings exactly.
    (The reference drops it.)
    """
    source, inner = teacher.model, student.distilbert
    _copy_embeddings(inner.embeddings, source.bert.embeddings)
    for layer, number in zip(inner.transformer.layer, layers, strict=True):
        _copy_layer(layer, source.bert.encoder.layer[number])
    head = source.cls.predictions
    _copy(student.vocab_transform, head.transform.dense)
    _copy(student.vocab_layer_norm, head.transform.LayerNorm)
    with torch.no_grad():
        student.vocab_projector.bias.copy_(head.bias)


@torch.no_grad()
def _copy_embeddings(mine: Any, theirs: Any) -> None:
    _copy(mine.word_embeddings, theirs.word_embeddings)
    _copy(mine.LayerNorm, theirs.LayerNorm)
    places = theirs.position_embeddings.weight + theirs.token_type_embeddings.weight[0]
    mine.position_embeddings.weight.copy_(places[: len(mine.position_embeddings.weight)])


def _copy_layer(mine: Any, theirs: Any) -> None:
    own, output = theirs.attention.self, theirs.attention.output
    pairs = [(mine.attention.q_lin, own.query), (mine.attention.k_lin, own.key), (mine.attention.v_lin, own.value)]
    pairs += [(mine.attention.out_lin, output.dense), (mine.sa_layer_norm, output.LayerNorm)]
    pairs += [(mine.ffn.lin1, theirs.intermediate.dense), (mine.ffn.lin2, theirs.output.dense)]
    for target, source in [*pairs, (mine.output_layer_norm, theirs.output.LayerNorm)]:
        _copy(target, source)


def _copy(target: Any, source: Any) -> None:
    target.load_state_dict(source.state_dict())
