"""A study made up from a seed: three tasks (ten labels with long names, HTML in texts), two shots, five splits, six methods."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any

import numpy as np

from petkit.canonical import plain

METHODS = ("pet", "ipet", "supervised", "tfidf", "zero-shot", "majority")
SHOTS, SPLITS, ROWS = (4, 16), 5, 200
LEVEL = {"pet": 0.80, "ipet": 0.84, "supervised": 0.66, "tfidf": 0.62, "zero-shot": 0.55, "majority": 0.2}
TASKS = {
    "mood": ["negative", "positive"],
    "ag_news": ["World", "Sports", "Business", "Sci/Tech"],
    "support & <complaints>": [f"{name} and everything else that belongs to it" for name in ("billing", "delivery", "returns")]
    + ["account <b>closing</b>", "password", "warranty", "spam", "praise", "press enquiries", "other"],
}
PATTERNS = [
    "It was {mask}. {text}",
    "{text} | In summary, all in all and taking everything together, it was {mask}.",
    "Just {mask}! || {text}",
]
EVIL = '<script>alert("x")</script> & <img src=x onerror=alert(1)> "quoted" long enough for more than one line on a screen'
FINGERPRINT = "3f8a61c2d9e04b57" * 4


def scores_of(rng: np.random.Generator, accuracy: float, labels: list[str]) -> dict[str, Any]:
    """What a cell says of the test rows: every number follows from a confusion matrix and bins drawn at random."""
    classes = len(labels)
    truth = np.sort(rng.integers(0, classes, ROWS))
    right = rng.random(ROWS) < accuracy
    predicted = np.where(right, truth, (truth + rng.integers(1, classes, ROWS)) % classes)
    confusion = np.zeros((classes, classes), dtype=int)
    np.add.at(confusion, (truth, predicted), 1)
    hits, support, chosen = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    precision, recall = hits / np.maximum(chosen, 1), hits / np.maximum(support, 1)
    f1 = 2 * hits / np.maximum(chosen + support, 1)
    found = float(hits.sum() / ROWS)
    loss, ece = float(rng.uniform(0.3, 1.2)), float(rng.uniform(0.05, 0.2))
    return {
        "rows": ROWS,
        "accuracy": found,
        "macro_f1": float(f1.mean()),
        "mcc": found - 0.15,
        "log_loss": loss,
        "brier": loss / 3,
        "ece": ece,
        "temperature": 1.7,
        "temperature_from": "pool",
        "ece_scaled": ece / 3,
        "log_loss_scaled": loss * 0.9,
        "per_class": [
            {"label": name, "precision": p, "recall": r, "f1": f, "support": s}
            for name, p, r, f, s in zip(labels, precision, recall, f1, support, strict=True)
        ],
        "confusion": confusion.tolist(),
        "reliability": bins(rng, 0.12),
        "reliability_scaled": bins(rng, 0.02),
    }


def bins(rng: np.random.Generator, over: float) -> list[dict[str, Any]]:
    """Fifteen bins of confidence; the first five are empty."""
    found: list[dict[str, Any]] = []
    for k in range(15):
        count = 0 if k < 5 else int(rng.integers(1, 60))
        middle = (k + 0.5) / 15
        accuracy = float(np.clip(middle - over + rng.normal(0, 0.03), 0, 1)) if count else None
        found.append(
            {"lower": k / 15, "upper": (k + 1) / 15, "count": count, "confidence": middle if count else None, "accuracy": accuracy}
        )
    return found


def cell(rng: np.random.Generator, task: str, shots: int, split: int, method: str) -> dict[str, Any]:
    """One cell; patterns and generations for the methods that have them."""
    accuracy = LEVEL[method] + (0.06 if shots == 16 else 0) + rng.normal(0, 0.03)
    prompted = method in ("pet", "ipet", "zero-shot")
    generations = 3 if method == "ipet" else 1
    members = [
        {
            "pattern": pattern,
            "pattern_index": index,
            "seed": None if method == "zero-shot" else 0,
            "generation": generation,
            "weight": float(rng.uniform(0.4, 0.9)),
            "before": float(rng.uniform(0.4, 0.6)),
            "after": None if method == "zero-shot" else float(accuracy - rng.uniform(0, 0.05)),
        }
        for generation in range(generations)
        for index, pattern in enumerate(PATTERNS)
        if prompted
    ]
    grown = [
        {
            "generation": generation,
            "ensemble": float(accuracy - 0.05 + generation / 50),
            "agreement": float(rng.uniform(0.6, 0.9)),
            "pool_labels": [100] * len(TASKS[task]),
            "pool_accuracy": float(accuracy - 0.04 + generation / 50),
            "set_accuracy": None if generation == 0 else float(min(accuracy + 0.05, 1)),
        }
        for generation in range(generations)
        if prompted
    ]
    return {
        "task": task,
        "shots": shots,
        "split": split,
        "seed": 0,
        "method": method,
        "test": scores_of(rng, float(np.clip(accuracy, 0, 1)), TASKS[task]),
        "members": members,
        "generations": grown,
        "counts": {"trained_steps": 250, "trained_tokens": 120_000, "forward_tokens": 400_000},
        "size_bytes": 17_400_000,
        "parameters": 4_300_000,
    }


def summary(cells: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Mean, spread and intervals of each metric (t interval over splits)."""
    for task, shots, method in dict.fromkeys((c["task"], c["shots"], c["method"]) for c in cells):
        for metric in ("accuracy", "macro_f1", "mcc", "log_loss", "brier", "ece", "ece_scaled"):
            values = [c["test"][metric] for c in cells if (c["task"], c["shots"], c["method"]) == (task, shots, method)]
            mean, sd = float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None
            half = 2.776 * (sd or 0) / len(values) ** 0.5
            yield {
                "task": task, "shots": shots, "method": method, "metric": metric, "mean": mean, "sd_splits": sd, "sd_seeds": None,
                "interval_splits": [mean - half, mean + half] if sd is not None else None, "interval_rows": [mean - 0.06, mean + 0.06],
                "splits": len(values), "seeds": 1, "values": values,
            }  # fmt: skip


def comparisons(found: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """PET against the others."""
    rows = {(row["task"], row["shots"], row["method"]): row for row in found if row["metric"] == "accuracy"}
    for (task, shots, method), row in rows.items():
        if method == "pet" or (task, shots, "pet") not in rows:
            continue
        differences = np.array(rows[task, shots, "pet"]["values"]) - np.array(row["values"])
        mean, half = float(differences.mean()), float(2.776 * differences.std(ddof=1) / len(differences) ** 0.5)
        verdict = "ahead" if mean > half else "behind" if mean < -half else "no difference"
        between = f"{100 * (mean - half):.1f} to {100 * (mean + half):.1f}"
        sentence = f"{task}, {shots} per label: PET {verdict} of {method}, {100 * mean:+.1f} points (95 % interval {between})."
        yield {
            "task": task, "shots": shots, "a": "pet", "b": method, "metric": "accuracy", "difference": mean,
            "interval": [mean - half, mean + half], "t_p": 0.01, "sign_flip_p": 0.0625, "holm_t_p": 0.03, "holm_sign_flip_p": 0.3,
            "wins": int((differences > 0).sum()), "ties": int((differences == 0).sum()), "splits": len(differences),
            "differences": differences.tolist(), "verdict": verdict, "sentence": sentence,
            "rows_test": {"label": "for these splits only", "mcnemar_p": [0.01] * len(differences), "holm_p": [0.05] * len(differences)},
        }  # fmt: skip


def part(rows: int, classes: int) -> dict[str, Any]:
    """What a study says of labelled, raw or test rows."""
    return {"rows": rows, "fingerprint": FINGERPRINT, "class_counts": [rows // classes] * classes}


def task_entry(name: str, labels: list[str], shots: tuple[int, ...], splits: int) -> dict[str, Any]:
    """A task as a study lists it."""
    classes = len(labels)
    return {
        "name": name,
        "labels": labels,
        "fields": ["text"],
        "patterns": PATTERNS,
        "label_words": [{label: [f"word{index}"] for index, label in enumerate(labels)} for _ in PATTERNS],
        "specification": FINGERPRINT[::-1],
        "text_language": None,
        "data": {
            "train": part(classes * 100, classes),
            "pool": part(1000, classes),
            "test": part(ROWS, classes),
            "removed_from_pool": 3,
            "overlap": 0,
            "duplicates": {"train": 1, "test": 2},
            "sources": {"train": f"data/{name}/train.csv", "pool": f"data/{name}/raw.txt", "test": f"data/{name}/test.csv"},
        },
        "splits": [
            {
                "shots": k,
                "split": n,
                "name": f"draw {n}",
                "hash": f"{k:02d}{n:02d}c0ffee12",
                "rows": k * classes,
                "class_counts": [k] * classes,
            }
            for k in shots
            for n in range(splits)
        ],
    }


def errors(tasks: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Rows that are got wrong, one of them hostile."""
    for task, number in product(tasks, range(4)):
        labels = TASKS[task]
        yield {
            "task": task, "shots": 16, "split": 0, "seed": 0, "method": "pet",
            "votes": {pattern: labels[(number + k) % len(labels)] for k, pattern in enumerate(PATTERNS)},
            "id": f"test-{number}", "text": EVIL if number == 0 else "Not what I had hoped for, but the colours are nice.",
            "truth": labels[0], "predicted": labels[1], "probability": 0.93,
        }  # fmt: skip


@cache
def _study(tasks: tuple[str, ...], shots: tuple[int, ...], splits: int, methods: tuple[str, ...], seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    cells = [cell(rng, *key) for key in product(tasks, shots, range(splits), methods)]
    found = list(summary(cells))
    return plain({
        "schema": 1,
        "kind": "study",
        "petkit": "0.1.0",
        "study": {
            "tasks": tasks, "shots": shots, "splits": splits, "seeds": [0], "methods": methods, "model": "builtin", "adapt_steps": 300,
            "preset": "small", "draw": "per-class", "settings": {"seed": 42, "member": {"steps": 250, "learning_rate": 1e-4}},
            "primary": {"metric": "accuracy", "level": 0.95},
        },
        "tasks": [task_entry(name, TASKS[name], shots, splits) for name in tasks],
        "cells": cells,
        "summary": found,
        "comparisons": list(comparisons(found)) if splits > 1 else [],
        "power": {
            "splits": splits, "smallest_sign_flip_p": 2 / 2**splits,
            "sentence": f"With {splits} splits the exact sign-flip test cannot go below p = {2 / 2**splits:.4g}.",
            "detectable": [{"task": name, "shots": k, "a": "pet", "b": "supervised", "difference": 0.051} for name in tasks for k in shots],
        },
        "gain_from_development": None,
        "errors": list(errors(tasks)),
        "warnings": ["mood: 1 of 200 labelled rows occurs twice.", "support: <i>praise</i> has 3 test rows only."],
        "versions": {"petkit": "0.1.0", "python": "3.11.9", "torch": "2.13.0"},
        "measured": {
            "cells": [
                {"task": c["task"], "shots": c["shots"], "split": c["split"], "seed": 0, "method": c["method"], "seconds": 41.5,
                 "peak_memory_bytes": 900_000_000, "latency_ms": {"p50": 3.1, "p95": 4.9} if c["method"] != "majority" else None}
                for c in cells
            ],
            "hardware": {"machine": "x86_64", "system": "Linux", "processors": 4, "gpu": None},
            "seconds": 7503.0,
            "workers": 2,
        },
    })  # fmt: skip


def sample_study(
    *,
    tasks: tuple[str, ...] = tuple(TASKS),
    shots: tuple[int, ...] = SHOTS,
    splits: int = SPLITS,
    methods: tuple[str, ...] = METHODS,
    seed: int = 7,
) -> dict[str, Any]:
    """The report.json of a study, anew at every call so that tests may change it."""
    import copy

    return copy.deepcopy(_study(tasks, shots, splits, methods, seed))
