"""Pretraining objectives on an equal budget, then PET from each: prints the table of docs/results.md.

    python -m benchmarks.compare_objectives --out runs/objectives [--steps 1000] [--tasks sst2,trec] [--only NAME ...]

Every model is made from scratch by `petkit pretrain` on the same text (builtin:docs and the prose in $PETKIT_DATA/corpus, not
WikiText), with the builtin model's tokenizer and the same steps, rows, length and rate. Then `petkit evaluate` trains PET from each on the
16-per-label splits that lie beside the data, and a linear probe on its frozen embeddings, all with the same settings. ELECTRA's checkpoint
is its generator, the one of the two models that has an MLM head; here it is as wide as the others. Run again after an interruption, it
goes on; ``--only`` makes one model, so that several can be made side by side before the table is printed.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.real_data import data_folder
from petkit import evaluate
from petkit.builtin import model_path
from petkit.pretraining import PretrainSettings, run_pretraining

OBJECTIVES: Mapping[str, Mapping[str, Any]] = {
    "mlm-15": {"objectives": ("mlm",)},
    "mlm-25": {"objectives": ("mlm",), "mask_rate": 0.25},
    "mlm-40": {"objectives": ("mlm",), "mask_rate": 0.4},
    "whole-word": {"objectives": ("whole-word",)},
    "spanbert": {"objectives": ("spanbert",)},
    "electra": {"objectives": ("electra",), "arch": "electra"},
}
METHODS = ("pet", "linear-probe")
ALLOW_OVERLAP = {"trec"}
"""Tasks of whose published splits some labelled rows equal a test row; all models see the same ones."""


def corpus() -> list[str]:
    """The texts that all learn from."""
    folder = data_folder() / "corpus"
    return ["builtin:docs", *(str(path) for path in sorted([*folder.glob("gutenberg_*.txt"), *folder.glob("nltk_*.txt")]))]


def pretrained(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """The figures of one model."""
    settings = PretrainSettings(
        steps=options.steps,
        rows=32,
        length=128,
        tokenizer=str(model_path()),
        learning_rate=1e-3,
        seed=options.seed,
        **{key: int(value) for key, value in (part.split("=") for part in options.size.split(","))},
        **OBJECTIVES[name],
    )
    return run_pretraining(corpus(), settings, str(options.out / name), cache=str(options.out / "tokens" / name))


def few_shot(model: str, task: str, out: Path, options: argparse.Namespace) -> dict[str, tuple[float, float, float]]:
    """Accuracy in percent by method: mean and the ends of its 95 % interval over splits."""
    found = evaluate(
        task,
        data=f"{task}={data_folder() / task}",
        out=out,
        model=model,
        splits="given:lmbff16",
        methods=METHODS,
        preset_name="small",
        changes={"threads": 1, "adapt_steps": options.adapt, "patterns": "0,1", "pool_limit": 300, "classifier.steps": 200},
        calibration_folds=0,
        test_limit=1000,
        allow_overlap=task in ALLOW_OVERLAP,
    )
    rows = (row for row in found.report["summary"] if row["metric"] == "accuracy")
    return {row["method"]: (100 * row["mean"], *(100 * end for end in row["interval_splits"])) for row in rows}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--size", default="layers=2,hidden=128")
    parser.add_argument("--tasks", default="sst2,trec")
    parser.add_argument("--adapt", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=list(OBJECTIVES), action="append")
    options = parser.parse_args()
    tasks = options.tasks.split(",")
    print(f"| | held-out loss | accuracy | {' | '.join(f'{task}: {method}' for task in tasks for method in METHODS)} |")
    print("|" + "---|" * (len(tasks) * len(METHODS) + 3))
    for name in options.only or OBJECTIVES:
        figures = pretrained(name, options)
        scores = {task: few_shot(figures["model"], task, options.out / "studies" / f"{name}-{task}", options) for task in tasks}
        cells = ["{:.1f} ({:.1f} to {:.1f})".format(*scores[task][method]) for task in tasks for method in METHODS]
        print(f"| {name} | {figures['loss']:.2f} | {figures.get('accuracy', float('nan')):.3f} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
