"""Token files: nothing lost, the split drawn as said, whole or not there, in bounded memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from petkit import files
from petkit.errors import DataError
from petkit.objectives import Documents, Vocabulary, chinese_segmenter, stream
from petkit.pretraining import tokens as stage
from petkit.pretraining.tokenfiles import RECORD
from petkit.pretraining.tokens import SplitTokens, TokenFile, open_split, tokenize_split
from petkit.pretraining.wordpiece import train_wordpiece
from tests.builders import docstrings, tokenizer

DOCUMENTS = [text.split("\n\n") for text in docstrings()[:60]]


def split(folder: Path, documents: Sequence[list[str]] = DOCUMENTS, *, held_out: float = 0.1, seed: int = 1, **more: Any) -> SplitTokens:
    return tokenize_split(documents, tokenizer("wordpiece"), folder, held_out=held_out, seed=seed, **more)


def texts(tokens: TokenFile) -> list[list[int]]:
    """The ids of each document."""
    return [tokens.ids[a:b].tolist() for a, b in pairwise(tokens.starts)]


def ids_of(text: str) -> list[int]:
    found: list[int] = tokenizer("wordpiece")(text, add_special_tokens=False)["input_ids"]
    return found


def same(one: SplitTokens, other: SplitTokens) -> bool:
    return all(
        np.array_equal(getattr(getattr(one, part), name), getattr(getattr(other, part), name))
        for part in ("train", "held")
        for name in ("ids", "paragraphs", "sentences", "documents")
    )


# What is in the files


def test_every_document_is_in_one_part_whole_and_in_order(tmp_path: Path) -> None:
    found = split(tmp_path / "a")
    draws = stream(1, "pretrain", "held out").random(len(DOCUMENTS))
    for part, out in ((found.train, False), (found.held, True)):
        expected = [
            [i for p in document for i in ids_of(p)] for document, draw in zip(DOCUMENTS, draws, strict=True) if (draw < 0.1) == out
        ]
        assert texts(part) == expected
    assert 2 <= (draws < 0.1).sum() < 30


def test_types_and_bounds(tmp_path: Path) -> None:
    for part in (split(tmp_path / "a").train, split(tmp_path / "a").held):
        assert part.ids.dtype == np.uint16
        assert part.begins is None
        for bounds, last in ((part.paragraphs, len(part.ids)), (part.sentences, len(part.ids)), (part.documents, len(part.sentences) - 1)):
            assert bounds.dtype == np.int64
            assert (bounds[0], bounds[-1]) == (0, last)
            assert (np.diff(bounds) > 0).all()
        assert set(part.paragraphs.tolist()) <= set(part.sentences.tolist())
        assert set(part.starts.tolist()) <= set(part.paragraphs.tolist())
        assert isinstance(part.as_documents, Documents)
        assert not part.ids.flags.writeable


def test_paragraphs_and_sentences_are_where_the_text_has_them(tmp_path: Path) -> None:
    documents = [["File a. File b! Yes?! No", "File."], ["One file", "", "Two"], *([["x."]] * 20)]
    found = split(tmp_path / "a", documents, held_out=0.01)
    words = tokenizer("wordpiece")
    seen = {}
    for part in (found.train, found.held):
        for start, stop in pairwise(part.documents):
            sentences = [words.decode(part.ids[a:b]) for a, b in pairwise(part.sentences[start : stop + 1])]
            seen[sentences[0]] = sentences
    assert seen["file a."] == ["file a.", "file b!", "yes?!", "no", "file."]
    assert seen["one file"] == ["one file", "two"]


def test_sentences_are_those_of_the_vocabulary(tmp_path: Path) -> None:
    part, vocabulary = split(tmp_path / "a").train, Vocabulary.of(tokenizer("wordpiece"))
    for start, stop in pairwise(part.paragraphs.tolist()):
        within = vocabulary.sentences(part.ids[start:stop].astype(np.int64)[None])[0]
        inside = part.sentences[(part.sentences > start) & (part.sentences < stop)] - start
        assert inside.tolist() == np.flatnonzero(np.diff(within)).__add__(1).tolist()


def test_long_documents_are_cut_at_paragraphs(tmp_path: Path) -> None:
    paragraphs = [f"file {number} " * 200 for number in range(60)]
    sizes = [len(ids_of(p)) for p in paragraphs]
    found = split(tmp_path / "a", [paragraphs], held_out=0.2)
    lengths = np.concatenate([np.diff(found.train.starts), np.diff(found.held.starts)])
    assert lengths.sum() == sum(sizes)
    assert lengths.max() <= 4000
    assert lengths.min() >= min(sizes)


def test_blocks_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = split(tmp_path / "a")
    for block, first, at_a_time in ((50, 20, 1), (3000, 25, 7)):
        monkeypatch.setattr("petkit.pretraining.sections._BLOCK", block)
        monkeypatch.setattr("petkit.pretraining.sections._FIRST", first)
        monkeypatch.setattr("petkit.pretraining.sections._AT_A_TIME", at_a_time)
        assert same(split(tmp_path / "b"), found)


def test_special_tokens_written_in_a_text_stay_text(tmp_path: Path) -> None:
    for name in ("wordpiece", "bytelevel", "unigram", "modernbert"):
        words = tokenizer(name)
        special = {words.mask_token_id, words.cls_token_id, words.sep_token_id, words.pad_token_id}
        texts_ = [[f"a {words.mask_token} and {words.sep_token}{words.pad_token} file"], ["other file"]]
        found = tokenize_split(texts_, words, tmp_path / name, held_out=0.1, seed=0)
        assert special.isdisjoint({*found.train.ids.tolist(), *found.held.ids.tolist()})


def test_large_vocabularies_take_wider_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = split(tmp_path / "a")
    monkeypatch.setattr(stage, "id_type", lambda _size: np.dtype("<i4"))
    wide = split(tmp_path / "b")
    assert (wide.train.ids.dtype, found.train.ids.dtype) == (np.int32, np.uint16)
    assert same(wide, found)


# The split


def test_small_texts_are_cut_finer_so_that_some_is_held_out(tmp_path: Path) -> None:
    found = split(tmp_path / "a", [[f"file {number}" for number in range(200)]], held_out=0.001)
    assert len(found.held.documents) - 1 == 2
    assert len(found.held.ids) < len(found.train.ids) / 5
    two = split(tmp_path / "b", [["file", "table"]])
    assert len(two.held.ids) == len(two.train.ids) == 1
    many = split(tmp_path / "c", [["file"], ["table"], ["graph"], ["number"]], held_out=0.99)
    assert [len(part.documents) - 1 for part in (many.train, many.held)] == [2, 2]


@pytest.mark.parametrize("documents", [[], [[]], [["", " "]], [["one paragraph of a single file"]]])
def test_too_little_text_is_refused_and_leaves_nothing(documents: list[list[str]], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="that is too little to train on and hold some out"):
        split(tmp_path / "a", documents)
    assert list(tmp_path.iterdir()) == []


def test_text_that_is_no_unicode_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="half of a surrogate pair"):
        split(tmp_path / "a", [["fine"], ["bad \ud800"]])


# A segmenter


def letters(text: str) -> list[str]:
    """Words of two characters, whatever they are."""
    return [text[i : i + 2] for i in range(0, len(text), 2)]


def test_a_segmenters_words_are_kept(tmp_path: Path) -> None:
    documents = [["\u5317\u4eac\u5927\u5b66"], ["ab cd"], ["file"], ["table"]]
    backend = tokenizer("bytelevel")
    found = tokenize_split(documents, backend, tmp_path / "a", held_out=0.3, seed=1, segment=letters)
    for part in (found.train, found.held):
        assert part.begins is not None
        assert part.begins.dtype == bool
        assert part.begins[part.paragraphs[:-1]].all()
    plain = split(tmp_path / "b", [["one two"] * 40])
    assert plain.train.begins is None


def test_a_token_belongs_to_the_word_of_its_first_character_that_is_no_blank(tmp_path: Path) -> None:
    def words_and_blanks(text: str) -> list[str]:
        return [part for word in text.split(" ") for part in (word, " ")][:-1]

    for name in ("wordpiece", "bytelevel", "unigram"):
        words = tokenizer(name)
        documents = [["reimplementation of graphs unbelievably"]] * 4
        part = tokenize_split(documents, words, tmp_path / name, held_out=0.3, seed=1, segment=words_and_blanks).train
        assert part.begins is not None
        first = part.ids[: part.paragraphs[1]]
        assert len(first) > 4
        starts = np.flatnonzero(part.begins[: len(first)])
        pieces = [words.decode(first[a:b]).strip() for a, b in pairwise([*starts, len(first)])]
        assert [piece for piece in pieces if piece] == ["reimplementation", "of", "graphs", "unbelievably"]


def test_chinese_words_are_jiebas(tmp_path: Path) -> None:
    jieba = pytest.importorskip("jieba")
    text = "\u6211\u6765\u5230\u5317\u4eac\u6e05\u534e\u5927\u5b66"
    words = train_wordpiece([text], size=50)
    part = tokenize_split([[text]] * 4, words, tmp_path / "a", held_out=0.3, seed=1, segment=chinese_segmenter()).train
    assert part.begins is not None
    starts = np.flatnonzero(part.begins[: len(text)])
    assert [text[a:b] for a, b in pairwise([*starts, len(text)])] == jieba.lcut(text)


# Whole or not there


def test_a_folder_opened_again_is_the_same(tmp_path: Path) -> None:
    assert same(split(tmp_path / "a"), open_split(tmp_path / "a"))


def test_a_pass_stopped_at_any_point_leaves_nothing_that_opens(tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    reached: list[str] = []
    files.observers.append(reached.append)
    try:
        split(tmp_path / "a", DOCUMENTS[:3])
    finally:
        files.observers.clear()
    published = reached.index("renamed a")
    for place in range(published):
        seen = iter(range(len(reached)))

        def stop(_name: str, seen: Iterator[int] = seen, place: int = place) -> None:
            if next(seen) == place:
                raise Stopped

        files.observers.append(stop)
        try:
            with pytest.raises(Stopped):
                split(tmp_path / f"b{place}", DOCUMENTS[:3])
        finally:
            files.observers.clear()
        with pytest.raises(files.DamagedFileError):
            open_split(tmp_path / f"b{place}")


def test_files_that_are_cut_off_or_of_another_version_are_damaged(tmp_path: Path) -> None:
    split(tmp_path / "a")
    for path in sorted((tmp_path / "a").glob("*.bin")):
        content = path.read_bytes()
        path.write_bytes(content[:-1])
        with pytest.raises(files.DamagedFileError, match=f"{path.name} is damaged: it holds {len(content) - 1} bytes, not {len(content)}"):
            open_split(tmp_path / "a")
        path.write_bytes(content)
    record = json.loads((tmp_path / "a" / RECORD).read_text())
    (tmp_path / "a" / RECORD).write_text(json.dumps({**record, "format": 0}))
    with pytest.raises(files.DamagedFileError, match="holds tokens in format 0; this version reads 3"):
        open_split(tmp_path / "a")
    for changed in ({}, {**record, "ids": "<i2"}, {**record, "counts": {"train": [], "held": {}}}, {**record, "checksums": {"train": 1}}):
        (tmp_path / "a" / RECORD).write_text(json.dumps(changed))
        with pytest.raises(files.DamagedFileError, match=r"tokens\.json is damaged"):
            open_split(tmp_path / "a", verify=True)


@pytest.mark.parametrize("name", ["ids", "paragraphs", "sentences", "documents", "begins"])
@pytest.mark.parametrize("part", ["train", "held"])
def test_a_changed_byte_is_found_where_it_is_looked_for(part: str, name: str, tmp_path: Path) -> None:
    whole = split(tmp_path / "a", segment=letters)
    assert same(open_split(tmp_path / "a", verify=True), whole)
    path = tmp_path / "a" / f"{part}-{name}.bin"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    open_split(tmp_path / "a")
    with pytest.raises(files.DamagedFileError, match=rf"{path.name} is damaged: it has checksum \d+, not \d+"):
        open_split(tmp_path / "a", verify=True)


# Memory

MEASURED = """
import resource, sys
from pathlib import Path
from tests.builders import tokenizer
from petkit.pretraining.tokens import tokenize_split
words = tokenizer("wordpiece")
line = "It returns the number of files in a table, and a graph of them. " * 4

def documents(count):
    return ([f"{number} {line}"] * 20 for number in range(count))

tokenize_split(documents(200), words, Path(sys.argv[1], "warm"), held_out=0.1, seed=0)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = tokenize_split(documents(int(sys.argv[2])), words, Path(sys.argv[1], "big"), held_out=0.1, seed=0)
print(len(found.train.ids) + len(found.held.ids), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_text(tmp_path: Path) -> None:
    """Five times the text takes no more memory, though what is added would be larger as lists or as text."""
    root = Path(__file__).resolve().parents[3]
    grown = []
    for count in (1000, 5000):
        said = subprocess.run(
            [sys.executable, "-c", MEASURED, str(tmp_path), str(count)], capture_output=True, text=True, check=True, cwd=root
        )
        tokens, mebibytes = map(int, said.stdout.split())
        assert tokens > count * 1000
        grown.append(mebibytes)
    assert grown[1] - grown[0] < 8  # 4,000 more documents are 21 MB of text
