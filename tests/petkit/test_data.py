"""Rows from sources, draws, and the wall between test rows and all others."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from petkit.data import (
    Reading,
    check_classes,
    draw_rows,
    draw_shots,
    iter_records,
    normalise,
    read_rows,
    rows_from_records,
    separate,
)
from petkit.errors import DataError, SettingsError
from petkit.pvp import Task
from petkit.rows import UNLABELED, Rows

TASK = Task(name="t", fields=("text",), patterns="{mask}: {text}", verbalizer={"bad": "bad", "Good": "good"})
PAIRS = Task(name="p", fields=("a", "b"), patterns="{a} {mask} {b}", verbalizer={"0": "no", "1": "yes"})
DATA = Path(os.environ.get("PETKIT_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
FILES = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def text(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8", newline="")
    return path


def message(source: Any, task: Task = TASK, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        read_rows(source, task, **{"labels": "required", **options})
    return str(caught.value)


def rows_of(*texts: str, name: str = "r", labels: tuple[int, ...] = ()) -> Rows:
    return Rows(tuple(f"{name}:{i}" for i in range(len(texts))), {"text": tuple(texts)}, labels)


def test_rows_have_ids_texts_and_label_indices(tmp_path: Path) -> None:
    source = text(tmp_path / "train.csv", "text,label,n\none,Good,1\ntwo,bad,2\n")
    assert read_rows(source, TASK, labels="required") == Rows(("train:1", "train:2"), {"text": ("one", "two")}, (1, 0))
    assert read_rows(source, TASK, labels="ignored", id_column="n") == Rows(("1", "2"), {"text": ("one", "two")})


def test_columns_are_mapped(tmp_path: Path) -> None:
    source = text(tmp_path / "x.csv", "first,second,gold\nq,r,1\n")
    rows = read_rows(source, PAIRS, labels="required", columns={"a": "second", "b": "first", "label": "gold"})
    assert (rows.row(0), rows.labels) == ({"a": "r", "b": "q"}, (1,))
    with pytest.raises(SettingsError, match="has 'a', 'b', 'label': --column text=gold: 'text' is no field"):
        read_rows(source, PAIRS, labels="required", columns={"text": "gold"})
    with pytest.raises(SettingsError, match="'a', 'b' are read from the same column 'b'"):
        read_rows(source, PAIRS, labels="ignored", columns={"a": "b"})
    with pytest.raises(SettingsError, match="'b', 'label' are read from the same column 'label'"):
        read_rows(source, PAIRS, labels="optional", columns={"b": "label"})


def test_optional_labels(tmp_path: Path) -> None:
    source = jsonl(
        tmp_path / "x.jsonl", [{"text": "a", "label": "Good"}, {"text": "b"}, {"text": "c", "label": None}, {"text": "d", "label": ""}]
    )
    assert read_rows(source, TASK, labels="optional").labels == (1, UNLABELED, UNLABELED, UNLABELED)
    bare = jsonl(tmp_path / "bare.jsonl", [{"text": "a"}])
    assert read_rows(bare, TASK, labels="optional").labels == ()
    assert "no column 'gold'" in message(bare, labels="optional", columns={"label": "gold"})
    said = message(source)
    assert "no column 'label': row 2; each row needs one" in said
    assert "no label in column 'label': row 3, row 4; each row needs one" in said


def test_numbers_and_truth_values_become_text(tmp_path: Path) -> None:
    values = [5, 5.5, True, "5"]
    rows = read_rows(jsonl(tmp_path / "x.jsonl", [{"text": v} for v in values]), TASK, labels="ignored")
    assert rows.fields["text"] == ("5", "5.5", "true", "5")
    pq.write_table(pa.table({"a": ["x", "y"], "b": [1.0, 2.5], "label": [1.0, 0.0]}), tmp_path / "x.parquet")
    rows = read_rows(tmp_path / "x.parquet", PAIRS, labels="required")
    assert (rows.fields["b"], rows.labels) == (("1.0", "2.5"), (1, 0))
    yes_no = Task(name="t", fields=("text",), patterns="{mask}: {text}", verbalizer={"True": "yes", "False": "no"})
    assert read_rows(jsonl(tmp_path / "y.jsonl", [{"text": "a", "label": False}]), yes_no, labels="required").labels == (1,)


def test_whole_numbers_with_a_point_are_the_labels_without_it_unless_the_task_has_them(tmp_path: Path) -> None:
    source = text(tmp_path / "x.csv", "text,label\na,1.0\nb,0.0\nc,1\nd,\n")
    words = {"0": "no", "1": "yes"}
    task = Task(name="t", fields=("text",), patterns="{mask}: {text}", verbalizer=words)
    assert read_rows(source, task, labels="optional").labels == (1, 0, 1, UNLABELED)
    own = Task(name="t", fields=("text",), patterns="{mask}: {text}", verbalizer={**words, "1.0": "surely"})
    assert read_rows(source, own, labels="optional").labels == (2, 0, 1, UNLABELED)
    assert "labels outside the verbalizer: '2.0'" in message(text(tmp_path / "y.csv", "text,label\na,2.0\n"), task)


def test_values_that_are_no_text(tmp_path: Path) -> None:
    said = message(jsonl(tmp_path / "x.jsonl", [{"text": v} for v in (["a"], {"b": 1}, "a\0b", "\ud800", "fine")]), labels="ignored")
    assert said.endswith(
        "column 'text' must hold text or numbers: row 1 holds a list, row 2 holds a dict, row 3 holds a NUL character at "
        "position 2, row 4 holds half a surrogate pair, which is no character"
    )


def test_several_sources_are_concatenated_with_unique_ids(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    sources = [text(tmp_path / "x.txt", "one\n"), text(tmp_path / "b" / "x.txt", "two\n"), text(tmp_path / "x~2.txt", "one\n")]
    readings: list[Reading] = []
    rows = read_rows(sources, TASK, labels="ignored", report=readings.append)
    assert rows == Rows(("x:1", "x~2:1", "x~2~2:1"), {"text": ("one", "two", "one")})
    assert readings[1] == Reading(str(sources[1]), rows=1, labelled=0, blank_dropped=0, blank_kept=0)
    assert "x~2.txt is given twice" in message([*sources, sources[2]])
    assert "no source of rows" in message([])


def test_one_file_under_two_names_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text(tmp_path / "x.txt", "one\n")
    (tmp_path / "link.txt").symlink_to("x.txt")
    assert message(["x.txt", "./x.txt"]) == "each source can be read once, and x.txt and ./x.txt are the same file"
    assert message(["x.txt", "link.txt"]).endswith("x.txt and link.txt are the same file")


def test_problems_of_all_sources_come_at_once(tmp_path: Path) -> None:
    said = message([text(tmp_path / "a.txt", "a\n\n"), tmp_path / "missing.csv", text(tmp_path / "c.txt", "c\n")], labels="ignored")
    assert "a.txt: empty or blank text in column 'text': row 2; --drop-blank" in said
    assert "missing.csv: no such file" in said


def test_blank_texts_stop_or_are_dropped_or_kept_and_counted(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"text": t, "label": "bad"} for t in ["a", "", " \n", "\u3000\u200b\u2060", "b"]] + [
        {"text": None, "label": "bad"},
        {"label": "bad"},
    ]
    source = jsonl(tmp_path / "x.jsonl", rows)
    said = message(source)
    assert "empty or blank text in column 'text': row 2, row 3, row 4; --drop-blank leaves such rows out" in said
    assert "no text (null) in column 'text': row 6;" in said
    assert "no column 'text': row 7;" in said
    readings: list[Reading] = []
    dropped = read_rows(source, TASK, labels="required", drop_blank=True, report=readings.append)
    assert dropped.ids == ("x:1", "x:5")
    kept = read_rows(source, TASK, labels="required", keep_blank=True, report=readings.append)
    assert kept.fields["text"] == ("a", "", " \n", "\u3000\u200b\u2060", "b", "", "")
    assert readings == [Reading(str(source), 2, 2, blank_dropped=5, blank_kept=0), Reading(str(source), 7, 7, 0, blank_kept=5)]
    with pytest.raises(SettingsError, match="exclude each other"):
        read_rows(source, TASK, labels="required", keep_blank=True, drop_blank=True)
    assert "all 1 rows are blank" in message(text(tmp_path / "y.txt", "\n"), labels="ignored", drop_blank=True)


def test_wrong_column_names_the_columns_and_the_flag(tmp_path: Path) -> None:
    said = message(text(tmp_path / "x.csv", "Text,gold\na,b\n"))
    assert "no column 'text'; the columns are 'Text', 'gold'; say which one holds it with --column text=Text" in said
    assert "no column 'label'; the columns are 'Text', 'gold'; say which one holds it with --column label=NAME" in said
    assert "--id-column NAME" in message(text(tmp_path / "y.csv", "text,label\na,bad\n"), id_column="uid")


def test_the_flag_of_a_wrong_column_can_be_pasted(tmp_path: Path) -> None:
    said = message(text(tmp_path / "x.csv", "the text,Gold's\na,b\n"), columns={"label": "Golds"})
    flags = [line.partition("say which one holds it with ")[2] for line in said.splitlines()]
    assert [shlex.split(flag) for flag in flags if flag] == [["--column", "text=the text"], ["--column", "label=Gold's"]]
    said = message(text(tmp_path / "y.csv", "text,label,row number\na,bad,1\n"), id_column="row_number")
    assert said.endswith("with --id-column 'row number'")


def test_missing_header_is_recognised(tmp_path: Path) -> None:
    said = message(text(tmp_path / "x.csv", "Rain fell on the town,bad\nSun,Good\n"))
    assert "is the first line a row? Then add a line with column names before it" in said
    assert "first line a row" not in message(text(tmp_path / "y.csv", "Text,gold\na,b\n"))


def test_labels_outside_the_verbalizer_come_all_at_once(tmp_path: Path) -> None:
    labels = ["bad", "good", "good", "Worse", "good "]
    source = text(tmp_path / "x.csv", "text,label\n" + "".join(f"t{i},{label}\n" for i, label in enumerate(labels)))
    assert message(source).endswith(
        "x.csv: labels outside the verbalizer: 'good' (2 rows, first row 2 (line 3); 'Good'?), 'Worse' (1 row, first row 4 (line 5)), "
        "'good ' (1 row, first row 5 (line 6); 'Good'?); legal are 'bad', 'Good'"
    )
    many = text(tmp_path / "y.csv", "text,label\n" + "".join(f"t,x{i}\n" for i in range(30)))
    assert " and 10 more; legal are" in message(many)


def test_ids_must_be_unique(tmp_path: Path) -> None:
    source = text(tmp_path / "x.csv", "id,text\na,1\nb,2\na,3\n,4\n")
    said = message(source, labels="ignored", id_column="id")
    assert "ids must be unique: 'a' of row 3 (line 4) is that of row 1 (line 2) too" in said
    assert "no id in column 'id': row 4 (line 5)" in said
    sources = [text(tmp_path / "y.csv", "id,text\na,1\n"), text(tmp_path / "z.csv", "id,text\nb,1\na,2\n")]
    said = message(sources, labels="ignored", id_column="id")
    assert f"ids must be unique over all files: 'a' is in {sources[0]} and {sources[1]}" in said
    assert "no column 'id': row 2; each row needs one" in message(
        jsonl(tmp_path / "w.jsonl", [{"text": "a", "id": 1}, {"text": "b"}]), labels="ignored", id_column="id"
    )


def test_of_many_sources_with_problems_the_first_are_named_and_all_counted(tmp_path: Path) -> None:
    said = message([str(text(tmp_path / f"{name}.csv", "text,label\na\n")) for name in "abcdefg"])
    assert [f"{name}.csv" in said for name in "abcdefg"] == [True] * 5 + [False] * 2
    assert said.endswith("\nand 2 more sources")


def test_unreadable_end_is_told_with_earlier_problems(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"text,label\n,bad\na,worse\n" + b"a,bad\n" * 100000 + b"\xff\n")
    said = message(tmp_path / "x.csv")
    assert "line 100004) is 0xFF, which is not UTF-8" in said
    assert "empty or blank text in column 'text': row 1 (line 2)" in said


def test_every_label_needs_a_row() -> None:
    check_classes(rows_of("a", "b", labels=(0, 1)), TASK)
    with pytest.raises(DataError, match="must hold every label, and lack 'Good'; they have 'bad' 2"):
        check_classes(rows_of("a", "b", labels=(0, 0)), TASK)
    with pytest.raises(DataError, match="lack 'bad', 'Good'; they have none"):
        check_classes(rows_of("a"), TASK)


def test_rows_from_a_chunk_of_records() -> None:
    readings: list[Reading] = []
    rows = rows_from_records([{"t": "a"}, {"t": " "}], TASK, source="in.csv", first_row=11, columns={"text": "t"}, report=readings.append)
    assert rows == Rows(("in:11", "in:12"), {"text": ("a", " ")})
    assert readings[0].blank_kept == 1
    with pytest.raises(DataError, match=r"in.csv: no column 'text'"):
        rows_from_records([{"t": "a"}], TASK, source="in.csv")


@FILES
@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5))
def test_csv_and_json_lines_give_back_any_text(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerows([("a", "b"), *rows])
    (tmp_path / "x.csv").write_bytes(file.getvalue().encode())
    (tmp_path / "x.tsv").write_bytes(("a\tb\n" + "".join("\t".join(_quoted(t) for t in row) + "\n" for row in rows)).encode())
    (tmp_path / "x.jsonl").write_text("".join(json.dumps({"a": a, "b": b}) + "\n" for a, b in rows))
    (tmp_path / "y.jsonl").write_bytes("".join(json.dumps({"a": a, "b": b}, ensure_ascii=False) + "\n" for a, b in rows).encode())
    for name in ("x.csv", "x.tsv", "x.jsonl", "y.jsonl"):
        read = read_rows(tmp_path / name, PAIRS, labels="ignored", keep_blank=True)
        assert list(zip(read.fields["a"], read.fields["b"], strict=True)) == rows, name


def _quoted(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


@given(st.lists(st.integers(-1, 2), max_size=40), st.integers(0, 3), st.integers(0, 99))
def test_draw_of_shots(labels: list[int], shots: int, seed: int) -> None:
    rows = rows_of(*("x" for _ in labels), labels=tuple(labels))
    counts = Counter(labels)
    if any(counts[label] < shots for label in range(3)):
        with pytest.raises(DataError, match=f"--shots {shots} needs {shots} labelled rows of every label; "):
            draw_shots(rows, shots=shots, n_labels=3, rng=np.random.default_rng(seed))
        return
    drawn = draw_shots(rows, shots=shots, n_labels=3, rng=np.random.default_rng(seed))
    assert drawn == sorted(set(drawn))
    assert Counter(labels[i] for i in drawn) == {label: shots for label in range(3) if shots}
    assert drawn == draw_shots(rows, shots=shots, n_labels=3, rng=np.random.default_rng(seed))


def test_draws_differ_between_seeds_and_reach_every_row() -> None:
    rows = rows_of(*"x" * 20, labels=(0, 1) * 10)
    draws = [draw_shots(rows, shots=2, n_labels=2, rng=np.random.default_rng(seed)) for seed in range(60)]
    assert {index for draw in draws for index in draw} == set(range(20))
    assert {index for seed in range(60) for index in draw_rows(rows, 3, np.random.default_rng(seed))} == set(range(20))


def test_draw_does_not_depend_on_how_labels_are_interleaved() -> None:
    mixed, sorted_rows = rows_of(*"abcdef", labels=(1, 0, 1, 0, 1, 0)), rows_of(*"bdface", labels=(0, 0, 0, 1, 1, 1))
    texts = [
        {rows.fields["text"][i] for i in draw_shots(rows, shots=2, n_labels=2, rng=np.random.default_rng(3))}
        for rows in (mixed, sorted_rows)
    ]
    assert texts[0] == texts[1]


def test_too_few_rows_to_draw() -> None:
    rows = rows_of("a", "b", "c", labels=(0, 0, 1))
    with pytest.raises(DataError, match="every label; 'Good' has 1, 'ugly' has 0"):
        draw_shots(rows, shots=2, n_labels=3, rng=np.random.default_rng(0), names=("bad", "Good", "ugly"))
    with pytest.raises(DataError, match="--shots must be 0 or more, not -1"):
        draw_shots(rows, shots=-1, n_labels=2, rng=np.random.default_rng(0))
    with pytest.raises(DataError, match="cannot draw 4 rows from 3"):
        draw_rows(rows, 4, np.random.default_rng(0))


def test_test_rows_leave_the_pool_and_are_counted() -> None:
    train, pool = rows_of("sun", name="train"), rows_of("Rain\n fell", "snow", "SUN", "rain fell", name="pool")
    parts = separate(train, pool, rows_of("rain fell", name="test"), allow_overlap=False)
    assert parts.pool.ids == ("pool:1", "pool:2")
    assert (parts.removed_from_pool, parts.overlap, parts.labelled_in_pool) == (2, (), 1)
    assert separate(train, pool, None, allow_overlap=False).pool is pool


def test_labelled_rows_that_are_test_rows_stop_the_run() -> None:
    train, test = rows_of(*"abcdefgh", name="train"), rows_of(*"HGFEDCB", name="test")
    with pytest.raises(DataError, match=r"and 7 are: 'train:1' is 'test:6', .* and 2 more; remove them .* --allow-overlap"):
        separate(train, train, test, allow_overlap=False)
    parts = separate(train, train, test, allow_overlap=True)
    assert parts.overlap == tuple(f"train:{i}" for i in range(1, 8))
    assert parts.pool.ids == ("train:0",)


def test_pairs_are_equal_only_if_both_fields_are() -> None:
    pool = Rows(("1", "2"), {"a": ("x y", "x"), "b": ("z", "y z")})
    parts = separate(pool.select([]), pool, Rows(("t",), {"a": ("x",), "b": ("Y z",)}), allow_overlap=False)
    assert parts.pool.ids == ("1",)


@given(st.text(max_size=20))
def test_normalising_twice_changes_nothing(value: str) -> None:
    once = normalise(value)
    assert normalise(once) == once
    assert normalise(f" {value.replace(' ', '  ')} ") == once


WORDS = st.lists(st.sampled_from(["rain", "Rain", "RAIN ", "sun", " sun", "\uff32ain", "snow", "Stra\u00dfe", "STRASSE"]), max_size=8)


@given(WORDS, WORDS)
def test_no_pool_row_equals_a_test_row(pool: list[str], test: list[str]) -> None:
    parts = separate(rows_of(), rows_of(*pool), rows_of(*test), allow_overlap=False)
    tested = {normalise(value) for value in test}
    assert list(parts.pool.fields["text"]) == [value for value in pool if normalise(value) not in tested]
    assert parts.removed_from_pool == len(pool) - len(parts.pool)


def test_real_rows() -> None:
    source = DATA / "ag_news" / "train.jsonl"
    if not source.is_file():
        pytest.skip("no data: PETKIT_DATA names no folder with ag_news")
    task = Task(
        name="ag_news",
        fields=("text",),
        patterns="{mask}: {text}",
        verbalizer={"World": "World", "Sports": "Sports", "Business": "Business", "Sci/Tech": "Tech"},
    )
    rows = read_rows(source, task, labels="required")
    assert len(rows) == 6001
    assert sum(len(chunk) for chunk in iter_records(str(source), chunk=999)) == 6001
    assert len(draw_shots(rows, shots=10, n_labels=4, rng=np.random.default_rng(1))) == 40
