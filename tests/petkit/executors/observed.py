"""What tests of executors look at: events, processes, and what is left in the folder."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from petkit.executors import Event
from petkit.runs import RunFolder


def told(events: list[Event], *kinds: str) -> list[tuple[str, str]]:
    return [(event.kind, event.unit) for event in events if event.kind in kinds or not kinds]


def leftovers(run: RunFolder) -> list[str]:
    """What is unfinished in the folder: temporary files, and checkpoints."""
    return [str(path.relative_to(run.root)) for path in run.root.rglob("*") if path.name.startswith(".tmp-") or "work" in path.parts[-2:-1]]


def gone(process: int) -> bool:
    """Whether a process has ended. One that nobody has asked for its exit status has."""
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether the condition holds within that time."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def processes(events: list[Event]) -> list[int]:
    """The numbers that ``wait`` units have told."""
    return [event.done or 0 for event in events if event.kind == "progress"]
