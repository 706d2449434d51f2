"""The demo's task: which subject is a documentation text about?

The patterns and words are ours, written down before any model was tried on them. Each subject has the word that
people name it by, and one that its texts live on.
"""

from __future__ import annotations

from typing import Final

from petkit.builtin.subjects import SUBJECTS
from petkit.pvp import Task

__all__ = ["WORDS", "task"]

_SECOND_WORD: Final = {
    "graphs": "node",
    "algebra": "equation",
    "tables": "column",
    "statistics": "probability",
    "networks": "layer",
    "images": "picture",
    "text": "string",
    "files": "directory",
}

WORDS: Final = {subject.name: (subject.word, _SECOND_WORD[subject.name]) for subject in SUBJECTS}
"""Label words by label, in the order of ``SUBJECTS``."""

task: Final = Task(
    name="demo",
    fields=("text",),
    patterns=(
        "{mask}: {text}",
        "[ Subject: {mask} ] {text}",
        "{text} This is about {mask}.",
    ),
    verbalizer=WORDS,
    source="ours",
    description="Documentation of Python packages: graphs, algebra, tables, statistics, networks, images, text, files.",
)
