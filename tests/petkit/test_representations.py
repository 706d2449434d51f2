"""Vectors against plain AutoModel, row by row without padding, and places against the tokenizer's own offsets."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer, XLNetConfig, XLNetModel

from petkit.errors import ModelError, SettingsError
from petkit.files import write_tensors
from petkit.pretraining.tokenizers import new_tokenizer
from petkit.representations import TokenRows, Vectors, load_vectors
from petkit.strategies.adapters import adapter_parameters
from petkit.training import seeded
from tests.builders import FAMILIES, sentences, tiny_masked_lm, tokenizer
from tests.petkit.finetuning.tiny import reader, writer
from tests.petkit.strategies.tiny import member_of


def xlnet(_: str, folder: Path) -> Path:
    """An XLNet with random weights, whose CLS token stands last."""
    words = new_tokenizer("unigram", sentences, size=400, architecture="xlnet")
    config = XLNetConfig(vocab_size=len(words), d_model=32, n_layer=2, n_head=2, d_inner=48, initializer_range=0.2)
    with seeded(0, "xlnet"):
        XLNetModel(config).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


OTHERS = {"t5": writer, "bart": writer, "gpt2": reader, "xlnet": xlnet}
TEXTS = (sentences()[0], "A word.", sentences()[3], "", "Ünïcode: 中文 naïve — “quotes” 🙂!", sentences()[7] * 3)
LONGEST = 40


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A folder for each kind of model, made when it is asked for."""

    @cache
    def made(kind: str) -> Path:
        folder = tmp_path_factory.mktemp(kind)
        return OTHERS[kind](kind, folder) if kind in OTHERS else tiny_masked_lm(kind, folder, initializer_range=0.2)

    return made


@cache
def plain(folder: Path) -> tuple[Any, Any]:
    """Tokenizer and model as transformers opens them."""
    return AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()


def plain_states(folder: Path, *texts: str, layer: int | None = None, max_length: int = LONGEST) -> tuple[Any, np.ndarray]:
    """The tokenizer's output and the states (T, H) of one row, as transformers gives them."""
    tokenizer, model = plain(folder)
    types = getattr(model.config, "type_vocab_size", 0) > 1 or model.config.model_type == "xlnet"
    found = tokenizer(*([text] for text in texts), truncation=True, max_length=max_length, return_tensors="pt", return_token_type_ids=types)
    inputs = {name: found[name] for name in found if name in ("input_ids", "attention_mask", *(["token_type_ids"] if types else []))}
    if model.config.is_encoder_decoder:
        model = model.get_encoder()
    with torch.inference_mode():
        states = model(**inputs, output_hidden_states=True)
    wanted = states.last_hidden_state if layer is None else states.hidden_states[layer]
    return found, wanted[0].numpy()


def of_row(rows: TokenRows, states: np.ndarray, index: int) -> np.ndarray:
    return states[rows.inputs.offsets[index] : rows.inputs.offsets[index + 1]]


@pytest.mark.parametrize("layer", [None, 0, 1])
@pytest.mark.parametrize("kind", [*FAMILIES, *OTHERS])
def test_vectors_are_those_of_plain_transformers_row_by_row(kind: str, layer: int | None, models: Any) -> None:
    folder = models(kind)
    vectors = load_vectors(str(folder), layer=layer, max_length=LONGEST, token_budget=128, device="cpu")
    rows = vectors.tokens([(text,) for text in TEXTS])
    states, found = vectors.token_states(rows), vectors.sentences(rows, vectors.poolings)
    assert found["mean"].dtype == states.dtype == np.float32
    for index, text in enumerate(TEXTS):
        if not text and kind == "gpt2":
            assert not found["mean"][index].any(), "no token, no state"
            continue
        tokens, expected = plain_states(folder, text, layer=layer)
        assert rows.inputs.row(index).tolist() == tokens["input_ids"][0].tolist()
        np.testing.assert_allclose(of_row(rows, states, index), expected, atol=2e-5)
        np.testing.assert_allclose(found["mean"][index], expected.mean(axis=0), atol=2e-5)
        if "cls" in found:
            np.testing.assert_allclose(found["cls"][index], expected[-1 if kind == "xlnet" else 0], atol=2e-5)
    assert vectors.poolings == (("mean",) if kind in ("t5", "gpt2") else ("cls", "mean"))
    assert rows.cut.tolist() == [len(plain(folder)[0](text)["input_ids"]) > LONGEST for text in TEXTS]


@pytest.mark.parametrize("kind", [*FAMILIES, "bart", "xlnet"])
def test_pairs_are_those_of_plain_transformers(kind: str, models: Any) -> None:
    folder = models(kind)
    vectors = load_vectors(str(folder), max_length=LONGEST, device="cpu")
    pairs = [(TEXTS[0], TEXTS[2]), (TEXTS[1], ""), (TEXTS[5], TEXTS[1]), (TEXTS[5], TEXTS[5])]
    rows = vectors.tokens(pairs)
    states, found = vectors.token_states(rows), vectors.sentences(rows, ("cls", "mean"))
    for index, pair in enumerate(pairs):
        tokens, expected = plain_states(folder, *pair)
        assert rows.inputs.row(index).tolist() == tokens["input_ids"][0].tolist()
        np.testing.assert_allclose(of_row(rows, states, index), expected, atol=2e-5)
        np.testing.assert_allclose(found["cls"][index], expected[-1 if kind == "xlnet" else 0], atol=2e-5)
        segments = [-1 if number is None else number for number in tokens.sequence_ids(0)]
        assert of_row(rows, rows.segments, index).tolist() == segments


@pytest.mark.parametrize("kind", [*FAMILIES, *OTHERS])
def test_places_are_the_tokenizers_without_blanks(kind: str, models: Any) -> None:
    folder = models(kind)
    vectors, tokenizer = load_vectors(str(folder), max_length=LONGEST, device="cpu"), plain(folder)[0]
    rows = vectors.tokens([(text,) for text in TEXTS])
    for index, text in enumerate(TEXTS):
        found = tokenizer(text, truncation=True, max_length=LONGEST, return_offsets_mapping=True)
        inside = of_row(rows, rows.segments, index) == 0
        ours = zip(of_row(rows, rows.starts, index)[inside], of_row(rows, rows.ends, index)[inside], strict=True)
        theirs = [place for place, number in zip(found["offset_mapping"], found.sequence_ids(), strict=True) if number is not None]
        shown = [text[start:end] for start, end in ours]
        assert [piece.strip() for piece in shown] == [text[start:end].strip() for start, end in theirs]
        assert all(piece == piece.strip() or not piece.strip() for piece in shown)


def test_neighbours_in_the_batch_and_the_budget_do_not_matter(models: Any) -> None:
    folder = str(models("bert"))
    texts = [(text,) for text in sentences()[:30]]
    one, other = (load_vectors(folder, token_budget=budget, max_length=LONGEST, device="cpu") for budget in (40, 4000))
    first, second = (v.sentences(v.tokens(texts), ("cls", "mean")) for v in (one, other))
    backwards = other.sentences(other.tokens(texts[::-1]), ("cls", "mean"))
    for name in first:
        np.testing.assert_allclose(first[name], second[name], atol=1e-5)
        np.testing.assert_allclose(backwards[name][::-1], second[name], atol=1e-5)


def test_special_tokens_that_a_text_spells_stay_text(models: Any) -> None:
    vectors = load_vectors(str(models("bert")), device="cpu")
    rows = vectors.tokens([("[CLS] is a [SEP] token",)])
    special = {vectors.cls_id, plain(models("bert"))[0].sep_token_id}
    assert [token in special for token in rows.inputs.ids.tolist()] == (rows.segments < 0).tolist()
    assert (rows.segments < 0).sum() == 2


def test_a_member_with_adapters_is_asked_with_them(tmp_path: Path) -> None:
    model, _, _ = member_of("bert", "adapters:4", learning_rate=0.3)
    model.save(str(tmp_path))
    from tests.builders import tokenizer

    tokenizer("wordpiece").save_pretrained(tmp_path)
    vectors = load_vectors(str(tmp_path), device="cpu")
    rows = vectors.tokens([(TEXTS[0],)])
    ids = torch.from_numpy(rows.inputs.ids.astype(np.int64))[None]
    with torch.inference_mode():
        expected = model.model.bert(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0].numpy()
    np.testing.assert_allclose(vectors.token_states(rows), expected, atol=1e-5)
    _, by_transformers = plain_states(tmp_path, TEXTS[0], max_length=400)
    np.testing.assert_allclose(by_transformers, expected, atol=1e-5)
    with torch.inference_mode():
        for weight in adapter_parameters(model.model):
            weight.zero_()
        without = model.model.bert(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0].numpy()
    assert abs(without - expected).max() > 1e-2


def opened(models: Any, kind: str = "bert", **options: Any) -> Vectors:
    return load_vectors(str(models(kind)), device="cpu", **options)


def test_what_the_model_has_not_is_refused(models: Any, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"--layer is 3; this model has 0 \(the embeddings\) to 2"):
        opened(models, layer=3)
    for length in (3, 513):
        with pytest.raises(SettingsError, match=rf"--max-length is {length}; this model takes 5 to 512 tokens"):
            opened(models, max_length=length)
    assert opened(models, "roberta", max_length=512).max_length == 512
    with pytest.raises(SettingsError, match="--pooling cls: this model's tokenizer adds no CLS token; mean is legal"):
        opened(models, "t5").check(["cls"])
    with pytest.raises(SettingsError, match="--pooling is 'max,mean'; legal are cls, mean"):
        opened(models).check(["max", "mean"])
    with pytest.raises(ModelError, match="no such folder"):
        load_vectors(str(tmp_path / "none"))


def test_a_model_of_texts_and_images_is_refused(tmp_path: Path) -> None:
    config = {"model_type": "clip", "text_config": {"hidden_size": 24}, "vision_config": {"hidden_size": 24}}
    (tmp_path / "config.json").write_text(json.dumps(config), "utf-8")
    write_tensors(tmp_path / "model.safetensors", {"x": torch.zeros(1)})
    tokenizer(FAMILIES["bert"][0]).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="is of type 'clip', which is not one stack of layers over text"):
        load_vectors(str(tmp_path), device="cpu")


def test_pickles_are_not_opened(models: Any, tmp_path: Path) -> None:
    for file in models("bert").iterdir():
        if file.suffix == ".safetensors":
            (tmp_path / "pytorch_model.bin").write_bytes(b"")
        else:
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ModelError, match="only pickle weights"):
        load_vectors(str(tmp_path))


def test_the_builtin_model_gives_vectors() -> None:
    vectors = load_vectors("builtin", device="cpu")
    found = vectors.sentences(vectors.tokens([("A text.",), ("A text.",), ("Another one.",)]))["mean"]
    assert found.shape == (3, 192)
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)
    assert abs(found[0] - found[2]).max() > 1e-2


def test_a_folder_may_be_a_path_and_a_row_is_no_string(tmp_path: Path) -> None:
    found = load_vectors(tiny_masked_lm("bert", tmp_path / "model"), device="cpu")
    with pytest.raises(
        SettingsError, match=r"rows hold the string 'A sentence.'; a row is a tuple of one text, or of two: \('A sentence.',\)"
    ):
        found.tokens(["A sentence.", "Another"])
