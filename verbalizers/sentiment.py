"""Label words for opinions: sst2, mr and cr in English; eprstmt in Chinese.

English: Gao, Fisch & Chen 2021 (LM-BFF), table 1 (arXiv 2012.15723). Chinese: ours; one character each, so one token
in character vocabularies.
"""

from __future__ import annotations

from typing import Final

__all__ = ["CHINESE", "CHINESE_ADVERB", "ENGLISH"]

ENGLISH: Final = {"negative": "terrible", "positive": "great"}
CHINESE: Final = {"Negative": "差", "Positive": "好"}
CHINESE_ADVERB: Final = {"Negative": "不", "Positive": "很"}
"""For a gap before an adjective: ``不满意``, not satisfied; ``很满意``, very satisfied."""
