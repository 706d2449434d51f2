"""Several processes end together: what one refuses, rank 0 tells, and the others know."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from petkit.errors import DataError, ModelError, SettingsError, UserError
from petkit.memory import MemoryExhaustedError
from petkit.pretraining import PretrainSettings, ranks, run, run_pretraining
from petkit.pretraining.ranks import Dismissed, Ranks, awaited, first_says_why, in_turn, leading, means_of_all, summon, together
from tests.builders import docstrings, tiny_masked_lm

Failure = tuple[str, int] | None


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Be a rank beside others that fail as given; what it broadcasts and fails with is noted, what others broadcast is given."""

    def arrange(rank: int, others: list[Failure], told: list[Any] | None = None) -> list[Any]:
        said: list[Any] = []

        def gather(into: list[Any], mine: Any) -> None:
            said.extend([] if mine is None else [mine])
            into[:] = [*others[:rank], mine, *others[rank + 1 :]]

        def broadcast(held: list[Any], src: int) -> None:
            said.append(held[0])
            held[0] = held[0] if rank == src else (told or [])[len(said) - 1]

        monkeypatch.setattr(ranks, "ranks", lambda: Ranks(rank, len(others)))
        monkeypatch.setattr(ranks.distributed, "all_gather_object", gather)
        monkeypatch.setattr(ranks.distributed, "broadcast_object_list", broadcast)
        return said

    return arrange


def broken(folder: Path) -> Path:
    """A checkpoint whose weights are no numbers."""
    path = tiny_masked_lm("bert", folder)
    weights = {name: value * float("nan") for name, value in load_file(path / "model.safetensors").items()}
    save_file(weights, path / "model.safetensors", {"format": "pt"})
    return path


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


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory. Tried"), MemoryError()])
def test_exhausted_memory_ends_all_with_the_same_exit_code(beside: Any, error: Exception) -> None:
    def exhaust() -> None:
        raise error

    beside(0, [None, None])
    with pytest.raises(MemoryExhaustedError, match=r"pretraining needs more memory.*fewer --rows"):
        together(exhaust)
    beside(1, [None, None])
    with pytest.raises(Dismissed, match="more memory") as caught:
        together(exhaust)
    assert caught.value.code == 2


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


class Joined:
    """As a process of two that has joined the other."""

    def __init__(self, rank: int) -> None:
        self.here = Ranks(rank, 2)

    def __enter__(self) -> Ranks:
        return self.here

    def __exit__(self, *_: object) -> None: ...


SMALL: dict[str, Any] = {"steps": 1, "rows": 4, "length": 16, "held_out": 0.2}


def test_a_source_that_is_not_there_dismisses_the_other_processes(beside: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = PretrainSettings(**SMALL)
    said = beside(0, [None, None])
    monkeypatch.setattr(run, "joined", lambda device: Joined(0))
    with pytest.raises(DataError, match="no such file"):
        run_pretraining([str(tmp_path / "none.txt")], settings, str(tmp_path / "a"))
    ((message, code),) = [one["failure"] for one in said]
    assert ("no such file" in message, code) == (True, 2)
    beside(1, [None, None], told=said)
    monkeypatch.setattr(run, "joined", lambda device: Joined(1))
    with pytest.raises(Dismissed, match="no such file"):
        run_pretraining([str(tmp_path / "none.txt")], settings, str(tmp_path / "a"))


def test_a_missing_package_is_told_before_the_others_are_summoned(beside: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("One two three. Four five six.")
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    monkeypatch.setattr(run, "joined", lambda device: Joined(0))
    said = beside(0, [None, None])
    with pytest.raises(SettingsError, match="--tensorboard needs the package"):
        run_pretraining([str(tmp_path / "text.txt")], PretrainSettings(**SMALL), str(tmp_path / "a"), tensorboard=True)
    assert said == [{"failure": ("--tensorboard needs the package tensorboard: install petkit[tensorboard]", 2)}]


def test_a_checkpoint_without_sound_weights_is_told_to_all(beside: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "text.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in docstrings()[:20]))
    init = broken(tmp_path / "init")
    monkeypatch.setattr(run, "joined", lambda device: Joined(0))
    said = beside(0, [None, None])
    with pytest.raises(ModelError, match="begin with sound weights") as caught:
        run_pretraining([str(tmp_path / "text.jsonl")], PretrainSettings(**SMALL, init=str(init)), str(tmp_path / "a"))
    assert said[1:] == [(str(caught.value), 2)]  # after the summons, and gathered from this process by all


REFUSED: dict[str, list[str]] = {
    "before the others have something to do": ["none.txt"],
    "while they wait for the tokens": ["empty.txt"],
    "by a package that is missing": ["text.jsonl", "--tensorboard"],
    "once the checkpoint is measured": ["text.jsonl", "--init", "init", "--length", "24"],
}


@pytest.mark.slow
@pytest.mark.parametrize("order", REFUSED.values(), ids=REFUSED)
def test_what_rank_0_refuses_is_said_once(tmp_path: Path, order: list[str]) -> None:
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "text.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in docstrings()[:60]))
    (tmp_path / "tensorboard.py").write_text("raise ImportError('not here')\n")
    broken(tmp_path / "init")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29572", "--no-python"]
    petkit = [str(Path(sys.executable).with_name("petkit")), "pretrain"]
    rest = ["--out", "run", "--steps", "2", "--rows", "4", "--device", "cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(tmp_path)}
    whole = [*launcher, *petkit, *order, *rest]
    found = subprocess.run(whole, capture_output=True, text=True, env=environment, check=False, cwd=tmp_path)
    assert found.returncode == 1  # the launcher's own
    assert sum(line.startswith("Error: ") for line in found.stderr.splitlines()) == 1, found.stderr
    assert "rank      : 0 (local_rank: 0)\n  exitcode  : 2" in found.stderr
    assert "gloo" not in found.stderr.lower()
    assert "petkit/pretraining" not in found.stderr  # no traceback of ours


def test_a_mistake_that_all_meet_is_said_by_rank_0_alone(beside: Any) -> None:
    for rank, kind in ((0, DataError), (1, Dismissed)):
        beside(rank, [None, None])
        with pytest.raises(UserError, match="the text is empty") as caught, first_says_why():
            refuse()
        assert caught.type is kind


def test_losses_are_pooled_as_means_over_the_ranks(beside: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    beside(0, [None, None])
    monkeypatch.setattr(ranks.distributed, "all_reduce", lambda held: held.add_(torch.tensor([3.0, 5.0])))
    found = means_of_all({"loss": torch.tensor(1.0, requires_grad=True), "mlm": torch.tensor(2.0, dtype=torch.bfloat16)})
    assert {name: (value.item(), value.requires_grad) for name, value in found.items()} == {"loss": (2.0, False), "mlm": (3.5, False)}
