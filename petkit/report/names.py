"""How reports call methods and metrics, and how they write numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

__all__ = [
    "BASELINES",
    "FINETUNING_NAMES",
    "METHOD_NAMES",
    "METRIC_NAMES",
    "SAME",
    "SHARES",
    "TINY",
    "baseline_name",
    "classifier_name",
    "clipped",
    "difference_interval",
    "ensemble_name",
    "interval",
    "method_name",
    "most_different",
    "number",
    "on_average",
    "percent",
    "pvalue",
    "shots_name",
    "signed",
    "spread",
    "without_width",
]

METHOD_NAMES: Final = {
    "pet": "PET",
    "ipet": "iPET",
    "single": "PET (one pattern)",
    "supervised": "plain fine-tuning",
    "linear-probe": "linear probe",
    "tfidf": "TF-IDF + logistic regression",
    "setfit": "SetFit",
    "zero-shot": "untrained patterns",
    "label-embedding": "nearest label name",
    "majority": "most frequent label",
}
"""What readers see for the name that scripts use."""

BASELINES: Final = ("supervised", "tfidf", "majority")
"""What a training run has beside its classifier, in the order of its table. Reports of older versions lack the last."""

METRIC_NAMES: Final = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "mcc": "Matthews correlation",
    "log_loss": "log loss",
    "brier": "Brier score",
    "ece": "calibration error",
    "ece_scaled": "calibration error after scaling",
}

FINETUNING_NAMES: Final = {
    **METRIC_NAMES,
    "exact_match": "exact match",
    "exact_match_answerable": "exact match of answerable questions",
    "exact_match_unanswerable": "exact match of unanswerable questions",
    "f1": "F1",
    "f1_answerable": "F1 of answerable questions",
    "f1_unanswerable": "F1 of unanswerable questions",
    "not_numbers": "texts that are no number",
    "outside": "texts that are no label",
    "pearson": "Pearson correlation",
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
    "spearman": "Spearman correlation",
    "support": "entities",
}
"""The figures of all kinds of fine-tuning; those that are not here are words already."""

SAME: Final = "same on all splits"
"""Instead of an interval that has no width: it would be sure of what it cannot know."""

TINY: Final = 1e-12
"""Scores no further apart are the same: what is left is rounding."""

SHARES: Final = frozenset({"accuracy", "macro_f1", "ece", "ece_scaled"})
"""Metrics that are shares of 1 and are written as percentages."""


def method_name(method: str) -> str:
    """The name for readers; one that is not known stays as it is.

    >>> method_name("supervised"), method_name("mine")
    ('plain fine-tuning', 'mine')
    """
    return METHOD_NAMES.get(method, method)


def baseline_name(method: str) -> str:
    """What a method is called beside a classifier that is to be better.

    >>> baseline_name("supervised")
    'baseline: plain fine-tuning'
    """
    return f"baseline: {method_name(method)}"


def ensemble_name(generation: int | None) -> str:
    """The ensemble of a generation; None where there is one generation only.

    >>> ensemble_name(1), ensemble_name(None)
    ('ensemble of generation 1', 'ensemble')
    """
    return "ensemble" if generation is None else f"ensemble of generation {generation}"


def classifier_name(method: str) -> str:
    """The classifier of a run, which says if it is what other runs have as a baseline.

    >>> classifier_name("ipet"), classifier_name("tfidf")
    ('classifier', 'classifier (tfidf)')
    """
    return f"classifier ({method})" if method in BASELINES else "classifier"


def shots_name(shots: int | None, draw: str) -> str:
    """Labelled rows per label; None where the splits were given as they are. ``draw`` is that of the study, as report.json has it.

    >>> shots_name(16, "per-class"), shots_name(16, "random"), shots_name(None, "given")
    ('16 per label', '16 per label on average', 'as given')
    """
    return "as given" if shots is None else f"{shots} per label{on_average(draw)}"


def on_average(draw: str) -> str:
    """What goes behind "per label" where rows are drawn by chance: so many times the labels in all, and some label may have none."""
    return " on average" if draw == "random" else ""


def percent(share: float | None) -> str:
    """A share as a percentage with one decimal and no sign; empty if it is not known.

    >>> percent(0.7123), percent(None)
    ('71.2', '')
    """
    return "" if share is None else f"{100 * share:.1f}"


def number(metric: str, value: float | None) -> str:
    """A metric's value: percentages with one decimal, others with three.

    >>> number("accuracy", 0.5), number("mcc", 0.5)
    ('50.0', '0.500')
    """
    return percent(value) if metric in SHARES else "" if value is None else f"{value:.3f}"


def spread(metric: str, mean: float | None, sd: float | None) -> str:
    """Mean and standard deviation.

    >>> spread("accuracy", 0.712, 0.031), spread("accuracy", 0.712, None)
    ('71.2 ± 3.1', '71.2')
    """
    return number(metric, mean) + ("" if sd is None or mean is None else f" ± {number(metric, sd)}")


def interval(metric: str, ends: Sequence[float] | None) -> str:
    """Both ends of an interval in words.

    >>> interval("accuracy", [0.66, 0.75])
    '66.0 to 75.0'
    """
    return "" if ends is None else f"{number(metric, ends[0])} to {number(metric, ends[1])}"


def difference_interval(metric: str, ends: Sequence[float] | None) -> str:
    """Both ends of a difference's interval, no further out than a difference can be: over few splits a t interval reaches past that.

    ``SAME`` for one that has no width.

    >>> difference_interval("accuracy", [-1.224, 0.999]), difference_interval("log_loss", [-3.0, 1.0]), difference_interval("mcc", [0, 0])
    ('-100.0 to 99.9', '-3.000 to 1.000', 'same on all splits')
    """
    return SAME if without_width(ends) else interval(metric, None if ends is None else clipped(metric, ends))


def without_width(ends: Sequence[float] | None) -> bool:
    """Whether there is an interval and it has no width: it would be sure of what it cannot know.

    >>> without_width([0.5, 0.5]), without_width([0.1, 0.1 + 1e-16]), without_width([0.5, 0.6]), without_width(None)
    (True, True, False, False)
    """
    return ends is not None and ends[1] - ends[0] <= TINY


def clipped(metric: str, ends: Sequence[float]) -> list[float]:
    """The ends of a difference's interval, no further out than a difference can be.

    >>> clipped("accuracy", [-1.224, 0.999]), clipped("log_loss", [-3.0, 1.0])
    ([-1.0, 0.999], [-3.0, 1.0])
    """
    most = most_different(metric)
    return [min(max(end, -most), most) for end in ends]


def most_different(metric: str) -> float:
    """How far two values of a metric can be apart, in its own unit.

    >>> most_different("accuracy"), most_different("mcc"), most_different("log_loss")
    (1.0, 2.0, inf)
    """
    return 1.0 if metric in SHARES else 2.0 if metric in ("mcc", "brier") else math.inf


def signed(metric: str, difference: float | None) -> str:
    """A difference with its sign.

    >>> signed("accuracy", 0.123), signed("mcc", -0.5), signed("accuracy", None)
    ('+12.3', '-0.500', '')
    """
    return "" if difference is None else ("" if difference < 0 else "+") + number(metric, difference)


def pvalue(p: float | None) -> str:
    """A p value with two digits that count; small ones as a bound.

    >>> pvalue(0.0625), pvalue(0.3), pvalue(1e-9), pvalue(None)
    ('0.062', '0.30', '< 0.001', '')
    """
    return "" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"
