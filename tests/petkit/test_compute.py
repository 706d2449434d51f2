"""What a run computes with where nobody says."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from petkit.compute import computing, default_threads


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
