"""Several processes end together: what one refuses, rank 0 tells, and the others know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from petkit.errors import DataError, SettingsError, UserError
from petkit.pretraining import PretrainSettings, ranks, run, run_pretraining
from petkit.pretraining.ranks import Dismissed, Ranks, awaited, in_turn, leading, summon, together

Failure = tuple[str, int] | None


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Be a rank beside others that fail as given; what is broadcast is noted, and read from the given list."""

    def arrange(rank: int, others: list[Failure], told: list[Any] | None = None) -> list[Any]:
        said: list[Any] = []

        def gather(into: list[Any], mine: Any) -> None:
            into[:] = [*others[:rank], mine, *others[rank + 1 :]]

        def broadcast(held: list[Any], src: int) -> None:
            said.append(held[0])
            held[0] = held[0] if rank == src else (told or [])[len(said) - 1]

        monkeypatch.setattr(ranks, "ranks", lambda: Ranks(rank, len(others)))
        monkeypatch.setattr(ranks.distributed, "all_gather_object", gather)
        monkeypatch.setattr(ranks.distributed, "broadcast_object_list", broadcast)
        return said

    return arrange


def refuse() -> None:
    raise DataError("the text is empty")


def late() -> None:
    summon("work")
    raise ValueError("later")


def test_alone_work_is_done_and_raises_as_it_is() -> None:
    assert (together(lambda: 5), in_turn(lambda: 6)) == (5, 6)
    with pytest.raises(DataError, match="the text is empty"):
        together(refuse)


def test_where_nobody_fails_every_rank_has_its_own_result(beside: Any) -> None:
    for rank in (0, 1):
        beside(rank, [None, None])
        assert together(lambda: "mine") == in_turn(lambda: "mine") == "mine"


def test_rank_0_keeps_its_error_and_the_others_are_dismissed_with_it(beside: Any) -> None:
    beside(0, [None, None])
    with pytest.raises(DataError, match="the text is empty"):
        together(refuse)
    for mine in (refuse, lambda: None):  # it fails alike, or waits
        beside(1, [("the text is empty", 2), None])
        with pytest.raises(Dismissed, match="the text is empty") as caught:
            together(mine)
        assert caught.value.code == 2


def test_an_error_of_another_rank_is_told_by_rank_0(beside: Any) -> None:
    beside(0, [None, None, ("no memory", 2)])
    with pytest.raises(UserError, match="process 2: no memory"):
        together(lambda: 5)
    beside(0, [None, ("ValueError: odd", 1)])
    with pytest.raises(RuntimeError, match="process 1 failed: ValueError: odd"):
        together(lambda: 5)


def test_what_fails_in_turn_is_not_begun_by_the_others(beside: Any) -> None:
    begun: list[int] = []
    beside(1, [("the disk is full", 2), None])
    with pytest.raises(Dismissed):
        in_turn(lambda: begun.append(1))
    assert begun == []


def test_an_error_before_the_others_are_summoned_dismisses_them(beside: Any) -> None:
    said = beside(0, [None, None])
    with pytest.raises(SettingsError), leading():
        raise SettingsError("no such folder")
    assert said == [{"failure": ("no such folder", 2)}]
    said = beside(0, [None, None])
    with pytest.raises(ValueError, match="later"), leading():
        late()
    assert said == [{"work": "work"}]
    beside(1, [None, None], told=[{"work": None}, {"failure": ("KeyError: 'x'", 1)}])
    assert awaited() is None
    with pytest.raises(Dismissed, match="KeyError") as caught:
        awaited()
    assert caught.value.code == 1


def test_a_source_that_is_not_there_dismisses_the_other_processes(beside: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    class Two:
        def __init__(self, rank: int) -> None:
            self.here = Ranks(rank, 2)

        def __enter__(self) -> Ranks:
            return self.here

        def __exit__(self, *_: object) -> None: ...

    settings = PretrainSettings(steps=1, rows=4, length=16)
    said = beside(0, [None, None])
    monkeypatch.setattr(run, "joined", lambda device: Two(0))
    with pytest.raises(DataError, match="no such file"):
        run_pretraining([str(tmp_path / "none.txt")], settings, str(tmp_path / "a"))
    ((message, code),) = [one["failure"] for one in said]
    assert ("no such file" in message, code) == (True, 2)
    beside(1, [None, None], told=said)
    monkeypatch.setattr(run, "joined", lambda device: Two(1))
    with pytest.raises(Dismissed, match="no such file"):
        run_pretraining([str(tmp_path / "none.txt")], settings, str(tmp_path / "a"))
