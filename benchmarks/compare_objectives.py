"""Pretraining objectives on an equal budget, then PET from each: prints the tables of docs/results.md.

    python -m benchmarks.compare_objectives adapted --out runs/adapted [--steps 200] [--tasks trec,sst2]
    python -m benchmarks.compare_objectives new --out runs/new [--steps 1200] [--tasks trec,ag_news]

``adapted``: the builtin model is adapted to the raw text of the task with each objective, as ``petkit evaluate --adapt`` does it, and PET
starts from that: it is what the default of ``--adapt`` rests on. ``new``: models of 2 x 128 from scratch on the WikiText-2 files
in $PETKIT_DATA/corpus, with the builtin tokenizer. So little text is read some twenty times: of ten million tokens that do not
repeat, models of this size learn nothing but the frequencies of words. ELECTRA's checkpoint for PET is its generator, a quarter as wide.
All with the same updates, rows, length and rate, on the 16-per-label splits that lie beside the data. Run again after an interruption,
it goes on. Under the table stand the differences from its first row. ``--only`` makes
one row of the table, so that several can be made side by side before the table is printed.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.real_data import data_folder
from petkit import evaluate
from petkit.builtin import model_path
from petkit.evaluation.statistics import t_interval
from petkit.pretraining import PretrainSettings, run_pretraining

OBJECTIVES: Mapping[str, tuple[str, float | None]] = {
    "mlm-15": ("mlm", None),
    "mlm-25": ("mlm", 0.25),
    "mlm-40": ("mlm", 0.4),
    "whole-word": ("whole-word", None),
    "spanbert": ("spanbert", None),
    "electra": ("electra", None),
}
"""Name -> objective and mask rate (None: the objective's)."""

ALLOW_OVERLAP = {"trec"}
"""Tasks of whose published splits a labelled row equals a test row; all models see the same ones."""


def corpus() -> list[str]:
    """The texts that new models learn from."""
    return [str(data_folder() / "corpus" / name) for name in ("wikitext2_valid.txt", "wikitext2_test.txt")]


def new_model(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """The figures of a model from scratch."""
    objective, rate = OBJECTIVES[name]
    settings = PretrainSettings(
        steps=options.steps or 1200,
        objectives=(objective,),
        mask_rate=rate,
        arch="electra" if name == "electra" else "bert",
        layers=2,
        hidden=128,
        rows=128,
        length=64,
        tokenizer=str(model_path()),
        learning_rate=3e-3,
        seed=options.seed,
        threads=1,
    )
    return run_pretraining(corpus(), settings, str(options.out / name), cache=str(options.out / "tokens"))


def few_shot(task: str, out: Path, *, model: str, changes: Mapping[str, Any]) -> Mapping[str, Any]:
    """report.json of PET on a task's splits."""
    return evaluate(
        task,
        data=f"{task}={data_folder() / task}",
        out=out,
        model=model,
        splits="given:lmbff16",
        methods=("pet",),
        preset="small",
        settings={"threads": 1, "patterns": "0,1", "pool_limit": 300, "classifier.steps": 100, **changes},
        test_limit=1000,
        allow_overlap=task in ALLOW_OVERLAP,
    ).report


def score(report: Mapping[str, Any]) -> str:
    """Accuracy in percent: mean, and its 95 % interval over splits."""
    row = next(row for row in report["summary"] if row["metric"] == "accuracy")
    return "{:.1f} ({:.1f} to {:.1f})".format(*(100 * value for value in (row["mean"], *row["interval_splits"])))


def differences(options: argparse.Namespace, names: Sequence[str]) -> Iterator[str]:
    """For each task and later row: PET's accuracy against the first row's, in points, paired over splits, with the 95 % t interval."""
    for task in options.tasks:
        first, *others = (_accuracies(options.out / f"{name}-{task}") for name in names)
        for name, found in zip(names[1:], others, strict=True):
            gains = [100 * (found[split] - first[split]) for split in first]
            low, high = t_interval(gains, level=0.95) or (float("nan"), float("nan"))
            better = sum(gain > 0 for gain in gains)
            yield f"{task}: {name} {statistics.mean(gains):+.1f} ({low:.1f} to {high:.1f}), better on {better} of {len(gains)} splits"


def _accuracies(study: Path) -> dict[int, float]:
    """By split, of a study of one method."""
    cells = json.loads((study / "report.json").read_text(encoding="utf-8"))["cells"]
    return {cell["split"]: cell["test"]["accuracy"] for cell in cells}


def adapted_row(name: str, options: argparse.Namespace) -> list[str]:
    """For each task: masked tokens right before and after adapting, by the objective's own masks, and PET."""
    objective, rate = OBJECTIVES[name]
    cells = []
    for task in options.tasks:
        changes = {"adapt_steps": options.steps or 200, "adapt_objective": objective, "adapt_mask_rate": rate}
        report = few_shot(task, options.out / f"{name}-{task}", model="builtin", changes=changes)
        figures = report["study"]["adaptation"][task]
        cells += [f"{100 * figures['accuracy_before']:.1f} -> {100 * figures['accuracy']:.1f}", score(report)]
    return cells


def new_row(name: str, options: argparse.Namespace) -> list[str]:
    """Held-out loss and masked tokens right, by the objective's own masks, and PET on each task."""
    figures = new_model(name, options)
    reports = [few_shot(task, options.out / f"{name}-{task}", model=figures["model"], changes={}) for task in options.tasks]
    return [f"{figures['loss']:.2f}", f"{100 * figures['accuracy']:.1f}", *map(score, reports)]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("start", choices=["adapted", "new"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=0, help="updates; default 200 (adapted) or 1200 (new)")
    parser.add_argument("--tasks", type=lambda text: text.split(","), help="default trec,sst2 (adapted) or trec,ag_news (new)")
    parser.add_argument("--seed", type=int, default=1, help="of new models")
    parser.add_argument("--only", choices=list(OBJECTIVES), action="append")
    options = parser.parse_args()
    adapts = options.start == "adapted"
    options.tasks = options.tasks or ["trec", "sst2" if adapts else "ag_news"]
    names = options.only or [name for name in OBJECTIVES if name != "electra" or not adapts]
    heads = [f"{task}: {what}" for task in options.tasks for what in ("masked tokens right, %", "PET")]
    heads = heads if adapts else ["held-out loss", "masked tokens right, %", *(f"{task}: PET" for task in options.tasks)]
    print(f"| | {' | '.join(heads)} |\n|{'---|' * (len(heads) + 1)}", flush=True)
    for name in names:
        print(f"| {name} | {' | '.join((adapted_row if adapts else new_row)(name, options))} |", flush=True)
    print("\n".join(["", f"Against {names[0]}:", *differences(options, names)]) if len(names) > 1 else "")


if __name__ == "__main__":
    main()
