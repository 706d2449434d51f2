"""A run: folder, report, resume after kills, same seed same numbers, and what is refused before anything is left behind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import pipeline

from petkit import files
from petkit.errors import DataError, ModelError, RunError, SettingsError
from petkit.executors import Event
from petkit.finetuning import FinetuneResult, FinetuneSettings, finetune, loop
from petkit.finetuning.models import open_tokenizer
from petkit.runs import read_status
from petkit.training import train
from tests.petkit.finetuning.tiny import TEXTS, encoder, jsonl, reader, writer

FEW = FinetuneSettings(steps=4, batch=4, learning_rate=1e-3, max_length=32)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(encoder("bert", tmp_path_factory.mktemp("model") / "m"))


@pytest.fixture
def rows(tmp_path: Path) -> dict[str, str]:
    labelled = [
        {"text": text, "label": "long" if len(text) > 60 else "short"}
        for n in ("once", "twice")
        for text in (f"{one} {n}" for one in TEXTS)
    ]
    return {"train": jsonl(tmp_path / "train.jsonl", labelled[:16]), "test": jsonl(tmp_path / "test.jsonl", labelled[16:])}


def run(folder: Path, model: str, rows: dict[str, str], settings: FinetuneSettings = FEW, **options: Any) -> FinetuneResult:
    return finetune("classify", model=model, **rows, out=folder, settings=settings, **options)


def contents(folder: Path) -> dict[str, bytes]:
    """What a run leaves that does not depend on the clock."""
    names = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in ("record.json", "run.json", ".lock")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in names if path.name != "report.json"}


def test_a_run_leaves_a_model_predictions_and_a_report(tmp_path: Path, model: str, rows: dict[str, str]) -> None:
    found = run(tmp_path / "run", model, rows)
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report == json.loads(json.dumps(found.report))
    assert (report["kind"], report["task"], report["labels"]) == ("finetuning", "classify", ["long", "short"])
    assert (report["rows"], report["trained"]["steps"]) == ({"train": 16, "test": 8}, 4)
    assert report["trained"]["trained_parameters"] == report["trained"]["parameters"]
    assert report["trained"]["trained_share"] == 1
    assert report["test"]["rows"] == 8
    assert [unit.name for unit in read_status(tmp_path / "run").units] == ["rows", "model", "predictions"]
    assert not (tmp_path / "run" / "incoming").exists()
    lines = [json.loads(line) for line in (found.predictions or Path()).read_text("utf-8").splitlines()]
    assert [line["id"] for line in lines] == [f"test:{i}" for i in range(1, 9)]
    right = sum(line["label"] == line["predicted_label"] for line in lines)
    assert report["test"]["accuracy"] == right / 8
    classify = pipeline("text-classification", model=str(found.model))
    for line in lines:
        one = classify(line["texts"][0], truncation=True)[0]
        assert (one["label"], one["score"]) == (line["predicted_label"], pytest.approx(line["score"], abs=1e-5))
    assert "pipeline_tag: text-classification" in (found.model / "README.md").read_text()


@pytest.mark.parametrize("strategy", ["last:0", "gradual", "lora:2"])
def test_fewer_weights_are_trained_and_plain_transformers_opens_the_model(
    tmp_path: Path, model: str, rows: dict[str, str], strategy: str
) -> None:
    if strategy.startswith("lora"):
        pytest.importorskip("peft")
    found = run(tmp_path / "run", model, rows, replace(FEW, strategy=strategy))
    embeddings = "bert.embeddings.word_embeddings.weight"
    before, after = (load_file(Path(folder) / "model.safetensors") for folder in (model, found.model))
    assert torch.equal(before[embeddings], after[embeddings]) == (strategy != "gradual")
    assert (found.report["trained"]["trained_share"] < 1) == (strategy != "gradual")
    assert {name for name in after if "lora" in name} == set()
    assert pipeline("text-classification", model=str(found.model))("A text.")[0]["label"] in ("long", "short")


def test_a_model_with_adapters_is_opened_after_one_import_and_trained_on(tmp_path: Path, model: str, rows: dict[str, str]) -> None:
    found = run(tmp_path / "run", model, rows, replace(FEW, strategy="adapters:4", learning_rate=0.05))
    before, after = load_file(Path(model) / "model.safetensors"), load_file(found.model / "model.adapters.safetensors")
    embeddings = "bert.embeddings.word_embeddings.weight"
    assert torch.equal(before[embeddings], after[embeddings])
    up = [value for name, value in after.items() if name.endswith("adapter.up.weight")]
    assert len(up) == 4
    assert all(value.abs().max() > 2.1e-3 for value in up), "beyond where they start"
    assert found.report["trained"]["trained_share"] < 1
    assert "import petkit.adapted" in (found.model / "README.md").read_text()
    classify = pipeline("text-classification", model=str(found.model))
    for line in map(json.loads, (found.predictions or Path()).read_text("utf-8").splitlines()):
        one = classify(line["texts"][0], truncation=True)[0]
        assert (one["label"], one["score"]) == (line["predicted_label"], pytest.approx(line["score"], abs=1e-5))
    again = run(tmp_path / "again", str(found.model), rows, replace(FEW, strategy="adapters:4", learning_rate=0.05))
    assert set(load_file(again.model / "model.adapters.safetensors")) == set(after)
    with pytest.raises(SettingsError, match="has adapters of width 4 already; strategy adapters:4 trains them on"):
        run(tmp_path / "wider", str(found.model), rows, replace(FEW, strategy="adapters:8"))
    assert not (tmp_path / "wider").exists()


def test_without_test_rows_there_are_no_predictions(tmp_path: Path, model: str, rows: dict[str, str]) -> None:
    found = finetune("classify", model=model, train=rows["train"], out=tmp_path / "run", settings=FEW)
    assert found.predictions is None
    assert found.report["test"] is None
    assert not (tmp_path / "run" / "predictions.jsonl").exists()


def test_the_same_seed_gives_the_same_model_and_another_one_another(tmp_path: Path, model: str, rows: dict[str, str]) -> None:
    made = [run(tmp_path / str(i), model, rows, replace(FEW, seed=seed)).model for i, seed in enumerate((1, 1, 2))]
    weights = [(folder / "model.safetensors").read_bytes() for folder in made]
    assert weights[0] == weights[1] != weights[2]


def test_parts_of_a_batch_give_about_the_same_model(tmp_path: Path, model: str, rows: dict[str, str]) -> None:
    whole, parts = (run(tmp_path / str(n), model, rows, replace(FEW, accumulate=n)).report["trained"]["losses"] for n in (1, 2))
    assert whole["loss"] == pytest.approx(parts["loss"], rel=0.2)


class Stopped(BaseException):
    """The kill of a test."""


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, int], None]]:
    """Arrange for the n-th passing of a write point to be the last; a checkpoint is written after every step."""
    monkeypatch.setattr(loop, "train", partial(train, checkpoint_seconds=0.0))

    def arrange(point: str, time: int) -> None:
        left = [time]

        def observer(name: str) -> None:
            left[0] -= name == point
            if name == point and left[0] == 0:
                raise Stopped

        files.observers.append(observer)

    yield arrange
    files.observers.clear()


POINTS = [
    ("write train.jsonl", 1),
    ("rename rows", 1),
    ("write training.safetensors", 1),
    ("renamed training.safetensors", 1),
    ("renamed training.safetensors", 3),
    ("rename model", 1),
    ("rename model", 2),
    ("rename predictions", 1),
    ("rename predictions.jsonl", 1),
    ("write report.json", 1),
]


@pytest.mark.slow
@pytest.mark.parametrize(("point", "time"), POINTS)
def test_a_killed_run_resumes_and_ends_as_an_undisturbed_one(
    tmp_path: Path, model: str, rows: dict[str, str], stop_at: Callable[[str, int], None], point: str, time: int
) -> None:
    undisturbed = run(tmp_path / "a", model, rows)
    stop_at(point, time)
    with pytest.raises(Stopped):
        run(tmp_path / "b", model, rows)
    files.observers.clear()
    events: list[Event] = []
    resumed = run(tmp_path / "b", model, rows, on_event=events.append)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert resumed.report | {"seconds": None} == undisturbed.report | {"seconds": None}
    if point == "renamed training.safetensors":
        begun = [event.done for event in events if event.kind == "progress" and event.unit == "model"]
        assert begun[0] == time + 1, "it goes on from the checkpoint"


def test_a_finished_run_is_not_run_again_and_others_are_refused(tmp_path: Path, model: str, rows: dict[str, str]) -> None:
    first, kinds = run(tmp_path / "run", model, rows).report, []
    again = run(tmp_path / "run", model, rows, on_event=lambda event: kinds.append(event.kind))
    assert (again.report, kinds) == (first, ["skipped"] * 3)
    with pytest.raises(RunError, match=r"settings\.steps: 4 -> 5"):
        run(tmp_path / "run", model, rows, replace(FEW, steps=5))
    Path(rows["test"]).write_text('{"text": "other", "label": "short"}\n')
    with pytest.raises(RunError, match="data test: its content has changed"):
        run(tmp_path / "run", model, rows)


def test_a_resumed_run_keeps_its_threads(tmp_path: Path, model: str, rows: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    assert run(tmp_path / "run", model, rows).report["settings"]["threads"] == before
    monkeypatch.setattr(torch, "get_num_threads", lambda: before + 3)
    assert run(tmp_path / "run", model, rows).report["settings"]["threads"] == before


def test_test_rows_may_not_be_training_rows_unless_it_is_said(tmp_path: Path, model: str, rows: dict[str, str]) -> None:
    text = json.loads(Path(rows["test"]).read_text().splitlines()[0])
    with Path(rows["train"]).open("a") as file:
        file.write(json.dumps({**text, "text": f"  {text['text'].upper()} "}) + "\n")
    with pytest.raises(DataError, match=r"training rows must not be test rows .* 1 are: 'train:17' is 'test:1'"):
        run(tmp_path / "run", model, rows)
    assert not (tmp_path / "run").exists()
    told: list[str] = []
    found = run(tmp_path / "run", model, rows, allow_overlap=True, on_notice=told.append)
    assert found.report["overlap"] == ["train:17"]
    assert any("1 training rows equal a test row" in notice for notice in told)


def test_cut_rows_and_unscored_rows_are_said(tmp_path: Path, model: str, rows: dict[str, str]) -> None:
    bare = jsonl(tmp_path / "bare.jsonl", [{"text": "something else " * 9}, {"text": "short"}])
    told: list[str] = []
    found = run(tmp_path / "run", model, {**rows, "test": bare}, replace(FEW, max_length=8), on_notice=told.append)
    words = open_tokenizer(model)
    cut = sum(len(words(json.loads(line)["text"])["input_ids"]) > 8 for line in Path(rows["train"]).read_text().splitlines())
    assert {f"{cut} rows cut to --max-length", "1 test rows cut to --max-length"} <= set(told)
    assert [json.loads(line)["cut"] for line in (found.predictions or Path()).read_text("utf-8").splitlines()] == [True, False]
    assert "nothing is scored: no test row says what is right" in told
    assert found.report["notices"] == told


@pytest.mark.parametrize("family", ["bert", "t5"])
def test_lengths_are_cut_to_what_the_model_reads_unless_they_were_given(family: str, tmp_path: Path, rows: dict[str, str]) -> None:
    kind = "answer" if family == "bert" else "generate"
    path = encoder("bert", tmp_path / "m", max_position_embeddings=64) if family == "bert" else writer("t5", tmp_path / "m")
    asked = [
        {"id": str(i), "context": f"the {w} of it", "question": "what?", "answers": [{"text": w, "answer_start": 4}]}
        for i, w in enumerate("abcd")
    ]
    train_file = jsonl(tmp_path / "q.jsonl", asked) if kind == "answer" else rows["train"]
    found = finetune(kind, model=str(path), train=train_file, out=tmp_path / "run", settings=FinetuneSettings(steps=1, batch=2))
    longest = 64 if family == "bert" else 128
    assert found.report["settings"]["max_length"] == longest
    assert found.report["settings"]["stride"] == (16 if family == "bert" else None)
    with pytest.raises(SettingsError, match=rf"--max-length is 500; .* reads {longest} tokens at most"):
        finetune(kind, model=str(path), train=train_file, out=tmp_path / "b", settings=FinetuneSettings(max_length=500))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"train": "none.jsonl"}, DataError, "none.jsonl: no such file"),
        ({"model": "./nowhere"}, ModelError, "no such folder"),
        ({"settings": FinetuneSettings(beams=3)}, SettingsError, "beams is a setting of generate"),
        ({"settings": FinetuneSettings(fields=("texts",))}, DataError, "no column 'texts'"),
        ({"settings": FinetuneSettings(device="tpu9")}, SettingsError, "tpu9"),
    ],
)
def test_mistakes_leave_nothing_behind(
    tmp_path: Path, model: str, rows: dict[str, str], change: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        finetune("classify", **{"model": model, **rows, "out": tmp_path / "run", "settings": FEW, **change})
    assert not (tmp_path / "run").exists()


def test_a_mistake_that_shows_late_leaves_the_folder_free_for_the_corrected_command(tmp_path: Path, model: str) -> None:
    asked = [{"context": "one two", "question": "why " * 100, "answers": [{"text": "one", "answer_start": 0}]}]
    source = jsonl(tmp_path / "q.jsonl", asked)
    settings = FinetuneSettings(steps=1, batch=1, max_length=32, stride=4)
    with pytest.raises(SettingsError, match=r"question 'q:1' of 64 tokens leaves 0 of --max-length 32"):
        finetune("answer", model=model, train=source, out=tmp_path / "run", settings=settings)
    found = finetune("answer", model=model, train=source, out=tmp_path / "run", settings=replace(settings, max_length=128))
    assert found.report["trained"]["steps"] == 1


def test_causal_models_run_through(tmp_path: Path, rows: dict[str, str]) -> None:
    path = str(reader("gpt2", tmp_path / "m"))
    found = run(tmp_path / "run", path, rows)
    assert found.report["test"]["rows"] == 8
    classify = pipeline("text-classification", model=str(found.model))
    lines = [json.loads(line) for line in (found.predictions or Path()).read_text("utf-8").splitlines()]
    theirs = classify([line["texts"][0] for line in lines], truncation=True, batch_size=4)
    for line, one in zip(lines, theirs, strict=True):
        assert one["score"] == pytest.approx(line["score"], abs=1e-4)


def in_chinese(folder: Path, beside: str) -> str:
    rows = [{"text": "\u8fd9\u91cc\u5f88\u597d" * (n + 1) + f" {beside}", "label": "ab"[n % 2]} for n in range(8)]
    return jsonl(folder / "chinese.jsonl", rows)


def test_texts_that_the_tokenizer_hardly_knows_are_told_before_training_and_reported(tmp_path: Path, model: str) -> None:
    told: list[str] = []
    found = run(tmp_path / "run", model, {"train": in_chinese(tmp_path, "of the rows")}, on_notice=told.append)
    (notice,) = [line for line in told if "unknown" in line]
    assert "of the tokens of the training rows are unknown to the model's tokenizer; take a checkpoint for" in notice
    assert notice in found.report["notices"]


def test_texts_of_which_the_tokenizer_knows_nothing_are_refused(tmp_path: Path, model: str) -> None:
    with pytest.raises(ModelError, match="its tokenizer knows no token of the training rows; take a checkpoint for"):
        run(tmp_path / "run", model, {"train": in_chinese(tmp_path, "")})
    assert not (tmp_path / "run").exists()


def test_paths_are_taken(tmp_path: Path, model: str, rows: dict[str, str]) -> None:
    found = run(tmp_path / "run", Path(model), {part: Path(path) for part, path in rows.items()})  # type: ignore[arg-type]
    assert found.report["rows"] == {"train": 16, "test": 8}
