"""x-stance in German: is a comment for or against what a political question asks?

The paper defines English words too (``petkit.verbalizers.xstance.ENGLISH``), for multilingual models.
"""

from __future__ import annotations

from petkit.pvp import Task
from petkit.verbalizers.xstance import GERMAN

__all__ = ["task"]

task = Task(
    name="xstance_de",
    fields=("question", "comment"),
    patterns=(
        '"{question}" || {mask}. "{comment}"',
        "{question} || {mask}. {comment}",
    ),
    verbalizer=GERMAN,
    language="de",
    source="Schick & Schütze 2021a, arXiv 2001.07676, section 4.1",
    description="Comments on political questions, in favour or against; German.",
)
