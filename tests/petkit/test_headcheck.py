"""Heads that are missing, that are noise, and that work."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from petkit.backbones import MaskedLM, load_masked_lm, load_tokenizer
from petkit.backbones.headcheck import _masked_positions, head_notice, head_report, unknown_share
from petkit.errors import DataError, ModelError, SettingsError
from tests import builders


def texts(count: int = 60) -> list[str]:
    return list(builders.sentences()[:count])


@pytest.mark.parametrize("family", list(builders.FAMILIES))
def test_a_random_head_is_untrained(family: str) -> None:
    model = MaskedLM(builders.random_masked_lm(family))
    report = head_report(model, texts(), tokenizer=builders.tokenizer(builders.FAMILIES[family][0]))
    assert report.status == "untrained"
    assert report.log_prob is not None
    assert report.unigram is not None
    assert report.log_prob < report.unigram
    assert "masked tokens" in report.detail


@pytest.mark.parametrize("kind", ["BertModel", "BertForSequenceClassification"])
def test_a_missing_head_is_missing_and_needs_no_text(kind: str, tmp_path: Path) -> None:
    getattr(transformers, kind)(builders.random_masked_lm("bert").config).save_pretrained(tmp_path)
    builders.tokenizer("wordpiece").save_pretrained(tmp_path)
    report = head_report(str(tmp_path), [])
    assert report.status == "missing"
    assert "cls.predictions" in report.detail
    assert report.accuracy is None


def test_a_random_head_under_the_names_of_published_deberta_v3_files_is_untrained(tmp_path: Path) -> None:
    """There the names are right and the weights are noise: only the cloze test tells."""
    builders.tiny_masked_lm("deberta-v2", tmp_path, legacy=False)
    assert head_report(str(tmp_path), texts()).status == "untrained"


def test_a_path_and_a_loaded_model_give_the_same_report(tmp_path: Path) -> None:
    builders.tiny_masked_lm("bert", tmp_path)
    loaded = MaskedLM(builders.random_masked_lm("bert"))
    assert head_report(str(tmp_path), texts(9)) == head_report(loaded, texts(9), tokenizer=builders.tokenizer("wordpiece"))


def constant(log_probs: torch.Tensor) -> MaskedLM:
    """A BERT that says the same distribution everywhere."""
    model = builders.random_masked_lm("bert")
    with torch.no_grad():
        model.cls.predictions.transform.LayerNorm.weight.zero_()
        model.cls.predictions.transform.LayerNorm.bias.zero_()
        model.cls.predictions.decoder.bias.copy_(log_probs)
    return MaskedLM(model)


def counts(rows: list[np.ndarray]) -> np.ndarray:
    words = builders.tokenizer("wordpiece")
    flat = np.concatenate(rows)
    return np.bincount(flat[~np.isin(flat, words.all_special_ids)], minlength=len(words))


def tokenised(given: list[str]) -> list[np.ndarray]:
    return [np.array(builders.tokenizer("wordpiece")(text, truncation=True, max_length=128)["input_ids"]) for text in given]


def test_a_head_that_only_knows_word_frequencies_is_untrained() -> None:
    shares = torch.from_numpy(counts(tokenised(texts()))).float() + 1e-6
    report = head_report(constant((shares / shares.sum()).log()), texts(), tokenizer=builders.tokenizer("wordpiece"))
    assert report.status == "untrained"
    assert report.accuracy == report.frequent
    assert report.log_prob == pytest.approx(report.unigram, abs=1e-3)


def test_a_head_that_knows_more_than_word_frequencies_is_trained() -> None:
    """It knows how often each word is masked, which is more than how often it is written."""
    rows = tokenised(texts())
    masked = _masked_positions(rows, np.array(builders.tokenizer("wordpiece").all_special_ids), np.random.default_rng(0))
    targets = torch.from_numpy(counts([rows[i][at] for i, at in masked])).float() + 1e-6
    report = head_report(constant((targets / targets.sum()).log()), texts(), tokenizer=builders.tokenizer("wordpiece"))
    assert report.status == "trained"
    assert report.log_prob > report.unigram


@pytest.mark.slow
def test_a_head_after_a_few_hundred_steps_is_trained() -> None:
    """A small BERT learns forty sentences; the same model before that is untrained."""
    words, given = builders.tokenizer("wordpiece"), texts(40)
    model = builders.random_masked_lm("bert", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    batch = words(given, return_tensors="pt", padding=True, truncation=True, max_length=48)
    ordinary = ~torch.isin(batch["input_ids"], torch.tensor(words.all_special_ids))
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    assert head_report(MaskedLM(model), given, tokenizer=words).status == "untrained"
    model.train()
    for _ in range(200):
        chosen = ordinary & (torch.rand(ordinary.shape, generator=generator) < 0.15)
        inputs = batch["input_ids"].masked_fill(chosen, words.mask_token_id)
        hidden = model.bert(inputs, attention_mask=batch["attention_mask"]).last_hidden_state[chosen]
        loss = torch.nn.functional.cross_entropy(model.cls(hidden), batch["input_ids"][chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    report = head_report(MaskedLM(model), given, tokenizer=words)
    assert report.status == "trained"
    assert report.accuracy > report.frequent
    assert model.training, "the model's mode is restored"


def test_the_same_positions_are_masked_every_time_and_never_special_ones() -> None:
    words, rows = builders.tokenizer("wordpiece"), tokenised(texts())
    special = np.array(words.all_special_ids)
    first, again = (_masked_positions(rows, special, np.random.default_rng(0)) for _ in range(2))
    other = _masked_positions(rows, special, np.random.default_rng(1))
    assert [(i, at.tolist()) for i, at in first] == [(i, at.tolist()) for i, at in again] != [(i, at.tolist()) for i, at in other]
    assert not np.isin(np.concatenate([rows[i][at] for i, at in first]), special).any()
    share = sum(len(at) for _, at in first) / sum((~np.isin(row, special)).sum() for row in rows)
    assert 0.13 < share < 0.17


def test_a_report_is_the_same_again_and_batches_do_not_change_it() -> None:
    model, words = MaskedLM(builders.random_masked_lm("bert")), builders.tokenizer("wordpiece")
    before = torch.random.get_rng_state(), np.random.get_state()[1].tolist()
    one = head_report(model, texts(20), tokenizer=words)
    small = head_report(model, texts(20), tokenizer=words, token_budget=50)
    assert one == head_report(model, texts(20), tokenizer=words)
    assert small.log_prob == pytest.approx(one.log_prob, abs=1e-5)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]


@pytest.mark.parametrize("given", [[], ["", "  "], ["[MASK]"]])
def test_texts_without_a_token_are_refused(given: list[str]) -> None:
    with pytest.raises(DataError, match="no token to mask"):
        head_report(MaskedLM(builders.random_masked_lm("bert")), given, tokenizer=builders.tokenizer("wordpiece"))


def test_long_texts_are_cut_to_what_the_model_takes() -> None:
    model = MaskedLM(builders.random_masked_lm("roberta", max_position_embeddings=34))
    assert head_report(model, [" ".join(texts())] * 20, tokenizer=builders.tokenizer("bytelevel"), max_length=10_000).status == "untrained"


def test_few_texts_do_not_show_that_a_head_is_untrained() -> None:
    model, words = MaskedLM(builders.random_masked_lm("bert")), builders.tokenizer("wordpiece")
    few, enough = (head_report(model, texts(count), tokenizer=words) for count in (19, 20))
    assert (few.status, enough.status) == ("unclear", "untrained")
    assert few.detail.endswith("; 19 texts are too few to tell")


def test_a_good_head_is_not_called_untrained_for_texts_that_are_much_alike() -> None:
    """Their token frequencies, counted in themselves, are hard to beat."""
    model, words = load_masked_lm("builtin"), load_tokenizer("builtin")
    report = head_report(model, [f"who is mr smith {number}" for number in range(60)], tokenizer=words)
    assert report.status == "unclear"
    assert report.log_prob < report.unigram
    assert report.detail.endswith("on English documentation the head is better than that")


def test_a_loaded_model_needs_its_tokenizer() -> None:
    with pytest.raises(SettingsError, match="tokenizer="):
        head_report(MaskedLM(builders.random_masked_lm("bert")), texts(3))


def test_a_path_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        head_report(str(tmp_path / "no"), texts(3))


CHINESE = "\u8fd9\u91cc\u5f88\u597d"
RUSSIAN = "\u0432\u0441\u0451 \u0445\u043e\u0440\u043e\u0448\u043e"


@pytest.mark.parametrize("name", ["wordpiece", "bytelevel", "modernbert", "unigram", "albert"])
def test_unknown_tokens_are_counted_among_the_ordinary_ones(name: str) -> None:
    words = builders.tokenizer(name)
    given = [CHINESE, f"{CHINESE} the end", f"the end {words.mask_token} {words.sep_token}", "", " " * 3000 + CHINESE]
    ids = np.array([token for text in given[:3] for token in words(text, add_special_tokens=False)["input_ids"]])
    apart = [*words.all_special_ids, *filter(None, [words.backend_tokenizer.token_to_id("\u2581")])]
    ordinary = ids[(ids == words.unk_token_id) | ~np.isin(ids, apart)]
    assert unknown_share(words, given) == pytest.approx((ordinary == words.unk_token_id).mean())
    known = name in ("bytelevel", "modernbert")
    assert (unknown_share(words, [CHINESE]) == 0) == known
    assert unknown_share(words, ["the end"]) == 0
    assert (unknown_share(builders.tokenizer("wordpiece"), [CHINESE]), unknown_share(words, [])) == (1, None)
    assert unknown_share(words, [f"{words.mask_token}"]) is None


@pytest.mark.parametrize("name", ["wordpiece", "unigram", "albert", "deberta"])
@pytest.mark.parametrize("text", [CHINESE, RUSSIAN])
def test_word_marks_are_nothing_that_is_known_of_a_text(name: str, text: str) -> None:
    words = builders.tokenizer(name)
    assert unknown_share(words, [text, f"{text} {text}"]) == 1
    assert 0 < unknown_share(words, [text, "the end"]) < 1
    report = head_report(MaskedLM(builders.random_masked_lm("bert")), [text] * 30, tokenizer=words)
    assert (report.status, report.unknown) == ("unclear", 1)
    assert report.detail.startswith("the tokenizer knows no token of these texts")


def test_unknown_tokens_are_counted_by_tokenizers_that_were_saved_to_cut_and_pad() -> None:
    words = copy.deepcopy(builders.tokenizer("wordpiece"))
    expected = unknown_share(words, [CHINESE, "the end"])
    words("of", "pairs", truncation="only_second", max_length=9, padding="max_length")
    before = words.backend_tokenizer.to_str()
    assert "OnlySecond" in before
    assert unknown_share(words, [CHINESE, "the end"]) == expected
    assert words.backend_tokenizer.to_str() == before


def test_a_tokenizer_without_a_fast_backend_tells_nothing_of_unknown_tokens() -> None:
    assert unknown_share(object(), ["a"]) is None


def test_unknown_tokens_are_reported_beside_the_head(tmp_path: Path) -> None:
    model, words = MaskedLM(builders.random_masked_lm("bert")), builders.tokenizer("wordpiece")
    mixed = [f"{CHINESE} {text}" for text in texts(30)]
    report = head_report(model, mixed, tokenizer=words)
    assert (report.status, report.unknown) == ("untrained", unknown_share(words, mixed))
    assert 0 < report.unknown < 0.5
    nothing = head_report(model, [CHINESE] * 30, tokenizer=words)
    assert (nothing.status, nothing.unknown, nothing.accuracy) == ("unclear", 1, None)
    assert nothing.detail.startswith("the tokenizer knows no token of these texts")
    transformers.BertModel(builders.random_masked_lm("bert").config).save_pretrained(tmp_path)
    words.save_pretrained(tmp_path)
    missing = head_report(str(tmp_path), [CHINESE])
    assert (missing.status, missing.unknown) == ("missing", 1)


def test_adapting_is_not_advised_where_the_tokenizer_is_the_cause() -> None:
    head = {"status": "untrained", "detail": "it is noise"}
    told = "the checkpoint's masked-LM head is untrained: it is noise"
    for unknown in (None, 0.0, 0.19):
        assert head_notice({**head, "unknown": unknown}, "see --adapt") == f"{told}; see --adapt"
    assert head_notice(head, "see --adapt") == f"{told}; see --adapt", "records of older versions have no share"
    assert head_notice({**head, "unknown": 0.2}, "see --adapt") == told
    assert head_notice({**head, "status": "unclear"}, "see --adapt") is None
