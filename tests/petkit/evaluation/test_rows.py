"""The rows of a task: what the report is told of them is true of the rows that are used, not of the files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from petkit.errors import DataError
from petkit.evaluation.rows import Draws, TaskRows, read_task
from petkit.evaluation.sources import find_sources
from tests.petkit.evaluation.tiny_study import TASK

READING: dict[str, Any] = {"columns": None, "drop_blank": False, "keep_blank": False}


def write(path: Path, texts: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"text": text, "label": "negative" if index % 2 else "positive"} for index, text in enumerate(texts)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def read(data: Path, *, given: str | None = None, development: bool = False, **options: Any) -> TaskRows:
    (sources,) = find_sources([TASK.name], [str(data)], given=given)
    draws = Draws((2,), 2, "per-class" if given is None else "given", 1, development)
    return read_task(TASK, sources, draws, **{"pool_limit": 100, **options}, reading=READING)


def made(folder: Path) -> Path:
    """20 labelled texts, two twice and two of the test; 12 of the test, four twice; 30 raw ones, half of them twice."""
    labelled = [f"train {n}" for n in range(16)]
    test = [f"test {n}" for n in range(8)]
    write(folder / "train.jsonl", [*labelled, *labelled[:2], *test[:2]])
    write(folder / "test.jsonl", [*test, *test[:4]])
    write(folder / "unlabeled.jsonl", [f"raw {n}" for n in range(15)] * 2)
    return folder


def test_repeated_rows_are_those_that_are_used(tmp_path: Path) -> None:
    facts = read(made(tmp_path)).facts
    assert facts["duplicates"] == {"train": 2, "pool": 15, "test": 4}
    assert (facts["train"]["rows"], facts["removed_from_train"]) == (18, 2)


def test_lines_of_text_are_a_pool(tmp_path: Path) -> None:
    (made(tmp_path) / "unlabeled.jsonl").unlink()
    (tmp_path / "unlabeled.txt").write_text("one text\nanother, with a comma\n")
    found = read(tmp_path)
    assert found.pool.fields["text"] == ("one text", "another, with a comma")
    assert found.facts["sources"]["pool"] == str(tmp_path / "unlabeled.txt")


def test_limits_come_before_repeated_rows_are_counted(tmp_path: Path) -> None:
    found = read(made(tmp_path), test_limit=1, pool_limit=2)
    assert (len(found.test), len(found.pool)) == (1, 4)
    texts = found.pool.fields["text"]
    assert found.facts["duplicates"] == {"train": 2, "pool": len(texts) - len(set(texts)), "test": 0}


def test_text_of_the_test_is_no_duplicate_among_rows_to_draw_from(tmp_path: Path) -> None:
    write(made(tmp_path) / "train.jsonl", [f"train {n}" for n in range(8)] + ["test 0", "test 0"])
    assert read(tmp_path).facts["duplicates"]["train"] == 0


def test_of_given_splits_the_training_file_tells_nothing(tmp_path: Path) -> None:
    data = made(tmp_path)
    write(data / "few" / "1" / "train.jsonl", ["a", "b", "a", "c"])
    write(data / "few" / "2" / "train.jsonl", ["a", "b", "c", "d"])
    facts = read(data, given="given").facts
    assert (facts["train"], facts["removed_from_train"]) == (None, 0)
    assert facts["duplicates"]["train"] == 1


def test_development_rows_that_are_test_rows_are_refused(tmp_path: Path) -> None:
    data = made(tmp_path)
    write(data / "few" / "1" / "train.jsonl", ["a", "b"])
    write(data / "few" / "1" / "dev.jsonl", ["c", "test 1", " TEST 2"])
    write(data / "few" / "2" / "train.jsonl", ["d", "e"])
    write(data / "few" / "2" / "dev.jsonl", ["f", "test 1"])
    with pytest.raises(DataError) as caught:
        read(data, given="given", development=True)
    assert "few/1: 2 development rows equal a test row; remove them from the dev file" in str(caught.value)
    assert "few/2: 1 development row equals a test row; remove it from the dev file" in str(caught.value)
    assert read(data, given="given", development=True, allow_overlap=True).facts["development_overlap"] == 3
    assert read(data, given="given").facts["development_overlap"] == 0, "they play no part"
