"""A task as JSON and back: nothing that decides a run's numbers is lost, and a changed file is noticed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from petkit.errors import TaskError
from petkit.loading import load_task, ready_made
from petkit.pvp import PVP, Pattern, Task, Verbalizer
from petkit.taskspec import task_digest, task_from_spec, task_spec

OWN = Task(
    name="own",
    fields=("a", "b"),
    patterns=[
        PVP(Pattern("{a:lowercase_first} {{x}} || {mask}, {b}"), Verbalizer({"n": "No", "p": ("Yes", "right as rain")})),
        PVP(Pattern("{mask} {a} {b}"), Verbalizer({"n": "false", "p": "true"})),
    ],
    label_column="gold",
    classifier_inputs=("{b}", "so {a}"),
    language="de",
)

FUNCTION = """
from petkit import Task
from petkit.pvp import MASK, Text

def shout(row):
    return ["{loud}", Text(row["text"]), MASK]

task = Task(name="f", fields=("text",), patterns=(shout, "{{mask}} {{text}}"), verbalizer={{"n": "bad", "p": "good"}})
"""


def through_json(task: Task) -> Task:
    return task_from_spec(json.loads(json.dumps(task_spec(task))))


def test_a_task_comes_back_whole() -> None:
    again = through_json(OWN)
    assert task_spec(again) == task_spec(OWN)
    row = {"a": "One", "b": "Two"}
    for ours, theirs in zip(OWN.pvps, again.pvps, strict=True):
        assert ours.pattern.parts(row) == theirs.pattern.parts(row)
        assert (ours.verbalizer.labels, ours.verbalizer.words) == (theirs.verbalizer.labels, theirs.verbalizer.words)
    for name in ("name", "fields", "labels", "label_column", "classifier_inputs", "language"):
        assert getattr(again, name) == getattr(OWN, name)


@pytest.mark.parametrize("name", sorted(ready_made()))
def test_every_ready_made_task_comes_back(name: str) -> None:
    task = load_task(name)
    again = through_json(task)
    assert again.labels == task.labels
    assert [pvp.verbalizer.words for pvp in again.pvps] == [pvp.verbalizer.words for pvp in task.pvps]
    assert [pvp.pattern.name for pvp in again.pvps] == [pvp.pattern.name for pvp in task.pvps]


def test_the_order_of_the_labels_survives_sorted_json() -> None:
    task = Task(name="t", fields=("x",), patterns="{mask} {x}", verbalizer={"z": "zero", "a": "one"})
    assert task_from_spec(json.loads(json.dumps(task_spec(task), sort_keys=True))).labels == ("z", "a")


def test_a_change_of_pattern_or_word_changes_the_specification() -> None:
    specs = {
        json.dumps(task_spec(Task(name="t", fields=("x",), patterns=pattern, verbalizer={"a": "one", "b": word})))
        for pattern in ("{mask} {x}", "{mask}: {x}")
        for word in ("two", "three", ("two", "three"))
    }
    assert len(specs) == 6


def test_the_digest_is_of_what_decides_results() -> None:
    same = {"fields": ("x",), "patterns": "{mask} {x}", "verbalizer": {"a": "one", "b": "two"}}
    others: list[dict[str, Any]] = [
        {"verbalizer": {"a": "one", "b": "three"}},
        {"verbalizer": {"b": "two", "a": "one"}},
        {"patterns": "{mask} {x:lowercase_first}"},
        {"classifier_inputs": "so {x}"},
        {"fields": ("x", "y")},
    ]
    found = [task_digest(Task(**{"name": "t", **same, **change})) for change in [{}, *others]]
    assert len(set(found)) == len(found)
    assert task_digest(Task(name="other", label_column="gold", source="a paper", **same)) == found[0]


def test_the_digest_of_pattern_functions_is_of_their_file_wherever_it_lies(tmp_path: Path) -> None:
    found = []
    for name, loud in (("one", "HEY"), ("two", "HEY"), ("three", "HO")):
        (tmp_path / f"{name}.py").write_text(FUNCTION.format(loud=loud), encoding="utf-8")
        found.append(task_digest(load_task(tmp_path / f"{name}.py")))
    assert found[0] == found[1] != found[2]


def test_functions_come_back_through_their_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(FUNCTION.format(loud="HEY "), encoding="utf-8")
    again = through_json(load_task(str(file)))
    assert again.pvps[0].pattern.parts({"text": "x"})[0] == "HEY "


def test_a_changed_file_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(FUNCTION.format(loud="HEY "), encoding="utf-8")
    spec = task_spec(load_task(str(file)))
    file.write_text(FUNCTION.format(loud="HO "), encoding="utf-8")
    with pytest.raises(TaskError, match=r"mine\.py has changed since the run began; use a new folder \(--out\)"):
        task_from_spec(spec)


def test_functions_without_a_file_are_refused_by_name() -> None:
    def nameless(row: object) -> list[str]:
        return []

    task = Task(name="t", fields=("x",), patterns=(nameless,), verbalizer={"a": "one", "b": "two"})
    with pytest.raises(TaskError, match=r"'t' has pattern functions \(nameless\); put it into a \.py file"):
        task_spec(task)
