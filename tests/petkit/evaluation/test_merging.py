"""Several studies as one: what a single command would have said, and what does not fit together."""

from __future__ import annotations

import copy
import json
import shutil
import zlib
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from petkit.errors import RunError
from petkit.evaluation import merging
from petkit.evaluation.grid import split_tag, task_tag
from petkit.evaluation.merging import merge_studies, merged
from petkit.evaluation.summary import conclude
from petkit.files import write_parquet
from petkit.report import study as study_pages
from tests.petkit.report.sample_study import sample_study

PARTS: dict[str, tuple[Callable[[dict[str, Any]], bool], Callable[[dict[str, Any]], bool]]] = {
    "tasks": (lambda row: row["task"] == "mood", lambda row: row["task"] != "mood"),
    "methods": (lambda row: row["method"] == "pet", lambda row: row["method"] != "pet"),
    "shots": (lambda row: row["shots"] == 4, lambda row: row["shots"] == 16),
    "splits": (lambda row: row["split"] < 2, lambda row: row["split"] >= 2),
}


def whole() -> dict[str, Any]:
    """A study of two tasks, four methods."""
    return sample_study(tasks=("mood", "ag_news"), methods=("pet", "ipet", "supervised", "tfidf"))


def part(report: dict[str, Any], keep: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The study that would have made these cells only; what is concluded from them does not matter."""
    found = copy.deepcopy(report)
    found["cells"] = [cell for cell in found["cells"] if keep(cell)]
    found["measured"]["cells"] = [cell for cell in found["measured"]["cells"] if keep(cell)]
    for name, key in (("tasks", "task"), ("shots", "shots"), ("seeds", "seed"), ("methods", "method")):
        found["study"][name] = list(dict.fromkeys(cell[key] for cell in found["cells"]))
    found["study"]["splits"] = len({cell["split"] for cell in found["cells"]})
    splits = {(cell["task"], cell["shots"], cell["split"]) for cell in found["cells"]}
    found["tasks"] = [task for task in found["tasks"] if task["name"] in found["study"]["tasks"]]
    for task in found["tasks"]:
        task["splits"] = [one for one in task["splits"] if (task["name"], one["shots"], one["split"]) in splits]
    found["errors"] = [error for error in found["errors"] if error["task"] in found["study"]["tasks"]]
    return found


def right(name: str, cell: dict[str, Any]) -> Any:
    """Rows that a cell has right, as many as it says, made up: the same wherever the cell comes from."""
    key = zlib.crc32(repr([cell[part] for part in ("task", "shots", "split", "method")]).encode())
    return np.random.default_rng(key).permutation(cell["test"]["rows"]) < round(cell["test"]["accuracy"] * cell["test"]["rows"])


def test_merged_studies_know_how_alike_their_splits_are() -> None:
    one = whole()
    for task in one["tasks"]:
        for split in task["splits"]:
            split["shared"] = 0.75 if split["split"] and (task["name"], split["shots"]) == ("mood", 16) else 0.1 if split["split"] else None
    parts = {name: part(one, keep) for name, keep in zip("ab", PARTS["methods"], strict=True)}
    report = merged(parts, right)
    assert {(c["task"], c["shots"]) for c in report["comparisons"] if c["verdict"] == "splits too alike"} == {("mood", 16), (None, 16)}
    assert report["power"]["alike_splits"] == [{"task": "mood", "shots": 16}]


def same_conclusions(report: dict[str, Any], one: dict[str, Any]) -> bool:
    """What is said of the cells, in whatever order."""
    expected = conclude(
        one["cells"],
        {tuple(cell[k] for k in ("task", "shots", "split", "seed", "method")): right("", cell) for cell in one["cells"]},
        methods=one["study"]["methods"],
        tasks=one["tasks"],
        seed=42,
    )
    ordered = json.loads(json.dumps(expected))
    return all(report[name] == ordered[name] for name in ("summary", "comparisons", "power"))


@pytest.mark.parametrize("how", PARTS)
def test_merged_parts_say_what_the_whole_says(how: str) -> None:
    one = whole()
    found = merged({name: part(one, keep) for name, keep in zip("ab", PARTS[how], strict=True)}, right)
    assert same_conclusions(found, one)
    assert found["cells"] == one["cells"]
    assert found["measured"]["cells"] == one["measured"]["cells"]
    assert found["tasks"] == one["tasks"]
    assert {key: found["study"][key] for key in ("tasks", "shots", "seeds", "methods", "splits")} == {
        key: one["study"][key] for key in ("tasks", "shots", "seeds", "methods", "splits")
    }
    assert found["study"]["merged_from"] == ["a", "b"]
    schema = json.loads(resources.files("petkit.report").joinpath("schema", "study.schema.json").read_text("utf-8"))
    jsonschema.validate(found, schema)


def test_a_cell_that_both_have_counts_once_if_it_is_the_same() -> None:
    one = whole()
    found = merged({"a": one, "b": part(one, PARTS["tasks"][0])}, right)
    assert same_conclusions(found, one)
    other = part(one, PARTS["tasks"][0])
    other["cells"][0]["test"]["accuracy"] += 0.1
    with pytest.raises(RunError, match="mood, 4 per label, split 0, seed 0, pet: a and b have other results for the same cell"):
        merged({"a": one, "b": other}, right)


def change(report: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    *parents, last = path.split("/")
    place: Any = report
    for name in parents:
        place = place[int(name) if name.isdigit() else name]
    place[last] = value
    return report


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("study/model", "other", "model is builtin in a and other in b"),
        ("study/settings/member/steps", 9, "settings.member.steps is 250 in a and 9 in b"),
        ("study/primary/metric", "mcc", "primary.metric is accuracy in a and mcc in b"),
        ("tasks/0/splits/0/hash", "0", "split 'draw 0' has other rows in a than in b"),
        ("tasks/0/data/test/fingerprint", "0", "mood: test rows differ between a and b"),
        ("tasks/0/labels", ["yes", "no"], "mood: labels differ between a and b"),
        (
            "tasks/0/label_words/2/positive",
            ["bad"],
            "mood: label words differ between a and b; make both studies with the same task, or give",
        ),
        ("tasks/0/specification", "0", "mood: inputs of the classifier or the file of the pattern functions differ between a and b; make"),
        ("kind", "run", "b is a run, not a study"),
    ],
)
def test_what_does_not_fit_together_is_named(path: str, value: Any, message: str) -> None:
    with pytest.raises(RunError, match="these studies cannot be merged") as caught:
        merged({"a": whole(), "b": change(part(whole(), PARTS["tasks"][0]), path, value)}, right)
    assert message in str(caught.value)


POOL = "tasks/0/data/pool/fingerprint"


def unadapted(**changes: Any) -> dict[str, Any]:
    found = sample_study(**{"tasks": ("mood",), "shots": (4,), "methods": ("pet", "supervised", "tfidf", "majority"), **changes})
    return change(found, "study/adapt_steps", None)


def of(report: dict[str, Any], *methods: str) -> dict[str, Any]:
    return part(report, lambda row: row["method"] in methods)


def test_another_pool_is_refused_where_results_on_both_sides_depend_on_it() -> None:
    with pytest.raises(RunError) as caught:
        merged({"a": of(unadapted(), "pet", "majority"), "b": change(of(unadapted(), "tfidf", "supervised"), POOL, "0")}, right)
    assert caught.value.problems == (
        "mood: raw rows (the pool) differ between a and b, and results depend on them (in a pet; in b tfidf); make one of the two again "
        "with the raw rows of the other (--unlabeled)",
    )


def test_a_pool_on_which_no_result_depends_may_be_another() -> None:
    other = change(of(unadapted(), "supervised", "majority"), POOL, "0")
    found = merged({"x/b": other, "x/a": of(unadapted(), "pet", "tfidf")}, right)
    assert found["tasks"] == unadapted()["tasks"], "the raw rows shown are those that results depend on"
    assert "mood: the raw rows shown are those of a; b had others, on which none of their results depends." in found["warnings"]


def test_a_checkpoint_adapted_to_another_pool_is_refused() -> None:
    one, other = (change(of(unadapted(), method), "study/adapt_steps", 9) for method in ("supervised", "pet"))
    with pytest.raises(RunError, match=r"\(in a supervised; in b pet\)"):
        merged({"a": change(one, POOL, "0"), "b": other}, right)
    assert merged({"a": change(change(of(unadapted(), "majority"), "study/adapt_steps", 9), POOL, "0"), "b": other}, right)


def older(report: dict[str, Any]) -> dict[str, Any]:
    """As a version made it that did not say what tasks ask."""
    for task in report["tasks"]:
        del task["label_words"], task["specification"]
    return report


def test_an_older_study_says_no_words_and_the_merged_one_none_either() -> None:
    parts = {"x/old": older(of(unadapted(), "pet")), "x/b": of(unadapted(), "supervised"), "x/c": of(unadapted(), "tfidf")}
    found = merged(parts, right)
    assert found["tasks"] == older(unadapted())["tasks"]
    assert "mood: whether the label words are the same was not compared: old, of an older version, lacks them." in found["warnings"]
    change(parts["x/c"], "tasks/0/label_words/0/positive", ["bad"])
    with pytest.raises(RunError, match="mood: label words differ between x/b and x/c"):
        merged(parts, right)


def test_a_split_of_which_an_older_study_says_less_is_one_split() -> None:
    one = unadapted()
    for number, split in enumerate(one["tasks"][0]["splits"]):
        split["shared"] = 0.1 if number else None
    old = of(one, "pet")
    for split in old["tasks"][0]["splits"]:
        del split["shared"]
    assert (
        merged({"old": old, "b": of(one, "tfidf")}, right)["tasks"]
        == merged({"b": of(one, "tfidf"), "old": old}, right)["tasks"]
        == one["tasks"]
    )


def test_other_rows_to_draw_from_are_remarked() -> None:
    other = change(of(unadapted(), "tfidf"), "tasks/0/data/train/fingerprint", "0")
    found = merged({"a": of(unadapted(), "pet"), "b": other}, right)
    assert "mood: the rows to draw from that are shown are those of a; b drew from others." in found["warnings"]


def test_studies_of_the_same_tasks_need_no_remark() -> None:
    one = unadapted()
    assert merged({"a": of(one, "pet"), "b": of(one, "supervised", "tfidf")}, right)["warnings"] == one["warnings"]


def test_a_method_with_fewer_splits_than_others_is_refused() -> None:
    one = whole()
    few = part(one, lambda row: row["method"] == "tfidf" and row["split"] < 3)
    others = part(one, lambda row: row["method"] != "tfidf")
    with pytest.raises(RunError, match="mood, 4 per label: tfidf lacks splits or seeds"):
        merged({"a": others, "b": few}, right)


def test_other_numbers_of_test_rows_and_versions_are_remarked() -> None:
    one, other = part(whole(), PARTS["tasks"][0]), part(whole(), PARTS["tasks"][1])
    one["study"]["test_limit"], other["versions"]["torch"] = 500, "9"
    one["study"]["allow_overlap"], other["study"]["allow_overlap"] = False, True  # a task's own warning says how many rows
    found = merged({"x/one": one, "x/other": other}, right)
    assert "The studies differ in test_limit: one: 500, other: None." in found["warnings"]
    assert "The studies were made with different versions (versions); those shown are of one." in found["warnings"]
    assert found["study"]["test_limit"] is None
    assert found["study"]["allow_overlap"] is True


def test_a_setting_that_came_with_a_later_version_is_remarked() -> None:
    one, other = part(whole(), PARTS["tasks"][0]), part(whole(), PARTS["tasks"][1])
    other["study"]["settings"]["member"]["strategy"] = "full"
    assert (
        "Some of the studies, of another version, do not know settings.member.strategy."
        in merged({"a": one, "b": other}, right)["warnings"]
    )


def deposit(folder: Path, report: dict[str, Any]) -> Path:
    """A study's folder as far as merging reads it, files of predictions named as a study names them."""
    (folder / "predictions").mkdir(parents=True)
    for cell in report["cells"]:
        task = task_tag(report["study"]["tasks"].index(cell["task"]), cell["task"])
        cell["predictions"] = f"predictions/{task}.{split_tag(cell['shots'], cell['split'])}.s{cell['seed']}.{cell['method']}.parquet"
        good = right("", cell)
        write_parquet(folder / cell["predictions"], {"truth": ["a"] * len(good), "predicted": ["a" if ok else "b" for ok in good]})
    (folder / "report.json").write_text(json.dumps(report), "utf-8")
    return folder


def test_the_merged_folder_is_a_study_that_merges_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_pages, "can_draw", lambda: False)
    one = sample_study(tasks=("mood",), methods=("pet", "tfidf", "supervised"), shots=(4,))
    a, b, c = (
        deposit(tmp_path / method, part(one, lambda row, method=method: row["method"] == method))  # type: ignore[misc]
        for method in one["study"]["methods"]
    )
    merge_studies([a, b], tmp_path / "ab")
    report = merge_studies([tmp_path / "ab", c], tmp_path / "abc")
    assert {path.name for path in (tmp_path / "abc").iterdir()} >= {
        "report.json",
        "report.html",
        "report.md",
        "report.tex",
        "cells.parquet",
    }
    assert same_conclusions(report, one)
    assert all((tmp_path / "abc" / cell["predictions"]).is_file() for cell in report["cells"])
    with pytest.raises(RunError, match="is not empty"):
        merge_studies([a, b], tmp_path / "ab")


def renamed(report: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """The study with other names of tasks."""
    text = json.dumps(report, ensure_ascii=False)
    for old, new in names.items():
        text = text.replace(json.dumps(old), json.dumps(new, ensure_ascii=False))
    return dict(json.loads(text))


@pytest.mark.parametrize("names", [("情感", "新闻"), ("a b", "a-b"), ("x" * 30 + "1", "x" * 30 + "2")])
def test_tasks_whose_names_are_alike_keep_their_predictions(
    names: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "write_study_report", lambda report, out: [])
    small = sample_study(tasks=("mood", "ag_news"), methods=("pet", "tfidf", "supervised"), shots=(4,), splits=2)
    one = renamed(small, dict(zip(("mood", "ag_news"), names, strict=True)))
    first = {name: part(one, lambda row, name=name: row["task"] == name and row["method"] != "supervised") for name in names}  # type: ignore[misc]
    a, b = (deposit(tmp_path / f"z{number}", report) for number, report in enumerate(first.values()))
    c = deposit(tmp_path / "c", part(one, lambda row: row["method"] == "supervised"))
    both = merge_studies([a, b], tmp_path / "ab")
    assert len({cell["predictions"] for cell in both["cells"]}) == len(both["cells"]) == 8
    assert json.loads((tmp_path / "ab" / "report.json").read_bytes()) == both
    assert same_conclusions(merge_studies([tmp_path / "ab", c], tmp_path / "abc"), one)


def test_predictions_of_another_cell_are_refused(tmp_path: Path) -> None:
    one = sample_study(tasks=("mood",), methods=("pet", "tfidf"), shots=(4,), splits=2)
    a, b = (
        deposit(tmp_path / method, part(one, lambda row, method=method: row["method"] == method))  # type: ignore[misc]
        for method in one["study"]["methods"]
    )
    shutil.copyfile(a / "predictions" / "t0-mood.k4.n0.s0.pet.parquet", b / "predictions" / "t0-mood.k4.n1.s0.tfidf.parquet")
    with pytest.raises(RunError, match=r"n1.s0.tfidf.parquet has \d+ of 200 rows right, and report.json says .*: they are of another cell"):
        merge_studies([a, b], tmp_path / "ab")


def test_what_cannot_be_merged_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = sample_study(tasks=("mood",), methods=("pet", "tfidf"), shots=(4,))
    a, b = (
        deposit(tmp_path / method, part(one, lambda row, method=method: row["method"] == method))  # type: ignore[misc]
        for method in one["study"]["methods"]
    )
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="file is no folder"):
        merge_studies([a, b], tmp_path / "file")

    def killed(report: Any, out: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(merging, "write_study_report", killed)
    with pytest.raises(KeyboardInterrupt):
        merge_studies([a, b], tmp_path / "new" / "ab")
    assert list((tmp_path / "new").iterdir()) == []
    shutil.rmtree(b / "predictions")
    with pytest.raises(RunError, match=r"tfidf.parquet cannot be read; a study is merged with all of its folder predictions"):
        merge_studies([a, b], tmp_path / "other")
    assert not (tmp_path / "other").exists()
