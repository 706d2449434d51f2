"""A whole training run in a second: a tiny model, 8 labelled rows, 30 unlabelled ones, 12 for the test, two steps per stage.

As a program, ``tiny_train.py FOLDER MODEL METHOD [POINT COUNT REACHED]`` makes that run; with the last three arguments it makes the
file REACHED and sleeps when it comes to the write point POINT for the COUNT-th time: the place to kill it.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from petkit import files, training
from petkit.pipeline import RunResult, train
from petkit.pvp import Task
from petkit.report import run_page as pages
from petkit.rows import Rows
from tests.builders import sentences, tiny_masked_lm

TASK = Task(
    name="tone",
    fields=("text",),
    patterns=("{mask}: {text}", "{text} ( {mask} )"),
    verbalizer={"negative": "bad", "positive": "good"},
)
STEPS = 2
"""So that a stage writes one checkpoint, if it writes one after every step."""
SETTINGS: dict[str, Any] = {
    "threads": 1,
    "repetitions": 1,
    "max_length": 32,
    "adapt_steps": 2,
    "ipet.generations": 1,
    "ipet.scale": 2.0,
    "member.unlabeled_batch": 4,
    **{f"{part}.steps": STEPS for part in ("member", "classifier", "supervised")},
    **{f"{part}.batch": 4 for part in ("member", "classifier", "supervised")},
    **{f"{part}.learning_rate": 0.01 for part in ("member", "classifier", "supervised")},
}
VOLATILE = {"record.json": ("seconds", "finished", "measured"), "run.json": ("created",), "report.json": ("seconds",)}
"""What may differ between two runs, by file name."""


def tiny_model(folder: Path) -> Path:
    """The checkpoint of the run: BERT, one layer of 16, with weights so large, and drawn so, that predictions differ from row to row."""
    size = {"hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 24, "max_position_embeddings": 40}
    return tiny_masked_lm("bert", folder, seed=3, initializer_range=0.5, **size)


def tiny_data() -> dict[str, Rows]:
    """``train``, ``unlabeled`` and ``test`` rows: real sentences, labels in turn."""
    texts = sentences()
    return {
        "train": rows("train", texts[:8], labelled=True),
        "unlabeled": rows("pool", texts[8:38]),
        "test": rows("test", texts[38:50], labelled=True),
    }


def rows(name: str, texts: tuple[str, ...], *, labelled: bool = False) -> Rows:
    """Rows of the task: ids ``name:1`` and on, labels 0, 1, 0, 1 ..."""
    ids = tuple(f"{name}:{number}" for number in range(1, len(texts) + 1))
    return Rows(ids, {"text": texts}, tuple(index % 2 for index in range(len(texts))) if labelled else ())


def tiny_run(
    folder: Path,
    model: Path,
    method: str = "ipet",
    *,
    settings: dict[str, Any] | None = None,
    figures: bool = False,
    **changes: Any,
) -> RunResult:
    """The run; ``settings`` are added to ``SETTINGS``, ``changes`` replace arguments of ``train``; ``figures`` in its page if asked."""
    given: dict[str, Any] = {
        "task": TASK,
        **tiny_data(),
        "model": str(model),
        "device": "cpu",
        "settings": {**SETTINGS, "method": method, **(settings or {})},
    }
    with nullcontext() if figures else without_figures():
        return train(**{**given, **changes}, out=folder)


@contextmanager
def without_figures() -> Iterator[None]:
    """Inside the block, pages of runs are made as where matplotlib is not installed: in a tiny run, drawing takes a third of the time."""
    drawn = pages.can_draw
    pages.can_draw = lambda: False
    try:
        yield
    finally:
        pages.can_draw = drawn


@contextmanager
def checkpoint_every_step() -> Iterator[None]:
    """Inside the block, training writes a checkpoint after every step, not once a minute."""
    defaults = training.train.__kwdefaults__
    if not defaults or "checkpoint_seconds" not in defaults:
        raise RuntimeError("petkit.training.train has no checkpoint_seconds any more; mend this test")
    before = defaults["checkpoint_seconds"]
    defaults["checkpoint_seconds"] = -1.0
    yield
    defaults["checkpoint_seconds"] = before


@contextmanager
def observing(observer: Callable[[str], None]) -> Iterator[None]:
    """Tell ``observer`` the name of each write point inside the block."""
    files.observers.append(observer)
    try:
        yield
    finally:
        files.observers.remove(observer)


def snapshot(folder: Path) -> dict[str, object]:
    """Every file that counts, by name: its digest, or its JSON without what may differ. The lock is left out."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock"]
    return {path.relative_to(folder).as_posix(): _content(path) for path in paths}


def _content(path: Path) -> object:
    if path.name == "report.html":  # likewise
        return [line for line in path.read_text("utf-8").splitlines() if "data-measured" not in line]
    if path.name == "report.md":  # holds the seconds of the whole run
        return [line for line in path.read_text("utf-8").splitlines() if not re.search(r"\d s on \w+\.$", line)]
    if path.name not in VOLATILE:
        return files.digest(path)
    return {name: value for name, value in json.loads(path.read_bytes()).items() if name not in VOLATILE[path.name]}


def sleep_at(point: str, count: int, reached: Path) -> None:
    """Make the file ``reached`` and sleep, when the write point is passed for the ``count``-th time."""
    seen = 0

    def observe(name: str) -> None:
        nonlocal seen
        seen += name == point
        if name == point and seen == count:
            reached.touch()
            time.sleep(120)

    files.observers.append(observe)


if __name__ == "__main__":
    if len(sys.argv) > 4:
        sleep_at(sys.argv[4], int(sys.argv[5]), Path(sys.argv[6]))
    with checkpoint_every_step():
        tiny_run(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
