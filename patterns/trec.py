"""TREC: what kind of thing a question asks for.

The first pattern is LM-BFF's; the others are ours, after the PET paper's patterns for Yahoo.
"""

from __future__ import annotations

from petkit.pvp import Task
from petkit.verbalizers.trec import WORDS

__all__ = ["task"]

task = Task(
    name="trec",
    fields=("text",),
    patterns=(
        "{mask}: {text}",
        "{mask} Question: {text}",
        "{text} ( {mask} )",
        "[ Category: {mask} ] {text}",
    ),
    verbalizer=WORDS,
    source="words and first pattern: LM-BFF (Gao, Fisch & Chen 2021, arXiv 2012.15723, table 1); the other patterns are ours",
    description="Questions by what they ask for.",
)
