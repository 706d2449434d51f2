"""AG News: the section of a news text (headline and body in one field; see ``ag_news_pair``).

The paper has six patterns over headline a and body b. With one field, ``a (_) b`` and ``a b (_)`` are the same: five are left.
"""

from __future__ import annotations

from petkit.pvp import Task
from petkit.verbalizers.ag_news import WORDS

__all__ = ["task"]

task = Task(
    name="ag_news",
    fields=("text",),
    patterns=(
        "{mask}: {text}",
        "{mask} News: {text}",
        "{text} ( {mask} )",
        "[ Category: {mask} ] {text}",
        "{mask} - {text}",
    ),
    verbalizer=WORDS,
    source="Schick & Schütze 2021a, arXiv 2001.07676, section 4.1",
    description="News texts: world, sports, business, science and technology.",
)
