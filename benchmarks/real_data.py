"""Studies on real data: one run per seed, scored once on the official test rows; prints the table of docs/results.md.

    python -m benchmarks.real_data ag_news --seeds 1,2,3 --out runs/ag_news

Each run is an ordinary `petkit train --method ipet --adapt` on rows drawn here: labelled rows per class from train by the seed, the
pool from the rest of train. Nothing is chosen on test rows. Data: $PETKIT_DATA, else ../shared/data beside the checkout.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from petkit.data import draw_rows, draw_shots, read_rows
from petkit.loading import load_task
from petkit.objectives.streams import stream
from petkit.pipeline import train
from petkit.report.names import baseline_name
from petkit.rows import Rows


@dataclass(frozen=True)
class Study:
    """A data set, and how much of it a run gets."""

    folder: str
    task: str
    shots: int
    pool: int
    unlabeled: str | None = None


STUDIES: Mapping[str, Study] = {
    "ag_news": Study("ag_news", "ag_news", shots=10, pool=2000),
    "rte": Study("rte", "rte", shots=16, pool=1000),
    "eprstmt": Study("fewclue_eprstmt", "eprstmt", shots=15, pool=1000, unlabeled="unlabeled.jsonl"),
}


def data_folder() -> Path:
    """Where the data sets lie."""
    return Path(os.environ.get("PETKIT_DATA", Path(__file__).parents[1].parent / "shared" / "data"))


def rows_of(study: Study, seed: int) -> tuple[Rows, Rows, Rows]:
    """Labelled rows, pool and test rows of one run; the pool holds none of the labelled rows."""
    task, folder = load_task(study.task), data_folder() / study.folder
    train = read_rows(str(folder / "train.jsonl"), task, labels="required")
    chosen = draw_shots(train, shots=study.shots, n_labels=len(task.labels), rng=stream(seed, "study", "shots"), names=task.labels)
    if study.unlabeled:
        others = read_rows(str(folder / study.unlabeled), task, labels="ignored")
    else:
        others = train.select(sorted(set(range(len(train))) - set(chosen))).with_labels(())
    pool = others.select(draw_rows(others, min(study.pool, len(others)), stream(seed, "study", "pool")))
    test = read_rows(str(folder / "test.jsonl"), task, labels="required")
    return train.select(chosen), pool, test


def run(name: str, seed: int, *, out: Path, model: str, adapt: int, changes: Mapping[str, str]) -> dict[str, Any]:
    """One run; its report."""
    study = STUDIES[name]
    labeled, pool, test = rows_of(study, seed)
    settings = {"method": "ipet", "seed": seed, "adapt_steps": adapt, **changes}
    place = out / f"seed-{seed}"
    place.parent.mkdir(parents=True, exist_ok=True)
    return train(study.task, out=place, train=labeled, unlabeled=pool, test=test, model=model, settings=settings).report


def accuracies(report: Mapping[str, Any]) -> dict[str, float]:
    """The lines of the table: accuracy by method."""
    scores = report["scores"]
    first = [member for member in scores["members"] if member["generation"] == 0]
    found = {
        "zero-shot (untrained patterns, mean)": statistics.mean(member["before"]["accuracy"] for member in first),
        "single pattern, trained (mean)": statistics.mean(member["after"]["accuracy"] for member in first),
        "PET ensemble": scores["generations"][0]["ensemble"]["accuracy"],
    }
    found |= {f"iPET ensemble, generation {g['generation']}": g["ensemble"]["accuracy"] for g in scores["generations"][1:]}
    found["classifier distilled from the last"] = scores["classifier"]["accuracy"]
    return found | {baseline_name(name): score["accuracy"] for name, score in scores["baselines"].items()}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--adapt", type=int, default=300)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    changes = dict(change.split("=", 1) for change in options.set)
    seeds = [int(seed) for seed in options.seeds.split(",")]
    tables = []
    for seed in seeds:
        report = run(options.study, seed, out=options.out, model=options.model, adapt=options.adapt, changes=changes)
        tables.append(accuracies(report))
    print(f"| accuracy on {report['data']['rows']['test']} test rows | {' | '.join(f'seed {s}' for s in seeds)} | mean | sd |")
    print("|" + "---|" * (len(seeds) + 3))
    for name in tables[0]:
        values = [table[name] for table in tables]
        spread = statistics.stdev(values) if len(values) > 1 else float("nan")
        print(f"| {name} | {' | '.join(f'{v:.3f}' for v in values)} | {statistics.mean(values):.3f} | {spread:.3f} |")


if __name__ == "__main__":
    main()
