"""Yahoo Answers with question and answer apart, as in the paper: its six patterns."""

from __future__ import annotations

from petkit.pvp import Task
from petkit.verbalizers.yahoo_answers import WORDS

__all__ = ["task"]

task = Task(
    name="yahoo_answers_pair",
    fields=("question", "answer"),
    patterns=(
        "{mask}: {question} {answer}",
        "{mask} Question: {question} {answer}",
        "{question} ( {mask} ) {answer}",
        "{question} {answer} ( {mask} )",
        "[ Category: {mask} ] {question} {answer}",
        "{mask} - {question} {answer}",
    ),
    verbalizer=WORDS,
    source="Schick & Schütze 2021a, arXiv 2001.07676, section 4.1",
    description="Questions with an answer, of ten topics.",
)
