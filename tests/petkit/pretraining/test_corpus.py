"""Sources of raw text to documents: nothing lost, nothing held in memory, what is broken is named."""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import os
import tracemalloc
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from petkit.errors import DataError
from petkit.pretraining.corpus import LONGEST, read_documents, source_digest
from petkit.pretraining.sourcefiles import source_files

# Sources


def test_a_text_file_is_one_document_of_paragraphs(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfOne  line\r\nand another.\r\n\r\n\r\nSecond\tparagraph.\n\n")
    assert list(read_documents(str(tmp_path / "a.txt"))) == [["One line and another.", "Second paragraph."]]


def test_a_folder_stands_for_its_files_of_text_at_any_depth_in_order(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "deep/er/z.txt", ".hidden/h.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"This is {name}.")
    (tmp_path / "c.md").write_text("Not this.")
    (tmp_path / "config.json").write_text('{"text": "Nor this."}')
    (tmp_path / "c.jsonl").write_text('{"text": "A row."}\n')
    (tmp_path / "d.tsv").write_text("text\tn\nAnother row.\t1\n")
    with gzip.open(tmp_path / "e.txt.gz", "wb") as handle:
        handle.write(b"Unpacked.")
    pyarrow.parquet.write_table(pyarrow.table({"text": ["Of parquet."]}), tmp_path / "f.parquet")
    found = [document[0] for document in read_documents(str(tmp_path))]
    assert found == [*("This is a.txt.", "This is b.txt.", "A row.", "Another row.", "This is deep/er/z.txt.", "Unpacked.", "Of parquet.")]
    assert [path.name for path in source_files(str(tmp_path))] == ["a.txt", "b.txt", "c.jsonl", "d.tsv", "z.txt", "e.txt.gz", "f.parquet"]


def test_a_long_text_comes_in_parts_and_nothing_is_lost(tmp_path: Path) -> None:
    paragraphs = [f"Paragraph {number} " + "of words " * 40 + "ends." for number in range(3000)]
    (tmp_path / "a.txt").write_text("\n\n".join(paragraphs))
    parts = list(read_documents(str(tmp_path / "a.txt")))
    assert len(parts) > 3
    assert [paragraph for part in parts for paragraph in part] == paragraphs


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_file_without_a_blank_line_is_a_text_per_line(tmp_path: Path, end: str) -> None:
    """As petkit train and petkit predict read it."""
    texts = [f"Review number {number}, which is short." for number in range(5000)]
    (tmp_path / "raw.txt").write_bytes((end.join(texts) + end).encode())
    assert [document for document in read_documents(str(tmp_path / "raw.txt"))] == [[text] for text in texts]
    (tmp_path / "one.txt").write_text("A single line.\n")
    assert list(read_documents(str(tmp_path / "one.txt"))) == [["A single line."]]


def test_a_text_without_blank_lines_is_cut_behind_sentences_lines_or_words(tmp_path: Path) -> None:
    texts = {
        "sentences": "".join(f"This is sentence number {number}. " for number in range(20_000)),
        "lines": "A title.\n\n" + "".join(f"a line without a stop {number}\n" for number in range(20_000)),
        "words": "".join(f"word{number} " for number in range(60_000)),
        "chinese": "\u8fd9\u662f\u4e00\u4e2a\u53e5\u5b50\u3002" * 20_000,
        "nothing": "x" * 100_000,
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
        found = [paragraph for part in read_documents(str(tmp_path / f"{name}.txt")) for paragraph in part]
        assert max(map(len, found)) <= LONGEST
        assert len(found) <= 3 + 2.2 * len(text) // LONGEST
        assert ("" if name in ("chinese", "nothing") else " ").join(found).split() == text.split()
        ends = {"sentences": ".", "chinese": "\u3002"}.get(name)
        assert ends is None or all(paragraph.endswith(ends) for paragraph in found)
        assert name != "lines" or all(paragraph.startswith("a line") for paragraph in found[1:])


def test_blocks_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfOne\r\n \r\n\r\nT\xc3\xa4o\r\nthree\n\n\n\nfour\r\rfive")
    expected = [["One", "T\u00e4o three", "four", "five"]]
    for block in (1, 2, 3, 7, 2**18):
        monkeypatch.setattr("petkit.data.text._BLOCK", block)
        assert list(read_documents(str(tmp_path / "a.txt"))) == expected


def test_long_rows_are_cut_too(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "A sentence. " * 3000}))
    (document,) = read_documents(str(tmp_path / "a.jsonl"))
    assert len(document) > 3
    assert " ".join(document) == ("A sentence. " * 3000).strip()


@pytest.mark.slow
def test_a_file_is_not_held_in_memory(tmp_path: Path) -> None:
    with (tmp_path / "a.txt").open("w") as handle:
        for number in range(60_000):
            handle.write(f"Paragraph {number} " + "of many words " * 30 + "\n\n")
    size = (tmp_path / "a.txt").stat().st_size
    tracemalloc.start()
    count = sum(len(document) for document in read_documents(str(tmp_path / "a.txt")))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 60_000
    assert peak < size / 6


def test_broken_rows_and_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n{"body": "y"}\n')
    with pytest.raises(DataError, match=r"a\.jsonl: row 2 has no column 'text'; columns are body; name one with --text-column"):
        list(read_documents(str(tmp_path / "a.jsonl")))
    (tmp_path / "b.jsonl").write_text('{"text": "x"}\n{"text": ["y"]}\n')
    with pytest.raises(DataError, match=r"b\.jsonl: row 2: column 'text' holds a list; a text is needed"):
        list(read_documents(str(tmp_path / "b.jsonl")))
    (tmp_path / "c.txt").write_bytes(b"fine\n" * 5 + b"a\0b")
    with pytest.raises(DataError, match=r"c\.txt: NUL byte at byte 26 \(line 6\)"):
        list(read_documents(str(tmp_path / "c.txt")))
    (tmp_path / "d.txt.gz").write_bytes(b"not packed")
    with pytest.raises(DataError, match=r"d\.txt\.gz: damaged or no gzip file"):
        list(read_documents(str(tmp_path / "d.txt.gz")))
    (tmp_path / "latin.txt").write_bytes("caf\u00e9".encode("latin-1"))
    assert list(read_documents(str(tmp_path / "latin.txt"), encoding="latin-1")) == [["caf\u00e9"]]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: the folder holds no text; files that end in \.txt, \.jsonl"):
        list(read_documents(str(tmp_path / "empty")))
    with pytest.raises(DataError, match="standard input can be read once only"):
        list(read_documents("-"))


def test_entries_of_a_folder_that_cannot_be_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("good.txt", "closed.txt", "sub/x.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "notes.md").symlink_to(tmp_path / "none")  # not text, so not missed
    (tmp_path / "gone.txt").symlink_to(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe.txt")
    may = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "closed.txt" and may(path, mode))
    with pytest.raises(DataError) as caught:
        source_digest(str(tmp_path))
    assert str(caught.value).startswith(f"{tmp_path}: not all of the folder can be read: 3 problems")
    assert caught.value.problems == (
        f"{tmp_path}/closed.txt: no permission to read it",
        f"{tmp_path}/gone.txt: a link to a file that is not there",
        f"{tmp_path}/pipe.txt: no regular file",
    )
    with pytest.raises(DataError, match=r"closed\.txt: no permission to read it; give a file"):
        source_digest(str(tmp_path / "closed.txt"))


def test_a_folder_in_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("good.txt", "sub/x.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    listed = os.scandir

    def refusing(path: str) -> object:
        if Path(path).name == "sub":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return listed(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(DataError, match=r"not all of the folder can be read: .*/sub: Permission denied"):
        source_files(str(tmp_path))


@pytest.mark.slow
def test_a_folder_that_datasets_saved_is_rows(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_dict({"text": ["One.\n\nTwo.", "Three."]}).save_to_disk(tmp_path / "saved")
    assert list(read_documents(str(tmp_path / "saved"))) == [["One.", "Two."], ["Three."]]
    assert len(source_digest(str(tmp_path / "saved"))) == 64


def test_digests_are_of_the_content(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder / "in").mkdir(parents=True)
        (tmp_path / folder / "a.txt").write_text("One.")
        (tmp_path / folder / "in" / "b.jsonl").write_text('{"text": "Two."}')
    one, two = (source_digest(str(tmp_path / folder)) for folder in ("one", "two"))
    assert one == two
    (tmp_path / "two" / "notes.md").write_text("Not read.")
    assert source_digest(str(tmp_path / "two")) == one
    (tmp_path / "two" / "in" / "b.jsonl").write_text('{"text": "Three."}')
    assert source_digest(str(tmp_path / "two")) != one
    assert source_digest(str(tmp_path / "one" / "a.txt")) == hashlib.sha256(b"One.").hexdigest()
    assert len(source_digest("builtin:docs")) == 64
    with pytest.raises(DataError, match="none: no such file or folder"):
        source_digest(str(tmp_path / "none"))


def test_rows_of_other_formats_are_documents(tmp_path: Path) -> None:
    rows = [{"text": "One.\n\nTwo.", "body": "x"}, {"text": "", "body": "y"}, {"text": None, "body": "z"}, {"text": "Three.", "body": "w"}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert list(read_documents(str(tmp_path / "a.jsonl"))) == [["One.", "Two."], ["Three."]]
    assert list(read_documents(str(tmp_path / "a.jsonl"), column="body")) == [["x"], ["y"], ["z"], ["w"]]
    (tmp_path / "a.csv").write_text("text,n\nFour.,1\n")
    assert list(read_documents(str(tmp_path / "a.csv"))) == [["Four."]]


def test_mistakes_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("body,label\nx,1\n")
    with pytest.raises(DataError, match=r"a\.csv: no column 'text'; columns are body, label; name one with --text-column"):
        list(read_documents(str(tmp_path / "a.csv")))
    (tmp_path / "latin.txt").write_bytes("caf\u00e9".encode("latin-1"))
    with pytest.raises(DataError, match=r"latin\.txt: byte 3 \(line 1\) is 0xE9, which is not UTF-8 here"):
        list(read_documents(str(tmp_path / "latin.txt")))
    for missing in ("none.txt", "none.jsonl", "none.csv"):
        with pytest.raises(DataError, match=missing):
            list(read_documents(str(tmp_path / missing)))
