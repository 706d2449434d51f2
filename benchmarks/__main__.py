"""``python -m benchmarks``: every measurement, a table of medians and ratios, exit code 1 if a demand is missed."""

from __future__ import annotations

import os

# One thread everywhere; these are read when torch and the tokenizers are imported.
os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", RAYON_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false", HF_HUB_OFFLINE="1")

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.contests import contests
from benchmarks.material import Material, gather
from benchmarks.objectives import objective_contests
from benchmarks.table import as_dict, lines
from benchmarks.timing import interleave, one_thread


def main() -> int:
    """Run the chosen measurements; 1 if a demand is missed, else 0."""
    chosen = _arguments()
    missed = 0
    with tempfile.TemporaryDirectory() as name, one_thread():
        material = gather(Path(name), rows=chosen.rows)
        facts = _facts(material, chosen.rounds)
        if not chosen.json:
            print(", ".join(f"{key} {value}" for key, value in facts.items()))
        results = []
        for contest in [*contests(material, Path(name)), *objective_contests(material)]:
            if chosen.only and not any(word in contest.name for word in chosen.only):
                continue
            timings = interleave(contest.make(), rounds=chosen.rounds)
            found = as_dict(contest, timings)
            missed += sum(not demand["met"] for demand in found["demands"])
            results.append(found)
            if not chosen.json:
                print("\n" + "\n".join(lines(found)), flush=True)
    if chosen.json:
        json.dump({**facts, "measurements": results}, sys.stdout, indent=1)
        print()
    return 1 if missed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="repetitions of every way, interleaved (5)")
    parser.add_argument("--rows", type=int, default=800, help="texts of the pool, at least 200 (800)")
    parser.add_argument("--only", nargs="+", metavar="WORD", help="only measurements whose name contains one of these words")
    parser.add_argument("--json", action="store_true", help="JSON with every round's numbers instead of the table")
    chosen = parser.parse_args()
    if chosen.rounds < 1 or chosen.rows < 200:
        parser.error("--rounds is at least 1 and --rows at least 200")
    return chosen


def _facts(material: Material, rounds: int) -> dict[str, object]:
    encoded = material.encoder().clozes(material.rows, material.pvp.pattern, filler=material.pvp.verbalizer.words[0][0])
    return {
        "texts": f"{len(material.rows)} of {material.origin}",
        "median tokens": int(np.median(encoded.lengths)),
        "pieces": len(material.tokenizer),
        "rounds": rounds,
        "torch": torch.__version__,
    }


if __name__ == "__main__":
    sys.exit(main())
