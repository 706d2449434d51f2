"""CR: customers on products, good or bad.

The first pattern is LM-BFF's; the others are ours, after the PET paper's patterns for Yelp.
"""

from __future__ import annotations

from petkit.pvp import Task
from petkit.verbalizers.sentiment import ENGLISH

__all__ = ["task"]

task = Task(
    name="cr",
    fields=("text",),
    patterns=(
        "{text} It was {mask}.",
        "It was {mask}. {text}",
        "{text} All in all, it was {mask}.",
        "Just {mask}! || {text}",
    ),
    verbalizer=ENGLISH,
    source="words and first pattern: LM-BFF (Gao, Fisch & Chen 2021, arXiv 2012.15723, table 1); the other patterns are ours",
    description="What customers say about products, good or bad.",
)
