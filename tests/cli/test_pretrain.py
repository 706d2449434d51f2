"""`petkit pretrain`: what its flags become, and one very small run of the real thing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from petkit import pretraining
from petkit.backbones import load_masked_lm, load_tokenizer
from petkit.cli import pretrain as cli_pretrain
from petkit.cli.app import app
from petkit.pretraining import PretrainSettings
from petkit.pretraining.ranks import Dismissed
from tests.builders import docstrings, tiny_masked_lm

runner = CliRunner()
FIGURES = {
    "steps": 3,
    "loss": 6.54321,
    "held_out": {"mlm": 6.54321, "mlm_accuracy": 0.125},
    "model": "run/model",
    "text_tokens": 4000,
    "held_out_tokens": 41,
}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    made: list[Any] = []

    def run_pretraining(*arguments: Any, **options: Any) -> dict[str, Any]:
        made.append((*arguments, options))
        return FIGURES

    monkeypatch.setattr(pretraining, "run_pretraining", run_pretraining)
    return made


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "text.jsonl"
    path.write_text("".join(json.dumps({"body": text}) + "\n" for text in docstrings()[:120]))
    return path


def petkit(*arguments: str | Path, code: int = 0) -> Result:
    found = runner.invoke(app, [str(argument) for argument in arguments])
    assert found.exit_code == code, found.output
    return found


def test_flags_reach_the_settings(calls: list[Any]) -> None:
    petkit(
        *("pretrain", "a.txt", "b.jsonl", "--out", "run", "--objective", "distilbert", "--size", "layers=3,hidden=192"),
        *("--keep-words", "sports,terrible", "--keep-words", "zebra", "--steps", "30", "--learning-rate", "0.002", "--mask-rate", "0.3"),
        *("--rows", "16", "--length", "64", "--long-length", "300", "--text-column", "body", "--half", "--seed", "5", "--device", "cpu"),
        *("--precision", "bfloat16", "--accumulate", "2", "--separate", "--mix-cap", "9", "--mix-temperature", "2"),
        *("--held-out", "0.2", "--measure-every", "7", "--dropout", "0.3", "--workers", "3", "--gradient-checkpointing", "--compile"),
        *("--encoding", "latin-1", "--cache", "kept", "--tensorboard", "--teacher", "big"),
        *("--threads", "3", "--deterministic", "--vocab-size", "5000", "--no-quotes"),
    )
    ((sources, settings, out, options),) = calls
    assert (sources, out, options["column"], options["half"]) == (["a.txt", "b.jsonl"], "run", "body", True)
    assert (options["cache"], options["tensorboard"], options["encoding"], options["quotes"]) == ("kept", True, "latin-1", False)
    assert settings == PretrainSettings(
        steps=30,
        objectives=("distilbert",),
        layers=3,
        hidden=192,
        vocabulary=5000,
        keep=("sports", "terrible", "zebra"),
        mask_rate=0.3,
        rows=16,
        length=64,
        long_length=300,
        max_positions=300,
        learning_rate=0.002,
        precision="bfloat16",
        seed=5,
        accumulate=2,
        separate=True,
        mix_cap=9,
        mix_temperature=2.0,
        held_out=0.2,
        measure_every=7,
        dropout=0.3,
        workers=3,
        gradient_checkpointing=True,
        compile=True,
        teacher="big",
        threads=3,
        deterministic=True,
    )


def test_a_tokenizer_and_a_way_of_mixing_are_taken(calls: list[Any]) -> None:
    petkit("pretrain", "a.txt", "--out", "run", "--tokenizer", "words", "--mixing", "equal", "--init", "here", "--device", "cpu")
    assert (calls[0][1].tokenizer, calls[0][1].mixing, calls[0][1].init) == ("words", "equal", "here")


def test_objectives_come_by_commas_and_architectures_by_name(calls: list[Any]) -> None:
    petkit("pretrain", "a.txt", "--out", "run", "--objective", "mlm, nsp", "--arch", "albert", "--device", "cpu")
    assert (calls[0][1].objectives, calls[0][1].arch) == (("mlm", "nsp"), "albert")


def test_units_come_from_a_column(calls: list[Any]) -> None:
    petkit("pretrain", "a.jsonl", "--out", "run", "--objective", "mlm,ernie", "--units", "entities", "--device", "cpu")
    assert (calls[0][1].objectives, calls[0][1].units) == (("mlm", "ernie"), "entities")


def test_the_help_says_what_units_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    told = " ".join(petkit("pretrain", "--help").stdout.replace("│", " ").split())
    assert (
        "--units COLUMN For ernie: where each text's phrases or entities stand, as a list of pairs of its characters, start and end."
        in told
    )


def test_builtin_words_are_the_label_words(calls: list[Any]) -> None:
    petkit("pretrain", "a.txt", "--out", "run", "--keep-words", "builtin", "--keep-words", "zebra", "--device", "cpu")
    keep = calls[0][1].keep
    assert {"Sports", "terrible", "zebra"} <= set(keep)
    assert len(set(keep)) == len(keep)


@pytest.mark.parametrize(("size", "expected"), [("tiny", (2, 128)), ("base", (12, 768)), ("hidden=64, layers=1", (1, 64))])
def test_sizes_by_name_and_number(calls: list[Any], size: str, expected: tuple[int, int]) -> None:
    petkit("pretrain", "a.txt", "--out", "run", "--size", size, "--device", "cpu")
    assert (calls[0][1].layers, calls[0][1].hidden) == expected


def test_the_whole_shape_can_be_said(calls: list[Any]) -> None:
    petkit("pretrain", "a.txt", "--out", "run", "--size", "layers=2,hidden=120,heads=3,intermediate=200", "--device", "cpu")
    settings = calls[0][1]
    assert (settings.layers, settings.hidden, settings.heads, settings.intermediate) == (2, 120, 3, 200)


def test_the_end_names_the_model_and_the_next_command(calls: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    order = ("pretrain", "a.txt", "--out", "run", "--device", "cpu")
    assert petkit(*order).stdout == "Held-out text (41 of 4,000 tokens): mlm 6.54, mlm_accuracy 0.125\nModel: run/model\n"
    (tmp_path / "run" / "model").mkdir(parents=True)
    (tmp_path / "run" / "model" / "config.json").write_text('{"model_type": "bert"}')
    assert petkit(*order).stdout.endswith("Next: petkit train TASK --model run/model ...\n")  # it is one that fills gaps
    assert json.loads(petkit(*order, "--json").stdout) == FIGURES


def test_the_end_tells_the_speed(calls: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {"mlm": {"rows_per_second": 60.25}, "nsp": {"pairs_per_second": 35.75}}
    found = {"tokens_per_second": 12345.6, "rows_per_second": 96.0, "objectives": parts}
    monkeypatch.setattr(pretraining, "measured", lambda out: found if str(out) == "run" else {})
    order = ("pretrain", "a.txt", "--out", "run", "--device", "cpu")
    assert "\nSpeed: 12,346 tokens/s, mlm 60.2 rows/s, nsp 35.8 pairs/s\n" in petkit(*order).stdout
    assert json.loads(petkit(*order, "--json").stdout) == {**FIGURES, "measured": found}


def test_only_the_first_process_of_several_speaks(calls: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(pretraining, "run_pretraining", lambda *_, **__: {})
    found = petkit("pretrain", "a.txt", "--out", "run", "--device", "cpu")
    assert (found.stdout, found.stderr) == ("", "")

    def dismissed(*_: Any, **__: Any) -> None:
        raise Dismissed("the text is empty", 2)

    monkeypatch.setattr(pretraining, "run_pretraining", dismissed)
    monkeypatch.setattr(cli_pretrain, "_GRACE", 0.0)
    found = petkit("pretrain", "a.txt", "--out", "run", "--device", "cpu", code=2)
    assert (found.stdout, found.stderr) == ("", "")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--size", "huge"], "--size is 'huge'; legal are tiny, mini"),
        (["--size", "layers=2"], "--size is 'layers=2', without hidden; legal are tiny, mini, small, medium, base, and layers=N,hidden=N"),
        (["--size", "layers=2,hidden=128,heads"], "--size is 'layers=2,hidden=128,heads', where heads is ''; legal"),
        (["--size", "layers=2,hidden=128,layers=3"], "with layers twice; legal"),
        (["--size", "layers=2,width=128"], "with 'width' in it; legal"),
        (["--size", "layers=²,hidden=128"], "where layers is '²'; legal"),
        (["--threads", "0"], "threads is 0"),
        (["--length", "3"], "length is 3"),
        (["--device", "tpu7"], "'tpu7'; legal are auto, cpu"),
        (["--objective", "guess"], "guess"),
        (["--objective", ","], "--objective is ',', in which a name is empty; one name is legal"),
        (["--objective", "mlm,"], "--objective is 'mlm,', in which a name is empty; one name is legal"),
        (["--objective", "mlm,nsp,mlm"], "objectives are mlm, nsp, mlm; each once is legal"),
        (["--objective", "causal", "--mask-rate", "0.2"], "has no mask rate"),
        (["--objective", "t5", "--arch", "t5", "--mask-rate", "1.0"], "--mask-rate is 1.0; with --objective t5 so much noise"),
        (["--arch", "bert", "--init", "builtin"], "--arch is for a new model"),
        (["--size", "base", "--init", "builtin"], "--size is for a new model; --init takes a checkpoint's own"),
        (["--vocab-size", "900", "--init", "builtin"], "--vocab-size is for a new tokenizer; --init takes a checkpoint's own"),
        (["--keep-words", "zebra", "--tokenizer", "builtin"], "--keep-words is for a new tokenizer; --tokenizer names one"),
        (["--mixing", "equal", "--mix-cap", "3"], "mix_cap and mix_temperature go with mixing proportional"),
        (["--accumulate", "99"], "accumulate is 99"),
        (["--keep-words", "new york,zebra"], "keep (--keep-words) holds 'new york'; words without blanks are legal"),
        (["--objective", "ernie"], "--objective ernie goes by units that must come with the text; --units names the column"),
        (["--units", "entities"], "units is 'entities'; --units is legal with --objective ernie, which goes by a column's units"),
        (["--teacher", "builtin"], "teacher is builtin; --teacher is legal with --objective distilbert"),
        (["--mixing", "some"], "mixing is 'some'"),
        (["--steps", "0"], "steps"),
        (["--learning-rate", "-1"], "learning_rate"),
    ],
)
def test_wrong_orders_are_told(calls: list[Any], flags: list[str], message: str) -> None:
    found = petkit("pretrain", "a.txt", "--out", "run", "--device", "cpu", *flags, code=2)
    assert message in found.stderr
    assert (calls, found.stdout) == ([], "")


@pytest.mark.slow
def test_a_model_comes_out(corpus: Path, tmp_path: Path) -> None:
    small = ("--size", "layers=1,hidden=32", "--vocab-size", "800", "--steps", "3", "--rows", "4", "--length", "32", "--device", "cpu")
    found = petkit("pretrain", corpus, "--text-column", "body", "--out", tmp_path / "run", *small, "--json")
    model = json.loads(found.stdout)["model"]
    assert load_masked_lm(model).vocab_size == len(load_tokenizer(model))
    assert found.stderr == ""


@pytest.mark.slow
def test_a_checkpoint_is_adapted(corpus: Path, tmp_path: Path) -> None:
    start = tiny_masked_lm("bert", tmp_path / "start")
    small = ("--steps", "3", "--rows", "4", "--length", "32", "--device", "cpu", "--init", start)
    figures = json.loads(petkit("pretrain", corpus, "--text-column", "body", "--out", tmp_path / "run", *small, "--json").stdout)
    assert figures["loss"] != figures["loss_before"]


@pytest.mark.slow
def test_phrases_of_a_column_are_learned_whole(tmp_path: Path) -> None:
    """Texts of a few phrases that tell each other: the loss falls far below that of guessing."""
    places = (("New York", "the Hudson"), ("Buenos Aires", "the Rio de la Plata"), ("Saint Louis", "the old Mississippi"))
    path = tmp_path / "notes.jsonl"
    with path.open("w") as file:
        for i in range(150):
            city, river = places[i % 3]
            text = f"They went\tto {city}, which lies by {river}."
            spans = [[text.index(name), text.index(name) + len(name)] for name in (city, river)]
            file.write(json.dumps({"text": text, "entities": spans}) + "\n")
    small = (*("--size", "layers=1,hidden=32", "--vocab-size", "200", "--rows", "16"), *("--length", "24", "--held-out", "0.1"))
    order = ("pretrain", path, "--objective", "ernie", *small, "--learning-rate", "0.005", "--device", "cpu", "--json")
    losses = [
        json.loads(petkit(*order, "--units", "entities", "--steps", str(steps), "--out", tmp_path / str(steps)).stdout)["loss"]
        for steps in (1, 80)
    ]
    assert losses[1] < 0.6 * losses[0]
    found = petkit(*order, "--units", "entity", "--steps", "1", "--out", tmp_path / "wrong", code=2)
    assert "notes.jsonl: no row has a column 'entity'; row 1 has text, entities; name one with --units; did you mean" in found.stderr
    path.write_text(path.read_text() + json.dumps({"text": "Here.", "entities": [[0, 9]]}) + "\n")
    found = petkit(*order, "--units", "entities", "--steps", "1", "--out", tmp_path / "beyond", code=2)
    assert (
        "notes.jsonl: row 151: column 'entities' holds [0, 9], which is beyond the text of its row; that has 5 characters" in found.stderr
    )
    assert not (tmp_path / "beyond" / "tokens").exists()
