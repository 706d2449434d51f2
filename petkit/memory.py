"""How much memory a piece of work takes at most: measured, so different from machine to machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Peak", "peak_memory"]


@dataclass
class Peak:
    """The most memory that was held at a time, in bytes: on the GPU if one is in use, else by this process. None where nobody tells."""

    peak: int | None = None


@contextmanager
def peak_memory() -> Iterator[Peak]:
    """Measure the block. The process as a whole is counted, libraries included."""
    found = Peak()
    _forget()
    yield found
    found.peak = _on_gpu() or _of_process()


def _forget() -> None:
    """Have the peak start anew, so that a worker's earlier units do not count. Linux only; elsewhere the peak is that of the process."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()


def _on_gpu() -> int | None:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return None
    return int(torch.cuda.max_memory_allocated()) or None


def _of_process() -> int | None:
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
