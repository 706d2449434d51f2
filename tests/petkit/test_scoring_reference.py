"""Label scores against a reference that runs one row and one word at a time, and what batching must not change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from petkit.backbones import MaskedLM
from petkit.batching import collate
from petkit.encoding import Encoder
from petkit.pvp import PVP, Pattern, Verbalizer
from petkit.rows import Rows
from petkit.scoring import plan, score_rows
from tests import builders
from tests.petkit.scoring_toys import MANY, NumberEncoder, pvp_of, rows_of, some_rows, tiny


def slow_word(model: MaskedLM, encoder: NumberEncoder, rows: Rows, word: tuple[int, ...], decoding: str) -> list[float]:
    """log q~ of one word in each row, as the paper says it, one row and one slot at a time, on transformers' own logits."""
    encoded = encoder.clozes(rows, Pattern("{text} {mask}"), masks=len(word), filler="+".join(map(str, word)))
    totals = []
    for index in range(len(rows)):
        ids, slots, total = torch.from_numpy(encoded.row(index).astype(np.int64)), encoded.slots[index], 0.0
        left = list(range(len(word)))
        while left:
            logs = model.model(input_ids=ids[None]).logits[0].double().log_softmax(-1)
            own = {j: float(logs[int(slots[j]), word[j]]) for j in left}
            if decoding == "parallel":
                total += sum(own.values())
                break
            chosen = left[0] if decoding == "left-to-right" else max(left, key=lambda j: own[j])
            total += own[chosen]
            ids = ids.clone()
            ids[int(slots[chosen])] = word[chosen]
            left.remove(chosen)
        totals.append(total)
    return totals


@pytest.mark.parametrize("family", ["bert", "roberta", "deberta-v2"])
@pytest.mark.parametrize("decoding", ["max-first", "left-to-right", "parallel"])
def test_batched_filling_agrees_with_one_row_and_one_word_at_a_time(family: str, decoding: Any) -> None:
    model, encoder, rows = tiny(family), NumberEncoder(), some_rows(8)
    fast = score_rows(model, encoder, rows, pvp_of(**MANY), token_budget=150, decoding=decoding)
    with torch.no_grad():
        wanted = [
            np.mean([slow_word(model, encoder, rows, tuple(map(int, w.split("+"))), decoding) for w in words], axis=0)
            for words in pvp_of(**MANY).verbalizer.words
        ]
    np.testing.assert_allclose(fast, np.transpose(wanted), rtol=1e-5, atol=1e-5)
    assert np.std(fast, axis=0).min() > 0.05, "rows so alike that a mix-up would not show"


def test_many_rows_go_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    model, rows = tiny(), some_rows(8)
    whole = score_rows(model, NumberEncoder(), rows, pvp_of(**MANY), token_budget=150)
    monkeypatch.setattr("petkit.multitoken._ROWS", 3)
    np.testing.assert_allclose(score_rows(model, NumberEncoder(), rows, pvp_of(**MANY), token_budget=150), whole, atol=1e-5)


def test_the_three_orders_differ_on_a_real_model() -> None:
    model, rows = tiny(), some_rows(8)
    found = [
        score_rows(model, NumberEncoder(), rows, pvp_of(**MANY), token_budget=150, decoding=decoding)
        for decoding in ("max-first", "left-to-right", "parallel")
    ]
    assert not np.allclose(found[0], found[1], atol=1e-2)
    assert not np.allclose(found[0], found[2], atol=1e-2)


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(9)), st.integers(1, 9), st.sampled_from([20, 64, 5000]), st.booleans())
def test_scores_do_not_depend_on_the_company(order: list[int], count: int, budget: int, multi: bool) -> None:
    model, rows, encoder = _shared(), some_rows(9), NumberEncoder()
    pvp = pvp_of(**MANY) if multi else pvp_of(a=("10", "0"), b="20")
    alone = score_rows(model, encoder, rows, pvp, token_budget=1)
    chosen = order[:count]
    together = score_rows(model, encoder, rows.select(chosen), pvp, token_budget=budget)
    np.testing.assert_allclose(together, alone[chosen], atol=2e-5, rtol=1e-5)


_SHARED: list[MaskedLM] = []


def _shared() -> MaskedLM:
    if not _SHARED:
        _SHARED.append(tiny())
    return _SHARED[0]


def test_scores_of_one_token_words_are_transformers_logits() -> None:
    model, rows, encoder = tiny(), some_rows(9), NumberEncoder()
    found = score_rows(model, encoder, rows, pvp_of(a=("10", "0"), b="20"), token_budget=64)
    encoded = encoder.clozes(rows, Pattern("{text} {mask}"), filler="10")
    with torch.no_grad():
        for i in range(9):
            logits = model.model(input_ids=torch.from_numpy(encoded.row(i).astype(np.int64))[None]).logits[0, encoded.slots[i, 0]]
            np.testing.assert_allclose(found[i], [(logits[10] + logits[0]) / 2, logits[20]], atol=1e-5)


@pytest.mark.parametrize("family", list(builders.FAMILIES))
@pytest.mark.parametrize("words", [{"a": ("good", "great"), "b": "Sports"}, {"a": ("good", "numerically sorted"), "b": "Sports"}])
def test_real_text_from_the_encoder_to_the_scores(family: str, words: dict[str, Any]) -> None:
    """The whole way, for each family with a tokenizer of its own kind: against transformers, one row and one word at a time."""
    encoder = Encoder(builders.tokenizer(builders.FAMILIES[family][0]), max_length=48)
    model, pvp = MaskedLM(builders.random_masked_lm(family)), PVP(Pattern("{text} ( {mask} ) || It is."), Verbalizer(words))
    rows = rows_of(*builders.sentences()[:6])
    found = score_rows(model, encoder, rows, pvp, token_budget=128)
    of = plan(encoder, pvp, rows)
    assert of.kind == ("single" if "great" in words["a"] else "multi")
    with torch.no_grad():
        for label, ids in enumerate(of.words):
            each = [slow_real(model, encoder, rows, pvp, word, logits=of.kind == "single") for word in ids]
            np.testing.assert_allclose(found[:, label], np.mean(each, axis=0), atol=1e-5, rtol=1e-5)


def slow_real(model: MaskedLM, encoder: Encoder, rows: Rows, pvp: PVP, word: tuple[int, ...], *, logits: bool) -> list[float]:
    """One word's logit (one token) or log q~ in each row, surest slot first."""
    encoded, totals = encoder.clozes(rows, pvp.pattern, masks=len(word), filler="good"), []
    for index in range(len(rows)):
        batch, total, left = collate(encoded, [index], pad_id=encoder.pad_id), 0.0, dict(enumerate(word))
        inputs = {"input_ids": batch.input_ids}
        if "token_type_ids" in model._inputs(batch):
            inputs["token_type_ids"] = batch.token_type_ids
        while left:
            rowwise = model.model(**inputs).logits[0, batch.slots[0]].double()
            own = {j: float((rowwise if logits else rowwise.log_softmax(-1))[j, token]) for j, token in left.items()}
            surest = max(own, key=lambda j: own[j])
            total += own[surest]
            inputs["input_ids"][0, batch.slots[0, surest]] = left.pop(surest)
        totals.append(total)
    return totals
