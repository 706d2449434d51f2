"""Development rows: scored for every kind, the null threshold fitted on them and used, kept apart from the others, resumed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig

from petkit import files
from petkit.errors import DataError, RunError
from petkit.finetuning import FinetuneResult, FinetuneSettings, finetune
from petkit.finetuning.exactmatch import answer_scores
from petkit.finetuning.run import _units
from petkit.runs import read_status
from tests.petkit.finetuning.test_threshold import f1_at, tried
from tests.petkit.finetuning.tiny import TEXTS, conll, encoder, jsonl, writer

OPEN = FinetuneSettings(steps=6, batch=4, learning_rate=2e-3, max_length=64, stride=8, no_answer=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(encoder("bert", tmp_path_factory.mktemp("model") / "m"))


def questions(name: str, sorts: Sequence[bool]) -> list[dict[str, Any]]:
    """Questions about the texts, each with an answer or without."""
    found = []
    for number, has in enumerate(sorts):
        context = TEXTS[number % len(TEXTS)]
        word = context.split()[-1]
        answers = [{"text": word, "answer_start": context.index(word)}] if has else []
        found.append({"id": f"{name}{number}", "context": context, "question": f"what of {name} {number}?", "answers": answers})
    return found


@pytest.fixture
def rows(tmp_path: Path) -> dict[str, str]:
    sorts = {"train": [True, False] * 4, "development": [True, False, False, True, True, False] * 2, "test": [False, True] * 3}
    return {name: jsonl(tmp_path / f"{name}.jsonl", questions(name, has)) for name, has in sorts.items()}


def documented(kind: str) -> set[str]:
    """The keys of a prediction that docs/finetune.md lists."""
    page = Path(__file__).resolve().parents[3] / "docs" / "finetune.md"
    if not page.is_file():
        pytest.skip("this test reads the checkout")
    row = re.search(rf"^\| `{kind}` \| (`id`.*) \|$", page.read_text("utf-8"), re.MULTILINE)
    assert row is not None
    return set(re.findall(r"`(\w+)`", row[1]))


def answer(folder: Path, model: str, rows: dict[str, str], settings: FinetuneSettings = OPEN, **options: Any) -> FinetuneResult:
    return finetune("answer", model=model, **rows, out=folder, settings=settings, **options)


def lines(path: Path | None) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (path or Path()).read_text("utf-8").splitlines()]


def test_the_fitted_threshold_is_the_best_one_and_decides_the_test(tmp_path: Path, model: str, rows: dict[str, str]) -> None:
    told: list[str] = []
    for seed in range(10):  # the tokenizer hangs on the libraries that are installed, and with one seed 0 may be the best
        told.clear()
        found = answer(tmp_path / f"run{seed}", model, rows, replace(OPEN, seed=seed), on_notice=told.append)
        if found.report["null_threshold"]["value"]:
            break
    fitted, developed = found.report["null_threshold"], lines(found.development_predictions)
    golds = [one["answers"] for one in developed]
    assert (fitted["fitted"], fitted["questions"], fitted["answerable"]) == (True, 12, 6)
    assert fitted["value"] != 0, "else nothing below is shown"
    assert fitted["before"]["f1"] == f1_at(0.0, developed, golds) < fitted["after"]["f1"]
    assert fitted["after"]["f1"] == max(f1_at(threshold, developed, golds) for threshold in tried(developed))
    scores = answer_scores([one["answer"] for one in developed], golds)
    assert found.report["development"] == pytest.approx(scores)
    assert fitted["after"] == {name: scores[name] for name in ("exact_match", "f1")}
    assert [one.startswith("null threshold ") for one in told] == [True]
    assert found.report["notices"] == told
    for one in (*developed, *lines(found.predictions)):
        assert (one["answer"] == "") == (one["null_difference"] > fitted["value"])
    given = answer(tmp_path / "given", model, rows, replace(OPEN, seed=seed, null_threshold=fitted["value"]))
    assert lines(given.predictions) == lines(found.predictions)
    assert given.report["test"] == found.report["test"]
    assert given.report["development"] == found.report["development"]


def test_the_model_holds_the_threshold_and_one_that_is_trained_on_from_it_does_not(
    tmp_path: Path, model: str, rows: dict[str, str]
) -> None:
    found = answer(tmp_path / "run", model, rows)
    value, card = found.report["null_threshold"]["value"], (found.model / "README.md").read_text("utf-8")
    assert AutoConfig.from_pretrained(found.model).null_threshold == value
    assert f"- null_threshold: {value}, in config.json too" in card
    assert f"Null threshold fitted on 12 development questions, 0 -> {value:.4g}: F1 " in card
    assert found.report["settings"]["null_threshold"] is None
    further = answer(tmp_path / "further", str(found.model), {"train": rows["train"]})
    assert "null_threshold" not in json.loads((further.model / "config.json").read_text("utf-8"))
    assert "- null_threshold: 0.0\n" in (further.model / "README.md").read_text("utf-8")


def test_a_given_threshold_is_not_fitted_nor_is_one_without_no_answer(tmp_path: Path, model: str, rows: dict[str, str]) -> None:
    found = answer(tmp_path / "given", model, rows, replace(OPEN, null_threshold=0.0))
    assert "null_threshold" not in found.report
    assert found.report["settings"]["null_threshold"] == 0
    assert "null_threshold" not in json.loads((found.model / "config.json").read_text("utf-8"))
    assert all((one["answer"] == "") == (one["null_difference"] > 0) for one in lines(found.development_predictions))
    has = {name: jsonl(tmp_path / f"{name}-has.jsonl", questions(name, [True] * 4)) for name in ("train", "development", "test")}
    found = answer(tmp_path / "has", model, has, replace(OPEN, no_answer=None))
    assert "null_threshold" not in found.report
    assert found.report["development"]["questions"] == 4


@pytest.mark.parametrize(("has", "said"), [(True, "of 3 development questions 3 have"), (False, "of 3 development questions 0 have")])
def test_questions_of_one_sort_leave_it_at_0_and_that_is_said(
    tmp_path: Path, model: str, rows: dict[str, str], has: bool, said: str
) -> None:
    told: list[str] = []
    bare = {"id": "x", "context": "Some words.", "question": "Which?"}
    rows["development"] = jsonl(tmp_path / "same.jsonl", [*questions("same", [has] * 3), bare])
    found = answer(tmp_path / "run", model, rows, on_notice=told.append)
    assert (found.report["null_threshold"]["value"], found.report["null_threshold"]["fitted"]) == (0.0, False)
    assert [said in notice for notice in told] == [True]
    assert all((one["answer"] == "") == (one["null_difference"] > 0) for one in lines(found.predictions))


def test_the_keys_of_answers_are_those_in_the_documents(tmp_path: Path, model: str, rows: dict[str, str]) -> None:
    for line in lines(answer(tmp_path / "run", model, rows).predictions):
        assert set(line) == documented("answer")
        assert all(set(one) == {"answer", "start", "score", "probability"} for one in line["n_best"])


def labelled(name: str, count: int) -> list[dict[str, Any]]:
    return [{"text": f"{text} {name}", "label": ("long", "short")[len(text) < 50]} for text in TEXTS[:count]]


@pytest.mark.parametrize("kind", ["classify", "tag", "generate"])
def test_other_kinds_have_scores_of_development_rows(tmp_path: Path, model: str, kind: str) -> None:
    counts = {"train": 8, "development": 5, "test": 4}
    if kind == "tag":
        words = {name: [text.split() for text in TEXTS[:count]] for name, count in counts.items()}
        tagged = {name: [([*one, name], ["B-X", *["O"] * len(one)]) for one in found] for name, found in words.items()}
        sources = {name: conll(tmp_path / f"{name}.conll", found) for name, found in tagged.items()}
    else:
        sources = {name: jsonl(tmp_path / f"{name}.jsonl", labelled(name, count)) for name, count in counts.items()}
    chosen = str(writer("t5", tmp_path / "m")) if kind == "generate" else model
    settings = FinetuneSettings(steps=2, batch=4, learning_rate=1e-3, max_length=32, stride=8 if kind == "tag" else None)
    if kind == "generate":
        settings = replace(settings, target="label", longest_target=4, beams=1)
    found = finetune(kind, model=chosen, **sources, out=tmp_path / "run", settings=settings)
    assert found.report["rows"] == counts
    assert found.report["development"].keys() == found.report["test"].keys()
    assert len(lines(found.development_predictions)) == 5
    assert all(set(line) == documented(kind) for line in lines(found.predictions))
    assert "null_threshold" not in found.report
    assert [unit.name for unit in read_status(tmp_path / "run").units] == ["rows", "model", "development", "predictions"]
    assert found.report["seconds"].keys() == {"rows", "model", "development", "predictions"}


def test_where_nothing_is_open_development_rows_decide_nothing(tmp_path: Path, model: str) -> None:
    counts = {"train": 8, "development": 5, "test": 4}
    rows = {name: jsonl(tmp_path / f"{name}.jsonl", labelled(name, count)) for name, count in counts.items()}
    few = FinetuneSettings(steps=2, batch=4, learning_rate=1e-3, max_length=32)
    both, only, none = (
        finetune("classify", model=model, **{part: rows[part] for part in parts}, out=tmp_path / f"run{len(parts)}{parts[1]}", settings=few)
        for parts in (("train", "development", "test"), ("train", "development"), ("train", "test"))
    )
    assert contents(none.model) == contents(both.model) == contents(only.model)
    assert (both.report["test"], both.report["development"]) == (none.report["test"], only.report["development"])
    assert only.report["test"] is None
    assert (only.predictions, none.development_predictions) == (None, None)
    assert {"development", "development_overlap", "null_threshold"} & none.report.keys() == set()


@pytest.mark.parametrize(("other", "called"), [("test", "test"), ("train", "training")])
def test_development_rows_may_not_be_test_or_training_rows_unless_it_is_said(
    tmp_path: Path, model: str, rows: dict[str, str], other: str, called: str
) -> None:
    one = json.loads(Path(rows[other]).read_text("utf-8").splitlines()[1])
    shared = {**one, "id": "d", "question": one["question"].upper()}
    with Path(rows["development"]).open("a") as file:
        file.write(json.dumps(shared) + "\n")
    message = rf"development rows must not be {called} rows .* 1 are: 'd' is '{other}1'; remove them from --development or --{other}"
    with pytest.raises(DataError, match=message):
        answer(tmp_path / "run", model, rows)
    assert not (tmp_path / "run").exists()
    told: list[str] = []
    found = answer(tmp_path / "run", model, rows, allow_overlap=True, on_notice=told.append)
    assert found.report["development_overlap"] == {"test": [], "train": [], other: ["d"]}
    assert found.report["overlap"] == []
    assert any(notice.startswith(f"1 development rows equal a {called} row (--allow-overlap)") for notice in told)


def test_development_rows_that_are_of_no_use_are_refused(tmp_path: Path, model: str) -> None:
    sources = {"train": jsonl(tmp_path / "train.jsonl", labelled("train", 8))}
    few = FinetuneSettings(steps=1, batch=4, max_length=32)
    bare = jsonl(tmp_path / "bare.jsonl", [{"text": "no label"}, {"text": "none either"}])
    with pytest.raises(DataError, match="--development takes labelled rows, and none of its 2 says what is right"):
        finetune("classify", model=model, **sources, development=bare, out=tmp_path / "run", settings=few)
    strange = jsonl(tmp_path / "dev.jsonl", [{"text": "other", "label": "odd"}])
    with pytest.raises(DataError, match=r"labels that no training row has: 'odd' \(first in dev:1\)"):
        finetune("classify", model=model, **sources, development=strange, out=tmp_path / "run", settings=few)
    assert not (tmp_path / "run").exists()


def test_a_run_keeps_its_development_rows(tmp_path: Path, model: str, rows: dict[str, str]) -> None:
    kinds: list[str] = []
    first = answer(tmp_path / "run", model, rows)
    before = {path: path.stat().st_mtime_ns for path in first.model.iterdir()}
    again = answer(tmp_path / "run", model, rows, on_event=lambda event: kinds.append(event.kind))
    assert (again.report, kinds) == (first.report, ["skipped"] * 4)
    assert {path: path.stat().st_mtime_ns for path in first.model.iterdir()} == before
    with pytest.raises(RunError, match=r"settings\.null_threshold: null -> 0\.0"):
        answer(tmp_path / "run", model, rows, replace(OPEN, null_threshold=0.0))
    with pytest.raises(RunError, match="data development: given before, not given now"):
        answer(tmp_path / "run", model, {name: path for name, path in rows.items() if name != "development"})
    jsonl(Path(rows["development"]), questions("other", [True, False]))
    with pytest.raises(RunError, match="data development: its content has changed"):
        answer(tmp_path / "run", model, rows)


def test_runs_without_development_rows_have_the_units_that_they_had() -> None:
    common, inputs = {"kind": "answer", "model": "m", "settings": {}}, {"train": "1", "test": "2", "model": "3"}
    units = _units(common, inputs, tested=True, developed=False)
    assert [(unit.name, unit.needs) for unit in units] == [("rows", ()), ("model", ("rows",)), ("predictions", ("rows", "model"))]
    assert units[0].spec == {"kind": "answer", "fingerprints": {"train": "1", "test": "2"}}
    assert [unit.spec for unit in units[1:]] == [{**common, "model_digest": "3"}, common]


class Stopped(BaseException):
    """The kill of a test."""


@pytest.fixture
def _observed() -> Iterator[None]:
    yield
    files.observers.clear()


def contents(folder: Path) -> dict[str, bytes]:
    """What a run leaves that does not depend on the clock."""
    names = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    dated = ("record.json", "run.json", ".lock", "report.json")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in names if path.name not in dated}


@pytest.mark.slow
@pytest.mark.usefixtures("_observed")
@pytest.mark.parametrize(
    ("point", "time"),
    [
        ("write development.jsonl", 1),
        ("rename model", 1),
        ("write tuned.json", 1),
        ("rename development", 1),
        ("rename predictions", 1),
        ("rename model", 2),
        ("write development-predictions.jsonl", 1),
        ("write report.json", 1),
    ],
)
def test_a_killed_run_resumes_with_the_same_threshold(tmp_path: Path, model: str, rows: dict[str, str], point: str, time: int) -> None:
    undisturbed, left = answer(tmp_path / "a", model, rows), [time]

    def observer(name: str) -> None:
        left[0] -= name == point
        if name == point and left[0] == 0:
            raise Stopped

    files.observers.append(observer)
    with pytest.raises(Stopped):
        answer(tmp_path / "b", model, rows)
    files.observers.clear()
    resumed = answer(tmp_path / "b", model, rows)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert resumed.report | {"seconds": None} == undisturbed.report | {"seconds": None}
