"""TNEWS (FewCLUE): the section of a Chinese news title."""

# ruff: noqa: RUF001
from __future__ import annotations

from petkit.pvp import Task
from petkit.verbalizers.tnews import WORDS

__all__ = ["task"]

task = Task(
    name="tnews",
    fields=("text",),
    patterns=(
        "{mask}新闻：{text}",
        "{text}（{mask}）",
        "这是一条{mask}新闻。{text}",
        "【{mask}】{text}",
    ),
    verbalizer=WORDS,
    language="zh",
    source="patterns and words are ours; data: FewCLUE (Xu et al. 2021, arXiv 2107.07498)",
    description="Chinese news titles of fifteen sections.",
)
