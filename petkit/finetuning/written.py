"""What a text-to-text model has to write, and how what it wrote is judged: labels, numbers, answers, other texts."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import f1_score

__all__ = ["as_number", "label_scores", "similarity_scores", "similarity_string", "source_text"]

_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)")
NO_NUMBER: Final = -1.0
"""What a string that is no number counts as, as in T5's code: below every similarity."""


def source_text(texts: Sequence[tuple[str, str]], prefix: str) -> str:
    """Fields (name, text) as one text: the prefix, then the text, or of several each behind its name (Raffel et al. 2020, appendix D).

    >>> source_text([("text", "Long story.")], "summarize:")
    'summarize: Long story.'
    >>> source_text([("sentence1", "A cat."), ("sentence2", "A dog.")], "mrpc")
    'mrpc sentence1: A cat. sentence2: A dog.'
    """
    parts = [text for _, text in texts] if len(texts) == 1 else [f"{name}: {text}" for name, text in texts]
    return " ".join([prefix, *parts] if prefix else parts)


def as_number(text: str) -> float | None:
    """A plain decimal number, or None.

    >>> as_number(" 2.6"), as_number("2,6"), as_number("nan"), as_number("1e3")
    (2.6, None, None, None)
    """
    return float(text) if _NUMBER.fullmatch(text.strip()) else None


def similarity_string(value: float) -> str:
    """A number at the nearest 0.2, with one digit (Raffel et al. 2020, section 2.4).

    >>> similarity_string(2.57), similarity_string(5), similarity_string(0.09)
    ('2.6', '5.0', '0.0')
    """
    return f"{round(value * 5) / 5:.1f}"


def label_scores(texts: Sequence[str], golds: Sequence[str], labels: Sequence[str]) -> dict[str, Any]:
    """Accuracy and macro-F1 over the labels; ``outside`` counts texts that are no label: they are wrong. Blanks are collapsed."""
    index = {" ".join(label.split()): place for place, label in enumerate(labels)}
    truth, found = ([index.get(" ".join(text.split()), -1) for text in column] for column in (golds, texts))
    macro = f1_score(truth, found, labels=list(range(len(labels))), average="macro", zero_division=0)
    accuracy = sum(a == b for a, b in zip(truth, found, strict=True)) / len(truth)
    return {"accuracy": accuracy, "macro_f1": float(macro), "outside": Counter(found)[-1], "rows": len(truth)}


def similarity_scores(texts: Sequence[str], golds: Sequence[float]) -> dict[str, Any]:
    """Pearson's and Spearman's correlation with the given numbers, unrounded. A text that is no number counts as -1.

    ``not_numbers`` says how many there are. None where a correlation is undefined, since all numbers are the same.
    """
    numbers = [as_number(text) for text in texts]
    values = np.array([NO_NUMBER if number is None else number for number in numbers])
    defined = len(values) > 1 and np.ptp(values) > 0 and np.ptp(np.asarray(golds)) > 0
    pearson, spearman = (float(f(values, golds)[0]) if defined else math.nan for f in (pearsonr, spearmanr))
    return {
        "pearson": pearson if defined else None,
        "spearman": spearman if defined else None,
        "not_numbers": sum(number is None for number in numbers),
        "rows": len(texts),
    }
