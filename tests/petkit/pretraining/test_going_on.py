"""The folder of a pretraining run: what may be another when it goes on, what is refused, what a refusal leaves."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from petkit.checkpoints import CHECKPOINT_FILE
from petkit.errors import DataError, RunError, SettingsError, UserError
from petkit.executors import Event
from petkit.pretraining import PretrainSettings, loop, measured, run_pretraining
from petkit.pretraining.texts import InMemory, read_texts
from petkit.runs import LOCK, read_status
from petkit.units import StageRecord, stage_folder
from tests.builders import tiny_masked_lm
from tests.petkit.pretraining.test_run import SMALL, Stopped, documents, stop_at, text_file

__all__ = ["stop_at"]


def settings_of(**changes: Any) -> PretrainSettings:
    return PretrainSettings(**{**SMALL, "steps": 6, **changes})


@pytest.fixture
def source(tmp_path: Path) -> str:
    return text_file(tmp_path)


def contents(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {LOCK} if folder.exists() else set()


class Writer:
    """What a TensorBoard writer is to petkit; it keeps steps of the loss in a file."""

    def __init__(self, folder: str, *, purge_step: int | None) -> None:
        del purge_step  # it only tells a reader what to hide
        self.path = Path(folder) / "steps"
        self.path.parent.mkdir(exist_ok=True)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        with self.path.open("a") as file:
            file.write(f"{step}\n" if name == "training/loss" else "")

    def flush(self) -> None: ...
    def close(self) -> None: ...


@pytest.fixture
def writer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=Writer))  # type: ignore[arg-type]


def steps_on_board(folder: Path) -> list[int]:
    return [int(step) for step in (folder / "tensorboard" / "steps").read_text().split()]


@pytest.mark.usefixtures("writer")
def test_cache_and_board_are_no_part_of_a_finished_run(source: str, tmp_path: Path) -> None:
    kinds: list[str] = []
    first = run_pretraining([source], settings_of(), str(tmp_path / "a"))
    options: dict[str, Any] = {"cache": str(tmp_path / "cache"), "tensorboard": True, "on_event": lambda event: kinds.append(event.kind)}
    for _ in range(2):  # the board is written once
        assert run_pretraining([source], settings_of(), str(tmp_path / "a"), **options) == first
    assert kinds == ["skipped", "skipped"]
    assert steps_on_board(tmp_path / "a") == [1, 2, 3, 4, 5, 6]


@pytest.mark.usefixtures("writer")
def test_a_killed_run_goes_on_with_another_cache_and_a_board(source: str, tmp_path: Path, stop_at: Callable[[str, int], None]) -> None:
    expected = run_pretraining([source], settings_of(), str(tmp_path / "a"))
    stop_at(f"renamed {CHECKPOINT_FILE}", 3)
    with pytest.raises(Stopped):
        run_pretraining([source], settings_of(), str(tmp_path / "b"))
    seen: list[Event] = []
    found = run_pretraining(
        [source], settings_of(), str(tmp_path / "b"), cache=str(tmp_path / "cache"), tensorboard=True, on_event=seen.append
    )
    assert next(event.done for event in seen if event.kind == "progress") == 4
    assert {**found, "model": ""} == {**expected, "model": ""}
    assert steps_on_board(tmp_path / "b") == [1, 2, 3, 4, 5, 6]


def test_a_killed_run_goes_on_with_other_workers(
    source: str, tmp_path: Path, stop_at: Callable[[str, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    loader: Any = loop.DataLoader
    monkeypatch.setattr(loop, "DataLoader", lambda *given, **how: asked.append(how["num_workers"]) or loader(*given, **how))
    run_pretraining([source], settings_of(), str(tmp_path / "a"))
    stop_at(f"renamed {CHECKPOINT_FILE}", 3)
    with pytest.raises(Stopped):
        run_pretraining([source], settings_of(), str(tmp_path / "b"))
    run_pretraining([source], settings_of(workers=2), str(tmp_path / "b"))
    assert asked == [0, 0, 2]
    one, other = (StageRecord.read(stage_folder(tmp_path / name, "model")) for name in "ab")
    assert (one.key, one.record) == (other.key, other.record)
    assert one.outputs == other.outputs


def test_another_encoding_is_another_text(source: str, tmp_path: Path) -> None:
    run_pretraining([source], settings_of(steps=1), str(tmp_path / "a"))
    with pytest.raises(RunError, match=r'encoding: "utf-8-sig" -> "latin-1"'):
        run_pretraining([source], settings_of(steps=1), str(tmp_path / "a"), encoding="latin-1")


def test_a_resumed_run_keeps_its_threads(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    note: Any = lambda event: seen.append(torch.get_num_threads()) if event.kind == "progress" else None  # noqa: E731
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    run_pretraining([source], settings_of(steps=2), str(tmp_path / "a"), on_event=note)
    assert read_status(tmp_path / "a").manifest["settings"]["settings"]["threads"] == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    run_pretraining([source], settings_of(steps=2), str(tmp_path / "a"))
    run_pretraining([source], settings_of(steps=2, threads=1), str(tmp_path / "b"), on_event=note)
    assert (seen, torch.get_num_threads()) == ([2, 2, 1, 1], before)


def test_deterministic_kernels_are_used_while_it_trains(source: str, tmp_path: Path) -> None:
    seen: list[bool] = []
    note: Any = lambda event: seen.append(torch.are_deterministic_algorithms_enabled())  # noqa: E731
    run_pretraining([source], settings_of(steps=2, deterministic=True), str(tmp_path / "a"), on_event=note)
    assert any(seen)
    assert not torch.are_deterministic_algorithms_enabled()


def refused(error: type[UserError], match: str, source: str, out: Path, **changes: Any) -> None:
    with pytest.raises(error, match=match):
        run_pretraining([source], settings_of(**changes), str(out))


def test_a_refused_run_leaves_the_folder_free_for_the_corrected_command(source: str, tmp_path: Path) -> None:
    init, out = str(tiny_masked_lm("bert", tmp_path / "init")), tmp_path / "run"
    refused(SettingsError, "rows of 4000 tokens exceed", source, out, init=init, length=4000)
    assert contents(out) == set()
    assert run_pretraining([source], settings_of(init=init), str(out))["steps"] == 6


@pytest.mark.parametrize("checkpoint", [False, True])
def test_a_diverged_run_says_so_and_what_helps(source: str, tmp_path: Path, checkpoint: bool, request: pytest.FixtureRequest) -> None:
    if checkpoint:
        request.getfixturevalue("stop_at")  # with it every step writes one
    out = tmp_path / "run"
    refused(SettingsError, r"training diverged at update \d+ of 20 .*: loss is (nan|inf); lower --learning-rate", source, out, **WILD)
    assert bool(contents(out)) == checkpoint
    for path in out.rglob("curves.jsonl"):
        assert not {"NaN", "Infinity"} & set(path.read_text().replace(",", " ").split())


WILD = {"learning_rate": 1e30, "warmup": 0.0, "clip": None, "steps": 20}


def test_a_checkpoint_of_no_numbers_is_not_taken_for_another_language(source: str, tmp_path: Path) -> None:
    from transformers import AutoModelForMaskedLM

    init = tiny_masked_lm("bert", tmp_path / "init")
    model = AutoModelForMaskedLM.from_pretrained(init)
    with torch.no_grad():
        model.get_input_embeddings().weight.fill_(float("nan"))
    model.save_pretrained(init)
    refused(UserError, "loss mlm on the text held out is nan", source, tmp_path / "run", init=str(init))


def test_long_rows_that_leave_a_part_empty_are_refused() -> None:
    with pytest.raises(SettingsError, match="accumulate is 4; 1 to 2 is legal, the rows of an update of 48 tokens each"):
        settings_of(rows=4, length=24, long_length=48, accumulate=4)
    settings_of(rows=4, length=24, long_length=48, accumulate=2)
    settings_of(rows=4, length=24, long_length=48, long_share=0.0, accumulate=4)


def test_no_objective_is_refused() -> None:
    with pytest.raises(SettingsError, match="there is no objective; at least 1 is legal"):
        settings_of(objectives=())


def test_more_processes_than_rows_are_refused() -> None:
    settings_of(rows=8, accumulate=2).check_processes(4)
    with pytest.raises(SettingsError, match=r"5 processes, each with 2 parts of an update, need 10 rows at least .* has 8$"):
        settings_of(rows=8, accumulate=2).check_processes(5)
    with pytest.raises(SettingsError, match=r"has 4 \(of 48 tokens each\)"):
        settings_of(rows=8, length=24, long_length=48).check_processes(5)


def test_processes_are_counted_before_anything_is_written(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from petkit.pretraining import run

    class Alone:
        def __enter__(self) -> Any:
            return run.ranks().__class__(0, 99)

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(run, "joined", lambda device: Alone())
    refused(SettingsError, "99 processes", source, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_data_sets_in_memory_do_not_overwrite_each_other(tmp_path: Path) -> None:
    settings = settings_of(tokenizer=str(tiny_masked_lm("bert", tmp_path / "m")))
    sets = {"one": InMemory(documents(count=30)), "two": InMemory(documents(count=60, animal="today"))}
    _, first = read_texts(sets, settings, tmp_path, tmp_path / "tokens")
    held = {name: split.train.ids.tolist() for name, split in first.items()}
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "tokens").rglob("*.bin")}
    _, second = read_texts(sets, settings, tmp_path, tmp_path / "tokens")  # as another rank does
    assert held["one"] != held["two"]
    assert {name: split.train.ids.tolist() for name, split in second.items()} == held
    assert files == {path: path.stat().st_mtime_ns for path in (tmp_path / "tokens").rglob("*.bin")}


def test_longer_rows_are_fewer_in_figures_and_curves(source: str, tmp_path: Path) -> None:
    settings = settings_of(steps=10, rows=9, length=24, long_length=50, long_share=0.3)
    figures = run_pretraining([source], settings, str(tmp_path / "a"))
    record = json.loads((tmp_path / "a" / "stages" / "model" / "record.json").read_text())["measured"]
    points = [json.loads(line)["rows"] for line in (tmp_path / "a" / "curves.jsonl").read_text().splitlines()]
    rows, tokens = 7 * 9 + 3 * 4, 7 * 9 * 24 + 3 * 4 * 50
    assert points == [*range(9, 64, 9), 67, 71, rows]
    assert figures["tokens"] == tokens
    assert record["tokens_per_second"] / record["rows_per_second"] == pytest.approx(tokens / rows)
    assert measured(tmp_path / "a") == record
    assert "measured" not in figures
    assert record["objectives"] == {"mlm": {"rows_per_second": pytest.approx(record["rows_per_second"])}}
    assert measured(tmp_path / "none") == {}


def test_rows_and_pairs_per_second_by_objective(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"text": f"one two {i}. three four five. six seven."}) + "\n" for i in range(40)))
    settings = settings_of(steps=12, objectives=("mlm", "nsp"), mixing="equal", hidden=64, long_length=48, long_share=0.5)
    run_pretraining([str(path)], settings, str(tmp_path / "a"))
    found = measured(tmp_path / "a")
    rows, pairs = found["objectives"]["mlm"]["rows_per_second"], found["objectives"]["nsp"]["pairs_per_second"]
    assert rows > 0
    assert pairs > 0
    assert rows + pairs == pytest.approx(found["rows_per_second"])


def test_a_missing_boundary_head_is_told(source: str, tmp_path: Path) -> None:
    told: list[str] = []
    first = run_pretraining(
        [source],
        settings_of(steps=1, objectives=("spanbert",), init=str(tiny_masked_lm("bert", tmp_path / "init"))),
        str(tmp_path / "a"),
        on_notice=told.append,
    )
    (notice,) = told
    assert "has no boundary_head.safetensors beside it, so the span boundary head starts anew" in notice
    for objective in ("spanbert", "mlm"):
        again = settings_of(steps=1, objectives=(objective,), init=first["model"])
        run_pretraining([source], again, str(tmp_path / objective), on_notice=told.append)
    assert told == [notice]


def test_text_that_cannot_be_read_leaves_the_folder_free(tmp_path: Path) -> None:
    path = tmp_path / "little.txt"
    path.write_text("one")
    refused(DataError, "too little", str(path), tmp_path / "run")
    path.write_bytes(b"one\0two")
    refused(DataError, "NUL byte", str(path), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("chinese", [True, False])
def test_text_that_the_checkpoints_tokenizer_hardly_knows_is_told(tmp_path: Path, chinese: bool) -> None:
    model, told = tiny_masked_lm("bert", tmp_path / "model"), []
    text = tmp_path / "text.txt"
    before = "\u8fd9\u91cc " * 20 if chinese else ""
    text.write_text("\n\n".join(before + line for one in documents(count=30) for line in one), "utf-8")
    settings = PretrainSettings(steps=2, init=str(model), rows=4, length=16)
    figures = run_pretraining([str(text)], settings, str(tmp_path / "run"), on_notice=told.append)
    assert ("unknown_tokens" in figures, any("unknown to the model's tokenizer" in line for line in told)) == (chinese, chinese)


def test_paths_are_taken_and_lone_strings_refused(tmp_path: Path, source: str) -> None:
    model = tiny_masked_lm("bert", tmp_path / "model")
    settings = PretrainSettings(steps=1, init=model, rows=4, length=16)  # type: ignore[arg-type]
    assert settings.init == str(model)
    assert run_pretraining([Path(source)], settings, tmp_path / "run")["steps"] == 1
    with pytest.raises(SettingsError, match=r"sources is 'text.txt'; a list such as \['text.txt'\] is legal"):
        run_pretraining("text.txt", settings, tmp_path / "other")
    with pytest.raises(SettingsError, match=r"objectives is 'mlm', one string; a tuple such as \('mlm',\) is legal"):
        settings_of(objectives="mlm")
    with pytest.raises(SettingsError, match=r"keep .* is for a new tokenizer"):
        settings_of(init="builtin", keep=("zebra",))
