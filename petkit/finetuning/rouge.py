"""ROUGE of summaries by the package rouge-score, which is an extra."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Final

__all__ = ["ROUGE_MISSING", "rouge_is_there", "rouge_scores"]

ROUGE_MISSING: Final = "ROUGE is not computed: the package rouge-score is not installed (pip install 'petkit[rouge]')"
_KINDS: Final = ("rouge1", "rouge2", "rougeL")


def rouge_is_there() -> bool:
    """Whether rouge-score is installed."""
    return importlib.util.find_spec("rouge_score") is not None


def rouge_scores(texts: Sequence[str], golds: Sequence[Sequence[str]]) -> dict[str, float]:
    """Mean F-measures of ROUGE-1, -2 and -L (Lin 2004), with stemming, 0 to 100; of several right texts the best one counts."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(list(_KINDS), use_stemmer=True)
    found = [scorer.score_multi(list(right), text) for text, right in zip(texts, golds, strict=True)]
    return {kind: sum(100 * one[kind].fmeasure for one in found) / len(found) for kind in _KINDS}
