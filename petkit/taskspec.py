"""A task as JSON, so that a stage's specification holds it: by reference where it was loaded from a file, in full otherwise."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from petkit.canonical import hash_json
from petkit.errors import TaskError
from petkit.loading import load_task
from petkit.pvp import PVP, Pattern, Task, Verbalizer

__all__ = ["label_words", "task_digest", "task_from_spec", "task_spec"]

_DECIDING: Final = ("fields", "pvps", "classifier_inputs", "file")
"""Parts of a specification that decide results: not names, the column of labels, or where a task's file lies."""


def task_spec(task: Task) -> dict[str, Any]:
    """The task as JSON. Changes whenever patterns, words or the task's file change.

    Raises TaskError for a task made in memory whose patterns are functions: those need a file, to be found again on resume.
    """
    functions = [pvp.pattern.name for pvp in task.pvps if not isinstance(pvp.pattern.source, str)]
    if functions and task.origin is None:
        raise TaskError(f"task {task.name!r} has pattern functions ({', '.join(functions)}); put it into a .py file and load that")
    spec: dict[str, Any] = {
        "name": task.name,
        "fields": list(task.fields),
        "pvps": [[pvp.pattern.name, [[label, list(words)] for label, words in _words(pvp)]] for pvp in task.pvps],
        "label_column": task.label_column,
        "classifier_inputs": list(task.classifier_inputs),
        "language": task.language,
    }
    if functions and task.origin is not None:
        spec |= {"origin": task.origin, "file": hashlib.sha256(Path(task.origin).read_bytes()).hexdigest()}
    return spec


def task_digest(task: Task) -> str:
    """SHA-256 (hex) of what a task asks: fields, patterns with their transforms, label words, classifier inputs, the file of its functions.

    Raises TaskError as ``task_spec`` does.
    """
    spec = task_spec(task)
    return hash_json({name: spec[name] for name in _DECIDING if name in spec})


def label_words(task: Task) -> list[dict[str, list[str]]]:
    """For each pattern, label -> its words.

    >>> label_words(Task(name="t", fields=("x",), patterns="{x} {mask}", verbalizer={"no": "bad", "yes": ("good", "great")}))
    [{'no': ['bad'], 'yes': ['good', 'great']}]
    """
    return [{label: list(words) for label, words in _words(pvp)} for pvp in task.pvps]


def task_from_spec(spec: Mapping[str, Any]) -> Task:
    """The task again. Raises TaskError if its file has changed since."""
    if "origin" in spec:
        task = load_task(spec["origin"])
        if task_spec(task) != dict(spec):
            raise TaskError(f"{spec['origin']} has changed since the run began; use a new folder (--out)")
        return task
    return Task(
        name=spec["name"],
        fields=spec["fields"],
        patterns=[PVP(Pattern(source), Verbalizer({label: words for label, words in verbalizer})) for source, verbalizer in spec["pvps"]],
        label_column=spec["label_column"],
        classifier_inputs=spec["classifier_inputs"],
        language=spec["language"],
    )


def _words(pvp: PVP) -> list[tuple[str, tuple[str, ...]]]:
    return list(zip(pvp.verbalizer.labels, pvp.verbalizer.words, strict=True))
