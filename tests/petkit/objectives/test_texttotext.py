"""T5's table and BART's denoising: texts, ends, decoder inputs and labels, against vectors and the shifts of transformers."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import BartConfig, BartForConditionalGeneration, T5Config, T5ForConditionalGeneration
from transformers.models.bart.modeling_bart import shift_tokens_right

from petkit.errors import SettingsError
from petkit.objectives import IGNORED, NOISES, Denoising, SpanCorruption, TextToTextBatch, Vocabulary, preset, stream, t5_lengths
from petkit.objectives.texttotext import dropped, masked, selected, sentinel_inputs, sentinel_targets, whole
from tests.petkit.objectives.made import BOS, EOS, MASK, PAD, SENTINELS, SIZE, UNK, WORDS, Bools, Ints, framed

T5_ROWS = ["t5", "t5-replace-spans", "t5-drop", "t5-bert", "t5-mass", "t5-prefix-lm", "t5-deshuffle", "span-collapse"]
BART_ROWS = ["bart", "bart-infill", "bart-permute", "bart-mask", "bart-delete", "bart-rotate"]
S0, S1 = SENTINELS[:2]


def given(*flags: int) -> Any:
    """A selector of these places of every row."""
    return lambda rows, rng, *, rate: np.broadcast_to(np.array(flags, dtype=bool), rows.ids.shape) & rows.maskable


def texts(batch: TextToTextBatch) -> tuple[list[list[int]], list[list[int]]]:
    """Inputs and labels without padding."""
    return [row[there].tolist() for row, there in zip(batch.inputs, batch.valid, strict=True)], [
        row[row != IGNORED].tolist() for row in batch.labels
    ]


@pytest.mark.parametrize(
    ("inputs", "targets", "wanted"),
    [
        (sentinel_inputs, sentinel_targets, ([10, 11, S0, 14, S1, EOS], [S0, 12, 13, S1, 15, EOS])),
        (dropped, selected, ([10, 11, 14, EOS], [12, 13, 15, EOS])),
        (masked, whole, ([10, 11, MASK, MASK, 14, MASK, EOS], [10, 11, 12, 13, 14, 15, EOS])),
        (preset("span-collapse").inputs, whole, ([10, 11, MASK, 14, MASK, EOS], [10, 11, 12, 13, 14, 15, EOS])),
    ],
)
def test_the_parts_on_six_tokens(inputs: Any, targets: Any, wanted: tuple[list[int], list[int]]) -> None:
    row = SpanCorruption("x", given(0, 0, 1, 1, 0, 1), inputs, targets, "ours")
    ids = np.array([[10, 11, 12, 13, 14, 15, EOS, PAD, PAD]])
    batch = row.batch(ids, ids != PAD, WORDS, stream(1))
    assert texts(batch) == ([wanted[0]], [wanted[1]])
    assert batch.decoder_inputs.tolist() == [[PAD, *wanted[1][:-1]]]
    without = row.batch(ids, ids != PAD, replace(WORDS, mask_id=None), stream(1))
    assert texts(without)[0] == [[S0 if token == MASK else token for token in wanted[0]]]  # T5 itself has no mask token


def test_a_row_that_begins_with_noise_has_targets_that_do_as_in_the_reference() -> None:
    """Its ``nonnoise_span_to_unique_sentinel`` names clean runs, so sentinel 1 stands behind the noise that it names in the inputs."""
    row = SpanCorruption("x", given(1, 1, 0, 0, 1, 0), sentinel_inputs, sentinel_targets, "ours")
    ids = np.array([[10, 11, 12, 13, 14, 15, EOS]])
    assert texts(row.batch(ids, ids != PAD, WORDS, stream(1))) == ([[S0, 12, 13, S1, 15, EOS]], [[10, 11, S0, 14, S1, EOS]])


@pytest.mark.parametrize("name", T5_ROWS + BART_ROWS)
def test_labels_of_any_length_are_padded_and_whole(name: str) -> None:
    ids, valid = framed([0, 1, 2, 9, 60], 64)
    batch = preset(name).batch(ids, valid, WORDS, stream(2))
    inputs, labels = texts(batch)
    starts, first = ([], PAD) if name in T5_ROWS else ([BOS], EOS)
    for row in range(5):
        text = ids[row][valid[row]].tolist()[1:-1]
        for sequence in (inputs[row], labels[row]):
            assert sequence[: len(starts)] == starts
            assert sequence[-1] == EOS
            assert not {PAD, EOS} & set(sequence[:-1])
        whole_text = name in BART_ROWS or name in ("t5-bert", "t5-mass", "t5-deshuffle", "span-collapse")
        assert not whole_text or labels[row] == [*starts, *text, EOS]
        assert batch.decoder_inputs[row, : len(labels[row])].tolist() == [first, *labels[row][:-1]]
    labels_as_tensor = torch.from_numpy(batch.labels)
    assert torch.equal(torch.from_numpy(batch.decoder_inputs), shift_tokens_right(labels_as_tensor, PAD, first))
    assert batch.inputs.shape == batch.valid.shape
    assert batch.labels.shape == batch.decoder_inputs.shape
    assert batch.labels.dtype == batch.inputs.dtype == np.int64


@pytest.mark.parametrize("name", ["t5", "t5-replace-spans", "t5-drop", "t5-prefix-lm"])
def test_inputs_and_targets_together_are_the_text(name: str) -> None:
    ids, valid = framed([30] * 40, 34)
    inputs, labels = texts(preset(name).batch(ids, valid, WORDS, stream(3)))
    for row, text in enumerate(ids[:, 1:31].tolist()):
        assert sorted(t for t in inputs[row] + labels[row] if not WORDS.special[t]) == sorted(text)
        if name.startswith("t5-p") or name == "t5":
            assert rebuilt(inputs[row], labels[row]) == text


def rebuilt(inputs: list[int], labels: list[int]) -> list[int]:
    """The text, each sentinel of the inputs replaced by what the targets have behind it."""
    if S0 not in inputs:  # a prefix
        return inputs[:-1] + labels[:-1]
    behind: dict[int, list[int]] = {}
    for token in labels[:-1]:
        if token in SENTINELS:
            name = token
            behind[name] = []
        else:
            behind[name].append(token)
    assert list(behind) == list(SENTINELS[: len(behind)])
    return [t for token in inputs[:-1] for t in behind.get(token, [token])]


def test_published_lengths_come_out() -> None:
    ids, valid = framed([568] * 3, 570)
    batch = preset("t5").batch(ids, valid, WORDS, stream(4))
    assert (batch.inputs.shape[1], batch.labels.shape[1]) == (512, 114)
    ids, valid = framed([70] * 3, 72)
    batch = preset("t5", rate=0.2, mean=2.0).batch(ids, valid, WORDS, stream(4))
    assert batch.labels.shape[1] == 22
    assert batch.inputs.shape[1] == 64


def test_deshuffling_keeps_the_tokens_and_bert_style_corrupts_nine_to_one() -> None:
    ids, valid = framed([200] * 100, 202)
    inputs, labels = texts(preset("t5-deshuffle").batch(ids, valid, WORDS, stream(5)))
    assert [sorted(row) for row in inputs] == [sorted(row) for row in labels]
    assert sum(a != b for a, b in zip(inputs, labels, strict=True)) == 100
    batch = preset("t5-bert").batch(ids, valid, WORDS, stream(6))
    masks, changed = (batch.inputs == MASK).sum(), (batch.inputs != batch.labels).sum()
    assert changed / 20_000 == pytest.approx(0.15, abs=0.01)
    assert masks / changed == pytest.approx(0.9, abs=0.02)


def test_an_unknown_token_is_text() -> None:
    ids = np.array([[BOS, 10, UNK, 12, 13, EOS]])
    _, labels = texts(preset("t5-mass").batch(ids, ids != PAD, WORDS, stream(7)))
    assert labels == [[10, UNK, 12, 13, EOS]]


def test_noises_come_in_any_number_and_order() -> None:
    ids, valid = framed([40, 25], 42)
    row = Denoising("all", tuple(NOISES), "ours", rate=0.2)
    batch = row.batch(ids, valid, WORDS, stream(8))
    again = row.batch(ids, valid, WORDS, stream(8))
    assert np.array_equal(batch.inputs, again.inputs)
    assert not np.array_equal(
        batch.inputs, Denoising("r", tuple(NOISES)[::-1], "ours", rate=0.2).batch(ids, valid, WORDS, stream(8)).inputs
    )
    untouched = Denoising("none", (), "ours").batch(ids, valid, WORDS, stream(8))
    assert (np.where(untouched.valid, untouched.inputs, IGNORED) == untouched.labels).all()
    with pytest.raises(SettingsError, match=r"(?s)2 problems.*'swap' is unknown; legal are permute-sentences, .*rate is 2"):
        Denoising("x", ("swap",), "ours", rate=2.0)


def test_sentences_are_those_of_the_vocabulary_or_given() -> None:
    ids = np.array([[BOS, 15, 25, 11, 12, 35, 13, EOS]])  # 15, 25, 35 end sentences; 15 25 is one end
    assert WORDS.sentences(ids)[0].tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
    rows = np.repeat(ids, 300, axis=0)
    inputs, _ = texts(preset("bart-permute").batch(rows, rows != PAD, WORDS, stream(9)))
    assert len({tuple(row) for row in inputs}) == 6
    given_ids = np.repeat(np.array([[0, 0, 0, 0, 0, 1, 1, 1]]), 300, axis=0)
    inputs, _ = texts(preset("bart-permute").batch(rows, rows != PAD, WORDS, stream(9), sentences=given_ids))
    assert {tuple(row) for row in inputs} == {tuple(ids[0]), (BOS, 35, 13, 15, 25, 11, 12, EOS)}
    with pytest.raises(ValueError, match="which pieces end a sentence"):
        preset("bart").batch(rows, rows != PAD, replace(WORDS, stops=None), stream(9))


def test_a_tokenizer_without_an_end_is_refused_by_name() -> None:
    ids, valid = framed([5], 7)
    with pytest.raises(SettingsError, match="t5 needs a tokenizer with a eos token"):
        preset("t5").batch(ids, valid, replace(WORDS, eos_id=None), stream(1))


def models() -> dict[str, Any]:
    t5 = T5Config(
        vocab_size=SIZE, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, dropout_rate=0.0, pad_token_id=PAD, eos_token_id=EOS,
        decoder_start_token_id=PAD,
    )  # fmt: skip
    bart = BartConfig(
        vocab_size=SIZE, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=32, decoder_ffn_dim=32, dropout=0.0, max_position_embeddings=64, pad_token_id=PAD, bos_token_id=BOS,
        eos_token_id=EOS, decoder_start_token_id=EOS, forced_eos_token_id=EOS,
    )  # fmt: skip
    return {"t5": (T5ForConditionalGeneration, t5), "bart": (BartForConditionalGeneration, bart)}


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_decoder_inputs_give_the_loss_that_labels_give_in_transformers(name: str) -> None:
    kind, config = models()[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = kind(config).eval()
    ids, valid = framed([20, 7, 33], 36)
    batch = preset(name).batch(ids, valid, WORDS, stream(10))
    arrays = {"input_ids": torch.from_numpy(batch.inputs), "attention_mask": torch.from_numpy(batch.valid.astype(np.int64))}
    labels = torch.from_numpy(batch.labels)
    with torch.no_grad():
        theirs = model(**arrays, labels=labels).loss
        logits = model(**arrays, decoder_input_ids=torch.from_numpy(batch.decoder_inputs)).logits
    assert functional.cross_entropy(logits.flatten(0, 1), labels.flatten()).item() == pytest.approx(theirs.item(), abs=1e-6)


def frame_only() -> tuple[Ints, Bools]:
    ids = np.array([[BOS, EOS, PAD], [PAD, PAD, PAD]])
    return ids, ids != PAD


@pytest.mark.parametrize("name", T5_ROWS + BART_ROWS)
def test_texts_without_tokens_leave_their_ends(name: str) -> None:
    batch = preset(name).batch(*frame_only(), WORDS, stream(11))
    assert (batch.labels != IGNORED).any(axis=1).all()  # never a mean over nothing
    assert texts(batch)[1] == [[EOS] if name in T5_ROWS else [BOS, EOS]] * 2


@pytest.mark.parametrize(("name", "spans"), [("t5", 11), ("t5-replace-spans", 12)])  # of t5 a text begins clean, and now ends so
def test_more_spans_than_sentinels_leave_the_rest_of_the_text_as_it_is(name: str, spans: int) -> None:
    ids, valid = framed([300, 150, 8, 0] * 20, 302)
    batch = preset(name).batch(ids, valid, replace(WORDS, sentinels=SENTINELS[:12]), stream(5))
    most = 0
    for row, said, text in zip(*texts(batch), ids, strict=True):
        assert _filled_in(row, said) == [token for token in text.tolist() if token not in (BOS, PAD)]
        most = max(most, sum(token in SENTINELS for token in row))
    assert most == spans


def _filled_in(row: list[int], said: list[int]) -> list[int]:
    """The inputs with the targets' tokens in place of the sentinels."""
    spans = [list(group) for is_sentinel, group in groupby(said[:-1], SENTINELS.__contains__) if not is_sentinel]
    return [one for token in row for one in (spans.pop(0) if token in SENTINELS else [token])]


def test_rows_are_made_of_as_much_text_as_fits_and_a_rate_that_sets_no_end_is_refused() -> None:
    assert [preset(name).raw_length(64) for name in ("t5", "t5-replace-spans", "span-collapse")] == [t5_lengths(64)[0], 63, 63]
    with pytest.raises(SettingsError, match=r"--mask-rate is 1.0; with --objective t5 .* rows of 64 tokens, .* 0.5, is legal"):
        replace(preset("t5"), rate=1.0).raw_length(64)
    assert replace(preset("t5-replace-spans"), rate=1.0).raw_length(64) == 63


def test_sentinels_are_the_tokenizers_own_whatever_their_order() -> None:
    class Tokenizer:
        all_special_ids = [0, 1]  # noqa: RUF012
        mask_token_id = bos_token_id = cls_token_id = sep_token_id = None
        pad_token_id, eos_token_id = 0, 1
        pieces = ["<pad>", "</s>", "\u2581a", "<extra_id_2>", "<extra_id_0>", "<extra_id_10>", "b", "."]  # noqa: RUF012

        def __len__(self) -> int:
            return len(self.pieces)

        def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
            return [self.pieces[i] for i in ids]

    vocabulary = Vocabulary.of(Tokenizer())
    assert vocabulary.sentinels == (4, 3, 5)
    assert vocabulary.special.tolist() == [True, True, False, True, True, True, False, False]
    assert (vocabulary.mask_id, vocabulary.eos_id, vocabulary.bos_id) == (None, 1, None)
    assert vocabulary.stops is not None
    assert np.flatnonzero(vocabulary.stops).tolist() == [7]
