"""What goes when a cloze is too long, and what never does: masks, literals, texts that must stay whole."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from petkit.encoding import Encoded, Encoder, tokenizing
from petkit.encoding.truncation import drop_from_longest, drop_like_paper, drop_longest_first
from petkit.errors import TaskError
from petkit.pvp import MASK, Pattern, Task, Text
from petkit.rows import Rows
from tests import builders

NAMES = tuple(builders.TOKENIZERS)
LEAD = {"bytelevel": " ", "modernbert": " "}


def rows_of(**fields: tuple[str, ...]) -> Rows:
    return Rows(tuple(f"r{i}" for i in range(len(next(iter(fields.values()))))), fields)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=5), st.integers(0, 60))
def test_tokens_go_one_by_one_from_the_longest(counts: list[int], excess: int) -> None:
    expected = list(counts)
    for _ in range(min(excess, sum(counts))):
        longest = max(range(len(expected)), key=lambda i: (expected[i], i))
        expected[longest] -= 1
    assert drop_from_longest(counts, excess) == (expected if excess <= sum(counts) else None)


@given(st.lists(st.lists(st.integers(0, 12), max_size=3), min_size=1, max_size=2), st.integers(0, 40))
def test_the_paper_drops_from_the_last_part_of_the_longer_segment(segments: list[list[int]], excess: int) -> None:
    expected = [list(parts) for parts in segments]
    for _ in range(min(excess, sum(map(sum, segments)))):
        longer = expected[0] if len(expected) == 1 or sum(expected[0]) > sum(expected[1]) else expected[1]
        last = max(i for i, n in enumerate(longer) if n)
        longer[last] -= 1
    assert drop_like_paper(segments, excess) == (expected if excess <= sum(map(sum, segments)) else None)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 50))
def test_pairs_keep_what_the_library_keeps(first: int, second: int, room: int) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    backend = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.enable_truncation(room)
    ids = backend.encode("a " * first, "b " * second).ids
    assert drop_longest_first(first, second, room) == (ids.count(0), ids.count(1))


@pytest.mark.parametrize("name", NAMES)
def test_a_shortened_cloze_is_the_cloze_of_a_prefix(name: str) -> None:
    tok, texts = builders.tokenizer(name), tuple(t for t in builders.docstrings() if len(t) > 600)[:25]
    encoder, word = Encoder(tok, max_length=64), "good"
    encoded = encoder.clozes(rows_of(a=texts), Pattern("{a} All in all, it was ({mask})."), filler=word)
    assert (encoded.lengths <= 64).all()
    assert (encoded.lengths > 58).all()
    gap = encoder.word_ids(Pattern("{a} All in all, it was ({mask})."), [word], {"a": "x"})[0]
    for i, text in enumerate(texts):
        slot = int(encoded.slots[i, 0])
        ids = [*encoded.row(i)[1:slot].tolist(), *gap, *encoded.row(i)[slot + 1 : -1].tolist()]
        tail = f" All in all, it was ({word})."
        kept = next(n for n in range(len(text)) if tok(LEAD.get(name, "") + text[:n] + tail, add_special_tokens=False)["input_ids"] == ids)
        own = len(tok(LEAD.get(name, "") + text, add_special_tokens=False)["input_ids"])
        left = len(tok(LEAD.get(name, "") + text[:kept], add_special_tokens=False)["input_ids"])
        if encoder.is_cut_off(text):
            assert 0 < encoded.dropped[i] < own - left
        else:
            assert abs(int(encoded.dropped[i]) - (own - left)) <= 2


@pytest.mark.parametrize("joining", ["string", "parts"])
@pytest.mark.parametrize("name", NAMES)
def test_trailing_masks_survive(name: str, joining: str) -> None:
    encoder = Encoder(builders.tokenizer(name), max_length=24, joining=joining)  # type: ignore[arg-type]
    rows = rows_of(a=(" ".join(["no"] * 70), "good"))
    encoded = encoder.clozes(rows, Pattern("{a} It was {mask}"), masks=3, filler="great")
    assert (encoded.row(0)[encoded.slots[0]] == encoder.mask_id).all()
    assert encoded.slots[0].tolist() == [20, 21, 22]
    assert encoded.lengths[0] == 24
    assert encoded.dropped.tolist() == [70 - (encoded.slots[0, 0] - 3), 0]


def test_the_longest_text_goes_first_and_the_later_of_two() -> None:
    encoder = Encoder(builders.tokenizer("wordpiece"), max_length=16)
    rows = rows_of(a=("yes " * 9, "yes " * 3), b=("no " * 9, "no " * 12))
    encoded = encoder.clozes(rows, Pattern("{a} || {mask}: {b}"), filler="good")
    yes, no = builders.tokenizer("wordpiece").convert_tokens_to_ids(["yes", "no"])
    counts = [[row.count(yes), row.count(no)] for row in (encoded.row(i).tolist() for i in range(2))]
    assert counts == [[6, 5], [3, 8]]
    assert encoded.dropped.tolist() == [7, 4]


def test_texts_that_must_stay_whole_do() -> None:
    encoder = Encoder(builders.tokenizer("wordpiece"), max_length=12)
    pattern = Pattern(lambda row: [Text(row["a"], shorten=False), " ", MASK, " ", Text(row["b"])])
    encoded = encoder.clozes(rows_of(a=("yes " * 6,), b=("no " * 9,)), pattern, filler="good")
    yes, no = builders.tokenizer("wordpiece").convert_tokens_to_ids(["yes", "no"])
    assert (encoded.row(0).tolist().count(yes), encoded.row(0).tolist().count(no)) == (6, 3)
    with pytest.raises(TaskError, match=r"--max-length 12.*row 'r0' takes 53 tokens"):
        encoder.clozes(rows_of(a=("yes " * 50,), b=("no",)), pattern, filler="good")


def test_literals_that_are_too_long_are_named_with_every_row() -> None:
    encoder, pattern = Encoder(builders.tokenizer("wordpiece"), max_length=10), Pattern("{a} no no no no no no no {mask} !")
    with pytest.raises(TaskError, match=r"(?s)no \{mask\} !.*--max-length 10.*'r0' takes 11 tokens.*'r4'.*and 2 more rows"):
        encoder.clozes(rows_of(a=("yes",) * 7), pattern, filler="good")


def same(one: Encoded, other: Encoded) -> None:
    """But for how many tokens were dropped, of which those count that were read."""
    for field in ("ids", "types", "offsets", "slots", "second"):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
    np.testing.assert_array_equal(one.dropped > 0, other.dropped > 0)


@pytest.mark.parametrize("name", NAMES)
def test_splicing_a_shortened_text_changes_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = builders.docstrings()[:60]
    rows, pattern = rows_of(a=texts, b=texts[::-1]), Pattern('"{a}" ({mask}) || {b}')
    fast = Encoder(builders.tokenizer(name), max_length=48).clozes(rows, pattern, filler="yes")
    monkeypatch.setattr("petkit.encoding.tokenizing._separable_probes", lambda backend: False)
    slow = Encoder(builders.tokenizer(name), max_length=48).clozes(rows, pattern, filler="yes")
    assert (fast.dropped > 0).any()
    same(fast, slow)


LONG = tuple(" ".join(builders.docstrings()[i::6]) for i in range(6))
"""Texts of which twelve tokens' clozes need very little."""
ODD = ("x" * 3000, "\u4e2d\u56fd " * 900, "... " * 900, "a\u0301 b\u0301 " * 500, "[MASK] [SEP] " * 200, "\u2603 " * 900)


@pytest.mark.parametrize("joining", ["string", "parts"])
@pytest.mark.parametrize("name", NAMES)
def test_cutting_long_texts_off_early_changes_nothing(name: str, joining: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = (*LONG, *(t for t in builders.docstrings() if len(t) > 900), *ODD)[:30]
    rows = rows_of(a=texts, b=texts[::-1])
    patterns = (Pattern("{a} {mask} {b}"), Pattern('"{a}" ({mask}) || {b}'), Pattern("{mask}: {b}"))

    def encoded() -> list[Encoded]:
        encoder = Encoder(builders.tokenizer(name), max_length=40, joining=joining)
        return [encoder.clozes(rows, pattern, filler="yes") for pattern in patterns]

    early = encoded()
    monkeypatch.setattr("petkit.encoding.tokenizing._LONG", 10**6)
    late = encoded()
    for one, other in zip(early, late, strict=True):
        same(one, other)


@pytest.mark.parametrize("name", ["wordpiece", "bytelevel", "unigram"])
def test_little_of_a_long_text_is_tokenised_and_once_for_all_patterns(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    backend_encode = tokenizing._encoded

    def noting(encode: Any, texts: list[str]) -> Any:
        read.extend(texts)
        return backend_encode(encode, texts)

    monkeypatch.setattr(tokenizing, "_encoded", noting)
    encoder, rows = Encoder(builders.tokenizer(name), max_length=32), rows_of(a=tuple(text * 20 for text in LONG))
    read.clear()
    for source in ("{a} ({mask})", "{mask}: {a}"):
        encoder.clozes(rows, Pattern(source), filler="good")
    task = Task(name="t", fields=("a",), patterns="{a} {mask}", verbalizer={"n": "bad", "p": "good"})
    encoder.plain(rows, task)
    assert 0 < sum(map(len, read)) < len(LONG) * 3 * 20 * 32
    assert max(map(len, read)) < 20 * 32


def test_a_text_without_blanks_is_read_to_its_end_and_all_its_tokens_count() -> None:
    encoder, text = Encoder(builders.tokenizer("wordpiece"), max_length=16), "\u4e2d\u56fd" * 300
    encoded = encoder.clozes(rows_of(a=(text,)), Pattern("{mask}: {a}"), filler="good")
    assert (encoder.is_cut_off(text), encoder.is_cut_off("no " * 600)) == (False, True)
    assert encoded.dropped.tolist() == [600 + 4 - 16]


def test_a_chunk_of_texts_has_so_many_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizing, "_CHUNK_CHARACTERS", 8)
    texts = ["a b", "c" * 20, "", "d e", "f", "g h i"]
    assert list(tokenizing._chunks(texts)) == [[0], [1], [2, 3, 4], [5]]
    expected = [builders.tokenizer("wordpiece")(text, add_special_tokens=False)["input_ids"] for text in texts]
    plain = tokenizing.plain_tokenizer(builders.tokenizer("wordpiece"))
    assert [ids.tolist() for ids in plain.ids(texts)] == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wordpiece", "bytelevel", "unigram"])
@pytest.mark.parametrize("unit", ["It was good, no? ", "中国", "x"])
def test_two_megabytes_take_seconds(name: str, unit: str) -> None:
    text = unit * (2_000_000 // len(unit.encode()))
    encoder = Encoder(builders.tokenizer(name))
    started = time.perf_counter()
    for source in ("{a} ({mask})", "{mask}: {a}"):
        encoded = encoder.clozes(rows_of(a=(text, "x")), Pattern(source), filler="good")
        assert encoded.lengths[0] <= 256
    assert time.perf_counter() - started < 15
