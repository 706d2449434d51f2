"""Questions from SQuAD's JSON, or from rows with a context, a question and answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from petkit.data.problems import Problems, Record
from petkit.data.readers import source_stem
from petkit.data.text import ENCODING, byte_blocks, text_lines
from petkit.errors import DataError
from petkit.finetuning.rows import Question
from petkit.finetuning.settings import FinetuneSettings
from petkit.finetuning.sources import complete_records, text_value

__all__ = ["read_questions"]

_SHAPE = 'answers must be a list of {"text": ..., "answer_start": N}, or {"text": [...], "answer_start": [...]}'


def read_questions(source: str, settings: FinetuneSettings, *, encoding: str = ENCODING, quotes: bool = True) -> list[Question]:
    """Questions of a SQuAD file (``.json`` with ``data``), or of any source with ``context``, ``question`` and, where known, ``answers``.

    Raises DataError that names every problem: a column that is missing, an answer that is not at its offset, ids that are there twice,
    and questions without an answer unless ``settings.no_answer``.
    """
    problems, stem = Problems(source), source_stem(source)
    records = _squad_records(source, problems, encoding)
    if records is None:
        found = complete_records(source, {"context": None, "question": None}, problems, encoding=encoding, quotes=quotes)
        records = ((record.where, f"{stem}:{record.row}", record) for record in found)
    rows = [_question(where, name, record, problems) for where, name, record in records]
    if not settings.no_answer:
        for row in rows:
            if row.answers is not None and not row.answers:
                problems.add("questions without an answer need --no-answer", row.id)
    _note_twice(rows, problems)
    problems.stop()
    return rows


def _squad_records(source: str, problems: Problems, encoding: str) -> Iterator[tuple[str, str, Record]] | None:
    """The questions of a file in SQuAD's own form; None if it is of another."""
    if Path(source).suffix.lower() != ".json" or not Path(source).is_file():
        return None
    text = "".join(text_lines(byte_blocks(source), source=source, encoding=encoding))
    if not text.lstrip().startswith("{"):
        return None
    try:
        values = json.loads(text)
    except ValueError as error:
        if _is_json(text.partition("\n")[0]):
            return None  # one object per line
        raise DataError(f"{source} is no JSON: {error}") from error
    if not isinstance(values.get("data"), list):
        return None
    return _flat(values["data"], problems)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _flat(articles: Sequence[Any], problems: Problems) -> Iterator[tuple[str, str, Record]]:
    """Articles hold paragraphs, paragraphs a context and questions. One without ``answers`` is not labelled, unless it is impossible."""
    count = 0
    try:
        for article in articles:
            for paragraph in article["paragraphs"]:
                for asked in paragraph["qas"]:
                    count += 1
                    none: list[Any] | None = [] if asked.get("is_impossible") else None  # unless there are some
                    values: dict[str, Any] = {"context": paragraph["context"], "answers": none, **asked}
                    yield f"question {asked.get('id', count)!r}", str(count), Record(count, values)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{problems.source}: after {count} questions, not as in SQuAD (data, paragraphs, qas): {error!r}") from error
    if not count:
        problems.add_line("holds no question")


def _question(where: str, name: str, record: Record, problems: Problems) -> Question:
    context, question = (
        text_value(record, column, problems) if column in record.values else _absent(column, where, problems)
        for column in ("context", "question")
    )
    answers, starts = _answers(record.values.get("answers"), where, problems)
    for answer, start in zip(answers or (), starts, strict=True):
        if context[start : start + len(answer)] != answer or start < 0:
            found = context[max(0, start) : max(0, start) + len(answer)]
            problems.add("answers are not at their offset", f"{where}: {answer!r} at {start}, where {found!r} stands")
    return Question(str(record.values.get("id", name)), context, question, answers, starts)


def _absent(column: str, where: str, problems: Problems) -> str:
    problems.add(f"no {column}", where)
    return "?"


def _answers(value: Any, where: str, problems: Problems) -> tuple[list[str] | None, list[int]]:
    """Texts and starts of a row's answers, however they are held."""
    if value is None:
        return None, []
    try:
        if isinstance(value, Mapping):
            pairs = list(zip(value["text"], value["answer_start"], strict=True))
        else:
            pairs = [(one["text"], one["answer_start"]) for one in value]
    except (KeyError, TypeError, ValueError):
        problems.add(_SHAPE, where)
        return None, []
    if not all(isinstance(text, str) and text and isinstance(start, int) for text, start in pairs):
        problems.add(_SHAPE, where)
        return None, []
    return [text for text, _ in pairs], [start for _, start in pairs]


def _note_twice(rows: Sequence[Question], problems: Problems) -> None:
    seen: set[str] = set()
    for row in rows:
        if row.id in seen:
            problems.add("ids must be unique", repr(row.id))
        seen.add(row.id)
