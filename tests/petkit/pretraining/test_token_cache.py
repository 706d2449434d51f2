"""The cache of token files: the same text is tokenised once, by one process at a time, whatever becomes of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from petkit.errors import DataError, RunError
from petkit.locks import locked
from petkit.pretraining import tokens as stage
from petkit.pretraining.ranks import Ranks
from petkit.pretraining.tokenfiles import open_split
from petkit.pretraining.tokens import SplitTokens, split_tokens
from tests.builders import tokenizer
from tests.petkit.pretraining.test_tokens import DOCUMENTS, letters, same, texts


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("\n\n".join(p for document in DOCUMENTS for p in document))
    return path


def cached(source: Path, cache: Path, **more: Any) -> SplitTokens:
    options = {"column": "text", "tokenizer": tokenizer("wordpiece"), "cache": cache, "held_out": 0.1, "seed": 1, **more}
    return split_tokens([str(source)], **options)


def folders(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if path.is_dir())


def test_the_same_text_is_tokenised_once(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = cached(source, tmp_path / "cache")
    os.utime(source)
    (tmp_path / "copy.txt").write_bytes(source.read_bytes())
    monkeypatch.setattr(stage, "tokenize_split", None)
    tokenizer("wordpiece")(["a", "b b"], padding=True, truncation=True, max_length=3)  # leaves its traces in the tokenizer
    assert same(cached(source, tmp_path / "cache"), first)
    assert same(cached(tmp_path / "copy.txt", tmp_path / "cache"), first)


@pytest.mark.parametrize(
    "change",
    [
        {"tokenizer": "bytelevel"},
        {"held_out": 0.2},
        {"seed": 2},
        {"column": "body"},
        {"segment": letters},
        {"encoding": "utf-8"},
        {"quotes": False},
    ],
)
def test_whatever_decides_the_tokens_makes_them_anew(change: dict[str, Any], source: Path, tmp_path: Path) -> None:
    cached(source, tmp_path / "cache")
    changed = {**change, "tokenizer": tokenizer(change.get("tokenizer", "wordpiece"))}
    cached(source, tmp_path / "cache", **changed)
    assert len(folders(tmp_path / "cache")) == 2


def test_a_changed_file_is_tokenised_anew(source: Path, tmp_path: Path) -> None:
    before = cached(source, tmp_path / "cache")
    with source.open("a") as handle:
        handle.write("\n\nOne more file.")
    after = cached(source, tmp_path / "cache")
    assert len(after.train.ids) + len(after.held.ids) == len(before.train.ids) + len(before.held.ids) + 4


def test_a_damaged_folder_is_made_anew(source: Path, tmp_path: Path) -> None:
    before = cached(source, tmp_path / "cache")
    expected = texts(before.train)
    folder = tmp_path / "cache" / folders(tmp_path / "cache")[0]
    (folder / "train-ids.bin").unlink()
    (tmp_path / "cache" / f".tmp-{folder.name}-0123").mkdir()  # left by a killed pass
    assert texts(cached(source, tmp_path / "cache").train) == expected
    assert folders(tmp_path / "cache") == [folder.name]


def test_a_folder_damaged_at_its_size_is_made_anew(source: Path, tmp_path: Path) -> None:
    before = texts(cached(source, tmp_path / "cache").train)
    for path in (tmp_path / "cache").glob("*/*.bin"):
        path.write_bytes(bytes(path.stat().st_size))
    assert texts(cached(source, tmp_path / "cache").train) == before


def test_only_the_first_of_several_processes_reads_it_all(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def opened(folder: Path, *, verify: bool = False) -> SplitTokens:
        asked.append(verify)
        return open_split(folder, verify=verify)

    monkeypatch.setattr(stage, "open_split", opened)
    cached(source, tmp_path / "cache")
    for rank in (0, 1):
        monkeypatch.setattr(stage, "ranks", lambda rank=rank: Ranks(rank, 2))
        cached(source, tmp_path / "cache")
    assert asked == [True, False, True, False]  # at first, it is looked for and made


def test_a_file_that_changes_while_it_is_read_is_refused(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reading(name: str, **_: Any) -> Iterator[list[str]]:
        yield ["one file"]
        Path(name).write_text("Another text.")
        yield ["two files"]

    monkeypatch.setattr(stage, "read_documents", reading)
    with pytest.raises(DataError, match=r"text\.txt: changed while it was read"):
        cached(source, tmp_path / "cache")
    assert folders(tmp_path / "cache") == []


def test_a_cache_that_cannot_be_locked_is_named(source: Path, tmp_path: Path) -> None:
    cached(source, tmp_path / "cache")
    lock = next((tmp_path / "cache").glob("*.lock"))
    lock.unlink()
    lock.mkdir()
    with pytest.raises(RunError, match="cannot write"):
        cached(source, tmp_path / "cache")


@pytest.mark.slow
def test_processes_that_ask_at_the_same_time_get_the_same_tokens(source: Path, tmp_path: Path) -> None:
    tokenizer("wordpiece").save_pretrained(tmp_path / "words")
    code = f"""
from pathlib import Path
from transformers import AutoTokenizer
from petkit.pretraining.tokens import split_tokens
folder = Path({str(tmp_path)!r})
words = AutoTokenizer.from_pretrained(folder / "words")
found = split_tokens([{str(source)!r}], column="text", tokenizer=words, cache=folder / "c", held_out=0.1, seed=1)
print(len(found.train.ids), int(found.train.ids.sum()))
"""
    root = Path(__file__).resolve().parents[3]
    running = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=root, text=True) for _ in range(3)]
    said = {process.communicate()[0] for process in running}
    assert [process.returncode for process in running] == [0, 0, 0]
    assert len(said) == 1
    assert len(folders(tmp_path / "c")) == 1


def test_whoever_comes_second_waits(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = cached(source, tmp_path / "cache")
    waits: list[float] = []
    lock = next((tmp_path / "cache").glob("*.lock"))
    held = locked(lock)
    held.__enter__()

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            held.__exit__(None, None, None)

    monkeypatch.setattr(stage.time, "sleep", sleep)
    monkeypatch.setattr("petkit.locks.PAUSE", 0)
    assert same(cached(source, tmp_path / "cache"), expected)
    assert len(waits) >= 3


@pytest.mark.slow
def test_a_killed_pass_leaves_nothing_and_the_next_one_clears_up(tmp_path: Path, source: Path) -> None:
    tokenizer("wordpiece").save_pretrained(tmp_path / "words")
    source.write_text(source.read_text() * 200)
    code = f"""
from pathlib import Path
from transformers import AutoTokenizer
from petkit.pretraining.tokens import split_tokens
folder = Path({str(tmp_path)!r})
words = AutoTokenizer.from_pretrained(folder / "words")
found = split_tokens([{str(source)!r}], column="text", tokenizer=words, cache=folder / "c", held_out=0.1, seed=1)
print(len(found.train.ids))
"""
    root = Path(__file__).resolve().parents[3]
    killed = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, cwd=root)
    while not list((tmp_path / "c").glob(".tmp-*/.tmp-train-ids*")):
        assert killed.poll() is None
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    assert len(list((tmp_path / "c").glob(".tmp-*"))) == 1
    assert not [folder for folder in folders(tmp_path / "c") if not folder.startswith(".")]
    again = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert int(again.stdout) > 100_000
    assert len(folders(tmp_path / "c")) == 1
