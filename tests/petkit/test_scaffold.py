"""Guessing columns, and task files that load as they are written."""

from __future__ import annotations

import io
import json
import shlex
import sys
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petkit.data import read_rows
from petkit.errors import DataError, SettingsError
from petkit.guessing import Guess, guess_columns
from petkit.loading import load_task
from petkit.pvp import Task
from petkit.scaffold import column_flags, field_names, header_notes, label_words, look_alike_notes, new_task_file, task_file_text

LONG = "A sentence that goes on for quite a while, number"


def rows(count: int = 8, **columns: Any) -> list[dict[str, Any]]:
    """``count`` rows; a column is a value, or a list that is repeated."""
    return [{name: value[i % len(value)] if isinstance(value, list) else value for name, value in columns.items()} for i in range(count)]


def run(text: str) -> Task:
    """The task that a task file's text defines."""
    space: dict[str, Any] = {}
    exec(compile(text, "task.py", "exec"), space)
    task = space["task"]
    assert isinstance(task, Task)
    return task


def write_lines(path: Path, values: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("columns", "texts", "label"),
    [
        ({"text": LONG, "label": ["a", "b"]}, ("text",), "label"),
        ({"id": ["1", "2", "3"], "note": ["x", "y"], "body": LONG}, ("body",), "note"),
        ({"Label": ["a", "b"], "Text": LONG}, ("Text",), "Label"),
        ({"text_b": LONG, "text_a": LONG + "!", "label": ["a", "b"]}, ("text_b", "text_a"), "label"),
        ({"sentence1": LONG, "sentence2": "Short.", "gold": ["a", "b"]}, ("sentence1", "sentence2"), "gold"),
        ({"premise": LONG, "hypothesis": "Short.", "idx": [1, 2, 3, 4], "y": [0, 1]}, ("premise", "hypothesis"), "y"),
        ({"title": "Short.", "body": LONG, "category": ["a", "b"]}, ("title", "body"), "category"),
        ({"text": LONG, "category": ["Food", "Fun"], "label": ["1", "2", "3"]}, ("text",), "label"),
        ({"text": LONG, "stars": [1, 2, 3, 4]}, ("text",), "stars"),
        ({"text": LONG, "keywords": LONG[:-3], "label": ["a", "b"]}, ("text",), "label"),
        ({"review": [f"{LONG} {i}" for i in range(8)], "kind": ["a", "b"]}, ("review",), "kind"),
    ],
)
def test_guesses(columns: dict[str, Any], texts: tuple[str, ...], label: str) -> None:
    guess = guess_columns(rows(12, **columns))
    assert (guess.texts, guess.label) == (texts, label)


def test_the_label_has_few_values_that_recur() -> None:
    columns = {"id": [str(i) for i in range(20)], "kind": ["a", "b", "c"], "text": LONG, "place": ["x", "y"]}
    assert guess_columns(rows(20, **columns)).label == "place"


def test_labels_are_counted_in_natural_order_and_gaps_are_told() -> None:
    guess = guess_columns(rows(8, text=LONG, label=["10 stars", "2 stars", None, " "]))
    assert guess.labels == (("2 stars", 2), ("10 stars", 2))
    assert (guess.rows, guess.unlabeled) == (8, 4)


def test_labels_are_spelled_as_the_rows_of_a_task_spell_them() -> None:
    assert guess_columns(rows(4, text=LONG, label=[True, False])).labels == (("false", 2), ("true", 2))
    assert guess_columns(rows(4, text=LONG, label=[1.0, 2.0])).labels == (("1", 2), ("2", 2))
    assert guess_columns(rows(6, text=LONG, label=[0, 1, float("nan")])).labels == (("0", 2), ("1", 2))
    assert guess_columns(rows(6, text=LONG, label=[Decimal("0.00"), Decimal("1.00")])).labels == (("0", 3), ("1", 3))
    assert guess_columns(rows(6, text=LONG, label=["1.0", "2.0", ""])).labels == (("1", 2), ("2", 2))
    assert guess_columns(rows(6, text=LONG, label=["1.0", "2.0", "2.5"])).labels == (("1.0", 2), ("2.0", 2), ("2.5", 2))


def test_named_columns_win() -> None:
    values = rows(8, text=LONG, other="short", label=["a", "b"], kind=["x", "y"])
    guess = guess_columns(values, texts=["other"], label="kind")
    assert (guess.texts, guess.label) == (("other",), "kind")
    assert guess_columns(values, texts=["label", "text"]).label == "kind"
    assert len(guess_columns(rows(300, text=LONG, label=[f"c{i}" for i in range(150)]), label="label").labels) == 150


@pytest.mark.parametrize(
    ("values", "options", "said"),
    [
        ([], {}, "no rows"),
        (rows(4, text=LONG), {}, "one column only"),
        (
            rows(4, text=LONG, label=["a", "b"]),
            {"label": "lable"},
            "--label-column lable: there is no such column; the columns are text",
        ),
        (rows(4, text=LONG, label=["a", "b"]), {"texts": ["body"]}, "--text-column body"),
        (rows(4, text=LONG, label=["a", "b"]), {"texts": ["text", "text"]}, "twice"),
        (rows(4, text=LONG, label=["a", "b"]), {"texts": ["text"], "label": "text"}, "text column already"),
        (rows(4, text=LONG, label="a"), {}, "1 label(s) (a)"),
        (rows(4, text=LONG, label=None), {}, "0 label(s) (none)"),
        (rows(4, text=LONG, label=[["a"], ["b"]]), {}, "holds a list"),
        (
            rows(4, x=1, y=None, label=["a", "b"]),
            {},
            "no column holds text: 'x' holds numbers, 'y' holds nothing; a text is a string, or name the column of numbers that is meant "
            "with --text-column",
        ),
        (rows(4, x=b"ab", y=[["a"]], label=["a", "b"]), {}, "no column holds text: 'x' holds bytes, 'y' holds lists; a text is a string"),
        (rows(4, x={"text": LONG}, y=[date(2024, 1, 2)], label=["a", "b"]), {}, "'x' holds objects, 'y' holds values of the type date"),
        (rows(8, text=LONG, id=list(range(8))), {}, "found no label column among id; name it with --label-column"),
        (rows(300, text=LONG, label=list(range(300))), {}, "300 different values in 300 rows"),
        (rows(300, text=LONG, label=list(range(150))), {}, "150 different values in 300 rows"),
        (rows(300, text=LONG, label=list(range(300))), {"label": "label"}, "300 different values in 300 rows"),
    ],
)
def test_what_cannot_be_guessed_from(values: list[dict[str, Any]], options: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError) as caught:
        guess_columns(values, **options)
    assert said in str(caught.value)


def test_the_file_says_what_it_found() -> None:
    guess = Guess(("Review Text",), "Mood", (("glad", 3), ("not_glad", 1)), 5, 1)
    text = task_file_text(guess, name="mine", data='my "data".csv')
    task = run(text)
    assert (task.name, task.fields, task.label_column) == ("mine", ("Review_Text",), "Mood")
    assert task.pvps[0].verbalizer.mapping == {"glad": "glad", "not_glad": "not glad"}
    assert "add --column 'Review_Text=Review Text' to each command" in text
    assert '"glad": "glad",  # 3 rows\n' in text
    assert '"not_glad": "not glad",  # 1 row; TODO' in text
    assert "TODO: 1 of 2 label names" in text
    assert "1 of the rows have no label" in text


@pytest.mark.parametrize("column", ["Review Text", "it's", '$HOME `id` "x"', "Größe in cm", "two\nlines", "tab\there"])
def test_the_flag_that_a_file_names_is_a_shells(column: str) -> None:
    text = task_file_text(Guess((column,), "label", (("bad", 1), ("good", 1)), 2, 0), name="t", data="d.csv")
    (line,) = [line for line in text.splitlines() if "to each command" in line]
    field, *_ = run(text).fields
    (flag,) = column_flags([column])
    assert f"add {flag} to each" in line
    if column.isprintable():
        assert shlex.split(flag) == ["--column", f"{field}={column}"]


def test_labels_that_look_alike_are_named_so_that_they_differ() -> None:
    labels = ["good", "good ", "caf\u00e9", "cafe\u0301", "cafe", "Good", "a\u00a0b", "a b"]
    notes = look_alike_notes(labels)
    assert [note.partition(" look alike")[0] for note in notes] == ["'good', 'good '", "'caf\u00e9', 'cafe\\u0301'", "'a\\xa0b', 'a b'"]
    text = task_file_text(Guess(("text",), "label", tuple((label, 1) for label in labels), 8, 0), name="t", data="d.csv")
    assert all(f"# TODO: {note}\n" in text for note in notes)
    assert run(text).labels == tuple(labels)
    assert look_alike_notes(["good", "bad"]) == []


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "a.tsv",
            "A fine day it was\tgood\nRain all week\tbad\nSun at last\tgood\nMore rain\tbad\nFog\tbad\n",
            "'good' would be the name of the label column, and is one of its labels, and 'A fine day it was' that of a text;",
        ),
        (
            "a.csv",
            "What is a fine day?,question\nRain all week,answer\nSun at last,question\nMud on the road,answer\nFog again,answer\n",
            "'question' would be the name of the label column",
        ),
        ("a.csv", ",mood\nRain,bad\nSunny,good\nMuddy,bad\nFoggy,good\n", "'' would be the name of a column"),
    ],
)
def test_a_first_line_that_looks_like_a_row_is_refused_unless_columns_are_named(name: str, text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError) as caught:
        new_task_file(str(tmp_path / name), tmp_path / "task.py")
    message = str(caught.value)
    assert said in message
    assert "add a line with names (text, label) before it" in message
    flags = shlex.split(message.partition("say so with ")[2])
    assert flags[::2] == ["--text-column", "--label-column"]
    assert new_task_file(str(tmp_path / name), tmp_path / "task.py", texts=[flags[1]], label=flags[3]).texts == (flags[1],)


LABELLED = "Rain all week,{0}\nSun at last,{1}\nMud on the road,{0}\nFog again,{1}\n"


@pytest.mark.parametrize(
    ("header", "labels", "said"),
    [
        ("Kommentar,2023", "ab", "'2023' would be the name of a column"),
        ("Kommentar,gut", ("gut", "schlecht"), "'gut' would be the name of the label column, and is one of its labels"),
        ("A fine day,good", ("good", "bad"), "'good' would be the name of the label column, and is one of its labels"),
        ("I did not like it at all,3", "12", "'I did not like it at all', '3' would be names of columns"),
        ("0,1", ("good", "bad"), "'0', '1' would be names of columns"),
    ],
)
def test_a_first_line_that_may_be_a_row_is_taken_and_noted(header: str, labels: Sequence[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"{header}\n{LABELLED.format(*labels)}")
    guess = new_task_file(str(tmp_path / "a.csv"), tmp_path / "task.py")
    (note,) = header_notes(guess)
    assert note == f"The first line may be a row: {said}; if it is one, add a line with names (text, label) before it."
    assert f"# TODO: {note}\n" in (tmp_path / "task.py").read_text()
    assert [*guess.texts, guess.label] == header.split(",")
    named = new_task_file(str(tmp_path / "a.csv"), tmp_path / "task.py", texts=guess.texts, label=guess.label, force=True)
    assert header_notes(named) == []


@pytest.mark.parametrize(
    ("header", "labels"),
    [
        ("tweet,offensive", ("offensive", "not")),
        ("comment_text,toxic", ("toxic", "clean")),
        ("utterance,true", ("true", "false")),
        ("How do you like our service?,Department", ("Sales", "Support")),
        ("Wie hat es Ihnen gefallen?,Bereich", ("Küche", "Bar")),
    ],
)
def test_usual_names_and_questions_are_no_rows(header: str, labels: Sequence[str], tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"{header}\n{LABELLED.format(*labels)}", encoding="utf-8")
    guess = new_task_file(str(tmp_path / "a.csv"), tmp_path / "task.py")
    assert ([*guess.texts, guess.label], header_notes(guess)) == (header.split(","), [])


def test_whether_there_is_a_header_is_known_from_what_standard_input_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def made_from(text: str) -> Guess:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        return new_task_file("-", tmp_path / "task.py", force=True)

    lines = [json.dumps({"A fine day it was": f"Row {i}", "good": ("good", "bad")[i % 2]}) for i in range(4)]
    guess = made_from("\n".join(lines))
    assert ((guess.texts, guess.label), header_notes(guess)) == ((("A fine day it was",), "good"), [])
    with pytest.raises(DataError, match=r"^standard input: the first line must name the columns, and looks like a row: 'good' would"):
        made_from(f"A fine day it was,good\n{LABELLED.format('good', 'bad')}")
    with pytest.raises(DataError, match=r"^standard input: there is one column only"):
        made_from("text\nRain\nSun\n")


def test_as_many_long_rows_are_looked_at_as_short_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("petkit.data.readers._CHUNK_CHARACTERS", 1000)
    values = [{"text": LONG * 5, "label": ("a", "b", "c")[i // 2000]} for i in range(6000)]
    guess = new_task_file(write_lines(tmp_path / "d.jsonl", values), tmp_path / "task.py")
    assert (guess.labels, guess.rows) == ((("a", 2000), ("b", 2000), ("c", 1000)), 5000)
    assert "its first 5000 rows" in (tmp_path / "task.py").read_text()


def test_of_long_texts_the_beginning_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[dict[str, Any]] = []
    monkeypatch.setattr("petkit.scaffold.guess_columns", lambda rows, **named: held.extend(rows) or guess_columns(rows, **named))
    source = write_lines(tmp_path / "d.jsonl", rows(4, text="x" * 50_000, n=3, label=["a", "b"]))
    assert new_task_file(source, tmp_path / "task.py").texts == ("text",)
    assert [(len(row["text"]), row["n"], row["label"]) for row in held] == [(10_000, 3, label) for label in "abab"]


def test_no_row_is_read_after_those_that_are_looked_at(tmp_path: Path) -> None:
    values = rows(5000, text=LONG, label=["a", "b"])
    source = write_lines(tmp_path / "d.jsonl", values)
    with (tmp_path / "d.jsonl").open("a") as file:
        file.write("{broken")
    assert new_task_file(source, tmp_path / "task.py").rows == 5000


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "text,spam\nWin now,spam\nSee you,ham\nBuy now,spam\nHello,ham\n"),
        ("a.csv", ",Review Text,label\n0,Rain,bad\n1,Sun,good\n2,Mud,bad\n3,Fog,good\n"),
        ("a.csv", "What did you like about the course? Tell us more,rating\nAll of it,5\nNothing,1\nThe end,5\nThe talk,1\n"),
        ("a.jsonl", "".join(f'{{"A fine day": "Text {i}", "good": "{("good", "bad")[i % 2]}"}}\n' for i in range(4))),
    ],
)
def test_first_lines_that_name_columns_and_files_without_such_a_line_are_taken(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    assert len(new_task_file(str(tmp_path / name), tmp_path / "task.py").labels) == 2


def test_where_nothing_can_be_guessed_the_first_line_may_be_why(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("I did not like it at all,3\nRain,1\n")
    with pytest.raises(
        DataError, match=r"a\.csv: found no label column.*is the first line a row\? Then add a line with column names before it"
    ):
        new_task_file(str(tmp_path / "a.csv"), tmp_path / "task.py")


def test_a_line_that_names_the_separator_is_no_header(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("sep=;\ntext;label\nRain;bad\nSun;good\nMud;bad\nFog;good\n")
    guess = new_task_file(str(tmp_path / "a.csv"), tmp_path / "task.py")
    assert (guess.texts, guess.label, guess.rows) == (("text",), "label", 4)


def test_the_file_says_how_its_data_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text;label\n"Bär;gut\nWolf;böse\n', encoding="cp1252")
    with pytest.raises(DataError, match="--encoding cp1252"):
        new_task_file(str(tmp_path / "a.csv"), tmp_path / "task.py")
    with pytest.raises(DataError, match="--no-quotes"):
        new_task_file(str(tmp_path / "a.csv"), tmp_path / "task.py", encoding="cp1252")
    guess = new_task_file(str(tmp_path / "a.csv"), tmp_path / "task.py", encoding="cp1252", quotes=False)
    assert guess.labels == (("böse", 1), ("gut", 1))
    assert "# The data are read with --encoding cp1252 --no-quotes: add that to each command.\n" in (tmp_path / "task.py").read_text(
        "utf-8"
    )
    assert load_task(tmp_path / "task.py").labels == ("böse", "gut")


def test_plain_names_need_no_todo() -> None:
    text = task_file_text(Guess(("text",), "label", (("bad", 1), ("good", 1)), 2, 0), name="t", data="d.csv")
    assert "TODO" not in text
    assert len(run(text).pvps) == 3


def test_two_texts_are_two_segments_and_three_are_one() -> None:
    labels = (("bad", 1), ("good", 1))
    two, three = (run(task_file_text(Guess(texts, "y", labels, 2, 0), name="t", data="d")) for texts in (("a", "b"), ("a", "b", "c")))
    assert [pvp.pattern.name for pvp in two.pvps] == ["{mask}: {a} || {b}", "{a} || {b} ( {mask} )", "[ Category: {mask} ] {a} || {b}"]
    assert three.pvps[0].pattern.name == "{mask}: {a} {b} {c}"


names = st.text(max_size=12)


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(names, min_size=1, max_size=4, unique=True), labels=st.lists(names, min_size=2, max_size=6, unique=True), rest=names)
def test_any_names_give_a_file_that_loads(texts: list[str], labels: list[str], rest: str) -> None:
    text = task_file_text(Guess(tuple(texts), rest, tuple((label, 1) for label in labels), 9, 1), name=rest, data=rest)
    task = run(text.encode("utf-8", "backslashreplace").decode("utf-8"))
    assert task.labels == tuple(labels)
    assert (task.name, task.label_column) == (rest, rest)
    assert task.fields == field_names(texts)


@given(st.lists(names, min_size=1, unique=True))
def test_fields_and_words_are_unique(values: list[str]) -> None:
    fields, words = field_names(values), label_words(values)
    assert len(set(fields)) == len(values)
    assert all(field.isidentifier() and field != "mask" for field in fields)
    assert list(words) == values
    assert len(set(words.values())) == len(values)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv", "rows.tsv"])
def test_a_file_of_each_kind(tmp_path: Path, name: str) -> None:
    values = rows(6, text=LONG, label=["bad", "good"])
    if name == "rows.jsonl":
        write_lines(tmp_path / name, values)
    else:
        joint = "," if name == "rows.csv" else "\t"
        lines = ["text" + joint + "label"] + [f'"{row["text"]}"{joint}{row["label"]}' for row in values]
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    out = tmp_path / "task.py"
    new_task_file(str(tmp_path / name), out)
    task = load_task(out)
    assert (task.name, task.fields, task.labels) == ("rows", ("text",), ("bad", "good"))


def test_problems_name_the_file_and_write_nothing(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "rows.jsonl", rows(4, text=LONG))
    with pytest.raises(DataError, match=r"rows\.jsonl: there is one column only"):
        new_task_file(source, tmp_path / "task.py")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.jsonl"]


@pytest.mark.parametrize(("name", "said"), [("task.txt", "ends in .py"), ("folder.py", "is a folder"), ("there.py", "--force")])
def test_files_that_cannot_be_written(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "there.py").write_text("kept")
    source = write_lines(tmp_path / "rows.jsonl", rows(4, text=LONG, label=["bad", "good"]))
    with pytest.raises(SettingsError, match=said):
        new_task_file(source, tmp_path / name)
    assert (tmp_path / "there.py").read_text() == "kept"


def test_force_replaces(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "rows.jsonl", rows(4, text=LONG, label=["bad", "good"]))
    (tmp_path / "there.py").write_text("old")
    new_task_file(source, tmp_path / "there.py", force=True)
    assert load_task(tmp_path / "there.py").name == "there"


@pytest.mark.parametrize("name", ["ag_news/test", "boolq/train", "fewclue_tnews/train", "wic/fewglue_train", "trec/test"])
def test_public_files_are_guessed_right(name: str, data_dir: Path, tmp_path: Path) -> None:
    source = data_dir / f"{name}.jsonl"
    if not source.is_file():
        pytest.skip(f"no {source}")
    guess = new_task_file(str(source), tmp_path / "task.py")
    first = json.loads(source.read_text(encoding="utf-8").splitlines()[0])
    assert guess.label == "label"
    assert guess.texts == (("text",) if "text" in first else ("text_a", "text_b"))
    assert load_task(tmp_path / "task.py").labels == tuple(label for label, _ in guess.labels)


def test_the_written_task_reads_the_rows_it_was_made_from(tmp_path: Path) -> None:
    values = rows(6, **{"Review Text": LONG, "ok": [True, False]})
    source = write_lines(tmp_path / "rows.jsonl", values)
    new_task_file(source, tmp_path / "task.py")
    read = read_rows(source, load_task(tmp_path / "task.py"), labels="required", columns={"Review_Text": "Review Text"})
    assert read.labels == (1, 0) * 3


@pytest.mark.parametrize(
    ("texts", "language"), [(["Gut gemacht.", "Schlecht."], "en"), (["\u8033\u673a\u4e0d\u9519", "\u4e0d\u597d ok"], "und")]
)
def test_texts_in_another_script_are_not_called_english(texts: list[str], language: str, tmp_path: Path) -> None:
    new_task_file(write_lines(tmp_path / "d.jsonl", rows(4, text=texts, label=["a", "b"])), tmp_path / "t.py")
    assert run((tmp_path / "t.py").read_text(encoding="utf-8")).language == language
