"""BoolQ: does the passage (text_a) answer the question (text_b) with yes?

Three patterns, two verbalizers: six PVPs. Passages and questions keep their final punctuation, as in the authors' code.
"""

from __future__ import annotations

from petkit.pvp import PVP, Pattern, Task, Verbalizer
from petkit.verbalizers.boolq import NO_YES, TRUE_FALSE

__all__ = ["task"]

_NO_YES = Verbalizer(NO_YES)
_TRUE_FALSE = Verbalizer(TRUE_FALSE)

task = Task(
    name="boolq",
    fields=("text_a", "text_b"),
    patterns=(
        PVP(Pattern("{text_a}. Question: {text_b}? Answer: {mask}."), _NO_YES),
        PVP(Pattern("{text_a}. Question: {text_b}? Answer: {mask}."), _TRUE_FALSE),
        PVP(Pattern("{text_a}. Based on the previous passage, {text_b}? {mask}."), _NO_YES),
        PVP(Pattern("{text_a}. Based on the previous passage, {text_b}? {mask}."), _TRUE_FALSE),
        PVP(Pattern("Based on the following passage, {text_b}? {mask}. {text_a}"), _NO_YES),
        PVP(Pattern("Based on the following passage, {text_b}? {mask}. {text_a}"), _TRUE_FALSE),
    ),
    source="Schick & Schütze 2021b, arXiv 2009.07118, appendix A",
    description="Yes-no questions about a passage.",
)
