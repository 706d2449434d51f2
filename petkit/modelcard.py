"""The card of a finished classifier: what it is, what it learned from, how good it is, where it ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from huggingface_hub import CardData, EvalResult, ModelCard, ModelCardData

from petkit.pvp import Task
from petkit.wording import quoted

__all__ = ["card_data", "model_card"]


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
    about = _body(task, origin, rows, temperature, scores, plain=settings.get("method") == "supervised")
    text = "\n".join([f"# {task.name}", "", *about, *_settings(settings)])
    return str(ModelCard(f"---\n{card_data(task, rows=rows, scores=scores).to_yaml()}\n---\n\n{text}\n"))


def card_data(task: Task, *, rows: Mapping[str, int], scores: Mapping[str, float] | None) -> CardData:
    """The card's metadata as huggingface_hub has them. The licence is left out: it is the checkpoint's and the data's, which petkit
    does not know; and so is a language that nobody told. Scores become a ``model-index`` entry."""
    known: dict[str, Any] = {"pipeline_tag": "text-classification", "library_name": "transformers", "tags": ["petkit", "few-shot"]}
    if task.language and task.language != "und":
        known["language"] = task.language
    if scores:
        known |= {"model_name": task.name, "eval_results": _results(task, rows["test"], scores)}
    return ModelCardData(**known)


def _results(task: Task, tested: int, scores: Mapping[str, float]) -> list[EvalResult]:
    where: dict[str, Any] = {
        "task_type": "text-classification",
        "dataset_type": task.name,
        "dataset_name": f"{task.name} ({tested} test rows)",
    }
    names = {"accuracy": ("accuracy", "Accuracy"), "macro_f1": ("f1", "Macro-F1")}
    return [
        EvalResult(**where, metric_type=kind, metric_name=title, metric_value=round(float(scores[name]), 4))
        for name, (kind, title) in names.items()
        if name in scores
    ]


def _body(
    task: Task, origin: str, rows: Mapping[str, int], temperature: float | None, scores: Mapping[str, float] | None, *, plain: bool
) -> Sequence[str]:
    """All but the settings. ``plain``: it is a head trained on the labelled rows alone."""
    learnt_from = f"{rows['train']} labelled" + ("" if plain else f" and {rows['pool']} unlabelled")
    inputs = "a pair of texts" if len(task.classifier_inputs) == 2 else "a text"
    measured = (
        [f"On {rows['test']} test rows: accuracy {scores['accuracy']:.3f}, macro-F1 {scores['macro_f1']:.3f}."]
        if scores
        else ["No test rows were given, so nothing is known of how good it is."]
    )
    patterns = [f"- `{pvp.pattern.name}` with {_words(pvp.verbalizer.mapping)}" for pvp in task.pvps]
    return [
        f"Gives {inputs} one of {len(task.labels)} labels: {', '.join(map(quoted, task.labels))}.",
        f"Input: {' and '.join(f'`{template}`' for template in task.classifier_inputs)}.",
        "",
        f"Made by petkit from `{origin}` with {learnt_from} rows.",
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
        *([] if plain else ["## Patterns", "", *patterns, ""]),
        "## Limits",
        "",
        f"It knows these {len(task.labels)} labels only, and texts like those it was trained on. {_learnt(rows['train'], plain=plain)}",
        "so it can be wrong where those are; measure it on labelled rows of your own before you rely on it.",
        "",
    ]


def _learnt(labelled: int, *, plain: bool) -> str:
    if plain:
        return "It was trained on a few examples,"
    if labelled:
        return "Its labels come from a few examples and a\nlanguage model's guesses,"
    return "Its labels come from a language\nmodel's guesses alone, without any labelled example,"


def _words(mapping: Mapping[str, Any]) -> str:
    return ", ".join(f"{quoted(label)} = {quoted(word if isinstance(word, str) else ' / '.join(word))}" for label, word in mapping.items())


def _settings(settings: Mapping[str, Any], prefix: str = "") -> list[str]:
    lines = ["## Settings", ""] if not prefix else []
    for name, value in settings.items():
        lines += _settings(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [f"- {prefix}{name}: {value}"]
    return lines
