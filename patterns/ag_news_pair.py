"""AG News with headline and body apart, as in the paper: its six patterns."""

from __future__ import annotations

from petkit.pvp import Task
from petkit.verbalizers.ag_news import WORDS

__all__ = ["task"]

task = Task(
    name="ag_news_pair",
    fields=("title", "body"),
    patterns=(
        "{mask}: {title} {body}",
        "{mask} News: {title} {body}",
        "{title} ( {mask} ) {body}",
        "{title} {body} ( {mask} )",
        "[ Category: {mask} ] {title} {body}",
        "{mask} - {title} {body}",
    ),
    verbalizer=WORDS,
    source="Schick & Schütze 2021a, arXiv 2001.07676, section 4.1",
    description="News headlines with their texts: world, sports, business, science and technology.",
)
