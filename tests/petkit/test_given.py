"""What Python callers give as data: what is told apart, what is refused in one short line, and that Rows are checked as files are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from petkit.data import Reading
from petkit.errors import DataError, SettingsError
from petkit.given import by_name, check_rows, items_of, path_of, paths_of, read_given, told_apart, whole_number
from petkit.pvp import Task
from petkit.rows import UNLABELED, Rows

TASK = Task(name="tone", fields=("text",), patterns="{mask}: {text}", verbalizer={"negative": "bad", "positive": "good"})
PAIRS = Task(name="nli", fields=("one", "two"), patterns="{one} {mask} {two}", verbalizer={"no": "bad", "yes": "good"})
COLUMNS: dict[str, Any] = {"text": ["A cold day.", "A fine day."], "label": ["negative", "positive"], "more": [1, 2]}


def read(given: Any, task: Task = TASK, *, name: str = "train", labels: Any = "required", **reading: Any) -> Rows:
    return read_given(name, told_apart(name, given, task), task, labels=labels, reading=reading)


# What is taken


@pytest.mark.parametrize(
    "hold",
    [
        dict,
        pd.DataFrame,
        pa.table,
        datasets.Dataset.from_dict,
        lambda columns: datasets.Dataset.from_dict(columns).to_iterable_dataset(),
        lambda columns: {name: np.array(column) for name, column in columns.items()},
        lambda columns: pd.DataFrame(columns).astype({"label": "category", "text": "string"}),
    ],
)
def test_tables_are_read_as_a_file_of_theirs_is(hold: Callable[[Any], Any], tmp_path: Path) -> None:
    pd.DataFrame(COLUMNS).to_csv(tmp_path / "train.csv", index=False)
    assert read(hold(COLUMNS)) == read(tmp_path / "train.csv") == Rows(("train:1", "train:2"), {"text": tuple(COLUMNS["text"])}, (0, 1))


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame([["a", "positive", 1, 2]], columns=["text", "label", "x", "x"]),
        pa.Table.from_arrays([pa.array(["a"]), pa.array(["positive"]), pa.array([1]), pa.array([2])], names=["text", "label", "x", "x"]),
        {"text": ["a"], "label": ["positive"], "x": "a note"},
        {"text": ["a"], "label": ["positive"], "x": [1, 2]},
    ],
)
def test_columns_of_a_table_that_are_not_read_may_hold_anything(table: Any) -> None:
    assert read(table) == Rows(("train:1",), {"text": ("a",)}, (1,))
    with pytest.raises(DataError, match=r"^train: column"):
        read(table, columns={"text": "x"})
    with pytest.raises(DataError, match=r"^train: 2 problems\n  - no column 'one'; the columns are 'text', 'label', 'x'; "):
        read(table, PAIRS, labels="ignored")


def test_columns_whose_names_are_numbers_are_called_as_in_a_file() -> None:
    rows = read(pd.DataFrame([["a", "positive"]]), columns={"text": "0", "label": "1"})
    assert rows == Rows(("train:1",), {"text": ("a",)}, (1,))


def test_columns_of_other_names_ids_and_blank_texts_of_a_table_are_read_as_those_of_a_file() -> None:
    frame = pd.DataFrame({"review": ["a", None, "c"], "label": ["positive", "negative", pd.NA], "key": ["x", "y", "z"]})
    rows = read(frame, labels="optional", columns={"text": "review"}, id_column="key", drop_blank=True)
    assert rows == Rows(("x", "z"), {"text": ("a", "c")}, (1, UNLABELED))
    with pytest.raises(DataError, match=r"(?s)^train: .*no text \(null\) in column 'review': row 2.*no label in column 'label': row 3"):
        read(frame, columns={"text": "review"})


def test_paths_are_taken_in_every_form(tmp_path: Path) -> None:
    (tmp_path / "a file.txt").write_text("one\n")
    (tmp_path / "b.txt").write_text("two\n")
    expected = ("one", "two")
    paths = [tmp_path / "a file.txt", tmp_path / "b.txt"]
    for given in (paths, tuple(map(str, paths)), (path for path in paths), sorted(tmp_path.glob("*.txt"))):
        assert read(given, name="unlabeled", labels="ignored").fields["text"] == expected
    assert read(paths[0], name="unlabeled", labels="ignored").ids == ("a file:1",)


@pytest.mark.parametrize("hold", [pd.Series, np.array, lambda texts: datasets.Dataset.from_dict({"text": texts})["text"], pa.array])
def test_texts_alone_are_taken_from_what_cannot_be_names_of_files(hold: Callable[[Any], Any]) -> None:
    if isinstance(hold(["a b"]), list):
        pytest.skip("this version of datasets has a column as a list, which is one of files")
    rows = read(hold(["a b", "c d"]), name="unlabeled", labels="ignored")
    assert rows == Rows(("unlabeled:1", "unlabeled:2"), {"text": ("a b", "c d")})
    with pytest.raises(DataError, match=r"^train is .*, that is texts without the name of their field and without labels; legal are"):
        read(hold(["a b", "c d"]))
    with pytest.raises(DataError, match=r"^unlabeled is .* the task has 2 fields; give columns, such as {'one': \[...\], 'two': \[...\]}"):
        read(hold(["a b", "c d"]), PAIRS, name="unlabeled")


@pytest.mark.parametrize("nothing", [None, (), []])
def test_nothing_is_no_row(nothing: Any) -> None:
    assert read(nothing) == Rows((), {"text": ()})


# What is refused


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (7, "^train is 7, an int; legal are the path of a file or several, petkit.Rows, a data frame"),
        (b"a.csv", "^train is b'a.csv', a bytes; legal"),
        ({"a.csv", "b.csv"}, "a set; legal"),
        ([{"text": "a", "label": "positive"}], "^train is a list whose item 1 is {'label': .*, a dict; legal"),
        ([("a", "positive")], "^train is a list whose item 1 is .*, a tuple; legal"),
        (["a.csv", None], "^train is a list whose item 2 is None"),
        (datasets.DatasetDict({"train": datasets.Dataset.from_dict(COLUMNS)}), "^train: several tables are given at once .DatasetDict of"),
        ({"text": ["a"], "label": ["positive", "negative"]}, "^train: columns of different lengths: text 1, label 2"),
        ({"text": "a", "label": ["positive"]}, "^train: column 'text' is 'a', a str; a column is a sequence of values"),
        (pd.DataFrame([["a", "b"]], columns=["text", "text"]), "^train: column 'text' is there more than once"),
        ({"text": [], "label": []}, "^train: holds no row"),
        ({"txt": ["a"], "label": ["positive"]}, "^train: no column 'text'; the columns are 'txt', 'label'"),
        ({"text": ["a"], "label": ["fine"]}, "^train: .*'fine'"),
    ],
)  # fmt: skip
def test_everything_else_is_refused_in_one_short_message(given: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as refused:
        read(given)
    assert len(str(refused.value)) < 300
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("make", [list, tuple, iter])
def test_a_list_of_texts_is_no_list_of_files_and_told_briefly(make: Callable[[Any], Any]) -> None:
    texts = [f"text number {i} about something that is a bit longer" for i in range(20_000)]
    with pytest.raises(
        DataError, match=r"^unlabeled: a list of strings is a list of files, and none of its 20000 strings is one.*{'text': "
    ) as no:
        read(make(texts), name="unlabeled")
    assert len(str(no.value)) < 250
    with pytest.raises(DataError, match=r"Give texts as columns: {'text': \[...\], 'label': \[...\]}"):
        read(make(["x" * 300]))


def test_files_that_are_not_there_are_told_as_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"my reviews\.csv: no such file or folder"):
        read([str(tmp_path / "my reviews.csv"), str(tmp_path / "other reviews.csv")])
    (tmp_path / "a.txt").write_text("one\n")
    with pytest.raises(DataError, match=r"^not a file: no such file"):
        read([str(tmp_path / "a.txt"), "not a file", "nor this"], name="unlabeled", labels="ignored")
    with pytest.raises(DataError) as refused:
        read([f"{i}.csv" for i in range(1000)])
    assert str(refused.value).endswith("\nand 995 more sources")


def test_paths_and_numbers_are_told_from_other_things() -> None:
    assert (path_of("out", Path("a") / "b"), path_of("out", "c")) == (str(Path("a") / "b"), "c")
    with pytest.raises(SettingsError, match=r"^out is None, a NoneType; a path is legal"):
        path_of("out", None)
    assert paths_of("data", "a") == paths_of("data", [Path("a")]) == ["a"]
    with pytest.raises(SettingsError, match=r"^data is 7, an int; a path is legal"):
        paths_of("data", ["a", 7])
    assert paths_of("data", (Path(one) for one in "ba")) == paths_of("data", {"b": 1, "a": 2}.keys()) == ["b", "a"]
    with pytest.raises(SettingsError, match=r"^data is .*, a dict; a path is legal"):
        paths_of("data", {"a": 1})
    assert (items_of({"b", Path("a")}), items_of({16, 4}), items_of(np.array([4, 16]))) == ([Path("a"), "b"], [4, 16], [4, 16])
    assert [items_of(one) for one in ("a", b"a", Path("a"), {"a": 1}, 4, None, np.array(4))] == [None] * 7
    assert (by_name("settings", None), by_name("settings", {"seed": 1})) == ({}, {"seed": 1})
    with pytest.raises(SettingsError, match=r"^settings is 'seed=1', a str; a mapping is legal, such as a dict$"):
        by_name("settings", "seed=1")
    assert [whole_number(one) for one in (3, np.int64(3), -1, True, "3", 3.0, None)] == [True, True, True, False, False, False, False]


# Rows made by the user


@pytest.mark.parametrize(
    ("rows", "labels", "message"),
    [
        (Rows(("a",), {"body": ("x",)}, (0,)), "required", "^train: the rows have no field 'text'; they have 'body'"),
        (Rows(("a", "b"), {"text": ("x", "y")}, (0, 5)), "required", r"row 2 has 5; legal are 0 \(negative\), 1 \(positive\)$"),
        (Rows(("a", "b"), {"text": ("x", "y")}, (0, 5)), "optional", "labels that the task does not have: row 2 has 5"),
        (Rows(("a", "b"), {"text": ("x", "y")}, (0, UNLABELED)), "required", "^train: no label: row 2; each row needs one"),
        (Rows(("a", "b"), {"text": ("x", "y")}), "required", "^train: no label: row 1, row 2;"),
        (Rows(("a", "a"), {"text": ("x", "y")}), "ignored", "^train: ids must be unique: row 2 has 'a' again"),
        (Rows(("a",), {"text": (" \t",)}), "ignored", "^train: empty or blank text in field 'text': row 1; drop_blank=True leaves"),
        (Rows(("a",), {"text": ("\ud800",)}), "ignored", "row 1 holds half a surrogate pair"),
    ],
)
def test_rows_are_checked_as_a_file_is(rows: Rows, labels: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_rows("train", rows, TASK, labels=labels)


def test_rows_come_with_the_fields_of_the_task_in_their_order() -> None:
    rows = Rows(("a",), {"two": ("second",), "more": ("third",), "one": ("first",)})
    assert list(check_rows("train", rows, PAIRS, labels="ignored").fields.items()) == [("one", ("first",)), ("two", ("second",))]


def test_blank_rows_are_dropped_or_kept_as_those_of_a_file() -> None:
    rows, told = Rows(("a", "b"), {"text": ("x", "")}, (0, 1)), list[Reading]()
    assert check_rows("train", rows, TASK, labels="required", drop_blank=True, report=told.append).ids == ("a",)
    assert check_rows("train", rows, TASK, labels="required", keep_blank=True, report=told.append) == rows
    assert [(one.rows, one.blank_dropped, one.blank_kept) for one in told] == [(1, 1, 0), (2, 0, 1)]
    with pytest.raises(SettingsError, match="exclude each other"):
        check_rows("train", rows, TASK, labels="required", drop_blank=True, keep_blank=True)
    with pytest.raises(DataError, match="all 1 rows are blank, and drop_blank leaves none"):
        check_rows("train", rows.select([1]), TASK, labels="required", drop_blank=True)
