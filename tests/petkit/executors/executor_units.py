"""Unit functions for the tests of executors. They are imported by other processes too, so nothing heavy is at the top.

Calls are counted in a file of the run folder, since a process cannot see another one's variables.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from petkit import files
from petkit.errors import DataError, raise_problems
from petkit.runs import RunFolder
from petkit.units import Unit, UnitContext

HERE = __name__


class Awkward(Exception):
    """Cannot be made again from what it keeps: it wants two arguments and keeps one."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one + two)


def unit(name: str, *needs: str, function: str = "count", **spec: Any) -> Unit:
    """A unit of a function below."""
    return Unit(name, f"{HERE}:{function}", {**spec, "of": needs}, needs=needs)


def calls_of(run: RunFolder | UnitContext) -> list[str]:
    """The units that were begun in this run folder, in order."""
    path = run.root / "calls.log"
    return path.read_text().split() if path.exists() else []


def note(context: UnitContext) -> None:
    """Add the unit's name to the calls."""
    with (context.root / "calls.log").open("a") as handle:  # appending a short line is one write: no process cuts into another's
        handle.write(f"{context.name}\n")


def count(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Write the sum of the numbers of the needed units and ``add``; ``steps`` calls of progress."""
    note(context)
    for step in range(spec.get("steps", 0)):
        context.progress(step + 1, spec["steps"], loss=1 / (step + 1))
    total = spec.get("add", 0) + sum(files.read_json_checked(context.need(name) / "sum.json")["sum"] for name in spec["of"])
    files.write_json(context.out / "sum.json", {"sum": total // spec.get("round", 1) * spec.get("round", 1)})
    spec.clear()
    return {"name": context.name}


def overhear(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Keep what it is told aside."""
    note(context)
    files.write_json(context.root / "aside.json", dict(context.aside))
    return {}


def other(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """The same under another name."""
    return count(spec, context)


def draw(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Numbers from the unit's seed, and the bytes of what it needs."""
    import numpy as np

    numbers = np.random.default_rng(context.seed_for("numbers", context.name)).normal(size=5)
    files.write_bytes(context.out / "numbers.bin", numbers.tobytes())
    for name in spec["of"]:
        files.write_bytes(context.out / f"of-{name}.bin", (context.need(name) / "numbers.bin").read_bytes())
    return {"sum": float(numbers.sum())}


def fail(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Leave half an output and a checkpoint, and go wrong in the way that ``error`` names."""
    note(context)
    if "until" in spec:
        _linger(spec, context)
    (context.out / "half").write_text("half")
    (context.work / "checkpoint").write_text("kept")
    match spec["error"]:
        case "interrupt":
            raise KeyboardInterrupt("by hand")
        case "undeclared":
            context.need("a")
        case "seedless":
            context.seed_for("x")
        case "taken":
            (context.out / "record.json").write_text("{}")
        case "user":
            raise_problems(DataError, "data.csv", ["row 3: no label", "row 7: no text"])
        case "file":
            (context.out / "missing").read_text()
        case "awkward":
            raise Awkward("one", "two")
    return {} if spec["error"] != "recordless" else None  # type: ignore[return-value]


def die(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Two steps, each with a checkpoint. The process ends after the next step as often as the run's file ``deaths`` says (none: never)."""
    note(context)
    deaths = context.root / "deaths"
    fatal = calls_of(context).count(context.name) <= (int(deaths.read_text()) if deaths.exists() else 0)
    seen = context.work / "steps"
    for step in range(len(seen.read_text()) if seen.exists() else 0, 2):
        (context.out / "half").write_text("half")
        files.write_text(seen, "x" * (step + 1))
        if fatal and "child" in spec and os.fork() == 0:
            _outlive(spec["child"])
        if fatal:
            os._exit(spec["status"]) if "status" in spec else os.kill(os.getpid(), signal.SIGKILL)
        (context.out / "half").unlink()
    files.write_text(context.out / "steps.txt", seen.read_text())
    return {"steps": 2}


def exhaust(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Run out of memory, in the words of a GPU, as often as the run's file ``deaths`` says; leaves a checkpoint each time."""
    note(context)
    tries = context.work / "tries"
    files.write_text(tries, (tries.read_text() if tries.exists() else "") + "x")
    if len(tries.read_text()) <= int((context.root / "deaths").read_text()):
        (context.out / "half").write_text("half")
        raise RuntimeError("CUDA error: out of memory")
    return {"tries": len(tries.read_text()), "process": os.getpid()}


def _outlive(seconds: float) -> None:
    """What a process does that a dead worker has left behind."""
    time.sleep(seconds)
    os._exit(0)


def die_late(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """The process ends itself when the unit's folder has its name, before anybody is told."""
    note(context)

    def end(point: str) -> None:
        if point == f"renamed {context.name}":
            os.kill(os.getpid(), signal.SIGKILL)

    files.observers.append(end)
    return {}


def wait(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Tell the process's number (in a file, and as progress) and sleep: see ``_linger``."""
    note(context)
    files.write_text(context.root / f"process-{context.name}", str(os.getpid()))
    context.progress(os.getpid())
    _linger(spec, context)
    return {}


def _linger(spec: dict[str, Any], context: UnitContext) -> None:
    """Sleep until the file ``until`` is there, or the units ``beside`` are begun; in vain if the unit names neither."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if "until" in spec and (context.root / spec["until"]).exists():
            return
        if "beside" in spec and set(spec["beside"]) <= set(calls_of(context)):
            return
        time.sleep(0.01)
    raise TimeoutError(f"{context.name} has waited in vain")


def look(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """What a unit sees of its process."""
    note(context)
    if "beside" in spec:
        _linger(spec, context)
    print("printed by a unit")
    return {
        "gpus": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "ignores_interrupts": signal.getsignal(signal.SIGINT) == signal.SIG_IGN,
        "heavy": sorted({"torch", "transformers", "sklearn"} & set(sys.modules)),
        "process": os.getpid(),
        "folder": str(Path.cwd()),
    }
