"""What the preset `small` rests on, and what strategies do to it: one setting at a time changed, scored on development rows.

    python -m benchmarks.small_preset --seeds 1,2 [--group settings|strategies] [--problems demo,trec] [--model builtin]

Prints a table of docs/results.md, a line when it is known.

Problems: the demo's development rows, and question types (trec: development rows drawn from its train file, apart from labelled
rows and pool; data in $PETKIT_DATA). Test rows are not read. Method pet, its ensemble and its classifier; no baselines.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.real_data import data_folder
from petkit.builtin.demo_data import demo_parts, labeled_rows
from petkit.builtin.demo_task import task as demo_task
from petkit.data import draw_shots, read_rows
from petkit.loading import load_task
from petkit.objectives.streams import stream
from petkit.pipeline import train
from petkit.pvp import Task
from petkit.rows import Rows

SHOTS, POOL, DEVELOPMENT = 8, 800, 500

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "preset small": {},
    "the paper's rate, 1e-5": {"member.learning_rate": 1e-5, "classifier.learning_rate": 1e-5},
    "rate 1e-4": {"member.learning_rate": 1e-4, "classifier.learning_rate": 1e-4},
    "rate 1e-3": {"member.learning_rate": 1e-3, "classifier.learning_rate": 1e-3},
    "members: 50 steps": {"member.steps": 50},
    "members: 300 steps": {"member.steps": 300},
    "no MLM loss": {"member.mlm_weight": 0, "member.unlabeled_batch": 0},
    "the paper's MLM weight, 1e-4": {"member.mlm_weight": 1e-4},
    "MLM weight 0.3": {"member.mlm_weight": 0.3},
    "two members per pattern": {"repetitions": 2},
}

STRATEGIES: Mapping[str, Mapping[str, Any]] = {
    "full": {},
    "last:1": {"member.strategy": "last:1"},
    "last:2": {"member.strategy": "last:2"},
    "gradual": {"member.strategy": "gradual"},
    "adapters, rate 1e-3": {"member.strategy": "adapters", "member.learning_rate": 1e-3},
    "adapters, rate 3e-3": {"member.strategy": "adapters", "member.learning_rate": 3e-3},
    "lora:8, rate 1e-3": {"member.strategy": "lora:8", "member.learning_rate": 1e-3},
    "lora:8, rate 3e-3": {"member.strategy": "lora:8", "member.learning_rate": 3e-3},
}
"""Of the members alone; the classifier is trained as ever."""

GROUPS = {"settings": SETTINGS, "strategies": STRATEGIES}


def problem(name: str, seed: int) -> tuple[Task, Rows, Rows, Rows]:
    """Task, labelled rows, pool and development rows."""
    if name == "demo":
        parts = demo_parts()
        labeled, pool = labeled_rows(parts["train"], per_label=SHOTS, seed=seed)
        return demo_task, labeled, pool, parts["development"]
    task = load_task(name)
    rows = read_rows(str(data_folder() / name / "train.jsonl"), task, labels="required")
    order = stream(0, "study", "development").permutation(len(rows)).tolist()
    development, rest = rows.select(sorted(order[:DEVELOPMENT])), rows.select(sorted(order[DEVELOPMENT:]))
    chosen = draw_shots(rest, shots=SHOTS, n_labels=len(task.labels), rng=stream(seed, "study", "shots"), names=task.labels)
    others = rest.select(sorted(set(range(len(rest))) - set(chosen)))
    pool = others.select(sorted(stream(seed, "study", "pool").permutation(len(others))[:POOL].tolist()))
    return task, rest.select(chosen), pool.with_labels(()), development


def score(name: str, seed: int, model: str, changes: Mapping[str, Any]) -> tuple[float, float, float]:
    """Accuracy of ensemble and classifier on the development rows, and the share of a member's parameters that is trained."""
    task, labeled, pool, development = problem(name, seed)
    settings = {"method": "pet", "seed": seed, "threads": 1, "baselines": False, "keep_members": "none", **changes}
    with tempfile.TemporaryDirectory() as folder:
        report = train(
            task,
            out=Path(folder) / "run",
            train=labeled,
            unlabeled=pool,
            test=development,
            model=model,
            preset="small",
            settings=settings,
        ).report
    scores = report["scores"]
    return scores["ensemble"]["accuracy"], scores["classifier"]["accuracy"], report["trained"]["g0-p0-s0"]["trained_share"]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="1,2")
    parser.add_argument("--group", choices=list(GROUPS), default="settings")
    parser.add_argument("--problems", default="demo,trec")
    parser.add_argument("--model", default="builtin")
    options = parser.parse_args()
    problems, seeds = options.problems.split(","), [int(seed) for seed in options.seeds.split(",")]
    print("| | trained | " + " | ".join(f"{name}: ensemble | {name}: classifier" for name in problems) + " |")
    print("|" + "---|" * (2 * len(problems) + 2))
    for variant, changes in GROUPS[options.group].items():
        cells: list[str] = []
        for name in problems:
            found = [score(name, seed, options.model, changes) for seed in seeds]
            cells = cells or [f"{100 * found[0][2]:.0f} %"]
            cells += [" ".join(f"{one[k]:.3f}" for one in found) + f" ({statistics.mean(one[k] for one in found):.3f})" for k in (0, 1)]
        print(f"| {variant} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
