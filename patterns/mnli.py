"""MNLI: does the premise (text_a) contradict, entail or leave open the hypothesis (text_b)?

Two patterns, two verbalizers: four PVPs. The premise loses its final punctuation before the question mark.
"""

from __future__ import annotations

from petkit.pvp import PVP, Pattern, Task, Verbalizer
from petkit.verbalizers.inference import MNLI_NO_YES, MNLI_WRONG_RIGHT

__all__ = ["task"]

_WRONG_RIGHT = Verbalizer(MNLI_WRONG_RIGHT)
_NO_YES = Verbalizer(MNLI_NO_YES)

task = Task(
    name="mnli",
    fields=("text_a", "text_b"),
    patterns=(
        PVP(Pattern('"{text_a:drop_final_punctuation}" ? || {mask}, "{text_b}"'), _WRONG_RIGHT),
        PVP(Pattern("{text_a:drop_final_punctuation} ? || {mask}, {text_b}"), _WRONG_RIGHT),
        PVP(Pattern('"{text_a:drop_final_punctuation}" ? || {mask}, "{text_b}"'), _NO_YES),
        PVP(Pattern("{text_a:drop_final_punctuation} ? || {mask}, {text_b}"), _NO_YES),
    ),
    source="Schick & Schütze 2021a, arXiv 2001.07676, section 4.1",
    description="Textual inference: contradiction, entailment, neutral.",
)
