"""Label words for TREC question types.

Gao, Fisch & Chen 2021 (LM-BFF), table 1 (arXiv 2012.15723).
"""

from __future__ import annotations

from typing import Final

__all__ = ["WORDS"]

WORDS: Final = {
    "description": "Description",
    "entity": "Entity",
    "abbreviation": "Expression",
    "human": "Human",
    "location": "Location",
    "number": "Number",
}
