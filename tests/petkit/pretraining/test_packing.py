"""Rows of a token file: the ones that packing by a plain loop gives, nothing lost, and only what is asked for is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petkit.errors import DataError, SettingsError
from petkit.objectives import Vocabulary, nsp_pairs, pair_rows, preset, sop_pairs, stream, t5_lengths
from petkit.pretraining.packing import ChunkedRows, PackedRows, PairedRows, row_source
from petkit.pretraining.tokenfiles import TokenFile
from petkit.pretraining.tokens import tokenize_split
from petkit.pretraining.units import unit_offsets
from tests.builders import docstrings, tokenizer

CLS, SEP, PAD, END = 1, 2, 0, 3
Rows = list[list[int]]


def token_file(documents: Sequence[Sequence[int]], *, words: bool = False) -> TokenFile:
    """Documents of paragraphs of so many tokens, all different, from 10 on; each paragraph a sentence; every third token begins a word."""
    sizes = [size for document in documents for size in document]
    bounds = np.cumsum([0, *sizes])
    ids = np.arange(10, 10 + bounds[-1], dtype=np.int32)
    begins = np.arange(len(ids)) % 3 == 0 if words else None
    return TokenFile(ids, bounds, bounds, np.cumsum([0, *map(len, documents)]), begins)


def by_loop(tokens: TokenFile, longest: int) -> list[int]:
    """``unit_offsets`` as one would write it."""
    starts = tokens.starts
    found: list[int] = []
    for first, last in pairwise(starts.tolist()):
        size = longest + 1  # so that a document begins a unit
        for start, end in pairwise([int(b) for b in tokens.paragraphs if first <= b <= last]):
            for at in range(start, end, longest):
                piece = min(longest, end - at)
                if size + piece > longest:
                    found.append(at)
                    size = 0
                size += piece
    return [*found, len(tokens.ids)]


def rows_by_loop(units: Rows, order: Sequence[int], length: int) -> Rows:
    """Full rows as one would write them: each takes the largest unit that fits, of equal ones the first in the order."""
    left, rows = list(order), []
    while left:
        row, chosen = [CLS], left[0]
        while True:
            left.remove(chosen)
            row += [*units[chosen], SEP]
            fitting = [i for i in left if len(units[i]) + 1 <= length - len(row)]
            if not fitting:
                break
            chosen = max(fitting, key=lambda i: len(units[i]))
        rows.append(row + [PAD] * (length - len(row)))
    return rows


def packed(source: PackedRows, chosen: Sequence[int] | None = None) -> tuple[Any, Any, Any]:
    at = np.arange(len(source)) if chosen is None else np.array(chosen, dtype=np.int64)
    return source.rows(at, cls_id=CLS, sep_id=SEP, pad_id=PAD)


documents_of_sizes = st.lists(st.lists(st.integers(1, 20), min_size=1, max_size=6), min_size=1, max_size=12)


# Packed sentences


@given(documents=documents_of_sizes, longest=st.integers(1, 12), block=st.sampled_from([1, 3, 100]))
@settings(max_examples=80, deadline=None)
def test_units_are_those_of_a_plain_loop(documents: list[list[int]], longest: int, block: int) -> None:
    tokens = token_file(documents)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("petkit.pretraining.units._DOCUMENTS", block)
        assert unit_offsets(tokens, longest).tolist() == by_loop(tokens, longest)


def test_units_join_paragraphs_that_fit_cut_long_ones_and_end_with_a_document() -> None:
    tokens = token_file([[3, 2, 3], [1], [12], [1]])
    assert np.diff(unit_offsets(tokens, 5)).tolist() == [5, 3, 1, 5, 5, 2, 1]
    assert np.diff(unit_offsets(tokens, 8)).tolist() == [8, 1, 8, 4, 1]


@given(documents=documents_of_sizes, length=st.integers(4, 16), seed=st.integers(0, 9))
@settings(max_examples=80, deadline=None)
def test_rows_are_those_of_a_plain_loop(documents: list[list[int]], length: int, seed: int) -> None:
    tokens = token_file(documents)
    offsets = by_loop(tokens, length - 2)
    order = stream(seed).permutation(len(offsets) - 1)
    ids, valid, begins = packed(PackedRows(tokens, length, order=order))
    expected = rows_by_loop([tokens.ids[a:b].tolist() for a, b in pairwise(offsets)], order.tolist(), length)
    assert ids.tolist() == expected
    assert (ids.dtype, valid.dtype, begins) == (np.int64, bool, None)
    assert np.array_equal(valid, ids != PAD)


def test_rows_of_real_text_are_those_of_a_plain_loop(tmp_path: Path) -> None:
    words = tokenizer("wordpiece")
    documents = [text.split("\n\n") for text in docstrings()[:40]]
    tokens = tokenize_split(documents, words, tmp_path / "tokens", held_out=0.1, seed=3).train
    offsets = by_loop(tokens, 62)
    order = stream(3, "pretrain", "pack", 64).permutation(len(offsets) - 1)
    expected = rows_by_loop([tokens.ids[a:b].tolist() for a, b in pairwise(offsets)], order.tolist(), 64)
    assert packed(PackedRows(tokens, 64, seed=3))[0].tolist() == expected


def test_a_row_by_hand() -> None:
    ids, valid, _ = packed(PackedRows(token_file([[3], [6], [2]]), 10, order=np.array([1, 0, 2])))
    assert ids.tolist() == [[CLS, 13, 14, 15, 16, 17, 18, SEP, PAD, PAD], [CLS, 10, 11, 12, SEP, 19, 20, SEP, PAD, PAD]]
    assert valid.sum(axis=1).tolist() == [8, 8]


def test_rows_can_be_asked_for_in_any_order_and_twice() -> None:
    source = PackedRows(token_file([[5, 9, 3], [7, 7], [2], [30]], words=True), 12)
    whole, one = packed(source), packed(source, [3, 0, 3, 1])
    for all_rows, chosen in zip(whole, one, strict=True):
        assert np.array_equal(all_rows[[3, 0, 3, 1]], chosen)
    assert packed(source, [])[0].shape == (0, 12)


def test_words_of_a_segmenter_come_with_the_rows() -> None:
    tokens = token_file([[5, 4], [3]], words=True)
    ids, valid, begins = packed(PackedRows(tokens, 12, order=np.array([0, 1])))
    text = ids >= 10
    assert np.array_equal(begins[text], (ids[text] - 10) % 3 == 0)
    assert begins[~text].all()

    class Seen:
        name = "seen"

        def batch(self, *arrays: Any, **given: Any) -> Any:
            return arrays, given

    vocabulary = replace(Vocabulary.of(tokenizer("wordpiece")), cls_id=CLS, sep_id=SEP, pad_id=PAD)
    (got, there, *_), more = PackedRows(tokens, 12, order=np.array([0, 1])).batch(np.arange(2), Seen(), vocabulary, stream(0))
    assert np.array_equal(got, ids)
    assert np.array_equal(there, valid)
    assert np.array_equal(more["words"], np.cumsum(begins, axis=1))


def test_little_is_padding_and_blocks_lose_nothing() -> None:
    sizes = stream(1).integers(5, 127, size=9000).tolist()
    source = PackedRows(token_file([[size] for size in sizes]), 128)
    ids, valid, _ = packed(source)
    assert valid.mean() > 0.98
    assert np.sort(ids[ids >= 10]).tolist() == list(range(10, 10 + sum(sizes)))


# A stream without padding


@given(documents=documents_of_sizes, length=st.integers(1, 17), epoch=st.integers(0, 3))
@settings(max_examples=80, deadline=None)
def test_chunks_are_the_stream_cut(documents: list[list[int]], length: int, epoch: int) -> None:
    tokens = token_file(documents, words=True)
    source = ChunkedRows(tokens, length, END, PAD, seed=1)
    text = [token for a, b in pairwise(tokens.starts.tolist()) for token in [*tokens.ids[a:b].tolist(), END]]
    ids, valid, begins = source.rows(np.arange(len(source)), epoch=epoch)
    if len(text) < length:
        assert ids.tolist() == [text + [PAD] * (length - len(text))]
        assert valid.sum() == len(text)
        return
    flat = ids.reshape(-1).tolist()
    assert len(source) == len(text) // length
    assert valid.all()
    starts = [at for at in range(len(text) - len(flat) + 1) if text[at : at + len(flat)] == flat]
    assert starts
    assert begins is not None
    assert begins.reshape(-1).tolist() == [token == END or (token - 10) % 3 == 0 for token in flat]


def test_chunks_are_cut_elsewhere_in_another_epoch() -> None:
    source = ChunkedRows(token_file([[50], [49]]), 40, END, PAD)
    first = {int(source.rows(np.array([0]), epoch=epoch)[0][0, 0]) for epoch in range(40)}
    assert len(first) > 10
    assert np.array_equal(source.rows(np.array([1]), epoch=3)[0], source.rows(np.array([1]), epoch=3)[0])


def test_t5_reads_as_many_tokens_as_its_rows_are_to_have(tmp_path: Path) -> None:
    tokens = token_file([[3000], [3000]])
    words = Vocabulary.of(tokenizer("wordpiece"))
    ids = np.resize(words.ordinary, len(tokens.ids)).astype(np.int32)
    tokens = replace(tokens, ids=ids)
    words = replace(words, sentinels=tuple(words.ordinary[-100:].tolist()))
    source = row_source(tokens, preset("t5"), words, length=64, seed=0)
    assert isinstance(source, ChunkedRows)
    assert source.length == t5_lengths(64)[0]
    batch = source.batch(np.array([0, 1, 2]), preset("t5"), words, stream(0))
    assert batch.inputs.shape[1] == 64
    for name, most in (("bart", 64), ("t5-mass", 64), ("t5-bert", 64), ("span-collapse", 64)):
        batch = row_source(tokens, preset(name), words, length=64, seed=0).batch(np.array([0, 1]), preset(name), words, stream(0))
        assert batch.labels.shape[1] == most
        assert batch.inputs.shape[1] <= most
    for name in ("causal", "xlnet"):
        batch = row_source(tokens, preset(name), words, length=64, seed=0).batch(np.array([0, 1]), preset(name), words, stream(0))
        assert batch.inputs.shape == (2, 64)
        assert batch.valid.all()


# Pairs


@pytest.mark.parametrize("name", ["nsp", "sop"])
def test_pairs_are_drawn_anew_every_epoch(name: str, tmp_path: Path) -> None:
    words = tokenizer("wordpiece")
    documents = [text.split("\n\n") for text in docstrings()[:100]]
    tokens = tokenize_split(documents, words, tmp_path / "tokens", held_out=0.1, seed=3).train
    vocabulary, how = Vocabulary.of(words), preset(name)
    source = row_source(tokens, how, vocabulary, length=48, seed=5)
    assert isinstance(source, PairedRows)
    build = nsp_pairs if name == "nsp" else sop_pairs
    for epoch in (0, 2, 0):
        pairs = build(tokens.as_documents, stream(5, "pretrain", "pairs", epoch), tokens=45, short=how.short)
        chosen = np.array([0, 7, 3])
        expected = how.batch(pair_rows(tokens.as_documents, pairs, chosen, rng := stream(9), vocabulary, length=48), vocabulary, rng)
        batch = source.batch(chosen, how, vocabulary, stream(9), epoch=epoch)
        assert np.array_equal(batch.masked.inputs, expected.masked.inputs)
        assert np.array_equal(batch.labels, expected.labels)
        last = source.batch(np.array([len(source) - 1]), how, vocabulary, stream(9), epoch=epoch)
        assert last.masked.inputs.shape == (1, 48)


# Which source an objective has


def test_objectives_that_hide_tokens_get_packed_rows() -> None:
    tokens, vocabulary = token_file([[30], [30]], words=True), Vocabulary.of(tokenizer("wordpiece"))
    for name in ("mlm", "whole-word", "spanbert", "electra", "distilbert", "chinese-words", "ernie"):
        assert isinstance(row_source(tokens, preset(name), vocabulary, length=16, seed=0), PackedRows)


def test_units_that_are_not_there_are_named() -> None:
    tokens, vocabulary = token_file([[30], [30]]), Vocabulary.of(tokenizer("wordpiece"))
    with pytest.raises(SettingsError, match="--objective ernie goes by units that must come with the text"):
        row_source(tokens, preset("ernie"), vocabulary, length=16, seed=0)
    with pytest.raises(SettingsError, match="--objective chinese-words goes by a segmenter's words"):
        row_source(tokens, preset("chinese-words"), vocabulary, length=16, seed=0)


def test_tokens_and_text_that_are_missing_are_named() -> None:
    vocabulary = replace(Vocabulary.of(tokenizer("wordpiece")), eos_id=None, cls_id=None)
    with pytest.raises(SettingsError, match="--objective causal needs a tokenizer with a eos token"):
        row_source(token_file([[30]]), preset("causal"), vocabulary, length=16, seed=0)
    with pytest.raises(SettingsError, match="--objective mlm needs a tokenizer with a cls token"):
        row_source(token_file([[30]]), preset("mlm"), vocabulary, length=16, seed=0).batch(
            np.array([0]), preset("mlm"), vocabulary, stream(0)
        )
    with pytest.raises(DataError, match="--objective sop: no pair can be made; it takes documents of two sentences"):
        row_source(token_file([[30], [30]]), preset("sop"), Vocabulary.of(tokenizer("wordpiece")), length=16, seed=0)


def test_a_batch_reads_only_the_rows_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the places of the file that are looked up: as many as the rows have, and all of them in or right behind their units."""
    tokens = token_file([[40] for _ in range(500)])
    looked_up: list[np.ndarray[Any, Any]] = []
    take = np.take

    def watched(values: Any, places: Any, **how: Any) -> Any:
        looked_up.append(places)
        return take(values, places, **how)

    monkeypatch.setattr(np, "take", watched)
    packed(PackedRows(tokens, 64, order=np.arange(500)), [5, 6])
    assert [places.shape for places in looked_up] == [(128,)]
    assert looked_up[0].min() >= 5 * 40 - 1
    assert looked_up[0].max() < 7 * 40 + 24
    ChunkedRows(tokens, 64, END, PAD).rows(np.array([5, 6]))
    assert looked_up[1].shape == (2, 64)
    assert looked_up[1].min() >= 5 * 62
    assert looked_up[1].max() <= 8 * 64
