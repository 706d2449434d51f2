"""The card of a finished classifier: what it is, what it learned from, how good it is, where it ends."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from petkit.pvp import Task

__all__ = ["model_card"]


def model_card(
    task: Task,
    *,
    origin: str,
    rows: Mapping[str, int],
    settings: Mapping[str, Any],
    temperature: float | None,
    scores: Mapping[str, float] | None,
) -> str:
    """Markdown with YAML front matter, as model hubs read it.

    Args:
        origin: name of the checkpoint that was fine-tuned. rows: numbers of labelled, unlabelled and test rows.
        settings: of the run. temperature: that its logits were divided by. scores: on the test rows, None without any.
    """
    head = ["---", f"language: {json.dumps(task.language)}", "pipeline_tag: text-classification", "tags: [petkit, few-shot]", "---", ""]
    return "\n".join([*head, f"# {task.name}", "", *_body(task, origin, rows, temperature, scores), *_settings(settings)]) + "\n"


def _body(task: Task, origin: str, rows: Mapping[str, int], temperature: float | None, scores: Mapping[str, float] | None) -> Sequence[str]:
    inputs = "a pair of texts" if len(task.classifier_inputs) == 2 else "a text"
    measured = (
        [f"On {rows['test']} test rows: accuracy {scores['accuracy']:.3f}, macro-F1 {scores['macro_f1']:.3f}."]
        if scores
        else ["No test rows were given, so nothing is known of how good it is."]
    )
    patterns = [f"- `{pvp.pattern.name}` with {_words(pvp.verbalizer.mapping)}" for pvp in task.pvps]
    return [
        f"Gives {inputs} one of {len(task.labels)} labels: {', '.join(task.labels)}.",
        f"Input: {' and '.join(f'`{template}`' for template in task.classifier_inputs)}.",
        "",
        f"Made by petkit from `{origin}` with {rows['train']} labelled and {rows['pool']} unlabelled rows.",
        "",
        "## Use",
        "",
        "```python",
        "from transformers import pipeline",
        "",
        'classify = pipeline("text-classification", model="THIS FOLDER")',
        'classify({"text": "...", "text_pair": "..."}, truncation=True)'
        if len(task.classifier_inputs) == 2
        else 'classify("...", truncation=True)',
        "```",
        "",
        "## Scores",
        "",
        *measured,
        *([f"Confidence was calibrated on the soft labels of the unlabelled rows (temperature {temperature:.3f})."] if temperature else []),
        "",
        "## Patterns",
        "",
        *patterns,
        "",
        "## Limits",
        "",
        f"It knows these {len(task.labels)} labels only, and texts like those it was trained on. Its labels come from a few examples and a",
        "language model's guesses, so it can be wrong where those are; measure it on labelled rows of your own before you rely on it.",
        "",
    ]


def _words(mapping: Mapping[str, Any]) -> str:
    return ", ".join(f"{label} = {word if isinstance(word, str) else ' / '.join(word)}" for label, word in mapping.items())


def _settings(settings: Mapping[str, Any], prefix: str = "") -> list[str]:
    lines = ["## Settings", ""] if not prefix else []
    for name, value in settings.items():
        lines += _settings(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [f"- {prefix}{name}: {value}"]
    return lines
