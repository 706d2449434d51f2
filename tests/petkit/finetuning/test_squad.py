"""Questions in SQuAD's JSON and in rows; mistakes are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from petkit.errors import DataError
from petkit.finetuning.rows import Question
from petkit.finetuning.settings import FinetuneSettings
from petkit.finetuning.squad import read_questions
from tests.petkit.finetuning.tiny import jsonl

SETTINGS = FinetuneSettings().resolved("answer")
OPEN = FinetuneSettings(no_answer=True).resolved("answer")
CONTEXT = "Anna has an old cat."
ASKED = {"id": "q1", "question": "Who?", "answers": [{"text": "Anna", "answer_start": 0}, {"text": "old cat", "answer_start": 12}]}
READ = Question("q1", CONTEXT, "Who?", ["Anna", "old cat"], [0, 12])


def squad_file(folder: Path, *asked: dict[str, Any]) -> str:
    path = folder / "dev.json"
    path.write_text(json.dumps({"version": "1.1", "data": [{"title": "x", "paragraphs": [{"context": CONTEXT, "qas": list(asked)}]}]}))
    return str(path)


def test_squads_own_form_is_read(tmp_path: Path) -> None:
    assert read_questions(squad_file(tmp_path, ASKED), SETTINGS) == [READ]


def test_rows_are_read_with_answers_in_either_form(tmp_path: Path) -> None:
    columns = {"text": ["Anna", "old cat"], "answer_start": [0, 12]}
    rows = [{**ASKED, "context": CONTEXT}, {**ASKED, "id": "q2", "context": CONTEXT, "answers": columns}]
    assert read_questions(jsonl(tmp_path / "t.jsonl", rows), SETTINGS) == [READ, Question("q2", *_rest(READ))]


def _rest(row: Question) -> tuple[Any, ...]:
    return row.context, row.question, row.answers, row.starts


def test_a_json_array_and_json_lines_called_json_are_rows(tmp_path: Path) -> None:
    row = {**ASKED, "context": CONTEXT}
    for text in (json.dumps([row]), json.dumps(row) + "\n"):
        (tmp_path / "t.json").write_text(text)
        assert read_questions(str(tmp_path / "t.json"), SETTINGS) == [READ]


def test_ids_are_made_where_there_are_none_and_answers_may_be_unknown(tmp_path: Path) -> None:
    source = jsonl(tmp_path / "t.jsonl", [{"context": CONTEXT, "question": "Who?"}])
    assert read_questions(source, SETTINGS) == [Question("t:1", CONTEXT, "Who?", None, [])]


def test_questions_without_answer_need_the_flag(tmp_path: Path) -> None:
    source = squad_file(tmp_path, {**ASKED, "answers": [], "is_impossible": True})
    assert read_questions(source, OPEN) == [Question("q1", CONTEXT, "Who?", [], [])]
    with pytest.raises(DataError, match="questions without an answer need --no-answer: q1"):
        read_questions(source, SETTINGS)


@pytest.mark.parametrize("settings", [SETTINGS, OPEN])
def test_questions_without_a_list_of_answers_are_not_labelled(tmp_path: Path, settings: FinetuneSettings) -> None:
    asked = {"id": "q1", "question": "Who?"}
    for more in ({}, {"is_impossible": False}, {"answers": None}):
        assert read_questions(squad_file(tmp_path, {**asked, **more}), settings) == [Question("q1", CONTEXT, "Who?", None, [])]
    impossible = squad_file(tmp_path, {**asked, "is_impossible": True})
    assert read_questions(impossible, OPEN) == [Question("q1", CONTEXT, "Who?", [], [])]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"answers": [{"text": "Anna", "answer_start": 1}]},
            "answers are not at their offset: question 'q1': 'Anna' at 1, where 'nna ' stands",
        ),
        ({"answers": [{"text": "Anna", "answer_start": -20}]}, "answers are not at their offset"),
        (
            {"answers": [{"text": "cat", "answer_start": 400}]},
            "answers are not at their offset: question 'q1': 'cat' at 400, where '' stands",
        ),
        ({"answers": [{"text": "Anna"}]}, "answers must be a list of"),
        ({"answers": ["Anna"]}, "answers must be a list of"),
        ({"answers": [{"text": "", "answer_start": 0}]}, "answers must be a list of"),
        ({"question": " \u200b"}, "empty or blank text in column 'question'"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_questions(squad_file(tmp_path, {**ASKED, **asked}), SETTINGS)
    assert message in str(caught.value)


def test_missing_columns_twice_the_same_id_and_other_shapes_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column 'question'; the columns are 'context', 'answers'"):
        read_questions(jsonl(tmp_path / "t.jsonl", [{"context": CONTEXT, "answers": []}]), SETTINGS)
    with pytest.raises(DataError, match="ids must be unique: 'q1'"):
        read_questions(squad_file(tmp_path, ASKED, ASKED), SETTINGS)
    (tmp_path / "x.json").write_text('{"data": [{"paragraphs": [{"qas": []}]}, {"text": 1}]}')
    with pytest.raises(DataError, match="not as in SQuAD"):
        read_questions(str(tmp_path / "x.json"), SETTINGS)
    for damaged in ('{"data": [', '{\n  "data": [\n'):
        (tmp_path / "z.json").write_text(damaged)
        with pytest.raises(DataError, match=r"z\.json is no JSON: Expecting value: line"):
            read_questions(str(tmp_path / "z.json"), SETTINGS)
    (tmp_path / "y.json").write_text('{"data": []}')
    with pytest.raises(DataError, match="holds no question"):
        read_questions(str(tmp_path / "y.json"), SETTINGS)


def test_xquad_is_read_whole(data_dir: Path) -> None:
    rows = read_questions(str(data_dir / "xquad_en" / "all.jsonl"), SETTINGS)
    assert len(rows) == 1190
    assert all(row.answers for row in rows)
