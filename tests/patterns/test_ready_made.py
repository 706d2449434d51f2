"""Every ready-made task: it loads, cites, pickles, fills, and has the labels of the public files."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from petkit.loading import load_task, ready_made
from petkit.pvp import MASK, Text

NAMES = list(ready_made())

PVPS = {
    "ag_news": 5,
    "ag_news_pair": 6,
    "boolq": 6,
    "cb": 5,
    "mnli": 4,
    "rte": 5,
    "wic": 3,
    "xstance_de": 2,
    "xstance_fr": 2,
    "yahoo_answers": 5,
    "yahoo_answers_pair": 6,
    "yelp": 4,
    "yelp_polarity": 4,
}
"""PVPs of the PET papers' tasks. One field instead of two makes two of the six topic patterns the same."""

FILES = {
    "ag_news": "ag_news/test.jsonl",
    "boolq": "boolq/test.jsonl",
    "cr": "cr/test.jsonl",
    "eprstmt": "fewclue_eprstmt/test.jsonl",
    "mnli": "mnli_1k/test.jsonl",
    "mr": "mr/test.jsonl",
    "mrpc": "mrpc/dev.jsonl",
    "rte": "rte/test.jsonl",
    "sms_spam": "sms_spam/all.jsonl",
    "sst2": "sst2/dev.jsonl",
    "tnews": "fewclue_tnews/test.jsonl",
    "trec": "trec/test.jsonl",
    "wic": "wic/test.jsonl",
    "yahoo_answers": "yahoo_answers_titles/train.jsonl",
    "yelp": "yelp_stars/train.jsonl",
}


def test_the_promised_tasks_are_there() -> None:
    papers = "ag_news yelp yelp_polarity yahoo_answers mnli rte cb boolq wic xstance_de xstance_fr"
    others = "mrpc sst2 mr cr trec subj sms_spam eprstmt tnews"
    assert {*papers.split(), *others.split()} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_loads_cites_describes_and_pickles(name: str) -> None:
    task = load_task(name)
    assert (task.name, task.origin) == (name, name)
    assert "arXiv" in task.source or "ours" in task.source
    assert task.description.endswith((".", "?"))
    assert task.language in {"en", "de", "fr", "zh"}
    assert pickle.loads(pickle.dumps(task)) == task


@pytest.mark.parametrize("name", NAMES)
def test_patterns_are_distinct_and_fill_with_every_field(name: str) -> None:
    task = load_task(name)
    row = {field: f"<{field}>" for field in task.fields}
    filled = [pvp.pattern.parts(row) for pvp in task.pvps]
    assert [sum(part is MASK for part in parts) for parts in filled] == [1] * len(filled)
    assert all({part.text for part in parts if isinstance(part, Text)} == set(row.values()) for parts in filled)
    assert len({(parts, str(pvp.verbalizer.mapping)) for parts, pvp in zip(filled, task.pvps, strict=True)}) == len(filled)


@pytest.mark.parametrize("name", NAMES)
def test_the_classifier_sees_every_field(name: str) -> None:
    task = load_task(name)
    seen = " ".join(task.classifier_texts({field: f"<{field}>" for field in task.fields}))
    assert [field for field in task.fields if f"<{field}>" not in seen] == []


@pytest.mark.parametrize(("name", "count"), PVPS.items())
def test_the_papers_tasks_have_the_papers_pvps(name: str, count: int) -> None:
    assert len(load_task(name).pvps) == count


@pytest.mark.parametrize(("name", "file"), FILES.items())
def test_fields_and_labels_are_those_of_the_public_files(name: str, file: str, data_dir: Path) -> None:
    path = data_dir / file
    if not path.is_file():
        pytest.skip(f"no {path}")
    task, rows = load_task(name), [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert {row[task.label_column] for row in rows} == set(task.labels)
    assert [field for field in task.fields if not all(isinstance(row[field], str) for row in rows)] == []
