"""The device and the threads that a stage computes with."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final, Protocol

import torch

from petkit.errors import SettingsError
from petkit.runs import recorded

__all__ = [
    "Computed",
    "accelerator",
    "any_shape",
    "autocast_dtype",
    "choose_device",
    "computing",
    "computing_on",
    "default_precision",
    "default_threads",
    "default_token_budget",
    "resumed_threads",
]

_LEGAL: Final = "legal are auto, cpu, cuda, cuda:N, mps"
_WORKSPACE: Final = "CUBLAS_WORKSPACE_CONFIG"
"""What cuBLAS may use beside its operands; by default several streams share it, and sums come out in another order."""


class Computed(Protocol):
    """Settings of what computes: the number of threads, None for ``default_threads``, and whether by deterministic kernels."""

    @property
    def threads(self) -> int | None: ...
    @property
    def deterministic(self) -> bool: ...


def choose_device(name: str = "auto") -> str:
    """``auto`` -> the first CUDA GPU if there is one, else the CPU. Apple's GPU (``mps``) is taken by name only.

    Raises SettingsError on a name that is not legal, and on a device that is not there.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?|mps", name):
        raise SettingsError(f"--device is {name!r}; {_LEGAL}")
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise SettingsError(f"--device {name!r} cannot be used here ({str(error).splitlines()[0]}); {_LEGAL}") from error
    return name


def accelerator(device: str) -> dict[str, Any]:
    """What ``RunFolder.open`` is told of the hardware: ``accelerator`` with the ``name`` of the GPU and the ``count`` of those in sight.

    >>> accelerator("cpu")
    {}
    """
    if device.startswith("cuda"):
        return {"accelerator": {"name": torch.cuda.get_device_name(device), "count": torch.cuda.device_count()}}
    return {"accelerator": {"name": "Apple GPU", "count": 1}} if device == "mps" else {}


def computing_on(device: str, precision: str) -> tuple[str, ...]:
    """A notice of what a command computes on, for users: none on the CPU.

    >>> computing_on("mps", "float32"), computing_on("cpu", "float32")
    (('computing on mps: Apple GPU, float32',), ())
    """
    return tuple(f"computing on {device}: {found['name']}, {precision}" for found in accelerator(device).values())


def default_threads() -> int:
    """As many as the machine has processors, 8 at most; ``OMP_NUM_THREADS`` instead, where it is set."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdecimal() and int(asked) > 0 else min(8, os.cpu_count() or 1)


def resumed_threads(root: Path, asked: int | None) -> int:
    """The number asked for; else that of the run in the folder ``root``, which is to go on as it began; else ``default_threads``."""
    return int(asked or recorded(root).get("settings", {}).get("threads") or default_threads())


def default_precision(device: str) -> str:
    """bfloat16 on a GPU that computes in it; float32 elsewhere (bf16 is several times slower on most CPUs)."""
    if not device.startswith("cuda"):
        return "float32"
    able = torch.version.hip is not None or torch.cuda.get_device_properties(device).major >= 8
    return "bfloat16" if able else "float32"


def default_token_budget(device: str) -> int:
    """Tokens of a batch that is labelled, padding counted: what fills a GPU is too much for a CPU's caches.

    >>> default_token_budget("cpu"), default_token_budget("cuda:1")
    (8192, 65536)
    """
    return 8192 if device == "cpu" else 65536


def autocast_dtype(precision: str) -> torch.dtype | None:
    """The dtype that ``scoring`` wants for a precision."""
    return torch.bfloat16 if precision == "bfloat16" else None


@contextmanager
def computing(settings: Computed) -> Iterator[None]:
    """The number of threads that the settings name, attention for ``any_shape``, and deterministic kernels if the settings ask for them;
    as before afterwards.

    Raises SettingsError where these are asked for, and torch has none for an operation on the GPU.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(settings.threads or default_threads())
    try:
        with any_shape(), _deterministic() if settings.deterministic else nullcontext():
            yield
    finally:
        torch.set_num_threads(threads)


class _Without:
    """Turns cuDNN's attention off while anybody in the process is inside, and back as it was when the last one leaves."""

    def __init__(self) -> None:
        self._lock, self._inside, self._before = threading.Lock(), 0, True

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            if not self._inside:
                self._before = torch.backends.cuda.cudnn_sdp_enabled()
                torch.backends.cuda.enable_cudnn_sdp(False)
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if not self._inside:
                    torch.backends.cuda.enable_cudnn_sdp(self._before)


any_shape: Final = _Without()
"""``with any_shape():`` attention by kernels that take batches of any shape at once.

On new GPUs torch asks cuDNN first, which makes a plan for every shape that it has not met, in a good part of a second. Batches without
padding to one length have hundreds of shapes. The switch is the process's, so its other threads compute without cuDNN's attention, too.
"""


@contextmanager
def _deterministic() -> Iterator[None]:
    """Kernels that give the same numbers every time.

    Where there is a CUDA GPU in torch's strict mode: only then the backward pass of its attention kernels is deterministic, or the
    kernel is not taken (cuDNN's). With warnings only, as on the CPU, it is not. cuBLAS reads its variable when it is first called
    in a process, by every worker for itself; one that the user has set stays.
    """
    before, warning = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    strict, given = torch.cuda.is_available(), _WORKSPACE in os.environ
    if strict and not given:
        os.environ[_WORKSPACE] = ":4096:8"
    torch.use_deterministic_algorithms(True, warn_only=not strict)
    try:
        yield
    except RuntimeError as error:
        _explain(error)
        raise
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warning)
        if strict and not given:
            os.environ.pop(_WORKSPACE, None)


def _explain(error: RuntimeError) -> None:
    """Raise SettingsError if torch's strict mode has refused an operation."""
    first = str(error).splitlines()[0] if str(error) else ""
    if "because it uses CuBLAS" in first:
        raise SettingsError(
            f"deterministic is true, and cuBLAS was at work before in this process, or {_WORKSPACE} is set to something else; "
            f"set {_WORKSPACE}=:4096:8 before Python starts"
        ) from error
    if "does not have a deterministic implementation" in first:
        raise SettingsError(
            f"deterministic is true, and torch has no such kernel on the GPU for {first.split()[0]}; leave out deterministic=true "
            "(--deterministic), or compute with --device cpu, either in another folder (--out)"
        ) from error
