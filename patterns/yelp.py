"""Yelp reviews with one to five stars.

The text keeps its own final punctuation in the second pattern, as in the authors' code: dropping it would lose the "!".
"""

from __future__ import annotations

from petkit.pvp import Task
from petkit.verbalizers.yelp import STARS

__all__ = ["task"]

task = Task(
    name="yelp",
    fields=("text",),
    patterns=(
        "It was {mask}. {text}",
        "{text}. All in all, it was {mask}.",
        "Just {mask}! || {text}",
        "{text} || In summary, the restaurant is {mask}.",
    ),
    verbalizer=STARS,
    source="Schick & Schütze 2021a, arXiv 2001.07676, section 4.1",
    description="Reviews with one to five stars.",
)
