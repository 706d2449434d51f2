"""Checkpoints that must be refused, each with its reason."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from petkit.backbones import FAMILIES, MaskedLM, check_vocabulary, load_classifier, load_masked_lm, load_tokenizer
from petkit.errors import ModelError
from tests import builders
from tests.petkit.backbones.tiny_models import model_of


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return builders.tiny_masked_lm("bert", tmp_path_factory.mktemp("bert"))


@pytest.fixture
def broken(bert: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(bert, tmp_path / "model"))


def refused(path: object) -> str:
    """The one message with which a checkpoint is refused, by both loaders."""
    with pytest.raises(ModelError) as caught:
        load_masked_lm(str(path))
    with pytest.raises(ModelError):
        load_classifier(str(path), ["a", "b"])
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_refused_no_such_folder(tmp_path: Path) -> None:
    assert "no such folder" in refused(tmp_path / "nowhere")


def test_refused_a_file(broken: Path) -> None:
    assert "is a file" in refused(broken / "config.json")


def test_refused_a_folder_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    assert "config.json" in refused(tmp_path)


@pytest.mark.parametrize("text", ["{", "[1]", '"bert"'])
def test_refused_a_config_that_is_none(broken: Path, text: str) -> None:
    (broken / "config.json").write_text(text)
    assert "no JSON object" in refused(broken)


@pytest.mark.parametrize("kind", ["gpt2", "t5", None])
def test_refused_another_model_type_with_the_legal_ones(broken: Path, kind: str | None) -> None:
    (broken / "config.json").write_text(json.dumps({"model_type": kind} if kind else {}))
    message = refused(broken)
    assert repr(kind) in message
    assert all(name in message for name in FAMILIES)


def test_refused_no_weights(broken: Path) -> None:
    (broken / "model.safetensors").unlink()
    assert "no weights" in refused(broken)


def test_refused_pickles_with_the_way_to_convert(broken: Path) -> None:
    weights = broken / "model.safetensors"
    torch.save(load_file(weights), broken / "pytorch_model.bin")
    weights.unlink()
    message = refused(broken)
    assert "pytorch_model.bin" in message
    assert "from_pretrained(OLD).save_pretrained(NEW)" in message


def test_refused_without_permission(broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests may run as root, who may read everything."""

    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("petkit.backbones.modelfiles.Path.open", denied)
    assert refused(broken).endswith("there is no permission to read model.safetensors")


def test_refused_without_a_name() -> None:
    assert refused("") == "the name of the model is empty; --model takes a folder, a hub name, or builtin"


@pytest.mark.parametrize("keep", [0, 4, 500, -1])
def test_refused_truncated_safetensors(broken: Path, keep: int) -> None:
    file = broken / "model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    assert "model.safetensors is missing, cut off or damaged" in refused(broken)


def test_refused_a_shard_that_is_not_there(broken: Path) -> None:
    index = {"metadata": {}, "weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (broken / "model.safetensors").unlink()
    (broken / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "model-00001-of-00002.safetensors is missing" in refused(broken)


def test_refused_weights_of_half_an_encoder(broken: Path) -> None:
    weights = load_file(broken / "model.safetensors")
    save_file(
        {key: value for key, value in weights.items() if "layer.1." not in key}, broken / "model.safetensors", metadata={"format": "pt"}
    )
    assert "lacks" in refused(broken)


def test_refused_weights_of_another_size(broken: Path) -> None:
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps({**config, "intermediate_size": 50}))
    with pytest.raises(ModelError, match="cannot be opened"):
        load_masked_lm(str(broken))


def test_refused_a_hub_name_that_is_not_in_the_cache() -> None:
    with pytest.raises(ModelError, match=r"looked for on the hub"):
        load_masked_lm("nobody/nothing", local_files_only=True)


def test_refused_a_folder_without_tokenizer(tmp_path: Path) -> None:
    model_of("bert").save(str(tmp_path))
    with pytest.raises(ModelError, match="tokenizer"):
        load_tokenizer(str(tmp_path))


def test_refused_a_tokenizer_without_mask(tmp_path: Path) -> None:
    words = transformers.PreTrainedTokenizerFast(tokenizer_object=builders.tokenizer("wordpiece").backend_tokenizer, pad_token="[PAD]")
    words.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="mask_token"):
        load_tokenizer(str(tmp_path))


def test_refused_a_tokenizer_of_another_model() -> None:
    words = builders.tokenizer("wordpiece")
    check_vocabulary(MaskedLM(builders.random_masked_lm("bert", vocab_size=len(words) + 8)), words)
    with pytest.raises(ModelError, match="do not belong together"):
        check_vocabulary(MaskedLM(builders.random_masked_lm("bert", vocab_size=len(words) - 1)), words)
