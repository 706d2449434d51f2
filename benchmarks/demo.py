"""The demo over several seeds: mean paired differences to each baseline, on development or test rows.

    python -m benchmarks.demo --part development --seeds 1,2,3,4,5 [--set member.steps=100]

Settings are chosen on development rows; the test rows are scored once with the settings that ship (LOG.md).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from petkit.builtin.demo import run_demo


def figures(report: Mapping[str, Any]) -> dict[str, float]:
    """Accuracies of one run by name."""
    scores = report["scores"]
    first = [member for member in scores["members"] if member["generation"] == 0]
    found = {f"pattern {m['pattern_index']} before": m["before"]["accuracy"] for m in first}
    found |= {f"pattern {m['pattern_index']} after": m["after"]["accuracy"] for m in first}
    found |= {f"ensemble, generation {g['generation']}": g["ensemble"]["accuracy"] for g in scores["generations"]}
    found["classifier"] = scores["classifier"]["accuracy"]
    return found | {name: score["accuracy"] for name, score in scores["baselines"].items() if score}


def summary(tables: list[dict[str, float]]) -> list[str]:
    """Means, standard deviations, and the paired differences of ensemble and classifier to each baseline."""

    def line(name: str, values: list[float]) -> str:
        spread = statistics.stdev(values) if len(values) > 1 else float("nan")
        return f"{name:34s} mean {statistics.mean(values):+.3f}  sd {spread:.3f}   {' '.join(f'{v:+.3f}' for v in values)}"

    lines = [line(name, [table[name] for table in tables]) for name in tables[0]]
    ours = [name for name in tables[0] if name.startswith("ensemble") or name == "classifier"]
    for baseline in ("supervised", "tfidf"):
        lines += [line(f"{name} - {baseline}", [t[name] - t[baseline] for t in tables]) for name in ours if baseline in tables[0]]
    return lines


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("development", "test"), default="development")
    parser.add_argument("--seeds", default="1,2,3,4,5")
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    changes = dict(change.split("=", 1) for change in options.set)
    tables = []
    for seed in (int(seed) for seed in options.seeds.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            result = run_demo(Path(folder) / "run", seed=seed, part=options.part, model=options.model, changes=changes)
        tables.append(figures(result.report))
        print(json.dumps({"seed": seed, "seconds": round(sum(result.report["seconds"].values())), **tables[-1]}), flush=True)
    print("\n".join(summary(tables)))


if __name__ == "__main__":
    main()
