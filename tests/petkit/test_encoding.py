"""The contract of encoding: ids are those of the filled cloze as one string, whatever the tokenizer, the texts and the joints."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from petkit.encoding import Encoded, Encoder
from petkit.errors import DataError, ModelError, SettingsError, TaskError
from petkit.pvp import MASK, Pattern, Text
from petkit.rows import Rows
from tests import builders

NAMES = tuple(builders.TOKENIZERS)
LEAD = {"bytelevel": " ", "modernbert": " "}
DOUBLE_SEPARATOR = ("bytelevel", "unigram")
PATTERNS = (
    "{mask}: {a}",
    "{a} ({mask})",
    "[ Category: {mask} ] {a} {b}",
    '"{a}" ? || {mask}, "{b}"',
    "{a}. Question: {b}? Answer: {mask}.",
    "{a}\n{mask}\n{b}",
    "{a} - {mask}",
    "  {mask}  {b}{a}",
    "({mask}){a} {b}",
)
LETTERS = "ab The . , ' - ( ) [ ] \" \n\t\u00a0 é ß 中国 ▁ Ġ ñ \u0301 \u200b 1 $ _ ## x"


def rows_of(**fields: tuple[str, ...]) -> Rows:
    return Rows(tuple(f"r{i}" for i in range(len(next(iter(fields.values()))))), fields)


def ids_of(name: str, text: str) -> list[int]:
    """What the tokenizer itself gives for a string, without special tokens."""
    found: list[int] = builders.tokenizer(name)(text, add_special_tokens=False)["input_ids"]
    return found


def whole(name: str, pattern: str, row: dict[str, str], word: str) -> list[int]:
    """The filled cloze, each segment tokenised as one string by the tokenizer itself, in its special tokens."""
    tok = builders.tokenizer(name)
    filled = [segment.strip(" ").format(mask=word, **row) for segment in pattern.split("||")]
    first, *second = [ids_of(name, LEAD.get(name, "") + text) if text else [] for text in filled]
    ids = [tok.cls_token_id, *first, tok.sep_token_id]
    for other in second:
        ids += [*([tok.sep_token_id] if name in DOUBLE_SEPARATOR else []), *other, tok.sep_token_id]
    return ids


def refilled(encoder: Encoder, encoded: Encoded, index: int, word: tuple[int, ...]) -> list[int]:
    """A row's ids with the word's tokens in place of its one mask."""
    ids, slot = encoded.row(index).tolist(), int(encoded.slots[index, 0])
    assert ids[slot] == encoder.mask_id
    assert ids.count(encoder.mask_id) == 1
    return [*ids[:slot], *word, *ids[slot + 1 :]]


def check(name: str, encoder: Encoder, source: str, rows: Rows, word: str) -> int:
    pattern, exact = Pattern(source), 0
    encoded = encoder.clozes(rows, pattern, filler=word)
    for i in range(len(rows)):
        gap = encoder.word_gap(pattern, [word], rows.row(i))
        if not gap.problems:
            assert refilled(encoder, encoded, i, gap.ids[0]) == whole(name, source, rows.row(i), word)
            exact += 1
    return exact


@pytest.mark.parametrize("source", PATTERNS)
@pytest.mark.parametrize("name", NAMES)
def test_real_text_is_tokenised_as_one_string(name: str, source: str) -> None:
    texts = (*builders.sentences()[:40], *(text[:300] for text in builders.docstrings()[100:120]))
    encoder = Encoder(builders.tokenizer(name), max_length=512)
    for word in ("great", "Sports"):
        exact = check(name, encoder, source, rows_of(a=texts, b=texts[::-1]), word)
        assert exact == len(texts)


@pytest.mark.parametrize("name", ["wordpiece", "bytelevel", "unigram", "deberta"])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_text_is_tokenised_as_one_string(name: str, data: st.DataObject) -> None:
    words = st.lists(st.sampled_from(LETTERS.split(" ")) | st.text(st.characters(exclude_categories=["Cs"]), max_size=4), max_size=8)
    texts = st.builds(str.join, st.sampled_from([" ", " ", "", "  "]), words)
    row = {"a": data.draw(texts), "b": data.draw(texts)}
    tok = builders.tokenizer(name)
    assume(not any(special in text for special in tok.all_special_tokens for text in row.values()))
    encoder = Encoder(tok, max_length=512)
    for source in PATTERNS:
        check(name, encoder, source, rows_of(a=(row["a"],), b=(row["b"],)), "good")


@pytest.mark.parametrize("name", NAMES)
def test_a_tokenizer_that_is_not_separable_is_served_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("petkit.encoding.tokenizing._separable_probes", lambda backend: False)
    texts = builders.sentences()[:10]
    slow = Encoder(builders.tokenizer(name))
    assert check(name, slow, PATTERNS[3], rows_of(a=texts, b=texts[::-1]), "Yes") == len(texts)
    monkeypatch.undo()
    fast, rows = Encoder(builders.tokenizer(name)), rows_of(a=texts)
    for source in ("{a} ({mask})", "{mask} {a}"):
        one, other = (encoder.clozes(rows, Pattern(source), filler="Yes") for encoder in (slow, fast))
        np.testing.assert_array_equal(one.ids, other.ids)


def test_tokens_across_blanks_switch_splicing_off() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    pieces = [("[PAD]", 0.0), ("[MASK]", 0.0), ("?", -9.0), ("\u2581new\u2581york", -1.0)]
    backend = Tokenizer(models.Unigram([*pieces, *((c, -3.0) for c in "\u2581abcdefghijklmnopqrstuvwxyz")], unk_id=2))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(split=False)
    tok = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]", mask_token="[MASK]", unk_token="?")
    rows = rows_of(a=("a new york b",))
    encoder = Encoder(tok)
    encoded = encoder.clozes(rows, Pattern("{mask} {a}"), filler="x")
    assert encoded.row(0)[encoded.slots[0, 0] + 1 :].tolist() == tok("a new york b", add_special_tokens=False)["input_ids"]
    assert tok.convert_tokens_to_ids("\u2581new\u2581york") in encoded.row(0)


@pytest.mark.parametrize("name", NAMES)
def test_special_tokens_in_a_text_stay_text(name: str) -> None:
    tok = builders.tokenizer(name)
    text = " ".join(["a", *tok.all_special_tokens, "b", "".join(tok.all_special_tokens), tok.mask_token])
    encoder = Encoder(tok)
    encoded = encoder.clozes(rows_of(a=(text, "b")), Pattern("{a} ({mask}) || {a}"), filler="great")
    found = [t for t in encoded.row(0).tolist() if t in encoder.special_ids - {tok.unk_token_id}]
    assert sorted(found) == sorted([*whole(name, "{a}{mask} || {a}", {"a": ""}, ""), encoder.mask_id])
    assert encoded.row(0)[encoded.slots[0, 0]] == encoder.mask_id
    if name not in ("wordpiece", "albert"):  # which lower-case
        assert tok.mask_token in tok.decode(encoded.row(0)[: encoded.slots[0, 0]])


def test_the_users_tokenizer_is_left_alone() -> None:
    tok = builders.tokenizer("bytelevel")
    tok.backend_tokenizer.enable_truncation(4)
    tok.backend_tokenizer.enable_padding(length=40)
    try:
        before = tok.backend_tokenizer.to_str()
        encoded = Encoder(tok).clozes(rows_of(a=("a b c d e f g h",)), Pattern("{a} {mask}"), filler="great")
        assert tok.backend_tokenizer.to_str() == before
        assert 10 < encoded.lengths[0] < 20
    finally:
        tok.backend_tokenizer.no_truncation()
        tok.backend_tokenizer.no_padding()


@pytest.mark.parametrize(("name", "after_space", "after_bracket"), [("bytelevel", "ĠWorld", "World"), ("unigram", "▁World", "World")])
def test_a_word_is_tokenised_as_it_stands_in_the_gap(name: str, after_space: str, after_bracket: str) -> None:
    tok, row = builders.tokenizer(name), {"a": "It rained."}
    encoder = Encoder(tok)
    for source, expected in (("{mask}: {a}", after_space), ("{a} ({mask})", after_bracket), ("{a} ( {mask} )", after_space)):
        assert encoder.word_ids(Pattern(source), ["World"], row) == [(tok.convert_tokens_to_ids(expected),)]


@pytest.mark.parametrize("name", NAMES)
def test_words_of_several_tokens_fill_the_gap_in_order(name: str) -> None:
    tok = builders.tokenizer(name)
    word, known = "qzjkw vxqz", Encoder(tok).word_ids(Pattern("{a} - {mask}!"), ["great", "qzjkw vxqz"], {"a": "x"})
    assert len(known[0]) == 1 < len(known[1])
    assert tok.decode(known[1]).strip() == word


def test_words_that_cannot_stand_in_the_gap_are_named_all_at_once() -> None:
    encoder, pattern = Encoder(builders.tokenizer("wordpiece")), Pattern("{a} a{mask}")
    with pytest.raises(TaskError, match=r"(?s)a\{mask\}.*'great' shares a token.*'中' is unknown") as caught:
        encoder.word_ids(pattern, ["great", "中"], {"a": "x"})
    assert "2 problems" in str(caught.value)
    assert encoder.word_gap(Pattern("{a} {mask}"), ["good", "yes"], {"a": "x"}).problems == []


def test_a_word_that_changes_its_neighbours_is_named() -> None:
    encoder = Encoder(builders.tokenizer("bytelevel"))
    found = encoder.word_gap(Pattern("{a} ({mask})"), ["good", "great", "no."], {"a": "x"})
    assert len(found.problems) == 1
    assert "'no.'" in found.problems[0]


@pytest.mark.parametrize("name", NAMES)
def test_masks_take_the_place_of_the_filler(name: str) -> None:
    encoder, rows, pattern = Encoder(builders.tokenizer(name)), rows_of(a=("It was good, no?", "x")), Pattern("{a} It was {mask}. || {a}")
    one, three = (encoder.clozes(rows, pattern, masks=n, filler="great") for n in (1, 3))
    assert three.slots.shape == (2, 3)
    np.testing.assert_array_equal(three.slots, one.slots + np.arange(3))
    np.testing.assert_array_equal(three.second, one.second + 2)
    for i in range(2):
        assert three.row(i)[three.slots[i]].tolist() == [encoder.mask_id] * 3
        assert np.delete(three.row(i), three.slots[i]).tolist() == np.delete(one.row(i), one.slots[i]).tolist()


def test_where_the_filler_merges_both_sides_are_tokenised_apart() -> None:
    encoder = Encoder(builders.tokenizer("wordpiece"))
    encoded = encoder.clozes(rows_of(a=("good",)), Pattern("{a} a{mask}!"), filler="great")
    assert encoded.row(0).tolist() == [2, *ids_of("wordpiece", "good a"), encoder.mask_id, *ids_of("wordpiece", "!"), 3]


@pytest.mark.parametrize("name", NAMES)
def test_segments_and_types(name: str) -> None:
    tok, rows = builders.tokenizer(name), rows_of(a=("a table", ""), b=("no graph", "yes"))
    encoded = Encoder(tok).clozes(rows, Pattern("{a} {mask} || {b}"), filler="good")
    pair = tok("x", "y", return_token_type_ids=True)["token_type_ids"]
    for i, text in enumerate(rows.fields["b"]):
        start, length = int(encoded.second[i]), int(encoded.lengths[i])
        assert encoded.row(i)[start:-1].tolist() == ids_of(name, LEAD.get(name, "") + text)
        types = encoded.types[encoded.offsets[i] : encoded.offsets[i + 1]]
        assert (types[start:].tolist(), types[0]) == ([pair[-1]] * (length - start), pair[0])
    single = Encoder(tok).clozes(rows, Pattern("{a} {mask}"), filler="good")
    np.testing.assert_array_equal(single.second, single.lengths)


def test_an_empty_text_leaves_an_empty_segment() -> None:
    encoder = Encoder(builders.tokenizer("bytelevel"))
    encoded = encoder.clozes(rows_of(a=("",)), Pattern("{a} || {mask}"), filler="great")
    assert encoded.row(0).tolist() == [0, 2, 2, encoder.mask_id, 2]


def test_a_pattern_function_is_encoded_like_its_string() -> None:
    rows, encoder = rows_of(a=builders.sentences()[:5]), Encoder(builders.tokenizer("unigram"))
    made = Pattern(lambda row: ["( ", MASK, " ) ", Text(row["a"])])
    one, other = (encoder.clozes(rows, pattern, filler="good") for pattern in (made, Pattern("( {mask} ) {a}")))
    np.testing.assert_array_equal(one.ids, other.ids)


def test_no_rows_encode_to_no_rows() -> None:
    encoder = Encoder(builders.tokenizer("wordpiece"))
    assert len(encoder.clozes(rows_of(a=()), Pattern("{a} {mask}"), filler="x")) == 0


def test_the_cache_forgets_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, rows = Encoder(builders.tokenizer("deberta")), rows_of(a=builders.sentences()[:30])
    first = encoder.clozes(rows, Pattern("{mask}: {a}"), filler="good")
    monkeypatch.setattr("petkit.encoding.splicing._KEPT_BYTES", 0)
    again = encoder.clozes(rows, Pattern("{mask}: {a}"), filler="good")
    np.testing.assert_array_equal(first.ids, again.ids)


def test_threads_take_turns_and_copies_have_turns_of_their_own() -> None:
    encoder, pattern = Encoder(builders.tokenizer("wordpiece")), Pattern("{mask}: {a}")
    parts = [rows_of(a=builders.sentences()[i : i + 40]) for i in range(0, 160, 20)]
    expected = [encoder.clozes(part, pattern, filler="good") for part in parts]
    copy = pickle.loads(pickle.dumps(encoder))
    fresh = Encoder(builders.tokenizer("wordpiece"))
    with ThreadPoolExecutor(8) as pool:
        for each in (copy, fresh):
            found = pool.map(partial(each.clozes, pattern=pattern, filler="good"), parts)
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_array_equal(one.ids, other.ids)


@given(st.lists(st.integers(0, 9), max_size=12))
@example([])
def test_select_takes_rows_in_order(chosen: list[int]) -> None:
    rows = [[7] * n for n in range(1, 11)]
    encoded = Encoded.of(rows, slots=[[n // 2] for n in range(10)]).select(chosen)
    assert [encoded.row(i).tolist() for i in range(len(encoded))] == [rows[i] for i in chosen]
    assert encoded.slots[:, 0].tolist() == [i // 2 for i in chosen]


@pytest.mark.parametrize(
    "change",
    [
        {"ids": np.zeros(3, np.int32)},
        {"ids": np.zeros(4, np.int64)},
        {"types": np.zeros(2, np.uint8)},
        {"offsets": np.array([0, 5, 4])},
        {"slots": np.array([[4], [0]], np.int32)},
        {"slots": np.zeros((1, 1), np.int32)},
        {"second": np.array([3, 3], np.int32)},
        {"dropped": np.array([0, -1], np.int32)},
    ],
)
def test_encoded_refuses_what_does_not_fit_together(change: dict[str, Any]) -> None:
    good: dict[str, Any] = {
        "ids": np.zeros(4, np.int32),
        "types": np.zeros(4, np.uint8),
        "offsets": np.array([0, 2, 4]),
        "slots": np.zeros((2, 1), np.int32),
    }
    good |= {"second": np.array([2, 2], np.int32), "dropped": np.zeros(2, np.int32)}
    assert len(Encoded(**good)) == 2
    with pytest.raises(ValueError):  # noqa: PT011
        Encoded(**(good | change))


def test_tokenizers_that_cannot_serve_are_refused() -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    bare = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, unk_token="a")))
    with pytest.raises(ModelError, match=r"(?s)no mask token.*no pad token"):
        Encoder(bare)
    with pytest.raises(ModelError, match="no fast backend"):
        Encoder(object())


@pytest.mark.parametrize("setting", [{"max_length": 3}, {"max_length": 513}, {"joining": "words"}])
def test_settings_outside_their_range_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"legal are|needs 4 to 512"):
        Encoder(builders.tokenizer("wordpiece"), **setting)


def test_half_a_surrogate_pair_is_the_users_mistake() -> None:
    encoder = Encoder(builders.tokenizer("wordpiece"))
    with pytest.raises(DataError, match="surrogate"):
        encoder.clozes(rows_of(a=("a b\ud800 c d",)), Pattern("{a} {mask}"), filler="good")
