"""SMS Spam Collection: text messages, wanted (ham) or not (spam)."""

from __future__ import annotations

from petkit.pvp import Task
from petkit.verbalizers.sms_spam import WORDS

__all__ = ["task"]

task = Task(
    name="sms_spam",
    fields=("text",),
    patterns=(
        "{text} This message is {mask}.",
        "This is a {mask} message: {text}",
        "{text} ( {mask} )",
        "[ Category: {mask} ] {text}",
    ),
    verbalizer=WORDS,
    source="patterns and words are ours",
    description="Text messages, wanted or spam.",
)
