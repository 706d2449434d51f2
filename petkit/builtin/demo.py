"""The demo: the main job on the builtin model and on real text that the installation itself holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from petkit.builtin.demo_data import demo_parts, labeled_rows
from petkit.builtin.demo_task import task
from petkit.executors import OnEvent, silent
from petkit.pipeline import RunResult, ignore, train

__all__ = ["PER_LABEL", "SETTINGS", "run_demo"]

PER_LABEL = 8
"""Labelled rows of each subject."""

SETTINGS: Mapping[str, Any] = {
    "method": "ipet",
    "ipet.generations": 1,
    "member.steps": 100,
    "member.unlabeled_batch": 8,
    "classifier.steps": 300,
    "classifier.batch": 16,
}
"""On top of the preset `small`: fewer and smaller batches, so that it takes minutes. Looked at on development rows only (LOG.md)."""


def run_demo(
    out: str | Path,
    *,
    seed: int = 42,
    model: str = "builtin",
    device: str = "auto",
    part: str = "test",
    changes: Mapping[str, Any] | None = None,
    on_event: OnEvent = silent,
    on_notice: Callable[[str], None] = ignore,
) -> RunResult:
    """iPET with one further generation, and the baselines on the same labels, in the run folder ``out``.

    Args:
        seed: draws the labelled rows, too. part: the rows to score, "test" or "development".
        changes: settings by dotted name, on top of ``SETTINGS``.

    Raises DataError if the installed packages hold too little text.
    """
    parts = demo_parts()
    labeled, pool = labeled_rows(parts["train"], per_label=PER_LABEL, seed=seed)
    return train(
        task,
        out=out,
        train=labeled,
        unlabeled=pool,
        test=parts[part],  # type: ignore[index]
        model=model,
        preset="small",
        settings={**SETTINGS, "seed": seed, **(changes or {})},
        device=device,
        on_event=on_event,
        on_notice=on_notice,
    )
