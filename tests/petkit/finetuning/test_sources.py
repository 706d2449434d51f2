"""What all readers of rows share: files in other encodings, and quotes that mean nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from petkit.errors import DataError
from petkit.finetuning.kinds import kind_of
from petkit.finetuning.settings import FinetuneSettings

ANSWERED = {"context": "Der Bär schläft.", "question": "Wer?", "answers": [{"text": "Der Bär", "answer_start": 0}]}
SQUAD = {"data": [{"paragraphs": [{"context": ANSWERED["context"], "qas": [{"id": "1", **ANSWERED}]}]}]}


@pytest.mark.parametrize(
    ("kind", "name", "text", "given"),
    [
        ("classify", "rows.csv", "text,label\nDer Bär schläft.,gut\n", {}),
        ("tag", "rows.conll", "Der O\nBär O\n", {}),
        ("tag", "rows.jsonl", json.dumps({"tokens": ["Der", "Bär"], "tags": ["O", "O"]}, ensure_ascii=False), {}),
        ("answer", "squad.json", json.dumps(SQUAD, ensure_ascii=False), {}),
        ("answer", "rows.jsonl", json.dumps(ANSWERED, ensure_ascii=False), {}),
        ("generate", "rows.csv", "text,label\nDer Bär schläft.,gut\n", {}),
        ("generate", "rows.jsonl", json.dumps(ANSWERED, ensure_ascii=False), {"target": "answer"}),
    ],
)
def test_every_kind_reads_files_in_the_encoding_that_is_named(
    kind: str, name: str, text: str, given: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text, encoding="cp1252")
    read, settings = kind_of(kind).read, FinetuneSettings(**given).resolved(kind)
    with pytest.raises(DataError, match="--encoding cp1252"):
        read(str(tmp_path / name), settings)
    (row,) = read(str(tmp_path / name), settings, encoding="cp1252")
    assert "Bär" in " ".join(row.content)


@pytest.mark.parametrize("kind", ["classify", "generate"])
def test_quotes_may_mean_nothing(kind: str, tmp_path: Path) -> None:
    (tmp_path / "rows.tsv").write_text('text\tlabel\n"Open\tgut\n')
    read, settings = kind_of(kind).read, FinetuneSettings().resolved(kind)
    with pytest.raises(DataError, match="--no-quotes"):
        read(str(tmp_path / "rows.tsv"), settings)
    (row,) = read(str(tmp_path / "rows.tsv"), settings, quotes=False)
    assert row.content[0].endswith('"Open')
