"""Readers: every format, streaming, and every way in which a source can be broken."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from petkit.data.problems import Problems
from petkit.data.readers import iter_records, records_of, source_stem
from petkit.data.text import text_lines
from petkit.errors import DataError

ROWS = [{"text": "Rain, again.", "label": "bad"}, {"text": 'A "fine" day\nat sea', "label": "good"}]
Write = Callable[[str, str | bytes], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(name: str, content: str | bytes) -> str:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write_file


def all_rows(source: str, **options: Any) -> list[dict[str, Any]]:
    return [row for chunk in iter_records(source, **options) for row in chunk]


def as_csv(rows: list[dict[str, Any]], delimiter: str = ",") -> str:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def as_jsonl(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def message(source: str, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        all_rows(source, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", as_csv(ROWS)),
        ("A.CSV", "\n" + as_csv(ROWS)),
        ("a.csv", as_csv(ROWS, ";")),
        ("a.tsv", as_csv(ROWS, "\t")),
        ("a.jsonl", as_jsonl(ROWS)),
        ("a.ndjson", "\n" + as_jsonl(ROWS).replace("\n", "\n\n")),
        ("a.json", as_jsonl(ROWS)),
        ("a.json", "\n" + json.dumps(ROWS, indent=2)),
        ("a.csv.gz", gzip.compress(as_csv(ROWS).encode())),
        ("a.json.gz", gzip.compress(json.dumps(ROWS).encode())),
        ("a.csv", "\ufeff" + as_csv(ROWS)),
        ("a.csv", "sep=;\r\n" + as_csv(ROWS, ";")),
        ("a.csv", '\ufeff"sep=|"\n' + as_csv(ROWS, "|")),
        ("a.tsv", "\nSEP=\t\n" + as_csv(ROWS, "\t")),
        ("a.json", "\n" + as_jsonl(ROWS).replace("\n", "\n\n")),
    ],
)
def test_formats_give_the_same_rows(write: Write, name: str, content: str | bytes) -> None:
    assert all_rows(write(name, content)) == ROWS


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ('"text, free";label', ["text, free", "label"]),
        ('label;"a ""b"", c"', ["label", 'a "b", c']),
        ('"text; free",label', ["text; free", "label"]),
        ('5" disc;label', ['5" disc', "label"]),
        ('"text, free"\tlabel', ["text, free", "label"]),
    ],
)
def test_separators_count_outside_quotes_only(write: Write, header: str, columns: list[str]) -> None:
    separator = next(sign for sign in ";\t," if sign in header.replace('"text; free"', ""))
    assert all_rows(write("a.csv", f"{header}\na{separator}b\n")) == [dict(zip(columns, "ab", strict=True))]


def test_text_file_has_one_text_per_line(write: Write) -> None:
    assert all_rows(write("a.txt", "one\r\ntwo \u2028 two\n\nfour")) == [{"text": t} for t in ("one", "two \u2028 two", "", "four")]


def test_parquet_is_streamed_and_label_names_are_restored(tmp_path: Path) -> None:
    path = str(tmp_path / "a.parquet")
    features = {"label": {"names": ["bad", "good"], "_type": "ClassLabel"}, "text": {"dtype": "string", "_type": "Value"}}
    table = pa.table({"text": ["a", "b", None], "label": [1, 0, -1]})
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})}), path)
    chunks = list(iter_records(path, chunk=2))
    assert chunks == [[{"text": "a", "label": "good"}, {"text": "b", "label": "bad"}], [{"text": None, "label": None}]]


def test_folder_saved_by_datasets(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])})
    data = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]}, features=features)
    both = datasets.DatasetDict({"train": data, "test": data})
    both.save_to_disk(str(tmp_path / "saved"))
    assert all_rows(str(tmp_path / "saved" / "train"), chunk=1) == [{"text": "a", "label": "good"}, {"text": "b", "label": "bad"}]
    said = message(str(tmp_path / "saved"))
    assert "several splits" in said
    assert str(tmp_path / "saved" / "test") in said


def test_hub_is_asked_for_name_config_and_split(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    asked: list[tuple[Any, ...]] = []

    def load(name: str, config: str | None, *, split: str) -> Any:
        asked.append((name, config, split))
        return datasets.Dataset.from_dict({"text": ["a"]})

    monkeypatch.setattr(datasets, "load_dataset", load)
    for source in ("hub:glue@rte:validation", "hub:some/name", "hub:name:train[:10]"):
        assert all_rows(source) == [{"text": "a"}]
    assert asked == [("glue", "rte", "validation"), ("some/name", None, "train"), ("name", None, "train[:10]")]


def test_hub_that_cannot_be_reached_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")

    def load(*_: Any, **__: Any) -> Any:
        raise ConnectionError("no route\nlong story")

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert "gave no split 'test' of 'ag_news' (ConnectionError: no route); check" in message("hub:ag_news:test")
    assert "write hub:NAME" in message("hub:")


@pytest.mark.parametrize("content", [as_csv(ROWS), " \n" + as_jsonl(ROWS)])
def test_standard_input_is_sniffed(monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
    assert all_rows("-") == ROWS


def test_messages_call_standard_input_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"{")))
    assert message("-").startswith("standard input: invalid JSON: row 1")


def test_streaming_reads_no_further_than_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    import petkit.data.readers

    read = []

    def blocks(_: str) -> Iterator[bytes]:
        for number in range(1000):
            read.append(number)
            yield b'{"text": "%d"}\n' % number

    monkeypatch.setattr(petkit.data.readers, "byte_blocks", blocks)
    monkeypatch.setattr(sys, "stdin", None)
    chunks = iter_records("-", chunk=10)
    assert [row["text"] for row in next(chunks)] == [str(n) for n in range(10)]
    assert len(read) <= 11


def test_fewer_long_rows_are_held_at_a_time(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("petkit.data.readers._CHUNK_CHARACTERS", 10)
    texts = ["abc", "defghijk", "l", "m", "n" * 30, "o"]
    source = write("a.jsonl", "".join(json.dumps({"text": text, "n": 123456789}) + "\n" for text in texts))
    chunks = [[row["text"] for row in chunk] for chunk in iter_records(source, chunk=3)]
    assert chunks == [["abc", "defghijk"], ["l", "m", "n" * 30], ["o"]]


def test_chunk_with_a_broken_row_is_not_given_out(write: Write) -> None:
    for name, content in (("a.csv", "x,y\n1,2\n3\n4,5\n"), ("a.jsonl", '{"x": 1}\n[\n{"x": 4}\n')):
        chunks = iter_records(write(name, content), chunk=1)
        assert len(next(chunks)) == 1
        with pytest.raises(DataError, match="row 2"):
            next(chunks)


def test_numbers_of_rows_and_lines(write: Write) -> None:
    source = write("a.csv", 'text\n"one\ntwo"\nthree\n')
    assert [record.where for record in records_of(source, Problems(source))] == ["row 1 (line 2)", "row 2 (line 4)"]
    source = write("b.csv", "\nsep=|\n\ntext|label\none|a\n")
    assert [record.where for record in records_of(source, Problems(source))] == ["row 1 (line 5)"]


@pytest.mark.parametrize("mark", ["a", "B", "1", "\u00fc"])
def test_no_letter_or_digit_is_a_separator(write: Write, mark: str) -> None:
    assert all_rows(write("a.csv", f"sep={mark}\nbanana\n1\n")) == [{f"sep={mark}": "banana"}, {f"sep={mark}": "1"}]


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [("a.TSV", "text\na\n", ".tsv"), ("a.csv.gz", gzip.compress(b"text\na\n"), ".csv"), ("a.ndjson", '{"text": "a"}', ".ndjson")],
)
def test_the_format_that_is_read_is_told(write: Write, name: str, content: str | bytes, found: str) -> None:
    told: list[str] = []
    assert all_rows(write(name, content), on_format=told.append) == [{"text": "a"}]
    assert told == [found]


@pytest.mark.parametrize(("content", "found"), [("text\na\n", ".csv"), ('\n{"text": "a"}\n', ".jsonl")])
def test_the_format_of_standard_input_is_told(monkeypatch: pytest.MonkeyPatch, content: str, found: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
    told: list[str] = []
    assert all_rows("-", on_format=told.append) == [{"text": "a"}]
    assert told == [found]


@pytest.mark.parametrize("row", [{"text": "a"}, {"tokens": ["a"], "tags": ["O"]}, {"text": "a", "notes": [{"by": "b"}]}, {}])
def test_one_object_may_be_the_one_row_of_a_json_file(write: Write, row: dict[str, Any]) -> None:
    assert all_rows(write("a.json", json.dumps(row))) == [row]


def test_two_megabyte_text(write: Write) -> None:
    text = "long, long text " * 131072
    for name, content in (("a.csv", as_csv([{"text": text}])), ("a.jsonl", as_jsonl([{"text": text}]))):
        assert all_rows(write(name, content)) == [{"text": text}]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "", "a.csv: is empty; the first line must name the columns"),
        ("a.csv", "\n \n", "a.csv: is empty"),
        ("a.csv", "text,label\n", "has a header ('text', 'label') and no row"),
        ("a.csv", "sep=;\n", "a.csv: is empty; the first line must name the columns"),
        ("a.jsonl", "\n", "a.jsonl: holds no row"),
        ("a.json", "[]", "a.json: holds no row"),
        ("a.txt", "", "a.txt: holds no row"),
        ("a.csv", "sep=a\n", "has a header ('sep=a') and no row"),
        ("a.csv", "text,text\na,b\n", "must name each column once, and names 'text' several times"),
        (
            "a.csv",
            "text,label\na,b,c\nd\n\ne,f\n",
            "rows must have the 2 cells of the header: row 1 (line 2) has 3, row 2 (line 3) has 1; a cell that holds ','",
        ),
        ("a.csv", 'text,label\na,b\n"c,d\ne,f\n', "row 2 (line 3) opens a quote that never closes and swallows"),
        ("a.csv", 'text;label\n"a"b;c\n', "give --no-quotes if quotes mean nothing in this file (cells are separated by ';' here)"),
        ("a.csv", '"text,label\na,b\n', "the header opens a quote that never closes"),
        ("a.csv", 'text,label\na,b\n"c,d\n"e",f\n', "row 2 (line 3) has text after a closing quote at line 4"),
        (
            "a.csv",
            'text,label\n"a,b\n' + "c,d\n" * 9 + 'e",f\n',
            "one quoted cell holds most of the file, rows and all (unbalanced quotes): row 1",
        ),
        ("a.jsonl", '{"a": 1}\n{"a": }\n{"b"\n', "invalid JSON: row 2, column 7: Expecting value, row 3, column 5: Expecting"),
        ("a.jsonl", '{"a": 1}\n[1]\n"x"\n', 'must be a JSON object such as {"text": "..."}: row 2 is an array, row 3 is a string'),
        ("a.json", '[{"a": 1},\n 2, {]', "invalid JSON: line 2, column 6"),
        ("a.json", '[{"a": 1}, 2]', "row 2 is a number"),
        ("a.json", json.dumps({"data": ROWS}, indent=1), "a.json: is one JSON object over several lines; the file must be one array"),
        ("a.json", '{"data": [\n{"text": "a"},\n{"text": "b"}]}', "is one JSON object over several lines"),
        ("a.json", json.dumps({"data": ROWS}), "is one JSON object, with rows under 'data'; the file must be one array of objects, [{"),
        ("a.json", json.dumps({"1": ROWS[0], "2": ROWS[1]}), "is one JSON object of objects; the file must be one array"),
        ("a.json", '{"text": "a", "label":', "invalid JSON: row 1, column 23: Expecting value; each line must be one JSON object"),
        ("a.json", '\n{"text": "a", "label":\n \n', "invalid JSON: row 1 (line 2), column 23: Expecting value"),
        ("a.json", '{"a":\n{"a": 1}\n', "invalid JSON: row 1, column 6: Expecting value; each line must be one JSON object"),
        ("a.jsonl", '{"a": ' + "[" * 100000, "invalid JSON: row 1, maximum recursion"),
        ("a.csv", "text\ncaf\xe9\n".encode("latin-1"), "byte 8 (line 2) is 0xE9, which is not UTF-8 here"),
        ("a.csv", "text\na\n".encode("utf-16"), "give --encoding utf-16"),
        ("a.csv", "text\nab\0c\n", "NUL byte at byte 7 (line 2)"),
        ("a.parquet", b"text\nabc\n", "a.parquet: no readable parquet file"),
        ("a.csv.gz", b"text\nabc\n", "damaged or no gzip file"),
        ("a.csv.gz", gzip.compress(b"text\nabc\n")[:-9], "damaged or no gzip file"),
        ("a.xls", b"", "unknown format '.xls'; legal are .csv"),
        ("noending", b"", "unknown format '(no ending)'"),
    ],
)
def test_broken_sources(write: Write, name: str, content: str | bytes, said: str) -> None:
    assert said in message(write(name, content))


def test_all_problems_of_a_file_come_in_one_message(write: Write) -> None:
    said = message(write("a.jsonl", "{\n[]\n" + "{\n" * 7))
    assert "2 problems" in said
    assert "and 3 more" in said
    assert "row 2 is an array" in said


def test_missing_file_and_folder_that_is_no_data_set(tmp_path: Path) -> None:
    assert "no such file or folder; legal are .csv" in message(str(tmp_path / "a.csv"))
    assert "no such file or folder" in message("long" * 100)
    assert "none that datasets.save_to_disk wrote" in message(str(tmp_path))
    (tmp_path / "state.json").write_text("{}")
    (tmp_path / "dataset_info.json").write_text("{}")
    assert "damaged data set" in message(str(tmp_path))


def test_encoding_is_an_option(write: Write) -> None:
    source = write("a.csv", "text\ncaf\xe9\n".encode("latin-1"))
    assert all_rows(source, encoding="latin-1") == [{"text": "caf\xe9"}]
    assert all_rows(write("b.csv", "text\ncaf\xe9\n".encode("utf-16")), encoding="utf-16") == [{"text": "caf\xe9"}]
    assert "no encoding 'nonsense'; --encoding takes" in message(source, encoding="nonsense")


def test_quotes_are_an_option(write: Write) -> None:
    source = write("a.tsv", 'text\tlabel\n"tis\tgood\n')
    assert "--no-quotes" in message(source)
    assert all_rows(source, quotes=False) == [{"text": '"tis', "label": "good"}]


def test_verse_in_quotes_is_no_broken_file(write: Write) -> None:
    rows = [{"text": "\n".join(["rain, rain"] * 9), "label": "bad"}] * 3
    assert all_rows(write("a.csv", as_csv(rows).replace("\r\n", "\n"))) == rows


def test_source_stem_names_the_file() -> None:
    assert [source_stem(s) for s in ("a/b.jsonl", "b.json.gz", "hub:x/y:test")] == ["b", "b", "y:test"]


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=40), st.integers(1, 5))
def test_lines_do_not_depend_on_blocks(data: bytes, size: int) -> None:
    data = data.replace(b"\0", b"\r\n")
    blocks = [data[i : i + size] for i in range(0, len(data), size)]
    lines = list(text_lines(blocks, source="x", encoding="latin-1"))
    assert lines == list(io.TextIOWrapper(io.BytesIO(data), encoding="latin-1", newline=""))


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=20), st.integers(1, 3))
def test_byte_offset_of_a_wrong_byte(text: str, size: int) -> None:
    good = text.replace("\0", "x").encode("utf-8")
    data = good + b"\xff" + good
    blocks = [data[i : i + size] for i in range(0, len(data), size)]
    with pytest.raises(DataError, match=rf"byte {len(good)} \(line {good.count(10) + 1}\) is 0xFF"):
        list(text_lines(blocks, source="x", encoding="utf-8"))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["x.csv", "x.tsv", "x.jsonl", "x.json", "x.txt", "x.parquet", "x.csv.gz"]),
    st.binary(max_size=30) | st.text('{}[]",:a1\n\r\t;', max_size=30).map(str.encode),
)
def test_whatever_a_file_holds_ends_in_rows_or_one_message(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    said, rows = "", 0
    try:
        rows = len(all_rows(str(tmp_path / name)))
    except DataError as error:
        said = str(error)
    assert bool(rows) != (name in said)
