"""MRPC: do two sentences say the same?

The first pattern is LM-BFF's; the others are ours, after the PET papers' patterns for inference.
"""

from __future__ import annotations

from petkit.pvp import Task
from petkit.verbalizers.mrpc import WORDS

__all__ = ["task"]

task = Task(
    name="mrpc",
    fields=("text_a", "text_b"),
    patterns=(
        "{text_a} {mask}, {text_b}",
        '"{text_a:drop_final_punctuation}" ? || {mask}, "{text_b}"',
        "{text_a:drop_final_punctuation} ? || {mask}, {text_b}",
    ),
    verbalizer=WORDS,
    source="words and first pattern: LM-BFF (Gao, Fisch & Chen 2021, arXiv 2012.15723, table 1); the other patterns are ours",
    description="Paraphrases: do two sentences say the same?",
)
