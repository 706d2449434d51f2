"""The executor of this process, and the choice of one."""

from __future__ import annotations

import pytest

from petkit.errors import RunError
from petkit.executors import InProcess, Spawned, executor_for
from petkit.runs import RunFolder
from tests.petkit.executors.executor_units import calls_of, unit


def test_nothing_runs_ahead_of_the_reader(run: RunFolder) -> None:
    results = InProcess().run([unit("a"), unit("b")], run)
    next(results)
    assert calls_of(run) == ["a"]


def test_executor_for_a_number_of_workers() -> None:
    with executor_for(1) as one, executor_for(3, device="cpu") as three:
        assert (one, three) == (InProcess(), Spawned(3))


def test_unfinished_need_is_an_error(run: RunFolder) -> None:
    with pytest.raises(RunError, match="stage 'a' is not finished"):
        run.key(unit("b", "a"))
