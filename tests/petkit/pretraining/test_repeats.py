"""A file that is given twice is refused, however it is said; copies are told; what only looks alike is not."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from petkit.errors import DataError
from petkit.pretraining import PretrainSettings, run_pretraining
from petkit.pretraining.repeats import copies, refuse_repeats
from petkit.pretraining.texts import data_sets

TEXT = "One sentence. Another one.\n\n" * 20000  # more than a block


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "a.txt"
    path.parent.mkdir()
    path.write_text(TEXT)
    return path


def link(text: Path) -> list[str]:
    (text.parent / "b.txt").symlink_to(text)
    return [str(text.parent)]


def hard_link(text: Path) -> list[str]:
    (text.parent / "b.txt").hardlink_to(text)
    return [str(text.parent)]


def packed(text: Path) -> list[str]:
    (text.parent / "b.txt.gz").write_bytes(gzip.compress(TEXT.encode()))
    return [str(text.parent)]


def copied(text: Path) -> list[str]:
    (text.parent.parent / "b.txt").write_text(TEXT)
    return [str(text), str(text.parent.parent / "b.txt")]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda text: [str(text), str(text)], r"give each file once: .*a\.txt is given twice$"),
        (lambda text: [str(text), f"{text.parent}/../in/a.txt"], r"in/\.\./in/a\.txt is .*in/a\.txt$"),
        (lambda text: [str(text.parent)] * 2, r"/in is given twice$"),
        (lambda text: [str(text.parent), str(text)], r"a\.txt is given twice$"),
        (lambda _: ["builtin:docs", "builtin:docs"], r"builtin:docs is given twice$"),
        (link, r"b\.txt is .*a\.txt$"),
    ],
)
def test_the_same_text_is_refused(given: Callable[[Path], list[str]], message: str, text: Path) -> None:
    with pytest.raises(DataError, match=message):
        refuse_repeats(given(text))


@pytest.mark.parametrize(("given", "name"), [(hard_link, "b.txt"), (packed, "b.txt.gz"), (copied, "b.txt")])
def test_copies_are_told(given: Callable[[Path], list[str]], name: str, text: Path) -> None:
    sources = given(text)
    refuse_repeats(sources)
    (told,) = copies(sources)
    assert told.startswith("text that is there twice counts twice, and what is held out of one copy is trained on in the other: ")
    assert told.endswith(f"{name} has the content of {text}")


def test_a_run_tells_of_copies_and_goes_on(text: Path, tmp_path: Path) -> None:
    text.write_text("A sentence of some words.\n\n" * 40)
    told: list[str] = []
    settings = PretrainSettings(steps=1, layers=1, hidden=16, heads=1, intermediate=16, vocabulary=120, rows=2, length=16, device="cpu")
    copy = text.with_name("b.txt")
    copy.write_bytes(text.read_bytes())
    run_pretraining([str(text.parent)], settings, str(tmp_path / "run"), on_notice=told.append)
    assert [line for line in told if "has the content of" in line] == copies([str(text.parent)])


def test_several_copies_are_one_message(text: Path) -> None:
    for number in range(15):
        (text.parent / f"b{number:02}.txt").write_text(TEXT)
    (told,) = copies([str(text.parent)])
    assert told.count("has the content of") == 10
    assert told.endswith("; and 5 more")


def test_what_only_begins_alike_and_empty_files_are_taken(text: Path) -> None:
    (text.parent / "b.txt").write_text(f"{TEXT}More.")
    for name in ("c.txt", "d.txt"):
        (text.parent / name).touch()
    (text.parent / "copy.md").write_text(TEXT)  # not read
    refuse_repeats([str(text.parent), "builtin:docs"])
    assert copies([str(text.parent), "builtin:docs"]) == []


def test_a_saved_data_sets_descriptions_are_no_text(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data.arrow").write_text(name)
        (tmp_path / name / "state.json").write_text("{}")
    assert copies([str(tmp_path / "one"), str(tmp_path / "two")]) == []
    (tmp_path / "two" / "data.arrow").write_text("one")
    (told,) = copies([str(tmp_path / "one"), str(tmp_path / "two")])
    assert "two/data.arrow has the content of" in told


@pytest.mark.parametrize("separate", [False, True])
def test_a_run_is_refused_before_a_folder_is_made(separate: bool, text: Path, tmp_path: Path) -> None:
    settings = PretrainSettings(steps=1, separate=separate)
    with pytest.raises(DataError, match=r"a\.txt is given twice"):
        run_pretraining([str(text), str(text)], settings, str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        (["x/a.txt", "y/b.txt"], ["a", "b"]),
        (["x/a.txt", "y/a.txt", "b.txt"], ["x/a.txt", "y/a.txt", "b"]),
        (["a.b", "a.c", "x/a.b.txt"], ["a.b", "a.c", "x/a.b.txt"]),
    ],
)
def test_data_sets_have_names_of_their_own(sources: list[str], names: list[str]) -> None:
    assert list(data_sets(sources, "text", separate=True)) == names
