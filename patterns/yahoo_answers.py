"""Yahoo Answers: the topic of a question (one field; see ``yahoo_answers_pair``).

The paper has six patterns over question a and answer b. With one field, ``a (_) b`` and ``a b (_)`` are the same: five are left.
"""

from __future__ import annotations

from petkit.pvp import Task
from petkit.verbalizers.yahoo_answers import WORDS

__all__ = ["task"]

task = Task(
    name="yahoo_answers",
    fields=("text",),
    patterns=(
        "{mask}: {text}",
        "{mask} Question: {text}",
        "{text} ( {mask} )",
        "[ Category: {mask} ] {text}",
        "{mask} - {text}",
    ),
    verbalizer=WORDS,
    source="Schick & Schütze 2021a, arXiv 2001.07676, section 4.1",
    description="Questions of ten topics.",
)
