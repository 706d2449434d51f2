"""The label words: every verbalizer is sound, says where it is from, and serves a task."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import petkit.verbalizers as package
from petkit.loading import load_task, ready_made
from petkit.pvp import Verbalizer

MODULES = [module.name for module in pkgutil.iter_modules(package.__path__)]
VERBALIZERS = [(name, public) for name in MODULES for public in importlib.import_module(f"petkit.verbalizers.{name}").__all__]


def words_of(module: str, public: str) -> dict[str, str]:
    found: dict[str, str] = getattr(importlib.import_module(f"petkit.verbalizers.{module}"), public)
    return found


@pytest.mark.parametrize(("module", "public"), VERBALIZERS)
def test_it_has_no_problem(module: str, public: str) -> None:
    verbalizer = Verbalizer(words_of(module, public))
    assert len(verbalizer.labels) >= 2
    assert verbalizer.problems() == []


@pytest.mark.parametrize("module", MODULES)
def test_it_says_where_the_words_are_from(module: str) -> None:
    text = importlib.import_module(f"petkit.verbalizers.{module}").__doc__ or ""
    assert "arXiv" in text or "Ours" in text


def test_every_verbalizer_serves_a_task_but_the_one_for_other_languages() -> None:
    used = [pvp.verbalizer.mapping for name in ready_made() for pvp in load_task(name).pvps]
    assert [where for where in VERBALIZERS if words_of(*where) not in used] == [("xstance", "ENGLISH")]


def test_chinese_sections_have_two_characters_each() -> None:
    assert {len(word) for word in words_of("tnews", "WORDS").values()} == {2}
