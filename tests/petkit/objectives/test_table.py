"""What holds for every row of the table, and rows of one's own."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from petkit.errors import SettingsError
from petkit.objectives import (
    IGNORED,
    PRESETS,
    Denoising,
    MaskedLanguageModeling,
    Objective,
    gather_rows,
    numbers,
    objective,
    plain_objectives,
    preset,
    presets,
    register,
    replaced_tokens,
    select_exact,
    stream,
)
from petkit.settings import Settings, apply_changes
from tests.petkit.objectives.made import EOS, PAD, SIZE, UNK, WORDS, calls, framed

NAMES = [name for name in PRESETS if name not in ("nsp", "sop")]


def batch_of(name: str, ids: Any, valid: Any, *, seed: int = 1) -> Any:
    units = {"words": WORDS.words(ids)} if getattr(preset(name), "given_units", False) else {}
    return preset(name).batch(ids, valid, WORDS, stream(seed), **units)


def masked_part(batch: Any) -> Any:
    return getattr(batch, "masked", batch)


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_complete_and_pure(name: str) -> None:
    row = preset(name)
    assert isinstance(row, Objective)
    assert row.name == name
    assert row.summary
    assert "20" in row.source
    ids, valid = framed([20, 5, 30], 34)
    before = ids.copy()
    batch_of(name, ids, valid)
    assert (ids == before).all()


@pytest.mark.parametrize("name", NAMES)
def test_nothing_to_select_gives_empty_arrays(name: str) -> None:
    ids, valid = framed([0, 0], 6)
    ids[0, 2] = UNK
    valid[0, 2] = True
    batch = masked_part(batch_of(name, ids, valid))
    positions = getattr(batch, "positions", np.zeros(0))
    assert (positions.ndim == 2 and not (positions >= 0).any()) or len(positions) == 0
    assert batch.inputs.shape[0] == 2
    assert batch_of(name, ids[:0], valid[:0]) is not None


@pytest.mark.parametrize(
    "name", [name for name in NAMES if isinstance(getattr(preset(name), "masked", preset(name)), MaskedLanguageModeling)]
)
def test_masked_rows_select_text_only_at_their_rate(name: str) -> None:
    ids, valid = framed([118] * 60 + [0, 3], 124)
    ids[:, 40] = np.where(ids[:, 40] != PAD, UNK, PAD)
    batch = masked_part(batch_of(name, ids, valid))
    flat = ids.reshape(-1)
    assert not WORDS.special[flat[batch.positions]].any()
    assert (batch.targets == flat[batch.positions]).all()
    elsewhere = np.delete(np.arange(ids.size), batch.positions)
    assert (batch.inputs.reshape(-1)[elsewhere] == flat[elsewhere]).all()
    assert len(batch.positions) / (~WORDS.special[ids]).sum() == pytest.approx(0.15, abs=0.012)


def test_boundaries_come_with_spanbert_only() -> None:
    ids, valid = framed([60] * 8, 64)
    batch = batch_of("spanbert", ids, valid)
    around = batch.boundaries
    assert sorted(around.targets.tolist()) == sorted(batch.targets.tolist())  # the frame is outside every span
    assert not np.isin(around.left, batch.positions).any()
    assert not np.isin(around.right, batch.positions).any()
    assert (around.left + 1 + around.offsets < around.right).all()
    plain = batch_of("spanbert-masks", ids, valid)
    assert plain.boundaries is None
    assert np.array_equal(plain.inputs, batch.inputs)


@pytest.mark.parametrize("name", NAMES)
def test_longer_rows_and_more_rows_take_no_more_calls(name: str) -> None:
    batches = [framed([n] * rows, n + 2) for n, rows in ((64, 4), (512, 4), (64, 32))]
    least, *more = (max(calls(partial(batch_of, name, *batch, seed=i)) for i in range(4)) for batch in batches)
    assert max(more) < 1.6 * least + 25  # 8 times the tokens


def test_electra_labels_what_was_replaced_not_where_it_was_masked() -> None:
    ids = torch.tensor([[10, 11, 12], [13, 14, 15]])
    inputs, replaced = replaced_tokens(ids, torch.tensor([0, 4, 5]), torch.tensor([99, 14, 98]))
    assert inputs.tolist() == [[99, 11, 12], [13, 14, 98]]
    assert replaced.tolist() == [[True, False, False], [False, False, True]]
    assert ids[0, 0] == 10
    none = torch.zeros(0, dtype=torch.int64)
    assert not replaced_tokens(ids, none, none)[1].any()
    rows, valid = framed([200] * 50, 202)
    batch = batch_of("electra", rows, valid)
    assert batch.originals is rows
    assert batch.draws.shape == batch.masked.positions.shape
    assert ((batch.draws >= 0) & (batch.draws < 1)).all()
    assert not np.array_equal(batch.draws, batch_of("electra", rows, valid, seed=9).draws)
    masks = (batch.masked.inputs.reshape(-1)[batch.masked.positions] == WORDS.mask_id).mean()
    assert masks == pytest.approx(0.85, abs=0.03)


def test_causal_labels_are_inputs_and_a_real_end_keeps_its_label_where_it_is_the_padding_too() -> None:
    words = replace(WORDS, pad_id=EOS)
    ids = np.array([[10, 11, EOS, EOS, EOS], [12, 13, 14, 15, EOS]])
    valid = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], dtype=bool)
    batch = preset("causal").batch(ids, valid, words, stream(1))
    assert batch.labels.tolist() == [[10, 11, EOS, IGNORED, IGNORED], [12, 13, 14, 15, EOS]]
    config = GPT2Config(vocab_size=SIZE, n_embd=16, n_layer=1, n_head=2, n_positions=16, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = GPT2LMHeadModel(config).eval()
    tokens, labels = torch.from_numpy(batch.inputs), torch.from_numpy(batch.labels)
    with torch.no_grad():
        found = model(input_ids=tokens, attention_mask=torch.from_numpy(valid.astype(np.int64)), labels=labels)
    shifted = torch.nn.functional.cross_entropy(found.logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
    assert found.loss.item() == pytest.approx(shifted.item(), abs=1e-6)


def test_rows_are_gathered_from_one_buffer() -> None:
    flat = np.arange(100, 120, dtype=np.int32)
    ids, valid = gather_rows(flat, np.array([0, 5, 5]), np.array([3, 0, 9]), pad_id=0, width=6, before=1, after=2)
    assert ids.tolist() == [[1, 100, 101, 102, 2, 0], [1, 2, 0, 0, 0, 0], [1, 105, 106, 107, 108, 2]]
    assert valid.sum(axis=1).tolist() == [5, 2, 6]
    bare, _ = gather_rows(flat, np.array([17]), np.array([3]), pad_id=0)
    assert bare.tolist() == [[117, 118, 119]]
    assert gather_rows(flat, np.zeros(0, np.int64), np.zeros(0, np.int64), pad_id=0, width=4)[0].shape == (0, 4)


# Rows of one's own


@pytest.fixture(autouse=True)
def own_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    before = dict(presets._TABLE)
    monkeypatch.setattr(presets, "_TABLE", table := dict(before))
    monkeypatch.setattr(presets, "PRESETS", table)


def test_a_row_of_ones_own_works_wherever_objectives_are_named() -> None:
    register(MaskedLanguageModeling("mlm-40", select_exact, "Wettig et al. 2023", rate=0.4, summary="mlm at 40 %"))
    assert "mlm-40" in plain_objectives()
    assert objective("mlm-40").rate == 0.4
    assert apply_changes(Settings(), {"member.objective": "mlm-40"}).member.objective == "mlm-40"
    ids, valid = framed([100], 102)
    assert len(objective("mlm-40").batch(ids, valid, WORDS, stream(1)).positions) == 40
    register(Denoising("torn", ("delete", "rotate"), "ours", summary="torn", rate=0.2))
    assert preset("torn").batch(ids, valid, WORDS, stream(1)).inputs.shape == (1, 82)
    assert numbers(preset("torn")) == {"rate": 0.2}


def test_rows_that_are_none_and_names_that_are_taken_are_refused() -> None:
    row = MaskedLanguageModeling("mlm", select_exact, "ours", rate=0.4)
    with pytest.raises(SettingsError, match="'mlm': the name is taken"):
        register(row)
    register(row, force=True)
    assert objective("mlm").rate == 0.4
    with pytest.raises(SettingsError, match=r"(?s)it has no source.*it has no batch"):
        register(object())
    for name in ("", "a,b", "two words"):
        with pytest.raises(SettingsError, match="a word without commas"):
            register(replace(row, name=name))


def test_presets_take_other_numbers_that_are_theirs() -> None:
    assert preset("t5", rate=0.5, mean=2.0).mean == 2.0
    with pytest.raises(SettingsError, match="'span' is unknown; legal are mlm, "):
        preset("span")
    with pytest.raises(SettingsError, match=r"(?s)there is no temperature; legal are .*rate.*rate is 1.5; above 0"):
        preset("t5", temperature=2.0, rate=1.5)
    for name in ("t5", "ernie", "spanbert", "electra"):
        with pytest.raises(SettingsError, match=f"--objective '{name}' needs more than a masked language model and text; legal are mlm,"):
            objective(name)
