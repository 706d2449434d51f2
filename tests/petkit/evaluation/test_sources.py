"""Which files a study finds, and what it says where it finds none."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from petkit.data import iter_records
from petkit.errors import DataError
from petkit.evaluation.sources import find_sources, source_notices


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_a_folder_of_one_task(tmp_path: Path) -> None:
    touch(tmp_path, "train.csv", "test.jsonl", "unlabeled.jsonl")
    (found,) = find_sources(["sst2"], [str(tmp_path)], given=None)
    assert (found.train, found.test, found.unlabeled) == tuple(str(tmp_path / n) for n in ("train.csv", "test.jsonl", "unlabeled.jsonl"))
    assert found.given == ()


def test_a_parent_of_several_and_one_elsewhere(tmp_path: Path) -> None:
    touch(tmp_path, "all/mr/train.jsonl", "all/mr/test.jsonl", "other/train.jsonl", "other/test.jsonl")
    found = find_sources(["mr", "yelp"], [str(tmp_path / "all"), f"yelp={tmp_path / 'other'}"], given=None)
    assert [Path(one.train).parent for one in found] == [tmp_path / "all" / "mr", tmp_path / "other"]


def test_one_task_in_the_parent_of_many(tmp_path: Path) -> None:
    touch(tmp_path, "mr/train.jsonl", "mr/test.jsonl")
    assert find_sources(["mr"], [str(tmp_path)], given=None)[0].train == str(tmp_path / "mr" / "train.jsonl")


def test_given_splits_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    touch(tmp_path, "train.jsonl", "test.jsonl", *(f"few/{n}/{part}.jsonl" for n in (100, 13, 21) for part in ("train", "dev")))
    (found,) = find_sources(["t"], [str(tmp_path)], given="given")
    assert [one.name for one in found.given] == ["few/13", "few/21", "few/100"]
    assert found.given[0].development == str(tmp_path / "few/13/dev.jsonl")
    touch(tmp_path, "seeds/train_0.jsonl", "seeds/train_1.jsonl", "seeds/dev_1.jsonl", "seeds/notes.txt")
    (flat,) = find_sources(["t"], [str(tmp_path)], given="given:seeds")
    assert [(one.name, one.development is not None) for one in flat.given] == [("seeds/0", False), ("seeds/1", True)]
    with pytest.raises(DataError, match="folders with splits there: few, seeds"):
        find_sources(["t"], [str(tmp_path)], given="given")


def test_numbers_that_int_cannot_read_are_names(tmp_path: Path) -> None:
    touch(tmp_path, "train.jsonl", "test.jsonl", "few/2/train.jsonl", "few/²/train.jsonl")
    assert [one.name for one in find_sources(["t"], [str(tmp_path)], given="given")[0].given] == ["few/2", "few/²"]


def test_a_named_folder_needs_a_train_file_too(tmp_path: Path) -> None:
    touch(tmp_path, "sst2/test.jsonl")
    with pytest.raises(DataError, match=r"no train file \(train.jsonl, .*\) in .*sst2$"):
        find_sources(["sst2"], [f"sst2={tmp_path / 'sst2'}"], given=None)
    with pytest.raises(DataError, match=r"in .*/sst; did you mean sst2\?"):
        find_sources(["sst2"], [f"sst2={tmp_path / 'sst'}"], given=None)


def test_everything_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    touch(tmp_path, "mr/train.jsonl", "sst2/train.jsonl", "sst2/test.jsonl")
    with pytest.raises(DataError) as caught:
        find_sources(["mr", "cr"], [str(tmp_path), "trec=x"], given=None)
    message = str(caught.value)
    assert "3 problems" in message
    assert "mr has no test file" in message
    assert "'trec' is none of the tasks" in message
    assert "folders with a train file there: mr, sst2; or give cr=DIR" in message


def write_rows(path: Path, **row: Any) -> None:
    """One row, in the format that the name says."""
    text = json.dumps([row] if ".json" in path.suffixes else row) + "\n"
    if {".csv", ".tsv"} & set(path.suffixes):
        mark = "\t" if ".tsv" in path.suffixes else ","
        text = f"{mark.join(row)}\n{mark.join(map(str, row.values()))}\n"
    elif ".txt" in path.name.lower():
        text = "".join(f"{value}\n" for value in row.values())
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist([row]), path)
    else:
        path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


TABLES = [f"{ending}{packed}" for ending in (".jsonl", ".ndjson", ".json", ".csv", ".tsv") for packed in ("", ".gz")]


@pytest.mark.parametrize("ending", [*TABLES, ".parquet", ".txt", ".txt.gz", ".TXT"])
def test_the_pool_is_found_in_every_format_that_rows_are_read_from(ending: str, tmp_path: Path) -> None:
    write_rows(tmp_path / f"unlabeled{ending}", text="one")
    labelled = ending if ending in (*TABLES, ".parquet") else ".csv"
    for part in ("train", "test"):
        write_rows(tmp_path / f"{part}{labelled}", text="one", label="good")
    (found,) = find_sources(["t"], [str(tmp_path)], given=None)
    assert (found.train, found.unlabeled) == (str(tmp_path / f"train{labelled}"), str(tmp_path / f"unlabeled{ending}"))
    assert found.unlabeled is not None
    assert [row["text"] for chunk in iter_records(found.unlabeled) for row in chunk] == ["one"]
    assert source_notices("t", found, pool=found.unlabeled) == []


def test_splits_that_datasets_saved_are_found(tmp_path: Path) -> None:
    touch(tmp_path, "dataset_dict.json", *(f"{part}/{file}" for part in ("train", "test") for file in ("state.json", "dataset_info.json")))
    (found,) = find_sources(["t"], [str(tmp_path)], given=None)
    assert (found.train, found.test, found.unread) == (str(tmp_path / "train"), str(tmp_path / "test"), ())


def test_files_that_stand_in_each_others_way_and_formats_that_are_not_read_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "train.jsonl", "train.csv.gz", "test.txt", "unlabeled.csv", "unlabeled.txt")
    with pytest.raises(DataError) as caught:
        find_sources(["t"], [str(tmp_path)], given=None)
    assert caught.value.problems == (
        f"task 't': {tmp_path} holds train.csv.gz and train.jsonl; one train file is legal: take the others away",
        f"task 't': {tmp_path} has no test file (test.jsonl, .ndjson, .json, .csv or .tsv, each also .gz, or .parquet); "
        "test.txt is not read (a .txt file has no labels); or name one by --test",
        f"task 't': {tmp_path} holds unlabeled.csv and unlabeled.txt; one unlabeled file is legal: take the others away; "
        "or name one by --unlabeled",
    )
    (tmp_path / "train.csv.gz").unlink()
    (found,) = find_sources(["t"], [str(tmp_path)], given=None, unlabeled="raw.txt", test="other.csv")
    assert (found.unlabeled, found.test, found.unread) == ("raw.txt", "other.csv", ())
    texts = touch(tmp_path / "texts", "train.txt", "test.csv")
    with pytest.raises(DataError) as caught:
        find_sources(["t"], [str(texts)], given=None)
    assert caught.value.problems == (
        f"no train file (train.jsonl, .ndjson, .json, .csv or .tsv, each also .gz, or .parquet) in {texts} and {texts / 't'}; "
        f"{texts / 'train.txt'} is not read (a .txt file has no labels); or give t=DIR",
    )
    with pytest.raises(DataError, match=rf"no train file \(.*\) in {texts}; {texts}/train.txt is not read \(a .txt file has no labels\)$"):
        find_sources(["t"], [f"t={texts}"], given=None)


@pytest.mark.parametrize("name", ["unlabeled/part-1.txt", "unlabeled.xlsx"])
def test_a_pool_that_is_not_read_is_told_and_one_that_is_not_used_is_not_looked_for(name: str, tmp_path: Path) -> None:
    touch(tmp_path, "train.csv", "test.csv", name)
    (found,) = find_sources(["t"], [str(tmp_path)], given=None)
    there = tmp_path / name.partition("/")[0]
    assert (found.unlabeled, found.unread) == (None, (str(there),))
    assert source_notices("t", found, pool=found.train) == [
        f"task 't': {there} is not read",
        f"task 't': no unlabeled file in {tmp_path}, so the pool is train.csv without its labels; see --unlabeled",
    ]
    touch(tmp_path, "unlabeled.csv", "unlabeled.txt")
    (found,) = find_sources(["t"], [str(tmp_path)], given=None, pool_from_test=True)
    assert (found.unlabeled, found.unread) == (None, ())
    assert source_notices("t", found, pool=found.test) == []


def test_what_lies_beside_given_splits_is_told_and_stands_in_no_ones_way(tmp_path: Path) -> None:
    touch(
        tmp_path, "train.csv", "test.csv", "seeds/train_1.jsonl", "seeds/train_1.jsonl.bak", "seeds/train_log.txt", "seeds/train_0.5.jsonl"
    )
    touch(
        tmp_path, "seeds/logs/train.log", "seeds/2/train.csv", "seeds/2/dev.txt", "seeds/3/train.txt", "seeds/notes.md", "seeds/empty/notes"
    )
    (found,) = find_sources(["t"], [str(tmp_path)], given="given")
    assert [(one.name, one.development) for one in found.given] == [("seeds/1", None), ("seeds/2", None)]
    there = tmp_path / "seeds"
    names = ("2/dev.txt", "3/train.txt", "logs/train.log", "train_0.5.jsonl", "train_1.jsonl.bak", "train_log.txt")
    assert found.unread == tuple(str(there / name) for name in names)
    assert source_notices("t", found, pool=found.test) == [
        f"task 't': {', '.join(found.unread[:5])}, and 1 more are not read "
        "(a .txt file has no labels; NAME in train_NAME is letters, digits and _)"
    ]
    (found,) = find_sources(["t"], [str(tmp_path)], given="given", development=False)
    assert str(there / "2/dev.txt") not in found.unread, "dev files are not used"


def test_a_folder_whose_splits_cannot_be_read_is_refused_with_what_is_there(tmp_path: Path) -> None:
    touch(tmp_path, "train.csv", "test.csv", "seeds/train_0.5.jsonl")
    for given in ("given", "given:seeds"):
        with pytest.raises(DataError) as caught:
            find_sources(["t"], [str(tmp_path)], given=given)
        assert caught.value.problems == (
            f"task 't': {tmp_path}: --splits {given} finds no single folder of splits; no folder there holds NAME/train or "
            f"train_NAME files; {tmp_path}/seeds/train_0.5.jsonl is not read (NAME in train_NAME is letters, digits and _)",
        )


def test_a_given_split_has_one_file_for_each_part(tmp_path: Path) -> None:
    touch(tmp_path, "train.csv", "test.csv", "few/1/train.csv", "few/2/train.csv", "few/2/dev.csv", "few/2/dev.tsv", "few/3/train.txt")
    touch(tmp_path, "flat/train_1.csv.gz", "flat/dev_1.ndjson")
    with pytest.raises(DataError, match=r"few/2 holds dev.csv and dev.tsv; one dev file is legal"):
        find_sources(["t"], [str(tmp_path)], given="given:few")
    (found,) = find_sources(["t"], [str(tmp_path)], given="given:few", development=False)
    assert [(one.name, one.development) for one in found.given] == [("few/1", None), ("few/2", None)]
    (found,) = find_sources(["t"], [str(tmp_path)], given="given:flat")
    assert [(one.name, Path(str(one.development)).name) for one in found.given] == [("flat/1", "dev_1.ndjson")]


def test_what_is_not_read_and_which_pool_is_taken_are_told(tmp_path: Path) -> None:
    touch(tmp_path, "train.jsonl", "train.jsonl.bak", "test.jsonl", "unlabelled.txt")
    (found,) = find_sources(["t"], [str(tmp_path)], given=None)
    assert source_notices("t", found, pool=found.train) == [
        f"task 't': {tmp_path}/train.jsonl.bak is not read",
        f"task 't': no unlabeled file in {tmp_path} (unlabelled.txt there is not read), so the pool is train.jsonl without its labels; "
        "see --unlabeled",
    ]
    assert len(source_notices("t", found, pool=found.test)) == 1, "the pool comes out of the test, as was asked for"
    touch(tmp_path, "unlabeled.txt")
    (found,) = find_sources(["t"], [str(tmp_path)], given=None, unlabeled=str(tmp_path / "unlabeled.txt"), pool_from_test=True)
    assert source_notices("t", found, pool=found.test)[1] == (
        f"task 't': {tmp_path}/unlabeled.txt is not used: the pool comes from the test (--pool-from-test)"
    )
