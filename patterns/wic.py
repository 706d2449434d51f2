"""Words in Context: does a word have one meaning in two sentences?

The final classifier's input names the word, since sentences alone do not say which word is meant.
"""

from __future__ import annotations

from petkit.pvp import PVP, Pattern, Task, Verbalizer
from petkit.verbalizers.wic import NO_YES, SENSE

__all__ = ["task"]

task = Task(
    name="wic",
    fields=("text_a", "text_b", "word"),
    patterns=(
        '"{text_a}" / "{text_b}" Similar sense of "{word}"? {mask}.',
        "{text_a} {text_b} Does {word} have the same meaning in both sentences? {mask}",
        PVP(Pattern('{word} . Sense (1) (a) "{text_a}" ( {mask} ) "{text_b}"'), Verbalizer(SENSE)),
    ),
    verbalizer=NO_YES,
    classifier_inputs=("{word}: {text_a}", "{text_b}"),
    source="Schick & Schütze 2021b, arXiv 2009.07118, appendix A",
    description="Is a word used in the same sense in two sentences?",
)
