"""What a run computes with where nobody says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch

from petkit.compute import accelerator, any_shape, choose_device, computing, computing_on, default_precision, default_threads
from petkit.errors import SettingsError
from petkit.training import autocast

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


@pytest.mark.parametrize(
    ("asked", "processors", "expected"), [("3", 64, 3), ("", 64, 8), ("", 2, 2), ("0", 4, 4), ("many", 4, 4), (None, None, 1)]
)
def test_threads_are_those_of_the_environment_or_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, asked: str | None, processors: int | None, expected: int
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: processors)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False) if asked is None else monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert default_threads() == expected


@dataclass(frozen=True)
class Asked:
    threads: int | None = None
    deterministic: bool = False


def test_computing_sets_threads_and_kernels_and_puts_both_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", str(before + 1))
    for asked, threads in ((Asked(before + 2, deterministic=True), before + 2), (Asked(), before + 1)):
        with computing(asked):
            assert torch.get_num_threads() == threads
            assert torch.are_deterministic_algorithms_enabled() == asked.deterministic
        assert torch.get_num_threads() == before
        assert not torch.are_deterministic_algorithms_enabled()


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two CUDA GPUs, as far as anybody asks: an old one, which lacks bf16, and a new one."""
    kinds = [SimpleNamespace(name="Old", major=7), SimpleNamespace(name="New", major=9)]

    def properties(device: str) -> SimpleNamespace:
        return kinds[torch.device(device).index or 0]

    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.get_device_properties", properties)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda device: properties(device).name)
    monkeypatch.setattr("torch.version.hip", None)
    monkeypatch.delenv(WORKSPACE, raising=False)


@pytest.mark.parametrize(("there", "chosen"), [(False, "cpu"), (True, "cuda")])
def test_auto_is_a_cuda_gpu_or_the_cpu_and_never_apples(there: bool, chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: there)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    assert choose_device() == chosen


@pytest.mark.parametrize("name", ["meta", "xla", "cpu:0", "cuda:", "cuda:x", "mps:0", "CUDA", ""])
def test_a_name_that_is_no_device_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=f"--device is '{name}'; legal are auto, cpu, cuda, cuda:N, mps$"):
        choose_device(name)


@pytest.mark.parametrize("name", ["cuda:7", "mps"])
def test_a_device_that_is_not_there_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, device: str) -> None:
        raise RuntimeError(f"no {device}\nand more")

    monkeypatch.setattr("torch.empty", missing)
    with pytest.raises(SettingsError, match=rf"--device '{name}' cannot be used here \(no {name}\); legal are auto, cpu"):
        choose_device(name)


@pytest.mark.usefixtures("gpu")
def test_the_gpu_that_is_named_is_asked() -> None:
    assert [default_precision(name) for name in ("cpu", "mps", "cuda", "cuda:0", "cuda:1")] == ["float32"] * 4 + ["bfloat16"]
    assert accelerator("cuda:1") == {"accelerator": {"name": "New", "count": 2}}
    assert computing_on("cuda", "float32") == ("computing on cuda: Old, float32",)


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(("given", "found"), [(None, ":4096:8"), (":16:8", ":16:8")])
def test_on_a_gpu_deterministic_is_strict_and_tells_cublas(given: str | None, found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if given is not None:
        monkeypatch.setenv(WORKSPACE, given)
    with computing(Asked(1)):
        assert (os.environ.get(WORKSPACE), torch.are_deterministic_algorithms_enabled()) == (given, False)
    with computing(Asked(1, deterministic=True)):
        assert (os.environ[WORKSPACE], torch.is_deterministic_algorithms_warn_only_enabled()) == (found, False)
    assert (os.environ.get(WORKSPACE), torch.are_deterministic_algorithms_enabled()) == (given, False)


def test_on_the_cpu_deterministic_refuses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.delenv(WORKSPACE, raising=False)
    with computing(Asked(1, deterministic=True)):
        assert (WORKSPACE in os.environ, torch.is_deterministic_algorithms_warn_only_enabled()) == (False, True)
    assert not torch.is_deterministic_algorithms_warn_only_enabled()


@pytest.mark.usefixtures("gpu")
def test_what_has_no_deterministic_kernel_is_named() -> None:
    message = "no such kernel on the GPU for put_; leave out deterministic=true"
    with pytest.raises(SettingsError, match=message), computing(Asked(1, deterministic=True)):
        torch.zeros(3).put_(torch.tensor([0]), torch.ones(1))  # one that the CPU lacks, too
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        (
            "Deterministic behavior was enabled with x, but this is not deterministic because it uses CuBLAS and",
            SettingsError,
            "before Python",
        ),
        ("something else", RuntimeError, "^something else$"),
        ("", RuntimeError, "^$"),
    ],
)
def test_of_other_errors_only_that_of_cublas_is_explained(said: str, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message), computing(Asked(1, deterministic=True)):
        raise RuntimeError(said)


@pytest.fixture(params=[True, False])
def before(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether cuDNN's attention was on when petkit was called; put back after the test."""
    found = torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cuda.enable_cudnn_sdp(request.param)
    yield request.param
    torch.backends.cuda.enable_cudnn_sdp(found)


def test_cudnns_attention_is_off_until_the_last_one_leaves(before: bool) -> None:
    first, second = any_shape(), any_shape()  # as of two threads
    first.__enter__()
    second.__enter__()
    assert not torch.backends.cuda.cudnn_sdp_enabled()
    first.__exit__(None, None, None)
    assert not torch.backends.cuda.cudnn_sdp_enabled()
    second.__exit__(None, None, None)
    assert torch.backends.cuda.cudnn_sdp_enabled() is before


def test_whatever_computes_goes_without_cudnns_attention(before: bool) -> None:
    for inside in (computing(Asked(1)), autocast(torch.device("cpu"), "bfloat16")):
        with inside:
            assert not torch.backends.cuda.cudnn_sdp_enabled()
        assert torch.backends.cuda.cudnn_sdp_enabled() is before
