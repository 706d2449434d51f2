"""Yelp reviews, good or bad.

The text keeps its own final punctuation in the second pattern, as in the authors' code: dropping it would lose the "!".
"""

from __future__ import annotations

from petkit.pvp import Task
from petkit.verbalizers.yelp import POLARITY

__all__ = ["task"]

task = Task(
    name="yelp_polarity",
    fields=("text",),
    patterns=(
        "It was {mask}. {text}",
        "{text}. All in all, it was {mask}.",
        "Just {mask}! || {text}",
        "{text} || In summary, the restaurant is {mask}.",
    ),
    verbalizer=POLARITY,
    source="Schick & Schütze 2021a, arXiv 2001.07676, section 4.1; words from the authors' code",
    description="Reviews, good or bad.",
)
