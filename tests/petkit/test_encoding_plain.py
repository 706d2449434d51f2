"""Inputs of the final classifier equal the tokenizer's own, and parts joined one by one equal the original's."""

from __future__ import annotations

from typing import Any

import pytest

from petkit.encoding import Encoded, Encoder
from petkit.pvp import Pattern, Task
from petkit.rows import Rows
from tests import builders

NAMES = tuple(builders.TOKENIZERS)
TEXTS = (*builders.sentences()[:30], *builders.docstrings()[:30], "", " ", "x", "中国 好", "  two  blanks ")


def task(*fields: str) -> Task:
    return Task(name="t", fields=fields, patterns=[f"{{mask}} {{{fields[0]}}}"], verbalizer={"n": "bad", "p": "good"})


def rows_of(**fields: tuple[str, ...]) -> Rows:
    return Rows(tuple(f"r{i}" for i in range(len(next(iter(fields.values()))))), fields)


def same(encoded: Encoded, expected: Any) -> None:
    assert [encoded.row(i).tolist() for i in range(len(encoded))] == expected["input_ids"]
    types = [encoded.types[encoded.offsets[i] : encoded.offsets[i + 1]].tolist() for i in range(len(encoded))]
    assert types == expected["token_type_ids"]
    assert encoded.slots.shape == (len(encoded), 0)


@pytest.mark.parametrize("length", [7, 32, 33, 512])
@pytest.mark.parametrize("name", NAMES)
def test_one_text_as_the_tokenizer_gives_it(name: str, length: int) -> None:
    tok = builders.tokenizer(name)
    encoder = Encoder(tok, max_length=length)
    encoded = encoder.plain(rows_of(a=TEXTS), task("a"))
    same(encoded, tok(list(TEXTS), truncation=True, max_length=length, return_token_type_ids=True))
    whole = [len(ids) for ids in tok(list(TEXTS), truncation=False)["input_ids"]]
    known = [i for i, text in enumerate(TEXTS) if not encoder.is_cut_off(text)]
    assert [(encoded.dropped + encoded.lengths)[i] for i in known] == [whole[i] for i in known]


@pytest.mark.parametrize("length", [8, 9])
@pytest.mark.parametrize("name", NAMES)
def test_long_texts_as_the_tokenizer_gives_them(name: str, length: int) -> None:
    """Of which only the beginning is read, unless both texts of a pair are long."""
    tok, encoder = builders.tokenizer(name), Encoder(builders.tokenizer(name), max_length=length)
    texts = [text for text in builders.docstrings() if 200 < len(text) < 600][:30]
    others = [*texts[1:20], *builders.sentences()[:10], "no"]
    options: dict[str, Any] = {"truncation": True, "max_length": length, "return_token_type_ids": True}
    same(encoder.plain(rows_of(a=tuple(texts)), task("a")), tok(texts, **options))
    for first, second in ((texts, others), (others, texts)):
        same(encoder.plain(rows_of(a=tuple(first), b=tuple(second)), task("a", "b")), tok(list(first), list(second), **options))


@pytest.mark.parametrize("length", [7, 32, 33, 512])
@pytest.mark.parametrize("name", NAMES)
def test_two_texts_as_the_tokenizer_gives_them(name: str, length: int) -> None:
    texts = [text[:200] for text in TEXTS]  # the library's time grows with the square of what it cuts off
    tok, others = builders.tokenizer(name), texts[::-1]
    encoded = Encoder(tok, max_length=length).plain(rows_of(a=tuple(texts), b=tuple(others)), task("a", "b"))
    expected = tok(texts, others, truncation=True, max_length=length, return_token_type_ids=True)
    for place in (i for i, text in enumerate(others) if not text):  # a batch makes a pair of it, a call of its own one text
        alone = tok(texts[place], "", truncation=True, max_length=length, return_token_type_ids=True)
        for key in ("input_ids", "token_type_ids"):
            expected[key][place] = alone[key]
    same(encoded, expected)
    assert (encoded.dropped > 0).any() == (length < 512)


@pytest.mark.parametrize("name", NAMES)
def test_special_tokens_in_a_text_stay_text(name: str) -> None:
    tok = builders.tokenizer(name)
    encoded = Encoder(tok).plain(rows_of(a=(f"a {tok.sep_token}{tok.mask_token} b",)), task("a"))
    special = [token for token in encoded.row(0).tolist() if token in tok.all_special_ids]
    assert special == [tok.cls_token_id, tok.sep_token_id]
    if name in ("wordpiece", "bytelevel", "modernbert"):  # others find them among their pieces
        split = tok(f"a {tok.sep_token}{tok.mask_token} b", split_special_tokens=True)["input_ids"]
        assert encoded.row(0).tolist() == split


@pytest.mark.parametrize("name", NAMES)
def test_a_pair_with_an_empty_text_is_what_transformers_makes_of_it(name: str) -> None:
    tok = builders.tokenizer(name)
    rows = [("It rained.", ""), ("", "It rained."), ("It rained.", "It snowed."), ("", "")]
    encoded = Encoder(tok).plain(rows_of(a=tuple(a for a, _ in rows), b=tuple(b for _, b in rows)), task("a", "b"))
    alone = [tok(a, b, return_token_type_ids=True) for a, b in rows]
    same(encoded, {key: [one[key] for one in alone] for key in ("input_ids", "token_type_ids")})


@pytest.mark.parametrize(("name", "lead"), [("wordpiece", ""), ("bytelevel", " "), ("unigram", "")])
def test_parts_are_tokenised_one_by_one_as_in_the_original(name: str, lead: str) -> None:
    tok = builders.tokenizer(name)
    encoder = Encoder(tok, joining="parts")
    encoded = encoder.clozes(rows_of(a=("It rained",), b=("no.",)), Pattern("{a} ( {mask} ) {b}"), filler="good")

    def ids(text: str) -> list[int]:
        found: list[int] = tok(lead + text, add_special_tokens=False)["input_ids"]
        return found

    expected = [*ids("It rained"), *ids("("), tok.mask_token_id, *ids(")"), *ids("no.")]
    assert encoded.row(0).tolist() == [tok.cls_token_id, *expected, tok.sep_token_id]
    assert encoder.word_ids(Pattern("{a} ({mask})"), ["good"], {"a": "x"}) == [tuple(ids("good"))]


def test_parts_are_shortened_as_in_the_original() -> None:
    tok = builders.tokenizer("wordpiece")
    yes, no = tok.convert_tokens_to_ids(["yes", "no"])
    encoder = Encoder(tok, max_length=12, joining="parts")
    rows = rows_of(a=("yes " * 6,), b=("no " * 4,))
    one = encoder.clozes(rows, Pattern("{mask} : {a} {b}"), filler="good").row(0).tolist()
    two = encoder.clozes(rows, Pattern("{a} || {mask} {b}"), filler="good").row(0).tolist()
    assert (one.count(yes), one.count(no)) == (6, 2)
    assert (two.count(yes), two.count(no)) == (4, 4)
