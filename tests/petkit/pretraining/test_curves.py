"""Curves of a run: kept through kills, drawn so that the picture stands alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from petkit.errors import SettingsError
from petkit.pretraining.curves import Curves, TensorBoard, draw_curves

POINTS = [
    {"step": 10, "rows": 40, "training/mlm": 6.0, "training/loss": 6.5},
    {"step": 20, "rows": 80, "training/mlm": 5.0, "training/loss": 5.5, "held out/mlm": 5.2, "held out/mlm_accuracy": 0.125},
]


def test_a_point_told_again_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "curves.jsonl"
    for point in POINTS:
        Curves(path).add(point)  # each time as after a kill
    again = Curves(path)
    again.add({"step": 20, "rows": 80, "training/mlm": 4.0})
    assert [json.loads(line) for line in path.read_text().splitlines()] == [POINTS[0], {"step": 20, "rows": 80, "training/mlm": 4.0}]
    again.add({"step": 10, "rows": 40})
    assert [point["step"] for point in Curves(path).points] == [10]


def test_the_picture_is_a_document_of_its_own_with_colours_and_words(tmp_path: Path) -> None:
    root = ElementTree.fromstring(draw_curves(POINTS))
    text = "".join(root.itertext())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "held out/mlm 5.200 to 5.200" in text
    assert "accuracy" not in text  # another scale
    assert "--series-2: #" in text
    assert "prefers-color-scheme:dark" in text


def test_both_files_are_published_and_no_picture_without_points(tmp_path: Path) -> None:
    Curves(tmp_path / "none.jsonl").publish(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["curves.jsonl"]
    curves = Curves(tmp_path / "work.jsonl")
    for point in POINTS:
        curves.add(point)
    curves.publish(tmp_path)
    assert (tmp_path / "curves.svg").read_text() == draw_curves(POINTS)
    assert [json.loads(line) for line in (tmp_path / "curves.jsonl").read_text().splitlines()] == POINTS


def test_tensorboard_is_asked_for_by_name_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with pytest.raises(SettingsError, match=r"install petkit\[tensorboard\]"):
        TensorBoard(tmp_path)


BOARD = """
import json, sys
from pathlib import Path
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from petkit.pretraining.curves import TensorBoard

points, folder = json.loads(sys.argv[1]), Path(sys.argv[2])
killed = TensorBoard.going_on(folder, points[:1])
killed.add(points[1] | {"training/mlm": 9.0})
killed.close()
again = TensorBoard.going_on(folder, points[:1])
again.add(points[1])
again.close()
found = EventAccumulator(str(folder))
found.Reload()
print(json.dumps({tag: [(e.step, round(e.value, 3)) for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}))
"""


def test_tensorboards_own_reader_finds_every_point_once_after_a_kill(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    command = [sys.executable, "-c", BOARD, json.dumps(POINTS), str(tmp_path / "board")]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert json.loads(found.stdout) == {
        "held_out/mlm": [[20, 5.2]],
        "held_out/mlm_accuracy": [[20, 0.125]],
        "rows": [[10, 40.0], [20, 80.0]],
        "training/loss": [[10, 6.5], [20, 5.5]],
        "training/mlm": [[10, 6.0], [20, 5.0]],
    }
