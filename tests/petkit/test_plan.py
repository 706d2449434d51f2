"""The units of each method, by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from petkit.executors import check_order
from petkit.plan import Planner
from petkit.pvp import Task
from petkit.settings import METHODS
from petkit.units import Unit
from tests.petkit.stage_runs import spec_of, tiny_settings

TASK = Task(
    name="t", fields=("text",), patterns=("{mask}: {text}", "{text} {mask}", "( {mask} ) {text}"), verbalizer={"n": "bad", "p": "good"}
)
ROWS = Unit("rows", "petkit.pipeline:rows_unit", {})


def planner_of(method: str, *, labeled: int = 10, **changes: Any) -> Planner:
    settings = tiny_settings(method=method, **{"repetitions": 2, **changes})
    return Planner(TASK, settings, spec_of(TASK, settings), labeled=labeled)


def units_of(planner: Planner) -> list[Unit]:
    """All units in the order of a run, weights made up."""
    phases = planner.phases(lambda generation: [0.5] * len(planner.names(generation)))
    return [ROWS, *(unit for units in phases for unit in units)]


def names_of(method: str, **options: Any) -> str:
    return " ".join(unit.name for unit in units_of(planner_of(method, **options)))


UNTRAINED = "untrained-p0 untrained-p1 untrained-p2"
G0 = "g0-p0-s0 g0-p0-s1 g0-p1-s0 g0-p1-s1 g0-p2-s0 g0-p2-s1"
BASELINES = "baseline-supervised baseline-tfidf"


def generation(g: int) -> str:
    return f"g{g}-sets {G0.replace('g0', f'g{g}')} g{g}-ensemble"


@pytest.mark.parametrize(
    ("method", "options", "wanted"),
    [
        ("pet", {}, f"rows checkpoint {UNTRAINED} {G0} g0-ensemble classifier {BASELINES}"),
        ("pet", {"adapt_steps": 5}, f"rows adapt checkpoint {UNTRAINED} {G0} g0-ensemble classifier {BASELINES}"),
        ("pet", {"baselines": False}, f"rows checkpoint {UNTRAINED} {G0} g0-ensemble classifier"),
        (
            "pet",
            {"patterns": (2, 0), "repetitions": 1},
            f"rows checkpoint untrained-p2 untrained-p0 g0-p2-s0 g0-p0-s0 g0-ensemble classifier {BASELINES}",
        ),
        ("pet", {"labeled": 0}, f"rows checkpoint {UNTRAINED} g0-ensemble classifier"),
        ("single", {}, f"rows checkpoint untrained-p0 g0-p0-s0 g0-p0-s1 g0-ensemble classifier {BASELINES}"),
        ("single", {"patterns": (1,)}, f"rows checkpoint untrained-p1 g0-p1-s0 g0-p1-s1 g0-ensemble classifier {BASELINES}"),
        ("supervised", {}, f"rows {BASELINES}"),
        ("supervised", {"adapt_steps": 5}, f"rows adapt {BASELINES}"),
        ("supervised", {"baselines": False}, "rows baseline-supervised"),
        ("tfidf", {}, "rows baseline-tfidf"),
        ("tfidf", {"adapt_steps": 5}, "rows baseline-tfidf"),
        ("tfidf", {"baselines": False}, "rows baseline-tfidf"),
        ("zero-shot", {}, f"rows checkpoint {UNTRAINED} g0-ensemble classifier {BASELINES}"),
        ("zero-shot", {"labeled": 0}, f"rows checkpoint {UNTRAINED} g0-ensemble classifier"),
        ("ipet", {"ipet__generations": 1}, f"rows checkpoint {UNTRAINED} {G0} g0-ensemble {generation(1)} classifier {BASELINES}"),
        ("ipet", {"labeled": 100}, f"rows checkpoint {UNTRAINED} {G0} g0-ensemble {generation(1)} {generation(2)} classifier {BASELINES}"),
        (
            "ipet",
            {"labeled": 0, "adapt_steps": 1, "ipet__generations": 1},
            f"rows adapt checkpoint {UNTRAINED} g0-ensemble {generation(1)} classifier",
        ),
    ],
)
def test_units_by_hand(method: str, options: dict[str, Any], wanted: str) -> None:
    assert names_of(method, **options) == wanted


def test_weights_are_asked_for_when_their_generation_comes_and_no_name_depends_on_them() -> None:
    planner = planner_of("ipet", ipet__generations=2)
    asked: list[int] = []

    def weights(generation: int) -> list[float]:
        asked.append(generation)
        return [0.25 * (generation + 1)] * 6

    phases = planner.phases(weights)
    found = [(len(asked), next(phases)) for _ in range(5)]
    assert [count for count, _ in found] == [0, 0, 1, 2, 3], "one phase at a time"
    units = {unit.name: unit for _, phase in found for unit in phase}
    assert [*units] == [unit.name for phase in planner.phases(lambda _: ()) for unit in phase]
    assert [units[f"g{g}-ensemble"].spec["weights"] for g in range(3)] == [[0.25] * 6, [0.5] * 6, [0.75] * 6]
    assert [units[f"g{g}-sets"].spec["weights"] for g in (1, 2)] == [[0.25] * 6, [0.5] * 6], "those of the generation that teaches"


@pytest.mark.parametrize(("labeled", "last"), [(10, 3), (50, 2), (100, 2), (0, 4)])
def test_the_papers_number_of_generations(labeled: int, last: int) -> None:
    assert planner_of("ipet", labeled=labeled).last == last
    assert planner_of("pet", labeled=labeled).last == 0
    assert planner_of("ipet", labeled=labeled, ipet__generations=6).last == 6


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("adapt", [0, 5])
@pytest.mark.parametrize("labeled", [10, 0])
def test_needs_are_declared_and_come_earlier(method: str, adapt: int, labeled: int) -> None:
    units = units_of(planner_of(method, adapt_steps=adapt, labeled=labeled, ipet__generations=2))
    nothing_done: Any = SimpleNamespace(done=lambda name: False)
    check_order(units, nothing_done)
    for unit in units[1:]:
        assert unit.needs[0] == "rows"
        adapts = adapt > 0 and unit.name not in ("adapt", "baseline-tfidf")
        assert ("adapt" in unit.needs) == (adapts and method != "tfidf"), unit.name
        for name in (*unit.spec.get("members", ()), *unit.spec.get("teachers", ()), unit.spec.get("teacher")):
            assert name is None or name in unit.needs


def test_members_of_a_later_generation_start_from_the_checkpoint() -> None:
    """They read the rows that were chosen for them, and nothing else of the last generation."""
    units = {unit.name: unit for unit in units_of(planner_of("ipet", ipet__generations=2))}
    for g in (1, 2):
        unit = units[f"g{g}-p1-s1"]
        assert unit.needs == ("rows", f"g{g}-sets")
        assert unit.spec["set"] == [f"g{g}-sets", f"g{g}-p1-s1.parquet"]
        assert unit.spec["model"] == units["g0-p1-s1"].spec["model"]
        assert units[f"g{g}-sets"].needs == ("rows", *(n.replace("g0", f"g{g - 1}") for n in G0.split()))
    assert units["classifier"].needs == ("rows", "g2-ensemble"), "the last generation alone"


def test_members_know_pattern_repetition_and_generation() -> None:
    units = [unit for unit in units_of(planner_of("ipet", ipet__generations=1, patterns=(2, 0))) if "repetition" in unit.spec]
    found = [(unit.name, unit.spec["generation"], unit.spec["pattern"], unit.spec["repetition"]) for unit in units]
    assert found == [(f"g{g}-p{p}-s{r}", g, p, r) for g in (0, 1) for p in (2, 0) for r in (0, 1)]


def test_models_are_kept_of_the_last_generation_or_not_at_all() -> None:
    def kept(**options: Any) -> set[str]:
        return {unit.name for unit in units_of(planner_of("ipet", ipet__generations=1, **options)) if unit.spec.get("keep")}

    assert kept() == set(G0.replace("g0", "g1").split())
    assert kept(keep_members="none") == set()


def test_the_untrained_patterns_score_the_pool_only_where_it_is_used() -> None:
    def scoring(method: str, **options: Any) -> list[bool]:
        return [unit.spec["pool"] for unit in units_of(planner_of(method, **options)) if unit.name.startswith("untrained")]

    assert scoring("pet") == [False] * 3
    assert scoring("zero-shot") == scoring("ipet", labeled=0) == [True] * 3


@pytest.mark.parametrize(("labeled", "own"), [(10, [0, 1, 2, 3]), (0, [0, 0, 1, 1])])
def test_students_know_which_teacher_is_their_own(labeled: int, own: list[int]) -> None:
    """With two patterns and two repetitions: after a zero-shot start there is one teacher per pattern."""
    units = {unit.name: unit for unit in units_of(planner_of("ipet", labeled=labeled, ipet__generations=2, patterns=(2, 0)))}
    first, second = units["g1-sets"].spec, units["g2-sets"].spec
    assert first["own"] == own
    assert len(first["teachers"]) == len(first["weights"]) == max(own) + 1
    assert second["own"] == [0, 1, 2, 3]
    assert first["students"] == ["g1-p2-s0", "g1-p2-s1", "g1-p0-s0", "g1-p0-s1"] == second["teachers"]
