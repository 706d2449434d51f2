"""Four units that write what real stages write, one with checkpoints: what the tests of runs stop, kill and resume.

As a program, ``toy_pipeline.py FOLDER NAME COUNT REACHED`` sleeps when it comes to the write point NAME for the COUNT-th time, after
making the file REACHED: the place to kill it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from petkit import files
from petkit.executors import Event, UnitResult, run_all
from petkit.runs import RunFolder
from petkit.units import Unit, UnitContext

STEPS = 4
SETTINGS: dict[str, Any] = {"seed": 3, "member": {"steps": STEPS}}
INPUTS = {"train": "1a", "pool": "2b"}
VERSIONS = {"petkit": "0.1.0", "torch": "2.13.0"}


def words(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    chosen = [f"word{context.seed_for('word', i) % 100}" for i in range(spec["count"])]
    files.write_json(context.out / "words.json", {"words": chosen, "nothing": float("nan")})
    context.progress(spec["count"], spec["count"])
    return {"words": len(chosen)}


def table(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    chosen = files.read_json_checked(context.need("words") / "words.json")["words"]
    files.write_parquet(context.out / "table.parquet", {"id": list(range(len(chosen))), "word": chosen})
    return {"rows": len(chosen)}


def member(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    import torch

    begin, state, loss = _resume(context)
    for step in range(begin, spec["steps"]):
        files.checkpoint_hook(f"step {step}")
        noise = torch.randn(8, generator=torch.Generator().manual_seed(context.seed_for("step", step)))
        state, loss = 0.5 * state + noise, loss + noise.sum()
        files.write_tensors(context.work / "state.safetensors", {"step": torch.tensor(step + 1), "state": state, "loss": loss})
        context.progress(step + 1, spec["steps"], loss=float(loss))
    files.write_tensors(context.out / "state.safetensors", {"state": state, "loss": loss})
    return {"loss": float(loss)}


def _resume(context: UnitContext) -> tuple[int, Any, Any]:
    import torch

    try:
        found = files.read_tensors_checked(context.work / "state.safetensors")
    except files.DamagedFileError:
        return 0, torch.zeros(8), torch.tensor(0.0)
    return int(found["step"]), found["state"], found["loss"]


def scores(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    total = float(files.read_tensors_checked(context.need("member") / "state.safetensors")["state"].sum())
    (context.out / "more").mkdir()
    files.write_text(context.out / "more" / "notes.txt", f"sum {total}\n")
    files.write_json(context.out / "scores.json", {"total": total})
    return {"total": total, "table": files.digest(context.need("table") / "table.parquet")}


def units(seed: int = 3, module: str = "toy_pipeline") -> list[Unit]:
    return [
        Unit("words", f"{module}:words", {"seed": seed, "count": 5}),
        Unit("table", f"{module}:table", {}, needs=("words",)),
        Unit("member", f"{module}:member", {"seed": seed, "steps": STEPS}, files={"pool.csv": "2b"}),
        Unit("scores", f"{module}:scores", {}, needs=("table", "member")),
    ]


def run(folder: Path, *, on_event: Callable[[Event], None] = lambda event: None, **changes: Any) -> dict[str, UnitResult]:
    given: dict[str, Any] = {"settings": SETTINGS, "inputs": INPUTS, "versions": VERSIONS} | changes
    with RunFolder.open(folder, **given) as opened:
        return run_all(units(), opened, on_event=on_event)


def snapshot(folder: Path) -> dict[str, object]:
    """Every file that counts, by name: its bytes, or its JSON without what is measured. The lock is left out."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock"]
    return {path.relative_to(folder).as_posix(): _without_times(path) for path in paths}


def _without_times(path: Path) -> object:
    if path.name not in ("record.json", "run.json"):
        return path.read_bytes()
    volatile = ("seconds", "finished", "measured", "created")
    return {name: value for name, value in json.loads(path.read_bytes()).items() if name not in volatile}


def _sleep_at(name: str, count: int, reached: Path) -> None:
    seen = 0

    def observe(point: str) -> None:
        nonlocal seen
        seen += point == name
        if seen == count:
            reached.touch()
            time.sleep(120)

    files.observers.append(observe)


if __name__ == "__main__":
    _sleep_at(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
    run(Path(sys.argv[1]))
