"""What the vocabularies of six tokenizers say about special tokens and words, against their own texts and offsets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from petkit.objectives import Vocabulary
from petkit.pretraining.tokenizers import new_tokenizer
from tests.builders import TOKENIZERS, sentences, tokenizer


@pytest.mark.parametrize("name", TOKENIZERS)
def test_special_tokens_are_neither_maskable_nor_drawn(name: str) -> None:
    words = tokenizer(name)
    vocabulary = Vocabulary.of(words)
    assert vocabulary.special.shape == vocabulary.starts_word.shape == (len(words),)
    assert np.flatnonzero(vocabulary.special).tolist() == sorted(set(words.all_special_ids))
    assert vocabulary.special[[vocabulary.mask_id, vocabulary.pad_id, words.cls_token_id, words.sep_token_id, words.unk_token_id]].all()
    assert not vocabulary.special[vocabulary.ordinary].any()
    assert len(vocabulary.ordinary) + int(vocabulary.special.sum()) == len(words)


def groups(name: str, text: str) -> list[str]:
    """The tokens of a text joined to words by the vocabulary's word ids."""
    return groups_of(tokenizer(name), text)


def groups_of(words: Any, text: str) -> list[str]:
    ids = np.array([words(text, add_special_tokens=False)["input_ids"]])
    numbers = Vocabulary.of(words).words(ids)[0]
    assert (np.diff(numbers) >= 0).all()
    return ["".join(words.convert_ids_to_tokens(ids[0][numbers == number].tolist())) for number in dict.fromkeys(numbers.tolist())]


@pytest.mark.parametrize("name", TOKENIZERS)
def test_words_of_real_text_are_its_words(name: str) -> None:
    plain = [text for text in sentences() if text.replace(" ", "").isalpha() and text.isascii()][:40]
    assert len(plain) >= 5
    for text in plain:
        found = [group.replace("##", "").strip("\u0120\u2581").lower() for group in groups(name, text)]
        assert found == text.lower().split()


@pytest.mark.parametrize("name", TOKENIZERS)
def test_punctuation_is_a_word_of_its_own(name: str) -> None:
    found = [group.strip("\u0120\u2581").lower() for group in groups(name, "A great table, (list of) values.")]
    assert found == ["a", "great", "table", ",", "(", "list", "of", ")", "values", "."]


@pytest.mark.parametrize("name", ["bytelevel", "modernbert"])
def test_a_letter_of_several_bytes_is_not_torn_apart(name: str) -> None:
    for text in ("caf\u00e9 caf\u00e9s", "na\u00efve \u00fcber Stra\u00dfe", "\u0444\u0430\u0439\u043b \u03c4\u03b9\u03bc\u03ae"):
        assert len(groups(name, f" {text}")) == len(text.split())


def test_wordpiece_counts_every_chinese_character_as_a_word() -> None:
    vocabulary = Vocabulary.of(tokenizer("wordpiece"))
    ids = np.array([tokenizer("wordpiece")("\u597d\u4e66", add_special_tokens=False)["input_ids"]])
    assert vocabulary.words(ids)[0].tolist() == [1, 2]


BELIEF = ["The unbelievable things happen unbelievably often.", "Another believer believed more of it again."] * 20


@pytest.mark.parametrize(
    ("kind", "size", "architecture"),
    [("bytelevel", 330, "roberta"), ("bytelevel", 330, "gpt2"), ("unigram", 200, "deberta-v2"), ("unigram", 200, "xlnet")],
)
def test_pieces_of_markdown_do_not_make_a_vocabulary_wordpiece(kind: Any, size: int, architecture: str) -> None:
    words = new_tokenizer(kind, lambda: [*["## Heading ##one"] * 40, *BELIEF], size=size, architecture=architecture)
    assert "##" in words.get_vocab()
    found = groups_of(words, " unbelievable believers often")
    assert [group.strip("\u0120\u2581") for group in found] == ["unbelievable", "believers", "often"]


def test_a_letter_that_looks_like_the_mark_of_bytes_begins_no_word_of_sentencepiece() -> None:
    words = new_tokenizer("unigram", lambda: [*["\u0120 i\u0120i kul\u0120"] * 40, *BELIEF], size=200, architecture="deberta-v2")
    assert "\u0120" in words.get_vocab()
    assert groups_of(words, "kul\u0120 i\u0120\u0120i") == ["\u2581kul\u0120", "\u2581i\u0120\u0120i"]
