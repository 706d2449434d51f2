"""Which reports are read, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from petkit.cli.evaluate import read_earlier
from petkit.errors import RunError
from petkit.evaluation.merging import merge_studies
from petkit.report.beside import compared, read_report
from tests.petkit.report.sample_study import sample_study


def deposit(folder: Path, report: dict[str, Any]) -> Path:
    folder.mkdir()
    (folder / "report.json").write_text(json.dumps(report), "utf-8")
    return folder


@pytest.mark.parametrize(("kind", "lacking"), [("study", "petkit, study, tasks, cells, summary"), ("run", "task, labels, method, seed")])
def test_a_report_that_lacks_keys_is_refused_wherever_it_is_read(kind: str, lacking: str, tmp_path: Path) -> None:
    whole = deposit(tmp_path / "whole", sample_study(tasks=("mood",), shots=(4,), splits=2))
    part = deposit(tmp_path / "part", {"schema": 1, "kind": kind})
    with pytest.raises(RunError, match=f"report.json lacks {lacking}.*; give the folder of a finished run or study"):
        read_report(part)
    with pytest.raises(RunError, match="json lacks"):
        compared([whole, part])
    with pytest.raises(RunError, match="json lacks"):
        merge_studies([whole, part], tmp_path / "merged")
    with pytest.raises(RunError, match="json lacks" if kind == "study" else "--against .*: its report is not one of petkit evaluate"):
        read_earlier(part)


def test_whole_reports_are_read(tmp_path: Path) -> None:
    report = sample_study(tasks=("mood",), shots=(4,), splits=2)
    assert read_report(deposit(tmp_path / "study", report)) == report
    assert read_report(Path(__file__).parents[3] / "docs" / "studies" / "six_sets")["kind"] == "study"


def test_what_differs_names_raw_rows_and_questions_task_by_task(tmp_path: Path) -> None:
    one = sample_study(tasks=("mood", "ag_news"), shots=(4,), splits=2)
    other, old = (sample_study(tasks=("mood",), shots=(4,), splits=2) for _ in range(2))
    (task,) = other["tasks"]
    task["data"]["pool"]["fingerprint"], task["specification"] = "0" * 64, "1" * 64
    task["label_words"] = [{"negative": ["schlecht"], "positive": ["schön"]}] * 3
    del old["tasks"][0]["label_words"], old["tasks"][0]["specification"]
    folders = [deposit(tmp_path / name, report) for name, report in (("one", one), ("other", other), ("old", old))]
    found = {name: values for name, values in compared(folders)["settings"].items() if name.startswith("tasks.")}
    pool = one["tasks"][0]["data"]["pool"]["fingerprint"]
    assert found == {
        "tasks.mood.label_words": [
            '{"negative": ["word0"], "positive": ["word1"]}',
            '{"negative": ["schlecht"], "positive": ["schön"]}',
            None,
        ],
        "tasks.mood.specification": [one["tasks"][0]["specification"], "1" * 64, None],
        "tasks.mood.hashes.pool": [pool, "0" * 64, pool],
    }
    assert not any("label_words" in name for name in compared([folders[0], folders[2]])["settings"]), "what is not known does not differ"
