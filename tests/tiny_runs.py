"""Finished runs made by hand: tiny classifiers and ensembles with random weights, in the layout that `petkit train` writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

from petkit.pvp import Task
from petkit.settings import Settings
from petkit.taskspec import task_spec
from tests.builders import FAMILIES, tiny_masked_lm, tokenizer

TOPICS = Task(
    name="topics",
    fields=("text",),
    patterns=("{mask}: {text}", "{text} ( {mask} )"),
    verbalizer={"World": "World", "Sports": "Sports", "Business": "Business"},
)
PAIRS = Task(
    name="pairs", fields=("premise", "hypothesis"), patterns="{premise} || {mask}, {hypothesis}", verbalizer={"no": "No", "yes": "Yes"}
)


def tiny_classifier(folder: Path, task: Task = TOPICS, *, family: str = "bert", max_length: int = 64) -> Path:
    """A classifier folder whose probabilities are far from even."""
    name, prefix, settings = FAMILIES[family]
    words = tokenizer(name)
    special = {"pad_token_id": words.pad_token_id, "bos_token_id": words.cls_token_id, "eos_token_id": words.sep_token_id}
    names = dict(enumerate(task.labels))
    config = getattr(transformers, f"{prefix}Config")(
        vocab_size=len(words), id2label=names, label2id={label: i for i, label in names.items()}, **{**special, **settings}
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = getattr(transformers, f"{prefix}ForSequenceClassification")(config)
        for parameter in model.parameters():
            parameter.data.mul_(4.0 if parameter.dim() > 1 else 1.0)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    write(folder / "petkit.json", {"schema": 1, "task": task_spec(task), "labels": list(task.labels), "max_length": max_length})
    return folder


def tiny_ensemble(root: Path, task: Task = TOPICS, *, weights: Sequence[float] = (0.75, 0.25), settings: Settings | None = None) -> Path:
    """A run folder with one member per weight; the i-th has the i-th pattern."""
    members = []
    for index, weight in enumerate(weights):
        path = f"stages/g0-p{index}-s0/model"
        tiny_masked_lm("bert", root / path, seed=index)
        members.append({"path": path, "pattern": index, "weight": weight})
    values = (settings or Settings(max_length=64)).as_dict()
    write(root / "ensemble.json", {"schema": 1, "task": task_spec(task), "settings": values, "members": members})
    return root


def write(path: Path, value: Any) -> None:
    """Write JSON, with the folders above."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
