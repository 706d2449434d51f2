"""Label words for Yelp reviews: five stars, and polarity.

Schick & Schütze 2021a, section 4.1 (arXiv 2001.07676); polarity as in the authors' code.
"""

from __future__ import annotations

from typing import Final

__all__ = ["POLARITY", "STARS"]

STARS: Final = {"1 star": "terrible", "2 star": "bad", "3 star": "okay", "4 star": "good", "5 star": "great"}
POLARITY: Final = {"negative": "bad", "positive": "good"}
