"""Pretraining on raw text: it learns, adapts, survives kills, and leaves what plain transformers opens."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification, AutoTokenizer

from petkit import files
from petkit.errors import DataError, RunError, SettingsError
from petkit.objectives import stream
from petkit.pretraining import PretrainSettings, loop, pretrain, run_pretraining
from petkit.pretraining.learners import MaskedLearner
from petkit.pretraining.packing import PackedRows
from petkit.pretraining.texts import InMemory, read_texts
from petkit.training import train
from petkit.units import UnitContext
from tests.builders import tiny_masked_lm

SMALL = {"vocabulary": 200, "layers": 1, "hidden": 32, "rows": 16, "length": 24, "held_out": 0.1, "learning_rate": 5e-3}


def documents(*, animal: str = "cat", count: int = 150) -> list[list[str]]:
    """Sentences in which every word follows from the others, but for one."""
    rng, places = stream(1), (("garden", "green"), ("kitchen", "warm"), ("harbour", "wet"))
    picks = rng.integers(0, 3, size=count)
    return [[f"the old {animal} sits in the {places[i][0]} because the {places[i][0]} is so very {places[i][1]} today"] for i in picks]


def context_of(folder: Path) -> UnitContext:
    for name in ("out", "work"):
        (folder / name).mkdir(parents=True)
    return UnitContext("model", folder, folder / "out", folder / "work", lambda *_, **__: None, None, {})


def pretrained(folder: Path, texts: list[list[str]] | None = None, *, half: bool = False, **settings: Any) -> dict[str, Any]:
    return pretrain(texts or documents(), PretrainSettings(**{**SMALL, **settings}), context=context_of(folder), half=half)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A model that has learned ``documents()``, and its figures."""
    folder = tmp_path_factory.mktemp("learned")
    figures = pretrained(folder, steps=200, keep=("Sports",))
    return folder / "out", figures


def test_a_small_model_learns_what_a_text_repeats(learned: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    figures = learned[1]
    untrained = pretrained(tmp_path, steps=1, keep=("Sports",))
    assert untrained["loss"] == pytest.approx(math.log(figures["vocabulary"]), rel=0.2)
    assert figures["loss"] < 0.5 * untrained["loss"]
    assert figures["accuracy"] > 0.6
    assert "loss_before" not in figures


def test_the_figures_count_what_was_done(learned: tuple[Path, dict[str, Any]]) -> None:
    folder, figures = learned
    model = AutoModelForMaskedLM.from_pretrained(folder)
    words = AutoTokenizer.from_pretrained(folder)
    assert figures["steps"] == 200
    assert figures["tokens"] == 200 * 16 * 24
    assert figures["parameters"] == sum(p.numel() for p in model.parameters())
    assert figures["vocabulary"] == len(words) == model.config.vocab_size <= 200
    assert figures["text_tokens"] == sum(len(words(d[0], add_special_tokens=False)["input_ids"]) for d in documents())
    assert words.tokenize("Sports") == ["sports"]


def test_plain_transformers_fills_the_gap(learned: tuple[Path, dict[str, Any]]) -> None:
    model, words = AutoModelForMaskedLM.from_pretrained(learned[0]).eval(), AutoTokenizer.from_pretrained(learned[0])
    inputs = words("the old cat sits in the garden because the [MASK] is so very green today", return_tensors="pt")
    with torch.inference_mode():
        logits = model(**inputs).logits[inputs["input_ids"] == words.mask_token_id]
    assert words.decode(logits.argmax(-1)) == "garden"
    assert model.config.hidden_dropout_prob == model.config.attention_probs_dropout_prob == 0.1


def test_adapting_a_checkpoint_lowers_its_loss_and_keeps_its_tokenizer(learned: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    source = learned[0]
    figures = pretrained(tmp_path, documents(animal="today"), init=str(source), steps=30, learning_rate=1e-3)
    assert figures["loss"] < 0.8 * figures["loss_before"]
    assert figures["accuracy"] > figures["accuracy_before"]
    assert (tmp_path / "out" / "tokenizer.json").read_bytes() == (source / "tokenizer.json").read_bytes()
    before, after = (AutoModelForMaskedLM.from_pretrained(folder).state_dict() for folder in (source, tmp_path / "out"))
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("family", ["roberta", "modernbert"])
def test_checkpoints_of_other_families_are_adapted_too(family: str, tmp_path: Path) -> None:
    init = tiny_masked_lm(family, tmp_path / "init")
    figures = pretrained(tmp_path / "run", init=str(init), steps=12, learning_rate=1e-3)
    assert figures["loss"] < figures["loss_before"]
    assert AutoModelForMaskedLM.from_pretrained(tmp_path / "run" / "out").config.model_type == family


def test_half_precision_is_half_the_size_and_opens_in_plain_transformers(tmp_path: Path) -> None:
    for half in (False, True):
        pretrained(tmp_path / str(half), steps=2, half=half)
    whole, halved = (tmp_path / name / "out" / "model.safetensors" for name in ("False", "True"))
    assert halved.stat().st_size < 0.55 * whole.stat().st_size
    assert {tensor.dtype for tensor in load_file(halved).values()} == {torch.float16}
    model = AutoModelForMaskedLM.from_pretrained(halved.parent, dtype=torch.float32)
    for name, value in AutoModelForMaskedLM.from_pretrained(whole.parent).state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value.half().float())
    assert torch.isfinite(AutoModelForMaskedLM.from_pretrained(halved.parent)(torch.tensor([[2, 4, 3]])).logits).all()


def test_bfloat16_gives_about_the_same_loss_and_float32_weights(tmp_path: Path) -> None:
    exact, rough = (pretrained(tmp_path / name, steps=5, precision=name) for name in ("float32", "bfloat16"))
    assert rough["loss"] == pytest.approx(exact["loss"], rel=0.05)
    assert {tensor.dtype for tensor in load_file(tmp_path / "bfloat16" / "out" / "model.safetensors").values()} == {torch.float32}


def test_the_same_seed_gives_the_same_model_and_another_one_another(tmp_path: Path) -> None:
    figures = [pretrained(tmp_path / str(run), steps=4, seed=seed) for run, seed in enumerate([1, 1, 2])]
    models = [(tmp_path / str(run) / "out" / "model.safetensors").read_bytes() for run in range(3)]
    assert figures[0] == figures[1] != figures[2]
    assert models[0] == models[1] != models[2]


def test_long_rows_take_the_last_share_of_the_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []
    forward = MaskedLearner.forward

    def noted(self: Any, batch: Any, counts: Any) -> Any:
        seen.append(batch.inputs.shape)
        return forward(self, batch, counts)

    monkeypatch.setattr(MaskedLearner, "forward", noted)
    pretrained(tmp_path, steps=10, rows=8, long_length=48, long_share=0.3)
    assert seen == [(8, 24)] * 7 + [(4, 48)] * 3


def test_text_held_out_is_never_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every document has a word of its own; those of the rows that an update sees and those that are measured are told apart by it."""
    seen: dict[str, set[int]] = {"train": set(), "held": set()}
    batch = PackedRows.batch

    def noted(self: Any, chosen: Any, objective: Any, *args: Any, **named: Any) -> Any:
        ids = self.rows(chosen, cls_id=2, sep_id=3, pad_id=0)[0]
        seen["held" if objective.random == 0 else "train"] |= set(ids.flatten().tolist())
        return batch(self, chosen, objective, *args, **named)

    monkeypatch.setattr(PackedRows, "batch", noted)
    own = [[f"{'abcdefghij'[i // 10] * 3}{'klmnopqrst'[i % 10] * 3}"] for i in range(100)]
    pretrained(tmp_path, own, steps=40, vocabulary=600, keep=tuple(text[0] for text in own))
    words = {
        i
        for i, piece in enumerate(AutoTokenizer.from_pretrained(tmp_path / "out").convert_ids_to_tokens(range(600)))
        if len(piece or "") == 6 and piece.isalpha()
    }
    assert seen["held"] & words
    assert (seen["held"] | seen["train"]) & words == words
    assert not seen["held"] & seen["train"] & words


@pytest.mark.parametrize("count", [2, 3, 20])
def test_a_little_text_is_split_whatever_the_draw(tmp_path: Path, count: int) -> None:
    """Into two parts that have no document in common; each document has a number of its own."""
    texts = [[f"{document[0]} number{i}"] for i, document in enumerate(documents(count=count))]
    keep = tuple(f"number{i}" for i in range(count))
    for seed in range(3):
        settings = PretrainSettings(**{**SMALL, "steps": 1, "held_out": 0.01, "seed": seed, "keep": keep})
        words, tokens = read_texts({"text": InMemory(texts)}, settings, context_of(tmp_path / str(seed)).work, tmp_path / "tokens")
        numbers = set(words.convert_tokens_to_ids(list(keep)))
        train, held = (set(part.ids.tolist()) & numbers for part in (tokens["text"].train, tokens["text"].held))
        assert len(numbers) == count
        assert train
        assert held
        assert not train & held
        assert train | held == numbers


@pytest.mark.parametrize("texts", [[[]], [["one"]], [[""], [""]]])
def test_too_little_text_is_refused(tmp_path: Path, texts: list[list[str]]) -> None:
    with pytest.raises(DataError, match="too little"):
        pretrained(tmp_path, texts, steps=1)


def test_text_of_which_the_tokenizer_knows_nothing_is_refused(learned: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="another language"):
        pretrained(tmp_path, [["\u4f60\u597d\u4e16\u754c"], ["\u597d\u4e66"]], init=str(learned[0]), steps=1)


def test_rows_longer_than_the_checkpoint_reads_are_refused(learned: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"rows of 300 tokens exceed the 256"):
        pretrained(tmp_path, init=str(learned[0]), steps=1, length=300)


def test_every_impossible_setting_is_named_at_once() -> None:
    wrong = {"rows": 0, "length": 4, "hidden": 100, "layers": 0, "held_out": 1.0, "dropout": 1.0, "vocabulary": 3, "long_share": 2.0}
    with pytest.raises(SettingsError) as caught:
        PretrainSettings(steps=0, learning_rate=-1.0, objectives=("spans",), **wrong)  # type: ignore[arg-type]
    message = str(caught.value)
    for part in ("rows is 0", "length is 4", "hidden is 100; a multiple of 64", "layers is 0", "held_out is 1.0", "dropout is 1.0"):
        assert part in message
    for part in ("vocabulary is 3", "long_share is 2.0", "'spans' is unknown", "steps is 0", "learning_rate is -1.0", "11 problems"):
        assert part in message


# In a run folder


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


def text_file(folder: Path) -> str:
    path = folder / "text.txt"
    path.write_text("\n\n".join(document[0] for document in documents(count=80)))
    return str(path)


RUN = PretrainSettings(**{**SMALL, "steps": 6, "dropout": 0.2})  # type: ignore[arg-type]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


STOPS = [("write", 1), ("renamed", 1), ("renamed", 4)]


@pytest.mark.parametrize(
    ("point", "time"), [*((f"{point} training.safetensors", time) for point, time in STOPS), ("rename model", 1), ("rename model", 2)]
)
def test_a_killed_run_resumes_and_ends_as_an_undisturbed_one(tmp_path: Path, stop_at: Any, point: str, time: int) -> None:
    source = text_file(tmp_path)
    undisturbed = run_pretraining([source], RUN, str(tmp_path / "a"))
    stop_at(point, time)
    with pytest.raises(Stopped):
        run_pretraining([source], RUN, str(tmp_path / "b"))
    files.observers.clear()
    assert not (tmp_path / "b" / "model").exists()
    begun: list[int] = []
    resumed = run_pretraining(
        [source], RUN, str(tmp_path / "b"), on_event=lambda e: begun.append(e.done or 0) if e.kind == "progress" else None
    )
    assert resumed == {**undisturbed, "model": str(tmp_path / "b" / "model")}
    assert contents(tmp_path / "a" / "model") == contents(tmp_path / "b" / "model")
    assert not list((tmp_path / "b").rglob("training.safetensors"))
    if point == "renamed training.safetensors":
        assert begun[0] == time + 1  # it went on from the checkpoint


def test_a_finished_run_is_not_run_again_and_other_settings_are_refused(tmp_path: Path) -> None:
    source, kinds = text_file(tmp_path), []
    first = run_pretraining([source], RUN, str(tmp_path / "a"))
    assert run_pretraining([source], RUN, str(tmp_path / "a"), on_event=lambda event: kinds.append(event.kind)) == first
    assert kinds == ["skipped"]
    with pytest.raises(RunError, match="steps: 6 -> 7"):
        run_pretraining([source], PretrainSettings(**{**SMALL, "steps": 7, "dropout": 0.2}), str(tmp_path / "a"))  # type: ignore[arg-type]
    Path(source).write_text("Other text.")
    with pytest.raises(RunError, match=r"its content has changed"):
        run_pretraining([source], RUN, str(tmp_path / "a"))


def test_a_source_that_is_not_there_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.txt: no such file or folder"):
        run_pretraining([str(tmp_path / "none.txt")], RUN, str(tmp_path / "a"))
    assert not (tmp_path / "a").exists()


def test_a_text_column_is_chosen_by_name(tmp_path: Path) -> None:
    lines = [json.dumps({"body": document[0]}) for document in documents(count=30)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    assert run_pretraining([str(tmp_path / "rows.jsonl")], RUN, str(tmp_path / "a"), column="body")["text_tokens"] >= 30 * 15


def test_both_of_electras_models_have_their_tokenizer(tmp_path: Path) -> None:
    settings = PretrainSettings(**{**SMALL, "hidden": 64, "steps": 2, "objectives": ("electra",), "arch": "electra"})  # type: ignore[arg-type]
    folder = Path(run_pretraining([text_file(tmp_path)], settings, str(tmp_path / "run"))["model"])
    text = documents(count=1)[0][0]
    ids = [AutoTokenizer.from_pretrained(path)(text)["input_ids"] for path in (folder, folder / "discriminator")]
    assert ids[0] == ids[1]
    model, found = AutoModelForSequenceClassification.from_pretrained(folder / "discriminator", output_loading_info=True)
    assert all(name.startswith("classifier.") for name in found["missing_keys"])
    assert model(torch.tensor(ids[:1])).logits.isfinite().all()


def test_a_device_that_is_none_is_refused_before_a_folder_is_made(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--device is 'gpu'"):
        run_pretraining([], PretrainSettings(steps=1, device="gpu"), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
