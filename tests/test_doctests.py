"""The examples in docstrings and documents are run, as they stand. `make docs` runs this file too."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import petkit

ROOT = Path(__file__).resolve().parent.parent
MODULES = ["petkit", *sorted(module.name for module in pkgutil.walk_packages(petkit.__path__, "petkit."))]
MAPPED = ["petkit.patterns", "petkit.verbalizers", "petkit.cli"]  # an editable install keeps these out of petkit.__path__
for _package in MAPPED:
    if _package not in MODULES:
        _path = importlib.import_module(_package).__path__
        MODULES += [_package, *sorted(module.name for module in pkgutil.walk_packages(_path, f"{_package}."))]
DOCUMENTS = [path for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if path.exists()]
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith(".__main__")])
def test_examples_of_a_module(name: str) -> None:
    outcome = doctest.testmod(importlib.import_module(name), optionflags=FLAGS)
    assert outcome.failed == 0, f"{outcome.failed} examples of {name} differ; see the captured output"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_examples_of_a_document(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = doctest.testfile(str(path), module_relative=False, encoding="utf-8", optionflags=FLAGS)
    assert outcome.failed == 0, f"{outcome.failed} examples of {path.name} differ; see the captured output"


def test_every_part_is_walked() -> None:
    assert {"petkit.pvp", "petkit.objectives", "petkit.cli.app", *MAPPED} <= set(MODULES)
