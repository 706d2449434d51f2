"""Checkpoints that are loaded: the same model, a head that is missing, labels."""

from __future__ import annotations

import json
import multiprocessing
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers.utils import logging

from petkit.backbones import FAMILIES, load_classifier, load_masked_lm, load_tokenizer
from petkit.backbones.modelfiles import quiet
from tests import builders
from tests.petkit.backbones.tiny_models import batch_of, model_of


@pytest.mark.parametrize("family", list(builders.FAMILIES))
def test_saved_and_loaded_it_is_the_same_model(family: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = model_of(family)
    capfd.readouterr()
    model.save(str(tmp_path))
    builders.tokenizer(builders.FAMILIES[family][0]).save_pretrained(tmp_path)
    before = torch.random.get_rng_state()
    loaded = load_masked_lm(str(tmp_path))
    assert loaded.missing == ()
    assert not loaded.training
    assert torch.equal(torch.random.get_rng_state(), before)
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    batch = batch_of(model)
    with torch.no_grad():
        assert torch.equal(loaded.slot_hidden(batch), model.slot_hidden(batch))
        assert torch.equal(loaded.vocab_logits(loaded.slot_hidden(batch)[:, 0]), model.vocab_logits(model.slot_hidden(batch)[:, 0]))
    assert load_tokenizer(str(tmp_path)).mask_token_id is not None
    assert capfd.readouterr() == ("", "")


def test_loading_restores_the_noise_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    builders.tiny_masked_lm("bert", tmp_path)
    before = logging.get_verbosity()
    try:
        for verbosity, bars in [(logging.INFO, True), (logging.ERROR, False)]:
            logging.set_verbosity(verbosity)
            monkeypatch.setattr(logging, "_tqdm_active", bars)
            load_masked_lm(str(tmp_path))
            assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == (verbosity, bars)
    finally:
        logging.set_verbosity(before)


def test_half_precision_files_are_loaded_in_float32(tmp_path: Path) -> None:
    builders.random_masked_lm("bert").half().save_pretrained(tmp_path)
    assert {p.dtype for p in load_masked_lm(str(tmp_path)).parameters()} == {torch.float32}


def test_the_head_of_published_deberta_v3_files_is_found(tmp_path: Path) -> None:
    """Their weights lie under lm_predictions, their configs say nothing of it, and transformers draws another head at random."""
    model = model_of("deberta-v3 head")
    model.save(str(tmp_path))
    config = json.loads((tmp_path / "config.json").read_text())
    del config["legacy"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    weights = load_file(tmp_path / "model.safetensors")
    weights["mask_predictions.dense.weight"] = torch.zeros(2, 2)
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    loaded = load_masked_lm(str(tmp_path))
    batch = batch_of(model)
    assert loaded.missing == ()
    with torch.no_grad():
        assert torch.equal(loaded.vocab_logits(loaded.slot_hidden(batch)[:, 0]), model.vocab_logits(model.slot_hidden(batch)[:, 0]))


HEADLESS = {
    "bert": ("BertModel", "BertForSequenceClassification"),
    "roberta": ("RobertaModel", "RobertaForSequenceClassification"),
    "albert": ("AlbertModel", "AlbertForSequenceClassification"),
    "distilbert": ("DistilBertModel", "DistilBertForSequenceClassification"),
    "deberta-v2": ("DebertaV2Model", "DebertaV2ForSequenceClassification"),
    "electra": ("ElectraModel", "ElectraForPreTraining"),
    "modernbert": ("ModernBertModel",),
}


@pytest.mark.parametrize(("family", "name"), [(family, name) for family, names in HEADLESS.items() for name in names])
def test_a_checkpoint_without_the_head_is_recognised(family: str, name: str, tmp_path: Path) -> None:
    getattr(transformers, name)(builders.random_masked_lm(family).config).save_pretrained(tmp_path)
    loaded = load_masked_lm(str(tmp_path))
    assert loaded.missing
    assert all(key.startswith(FAMILIES[family].own) for key in loaded.missing)
    again = load_masked_lm(str(tmp_path))
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), again.parameters(), strict=True)), "drawn from the global stream"


@pytest.mark.parametrize("family", list(builders.FAMILIES))
def test_a_classifier_knows_its_labels(family: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    builders.tiny_masked_lm(family, tmp_path)
    capfd.readouterr()
    classifier = load_classifier(str(tmp_path), ["World", "Sci/Tech", "Sports"])
    assert classifier.config.id2label == {0: "World", 1: "Sci/Tech", 2: "Sports"}
    assert classifier.config.label2id["Sci/Tech"] == 1
    with torch.no_grad():
        assert classifier(input_ids=torch.tensor([[5, 6, 7]])).logits.shape == (1, 3)
    own = FAMILIES[family].encoder
    saved, loaded = load_masked_lm(str(tmp_path)).model, classifier
    ours, theirs = dict(getattr(saved, own).named_parameters()), dict(getattr(loaded, own).named_parameters())
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    assert capfd.readouterr() == ("", "")


def test_a_classifier_comes_back_with_its_own_head_and_with_a_new_one_for_other_labels(tmp_path: Path) -> None:
    builders.tiny_masked_lm("bert", tmp_path)
    first = load_classifier(str(tmp_path), ["a", "b", "c"])
    first.classifier.weight.data.add_(1.0)
    first.save_pretrained(tmp_path / "c")
    again = load_classifier(str(tmp_path / "c"), ["a", "b", "c"])
    assert torch.equal(again.classifier.weight, first.classifier.weight)
    assert load_classifier(str(tmp_path / "c"), ["a", "b"]).classifier.weight.shape == (2, 32)


@pytest.fixture
def noisy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.INFO)
    monkeypatch.setattr(logging, "_tqdm_active", True)
    yield
    logging.set_verbosity(verbosity)


@pytest.mark.usefixtures("noisy")
def test_several_threads_load_at_a_time(tmp_path: Path) -> None:
    """Each gets the model, and what loading changes for the whole process is then as before."""
    builders.tiny_masked_lm("bert", tmp_path)
    expected = list(load_masked_lm(str(tmp_path)).parameters())
    with warnings.catch_warnings():
        filters = list(warnings.filters)

        def load(_: int) -> bool:
            found = load_masked_lm(str(tmp_path)).to("cpu")
            return load_tokenizer(str(tmp_path)).is_fast and all(map(torch.equal, expected, found.parameters()))

        with ThreadPoolExecutor(4) as threads:
            assert all(threads.map(load, range(16)))
        assert warnings.filters == filters
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == (logging.INFO, True)


def in_thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_noise_is_off_for_one_thread_at_a_time_which_may_ask_twice() -> None:
    inside, leave, seen = threading.Event(), threading.Event(), list[str]()

    def first() -> None:
        with quiet(), quiet():
            inside.set()
            leave.wait(30)
            seen.append("first")

    def second() -> None:
        with quiet():
            seen.append("second")

    one = in_thread(first)
    assert inside.wait(30)
    other = in_thread(second)
    other.join(0.05)
    assert seen == []
    leave.set()
    one.join(30)
    other.join(30)
    assert seen == ["first", "second"]


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_process_forked_while_a_thread_loads_can_load() -> None:
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with quiet():
            inside.set()
            leave.wait(30)

    thread = in_thread(hold)
    assert inside.wait(30)
    child = multiprocessing.get_context("fork").Process(target=_be_quiet)
    child.start()
    child.join(30)
    leave.set()
    thread.join(30)
    child.kill()
    assert child.exitcode == 0


def _be_quiet() -> None:
    with quiet():
        pass
