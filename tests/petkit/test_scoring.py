"""Label scores: numbers by hand, a reference that runs one row and one word at a time, and what batching must not change."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from petkit.backbones import MaskedLM
from petkit.batching import Batch, collate
from petkit.encoding import Encoder
from petkit.encoding.encoded import Encoded
from petkit.errors import SettingsError, TaskError
from petkit.pvp import PVP, Pattern, Verbalizer
from petkit.rows import Rows
from petkit.scoring import ScoringPlan, label_scores, plan, score_encoded, score_rows, token_log_probs, word_scores
from tests import builders

CLS, SEP, MASK, PAD, UNK, VOCAB = 1, 2, 3, 4, 6, 40


class NumberEncoder:
    """An encoder for texts that are numbers: the cloze is [CLS] text gap text [SEP], the word "7+9" is the tokens 7 and 9."""

    pad_id, mask_id, special_ids = PAD, MASK, frozenset({CLS, SEP, MASK, PAD, UNK})

    def __init__(self, changed: Callable[[str, Mapping[str, str]], str] = lambda word, row: word) -> None:
        self.changed, self.asked = changed, list[int]()

    def clozes(self, rows: Rows, pattern: Pattern, *, masks: int = 1, filler: str) -> Encoded:
        self.asked.append(masks)
        assert len(filler.split("+")) == masks, "the filler stands for the words of this length"
        texts = [[int(token) for token in text.split()] for text in rows.fields["text"]]
        halves = [len(text) // 2 for text in texts]
        ids = [[CLS, *t[:h], *[MASK] * masks, *t[h:], SEP] for t, h in zip(texts, halves, strict=True)]
        return Encoded.of(ids, slots=[list(range(1 + h, 1 + h + masks)) for h in halves])

    def word_ids(self, pattern: Pattern, words: Sequence[str], row: Mapping[str, str]) -> list[tuple[int, ...]]:
        return [tuple(int(token) for token in self.changed(word, row).split("+") if token) for word in words]


class TableLM(torch.nn.Module):
    """A masked LM by table: tokens at the slots (None where masked) -> for each slot {token: probability}; the rest shares what is left.

    A hidden state is the number of a distribution. It counts its passes and their rows.
    """

    vocab_size, device = VOCAB, torch.device("cpu")

    def __init__(self, table: Mapping[tuple[int | None, ...], Sequence[Mapping[int, float]]]) -> None:
        super().__init__()
        self.table, self.logits, self.passes = table, list[list[float]](), list[int]()

    def slot_hidden(self, batch: Batch) -> Tensor:
        found = batch.input_ids.gather(1, batch.slots)
        self.passes.append(len(found))
        keys = [tuple(None if token == MASK else token for token in row) for row in found.tolist()]
        return torch.tensor([[[float(self._number(spread))] for spread in self.table[key]] for key in keys])

    def _number(self, spread: Mapping[int, float]) -> int:
        rest = (1 - sum(spread.values())) / (VOCAB - len(spread))
        self.logits.append([math.log(spread.get(token, rest)) + 5 for token in range(VOCAB)])  # logits are log p up to a constant
        return len(self.logits) - 1

    def vocab_logits(self, hidden: Tensor) -> Tensor:
        return torch.tensor(self.logits)[hidden[:, 0].long()]

    def word_logits(self, hidden: Tensor, ids: Tensor) -> Tensor:
        return self.vocab_logits(hidden)[:, ids]


def rows_of(*texts: str) -> Rows:
    return Rows(ids=tuple(f"r{i}" for i in range(len(texts))), fields={"text": texts})


def pvp_of(**words: str | tuple[str, ...]) -> PVP:
    return PVP(Pattern("{text} {mask}"), Verbalizer(words))


def by_table(table: Any, pvp: PVP, **options: Any) -> np.ndarray:
    """Scores of one row under a table."""
    encoder: Any = NumberEncoder()
    model: Any = TableLM(table)
    return score_rows(model, encoder, rows_of("8 9"), pvp, token_budget=100, **options)


# By hand


def test_one_token_words_are_scored_by_their_logits() -> None:
    scores = by_table({(None,): [{10: 0.5, 11: 0.125}]}, pvp_of(n="10", p="11"))
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, [[math.log(0.5) + 5, math.log(0.125) + 5]], atol=1e-5)
    np.testing.assert_allclose(np.exp(scores) / np.exp(scores).sum(), [[0.8, 0.2]], atol=1e-5)


def test_several_words_of_a_label_are_averaged_as_logits_not_as_probabilities() -> None:
    scores = by_table({(None,): [{10: 0.5, 11: 0.01, 12: 0.2}]}, pvp_of(n=("10", "11"), p="12"))
    np.testing.assert_allclose(scores, [[(math.log(0.5) + math.log(0.01)) / 2 + 5, math.log(0.2) + 5]], atol=1e-5)


ORDER = {
    (None, None): [{10: 0.2}, {11: 0.5}],
    (None, 11): [{10: 0.9}, {}],
    (10, None): [{}, {11: 0.1}],
    (None,): [{12: 0.3}],
}
"""The word 10+11: surest first 0.5 * 0.9, from the left 0.2 * 0.1, at once 0.2 * 0.5."""


@pytest.mark.parametrize(("decoding", "wanted"), [("max-first", 0.45), ("left-to-right", 0.02), ("parallel", 0.1)])
def test_the_order_of_filling_is_as_asked(decoding: Any, wanted: float) -> None:
    scores = by_table(ORDER, pvp_of(n="10+11", p="12"), decoding=decoding)
    np.testing.assert_allclose(np.exp(scores), [[wanted, 0.3]], rtol=1e-5)


def test_max_first_is_the_default() -> None:
    np.testing.assert_allclose(np.exp(by_table(ORDER, pvp_of(n="10+11", p="12"))), [[0.45, 0.3]], rtol=1e-5)


THREE = {
    (None, None, None): [{10: 0.1}, {11: 0.6, 13: 0.05}, {12: 0.3}],
    (None, 11, None): [{10: 0.5}, {}, {12: 0.2}],
    (10, 11, None): [{}, {}, {12: 0.8}],
    (None, None, 12): [{10: 0.4}, {13: 0.1}, {}],
    (10, None, 12): [{}, {13: 0.7}, {}],
    (None,): [{14: 0.25}],
}


def test_three_tokens_and_words_that_part_after_the_first_pass() -> None:
    """10+11+12: middle, left, right. 10+13+12 in the same first pass: right, left, middle. Their label averages log q~."""
    scores = by_table(THREE, pvp_of(a=("10+11+12", "10+13+12"), b="14"))
    wanted = [(math.log(0.6 * 0.5 * 0.8) + math.log(0.3 * 0.4 * 0.7)) / 2, math.log(0.25)]
    np.testing.assert_allclose(scores, [wanted], atol=1e-5)


def test_a_slot_that_is_filled_is_never_chosen_again() -> None:
    """After the fill the model is surer of the filled token than of anything else; it must not count twice."""
    sure = {(None, None): [{10: 0.2}, {11: 0.5}], (None, 11): [{10: 0.3}, {11: 0.99}], (None,): [{12: 0.3}]}
    np.testing.assert_allclose(np.exp(by_table(sure, pvp_of(n="10+11", p="12"))), [[0.15, 0.3]], rtol=1e-5)


def test_training_scores_by_hand() -> None:
    """One pass with the longest word's masks; a shorter word uses its first slots. The scores do not sum to one."""
    model: Any = TableLM({(None, None): [{10: 0.2, 12: 0.3}, {11: 0.5, 12: 0.4}]})
    batch = Batch(torch.tensor([[CLS, MASK, MASK, SEP]]), torch.ones(1, 4).long(), torch.zeros(1, 4).long(), torch.tensor([[1, 2]]))
    scores = label_scores(model, batch, ScoringPlan(words=(((10, 11),), ((12,), (10,)))))
    torch.testing.assert_close(scores, torch.tensor([[math.log(0.2 * 0.5), (math.log(0.3) + math.log(0.2)) / 2]]))


def test_word_scores_by_hand() -> None:
    logits = torch.tensor([[1.0, 2.0, 4.0, 8.0], [0.0, -1.0, -3.0, 5.0]], dtype=torch.float16)
    found = word_scores(logits, torch.tensor([1, 0, 0, 2]), 3)
    assert found.dtype == torch.float32
    assert found.tolist() == [[3.0, 1.0, 8.0], [-2.0, 0.0, 5.0]]


# The original's defects


def test_token_id_zero_is_a_word_like_any_other() -> None:
    """The original tests `m2c > 0` and drops the token 0 (pvp.py:212-230)."""
    scores = by_table({(None,): [{0: 0.5, 11: 0.125}]}, pvp_of(n="0", p="11"))
    np.testing.assert_allclose(scores, [[math.log(0.5) + 5, math.log(0.125) + 5]], atol=1e-5)
    scores = by_table({(None, None): [{0: 0.2}, {0: 0.5}], (None, 0): [{0: 0.9}, {}], (None,): [{11: 0.3}]}, pvp_of(n="0+0", p="11"))
    np.testing.assert_allclose(np.exp(scores), [[0.45, 0.3]], rtol=1e-5)
    assert ScoringPlan(words=(((0,),), ((5, 0),))).tokens == (0, 5)


class _Sure(TableLM):
    """A model so sure of token 20 that every other probability underflows to 0."""

    def __init__(self) -> None:
        super().__init__({})

    def slot_hidden(self, batch: Batch) -> Tensor:
        return torch.zeros(*batch.slots.shape, 1)

    def vocab_logits(self, hidden: Tensor) -> Tensor:
        logits = torch.zeros(len(hidden), VOCAB)
        logits[:, 20] = 400.0
        return logits


@pytest.mark.parametrize("decoding", ["max-first", "left-to-right", "parallel"])
def test_probability_zero_is_a_finite_score(decoding: Any) -> None:
    """In the original `math.log(0.0)` raises a math domain error (task_helpers.py)."""
    model, encoder = _Sure(), NumberEncoder()
    assert torch.softmax(model.vocab_logits(torch.zeros(1, 1)), 1)[0, 10] == 0
    scores = score_rows(model, encoder, rows_of("8 9"), pvp_of(n="10+11", p="20+10", z="10"), token_budget=99, decoding=decoding)
    np.testing.assert_allclose(scores, [[-800.0, -400.0, -400.0]])


def test_many_rows_share_a_pass() -> None:
    """The original asserts a batch of one for words of several tokens."""
    model, encoder = TableLM(ORDER), NumberEncoder()
    counts: list[int] = []
    rows = rows_of(*["8 9"] * 7)
    scores = score_rows(model, encoder, rows, pvp_of(n="10+11", p="12"), token_budget=10_000, on_batch=counts.append)
    np.testing.assert_allclose(np.exp(scores), [[0.45, 0.3]] * 7, rtol=1e-5)
    assert model.passes == counts == [7, 7, 7], "one for one mask, two for two"
    assert encoder.asked == [1, 2]


def test_words_with_the_same_tokens_filled_in_share_a_pass() -> None:
    same = {(None, None): [{10: 0.2}, {11: 0.4, 12: 0.5}], (None, 11): [{10: 0.9}, {}], (None, 12): [{10: 0.1, 13: 0.7}, {}]}
    model, encoder = TableLM(same), NumberEncoder()
    scores = score_rows(model, encoder, rows_of("8", "9"), pvp_of(a="10+11", b="10+12", c="13+12"), token_budget=10_000)
    np.testing.assert_allclose(np.exp(scores), [[0.36, 0.05, 0.35]] * 2, rtol=1e-5)
    assert model.passes == [2, 4], "two rows, then two states of each, not three"


# Against a reference


VOCAB_OF_MODEL = 60


def tiny(family: str = "bert") -> MaskedLM:
    """A random model, its weights large enough that words and rows differ."""
    extra = {"pad_token_id": PAD, "bos_token_id": CLS, "eos_token_id": SEP}
    model = builders.random_masked_lm(family, vocab_size=VOCAB_OF_MODEL, **extra)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return MaskedLM(model)


def some_rows(count: int, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    return rows_of(*(" ".join(map(str, rng.integers(7, VOCAB_OF_MODEL, rng.integers(1, 20)))) for _ in range(count)))


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


MANY = {"a": ("10", "11+12"), "b": ("13+14+15", "13+16+15", "20"), "c": "11+17", "d": "0+10+11+12"}


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


# Training


def training_batch(masks: int) -> Batch:
    encoder = NumberEncoder()
    encoded = encoder.clozes(some_rows(5), Pattern("{text} {mask}"), masks=masks, filler="+".join("7" * masks))
    return collate(encoded, range(5), pad_id=PAD)


def test_training_scores_are_one_parallel_pass_with_the_longest_words_masks() -> None:
    model, words = tiny(), plan(NumberEncoder(), pvp_of(**MANY), some_rows(3))
    batch = training_batch(words.masks)
    with torch.no_grad():
        found = label_scores(model, batch, words)
        logs = model.model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits.log_softmax(-1)
    assert (found.shape, found.dtype) == ((5, 4), torch.float32)
    for i in range(5):
        for label, of_label in enumerate(words.words):
            each = [sum(float(logs[i, batch.slots[i, j], token]) for j, token in enumerate(word)) for word in of_label]
            assert float(found[i, label]) == pytest.approx(np.mean(each), abs=2e-5)


def test_training_and_labelling_agree_where_nothing_is_filled() -> None:
    """All words of two tokens: the parallel order of labelling is the one pass of training."""
    model, pvp = tiny(), pvp_of(a="10+11", b=("12+13", "14+10"))
    words = plan(NumberEncoder(), pvp, some_rows(3))
    with torch.no_grad():
        trained = label_scores(model, training_batch(2), words).numpy()
    labelled = score_rows(model, NumberEncoder(), some_rows(5), pvp, token_budget=64, decoding="parallel")
    np.testing.assert_allclose(labelled, trained, atol=1e-5)


@pytest.mark.parametrize("words", [(((10,),), ((11,), (0,))), (((10, 11),), ((12,),))])
def test_gradients_flow_and_are_those_of_transformers(words: Any) -> None:
    model, of = tiny(), ScoringPlan(words)
    batch = training_batch(of.masks)
    label_scores(model, batch, of).square().sum().backward()
    ours = {key: value.grad.clone() for key, value in model.named_parameters() if value.grad is not None}
    model.zero_grad()
    logits = model.model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits[torch.arange(5)[:, None], batch.slots]
    if of.kind == "single":
        theirs = torch.stack([logits[:, 0, 10], (logits[:, 0, 11] + logits[:, 0, 0]) / 2], 1)
    else:
        logs = logits.log_softmax(-1)
        theirs = torch.stack([logs[:, 0, 10] + logs[:, 1, 11], logs[:, 0, 12]], 1)
    theirs.square().sum().backward()
    for key, value in model.named_parameters():
        if value.grad is not None:
            torch.testing.assert_close(ours[key], value.grad, atol=1e-3, rtol=1e-3, msg=lambda m, key=key: f"{key}: {m}")


def test_training_goes_on_after_labelling() -> None:
    """What labelling keeps for later must not come from inference mode, where autograd cannot use it."""
    model, encoder = tiny(), NumberEncoder()
    for pvp in (pvp_of(a="33", b="34"), pvp_of(a="33+35", b="34")):
        score_rows(model, encoder, some_rows(3), pvp, token_budget=64)
        words = plan(encoder, pvp, some_rows(3))
        encoded = encoder.clozes(some_rows(3), pvp.pattern, masks=words.masks, filler="+".join("7" * words.masks))
        score_encoded(model, encoded, words, pad_id=PAD, token_budget=64)
        label_scores(model, training_batch(words.masks), words).sum().backward()
        assert next(model.parameters()).grad is not None


def test_a_batch_with_another_number_of_slots_is_refused() -> None:
    with pytest.raises(ValueError, match="1 mask slots per row; the plan needs 2"):
        label_scores(tiny(), training_batch(1), ScoringPlan((((10, 11),), ((12,),))))


def test_log_probabilities_in_pieces_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model, ids = tiny(), torch.tensor([0, 9, 3])
    hidden = torch.randn(7, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = token_log_probs(model, hidden, ids)
        torch.testing.assert_close(whole, model.vocab_logits(hidden).log_softmax(1)[:, ids])
        monkeypatch.setattr("petkit.scoring._CHUNK", 2 * VOCAB_OF_MODEL)
        torch.testing.assert_close(token_log_probs(model, hidden, ids), whole)


# How it is run


@pytest.mark.parametrize("words", [{"a": "10", "b": "11"}, {"a": "10+12", "b": "11"}])
@pytest.mark.parametrize("training", [True, False])
def test_the_models_mode_is_restored_and_dropout_is_off_while_scoring(words: dict[str, str], training: bool) -> None:
    model, rows = tiny(), some_rows(4)
    wanted = score_rows(model.eval(), NumberEncoder(), rows, pvp_of(**words), token_budget=64)
    model.train(training)
    found = score_rows(model, NumberEncoder(), rows, pvp_of(**words), token_budget=64)
    assert model.training is model.model.training is training
    np.testing.assert_array_equal(found, wanted)


def test_the_mode_is_restored_after_an_error() -> None:
    model = tiny()
    model.train()

    def stop(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_rows(model, NumberEncoder(), some_rows(3), pvp_of(a="10", b="11"), token_budget=64, on_batch=stop)
    assert model.training
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("words", [{"a": "10", "b": "11"}, {"a": "10+12", "b": "11"}])
def test_autocast_gives_float32_scores_close_to_the_exact_ones(words: dict[str, str]) -> None:
    model, rows = tiny(), some_rows(4)
    exact = score_rows(model, NumberEncoder(), rows, pvp_of(**words), token_budget=64)
    rough = score_rows(model, NumberEncoder(), rows, pvp_of(**words), token_budget=64, autocast=torch.bfloat16)
    assert rough.dtype == np.float32
    assert 0 < np.abs(rough - exact).max() < 0.5


def test_no_rows_give_no_scores() -> None:
    assert score_rows(tiny(), NumberEncoder(), rows_of(), pvp_of(a="10", b="11"), token_budget=9).shape == (0, 2)


def test_an_unknown_order_is_refused_with_the_legal_ones() -> None:
    with pytest.raises(SettingsError, match=r"'random'; legal are max-first, left-to-right, parallel"):
        by_table(ORDER, pvp_of(n="10+11", p="12"), decoding="random")


# The plan


def test_a_plan_needs_a_row() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        plan(NumberEncoder(), pvp_of(a="10", b="11"), rows_of())


def test_a_plan_holds_the_words_in_the_order_of_the_labels() -> None:
    found = plan(NumberEncoder(), pvp_of(**MANY), some_rows(5))
    assert found.words == (((10,), (11, 12)), ((13, 14, 15), (13, 16, 15), (20,)), ((11, 17),), ((0, 10, 11, 12),))
    assert (found.kind, found.masks, found.labels, found.owner) == ("multi", 4, 4, (0, 0, 1, 1, 1, 2, 3))
    assert hash(found) == hash(replace(found)), "kept per device by value"


def test_every_problem_of_a_plan_is_named_at_once() -> None:
    with pytest.raises(TaskError) as caught:
        plan(NumberEncoder(), pvp_of(a=("10", str(UNK)), b=("", "12"), c="12"), some_rows(5))
    message = str(caught.value)
    assert "does not know the word '6' of the label 'a'" in message
    assert "does not know the word '' of the label 'b'" in message
    assert "'12' of 'b' and '12' of 'c' are the same to the tokenizer" in message


def test_a_word_that_tokenises_differently_from_row_to_row_is_refused() -> None:
    rows = rows_of("8 9", "9 9", "10 9", "11 9", "12 9")
    for late in ("10 9", "12 9"):
        encoder: Any = NumberEncoder(lambda word, row, late=late: "30+31" if (word, row["text"]) == ("10", late) else word)
        with pytest.raises(TaskError, match=r"'10' gives the tokens \[10\] in one row and \[30, 31\] in another"):
            plan(encoder, pvp_of(a="10", b="11"), rows)
