"""Curves of a run: kept through kills, drawn so that the picture stands alone."""

from __future__ import annotations

import json
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
    with pytest.raises(SettingsError, match="pip install tensorboard"):
        TensorBoard(tmp_path)
