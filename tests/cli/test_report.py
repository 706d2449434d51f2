"""`petkit report`: rendering again, side by side, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from petkit.cli.app import app
from petkit.report import run_page, study
from tests.petkit.report.sample_study import sample_study

SMALL: dict[str, Any] = {"tasks": ("mood", "support & <complaints>"), "methods": ("pet", "tfidf"), "splits": 3}


@pytest.fixture(autouse=True)
def _without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (run_page, study):
        monkeypatch.setattr(module, "can_draw", lambda: False)


def petkit(*arguments: str, code: int = 0) -> Result:
    found = CliRunner().invoke(app, ["report", *arguments], env={"COLUMNS": "120"})
    assert found.exit_code == code, found.output
    return found


def deposit(folder: Path, report: dict[str, Any]) -> str:
    folder.mkdir()
    (folder / "report.json").write_text(json.dumps(report), "utf-8")
    return str(folder)


def run_report(accuracy: float, **changes: Any) -> dict[str, Any]:
    """An older run's report, without what came later."""
    scores = {"accuracy": accuracy, "macro_f1": accuracy}
    return {
        "schema": 1, "task": "mood", "labels": ["sad", "glad"], "method": "pet", "seed": 1, "model": "builtin", "device": "cpu",
        "data": {
            "rows": {"train": 4, "pool": 9, "test": 200, "train_before_draw": 4}, "removed_from_pool": 0,
            "labeled_in_pool": 0, "overlap": [], "blank_dropped": 0, "fingerprints": {"test": "3f" * 32},
        },
        "scores": {
            "members": [], "generations": [], "ensemble": None, "classifier": scores,
            "baselines": {"supervised": None, "tfidf": {"accuracy": 0.5, "macro_f1": 0.4}},
        },
        "head": None, "adaptation": None, "temperature": None, "settings": {"seed": 1}, "versions": {"petkit": "0"}, "hardware": {},
        "seconds": {"rows": 1.0}, **changes,
    }  # fmt: skip


def test_a_study_is_rendered_again(tmp_path: Path) -> None:
    folder = deposit(tmp_path / "s", sample_study(**SMALL))
    found = petkit(folder)
    for name in ("report.html", "report.md", "report.tex"):
        assert (tmp_path / "s" / name).is_file()
        assert str(tmp_path / "s" / name) in found.stdout
    assert "support & <complaints>: accuracy in %" in found.stdout
    assert "TF-IDF + logistic regression" in found.stdout


def test_into_another_folder(tmp_path: Path) -> None:
    folder = deposit(tmp_path / "s", sample_study(**SMALL))
    petkit(folder, "--out", str(tmp_path / "new" / "o"))
    assert sorted(path.name for path in (tmp_path / "new" / "o").iterdir()) == ["report.html", "report.md", "report.tex"]
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["report.json"]


@pytest.mark.wheel
def test_an_older_run_has_a_page_too(tmp_path: Path) -> None:
    found = petkit(deposit(tmp_path / "r", run_report(0.75)))
    page = (tmp_path / "r" / "report.html").read_text("utf-8")
    assert "The classifier gets 75.0 % of 200 test rows right" in page
    assert "0.750" in found.stdout


def test_json_is_one_object_and_nothing_else(tmp_path: Path) -> None:
    found = json.loads(petkit(deposit(tmp_path / "s", sample_study(**SMALL)), "--json").stdout)
    assert (found["kind"], len(found["written"])) == ("study", 3)


def test_runs_side_by_side(tmp_path: Path) -> None:
    folders = [deposit(tmp_path / name, run_report(accuracy, seed=n)) for n, (name, accuracy) in enumerate({"a": 0.75, "b": 0.7}.items())]
    shown = petkit(*folders, "--out", str(tmp_path / "o")).stdout
    assert f"Comparison of runs: accuracy in %; below, the difference to {folders[0]}\n" in shown
    assert "-5.0" in shown
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == ["comparison.html", "comparison.json", "comparison.md"]
    found = json.loads((tmp_path / "o" / "comparison.json").read_text("utf-8"))
    assert found["names"] == folders
    assert found["settings"] == {"seed": ["0", "1"]}
    (classifier, tfidf) = found["rows"]
    assert classifier["cells"][1]["difference"] == pytest.approx(-0.05)
    assert tfidf["cells"][1]["difference"] == 0


def test_studies_side_by_side_have_paired_differences(tmp_path: Path) -> None:
    folders = [deposit(tmp_path / str(seed), sample_study(**SMALL, seed=seed)) for seed in (7, 8)]
    found = json.loads(petkit(*folders, "--json").stdout)
    row = found["rows"][0]
    assert row["what"] == "mood, 4 per label: PET"
    assert row["cells"][1]["how"] == "paired"
    assert row["cells"][1]["difference"] == pytest.approx(row["cells"][1]["mean"] - row["cells"][0]["mean"])
    assert found["written"] == []
    shown = petkit(*folders, "--out", str(tmp_path / "o")).stdout
    what = f"accuracy in %, mean ± standard deviation over splits; below, the difference to {folders[0]} and its interval"
    assert what in shown
    assert what in (tmp_path / "o" / "comparison.html").read_text("utf-8")


def test_a_method_of_one_study_only_leaves_a_gap(tmp_path: Path) -> None:
    folders = [deposit(tmp_path / "a", sample_study(**SMALL)), deposit(tmp_path / "b", sample_study(**{**SMALL, "methods": ("pet",)}))]
    found = json.loads(petkit(*folders, "--json").stdout)
    assert [row["cells"][1] is None for row in found["rows"]][:2] == [False, True]


def test_what_is_refused(tmp_path: Path) -> None:
    study_folder, run = deposit(tmp_path / "s", sample_study(**SMALL)), deposit(tmp_path / "r", run_report(0.5))
    other = deposit(tmp_path / "o", run_report(0.5, labels=["a", "b"]))
    assert "is a study and" in petkit(study_folder, run, code=2).stderr
    assert "mood: labels differ: sad, glad" in petkit(run, other, code=2).stderr
    assert "is given twice" in petkit(run, run, code=2).stderr
    assert "no report.json there" in petkit(str(tmp_path), code=2).stderr
    newer = deposit(tmp_path / "n", {**run_report(0.5), "schema": 2})
    assert "this petkit reads schema 1" in petkit(newer, code=2).stderr
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "report.json").write_text("{", "utf-8")
    assert "is damaged" in petkit(str(tmp_path / "d"), code=2).stderr
    assert not list(tmp_path.glob("*/*.html"))


def test_studies_are_merged_into_a_new_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from petkit.evaluation import merging

    calls: list[Any] = []
    monkeypatch.setattr(merging, "merge_studies", lambda folders, out: calls.append((folders, out)) or sample_study(**SMALL))
    found = petkit("a", "b", "--merge", "--out", str(tmp_path / "both"))
    assert calls == [([Path("a"), Path("b")], tmp_path / "both")]
    assert str(tmp_path / "both" / "report.html") in found.stdout
    assert "--merge needs --out" in petkit("a", "b", "--merge", code=2).stderr


def test_a_fine_tuning_run_is_told_to_have_no_page(tmp_path: Path) -> None:
    assert (
        "is a fine-tuning run, which has no page" in petkit(deposit(tmp_path / "plain", {"schema": 1, "kind": "finetuning"}), code=2).stderr
    )
