"""The table of architectures: what a new model is, what is refused, what a saved one opens as."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file

from petkit.backbones import MaskedLM, load_masked_lm
from petkit.errors import ModelError, SettingsError
from petkit.objectives import MaskedLanguageModeling, preset, select_exact
from petkit.pretraining.architectures import ARCHITECTURES, check_learnable, kind_of, longest_row, new_model, open_model
from petkit.pretraining.learners import learner_for
from tests.petkit.pretraining.learners.tiny import CASES, OF_ARCHITECTURE, batch_of, teacher_of, tiny, vocabulary, words

SIZE = len(words())
SIZES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("bert", "roberta", "albert", "electra", "modernbert", "deberta-v2"), ("hidden_size", "num_hidden_layers")),
    "distilbert": ("dim", "n_layers"),
    "t5": ("d_model", "num_layers", "num_decoder_layers"),
    "bart": ("d_model", "encoder_layers", "decoder_layers"),
    "gpt2": ("n_embd", "n_layer"),
    "xlnet": ("d_model", "n_layer"),
}
FEED = {"distilbert": "hidden_dim", "t5": "d_ff", "bart": "encoder_ffn_dim", "gpt2": "n_inner", "xlnet": "d_inner"}


def inner(model: Any) -> Any:
    return getattr(model, "model", model) if isinstance(model, MaskedLM) else model


def made(arch: str, *names: str, **options: Any) -> Any:
    values = {"layers": 2, "hidden": 64, "max_positions": 48, "dropout": 0.0, "seed": 1, **options}
    return new_model(arch, words(), objectives=[preset(name) for name in names or OF_ARCHITECTURE[arch][:1]], **values)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_a_new_model_has_the_sizes_asked_for_and_the_tokenizers_ids(arch: str) -> None:
    model = made(arch)
    config = inner(model).config
    width, *depths = (getattr(config, name) for name in SIZES[arch])
    assert (width, set(depths)) == (64, {2})
    assert type(inner(model)).__name__ == ARCHITECTURES[arch].model
    assert config.model_type == arch
    assert config.num_attention_heads == 1  # 64 wide each
    assert getattr(config, FEED.get(arch, "intermediate_size")) == (96 if arch == "modernbert" else 256)
    assert inner(model).get_input_embeddings().weight.shape[0] == config.vocab_size == SIZE
    assert config.pad_token_id == words().pad_token_id
    assert longest_row(model) == (None if arch in ("t5", "xlnet") else 48)
    assert model.training
    other = made(arch, hidden=48, heads=3, intermediate=50)
    assert inner(other).config.num_attention_heads == 3
    assert getattr(inner(other).config, FEED.get(arch, "intermediate_size")) == 50


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_weights_depend_on_the_seed_and_leave_torchs_generator_alone(arch: str) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, again, other = (made(arch, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_a_new_bert_is_the_one_that_has_always_been_made() -> None:
    """From settings alone: the configuration and the stream of weights that earlier versions used."""
    from petkit.training import seeded

    config = transformers.BertConfig(
        vocab_size=SIZE, hidden_size=64, num_hidden_layers=2, num_attention_heads=1, intermediate_size=256, max_position_embeddings=48
    )
    with seeded(1, "pretrain", "weights"):
        wanted = transformers.BertForMaskedLM(config).state_dict()
    found = inner(made("bert", "mlm")).state_dict()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize(("arch", "name"), [*((arch, names[0]) for arch, names in OF_ARCHITECTURE.items()), ("albert", "sop")])
def test_dropout_is_as_asked_while_training_and_usual_in_the_config(arch: str, name: str, tmp_path: Path) -> None:
    batch = batch_of(name)
    usual = type(inner(made(arch, name)).config)()
    folder = tmp_path / arch
    for source in ("new", "opened"):
        for rate in (0.0, 0.5):
            model = made(arch, name, dropout=rate) if source == "new" else open_model(str(folder), [preset(name)], dropout=rate)
            learner = learner_for(preset(name), model, vocabulary()).train()
            counts = learner.counts(batch)
            losses = [learner(batch, counts)["loss"].item() for _ in range(2)]
            assert (losses[0] == losses[1]) == (rate == 0.0), (source, rate)
            for key in (key for key in usual.to_dict() if "drop" in key):
                assert getattr(inner(model).config, key) == getattr(usual, key), key
        learner.save(folder, half=False)


@pytest.mark.parametrize(("arch", "name"), CASES)
def test_what_is_saved_is_opened_again_with_the_same_losses(arch: str, name: str, tmp_path: Path) -> None:
    learner, batch = learner_for(preset(name), tiny(arch, name), vocabulary()).eval(), batch_of(name)
    counts = learner.counts(batch)
    learner.save(tmp_path, half=False)
    opened = open_model(str(tmp_path), [preset(name)])
    again = learner_for(preset(name), opened, vocabulary(), init=str(tmp_path))
    assert not opened.training
    assert next(opened.parameters()).dtype == torch.float32
    assert type(inner(opened)) is type(inner(learner.model))
    assert learner(batch, counts)["loss"].item() == pytest.approx(again(batch, counts)["loss"].item(), abs=1e-6)
    files = load_file(tmp_path / "model.safetensors")
    learner.save(tmp_path / "half", half=True)
    halves = load_file(tmp_path / "half" / "model.safetensors")
    assert {value.dtype for value in halves.values() if value.is_floating_point()} == {torch.float16}
    assert all(torch.equal(halves[key], value.half() if value.is_floating_point() else value) for key, value in files.items())
    assert next(learner.parameters()).dtype == torch.float32
    half = learner_for(preset(name), open_model(str(tmp_path / "half"), [preset(name)]), vocabulary(), init=str(tmp_path / "half"))
    assert half(batch, counts)["loss"].item() == pytest.approx(learner(batch, counts)["loss"].item(), rel=1e-2)


@pytest.mark.parametrize(("arch", "name", "kind"), [("bert", "nsp", "BertForMaskedLM"), ("albert", "sop", "AlbertForMaskedLM")])
def test_a_model_of_pairs_is_a_plain_masked_language_model_too(arch: str, name: str, kind: str, tmp_path: Path) -> None:
    learner = learner_for(preset(name), tiny(arch, name), vocabulary()).eval()
    learner.save(tmp_path, half=False)
    plain, found = getattr(transformers, kind).from_pretrained(tmp_path, output_loading_info=True)
    assert not found["missing_keys"]
    ours = load_masked_lm(str(tmp_path))
    assert ours.missing == ()
    inputs = {"input_ids": torch.tensor([[1, 50, 60, 4, 2]])}
    with torch.no_grad():
        wanted = learner.model.model(**inputs).prediction_logits
        torch.testing.assert_close(plain.eval()(**inputs).logits, wanted)
        torch.testing.assert_close(ours.model(**inputs).logits, wanted)


def test_a_masked_language_model_gets_a_new_pair_head_when_it_is_opened_for_pairs(tmp_path: Path) -> None:
    learner = learner_for(preset("mlm"), tiny("bert", "mlm"), vocabulary())
    learner.save(tmp_path, half=False)
    first, again = (open_model(str(tmp_path), [preset("nsp")]).model for _ in range(2))
    assert type(first).__name__ == "BertForPreTraining"
    assert torch.equal(first.cls.seq_relationship.weight, again.cls.seq_relationship.weight)
    assert torch.equal(first.cls.predictions.bias, learner.model.model.cls.predictions.bias)


def test_the_decoder_starts_as_the_objective_says() -> None:
    for arch in ("t5", "bart"):
        assert made(arch, "t5").config.decoder_start_token_id == words().pad_token_id
        assert made(arch, "bart").config.decoder_start_token_id == words().eos_token_id


def test_an_objective_that_an_architecture_cannot_learn_is_refused_with_those_that_it_can() -> None:
    with pytest.raises(SettingsError, match=r"--objective nsp is for --arch bert or albert; legal for roberta are mlm, .*spanbert"):
        made("roberta", "nsp")
    with pytest.raises(SettingsError, match=r"--objective sop is for --arch bert or albert; legal for electra are mlm, .*electra"):
        made("electra", "sop")
    with pytest.raises(SettingsError, match=r"--objective causal is for --arch gpt2; legal for t5 are t5, .*bart"):
        made("t5", "causal")
    with pytest.raises(SettingsError, match=r"(?s)2 problems.*mlm is for --arch bert or roberta.*xlnet is for.*legal for gpt2 are causal"):
        made("gpt2", "causal", "mlm", "xlnet")
    with pytest.raises(SettingsError, match="--arch 'lstm' is unknown; legal are bert, roberta, albert"):
        made("lstm", "mlm")
    assert check_learnable("camembert", [preset("mlm")]).name == "roberta"


def test_every_preset_is_for_an_architecture() -> None:
    from petkit.objectives import PRESETS

    kinds = {kind for row in ARCHITECTURES.values() for kind in row.kinds}
    assert {kind_of(row) for row in PRESETS.values()} == kinds


def test_rows_of_classes_that_no_learner_knows_are_refused_and_ones_own_rows_are_not() -> None:
    class Odd:
        name = "odd"

    with pytest.raises(SettingsError, match="--objective odd is a Odd, which no learner knows; legal are MaskedLanguageModeling"):
        kind_of(Odd())
    assert kind_of(MaskedLanguageModeling("mine", select_exact, "ours")) == "masked"


def test_numbers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SettingsError, match="heads is 5; a number that divides hidden 64 is legal"):
        made("bert", heads=5)


def test_checkpoints_that_cannot_learn_an_objective_or_cannot_be_opened_are_refused(tmp_path: Path) -> None:
    learner_for(preset("causal"), tiny("gpt2"), vocabulary()).save(tmp_path / "gpt2", half=False)
    with pytest.raises(SettingsError, match="--objective mlm is for --arch bert or roberta"):
        open_model(str(tmp_path / "gpt2"), [preset("mlm")])
    with pytest.raises(ModelError, match="no such folder"):
        open_model(str(tmp_path / "none"), [preset("mlm")])
    (tmp_path / "gpt2" / "model.safetensors").rename(tmp_path / "gpt2" / "pytorch_model.bin")
    with pytest.raises(ModelError, match="only pickle weights"):
        open_model(str(tmp_path / "gpt2"), [preset("causal")])
    other = transformers.CTRLConfig(vocab_size=10, n_embd=8, n_layer=1, n_head=1, dff=8, n_positions=8)
    transformers.CTRLLMHeadModel(other).save_pretrained(tmp_path / "ctrl")
    with pytest.raises(ModelError, match="has the model type 'ctrl'; legal are bert, roberta"):
        open_model(str(tmp_path / "ctrl"), [preset("causal")])


def test_a_checkpoint_without_some_of_its_weights_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    learner_for(preset("causal"), tiny("gpt2"), vocabulary()).save(tmp_path, half=False)
    weights = load_file(tmp_path / "model.safetensors")
    save_file({key: value for key, value in weights.items() if ".h.1." not in key}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks \d+ of its weights"):
        open_model(str(tmp_path), [preset("causal")])


def test_a_student_starts_from_a_teacher_of_its_width(tmp_path: Path) -> None:
    learner_for(preset("mlm"), teacher_of(), vocabulary()).save(tmp_path, half=False)
    sizes: dict[str, Any] = {"layers": 2, "hidden": 32, "max_positions": 64, "dropout": 0.0, "seed": 0}
    student = new_model("distilbert", words(), **sizes, objectives=[preset("distilbert")], teacher=str(tmp_path))
    assert student.model.config.n_heads == 2
    assert student.model.config.hidden_dim == 48
    assert student.training
    for change, message in (
        ({"hidden": 48}, "hidden is 48; a student that starts from this teacher needs 32"),
        ({"heads": 4}, "heads is 4; .* needs 2"),
        ({"intermediate": 64}, "intermediate is 64; .* needs 48"),
        ({"max_positions": 65}, "the teacher has 125 words and 64 positions; the student is to have 125 and 65"),
        ({"layers": 5}, "a student of 5 layers cannot start from a teacher of 4"),
    ):
        with pytest.raises(SettingsError, match=message):
            new_model("distilbert", words(), **{**sizes, **change}, objectives=[preset("distilbert")], teacher=str(tmp_path))
