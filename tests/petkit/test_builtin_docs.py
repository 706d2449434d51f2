"""Documentation texts are read from sources that are parsed, never imported, and come out as running text."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from petkit.builtin.corpus import DEVELOPMENT, TEST, split_of
from petkit.builtin.docs import Docstring, bucket, docstrings, prose


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package that must not be imported, with a test folder, a broken file and nested objects."""
    root = tmp_path / "petkit_sample"
    for name, text in {
        "__init__.py": '"""The package."""\nraise RuntimeError("imported")\n',
        "b.py": '"""Module b."""\nclass K:\n    """Class K."""\n    async def f(self):\n        """Method f.\n\n        More."""\n',
        "a.py": 'def g():\n    """  """\ndef h():\n    "Function h."\n    def inner():\n        "Inner."\n',
        "broken.py": '"""Broken."""\ndef (\n',
        "tests/test_a.py": '"""A test."""\n',
        "test_b.py": '"""A test."""\n',
        "sub/__init__.py": '"""Sub."""\n',
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "petkit_single.py").write_text('"""One module."""\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    return "petkit_sample"


def test_docstrings_of_a_package_in_order_without_tests_and_broken_files(package: str) -> None:
    found = [(doc.name, doc.text) for doc in docstrings(package)]
    assert found == [
        ("petkit_sample", "The package."),
        ("petkit_sample.a.h", "Function h."),
        ("petkit_sample.a.h.inner", "Inner."),
        ("petkit_sample.b", "Module b."),
        ("petkit_sample.b.K", "Class K."),
        ("petkit_sample.b.K.f", "Method f.\n\nMore."),
        ("petkit_sample.sub", "Sub."),
    ]
    assert "petkit_sample" not in sys.modules


def test_docstrings_of_a_subpackage_a_module_and_nothing(package: str) -> None:
    assert [doc.name for doc in docstrings(f"{package}.sub")] == [f"{package}.sub"]
    assert next(doc.name for doc in docstrings(f"{package}.b")) == f"{package}.b"
    assert [doc.text for doc in docstrings("petkit_single")] == ["One module."]
    assert list(docstrings("petkit_no_such_package")) == []
    assert list(docstrings(f"{package}.no_such_module")) == []


@pytest.mark.parametrize("module", ["os", "io", "codecs", "posixpath", "re", "json"])
def test_modules_that_the_interpreter_carries_compiled_are_found_as_sources(module: str) -> None:
    texts = [doc.text for doc in docstrings(module)]
    assert texts[0] == inspect.cleandoc(importlib.import_module(module).__doc__ or "")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("A :class:`Graph` and :func:`~a.b.c` of :ref:`this guide <label>`.", "A Graph and a.b.c of this guide."),
        ("The ``axis`` or `name` in **bold**.", "The axis or name in bold."),
        ("Before.\n\n>>> f(1)\n... more\n\nAfter.", "Before.\n\nAfter."),
        ("Title\n-----\nText\nover lines.", "Title Text over lines."),
        ("Text.\n\n.. versionadded:: 1.2\n\nMore.", "Text.\n\nMore."),
        ("   spaced \t  out   ", "spaced out"),
        ("", ""),
    ],
)
def test_prose_unwraps_markup_and_drops_code_rules_and_directives(written: str, read: str) -> None:
    assert prose(written) == read


def test_buckets_are_fixed_and_fill_evenly() -> None:
    assert (bucket("json.dumps"), bucket("networkx.Graph")) == (14, 40)
    counts = [0] * 10
    for number in range(2000):
        counts[bucket(f"name {number}", buckets=10)] += 1
    assert min(counts) > 150


def test_split_follows_the_bucket_of_the_qualified_name_alone() -> None:
    splits = set()
    for number in range(300):
        doc = Docstring("m", f"f{number}", "text")
        place = bucket(f"m.f{number}")
        expected = "test" if place in TEST else "development" if place in DEVELOPMENT else "train"
        assert split_of(doc) == split_of(Docstring("m", f"f{number}", "other")) == expected
        splits.add(expected)
    assert splits == {"test", "development", "train"}


def test_reading_imports_no_documented_package() -> None:
    program = textwrap.dedent(
        """
        import sys
        from petkit.builtin.docs import docstrings
        from petkit.builtin.demo_data import _candidates
        texts = [next(iter(docstrings(name))) for name in ("networkx.classes", "sympy.matrices", "torch.nn.modules", "pandas.io")]
        next(_candidates())
        heavy = {"networkx", "sympy", "torch", "pandas", "transformers", "sklearn"} & set(sys.modules)
        sys.exit(f"imported {heavy}" if heavy or len(texts) != 4 else 0)
        """
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
