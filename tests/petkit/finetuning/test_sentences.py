"""Tagged sentences are read from columns and from lists, and every mistake is told with its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from petkit.errors import DataError
from petkit.finetuning.rows import TaggedSentence
from petkit.finetuning.sentences import COLUMN_FORMATS, read_sentences
from petkit.finetuning.settings import FinetuneSettings
from tests.petkit.finetuning.tiny import jsonl

SETTINGS = FinetuneSettings().resolved("tag")


def column_file(folder: Path, text: str, suffix: str = ".conll") -> str:
    path = folder / f"train{suffix}"
    path.write_text(text, "utf-8")
    return str(path)


@pytest.mark.parametrize("suffix", COLUMN_FORMATS)
def test_columns_are_words_and_tags(tmp_path: Path, suffix: str) -> None:
    found = read_sentences(column_file(tmp_path, "Anna\tB-PER\nran\tO\n\n\nYork B-LOC\r\n", suffix), SETTINGS)
    assert found == [TaggedSentence("train:1", ["Anna", "ran"], ["B-PER", "O"]), TaggedSentence("train:2", ["York"], ["B-LOC"])]


def test_of_more_columns_the_first_and_the_last_count_and_document_lines_do_not(tmp_path: Path) -> None:
    text = "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n"
    assert read_sentences(column_file(tmp_path, text), SETTINGS) == [TaggedSentence("train:1", ["EU", "rejects"], ["B-ORG", "O"])]


def test_rows_hold_lists_of_words_and_of_tags(tmp_path: Path) -> None:
    source = jsonl(tmp_path / "t.jsonl", [{"w": ["Anna", 5], "t": ["B-PER", "O"]}, {"w": ["ran"]}])
    settings = FinetuneSettings(token_column="w", tag_column="t").resolved("tag")
    assert read_sentences(source, settings) == [TaggedSentence("t:1", ["Anna", "5"], ["B-PER", "O"]), TaggedSentence("t:2", ["ran"], None)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Anna B-PER\nran\n", "each line must hold a word and its tag: line 2"),
        ("Anna S-PER\n", "no BIO tag; legal are O, B-KIND and I-KIND: 'S-PER' in line 1"),
        ("", "holds no sentence"),
        ("\n\n", "holds no sentence"),
    ],
)
def test_mistakes_in_columns_are_told_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_sentences(column_file(tmp_path, text), SETTINGS)
    assert message in str(caught.value)
    assert "train.conll" in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"tokens": ["a", "b"], "tags": ["O"]}], "as many tags as words are needed: row 1 has 2 words and 1 tags"),
        ([{"tokens": ["a"], "tags": ["O"]}, {"tokens": ["a"], "tags": ["x"]}], "no BIO tag; legal are O, B-KIND and I-KIND: 'x' in row 2"),
        ([{"tokens": "a b", "tags": ["O"]}], "column 'tokens' must hold a list of words, and not an empty one: row 1"),
        ([{"tokens": [], "tags": []}], "column 'tokens' must hold a list of words, and not an empty one: row 1"),
        ([{"tokens": ["a b"], "tags": ["O"]}], "column 'tokens' must hold a list of words without blanks in them: row 1"),
        (
            [{"words": ["a"], "tags": ["O"]}],
            "no column 'tokens'; the columns are 'words', 'tags'; say which one holds it with --token-column",
        ),
        ([], "holds no row"),
    ],
)
def test_mistakes_in_rows_are_told_with_their_number(tmp_path: Path, rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_sentences(jsonl(tmp_path / "t.jsonl", rows), SETTINGS)
    assert message in str(caught.value)


def test_a_word_with_a_blank_of_another_sort_is_not_cut(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a column must not hold a blank of another sort, such as a no-break space: line 2"):
        read_sentences(column_file(tmp_path, "Anna B-PER\nAnna\u00a0Maria B-PER\n"), SETTINGS)


def test_all_mistakes_come_at_once(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"2 problems"):
        read_sentences(column_file(tmp_path, "a\nb X\nc\n"), SETTINGS)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    for name in ("none.conll", "none.jsonl"):
        with pytest.raises(DataError, match="no such file"):
            read_sentences(str(tmp_path / name), SETTINGS)
