"""EPRSTMT (FewCLUE): Chinese product reviews, good or bad."""

# ruff: noqa: RUF001
from __future__ import annotations

from petkit.pvp import PVP, Pattern, Task, Verbalizer
from petkit.verbalizers.sentiment import CHINESE, CHINESE_ADVERB

__all__ = ["task"]

task = Task(
    name="eprstmt",
    fields=("text",),
    patterns=(
        "{text}总之，很{mask}。",
        "很{mask}！{text}",
        "{text}（{mask}评）",
        PVP(Pattern("{mask}满意。{text}"), Verbalizer(CHINESE_ADVERB)),
    ),
    verbalizer=CHINESE,
    language="zh",
    source="patterns and words are ours; data: FewCLUE (Xu et al. 2021, arXiv 2107.07498)",
    description="Chinese product reviews, good or bad.",
)
