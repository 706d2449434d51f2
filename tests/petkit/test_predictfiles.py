"""Files to labelled files: order, columns, formats, and no more rows in memory than a chunk."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from petkit import predictfiles
from petkit.errors import DataError, SettingsError
from petkit.predictfiles import predict_file, predict_records
from petkit.predicting import Texts, rows_of
from petkit.pvp import Task
from tests.tiny_runs import PAIRS, TOPICS


class Counting:
    """Gives the label by the number in the text; remembers how many rows it saw at a time."""

    def __init__(self, task: Task = TOPICS) -> None:
        self.task, self.labels, self.sizes = task, task.labels, list[int]()
        self.texts: list[dict[str, str]] = []

    def predict_proba(self, texts: Texts) -> np.ndarray:
        rows = rows_of(texts, self.task.fields)
        self.sizes.append(len(rows))
        self.texts += [rows.row(i) for i in range(len(rows))]
        numbers = [len(rows.row(i)[self.task.fields[0]]) % len(self.labels) for i in range(len(rows))]
        return np.eye(len(self.labels), dtype=np.float32)[numbers]


def labelled(raw: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in raw.decode().splitlines()]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text("id,text,label\n" + "".join(f"{i},{'x' * (i + 1)},?\n" for i in range(25)))
    return path


def test_rows_keep_order_and_columns(table: Path) -> None:
    out, predictor, told = io.BytesIO(), Counting(), list[int]()
    done = predict_file(predictor, str(table), out, chunk=10, on_rows=told.append)
    rows = labelled(out.getvalue())
    assert [row["id"] for row in rows] == [str(i) for i in range(25)]
    assert [row["label"] for row in rows] == [TOPICS.labels[(i + 1) % 3] for i in range(25)]
    assert rows[0] == {
        "id": "0",
        "text": "x",
        "input_label": "?",
        "label": "Sports",
        "score": 1.0,
        "probabilities": {"World": 0.0, "Sports": 1.0, "Business": 0.0},
    }
    assert (predictor.sizes, told) == ([10, 10, 5], [10, 20, 25])
    assert (done.rows, done.blank, done.labels) == (25, 0, {"World": 8, "Sports": 9, "Business": 8})


def test_csv_by_the_ending_or_by_name(table: Path, tmp_path: Path) -> None:
    predict_file(Counting(), str(table), tmp_path / "out.csv")
    stream = io.BytesIO()
    predict_file(Counting(), str(table), stream, format="csv")
    assert (tmp_path / "out.csv").read_bytes() == stream.getvalue()
    rows = list(csv.DictReader(io.StringIO(stream.getvalue().decode())))
    assert rows[2] | {"text": ""} == {
        **{"id": "2", "text": "", "input_label": "?", "label": "World", "score": "1.0"},
        **{"p:World": "1.0", "p:Sports": "0.0", "p:Business": "0.0"},
    }


def test_a_chunk_is_written_before_the_next_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    out, seen = io.BytesIO(), list[int]()

    def chunks(source: str, *, chunk: int, **options: Any) -> Iterator[list[dict[str, Any]]]:
        for start in range(0, 5 * chunk, chunk):
            seen.append(out.getvalue().count(b"\n"))
            yield [{"text": f"row {start + i}"} for i in range(chunk)]

    monkeypatch.setattr(predictfiles, "iter_records", chunks)
    predictor = Counting()
    assert predict_file(predictor, "any.csv", out, chunk=100).rows == 500
    assert (seen, predictor.sizes) == ([0, 100, 200, 300, 400], [100] * 5)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    def peak(rows: int) -> int:
        class Discard(io.BytesIO):
            def write(self, data: Any) -> int:
                return len(data)

        def chunks() -> Iterator[list[dict[str, Any]]]:
            for start in range(0, rows, 50):
                yield [{"text": f"{start + i} " + "x" * 500} for i in range(50)]

        class Forgetful(Counting):
            def predict_proba(self, texts: Texts) -> np.ndarray:
                return np.full((len(texts), 3), 1 / 3, dtype=np.float32)

        tracemalloc.start()
        predict_records(Forgetful(), chunks(), Discard(), source="rows")
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(100)
    assert peak(3000) < 2 * peak(200)


def test_another_column_by_name(table: Path) -> None:
    predictor = Counting()
    predict_file(predictor, str(table), io.BytesIO(), columns={"text": "id"})
    assert predictor.texts[3] == {"text": "3"}


def test_a_missing_column_is_one_error_and_leaves_nothing(table: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        predict_file(Counting(PAIRS), str(table), tmp_path / "out.jsonl")
    message = str(error.value)
    assert all(part in message for part in ("'premise'", "'hypothesis'", "'id', 'text', 'label'", "--column premise=", "rows.csv"))
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


def test_nothing_reaches_a_stream_before_the_first_chunk_is_sound(table: Path) -> None:
    out = io.BytesIO()
    with pytest.raises(DataError):
        predict_file(Counting(PAIRS), str(table), out)
    assert out.getvalue() == b""


def test_an_unknown_field_is_named(table: Path) -> None:
    with pytest.raises(SettingsError, match="--column txt=id"):
        predict_file(Counting(), str(table), io.BytesIO(), columns={"txt": "id"})


def test_rows_without_text_are_labelled_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows: list[dict[str, Any]] = [{"text": "a"}, {"text": " "}, {"text": None}, {"other": 1}, {"other": 2}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out, predictor = io.BytesIO(), Counting()
    done = predict_file(predictor, str(path), out, chunk=2)
    assert (done.rows, done.blank) == (5, 4)
    assert predictor.texts == [{"text": "a"}, {"text": " "}, {"text": ""}, {"text": ""}, {"text": ""}]
    assert [{key: row[key] for key in row if key in ("text", "other")} for row in labelled(out.getvalue())] == rows


@pytest.mark.parametrize("standard_input", [False, True])
def test_the_first_rows_of_json_may_lack_a_column(standard_input: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few they are: of long rows, a chunk may hold one."""
    path, out = tmp_path / "rows.jsonl", io.BytesIO()
    path.write_text('{"id": 1, "note": "' + "x" * 10_000_001 + '"}\n{"id": 2, "text": "fine"}\n')
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
    predictor = Counting()
    done = predict_file(predictor, "-" if standard_input else str(path), out)
    assert (done.rows, done.blank, predictor.sizes) == (2, 1, [1, 1])
    assert predictor.texts == [{"text": ""}, {"text": "fine"}]
    assert [(row["id"], "text" in row) for row in labelled(out.getvalue())] == [(1, False), (2, True)]


def test_a_column_is_missing_after_a_thousand_rows_of_json_or_all(tmp_path: Path) -> None:
    path, told = tmp_path / "rows.jsonl", list[int]()
    path.write_text('{"id": 1}\n' * 1500 + '{"text": "late"}\n')
    with pytest.raises(DataError, match=r"rows\.jsonl: no column 'text'; the columns are 'id'; say which"):
        predict_file(Counting(), str(path), tmp_path / "out.jsonl", chunk=100, on_rows=told.append)
    assert told[-1] == 900
    path.write_text('{"id": 1}\n{"no": 2}\n{"of": 3}\n')
    with pytest.raises(DataError, match="no column 'text'; the columns are 'id', 'no', 'of'; say which"):
        predict_file(Counting(), str(path), tmp_path / "out.jsonl", chunk=1)
    path.write_text('{"one": 1}\n{"two": 2}\n')
    with pytest.raises(DataError, match=r"rows\.jsonl: no column 'premise'; the columns are 'one', 'two'"):
        predict_file(Counting(PAIRS), str(path), tmp_path / "out.jsonl", chunk=1, columns={"hypothesis": "two"})
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_all_rows_of_csv_have_the_columns_of_the_first(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("id,txt\n" + "1,a\n" * 30)
    told: list[int] = []
    with pytest.raises(DataError, match="no column 'text'; the columns are 'id', 'txt'"):
        predict_file(Counting(), str(tmp_path / "rows.csv"), io.BytesIO(), chunk=10, on_rows=told.append)
    assert told == []


def test_a_broken_row_later_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a"}\n' * 3 + "{broken\n")
    with pytest.raises(DataError, match="row 4"):
        predict_file(Counting(), str(path), tmp_path / "out.jsonl", chunk=2)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.ndjson", "rows.jsonl.gz", "rows.json"])
def test_csv_has_the_columns_that_only_later_rows_of_a_file_have(tmp_path: Path, name: str) -> None:
    """CSV has its columns first: without a look ahead the run would end at row 8, and what is labelled would be lost."""
    rows: list[dict[str, Any]] = [{"text": "a"}] * 7 + [{"text": "b", "note": "n"}, {"text": "c", "label": "x"}]
    path, opened = tmp_path / name, gzip.open if name.endswith(".gz") else open
    with opened(path, "wt") as file:
        file.write(json.dumps(rows) if name == "rows.json" else "".join(json.dumps(row) + "\n" for row in rows))
    done = predict_file(Counting(), str(path), tmp_path / "out.csv", chunk=2)
    found = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
    assert (done.rows, len(found), list(found[0])[:4]) == (9, 9, ["text", "note", "input_label", "label"])
    assert [(row["text"], row["note"], row["input_label"]) for row in found] == [("a", "", "")] * 7 + [("b", "n", ""), ("c", "", "x")]


def test_rows_that_come_once_need_all_columns_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = b'{"text": "a"}\n' * 3 + b'{"text": "b", "note": 1}\n'
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw)))
    with pytest.raises(DataError, match=r"row 4 has the column 'note', which the first rows lack.*write JSON lines"):
        predict_file(Counting(), "-", tmp_path / "out.csv", chunk=2)
    pipe = tmp_path / "pipe.jsonl"
    os.mkfifo(pipe)
    threading.Thread(target=pipe.write_bytes, args=(b'{"text": "a"}\n' * 3,), daemon=True).start()
    assert predict_file(Counting(), str(pipe), tmp_path / "out.csv", chunk=2).rows == 3


def test_a_file_is_looked_through_only_for_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    once = predictfiles.iter_records

    def counted(source: str, **options: Any) -> Iterator[list[dict[str, Any]]]:
        read.append(source)
        yield from once(source, **options)

    monkeypatch.setattr(predictfiles, "iter_records", counted)
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n')
    (tmp_path / "rows.csv").write_text("text,id\na,1\n")
    for source, out, times in (("rows.jsonl", "out.jsonl", 1), ("rows.csv", "out.csv", 1), ("rows.jsonl", "out.csv", 2)):
        read.clear()
        predict_file(Counting(), str(tmp_path / source), tmp_path / out)
        assert len(read) == times


@pytest.mark.parametrize("link", [False, True])
def test_the_file_that_is_read_is_not_written_over(table: Path, tmp_path: Path, link: bool) -> None:
    before, out = table.read_bytes(), table
    if link:
        out = tmp_path / "other.csv"
        out.symlink_to(table)
    with pytest.raises(SettingsError, match=r"--out is .*, the file that is read; give another name"):
        predict_file(Counting(), str(table), out)
    assert table.read_bytes() == before
