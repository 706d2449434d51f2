"""Label words for AG News.

Schick & Schütze 2021a, section 4.1 (arXiv 2001.07676).
"""

from __future__ import annotations

from typing import Final

__all__ = ["WORDS"]

WORDS: Final = {"World": "World", "Sports": "Sports", "Business": "Business", "Sci/Tech": "Tech"}
