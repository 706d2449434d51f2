"""What users get wrong, through the real command line: exit code 2, one message that helps, no traceback, and the way free for the
corrected command."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner, Result

from petkit.cli.app import app
from tests.builders import sentences
from tests.tiny_train import SETTINGS, tiny_model, without_figures

TASK = """
from petkit import Task

task = Task(name="tone", fields=("text",), patterns=("{mask}: {text}",), verbalizer={"negative": "bad", "positive": "good"})
"""
LABELS = ("negative", "positive")
runner = CliRunner()
Change = Callable[[Path], object]


@pytest.fixture(autouse=True, scope="module")
def _hurry() -> Iterator[None]:
    with without_figures():
        yield


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that a run needs, and nothing wrong."""
    folder = tmp_path_factory.mktemp("good")
    texts = sentences()
    tiny_model(folder / "model")
    (folder / "tone.py").write_text(TASK)
    write_rows(folder / "train.csv", texts[:8], labelled=True)
    write_rows(folder / "pool.csv", texts[8:38])
    write_rows(folder / "test.csv", texts[38:50], labelled=True)
    return folder


@pytest.fixture
def place(good: Path, tmp_path: Path) -> Path:
    """A copy of it to spoil."""
    return Path(shutil.copytree(good, tmp_path / "place"))


def write_rows(path: Path, texts: tuple[str, ...], *, labelled: bool = False, **extra: list[str]) -> None:
    names = ["text", *(["label"] if labelled else []), *extra]
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(names)
        for index, text in enumerate(texts):
            table.writerow([text, *([LABELS[index % 2]] if labelled else []), *(column[index] for column in extra.values())])


def train(place: Path, *flags: str, drop: tuple[str, ...] = (), settings: Mapping[str, object] | None = None) -> Result:
    """`petkit train` on the folder; ``drop`` leaves flags out, ``flags`` come last."""
    given = {"--train": "train.csv", "--unlabeled": "pool.csv", "--test": "test.csv", "--model": "model", "--out": "run"}
    arguments = [str(part) for name, value in given.items() if name not in drop for part in (name, place / value)]
    changes = {**SETTINGS, "adapt_steps": 0, "baselines": False, "method": "pet", **(settings or {})}
    sets = [part for name, value in changes.items() for part in ("--set", f"{name}={value}")]
    return runner.invoke(app, ["train", str(place / "tone.py"), *arguments, "--device", "cpu", *sets, *flags])


def refused(place: Path, *messages: str, found: Result) -> None:
    """Exit code 2, one message with each of the ``messages``, no traceback, and no run begun."""
    assert found.exit_code == 2, found.output + repr(found.exception)
    assert found.stdout == ""
    assert found.stderr.startswith("Error: "), found.stderr
    assert "Traceback" not in found.stderr
    assert [line[:7] for line in found.stderr.splitlines()].count("Error: ") == 1
    for message in messages:
        assert message in found.stderr
    assert not (place / "run").is_dir(), "something is left in --out"


def edit(name: str, change: Callable[[bytes], bytes]) -> Change:
    """Change the bytes of a file."""
    return lambda place: (place / name).write_bytes(change((place / name).read_bytes()))


def whole(name: str, content: bytes) -> Change:
    """Put other bytes in the place of a file."""
    return lambda place: (place / name).write_bytes(content)


def repeated_ids(place: Path) -> None:
    write_rows(place / "train.csv", sentences()[:8], labelled=True, key=[*"abcdefg", "a"])
    write_rows(place / "pool.csv", sentences()[8:38], key=[f"p{i}" for i in range(30)])
    write_rows(place / "test.csv", sentences()[38:50], labelled=True, key=[f"t{i}" for i in range(12)])


BAD_FILES: dict[str, tuple[Change, tuple[str, ...], tuple[str, ...]]] = {
    "empty": (whole("train.csv", b""), (), ("train.csv", "is empty; the first line must name the columns")),
    "header only": (whole("pool.csv", b"text\n"), (), ("pool.csv", "has a header ('text') and no row")),
    "no header": (
        edit("train.csv", lambda content: content.split(b"\n", 1)[1]),
        (),
        ("train.csv", "no column 'text'", "is the first line a row? Then add a line with column names before it"),
    ),
    "no such file": (lambda place: (place / "train.csv").rename(place / "trian.csv"), (), ("train.csv", "did you mean trian.csv")),
    "wrong column": (
        edit("pool.csv", lambda content: content.replace(b"text", b"texts", 1)),
        (),
        ("pool.csv: no column 'text'", "the columns are 'texts'", "--column text=texts"),
    ),
    "a column that is not there": (lambda place: None, ("--column", "label=rating"), ("train.csv: no column 'rating'", "'text', 'label'")),
    "column of no field": (lambda place: None, ("--column", "texts=text"), ("'texts' is no field of the task", "'text', 'label'")),
    "labels outside the verbalizer": (
        edit("train.csv", lambda content: content.replace(b"positive", b"postive")),
        (),
        (
            "train.csv",
            "labels outside the verbalizer: 'postive' (4 rows, first row 2 (line 3); 'positive'?)",
            "legal are 'negative', 'positive'",
        ),
    ),
    "a class without example": (
        edit("train.csv", lambda content: content.replace(b"positive", b"negative")),
        (),
        ("must hold every label, and lack 'positive'; they have 'negative' 8",),
    ),
    "no label": (
        edit("train.csv", lambda content: content.replace(b",negative", b",", 1)),
        (),
        ("no label in column 'label': row 1", "each row needs one"),
    ),
    "empty and blank texts": (
        edit("pool.csv", lambda content: content + b'""\n"  \t "\n'),
        (),
        ("pool.csv", "empty or blank text in column 'text'", "row 31", "row 32", "--drop-blank", "--keep-blank"),
    ),
    "NUL bytes": (edit("pool.csv", lambda content: content + b"a\0b\n"), (), ("pool.csv", "NUL byte at byte", "line 32")),
    "wrong encoding": (
        edit("pool.csv", lambda content: content + "Schöne Grüße\n".encode("latin-1")),
        (),
        ("pool.csv", "0xF6, which is not UTF-8 here", "--encoding latin-1"),
    ),
    "no such encoding": (lambda place: None, ("--encoding", "utf-9"), ("no encoding 'utf-9'",)),
    "unbalanced quotes": (
        edit("train.csv", lambda content: content + b'"An open quote,negative\nnext,positive\n'),
        (),
        ("train.csv", "unbalanced quotes: row 9", "--no-quotes"),
    ),
    "wrong number of cells": (
        edit("train.csv", lambda content: content + b"one,two,three\n"),
        (),
        ("rows must have the 2 cells of the header: row 9", "has 3"),
    ),
    "duplicate ids": (repeated_ids, ("--id-column", "key"), ("train.csv", "ids must be unique", "'a'", "row 8")),
    "test rows that are training rows": (
        edit("train.csv", lambda content: content + f'"{sentences()[38]}",negative\n'.encode()),
        (),
        ("train:9", "--allow-overlap"),
    ),
    "a broken line of JSON": (
        lambda place: (place / "train.jsonl").write_text('{"text": "a", "label": "negative"}\n{"text": \n'),
        ("--train", "train.jsonl"),
        ("train.jsonl: invalid JSON: row 2", "each line must be one JSON object"),
    ),
    "several mistakes": (
        edit("train.csv", lambda content: content.replace(b",positive", b",fine", 1).replace(b",negative", b",", 1) + b",negative\n"),
        (),
        ("3 problems", "'fine' (1 row", "no label in column 'label'", "empty or blank text in column 'text': row 9"),
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files(name: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change, flags, messages = BAD_FILES[name]
    monkeypatch.chdir(place)
    change(place)
    drop = ("--train",) if "--train" in flags else ()
    refused(place, *messages, found=train(place, *flags, drop=drop))


BAD_FLAGS: dict[str, tuple[dict[str, object], tuple[str, ...], tuple[str, ...]]] = {
    "no steps": ({"member.steps": 0}, (), ("member.steps is 0; at least 1 is legal",)),
    "negative learning rate": ({"classifier.learning_rate": -1e-4}, (), ("classifier.learning_rate is -0.0001; above 0 and below 1",)),
    "no number": ({"member.steps": "many"}, (), ("member.steps is 'many'; a whole number is legal",)),
    "unknown setting": ({"member.step": 3}, (), ("no such setting: member.step; legal are", "; did you mean member.steps?\n")),
    "unknown method": ({}, ("--method", "magic"), ("method is 'magic'; legal are pet, ipet, single",)),
    "misspelt preset": ({}, ("--preset", "papr"), ("'papr'", "; did you mean paper?\n")),
    "unknown preset": ({}, ("--preset", "huge"), ("'huge'", "legal are auto, paper, superglue, large, small")),
    "unknown device": ({}, ("--device", "abacus"), ("--device is 'abacus'", "legal are auto, cpu, cuda")),
    "patterns out of range": ({"patterns": "0,3"}, (), ("patterns names [3]", "has the patterns 0 to 0")),
    "a setting without value": ({}, ("--set", "seed"), ("--set: 'seed' is no NAME=VALUE",)),
    "too many shots": ({}, ("--shots", "5"), ("--shots 5 needs 5 labelled rows of every label", "'negative' has 4")),
    "negative shots": ({}, ("--shots", "-1"), ("--shots must be 0 or more, not -1",)),
    "several at once": ({"member.steps": 0, "temperature": -1}, (), ("2 problems", "member.steps is 0", "temperature is -1")),
}


@pytest.mark.parametrize("name", BAD_FLAGS)
def test_bad_flags(name: str, place: Path) -> None:
    settings, flags, messages = BAD_FLAGS[name]
    if "--method" in flags:
        settings = {**settings, "method": "magic"}
    refused(place, *messages, found=train(place, *flags, settings=settings))


@pytest.mark.parametrize("drop", ["--train", "--unlabeled"])
def test_rows_that_a_method_needs(drop: str, place: Path) -> None:
    method = "supervised" if drop == "--train" else "pet"
    refused(place, f"--method {method}", drop, found=train(place, drop=(drop,), settings={"method": method}))


BAD_TASKS: dict[str, tuple[str, tuple[str, ...]]] = {
    "raises": (TASK + "\n1 / 0\n", ("tone.py, line 6: ZeroDivisionError",)),
    "no Python": ("task = Task(", ("tone.py, line 1: SyntaxError",)),
    "no task": ("x = 1\n", ("tone.py defines no task",)),
    "unknown field": (TASK.replace("{text}", "{body}"), ("{body}", "legal are mask, text")),
    "two labels with one word": (TASK.replace('"good"', '"bad"'), ("'bad'",)),
    "a word unknown to the tokenizer": (TASK.replace('"good"', '"好"'), ("'好'",)),
}


@pytest.mark.parametrize("name", BAD_TASKS)
def test_bad_tasks(name: str, place: Path) -> None:
    text, messages = BAD_TASKS[name]
    (place / "tone.py").write_text(text, encoding="utf-8")
    refused(place, *messages, found=train(place))


def pickle_only(place: Path) -> None:
    from safetensors.torch import load_file

    torch.save(load_file(place / "model" / "model.safetensors"), place / "model" / "pytorch_model.bin")
    (place / "model" / "model.safetensors").unlink()


BAD_MODELS: dict[str, tuple[Change, tuple[str, ...]]] = {
    "no model": (lambda place: (place / "model" / "config.json").unlink(), ("has no config.json, so it is not a model folder",)),
    "no folder": (lambda place: shutil.rmtree(place / "model"), ("no such folder",)),
    "a file": (lambda place: (place / "model").rename(place / "old") and (place / "model").write_text("x"), ("is a file",)),
    "pickle only": (pickle_only, ("has only pickle weights (pytorch_model.bin)", "only safetensors are opened")),
    "cut off": (edit("model/model.safetensors", lambda content: content[:-100]), ("model.safetensors is missing, cut off or damaged",)),
    "no tokenizer": (lambda place: (place / "model" / "tokenizer.json").unlink(), ("has no tokenizer",)),
    "no masked language model": (
        edit("model/config.json", lambda content: content.replace(b'"bert"', b'"gpt2"')),
        ("has the model type 'gpt2'; legal are bert",),
    ),
}


@pytest.mark.parametrize("name", BAD_MODELS)
def test_bad_models(name: str, place: Path) -> None:
    change, messages = BAD_MODELS[name]
    change(place)
    refused(place, *messages, found=train(place))


def test_out_is_a_file(place: Path) -> None:
    (place / "run").write_text("mine")
    refused(place, "run is a file; give a folder (--out)", found=train(place))
    assert (place / "run").read_text() == "mine"


def test_out_is_a_folder_of_something_else(place: Path) -> None:
    (place / "run").mkdir()
    (place / "run" / "thesis.tex").write_text("mine")
    found = train(place)
    assert found.exit_code == 2
    assert "is not empty and not a run (it holds thesis.tex)" in found.stderr
    assert [path.name for path in (place / "run").iterdir()] == ["thesis.tex"]


def test_the_corrected_command_runs(place: Path) -> None:
    text = (place / "train.csv").read_text()
    (place / "train.csv").write_text(text.replace("positive", "postive"))
    assert train(place).exit_code == 2
    assert train(place, settings={"member.steps": 0}).exit_code == 2
    (place / "train.csv").write_text(text)
    found = train(place)
    assert found.exit_code == 0, found.output
    assert json.loads((place / "run" / "report.json").read_text())["data"]["rows"]["train"] == 8


def test_a_run_with_other_settings_is_refused(place: Path) -> None:
    assert train(place).exit_code == 0
    found = train(place, settings={"seed": 3})
    assert found.exit_code == 2
    assert "setting seed: 42 -> 3" in found.stderr
    assert train(place).exit_code == 0


# What looks bad and works


def finished(place: Path, found: Result) -> tuple[dict[str, Any], list[str]]:
    """The report of ``petkit train --json``, and its notices."""
    assert found.exit_code == 0, found.output + repr(found.exception)
    printed = json.loads(found.stdout)
    assert found.stderr == ""
    return printed, printed["notices"]


@pytest.mark.parametrize("size", [2**17, pytest.param(2**21, marks=pytest.mark.slow)])
def test_a_text_that_is_a_book(size: int, place: Path) -> None:
    long = " ".join(sentences()[100:140]) + " "
    for name, row in (
        ("train.csv", f'"{long}",positive\n'),
        ("pool.csv", f'"{long * (size // len(long) + 1)}"\n'),
        ("test.csv", f'"x {long}",negative\n'),
    ):
        with (place / name).open("a", encoding="utf-8") as file:
            file.write(row)
    assert (place / "pool.csv").stat().st_size > size
    report, _ = finished(place, train(place, "--json", settings={"max_length": 256, "token_budget": 512}))
    assert report["data"]["rows"] == {"train": 9, "pool": 31, "test": 13, "train_before_draw": 9}


def test_test_rows_in_the_pool_are_left_out_and_told(place: Path) -> None:
    with (place / "pool.csv").open("a", encoding="utf-8") as file:
        file.write(f'"{sentences()[38].upper()}"\n')
    report, notices = finished(place, train(place, "--json"))
    assert report["data"]["removed_from_pool"] == 1
    assert "1 unlabelled rows equal a test row and were left out" in notices


def test_overlap_that_was_allowed_is_stamped(place: Path) -> None:
    with (place / "train.csv").open("a", encoding="utf-8") as file:
        file.write(f'"{sentences()[38]}",negative\n')
    report, notices = finished(place, train(place, "--json", "--allow-overlap"))
    assert report["data"]["overlap"] == ["train:9"]
    assert "--allow-overlap" in (place / "run" / "report.md").read_text()
    assert any("test scores are too good" in notice for notice in notices)


def test_blank_rows_that_were_dropped_are_counted(place: Path) -> None:
    with (place / "pool.csv").open("a", encoding="utf-8") as file:
        file.write('""\n"  "\n')
    report, notices = finished(place, train(place, "--json", "--drop-blank"))
    assert report["data"]["blank_dropped"] == 2
    assert "2 rows with an empty or blank text were dropped (--drop-blank)" in notices


def test_blank_rows_that_were_kept(place: Path) -> None:
    with (place / "pool.csv").open("a", encoding="utf-8") as file:
        file.write('""\n"  "\n')
    report, _ = finished(place, train(place, "--json", "--keep-blank"))
    assert report["data"]["rows"]["pool"] == 32


def test_a_pool_too_small_for_ipet(place: Path) -> None:
    write_rows(place / "pool.csv", sentences()[8:12])
    report, notices = finished(place, train(place, "--json", settings={"method": "ipet", "ipet.scale": 5.0, "ipet.generations": 2}))
    assert any("of its quota of" in notice and "are missing" in notice for notice in notices)
    assert [entry["generation"] for entry in report["scores"]["generations"]] == [0, 1, 2]
    assert "some labels got fewer rows than their quota" in (place / "run" / "report.md").read_text()


def test_a_class_that_nobody_predicts(place: Path) -> None:
    """One labelled row of it among many others."""
    texts = sentences()
    write_rows(place / "train.csv", texts[:8], labelled=True)
    lines = (place / "train.csv").read_text().replace("positive", "negative").splitlines()
    lines[-1] = lines[-1].replace("negative", "positive")
    (place / "train.csv").write_text("\n".join(lines) + "\n")
    settings = {"method": "ipet", "member.steps": 20, "member.learning_rate": 0.05, "member.mlm_weight": 0}
    report, notices = finished(place, train(place, "--json", settings=settings))
    generations = report["scores"]["generations"]
    assert generations[0]["pool_labels"] == {"negative": 30, "positive": 0}
    assert any("label 'positive'" in notice and "too few rows" in notice for notice in notices)


def test_commands_in_a_process_of_their_own(place: Path) -> None:
    """As a user sees it: the exit code of the process, its two streams, and nothing left of the run."""
    (place / "train.csv").write_text("")
    command = [sys.executable, "-c", "from petkit.cli import main; main()", "train", "tone.py", "--out", "run", "--model", "model"]
    command += ["--train", "train.csv", "--unlabeled", "pool.csv", "--device", "cpu"]
    found = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=120, check=False)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == "Error: train.csv: is empty; the first line must name the columns\n"
    assert not (place / "run").exists()
