"""The card of a fine-tuned model: what it is, what it learned from, how to open it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from huggingface_hub import ModelCardData

from petkit.finetuning.kind import Kind

__all__ = ["card", "with_decided"]

_CLASSES: Final = {"answer": "AutoModelForQuestionAnswering", "generate": "AutoModelForSeq2SeqLM"}
_DOES: Final = {
    "classify": "Gives a text, or a pair of texts, one of its labels.",
    "tag": "Gives each word a BIO tag.",
    "answer": "Finds the span of a context that answers a question.",
    "generate": "Writes a text for a text.",
}


def card(kind: Kind[Any], spec: Mapping[str, Any], *, rows: int, adapted: bool = False) -> str:
    """Markdown with YAML front matter. Licence and language are the checkpoint's and the data's, which petkit does not know.

    Args:
        spec: the unit's specification: ``model`` (the checkpoint's name), ``facts``, ``settings``.
        rows: how many it was trained on. adapted: whether the model has adapters.
    """
    data = ModelCardData(pipeline_tag=kind.pipeline, library_name="transformers", tags=["petkit"])
    labels = spec["facts"].get("labels")
    settings = [f"- {name}: {value}" for name, value in spec["settings"].items() if value is not None]
    body = [
        f"# {kind.name}",
        "",
        f"{_DOES[kind.name]} Fine-tuned by petkit from `{spec['model']}` on {rows} rows.",
        *([f"Labels: {', '.join(labels)}."] if labels else []),
        "",
        "## Use",
        "",
        "```python",
        *(["import petkit.adapted  # transformers alone does not know the adapters of this model"] if adapted else []),
        *_use(kind),
        "```",
        "",
        "## Settings",
        "",
        *settings,
    ]
    return f"---\n{data.to_yaml()}\n---\n\n" + "\n".join(body) + "\n"


def with_decided(text: str, settings: Mapping[str, Any], story: str) -> str:
    """A card with what development rows decided after training: the settings by name, and the story of how, one sentence."""
    lines = [f"- {name}: {value}, in config.json too" for name, value in settings.items()]
    return "\n".join([text, "## Decided on development rows", "", *lines, "", f"{story[:1].upper()}{story[1:]}."]) + "\n"


def _use(kind: Kind[Any]) -> list[str]:
    if kind.pipeline is not None:
        return ["from transformers import pipeline", "", f'model = pipeline("{kind.pipeline}", model="THIS FOLDER")']
    name = _CLASSES[kind.name]
    return [
        f"from transformers import {name}, AutoTokenizer",
        "",
        f'model, tokenizer = {name}.from_pretrained("THIS FOLDER"), AutoTokenizer.from_pretrained("THIS FOLDER")',
    ]
