"""Files of a run that are damaged from outside: noticed, refused or made again."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from petkit import files
from petkit.errors import RunError
from petkit.runs import read_status
from tests.petkit.runs.toy_runs import Stop, observing, of_kind, raising_at, resume, toy


def test_truncated_checkpoint_is_noticed(tmp_path: Path, points: list[str], reference: dict[str, object]) -> None:
    with observing(raising_at(points.index("step 2"), Stop())), pytest.raises(Stop):
        toy.run(tmp_path / "run")
    (checkpoint,) = (tmp_path / "run" / "work").rglob("state.safetensors")
    os.truncate(checkpoint, checkpoint.stat().st_size - 1)
    events = resume(tmp_path / "run")
    assert [event.done for event in events if event.kind == "progress"] == [1, 2, 3, 4]
    assert toy.snapshot(tmp_path / "run") == reference


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is damaged"),
        (b'{"schema": 1, "settin', "is damaged"),
        (b"[1]", "holds list, not a JSON object"),
        (b"\xff\xfe", "is damaged"),
        (b'{"schema": 2}', "has schema 2, and this petkit reads 1"),
        (b'{"schema": 1, "settings": {}, "inputs": []}', "no valid inputs, versions, hardware, created, reopened"),
    ],
)
def test_damaged_manifest(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(RunError, match=message):
        toy.run(tmp_path)
    with pytest.raises(RunError, match=message):
        read_status(tmp_path)
    assert (tmp_path / "run.json").read_bytes() == content


def test_leftovers_go_and_nothing_else(tmp_path: Path, reference: dict[str, object]) -> None:
    folder = tmp_path / "run"
    toy.run(folder)
    outside = tmp_path / f"{files.TEMPORARY}outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    (folder / "stages" / f"{files.TEMPORARY}words-1").mkdir()
    (folder / "stages" / f"{files.TEMPORARY}words-1" / "words.json").write_text("half")
    (folder / f"{files.TEMPORARY}run.json-1").write_text("half")
    (folder / f"{files.TEMPORARY}link").symlink_to(outside)
    (folder / "way-out").symlink_to(tmp_path)
    resume(folder)
    (folder / "way-out").unlink()
    assert toy.snapshot(folder) == reference
    assert (outside / "kept").read_text() == "x"


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def _halve(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("unit", "name", "damage", "reason"),
    [
        ("words", "words.json", _truncate, "output words.json has .* bytes instead of"),
        ("table", "table.parquet", _flip, "output table.parquet has changed"),
        ("member", "state.safetensors", Path.unlink, "output state.safetensors is missing"),
        ("scores", "more/notes.txt", _truncate, "output more/notes.txt has"),
        ("scores", "record.json", _halve, "record.json is damaged"),
        ("table", "record.json", Path.unlink, "record.json is damaged"),
        ("table", "record.json", lambda path: path.write_text("{}"), "not the record of a unit"),
    ],
)
def test_damaged_output_is_noticed_and_made_again(
    tmp_path: Path, reference: dict[str, object], unit: str, name: str, damage: Callable[[Path], None], reason: str
) -> None:
    toy.run(tmp_path / "run")
    damage(tmp_path / "run" / "stages" / unit / name)
    events = resume(tmp_path / "run")
    assert of_kind(events, "rerun") == of_kind(events, "started") == [unit]
    (notice,) = [event.reason for event in events if event.kind == "rerun"]
    assert re.search(reason, notice)
    assert toy.snapshot(tmp_path / "run") == reference
