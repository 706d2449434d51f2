"""The device and the threads that a stage computes with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import torch

from petkit.errors import SettingsError
from petkit.runs import recorded

__all__ = [
    "Computed",
    "autocast_dtype",
    "choose_device",
    "computing",
    "default_precision",
    "default_threads",
    "resumed_threads",
]


class Computed(Protocol):
    """Settings of what computes: the number of threads, None for ``default_threads``, and whether by deterministic kernels."""

    @property
    def threads(self) -> int | None: ...
    @property
    def deterministic(self) -> bool: ...


def choose_device(name: str = "auto") -> str:
    """``auto`` -> the first GPU if there is one, Apple's if that is there, else the CPU.

    Raises SettingsError on a device that is not there.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise SettingsError(
            f"--device {name!r} cannot be used here ({str(error).splitlines()[0]}); legal are auto, cpu, cuda, cuda:N, mps"
        ) from error
    return name


def default_threads() -> int:
    """As many as the machine has processors, 8 at most; ``OMP_NUM_THREADS`` instead, where it is set."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdecimal() and int(asked) > 0 else min(8, os.cpu_count() or 1)


def resumed_threads(root: Path, asked: int | None) -> int:
    """The number asked for; else that of the run in the folder ``root``, which is to go on as it began; else ``default_threads``."""
    return int(asked or recorded(root).get("settings", {}).get("threads") or default_threads())


def default_precision(device: str) -> str:
    """bfloat16 on a GPU that computes in it; float32 elsewhere (bf16 is several times slower on most CPUs)."""
    return "bfloat16" if device.startswith("cuda") and torch.cuda.is_bf16_supported(including_emulation=False) else "float32"


def autocast_dtype(precision: str) -> torch.dtype | None:
    """The dtype that ``scoring`` wants for a precision."""
    return torch.bfloat16 if precision == "bfloat16" else None


@contextmanager
def computing(settings: Computed) -> Iterator[None]:
    """The number of threads that the settings name, and deterministic kernels if they ask for them; as before afterwards."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(settings.threads or default_threads())
    if settings.deterministic:
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic)
        torch.set_num_threads(threads)
