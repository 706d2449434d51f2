"""The executor for a number of workers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from petkit.executors.in_process import InProcess
from petkit.executors.protocol import Executor
from petkit.executors.spawned import Spawned

__all__ = ["executor_for"]


@contextmanager
def executor_for(workers: int, *, device: str = "auto") -> Iterator[Executor]:
    """One that runs ``workers`` units at a time: in this process if it is one, else in processes that stay for the block.

    With ``device`` "auto" or "cuda" and several GPUs at hand, the processes take them in turn.
    """
    if workers == 1:
        yield InProcess()
        return
    with Spawned(workers, _gpus() if device in ("auto", "cuda") else ()) as executor:
        yield executor


def _gpus() -> tuple[str, ...]:
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return tuple(f"cuda:{number}" for number in range(count)) if count > 1 else ()
