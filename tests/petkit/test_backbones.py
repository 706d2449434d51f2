"""Every family against transformers' own forward, what is never computed, and checkpoints that must be refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch.utils._python_dispatch import TorchDispatchMode

from petkit.backbones import FAMILIES, MaskedLM, check_vocabulary, load_classifier, load_masked_lm, load_tokenizer
from petkit.batching import Batch
from petkit.errors import ModelError
from tests import builders

NEAR = {"atol": 1e-5, "rtol": 1e-5}
OTHERS: dict[str, tuple[Any, Any]] = {
    "xlm-roberta": (transformers.XLMRobertaForMaskedLM, transformers.XLMRobertaConfig),
    "camembert": (transformers.CamembertForMaskedLM, transformers.CamembertConfig),
}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in builders.FAMILIES},
    "deberta-v3 head": ("deberta-v2", {"legacy": False}),
    "deberta with types": ("deberta-v2", {"type_vocab_size": 2, "position_biased_input": True}),
    "albert, four layers, two groups": ("albert", {"num_hidden_layers": 4, "num_hidden_groups": 2, "inner_group_num": 2}),
    "electra, one width": ("electra", {"embedding_size": 32}),
    "bert, one layer": ("bert", {"num_hidden_layers": 1}),
    "modernbert without biases": ("modernbert", {"decoder_bias": False}),
}


def model_of(name: str, **config: Any) -> MaskedLM:
    """A random model of a family or variant, with all parameters (biases too) far from zero."""
    if name in OTHERS:
        kind, settings = OTHERS[name]
        values = builders.random_masked_lm("roberta").config.to_dict()
        taken = ("vocab_size", "type_vocab_size", "pad_token_id", "max_position_embeddings", "hidden_size")
        taken += ("num_hidden_layers", "num_attention_heads", "intermediate_size")
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = kind(settings(**{key: values[key] for key in taken}, **config)).eval()
    else:
        family, extra = VARIANTS[name]
        model = builders.random_masked_lm(family, **{**extra, **config})
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return MaskedLM(model)


def batch_of(model: MaskedLM, lengths: tuple[int, ...] = (23, 9, 16, 4), slots: int = 2, seed: int = 0) -> Batch:
    """Random tokens in rows of these lengths; random slots inside each row."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, model.vocab_size, (len(lengths), max(lengths)), generator=generator)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    pad = model.model.config.pad_token_id
    types = (torch.arange(max(lengths)) >= torch.tensor(lengths)[:, None] // 2) & mask
    places = torch.stack([torch.randperm(length, generator=generator)[:slots] for length in lengths])
    return Batch(ids.masked_fill(~mask, pad), mask.long(), types.long(), places)


def reference(model: MaskedLM, batch: Batch) -> torch.Tensor:
    """transformers' own logits (B, T, V), asked in its own way."""
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    if model.model.config.model_type in ("bert", "albert", "electra") or getattr(model.model.config, "type_vocab_size", 0) == 2:
        inputs["token_type_ids"] = batch.token_type_ids
    logits: torch.Tensor = model.model(**inputs).logits
    return logits


def test_the_table_is_tested_whole() -> None:
    assert set(FAMILIES) == {*builders.FAMILIES, *OTHERS}


@pytest.mark.parametrize("lengths", [(23, 9, 16, 4), (7, 7), (20, 19)])  # much padding, none, little
@pytest.mark.parametrize("name", [*VARIANTS, *OTHERS])
def test_logits_at_the_slots_are_those_of_transformers(name: str, lengths: tuple[int, ...]) -> None:
    model = model_of(name)
    batch = batch_of(model, lengths)
    with torch.no_grad():
        wanted = reference(model, batch)
        rows = torch.arange(len(lengths))[:, None]
        hidden, slots = model.hidden(batch), model.slot_hidden(batch)
        every = torch.tensor([0, 7, 2, model.vocab_size - 1])
        assert hidden.shape == (len(lengths), max(lengths), model.hidden_size)
        assert slots.shape == (len(lengths), 2, model.hidden_size)
        assert slots.dtype == torch.float32
        real = batch.attention_mask.bool()
        torch.testing.assert_close(model.vocab_logits(hidden[real]), wanted[real], **NEAR)
        torch.testing.assert_close(model.vocab_logits(slots.flatten(0, 1)), wanted[rows, batch.slots].flatten(0, 1), **NEAR)
        torch.testing.assert_close(model.word_logits(slots[:, 1], every), wanted[rows[:, 0], batch.slots[:, 1]][:, every], **NEAR)
    assert wanted.std() > 0.1, "logits so small that everything would agree"


@pytest.mark.parametrize("name", [*VARIANTS, *OTHERS])
def test_gradients_are_those_of_transformers(name: str) -> None:
    model = model_of(name, **_without_dropout(name))
    model.train()
    batch = batch_of(model)
    rows, words = torch.arange(4)[:, None], torch.tensor([3, 8])
    model.word_logits(model.slot_hidden(batch).flatten(0, 1), words).square().sum().backward()
    ours = {key: value.grad.clone() for key, value in model.named_parameters() if value.grad is not None}
    model.zero_grad(set_to_none=True)
    reference(model, batch)[rows, batch.slots][..., words].square().sum().backward()
    theirs = {key: value.grad for key, value in model.named_parameters() if value.grad is not None}
    for key, grad in theirs.items():
        torch.testing.assert_close(ours.get(key, torch.zeros_like(grad)), grad, atol=2e-4, rtol=1e-3, msg=lambda m, key=key: f"{key}: {m}")


def _without_dropout(name: str) -> dict[str, float]:
    if name == "distilbert":
        return {"dropout": 0.0, "attention_dropout": 0.0}
    return {} if name.startswith("modernbert") else {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def test_dropout_is_on_in_training_also_in_the_layer_that_runs_at_the_slots() -> None:
    """One layer, and one rate above zero at a time: dropout of the attention, then of the states."""
    for name, rate in [(family, key) for family in ("bert", "albert", "distilbert") for key in _without_dropout(family)]:
        key = "n_layers" if name == "distilbert" else "num_hidden_layers"
        model = model_of(name, **{key: 1}, **{**_without_dropout(name), rate: 0.3})
        batch = batch_of(model)
        model.train()
        getattr(model.model, FAMILIES[name].encoder).embeddings.eval()  # their dropout alone would make two passes differ
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(0)
            assert not torch.equal(model.slot_hidden(batch), model.slot_hidden(batch)), (name, rate)
            model.eval()
            assert torch.equal(model.slot_hidden(batch), model.slot_hidden(batch)), (name, rate)


class _Largest(TorchDispatchMode):
    """The largest number of rows of any (..., width) array that is computed."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width, self.rows = width, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for found in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(found, torch.Tensor) and found.ndim > 1 and found.shape[-1] == self.width and "t." not in str(func):
                self.rows = max(self.rows, found.numel() // self.width)
        return out


@pytest.mark.parametrize("name", [*VARIANTS, *OTHERS])
def test_no_logits_are_made_outside_the_slots(name: str) -> None:
    model = model_of(name)
    batch = batch_of(model)
    with torch.no_grad():
        with _Largest(model.vocab_size) as seen:
            model.vocab_logits(model.slot_hidden(batch).flatten(0, 1))
        assert seen.rows == 8
        with _Largest(model.vocab_size) as seen:
            model.word_logits(model.slot_hidden(batch).flatten(0, 1), torch.tensor([0, 5]))
        assert seen.rows == 0
        with _Largest(model.vocab_size) as seen:
            reference(model, batch)
        assert seen.rows == 4 * 23, "the watch does not see what it is for"


def test_the_last_layer_runs_at_the_slots_only() -> None:
    model = model_of("bert")
    batch = batch_of(model)
    with torch.no_grad(), _Largest(48) as seen:  # 48: the feed-forward width
        model.slot_hidden(batch)
    assert seen.rows == int(batch.attention_mask.sum()) < 0.9 * 4 * 23  # and the layers before it at tokens, not at padding
    single = model_of("bert, one layer")
    with torch.no_grad(), _Largest(48) as seen:
        single.slot_hidden(batch)
    assert seen.rows == 4 * 2


def test_type_ids_go_only_where_the_family_has_them() -> None:
    changed = {}
    for name in ("bert", "albert", "electra", "roberta", "distilbert", "modernbert", "deberta-v2", "deberta with types"):
        model = model_of(name)
        batch = batch_of(model)
        plain = Batch(batch.input_ids, batch.attention_mask, torch.zeros_like(batch.input_ids), batch.slots)
        with torch.no_grad():
            changed[name] = not torch.equal(model.slot_hidden(batch), model.slot_hidden(plain))
    assert {name for name, differs in changed.items() if differs} == {"bert", "albert", "electra", "deberta with types"}


@pytest.mark.parametrize("name", ["bert", "albert", "distilbert", "modernbert"])
def test_states_at_positions_are_those_of_a_whole_pass(name: str) -> None:
    model = model_of(name)
    batch = batch_of(model)
    positions = np.array([0, 3, 22, 23 * 2, 23 * 2 + 15, 23 * 3 + 3])  # none in the second row
    with torch.no_grad():
        found = model.hidden_at(batch, positions)
        torch.testing.assert_close(found, model.hidden(batch).flatten(0, 1)[torch.from_numpy(positions)], **NEAR)
        assert model.hidden_at(batch, positions[:0]).shape == (0, 32)


def test_a_batch_without_slots_gives_no_states() -> None:
    model = model_of("bert")
    batch = batch_of(model, slots=0)
    assert model.slot_hidden(batch).shape == (4, 0, 32)


def test_another_attention_still_gives_the_right_states() -> None:
    model = model_of("bert")
    batch = batch_of(model)
    with torch.no_grad():
        wanted = model.slot_hidden(batch)
        model.model.set_attn_implementation("eager")
        torch.testing.assert_close(model.slot_hidden(batch), wanted, **NEAR)


def test_word_logits_keep_their_digits_under_autocast() -> None:
    model = model_of("bert")
    hidden, ids = torch.randn(3, 32, generator=torch.Generator().manual_seed(0)), torch.tensor([1, 9])
    with torch.no_grad():
        wanted = model.word_logits(hidden, ids)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(model.word_logits(hidden, ids), wanted)
            assert model.vocab_logits(hidden).dtype == torch.float32


def test_max_length_counts_the_positions_that_roberta_skips() -> None:
    assert model_of("bert").max_length == 512
    roberta = model_of("roberta")
    assert roberta.max_length == 514 - 2
    batch = batch_of(roberta, (roberta.max_length,), slots=1)
    with torch.no_grad():
        assert roberta.slot_hidden(batch).isfinite().all()


# Loading


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
    from transformers.utils import logging

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


# What is refused


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
