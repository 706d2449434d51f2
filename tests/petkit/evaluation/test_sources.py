"""Which files a study finds, and what it says where it finds none."""

from __future__ import annotations

from pathlib import Path

import pytest

from petkit.errors import DataError
from petkit.evaluation.sources import find_sources


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
