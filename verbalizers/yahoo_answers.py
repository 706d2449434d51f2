"""Label words for Yahoo Answers.

Schick & Schütze 2021a, section 4.1 (arXiv 2001.07676).
"""

from __future__ import annotations

from typing import Final

__all__ = ["WORDS"]

WORDS: Final = {
    "Society & Culture": "Society",
    "Science & Mathematics": "Science",
    "Health": "Health",
    "Education & Reference": "Education",
    "Computers & Internet": "Computer",
    "Sports": "Sports",
    "Business & Finance": "Business",
    "Entertainment & Music": "Entertainment",
    "Family & Relationships": "Relationship",
    "Politics & Government": "Politics",
}
