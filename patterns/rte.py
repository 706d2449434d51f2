"""RTE: does the premise (text_a) entail the hypothesis (text_b)?

The hypothesis comes first and loses its final punctuation before the question mark; the last pattern has other words.
"""

from __future__ import annotations

from petkit.pvp import PVP, Pattern, Task, Verbalizer
from petkit.verbalizers.inference import RTE, RTE_TRUE_FALSE

__all__ = ["task"]

task = Task(
    name="rte",
    fields=("text_a", "text_b"),
    patterns=(
        '"{text_b:drop_final_punctuation}" ? || {mask}, "{text_a}"',
        "{text_b:drop_final_punctuation} ? || {mask}, {text_a}",
        '"{text_b:drop_final_punctuation}" ? || {mask}. "{text_a}"',
        "{text_b:drop_final_punctuation} ? || {mask}. {text_a}",
        PVP(Pattern("{text_a} question: {text_b} True or False? answer: {mask}"), Verbalizer(RTE_TRUE_FALSE)),
    ),
    verbalizer=RTE,
    source="Schick & Schütze 2021b, arXiv 2009.07118, appendix A",
    description="Textual inference: entailment or not.",
)
