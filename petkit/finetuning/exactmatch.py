"""Exact match and F1 of answers, by the definition of SQuAD's scorers.

Rajpurkar et al. 2016, section 6.1; Rajpurkar et al. 2018 for questions without an answer.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

__all__ = ["answer_scores", "best_exact", "best_f1", "normal_answer"]

_PUNCTUATION: Final = str.maketrans("", "", string.punctuation)
_ARTICLES: Final = re.compile(r"\b(a|an|the)\b")


def normal_answer(text: str) -> str:
    """Lower case, without ASCII punctuation, then without English articles, blanks collapsed; in this order.

    >>> normal_answer("The  U.S. (a state)"), normal_answer("a.n apple")
    ('us state', 'apple')
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def best_exact(answer: str, golds: Sequence[str]) -> float:
    """1 if the answer equals one of the right ones when normalised, else 0. No right one means that "" is right."""
    return float(any(normal_answer(answer) == normal_answer(gold) for gold in _answerable(golds)))


def best_f1(answer: str, golds: Sequence[str]) -> float:
    """The largest F1 of shared words with one of the right answers. No right one means that "" is right.

    >>> best_f1("the old cat", ["an old cat sleeps", "dog"])
    0.8
    """
    return max(_f1(normal_answer(answer).split(), normal_answer(gold).split()) for gold in _answerable(golds))


def _answerable(golds: Sequence[str]) -> list[str]:
    """The right answers of which something is left when normalised, as in the scorer; [""] if none is."""
    return [gold for gold in golds if normal_answer(gold)] or [""]


def _f1(found: Sequence[str], wanted: Sequence[str]) -> float:
    if not found or not wanted:
        return float(list(found) == list(wanted))
    same = (Counter(found) & Counter(wanted)).total()
    return 2 * same / (len(found) + len(wanted))


def answer_scores(answers: Sequence[str], golds: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Means over N questions, 0 to 100 as published: ``exact_match`` and ``f1``; where some have no answer, for both sorts apart too."""
    exact = [100 * best_exact(answer, right) for answer, right in zip(answers, golds, strict=True)]
    f1 = [100 * best_f1(answer, right) for answer, right in zip(answers, golds, strict=True)]
    scores = {"exact_match": _mean(exact), "f1": _mean(f1), "questions": len(exact)}
    has = [bool(right) for right in golds]
    if all(has) or not any(has):
        return scores
    for name, which in (("answerable", True), ("unanswerable", False)):
        chosen = [place for place, known in enumerate(has) if known is which]
        scores |= {f"exact_match_{name}": _mean([exact[i] for i in chosen]), f"f1_{name}": _mean([f1[i] for i in chosen])}
    return scores


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
