"""What the main job refuses and what it keeps apart: changed settings, data, tasks and models; test rows and all others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from petkit import prechecks
from petkit.backbones import load_tokenizer
from petkit.data import normalise
from petkit.errors import DataError, ModelError, RunError, SettingsError, TaskError, UserError
from petkit.executors import Event
from petkit.pipeline import RunResult, train
from petkit.prechecks import check_known
from petkit.pvp import Task
from petkit.rowfiles import load_rows
from petkit.rows import UNLABELED, Rows
from tests.builders import sentences, tiny_masked_lm
from tests.tiny_train import SETTINGS, TASK, rows, snapshot, tiny_data, tiny_model, tiny_run

SMALL = {"patterns": "0", "adapt_steps": 0, "baselines": False}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, model: Path) -> RunResult:
    return tiny_run(tmp_path_factory.mktemp("done") / "run", model, "pet", settings=SMALL)


def texts(data: Rows) -> tuple[str, ...]:
    return data.fields["text"]


# A folder that was made with other settings, data, task or model


def changed_text(name: str) -> Rows:
    data = tiny_data()[name]
    return replace(data, fields={"text": (texts(data)[0] + " more", *texts(data)[1:])})


def with_words(negative: str, positive: str) -> Task:
    patterns = [pvp.pattern.name for pvp in TASK.pvps]
    return Task(name="tone", fields=("text",), patterns=patterns, verbalizer={"negative": negative, "positive": positive})


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"settings": {**SMALL, "seed": 7}}, ["setting seed: 42 -> 7", "setting settings.seed: 42 -> 7"]),
        ({"settings": {**SMALL, "member.steps": 3}}, ["setting settings.member.steps: 2 -> 3"]),
        ({"train": changed_text("train")}, ["data train: its content has changed"]),
        ({"unlabeled": changed_text("unlabeled")}, ["data pool: its content has changed"]),
        ({"test": changed_text("test")}, ["data test: its content has changed"]),
        ({"test": tiny_data()["test"].with_labels([1, 0] * 6)}, ["data test: its content has changed"]),
        ({"task": with_words("terrible", "good")}, ["setting task.pvps"]),
    ],
)
def test_other_settings_data_or_task_are_refused_and_named(changes: dict[str, Any], named: list[str], done: RunResult, model: Path) -> None:
    before = snapshot(done.path)
    with pytest.raises(RunError, match="was made with other settings or data; give those it was made with, or another folder") as refused:
        tiny_run(done.path, model, "pet", **{"settings": SMALL, **changes})
    assert all(line in str(refused.value) for line in named), refused.value
    assert snapshot(done.path) == before


def test_the_builtin_model_is_told_to_be_small_once_in_a_run(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from petkit import builtin

    monkeypatch.setattr(builtin, "model_path", lambda: model)

    def notices(folder: str, method: str) -> str:
        told: list[str] = []
        tiny_run(tmp_path / folder, Path("builtin"), method, settings=SMALL, on_notice=told.append)
        return "; ".join(told)

    assert "the builtin model is small" in notices("run", "single")
    assert "builtin" not in notices("run", "single")
    assert "the builtin model is small" in notices("other", "single")
    assert "builtin" not in notices("without a model", "tfidf")


def test_mistakes_come_before_what_there_is_to_know(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from petkit import builtin

    monkeypatch.setattr(builtin, "model_path", lambda: model)
    told: list[str] = []
    out = tmp_path / "run"
    out.write_text("precious")
    with pytest.raises(RunError, match="is a file"):
        tiny_run(out, Path("builtin"), "single", settings=SMALL, on_notice=told.append)
    assert (told, out.read_text()) == ([], "precious")


def test_another_method_is_refused(done: RunResult, model: Path) -> None:
    with pytest.raises(RunError, match=r'setting settings\.method: "pet" -> "ipet"'):
        tiny_run(done.path, model, "ipet", settings=SMALL)


def test_changed_model_is_refused(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model")
    tiny_run(tmp_path / "run", model, "single", settings=SMALL)
    tiny_masked_lm("bert", model, seed=9)
    with pytest.raises(RunError, match="data model: its content has changed"):
        tiny_run(tmp_path / "run", model, "single", settings=SMALL)


TASK_FILE = """
from petkit import MASK, Task, Text

def ask(row):
    {line}
    return (MASK, ": ", Text(row["text"]))

task = Task(name="tone", fields=("text",), patterns=({patterns}), verbalizer={{"negative": "bad", "positive": "good"}})
"""


def write_task(path: Path, line: str, *, patterns: str = "ask,") -> str:
    path.write_text(TASK_FILE.format(line=line, patterns=patterns), encoding="utf-8")
    return str(path)


def test_the_same_model_by_another_path_is_no_other_setting(done: RunResult, model: Path) -> None:
    events: list[Event] = []
    spelled = model.parent / "." / ".." / model.parent.name / model.name
    assert str(spelled) != str(model)
    again = tiny_run(done.path, spelled, "pet", settings=SMALL, on_event=events.append)
    assert again == done
    assert {event.kind for event in events} == {"skipped"}


def test_changed_pattern_function_is_refused(model: Path, tmp_path: Path) -> None:
    task = write_task(tmp_path / "tone.py", "pass")
    first = tiny_run(tmp_path / "run", model, "pet", settings=SMALL, task=task)
    assert tiny_run(tmp_path / "run", model, "pet", settings=SMALL, task=task) == first
    write_task(tmp_path / "tone.py", "row = {'text': row['text'].lower()}")
    with pytest.raises(RunError, match=r"setting task\.file: "):
        tiny_run(tmp_path / "run", model, "pet", settings=SMALL, task=task)


def test_the_number_of_threads_comes_from_the_folder(done: RunResult, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with more processors goes on with the number of threads that the run began with."""
    settings = {**{name: value for name, value in SETTINGS.items() if name != "threads"}, **SMALL, "method": "pet"}
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    events: list[Event] = []
    data: dict[str, Any] = tiny_data()
    train(TASK, **data, out=done.path, model=str(model), device="cpu", settings=settings, on_event=events.append)
    assert {event.kind for event in events} == {"skipped"}


# Test rows stay apart


def overlapping(rows_of_test: Rows) -> tuple[str, ...]:
    """The first test text as it may turn up elsewhere: other case, other blanks, a ligature."""
    first, second = texts(rows_of_test)[:2]
    return (f"  {first.upper()}", second.replace(" ", "\n  ").replace("fi", "\ufb01"))


def test_pool_rows_that_are_test_rows_are_left_out_and_counted(model: Path, tmp_path: Path) -> None:
    data = tiny_data()
    twins = overlapping(data["test"])
    assert [normalise(text) for text in twins] == [normalise(text) for text in texts(data["test"])[:2]]
    pool = rows("pool", (twins[0], *texts(data["unlabeled"]), twins[1], twins[1]))
    notices: list[str] = []
    run = tiny_run(tmp_path / "run", model, "pet", settings=SMALL, unlabeled=pool, on_notice=notices.append)
    assert (run.report["data"]["removed_from_pool"], run.report["data"]["rows"]["pool"]) == (3, 30)
    assert "3 unlabelled rows equal a test row and were left out" in notices
    assert "3 unlabelled rows equal a test row and were left out" in (run.path / "report.md").read_text("utf-8")
    assert texts(load_rows(run.path / "stages" / "rows" / "pool.parquet")) == texts(data["unlabeled"])


def test_labelled_rows_that_are_test_rows_stop_the_run(model: Path, tmp_path: Path) -> None:
    data = tiny_data()
    train = replace(data["train"], fields={"text": (*overlapping(data["test"]), *texts(data["train"])[2:])})
    with pytest.raises(DataError, match="--allow-overlap") as refused:
        tiny_run(tmp_path / "run", model, "pet", settings=SMALL, train=train)
    assert "train:1" in str(refused.value)
    assert "train:2" in str(refused.value)
    assert not (tmp_path / "run").exists()
    run = tiny_run(tmp_path / "run", model, "pet", settings=SMALL, train=train, allow_overlap=True)
    assert run.report["data"]["overlap"] == ["train:1", "train:2"]
    assert "2 labelled rows equal a test row (--allow-overlap)" in (run.path / "report.md").read_text("utf-8")


def test_a_report_without_overlap_says_nothing_of_it(done: RunResult) -> None:
    assert (done.report["data"]["overlap"], done.report["data"]["removed_from_pool"]) == ([], 0)
    assert "overlap" not in (done.path / "report.md").read_text("utf-8")


def test_test_rows_without_a_label_are_not_scored_and_that_is_told(model: Path, tmp_path: Path) -> None:
    test = tiny_data()["test"]
    notices: list[str] = []
    labels = [*test.labels[:2], *[UNLABELED] * 10]
    run = tiny_run(tmp_path / "run", model, "pet", settings=SMALL, test=test.with_labels(labels), on_notice=notices.append)
    told = "10 of 12 test rows have no label and are not scored"
    assert (run.report["data"]["rows"]["test"], run.report["data"]["test_unlabeled"]) == (12, 10)
    assert told in notices
    assert told in (run.path / "report.html").read_text("utf-8")
    report = (run.path / "report.md").read_text("utf-8")
    assert told in report
    assert "2 for the test" in report
    assert "On 2 test rows: accuracy" in (run.path / "classifier" / "README.md").read_text("utf-8")


def test_a_test_file_given_later_is_told_as_such(model: Path, tmp_path: Path) -> None:
    tiny_run(tmp_path / "run", model, "pet", settings=SMALL, test=None)
    with pytest.raises(RunError, match="data test: not given before, given now"):
        tiny_run(tmp_path / "run", model, "pet", settings=SMALL)


def without_test(folder: Path) -> dict[str, object]:
    """What the stages computed, but for scores on test rows: models, pool scores, sets, label scores before training."""
    kept = {name: value for name, value in snapshot(folder).items() if name.startswith(("stages/", "classifier/"))}
    return {name: value for name, value in kept.items() if Path(name).name not in ("record.json", "test.parquet", "README.md")}


@pytest.mark.parametrize("method", ["ipet", "supervised"])
def test_test_rows_influence_nothing_but_the_scores(method: str, model: Path, tmp_path: Path) -> None:
    data = tiny_data()
    tests = {
        "given": data["test"],
        "labels": data["test"].with_labels([1 - label for label in data["test"].labels]),
        "texts": rows("test", sentences()[50:57], labelled=True),
        "none": None,
    }
    runs = {name: tiny_run(tmp_path / name, model, method, test=test, settings={"patterns": "0"}) for name, test in tests.items()}
    expected = without_test(runs["given"].path)
    assert {Path(name).suffix for name in expected} >= {".safetensors", ".parquet"}
    for name, run in runs.items():
        assert without_test(run.path) == expected, name
    given, flipped = (runs[name].report["scores"]["classifier"]["accuracy"] for name in ("given", "labels"))
    assert flipped == pytest.approx(1 - given)
    for member, other in zip(*(runs[name].report["scores"]["members"] for name in ("given", "texts")), strict=True):
        assert member["weight"] == other["weight"]


def test_texts_are_cut_to_what_the_model_can_read(model: Path, tmp_path: Path) -> None:
    """The model has 40 positions; every stage takes that into account, adaptation and baselines too."""
    long = {"max_length": 256, "token_budget": 512, "patterns": "0"}
    pool = rows("pool", tuple(" ".join(sentences()[i : i + 20]) for i in range(60, 90)))
    run = tiny_run(tmp_path / "run", model, "ipet", unlabeled=pool, settings=long)
    assert run.report["adaptation"]["tokens"] == 2 * 32 * 40
    assert run.report["scores"]["classifier"] is not None


# Mistakes that are found before anything is computed, or right at the beginning


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"settings": {"patterns": "0,5"}}, SettingsError, r"patterns names \[5\]; task 'tone' has the patterns 0 to 1"),
        ({"settings": {"patterns": "1,1"}}, SettingsError, "each pattern can be named once"),
        (
            {"settings": {"classifier.batch": 100000}},
            SettingsError,
            r"classifier.batch is 100000, and there are \d+ unlabelled rows; at most",
        ),
        ({"settings": {"method": "magic"}}, SettingsError, "method is 'magic'; legal are pet, ipet"),
        ({"settings": {"member.steps": 0}}, SettingsError, r"member.steps is 0; at least 1 is legal"),
        ({"settings": {"members.steps": 2}}, SettingsError, r"no such setting: members\.steps; legal are"),
        ({"device": "abacus"}, SettingsError, "--device is 'abacus'; legal are auto, cpu"),
        (
            {"unlabeled": ()},
            DataError,
            r"needs at least 2 unlabelled rows \(--unlabeled\), and 0 are there\nin Python --method is .*, --unlabeled is unlabeled$",
        ),
        ({"unlabeled": tiny_data()["unlabeled"].select([0])}, DataError, r"at least 2 unlabelled rows .*, and 1 is there\n"),
        ({"unlabeled": tiny_data()["test"].with_labels(())}, DataError, "and 0 are there; 12 more equal a test row and were left out"),
        ({"train": "-", "test": ["-"]}, DataError, r"standard input \(-\) can be read once, and it is given for --train and --test"),
        ({"train": None, "settings": {"method": "supervised"}}, DataError, r"learns from labelled rows only; give some with --train\n"),
        (
            {"shots": 0, "settings": {"method": "tfidf"}},
            DataError,
            r"labelled rows only; --shots 0 takes none of the 8 there are: leave it out, or raise it\n",
        ),
        ({"train": ["a.csv", ""], "test": " "}, DataError, r"^--train and --test are empty; name a file, .* or leave the flag out\n"),
        ({"unlabeled": ""}, DataError, "^--unlabeled is empty; name a file"),
        ({"train": tiny_data()["train"].with_labels([0] * 8)}, DataError, "must hold every label, and lack 'positive'"),
        ({"shots": 5}, DataError, "5"),
        ({"task": with_words("bad", "日本")}, TaskError, "'日本'"),
    ],
)
def test_mistakes_leave_no_folder(changes: dict[str, Any], kind: type[Exception], message: str, model: Path, tmp_path: Path) -> None:
    with pytest.raises(kind, match=message):
        tiny_run(tmp_path / "run", model, "pet", **changes)
    assert not (tmp_path / "run").exists()


def test_models_that_cannot_be_used_leave_no_folder(tmp_path: Path) -> None:
    tiny_masked_lm("bert", tmp_path / "other", hidden_size=16, vocab_size=100)
    with pytest.raises(ModelError, match="tokenizer has 3000 tokens and its weights 100; they do not belong together"):
        tiny_run(tmp_path / "run", tmp_path / "other", "pet")
    model = tiny_model(tmp_path / "model")
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"model\.safetensors is missing, cut off or damaged"):
        tiny_run(tmp_path / "run", model, "pet")
    assert not (tmp_path / "run").exists()


FAIL = "if row['text'] == {text!r}: raise ValueError('odd row')"


def test_a_pattern_that_fails_in_the_middle_takes_the_folder_back(model: Path, tmp_path: Path) -> None:
    """Unlabelled rows are looked at beforehand; this one is met when the untrained patterns are scored."""
    odd = texts(tiny_data()["train"])[3]
    task = write_task(tmp_path / "tone.py", FAIL.format(text=odd))
    events: list[Event] = []
    with pytest.raises(TaskError, match=r"pattern function 'ask': raised ValueError: odd row, at .*tone\.py, line 5 \(row 'train:4'\)"):
        tiny_run(tmp_path / "run", model, "pet", settings=SMALL, task=task, on_event=events.append)
    assert {event.unit for event in events} >= {"rows", "untrained-p0"}
    assert not (tmp_path / "run").exists()
    write_task(tmp_path / "tone.py", "pass")
    tiny_run(tmp_path / "run", model, "pet", settings=SMALL, task=task)


def test_what_was_trained_is_not_taken_back(model: Path, tmp_path: Path) -> None:
    trained = str(tmp_path / "run" / "stages" / "g0-p0-s0")
    task = write_task(
        tmp_path / "tone.py", f"if __import__('os').path.exists({trained!r}): raise ValueError('odd row')", patterns='"{text} {mask}", ask'
    )
    with pytest.raises(TaskError, match="odd row"):
        tiny_run(tmp_path / "run", model, "pet", settings={**SMALL, "patterns": ""}, task=task)
    assert (tmp_path / "run" / "stages" / "g0-p0-s0" / "record.json").exists()
    with pytest.raises(TaskError, match="odd row"):
        tiny_run(tmp_path / "run", model, "pet", settings={**SMALL, "patterns": ""}, task=task)


# Data in memory


def held(name: str, data: Rows) -> dict[str, list[str]]:
    """Rows as a user holds them: columns, labels by name."""
    return {"text": list(texts(data))} | ({} if name == "unlabeled" else {"label": [TASK.labels[label] for label in data.labels]})


def test_data_in_memory_is_as_good_as_files(model: Path, tmp_path: Path) -> None:
    """The same rows again go on with the run, others are refused, and test texts are kept out of the pool."""
    data = tiny_data()
    columns = {name: held(name, part) for name, part in data.items()}
    columns["unlabeled"]["text"].append(overlapping(data["test"])[0])
    events: list[Event] = []
    run = tiny_run(tmp_path / "run", model, "pet", settings=SMALL, **columns)
    assert run.report["data"]["rows"] == {"train": 8, "pool": 30, "test": 12, "train_before_draw": 8}
    assert run.report["data"]["removed_from_pool"] == 1
    assert load_rows(run.path / "stages" / "rows" / "train.parquet") == data["train"]
    frames = {name: pd.DataFrame(part) for name, part in columns.items()}
    assert tiny_run(tmp_path / "run", model, "pet", settings=SMALL, **frames, on_event=events.append).report == run.report
    assert {event.kind for event in events} == {"skipped"}
    frames["test"].loc[0, "label"] = "positive" if frames["test"].loc[0, "label"] == "negative" else "negative"
    with pytest.raises(RunError, match="data test: its content has changed"):
        tiny_run(tmp_path / "run", model, "pet", settings=SMALL, **frames)
    with pytest.raises(DataError, match=r"labelled rows must not be test rows .* and 8 are: 'train:1' is 'test:1'"):
        tiny_run(tmp_path / "other", model, "pet", settings=SMALL, **{**columns, "test": columns["train"]})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": tiny_data()["train"].with_labels([0, 1, 5, 1, 0, 1, 0, 1])}, "^train: labels that the task does not have: row 3 has 5"),
        ({"train": tiny_data()["train"].with_labels([0, 1, -1, 1, 0, 1, 0, 1])}, "^train: no label: row 3"),
        ({"test": tiny_data()["test"].with_labels([0, 9] * 6)}, "^test: labels that the task does not have: row 2 has 9"),
        ({"unlabeled": Rows(("a", "b"), {"body": ("x", "y")})}, "^unlabeled: the rows have no field 'text'"),
        ({"train": ["a text of some words", "another text of some words"]}, "^train: a list of strings is a list of files"),
        ({"task": None}, "^task is None"),
        ({"shots": "4"}, "^--shots is '4', a str; a whole number"),
    ],
)
def test_mistakes_of_callers_leave_no_folder(changes: dict[str, Any], message: str, model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        tiny_run(tmp_path / "run", model, "pet", **changes)
    assert not (tmp_path / "run").exists()


def test_paths_need_not_be_strings(model: Path, tmp_path: Path) -> None:
    for name, part in tiny_data().items():
        pd.DataFrame(held(name, part)).to_csv(tmp_path / f"{name}.csv", index=False)
    sources: dict[str, Any] = {name: tmp_path / f"{name}.csv" for name in ("train", "unlabeled", "test")}
    options: dict[str, Any] = {"settings": {**SETTINGS, **SMALL, "method": "tfidf"}, "device": "cpu"}
    run = train(TASK, out=tmp_path / "run", model=model, **{**sources, "unlabeled": [sources["unlabeled"]]}, **options)
    assert run.report["data"]["rows"]["pool"] == 30


def test_the_working_directory_may_change_meanwhile(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    run = tiny_run(Path("run"), model, "pet", settings=SMALL, on_event=lambda event: monkeypatch.chdir(tmp_path / "elsewhere"))
    assert run.path == tmp_path / "run"
    assert run.classifier is not None
    assert run.classifier.is_dir()
    assert not any((tmp_path / "elsewhere").iterdir())


def test_a_result_is_shown_without_its_report(done: RunResult) -> None:
    assert repr(done) == f"RunResult(path={done.path!r}, classifier={done.classifier!r})"


CHINESE = "\u8fd9\u91cc\u5f88\u597d"


def in_chinese(data: Rows) -> Rows:
    return replace(data, fields={"text": tuple(f"{CHINESE}{number}" for number in range(len(data)))})


def test_texts_that_the_tokenizer_hardly_knows_are_told_and_reported(model: Path, tmp_path: Path) -> None:
    told: list[str] = []
    given = {name: in_chinese(tiny_data()[name]) for name in ("train", "unlabeled")}
    result = tiny_run(tmp_path / "run", model, settings={**SMALL, "method": "pet"}, **given, on_notice=told.append)
    shares = result.report["data"]["unknown_tokens"]
    assert {part: 0.6 < share < 1 for part, share in shares.items()} == {"train": True, "pool": True}
    (notice,) = [line for line in told if "unknown" in line]
    assert notice.endswith(
        "of those of the unlabelled rows are unknown to the model's tokenizer; take a checkpoint for the language of the texts, for "
        "example FacebookAI/xlm-roberta-base"
    )
    assert f"\n{notice}.\n" in (result.path / "report.md").read_text("utf-8")
    assert notice.partition("'")[0] in (result.path / "report.html").read_text("utf-8")


def test_texts_that_the_tokenizer_knows_are_not_remarked_upon(done: RunResult) -> None:
    assert all(share < 0.05 for share in done.report["data"]["unknown_tokens"].values())
    assert "unknown" not in (done.path / "report.md").read_text("utf-8")


def unknown_texts(name: str) -> Rows:
    data = tiny_data()[name]
    return replace(data, fields={"text": tuple(CHINESE * (number + 1) for number in range(len(data)))})


@pytest.mark.parametrize(
    ("parts", "method", "called"),
    [
        (("train", "unlabeled"), "pet", "the labelled and the unlabelled"),
        (("train", "unlabeled"), "supervised", "the labelled and the unlabelled"),
        (("train",), "supervised", "the labelled"),
        (("unlabeled",), "zero-shot", "the unlabelled"),
    ],
)
def test_texts_of_which_the_tokenizer_knows_nothing_are_refused(
    parts: tuple[str, ...], method: str, called: str, model: Path, tmp_path: Path
) -> None:
    given = {part: unknown_texts(part) if part in parts else None for part in ("train", "unlabeled")}
    with pytest.raises(ModelError, match=f"its tokenizer knows no token of {called} rows of task 'tone'; take a checkpoint for"):
        tiny_run(tmp_path / "run", model, settings={**SMALL, "method": method}, **given)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("part", "called"), [("train", "labelled"), ("unlabeled", "unlabelled")])
def test_a_part_of_which_the_tokenizer_knows_nothing_is_told_beside_one_that_it_knows(
    part: str, called: str, model: Path, tmp_path: Path
) -> None:
    told: list[str] = []
    tiny_run(tmp_path / "run", model, settings={**SMALL, "method": "pet"}, **{part: unknown_texts(part)}, on_notice=told.append)
    (notice,) = [line for line in told if "unknown" in line]
    assert notice.startswith(f"100 % of the tokens of the {called} rows are unknown to the model's tokenizer; take a checkpoint for")


@pytest.mark.parametrize("at", [range(1, 400, 2), range(399, 400)])
def test_all_rows_are_looked_at_before_it_is_said_that_nothing_is_known(at: range, model: Path) -> None:
    known = set(at)
    pool = rows("pool", tuple("the end" if number in known else CHINESE for number in range(400)))
    assert check_known(TASK, {"pool": pool}, str(model), trust_remote_code=False)["pool"] < 1
    nothing = rows("pool", (CHINESE,) * 400)
    with pytest.raises(ModelError, match="knows no token of the unlabelled rows"):
        check_known(TASK, {"pool": nothing, "train": rows("train", ("",))}, str(model), trust_remote_code=False)


def test_a_blank_sample_is_nothing_that_is_unknown(model: Path) -> None:
    blank = rows("pool", (*[""] * 399, "the end"))
    found = check_known(TASK, {"pool": blank, "train": unknown_texts("train")}, str(model), trust_remote_code=False)
    assert found == {"pool": 0, "train": 1}


def test_the_tokenizer_is_opened_once_before_the_run(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def counted(path: str, **options: Any) -> Any:
        opened.append(path)
        return load_tokenizer(path, **options)

    monkeypatch.setattr(prechecks, "load_tokenizer", counted)
    tiny_run(tmp_path / "run", model, settings={**SMALL, "method": "zero-shot"}, train=None)
    assert opened == [str(model)]
