"""What a finished run has lost, by the run's method and by the record of the unit that made its classifier."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from petkit.results import result_problems
from tests.tiny_runs import write

FILES = {"petkit.json": "{}", "config.json": "{}", "README.md": "card"}
ONCE = [{"generation": 0, "seed": 0}]
UNTRAINED = [{"generation": 0, "seed": None}]


def finished(root: Path, *, members: list[dict[str, Any]] | None = None, stage: str = "classifier", **settings: Any) -> Path:
    """A finished run whose results are whole."""
    report = {"settings": {"method": "pet", **settings}, "scores": {"members": ONCE if members is None else members}}
    write(root / "run.json", {})
    write(root / "report.json", report)
    write(root / "ensemble.json", {})
    (root / "classifier").mkdir()
    for name, text in FILES.items():
        (root / "classifier" / name).write_text(text)
    sizes = {**{f"model/{name}": len(text) for name, text in FILES.items()}, "test.parquet": 7}
    record = {"key": "k", "spec": {}, "record": {}, "outputs": {}, "sizes": sizes, "seconds": 1.0, "finished": "", "measured": {}}
    write(root / "stages" / stage / "record.json", record)
    return root


def without_ensemble(root: Path) -> None:
    (root / "ensemble.json").unlink()


def without_classifier(root: Path) -> None:
    shutil.rmtree(root / "classifier")


def cut_off(root: Path) -> None:
    (root / "classifier" / "config.json").write_text("{")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (without_classifier, r"classifier is missing or damaged \(no classifier/petkit.json\)"),
        (lambda root: (root / "classifier" / "config.json").unlink(), r"no classifier/config.json"),
        (cut_off, r"classifier/config.json has 1 bytes instead of 2"),
        (without_ensemble, r"ensemble is missing or damaged \(no ensemble.json\)"),
        (lambda root: (root / "ensemble.json").write_text("{"), r"ensemble.json is damaged"),
    ],
)
def test_what_is_lost_is_named_with_the_remedy(harm: Callable[[Path], object], said: str, tmp_path: Path) -> None:
    root = finished(tmp_path)
    assert result_problems(root) == []
    harm(root)
    (problem,) = result_problems(root)
    assert problem.endswith("; the petkit train command that made the run restores it")
    assert re.search(said, problem)


def test_a_card_that_was_completed_is_no_damage(tmp_path: Path) -> None:
    root = finished(tmp_path)
    (root / "classifier" / "README.md").write_text("card, completed")
    assert result_problems(root) == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"method": "tfidf", "members": []}, []),
        ({"method": "supervised", "members": [], "stage": "baseline-supervised"}, ["classifier"]),
        ({"keep_members": "none"}, ["classifier"]),
        ({"method": "zero-shot", "members": UNTRAINED}, ["classifier"]),
        ({"members": UNTRAINED}, ["classifier"]),
        ({"method": "ipet", "members": [*UNTRAINED, {"generation": 1, "seed": 0}]}, ["classifier", "ensemble"]),
    ],
)
def test_the_method_decides_what_there_ought_to_be(given: dict[str, Any], expected: list[str], tmp_path: Path) -> None:
    root = finished(tmp_path, **given)
    without_ensemble(root)
    without_classifier(root)
    assert [line.split()[1] for line in result_problems(root)] == expected


def test_other_folders_have_nothing_to_lose(tmp_path: Path) -> None:
    write(tmp_path / "report.json", {"settings": {"method": "pet"}})
    assert result_problems(tmp_path) == []
