"""A task made from label names alone: words for the gap, and patterns that suit any topic, tone or relation."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from petkit.errors import TaskError, raise_problems
from petkit.pvp import Task
from petkit.scaffold import field_names

__all__ = ["PATTERNS", "named_task", "word_of"]

PATTERNS: Final = ("{mask}: TEXTS", "TEXTS ({mask})", "[ Category: {mask} ] TEXTS", "TEXTS This is {mask}.")
"""What is asked where the user gave no pattern; ``TEXTS`` stands for the fields. The first three come from the papers' topic tasks
(Schick & Schütze 2021a, section 4), the last is close to their tone tasks ("It was {mask}.")."""

_SEAMS: Final = re.compile(r"[\W_]+|(?<=[a-z])(?=[A-Z])")


def word_of(label: object) -> str:
    """The word that a label's name stands for: lower case, words apart.

    >>> [word_of(name) for name in ("World", "Sci/Tech", "not_entailment", "VeryGood")]
    ['world', 'sci tech', 'not entailment', 'very good']
    """
    return " ".join(part.lower() for part in _SEAMS.split(str(label)) if part)


def named_task(
    labels: Sequence[Any],
    columns: Sequence[str],
    *,
    label_words: Mapping[Any, str | Sequence[str]] | None = None,
    patterns: Sequence[Any] | str | None = None,
    language: str = "en",
    asks: bool = True,
) -> Task:
    """A task with these labels, in their order, and one field per text column.

    Args:
        labels: of any kind; the task's labels are their ``str``. columns: names, turned into field names where they are none.
        label_words: words by label; None takes the label's name. patterns: None takes ``PATTERNS``.
        asks: whether the method puts the words into patterns; where it does not, any word will do.

    Raises TaskError for labels whose name is no word, for labels with the same word, and as ``Task`` does.
    """
    fields = field_names(columns)
    words = dict(label_words) if label_words is not None else {label: word_of(label) for label in labels}
    if asks:
        raise_problems(TaskError, "label words", _problems(labels, words, given=label_words is not None))
    else:
        words = {label: f"label{index}" for index, label in enumerate(labels)}
    texts = " ".join(f"{{{name}}}" for name in fields)
    return Task(
        name="texts",
        fields=fields,
        patterns=patterns if patterns is not None else [pattern.replace("TEXTS", texts) for pattern in PATTERNS],
        verbalizer={str(label): words[label] for label in labels},
        language=language,
    )


def _problems(labels: Sequence[Any], words: Mapping[Any, str | Sequence[str]], *, given: bool) -> list[str]:
    """What keeps label words from standing for the labels, each with the remedy."""
    if given:
        found = [f"label_words has no word for the label {label!r}" for label in labels if label not in words]
        return found + [f"label_words names {label!r}, and y has the labels {list(labels)}" for label in words if label not in labels]
    remedy = f"give label_words={{{labels[0]!r}: 'word', ...}} or a task"
    found = [
        f"the label {label!r} names nothing that a language model could say; {remedy}"
        for label in labels
        if not re.search(r"[^\W\d_]", str(words[label])) or isinstance(label, bool)
    ]
    owner: dict[Any, Any] = {}
    for label in labels:
        first = owner.setdefault(words[label], label)
        if first is not label and words[label]:
            found.append(f"the labels {first!r} and {label!r} both give the word {words[label]!r}; {remedy}")
    return found
