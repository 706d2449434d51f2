"""Subj: sentences about films, opinion (subjective) or plot (objective).

The first pattern is LM-BFF's; the others are ours.
"""

from __future__ import annotations

from petkit.pvp import Task
from petkit.verbalizers.subj import WORDS

__all__ = ["task"]

task = Task(
    name="subj",
    fields=("text",),
    patterns=(
        "{text} This is {mask}.",
        "This is {mask}. {text}",
        "{text} ( {mask} )",
    ),
    verbalizer=WORDS,
    source="words and first pattern: LM-BFF (Gao, Fisch & Chen 2021, arXiv 2012.15723, table 1); the other patterns are ours",
    description="Sentences about films, opinion or plot.",
)
