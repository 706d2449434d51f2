"""Entities from BIO tags, and how many of them were found, as CoNLL's scorer counts (Tjong Kim Sang & Buchholz 2000, ``conlleval``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

__all__ = ["Entity", "entities", "entity_scores", "is_tag", "tag_order"]


class Entity(NamedTuple):
    """Words ``start`` to ``stop`` (excluded) are a ``kind``."""

    kind: str
    start: int
    stop: int


def is_tag(tag: str) -> bool:
    """Whether a tag is ``O``, ``B-KIND`` or ``I-KIND``.

    >>> [is_tag(tag) for tag in ("O", "B-PER", "I-a-b", "B-", "PER", "S-PER")]
    [True, True, True, False, False, False]
    """
    return tag == "O" or (tag[:2] in ("B-", "I-") and len(tag) > 2)


def tag_order(tags: Sequence[str]) -> list[str]:
    """``O``, then the tags of each kind that is there, the beginning first: both, since a few sentences may have one of them only.

    >>> tag_order(["I-b", "O", "B-b", "B-a"])
    ['O', 'B-a', 'I-a', 'B-b', 'I-b']
    """
    kinds = sorted({tag[2:] for tag in tags if tag != "O"})
    return ["O", *(f"{place}-{kind}" for kind in kinds for place in "BI")]


def entities(tags: Sequence[str]) -> list[Entity]:
    """The entities of one sentence. ``I-X`` after ``O`` or after another kind begins one, as in conlleval.

    >>> [tuple(entity) for entity in entities(["B-PER", "I-PER", "I-LOC", "O", "B-LOC", "B-LOC"])]
    [('PER', 0, 2), ('LOC', 2, 3), ('LOC', 4, 5), ('LOC', 5, 6)]
    """
    found: list[Entity] = []
    start, kind = 0, ""
    for place, tag in enumerate([*tags, "O"]):
        goes_on = tag[:2] == "I-" and tag[2:] == kind
        if goes_on:
            continue
        if kind:
            found.append(Entity(kind, start, place))
        start, kind = place, "" if tag == "O" else tag[2:]
    return found


def entity_scores(truth: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Precision, recall and F1 over all entities: one counts if kind, start and stop are right. 0 where undefined.

    Args:
        truth, predicted: N sentences of tags, alike in length.

    Returns ``precision``, ``recall``, ``f1`` (all kinds together), ``accuracy`` of tags, ``per_kind`` and the ``support``.
    """
    right: Counter[str] = Counter()
    guessed: Counter[str] = Counter()
    wanted: Counter[str] = Counter()
    for one, other in zip(truth, predicted, strict=True):
        true, found = set(entities(one)), set(entities(other))
        wanted.update(entity.kind for entity in true)
        guessed.update(entity.kind for entity in found)
        right.update(entity.kind for entity in true & found)
    pairs = [(a, b) for one, other in zip(truth, predicted, strict=True) for a, b in zip(one, other, strict=True)]
    per_kind = [
        {"kind": kind, **_rates(right[kind], guessed[kind], wanted[kind]), "support": wanted[kind]} for kind in sorted(wanted | guessed)
    ]
    together = _rates(right.total(), guessed.total(), wanted.total())
    accuracy = sum(a == b for a, b in pairs) / max(1, len(pairs))
    return {**together, "accuracy": accuracy, "support": wanted.total(), "per_kind": per_kind}


def _rates(right: int, guessed: int, wanted: int) -> dict[str, float]:
    precision, recall = right / guessed if guessed else 0.0, right / wanted if wanted else 0.0
    return {"precision": precision, "recall": recall, "f1": 2 * right / (guessed + wanted) if guessed + wanted else 0.0}
