"""Memory: how much a piece of work takes at most, which differs from machine to machine, and what is said where it is exhausted."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from petkit.errors import RunError

__all__ = ["MemoryExhaustedError", "Peak", "memory_explained", "peak_memory"]

_EXHAUSTED: Final = re.compile(r"out of memory|CUBLAS_STATUS_ALLOC_FAILED|DefaultCPUAllocator: (can't allocate|not enough) memory")
"""In the words of torch's errors: of its allocators on CUDA, MPS and the CPU, of CUDA itself and of cuBLAS. MemoryError needs none."""

_LESS: Final = {
    "petkit.pretraining": "more --accumulate (the same update in more parts), fewer --rows, a smaller --length, a smaller --size",
    "petkit.finetuning": "more --accumulate (the same update in more parts), a smaller --batch, --max-length or --model",
    "petkit": "member.batch halved and member.accumulate doubled, a smaller member.unlabeled_batch, classifier.batch, supervised.batch, "
    "token_budget (of labelling) or max_length (all by --set), a smaller --model",
}
"""What takes less memory, by where a unit's function is; the first that fits."""


class MemoryExhaustedError(RunError):
    """The device has less memory than a unit needs."""


@dataclass
class Peak:
    """The most memory that was held at a time, in bytes: on the GPU if one is in use, else by this process. None where nobody tells."""

    peak: int | None = None


@contextmanager
def peak_memory() -> Iterator[Peak]:
    """Measure the block. The process as a whole is counted, libraries included.

    For that the counters begin anew, for all that reads them in this process: on Linux ``VmHWM`` and ``ru_maxrss``, and torch's of each GPU
    in use. There is no other way to learn of a peak below an earlier one.
    """
    found = Peak()
    _forget()
    yield found
    found.peak = _on_gpu() or _of_process()


@contextmanager
def memory_explained(what: str, function: str) -> Iterator[None]:
    """Whatever tells in the block that memory is exhausted, torch, numpy or Python, becomes one message that names what takes less.

    Args:
        what: is at work, for the message. function: that of the unit, ``"package.module:function"``.

    Raises MemoryExhaustedError.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and not _EXHAUSTED.search(str(error)):
            raise
        less = next((words for start, words in _LESS.items() if function.startswith(start)), _LESS["petkit"])
        first = next(iter(str(error).splitlines()), type(error).__name__)  # Python's own has no text
        said = " ".join(re.split(r"(?<=\.)\s+(?=[A-Z])", first)[:2]).rstrip(".")
        raise MemoryExhaustedError(
            f"{what} needs more memory than the device has left ({said}). Fewer --workers, or an end to what else holds that memory: the "
            f"same command then goes on. Else begin in another folder (--out), since a run keeps its settings, with what takes less: {less}"
        ) from error


def _forget() -> None:
    """Have the peak start anew, so that a worker's earlier units do not count. Linux only; elsewhere the peak is that of the process."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    if (cuda := _cuda()) is not None:
        for device in range(cuda.device_count()):
            cuda.reset_peak_memory_stats(device)


def _cuda() -> Any:
    """``torch.cuda`` if this process computes on a GPU already, else None."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized() else None


def _on_gpu() -> int | None:
    """On the GPU that held most, whichever is the current one."""
    if (cuda := _cuda()) is None:
        return None
    return max((int(cuda.max_memory_allocated(device)) for device in range(cuda.device_count())), default=0) or None


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
