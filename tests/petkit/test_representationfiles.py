"""Parquet files of vectors: rows in their order with their ids, the same whatever is held at a time, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from petkit.errors import DataError, SettingsError
from petkit.representationfiles import Written, encode_file
from petkit.representations import Vectors, load_vectors
from tests.builders import sentences, tiny_masked_lm
from tests.petkit.finetuning.tiny import reader

TEXTS = sentences()[:25]


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Vectors:
    folder = tiny_masked_lm("bert", tmp_path_factory.mktemp("bert"), initializer_range=0.2)
    return load_vectors(str(folder), max_length=32, token_budget=100, device="cpu")


def source(folder: Path, rows: list[dict[str, Any]]) -> str:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(path)


@pytest.fixture
def file(tmp_path: Path) -> str:
    return source(tmp_path, [{"name": f"n{i}", "text": text, "other": TEXTS[-1 - i]} for i, text in enumerate(TEXTS)])


def encoded(vectors: Vectors, file: str, **options: Any) -> tuple[Written, pa.Table]:
    out = Path(file).with_suffix(".parquet")
    done = encode_file(vectors, file, out, **options)
    return done, pq.read_table(out)


def array(table: pa.Table, name: str) -> np.ndarray:
    return np.stack(table[name].to_numpy())


def test_a_row_for_each_row_in_its_order(vectors: Vectors, file: str) -> None:
    done, table = encoded(vectors, file, facts={"model": "m"})
    rows = vectors.tokens([(text,) for text in TEXTS])
    found = vectors.sentences(rows, ("cls", "mean"))
    assert table.schema.names == ["id", "cls", "mean"]
    assert table.schema.field("mean").type == pa.list_(pa.float32(), 32)
    assert table["id"].to_pylist() == [f"rows:{i}" for i in range(1, 26)]
    for name in ("cls", "mean"):
        np.testing.assert_allclose(array(table, name), found[name], atol=1e-5)
    assert done == Written(25, 25, len(rows.inputs.ids), 0, int(rows.cut.sum()), ("cls", "mean"), 32, done.unknown)
    assert json.loads(table.schema.metadata[b"petkit"]) == {"model": "m"}


@pytest.mark.parametrize("tokens", [False, True])
def test_how_many_rows_are_held_does_not_matter(vectors: Vectors, file: str, tokens: bool, tmp_path: Path) -> None:
    one, other = (encoded(vectors, file, chunk=chunk, tokens=tokens)[1] for chunk in (3, 1000))
    name = "state" if tokens else "mean"
    assert one.drop_columns([name, *([] if tokens else ["cls"])]) == other.drop_columns([name, *([] if tokens else ["cls"])])
    np.testing.assert_allclose(array(one, name), array(other, name), atol=1e-5)
    assert pq.ParquetFile(Path(file).with_suffix(".parquet")).num_row_groups == (2 if tokens else 1)


def test_a_row_for_each_token_with_its_text_and_place(vectors: Vectors, file: str) -> None:
    done, table = encoded(vectors, file, tokens=True, id_column="name")
    rows = vectors.tokens([(text,) for text in TEXTS])
    states, inside = vectors.token_states(rows), rows.segments >= 0
    np.testing.assert_allclose(array(table, "state"), states[inside], atol=1e-5)
    assert (done.rows, done.written) == (25, int(inside.sum()))
    found = table.drop_columns(["state"]).to_pylist()
    texts = {f"n{i}": text for i, text in enumerate(TEXTS)}
    assert list(dict.fromkeys(row["id"] for row in found)) == list(texts)
    for row in found:
        assert texts[row["id"]][row["start"] : row["end"]] == row["text"]
        assert row["text"].lower() == row["token"].removeprefix("##")
    assert [row["position"] for row in found if row["id"] == "n0"] == list(range(1, 1 + sum(row["id"] == "n0" for row in found)))
    assert "segment" not in table.schema.names


def test_an_unknown_token_has_the_name_that_the_vocabulary_gives_it(vectors: Vectors, tmp_path: Path) -> None:
    _, table = encoded(vectors, source(tmp_path, [{"text": "a \u4e2d number"}]), tokens=True)
    assert table["token"].to_pylist() == ["a", "[UNK]", "number"]


def test_pairs_have_one_vector_or_two_segments_of_tokens(vectors: Vectors, file: str) -> None:
    _, table = encoded(vectors, file, pair="other", poolings=["cls"], columns={"text": "text"})
    rows = vectors.tokens(list(zip(TEXTS, TEXTS[::-1], strict=True)))
    np.testing.assert_allclose(array(table, "cls"), vectors.sentences(rows, ["cls"])["cls"], atol=1e-5)
    _, table = encoded(vectors, file, pair="other", tokens=True)
    assert table["segment"].to_pylist() == [number for number in rows.segments.tolist() if number >= 0]
    second = "".join(row["text"] for row in table.to_pylist() if row["id"] == "rows:1" and row["segment"] == 1)
    assert second[:5] == "".join(TEXTS[-1].split())[:5]


def test_rows_without_a_token_have_no_vector(tmp_path: Path) -> None:
    """GPT-2 reads nothing of an empty text, and what is not there is null, not zero."""
    gpt2 = load_vectors(str(reader("gpt2", tmp_path / "gpt2")), device="cpu")
    rows = [{"text": text} for text in ("One.", "", "Two.", "Three.", "", "One.", "x", "y", "z", "One.")]
    done, table = encoded(gpt2, source(tmp_path, rows))
    assert (done.rows, done.blank, done.columns) == (10, 2, ("mean",))
    assert [value is None for value in table["mean"].to_pylist()] == [not row["text"] for row in rows]
    assert table.schema.field("mean").type == pa.list_(pa.float32()), "older Arrow does not read nulls among lists of a fixed size"
    assert {len(value) for value in table["mean"].to_pylist() if value is not None} == {done.width}
    np.testing.assert_allclose(table["mean"][0].as_py(), table["mean"][9].as_py(), atol=1e-6)
    _, table = encoded(gpt2, source(tmp_path, rows), tokens=True)
    assert "rows:2" not in table["id"].to_pylist()


def test_rows_that_are_cut_and_rows_without_text_are_counted(vectors: Vectors, tmp_path: Path) -> None:
    rows = [{"text": "word " * 100}, {"text": None}, {"text": "short"}, {"text": "word " * 100}]
    done, table = encoded(vectors, source(tmp_path, rows), chunk=1)
    assert (done.rows, done.cut, done.blank, done.tokens) == (4, 2, 1, 32 + 2 + 3 + 32)
    assert len(table) == 4


def test_the_first_rows_may_lack_a_column_that_others_have(vectors: Vectors, tmp_path: Path) -> None:
    done, table = encoded(vectors, source(tmp_path, [{"note": "x"}, {"text": "short"}]), chunk=1)
    assert (done.rows, done.blank, len(table)) == (2, 1, 2)
    with pytest.raises(DataError, match=r"no column 'text'; the columns are 'note', 'txt'; say which one holds it with --text-column"):
        encoded(vectors, source(tmp_path, [{"note": "x"}, {"txt": "short"}]), chunk=1)


@pytest.mark.parametrize("row", [{"text": "a"}, {"text": "a", "name": None}, {"text": "a", "name": " "}, {"text": "a", "name": [1]}])
def test_rows_without_an_id_are_named_and_nothing_is_left(vectors: Vectors, tmp_path: Path, row: dict[str, Any]) -> None:
    path = source(tmp_path, [{"text": "b", "name": 1.0}, row])
    with pytest.raises(DataError, match=r"rows.jsonl.*column 'name' \(--id-column\)"):
        encode_file(vectors, path, tmp_path / "out.parquet", id_column="name", chunk=1)
    assert [file.name for file in tmp_path.iterdir()] == ["rows.jsonl"]


def test_numbers_are_ids_as_they_are_written(vectors: Vectors, tmp_path: Path) -> None:
    _, table = encoded(vectors, source(tmp_path, [{"text": "b", "name": 1.0}, {"text": "b", "name": 20}]), id_column="name")
    assert table["id"].to_pylist() == ["1", "20"]


def test_options_that_contradict_each_other_are_refused(vectors: Vectors, file: str) -> None:
    with pytest.raises(SettingsError, match="--tokens writes a state for each token"):
        encoded(vectors, file, tokens=True, poolings=["cls"])
    with pytest.raises(SettingsError, match="legal are cls, mean"):
        encoded(vectors, file, poolings=["max"])
    with pytest.raises(DataError, match="no column 'body'"):
        encoded(vectors, file, columns={"text": "body"})


@pytest.mark.parametrize("tokens", [False, True])
@pytest.mark.parametrize(("texts", "share"), [(["\u8fd9 \u91cc rows", "rows"], 0.5), (["rows of rows"], 0.0), ([""], None)])
def test_the_share_of_unknown_tokens_is_that_of_the_texts(tmp_path: Path, texts: list[str], share: float | None, tokens: bool) -> None:
    known = load_vectors(str(tiny_masked_lm("bert", tmp_path / "model")), device="cpu")
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    done, _ = encoded(known, str(rows), tokens=tokens)
    assert done.unknown == share


def test_the_file_that_is_read_is_not_written_over(vectors: Vectors, tmp_path: Path) -> None:
    table = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"text": ["one", "two"]}), table)
    before = table.read_bytes()
    with pytest.raises(SettingsError, match=r"--out is .*, the file that is read"):
        encode_file(vectors, str(table), table)
    assert table.read_bytes() == before
