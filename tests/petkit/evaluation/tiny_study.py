"""A whole study in seconds: a tiny model, two labels, 40 rows to draw from, 16 for the test, one or two steps per stage.

As a program, ``tiny_study.py FOLDER DATA MODEL WORKERS`` makes that study.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from petkit.evaluation.study import StudyResult, evaluate
from petkit.executors import executor_for
from petkit.pvp import Task
from tests.builders import sentences

TASK = Task(
    name="tone & mood",
    fields=("text",),
    patterns=("{mask}: {text}", "{text} ( {mask} )"),
    verbalizer={"negative": "bad", "positive": "good"},
)
SETTINGS: dict[str, Any] = {
    "max_length": 32,
    "repetitions": 1,
    "ipet.generations": 1,
    "ipet.scale": 2.0,
    "member.unlabeled_batch": 2,
    **{f"{part}.steps": 1 for part in ("member", "classifier", "supervised")},
    **{f"{part}.batch": 8 for part in ("member", "classifier", "supervised")},
    **{f"{part}.learning_rate": 0.01 for part in ("member", "classifier", "supervised")},
}
METHODS = ("pet", "ipet", "single", "supervised", "linear-probe", "tfidf", "zero-shot", "label-embedding", "majority")


def tiny_data(folder: Path) -> Path:
    """``train`` and ``test`` files, and two given splits; one text of the test is also one of the training file."""
    texts = sentences()
    train, test = texts[:40], (*texts[40:55], texts[3])
    write(folder / "train.jsonl", train)
    write(folder / "test.jsonl", test)
    for number, start in (("13", 60), ("100", 70)):
        write(folder / "few" / number / "train.jsonl", texts[start : start + 8])
        write(folder / "few" / number / "dev.jsonl", texts[start + 8 : start + 16])
    return folder


def write(path: Path, texts: tuple[str, ...], *, every: int = 2) -> None:
    """Rows whose labels come in turn; with ``every`` above 2 the positive one is rarer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"text": text, "label": "negative" if index % every else "positive"} for index, text in enumerate(texts)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def tiny_study(out: Path, data: Path, model: Path, *, settings: dict[str, Any] | None = None, **changes: Any) -> StudyResult:
    """The study; ``settings`` are added to ``SETTINGS``, ``changes`` replace arguments of ``evaluate``."""
    given: dict[str, Any] = {
        "data": str(data),
        "model": str(model),
        "shots": (2, 4),
        "splits": 2,
        "methods": METHODS,
        "device": "cpu",
        "preset": "small",
        "settings": {**SETTINGS, **(settings or {})},
    }
    return evaluate(TASK, **{**given, **changes}, out=out)


def without_measured(out: Path) -> str:
    """The text of ``report.json`` up to what was measured, which comes in its own place among the sorted keys."""
    report = json.loads((out / "report.json").read_bytes())
    del report["measured"]
    return json.dumps(report, sort_keys=True)


if __name__ == "__main__":
    workers = int(sys.argv[4])
    with executor_for(workers, device="cpu") as executor:
        tiny_study(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), executor=executor, workers=workers)
