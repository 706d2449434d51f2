"""What the builtin model may read: documentation, but no object that the demo tests on, and nothing that also stands in one."""

from __future__ import annotations

from pathlib import Path

import pytest

from petkit.builtin import corpus
from petkit.builtin.corpus import DEVELOPMENT, TEST, split_of, training_documents
from petkit.builtin.docs import docstrings, prose
from petkit.pretraining.corpus import read_documents

COPIED = "This paragraph is inherited, word for word, by many objects of the package."


def source(name: str, own: str, shared: str = "") -> str:
    return f'def {name}():\n    """Summary of {own}.\n\n    {shared}\n\n    >>> {name}()\n    """\n'


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package of 100 documented functions; one in three holds ``COPIED``."""
    root = tmp_path / "petkit_corpus_sample"
    root.mkdir()
    (root / "__init__.py").write_text("")
    (root / "a.py").write_text("".join(source(f"f{i}", f"object number {i}", COPIED if i % 3 == 0 else "") for i in range(100)))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(corpus, "PACKAGES", (root.name,))
    monkeypatch.setattr(corpus, "standard_library", lambda: [])
    return root.name


def summaries(package: str, *splits: str) -> list[str]:
    return [doc.text.partition("\n")[0] for doc in docstrings(package) if split_of(doc) in splits]


def test_the_splits_are_shares_of_the_names(package: str) -> None:
    assert (len(TEST), len(DEVELOPMENT)) == (12, 8)
    assert not set(TEST) & set(DEVELOPMENT)
    counts = [len(summaries(package, split)) for split in ("test", "development", "train")]
    assert sum(counts) == 100
    assert min(counts) > 0


def test_no_object_held_out_is_in_the_documents_and_every_other_one_is(package: str) -> None:
    documents = list(training_documents())
    assert [document[0] for document in documents] == summaries(package, "train")
    read = {paragraph for document in documents for paragraph in document}
    assert read.isdisjoint(summaries(package, "test", "development"))


def test_a_paragraph_that_also_stands_in_a_held_out_object_is_dropped_everywhere(package: str) -> None:
    held = [doc for doc in docstrings(package) if split_of(doc) != "train" and COPIED in doc.text]
    assert held  # the sample has such objects
    assert all(COPIED not in document for document in training_documents())


def test_a_paragraph_is_told_by_its_first_words_whatever_its_case_and_blanks(tmp_path: Path, package: str) -> None:
    held, kept = (next(doc.qualname for doc in docstrings(package) if split_of(doc) == split) for split in ("test", "train"))
    written = {name: source(name, name, text) for name, text in ((held, COPIED), (kept, COPIED.upper().replace(" ", "  ")))}
    (tmp_path / package / "a.py").write_text("".join(written.values()))
    assert list(training_documents()) == [[f"Summary of {kept}."]]


def test_a_paragraph_that_several_training_objects_share_is_read_once(tmp_path: Path, package: str) -> None:
    names = [doc.qualname for doc in docstrings(package) if split_of(doc) == "train"][:3]
    (tmp_path / package / "a.py").write_text("".join(source(name, name, COPIED) for name in names))
    assert [paragraph for document in training_documents() for paragraph in document].count(COPIED) == 1


def test_code_is_not_read(package: str) -> None:
    assert not any(">>>" in paragraph for document in training_documents() for paragraph in document)


def test_the_source_builtin_docs_is_these_documents(package: str) -> None:
    assert list(read_documents("builtin:docs")) == list(training_documents())


@pytest.mark.slow
def test_of_the_real_packages_no_held_out_paragraph_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "PACKAGES", ("networkx", "joblib"))
    monkeypatch.setattr(corpus, "standard_library", lambda: ["json", "logging"])
    held = {
        " ".join(paragraph.split())
        for package in ("networkx", "joblib", "json", "logging")
        for doc in docstrings(package)
        if split_of(doc) != "train"
        for paragraph in prose(doc.text).split("\n\n")
    }
    read = {" ".join(paragraph.split()) for document in training_documents() for paragraph in document}
    assert len(read) > 1000
    assert not read & held
