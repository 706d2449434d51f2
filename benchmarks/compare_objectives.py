"""Pretraining objectives on an equal budget, then PET from each: prints the table of docs/results.md.

    python -m benchmarks.compare_objectives --out runs/objectives [--steps 1500] [--size layers=2,hidden=128] [--tasks sst2,trec]

Every model is made from scratch by `petkit pretrain` on the same text (builtin:docs and the prose in $PETKIT_DATA/corpus, not
WikiText) with the same tokenizer, steps, rows and length. Then `petkit evaluate --methods single,pet` on the 16-per-label splits that lie
beside the data, all with the same settings. Run again after an interruption, it goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.real_data import data_folder
from petkit import evaluate
from petkit.pretraining import PretrainSettings, run_pretraining

OBJECTIVES: Mapping[str, Mapping[str, Any]] = {
    "mlm, 15 %": {"objectives": ("mlm",)},
    "mlm, 25 %": {"objectives": ("mlm",), "mask_rate": 0.25},
    "mlm, 40 %": {"objectives": ("mlm",), "mask_rate": 0.4},
    "whole word": {"objectives": ("whole-word",)},
    "spanbert": {"objectives": ("spanbert",)},
    "electra": {"objectives": ("electra",), "arch": "electra"},
}


def corpus() -> list[str]:
    """The texts that all learn from."""
    folder = data_folder() / "corpus"
    return ["builtin:docs", *(str(path) for path in sorted([*folder.glob("gutenberg_*.txt"), *folder.glob("nltk_*.txt")]))]


def pretrained(name: str, options: argparse.Namespace, tokenizer: str | None) -> dict[str, Any]:
    """The figures of one model."""
    shape = {key: int(value) for key, value in (part.split("=") for part in options.size.split(","))}
    settings = PretrainSettings(
        steps=options.steps,
        rows=32,
        length=128,
        vocabulary=8192,
        tokenizer=tokenizer,
        learning_rate=1e-3,
        seed=options.seed,
        **shape,
        **OBJECTIVES[name],
    )
    out = options.out / name.replace(" ", "").replace(",", "-").replace("%", "")
    return run_pretraining(corpus(), settings, str(out), cache=str(options.out / "tokens"))


def few_shot(model: str, out: Path, options: argparse.Namespace) -> dict[tuple[str, str], tuple[float, float]]:
    """Mean accuracy and half the width of its interval by (task, method)."""
    data = [f"{task}={data_folder() / task}" for task in options.tasks.split(",")]
    settings = {"threads": 1, "adapt_steps": options.adapt, "baselines": False}
    found = evaluate(
        options.tasks.split(","),
        data=data,
        out=out,
        model=model,
        splits="given:lmbff16",
        methods=("single", "pet"),
        preset_name="small",
        changes=settings,
        test_limit=1000,
    )
    rows = (row for row in found.report["summary"] if row["metric"] == "accuracy")
    return {(row["task"], row["method"]): (row["mean"], (row["interval_splits"][1] - row["interval_splits"][0]) / 2) for row in rows}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--size", default="layers=2,hidden=128")
    parser.add_argument("--tasks", default="sst2,trec")
    parser.add_argument("--adapt", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    columns = [(task, method) for task in options.tasks.split(",") for method in ("single", "pet")]
    print(f"| | held-out loss | accuracy | {' | '.join(f'{task}: {method}' for task, method in columns)} |")
    print("|" + "---|" * (len(columns) + 3))
    tokenizer = None
    for name in OBJECTIVES:
        figures = pretrained(name, options, tokenizer)
        tokenizer = tokenizer or figures["model"]
        scores = few_shot(figures["model"], options.out / "studies" / name.replace(" ", "-"), options)
        cells = [f"{mean:.3f} ± {half:.3f}" for mean, half in (scores[column] for column in columns)]
        print(f"| {name} | {figures['loss']:.2f} | {figures.get('accuracy', float('nan')):.3f} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
