"""Label words for the SMS Spam Collection. Ours: ``ham`` itself means meat to a language model."""

from __future__ import annotations

from typing import Final

__all__ = ["WORDS"]

WORDS: Final = {"ham": "personal", "spam": "spam"}
