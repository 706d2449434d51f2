"""What a run computes with where nobody says."""

from __future__ import annotations

import pytest

from petkit.compute import default_threads


@pytest.mark.parametrize(
    ("asked", "processors", "expected"), [("3", 64, 3), ("", 64, 8), ("", 2, 2), ("0", 4, 4), ("many", 4, 4), (None, None, 1)]
)
def test_threads_are_those_of_the_environment_or_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, asked: str | None, processors: int | None, expected: int
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: processors)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False) if asked is None else monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert default_threads() == expected
