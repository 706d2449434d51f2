"""Names that are none of the legal ones: every place that refuses one says which was probably meant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from petkit import Classifier, Task, loading
from petkit.choices import did_you_mean, legal_are, nearest, not_there
from petkit.cli.evaluate import read_earlier
from petkit.cli.pretrain import _size
from petkit.data import readers, rows
from petkit.errors import UserError
from petkit.evaluation.sources import find_sources
from petkit.evaluation.study import evaluate
from petkit.finetuning import sources
from petkit.finetuning.settings import FinetuneSettings, check_kind
from petkit.guessing import guess_columns
from petkit.objectives import presets
from petkit.objectives.texttotext import Denoising
from petkit.pretraining.architectures import architecture
from petkit.pretraining.sourcefiles import source_files
from petkit.pretraining.tokenizers import new_tokenizer
from petkit.report.beside import read_report
from petkit.runs import read_status
from petkit.settings import Settings, apply_changes, preset
from petkit.strategies import strategy
from petkit.textcolumns import column_values, text_columns
from petkit.training import TrainSettings


@pytest.mark.parametrize(
    ("given", "names", "found"),
    [
        ("patern", ["patterns", "seed"], ["patterns"]),
        ("AG-News", ["yelp", "ag_news"], ["ag_news"]),
        ("steps", ["member.steps", "classifier.steps", "seed"], ["member.steps", "classifier.steps"]),
        ("member.setps", ["member.steps", "classifier.steps"], ["member.steps"]),
        ("text", ["Text", "TEXT ", "body"], ["Text", "TEXT "]),
        ("abcdefg", ["abcdef1", "abcdef2", "abcdef3", "abcdef4"], ["abcdef4", "abcdef3", "abcdef2"]),
        ("magic", ["pet", "ipet"], []),
        ("", ["pet"], []),
    ],
)
def test_nearest_names(given: str, names: Sequence[str], found: Sequence[str]) -> None:
    assert nearest(given, names) == found


def test_what_is_legal_gets_no_hint() -> None:
    assert did_you_mean("pet", ["pet", "ipet"]) == ""
    assert did_you_mean(["pet", "ipte"], ["pet", "ipet"]) == "; did you mean ipet for ipte?"
    assert legal_are("magic", ["pet", "ipet"]) == "legal are pet, ipet"


def test_a_file_that_is_called_otherwise(tmp_path: Path) -> None:
    (tmp_path / "labelled.csv").touch()
    assert not_there(tmp_path / "labeled.csv") == "; did you mean labelled.csv?"
    assert not_there(tmp_path / "nowhere" / "labeled.csv") == ""
    assert not_there(tmp_path / ("x" * 5000) / "y") == ""


TASK = Task(name="tone", fields=("text",), patterns="{mask}: {text}", verbalizer={"n": "bad", "p": "good"})
TABLE = {"review": ["a", "b"], "stars": [1, 2]}


class Frame(dict[str, list[object]]):
    """What has columns."""

    columns = ("review", "stars")


def unseen_label() -> None:
    sources.unseen({"positiv": "test:1"}, ["negative", "positive"], what="labels")


REFUSALS: dict[str, tuple[Callable[[], object], str]] = {
    "setting": (lambda: apply_changes(Settings(), {"patern": "0"}), "patterns?"),
    "setting of a part": (lambda: apply_changes(Settings(), {"member": {"setps": 3}}), "member.steps"),
    "two settings": (lambda: apply_changes(Settings(), {"patern": "0", "sed": 1}), "patterns for patern, seed for sed?"),
    "method": (lambda: Settings(method="ipt"), "ipet"),
    "choice": (lambda: apply_changes(Settings(), {"weighting": "unifrom"}), "uniform?"),
    "preset": (lambda: preset("papr"), "paper"),
    "plain objective": (lambda: apply_changes(Settings(), {"member.objective": "mlm-independant"}), "mlm-independent?"),
    "strategy of a member": (lambda: apply_changes(Settings(), {"member.strategy": "adaptor"}), "adapters?"),
    "strategy of the classifier": (lambda: apply_changes(Settings(), {"classifier.strategy": "graduel"}), "gradual?"),
    "strategy": (lambda: strategy("lroa:8"), "lora?"),
    "objective": (lambda: presets.preset("electr"), "electra?"),
    "number of an objective": (lambda: presets.preset("mlm", rat=0.3), "rate?"),
    "objective of a member": (lambda: presets.objective("mlm-independant"), "mlm-independent?"),
    "noise": (lambda: Denoising("x", ("infil",), "me"), "infill?"),
    "architecture": (lambda: architecture("robreta"), "roberta?"),
    "schedule": (lambda: TrainSettings(steps=1, learning_rate=0.1, schedule="linera"), "linear?"),  # type: ignore[arg-type]
    "fine-tuning": (lambda: check_kind("clasify"), "classify?"),
    "target": (lambda: FinetuneSettings(target="similar").resolved("generate"), "similarity?"),
    "strategy of fine-tuning": (lambda: FinetuneSettings(strategy="ful").resolved("classify"), "full?"),
    "task": (lambda: loading.load_task("agnews"), "ag_news"),
    "task's folder": (lambda: find_sources(["yelp"], ["yepl=x"], given=None), "yelp?"),
    "method of a study": (lambda: evaluate(TASK, data="x", out="y", methods=("linear-prob",)), "linear-probe?"),
    "methods of a study": (lambda: evaluate(TASK, data="x", out="y", methods=("tfdf", "pte")), "pet for pte"),
    "splits of a study": (lambda: evaluate(TASK, data="x", out="y", splits="givn"), "given?"),
    "draw of a study": (lambda: evaluate(TASK, data="x", out="y", draw="by_chanse"), "by-chance?"),
    "field": (lambda: rows.choose_columns(TASK, labels="ignored", columns={"txt": "a"}, id_column=None), "text?"),
    "field of a pattern": (
        lambda: Task(name="t", fields=("text",), patterns="{mask} {txt}", verbalizer={"n": "a", "p": "b"}),
        "text",
    ),
    "transform": (
        lambda: Task(name="t", fields=("text",), patterns="{mask} {text:lowercase}", verbalizer={"n": "a", "p": "b"}),
        "lowercase_first?",
    ),
    "label of test rows": (unseen_label, "positive?"),
    "size of a model": (lambda: _size("tinny"), "tiny?"),
    "tokenizer": (lambda: new_tokenizer("unigramm", lambda: ["a"], size=500), "unigram?"),
    "column to guess from": (lambda: guess_columns([{"review": "a", "stars": "1"}], texts=["reviw"]), "review?"),
    "column of texts": (lambda: text_columns(Frame(TABLE), ["reviw"]), "review?"),
    "column of labels": (lambda: column_values(Frame(TABLE), "star"), "stars?"),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_a_refusal_says_what_was_probably_meant(what: str) -> None:
    refused, meant = REFUSALS[what]
    with pytest.raises(UserError) as found:
        refused()
    _, asked, hint = str(found.value).partition("did you mean ")
    assert asked
    assert meant in hint.splitlines()[0]
    assert hint.splitlines()[0].endswith("?")


def test_folders_and_files_of_other_names(tmp_path: Path) -> None:
    for name in ("yelp_full", "yelp_full/given"):
        (tmp_path / name).mkdir()
    for name in ("train.csv", "test.csv", "given/train_1.csv"):
        (tmp_path / "yelp_full" / name).touch()
    with pytest.raises(UserError, match=r"did you mean yelp_full\?"):
        find_sources(["yelpfull", "other"], [str(tmp_path)], given=None)
    with pytest.raises(UserError, match=r"did you mean given\?"):
        find_sources(["yelp_full"], [str(tmp_path)], given="given:givn")
    with pytest.raises(UserError, match=r"did you mean yelp_full\?"):
        find_sources(["yelp_full"], [str(tmp_path / "yelp_fulll")], given=None)
    for asks in (read_status, read_report, read_earlier, Classifier.load, lambda path: source_files(str(path))):
        with pytest.raises(UserError, match=r"did you mean yelp_full\?$"):
            asks(tmp_path / "yelp-full")
    (tmp_path / "rows.cvs").touch()
    with pytest.raises(UserError, match=r"did you mean \.csv"):
        list(readers.iter_records(str(tmp_path / "rows.cvs")))
    with pytest.raises(UserError, match=r"did you mean rows\.cvs\?"):
        list(readers.iter_records(str(tmp_path / "rows.csv")))
