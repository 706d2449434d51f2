"""Models with adapters, saved: transformers alone refuses them, and opens them after ``import petkit.adapted``, whatever their head."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from petkit.adapted import ADAPTERS_KEY, has_adapters, insert_adapters
from petkit.backbones import load_masked_lm
from petkit.errors import ModelError
from petkit.finetuning.models import open_config
from petkit.objectives import preset
from petkit.prechecks import check_checkpoint
from petkit.pretraining.architectures import open_model
from petkit.representations import load_vectors
from petkit.strategies.adapters import Adapter
from petkit.training import seeded
from tests.builders import FAMILIES, random_masked_lm, tokenizer
from tests.petkit.finetuning.tiny import reader, writer
from tests.petkit.strategies.tiny import random_classifier

IDS = torch.arange(5, 25).reshape(2, 10)


def adapted(model: Any, width: int = 3) -> Any:
    """With adapters that do something."""
    with seeded(1):
        insert_adapters(model, width)
        for adapter in (module for module in model.modules() if isinstance(module, Adapter)):
            for linear in (adapter.down, adapter.up):
                torch.nn.init.normal_(linear.weight, std=0.5)
    return model.eval()


def saved(model: Any, words: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def logits(model: Any, **inputs: Tensor) -> Tensor:
    with torch.inference_mode():
        found: Tensor = model(**(inputs or {"input_ids": IDS})).logits
    return found


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("purpose", ["MaskedLM", "SequenceClassification"])
def test_auto_classes_open_what_was_saved(family: str, purpose: str, tmp_path: Path) -> None:
    plain = random_masked_lm(family) if purpose == "MaskedLM" else random_classifier(family)
    without = logits(plain)
    model = adapted(plain)
    assert not torch.equal(logits(model), without)
    saved(model, tokenizer(FAMILIES[family][0]), tmp_path)
    auto = getattr(transformers, f"AutoModelFor{purpose}")
    again, found = auto.from_pretrained(tmp_path, output_loading_info=True)
    assert {name: list(keys) for name, keys in found.items() if keys} == {}
    assert torch.equal(logits(again), logits(model))
    assert isinstance(again, type(plain))
    assert again.config.model_type == plain.config.model_type


@pytest.mark.parametrize("family", FAMILIES)
def test_the_encoder_alone_has_its_adapters_too(family: str, tmp_path: Path) -> None:
    model = adapted(random_masked_lm(family))
    saved(model, tokenizer(FAMILIES[family][0]), tmp_path)
    bare = transformers.AutoModel.from_pretrained(tmp_path).eval()
    with torch.inference_mode():
        expected, found = (one(input_ids=IDS).last_hidden_state for one in (model.base_model, bare))
    assert torch.equal(found, expected)


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_models_that_write_write_the_same(family: str, tmp_path: Path) -> None:
    folder = writer(family, tmp_path / "plain")
    model = adapted(transformers.AutoModelForSeq2SeqLM.from_pretrained(folder))
    saved(model, transformers.AutoTokenizer.from_pretrained(folder), tmp_path / "adapted")
    again = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "adapted").eval()
    assert torch.equal(logits(again, input_ids=IDS, labels=IDS), logits(model, input_ids=IDS, labels=IDS))
    texts = [one.generate(IDS, num_beams=2, max_new_tokens=5) for one in (model, again)]
    assert torch.equal(texts[0], texts[1])


@pytest.mark.parametrize("family", ["gpt2", "llama", "qwen2"])
def test_causal_models_predict_the_same(family: str, tmp_path: Path) -> None:
    folder = reader(family, tmp_path / "plain")
    model = adapted(transformers.AutoModelForCausalLM.from_pretrained(folder))
    saved(model, transformers.AutoTokenizer.from_pretrained(folder), tmp_path / "adapted")
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "adapted").eval()
    assert torch.equal(logits(again), logits(model))


def test_what_was_opened_is_saved_the_same_again(tmp_path: Path) -> None:
    model = adapted(random_classifier("bert"))
    saved(model, tokenizer("wordpiece"), tmp_path / "one")
    transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "one").save_pretrained(tmp_path / "two")
    assert (tmp_path / "two" / "config.json").read_bytes() == (tmp_path / "one" / "config.json").read_bytes()
    again = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "two")
    assert torch.equal(logits(again), logits(model))


@pytest.mark.parametrize("auto", ["AutoModelForNextSentencePrediction", "AutoModelForTextEncoding", "AutoModelForPreTraining"])
def test_no_auto_class_leaves_the_adapters_out(auto: str, tmp_path: Path) -> None:
    saved(adapted(random_masked_lm("bert")), tokenizer("wordpiece"), tmp_path)
    model = getattr(transformers, auto).from_pretrained(tmp_path)
    assert sum(isinstance(module, Adapter) for module in model.modules()) == 4


def test_a_class_that_asks_no_config_finds_no_weights(tmp_path: Path) -> None:
    saved(adapted(random_classifier("bert")), tokenizer("wordpiece"), tmp_path)
    with pytest.raises(OSError, match=r"no file named model\.safetensors"):
        transformers.BertForSequenceClassification.from_pretrained(tmp_path)
    with pytest.raises(OSError, match=r"no file named model\.safetensors"):
        transformers.BertForSequenceClassification.from_pretrained(tmp_path, config=transformers.BertConfig(num_labels=3))


@pytest.mark.parametrize("opened", [False, True])
def test_pickles_hold_them(opened: bool, tmp_path: Path) -> None:
    """A process of its own reads them: there the classes are made anew."""
    model = adapted(random_classifier("bert"))
    if opened:
        model = transformers.AutoModelForSequenceClassification.from_pretrained(saved(model, tokenizer("wordpiece"), tmp_path))
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(model))
    assert torch.equal(logits(copy.deepcopy(model)), logits(model))
    last = "print(model(torch.arange(5, 25).reshape(2, 10)).logits.tolist())"
    read = f"import pickle, torch\nmodel = pickle.load(open('model.pickle', 'rb')).eval()\n{last}"
    found = subprocess.run([sys.executable, "-c", read], cwd=tmp_path, capture_output=True, text=True, check=True)
    torch.testing.assert_close(torch.tensor(json.loads(found.stdout)), logits(model))


def test_large_ones_are_saved_in_shards(tmp_path: Path) -> None:
    model = adapted(random_masked_lm("bert"))
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    tokenizer("wordpiece").save_pretrained(tmp_path)
    assert len(list(tmp_path.glob("model.adapters-*.safetensors"))) > 1
    assert torch.equal(logits(load_masked_lm(str(tmp_path)).model), logits(model))


def test_other_models_are_as_they_were(tmp_path: Path) -> None:
    adapted(random_masked_lm("bert"))
    saved(random_masked_lm("bert"), tokenizer("wordpiece"), tmp_path)
    model = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path)
    assert type(model) is transformers.BertForMaskedLM
    assert type(model.config) is transformers.BertConfig
    assert not has_adapters(model.config)
    assert json.loads((tmp_path / "config.json").read_text("utf-8"))["model_type"] == "bert"


def test_transformers_alone_refuses_and_after_the_import_a_pipeline_answers(tmp_path: Path) -> None:
    """In processes of their own: the one knows nothing of petkit."""
    model = adapted(random_classifier("bert"))
    words = tokenizer("wordpiece")
    saved(model, words, tmp_path / "m")
    last = "print(round(pipeline('text-classification', model='m')('A text of some words.')[0]['score'], 5))"
    alone, after = (
        subprocess.run(
            [sys.executable, "-c", f"{first}from transformers import pipeline\n{last}"], cwd=tmp_path, capture_output=True, text=True
        )
        for first in ("", "import petkit.adapted\n")
    )
    assert alone.returncode == 1
    assert "model type `petkit.adapted`" in alone.stderr
    assert after.returncode == 0, after.stderr
    expected = logits(model, **words("A text of some words.", return_tensors="pt")).softmax(-1).max()
    assert float(after.stdout.strip().splitlines()[-1]) == pytest.approx(float(expected), abs=1e-4)


# Elsewhere in petkit


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(adapted(random_masked_lm("bert")), tokenizer("wordpiece"), tmp_path_factory.mktemp("adapted"))


def test_a_config_is_opened_as_its_family_s(folder: Path) -> None:
    config = open_config(str(folder), ["bert"])
    assert (config.model_type, getattr(config, ADAPTERS_KEY)) == ("bert", 3)
    with pytest.raises(ModelError, match="has the model type 'bert'; legal are gpt2"):
        open_config(str(folder), ["gpt2"])


def test_it_gives_scores_and_vectors(folder: Path) -> None:
    assert has_adapters(load_masked_lm(str(folder)).model.config)
    assert any(isinstance(module, Adapter) for module in load_vectors(str(folder), device="cpu").model.modules())


def test_a_run_that_would_end_in_a_plain_classifier_refuses_it_before_it_begins(folder: Path) -> None:
    with pytest.raises(ModelError, match="has adapters, which an ordinary classifier cannot have; take the checkpoint it was made from"):
        check_checkpoint(str(folder), trust_remote_code=False)


def test_pretraining_does_not_go_on_from_it(folder: Path) -> None:
    with pytest.raises(ModelError, match="has adapters, which a model that is pretrained further cannot have"):
        open_model(str(folder), [preset("mlm")])
