"""Memory: the peak of the GPU that was used, and what is said when there is too little of it."""

from __future__ import annotations

import pytest
import torch

from petkit.memory import MemoryExhaustedError, memory_explained, peak_memory

CUDA = (
    "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 79.10 GiB of which 3.12 MiB is free. Including "
    "non-PyTorch memory, this process has 79.09 GiB memory in use."
)
TRAIN = "petkit.members:member_unit"


def explained(error: Exception, function: str = TRAIN) -> str:
    """What is raised in the place of an error, as text."""
    with pytest.raises(MemoryExhaustedError) as caught, memory_explained("unit g0-p0-s0", function):
        raise error
    assert caught.value.__cause__ is error
    return str(caught.value)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.OutOfMemoryError(CUDA), "CUDA out of memory. Tried to allocate 20.00 MiB"),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be"), "CUDA error: out of memory"),
        (RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)"), "MPS backend out of memory (MPS allocated: 8 GB)"),
        (
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
            "CUDA error: CUBLAS_STATUS_ALLOC_FAILED",
        ),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:119] . DefaultCPUAllocator: can't allocate memory: you tried"), "[enforce fail"),
        (MemoryError(), "MemoryError)"),
        (MemoryError("Unable to allocate 7.28 TiB for an array"), "Unable to allocate 7.28 TiB for an array)"),
    ],
)
def test_exhausted_memory_is_one_message(error: Exception, said: str) -> None:
    text = explained(error)
    assert text.startswith(f"unit g0-p0-s0 needs more memory than the device has left ({said}")
    assert "\n" not in text
    assert "this process has" not in text
    for remedy in ("--workers", "another folder (--out)", "member.accumulate doubled", "token_budget", "max_length", "--model"):
        assert remedy in text


@pytest.mark.parametrize(
    ("function", "remedy"),
    [
        ("petkit.pretraining.run:pretrain_unit", "fewer --rows"),
        ("petkit.finetuning.stages:model_unit", "a smaller --batch"),
        ("mine:unit", "member.batch"),
    ],
)
def test_the_remedy_is_that_of_the_command(function: str, remedy: str) -> None:
    assert remedy in explained(torch.OutOfMemoryError(CUDA), function)


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError("out of memory")])
def test_other_errors_pass(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, memory_explained("unit a", TRAIN):
        raise error
    assert caught.value is error


def test_the_peak_is_that_of_the_gpu_in_use_whichever_is_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    held, forgotten = {0: 0, 1: 700, 2: 5}, list[int]()
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.is_initialized", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: len(held))
    monkeypatch.setattr("torch.cuda.max_memory_allocated", lambda device: held[device])
    monkeypatch.setattr("torch.cuda.reset_peak_memory_stats", forgotten.append)
    with peak_memory() as found:
        assert forgotten == [0, 1, 2]
    assert found.peak == 700
    held[1] = held[2] = 0
    with peak_memory() as found:
        pass
    assert (found.peak or 0) > 1_000_000, "no GPU holds anything, so it is the process's"
