"""Predictions out: columns, order, any text, and files that appear whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from petkit.data.readers import iter_records
from petkit.data.writers import PredictionWriter
from petkit.errors import DataError, SettingsError

LABELS = ("bad", "good")
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


def probabilities(*rows: Sequence[float]) -> np.ndarray:
    return np.array(rows, dtype=np.float32).reshape(len(rows), 2)


def written(records: Sequence[Mapping[str, Any]], rows: np.ndarray, **options: Any) -> str:
    stream = io.BytesIO()
    with PredictionWriter(stream, labels=LABELS, **options) as writer:
        for place in range(len(records)):
            writer.write(records[place : place + 1], rows[place : place + 1])
    return stream.getvalue().decode()


def test_json_lines_keep_the_columns_and_add_the_prediction() -> None:
    records: list[dict[str, Any]] = [{"text": "a", "n": [1]}, {"m": None}]
    out = written(records, probabilities((0.1, 0.9), (0.7, 0.3)))
    assert [json.loads(line) for line in out.splitlines()] == [
        {"text": "a", "n": [1], "label": "good", "score": 0.9, "probabilities": {"bad": 0.1, "good": 0.9}},
        {"m": None, "label": "bad", "score": 0.7, "probabilities": {"bad": 0.7, "good": 0.3}},
    ]


def test_csv_keeps_the_columns_and_adds_the_prediction() -> None:
    records: list[dict[str, Any]] = [{"text": 'a, "b"', "n": 5}, {"text": "c\rd", "n": None}, {"text": "e", "n": [1, "x"]}]
    out = written(records, probabilities((0.1, 0.9), (0.7, 0.3), (1, 0)), format="csv")
    assert list(csv.reader(io.StringIO(out, newline=""), strict=True)) == [
        ["text", "n", "label", "score", "p:bad", "p:good"],
        ['a, "b"', "5", "good", "0.9", "0.1", "0.9"],
        ["c\rd", "", "bad", "0.7", "0.7", "0.3"],
        ["e", '[1, "x"]', "bad", "1.0", "1.0", "0.0"],
    ]


def test_values_that_json_has_no_word_for() -> None:
    """Numbers that are none become null, as strict readers want it; times stand in CSV as they are, bytes as base64."""
    record = {"price": math.nan, "list": [1.5, math.inf], "when": datetime(2020, 1, 2, 3, 4, 5), "raw": b"\xff", "deep": [b"ab"]}
    found = json.loads(written([record], probabilities((0.5, 0.5))), parse_constant=pytest.fail)
    assert [found[name] for name in record] == [None, [1.5, None], "2020-01-02 03:04:05", "/w==", ["YWI="]]
    (row,) = csv.DictReader(io.StringIO(written([record], probabilities((0.5, 0.5)), format="csv")))
    assert [row[name] for name in record] == ["", "[1.5, null]", "2020-01-02 03:04:05", "/w==", '["YWI="]']


@pytest.mark.parametrize("format", ["jsonl", "csv"])
def test_columns_of_the_input_that_collide_are_renamed(format: str) -> None:
    record = {"label": "gold", "input_label": "x", "input_input_label": "y", "score": "1", "p:bad": "2", "text": "a"}
    out = written([record], probabilities((0.25, 0.75)), format=format)
    row = json.loads(out) if format == "jsonl" else next(csv.DictReader(io.StringIO(out)))
    own = {
        "input_input_input_label": "gold",
        "input_label": "x",
        "input_input_label": "y",
        "input_score": "1",
        "input_p:bad": "2",
        "text": "a",
    }
    assert {name: row[name] for name in own} == own
    assert list(row)[: len(own)] == list(own)
    assert (row["label"], float(row["score"])) == ("good", 0.75)


def test_csv_needs_the_same_columns_in_every_row() -> None:
    with pytest.raises(DataError, match=r"row 2 has the column 'b', which the first rows lack.*--out NAME.jsonl"):
        written([{"a": "1"}, {"a": "1", "b": "2"}], probabilities((1, 0), (1, 0)), format="csv")


def test_half_a_surrogate_pair_is_written_as_an_escape() -> None:
    for format in ("jsonl", "csv"):
        assert "\\ud800" in written([{"text": "\ud800"}], probabilities((1, 0)), format=format)


def test_probabilities_must_fit() -> None:
    for rows in (np.zeros((1, 3)), np.zeros((2, 2)), np.array([[np.nan, 1.0]])):
        with pytest.raises(ValueError, match=r"probabilities must be finite, of shape \(1, 2\)"):
            written([{"text": "a"}], rows[:]) if len(rows) == 1 else PredictionWriter(io.BytesIO(), labels=LABELS).write([{}], rows)


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out.json", "OUT.NDJSON"])
def test_file_appears_when_all_is_written(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with PredictionWriter(path, labels=LABELS) as writer:
        writer.write([{"text": "a"}], probabilities((1, 0)))
        assert not path.exists()
    assert [child.name for child in tmp_path.iterdir()] == [name]
    assert len(path.read_text().splitlines()) == (2 if name.endswith("csv") else 1)


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_its_target_is_written(tmp_path: Path, there: bool) -> None:
    (tmp_path / "folder").mkdir()
    target, link = tmp_path / "folder" / "real.jsonl", tmp_path / "link.jsonl"
    link.symlink_to(target)
    if there:
        target.write_text("old")
    with PredictionWriter(link, labels=LABELS) as writer:
        writer.write([{"text": "a"}], probabilities((0.5, 0.5)))
    assert link.is_symlink()
    assert json.loads(target.read_text())["text"] == "a"
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["real.jsonl"]


def test_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), PredictionWriter(path, labels=LABELS) as writer:  # noqa: PT012
        writer.write([{"text": "a"}], probabilities((1, 0)))
        raise KeyboardInterrupt
    assert [(child.name, child.read_text()) for child in tmp_path.iterdir()] == [("out.jsonl", "old")]


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    """Of this output only, and only if the process is gone."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    kept = [f".other.csv.{gone.pid}.tmp", f".out.csv.{os.getppid()}.tmp", ".out.csv.x.tmp", ".out.csv.0.tmp"]
    for name in (*kept, f".out.csv.{gone.pid}.tmp"):
        (tmp_path / name).write_text("half")
    with PredictionWriter(tmp_path / "out.csv", labels=LABELS) as writer:
        writer.write([{"text": "a"}], probabilities((1, 0)))
    assert {child.name for child in tmp_path.iterdir()} == {"out.csv", *kept}


def test_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("petkit.data.writers.os.fsync", full)
    with pytest.raises(OSError, match="No space left"), PredictionWriter(tmp_path / "out.csv", labels=LABELS) as writer:
        writer.write([{"text": "a"}], probabilities((1, 0)))
    assert list(tmp_path.iterdir()) == []


def test_paths_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    for name, said in (("a.xls", "written to .jsonl, .ndjson"), ("folder.csv", "is a folder"), ("no/a.csv", "there is no folder")):
        with pytest.raises(SettingsError, match=f"--out .*{name}: .*{said}"):
            PredictionWriter(tmp_path / name, labels=LABELS)
    assert [child.name for child in tmp_path.iterdir()] == ["folder.csv"]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4), st.sampled_from(["x.csv", "x.jsonl"]))
def test_any_text_comes_back_from_what_was_written(tmp_path: Path, rows: list[tuple[str, str]], name: str) -> None:
    records = [{"a": a, "label": b} for a, b in rows]
    with PredictionWriter(tmp_path / name, labels=LABELS) as writer:
        writer.write(records, np.full((len(rows), 2), 0.5, dtype=np.float32))
    read = [row for chunk in iter_records(str(tmp_path / name)) for row in chunk]
    assert [(row["a"], row["input_label"]) for row in read] == rows
    assert {row["label"] for row in read} == {"bad"}
