"""Patterns, verbalizers and tasks: what they give, and what they refuse."""

from __future__ import annotations

import functools
import inspect
import pickle
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from petkit.errors import TaskError
from petkit.pvp import MASK, PVP, SEGMENT_BREAK, Part, Pattern, Task, Text, Verbalizer

WORDS = {"n": "bad", "p": "good"}


def make(**changes: Any) -> Task:
    return Task(**{"name": "t", "fields": ("text",), "patterns": ("{mask}: {text}",), "verbalizer": WORDS, **changes})


def problems(**changes: Any) -> str:
    with pytest.raises(TaskError) as caught:
        make(**changes)
    return str(caught.value)


def reversed_words(row: Mapping[str, str]) -> Sequence[Part]:
    return [MASK, ": ", Text(" ".join(reversed(row["text"].split())))]


def test_parts_of_a_string() -> None:
    parts = Pattern("A {a} ( {mask} ) || {b}!").parts({"a": "x", "b": "y"})
    assert parts == ("A ", Text("x"), " ( ", MASK, " )", SEGMENT_BREAK, Text("y"), "!")


def test_doubled_braces_are_literal_and_braces_in_the_text_stay() -> None:
    parts = Pattern("{{x}} {mask} {text}").parts({"text": "{mask} || {text}"})
    literals = "".join(part for part in parts if isinstance(part, str))
    assert literals.split() == ["{x}"]
    assert parts[-1] == Text("{mask} || {text}")
    assert sum(part is MASK for part in parts) == 1


def test_transforms_apply_in_order() -> None:
    parts = Pattern("{text:drop_final_punctuation, lowercase_first}? {mask}").parts({"text": "It rained... "})
    assert parts[0] == Text("it rained")


@pytest.mark.parametrize(
    "source", ["{mask} {text", "{mask} text}", "{mask} {}", "{mask} {0}", "{mask} {text!r}", "{mask} {a.b}", "{mask} {a[0]}"]
)
def test_broken_braces_name_the_pattern(source: str) -> None:
    with pytest.raises(TaskError) as caught:
        Pattern(source)
    assert repr(source) in str(caught.value)


def test_an_unknown_placeholder_names_itself_and_the_legal_ones() -> None:
    text = problems(fields=("title", "body"), patterns=("{mask} {titel}",))
    assert "{titel}" in text
    assert "mask, title, body" in text


def test_a_missing_placeholder_names_the_pattern_and_the_fields() -> None:
    assert "'only {mask}' uses no field; legal are text" in problems(patterns=("only {mask}",))
    assert "'only {text}' has 0 masks" in problems(patterns=("only {text}",))


def test_masks_and_segment_breaks_are_counted() -> None:
    text = problems(patterns=("{mask} {mask} {text} || a || b",))
    assert "2 masks" in text
    assert "2 segment breaks" in text


def test_an_unknown_transform_names_the_legal_ones() -> None:
    text = problems(patterns=("{mask} {text:upper}",))
    assert "'upper'" in text
    assert "drop_final_punctuation, lowercase_first" in text


def test_every_problem_at_once() -> None:
    text = problems(
        fields=("text", "mask"),
        patterns=("{mask} {body}", "{text}", "{mask} {text", 5),
        verbalizer={"a": "x", "b": "x", "c": (), "d": " y"},
        classifier_inputs=("{nothing}",),
    )
    expected = [
        "field 'mask'",
        "{body}",
        "'{mask} {text'",
        "5 is a int",
        "0 masks",
        "share the word 'x'",
        "'c' has no word",
        "' y'",
        "'{nothing}'",
    ]
    assert [part for part in expected if part not in text] == []
    assert text.splitlines()[0] == f"task 't': {len(text.splitlines()) - 1} problems"


@pytest.mark.parametrize(
    ("verbalizer", "part"),
    [
        ({"a": "x", "b": "x"}, "labels 'a' and 'b' share the word 'x'"),
        ({"a": ("x", "x"), "b": "y"}, "label 'a' has the word 'x' twice"),
        ({"a": (), "b": "y"}, "label 'a' has no word"),
        ({"a": "", "b": "y"}, "label 'a' has the word ''"),
        ({"a": 3, "b": "y"}, "label 'a' has the word 3"),
        ({0: "x", 1: "y"}, "label 0 is a int; write '0'"),
        ({"a": "x"}, "it needs at least two"),
        ({}, "0 labels"),
        (None, "0 labels"),
    ],
)
def test_verbalizers_that_cannot_work(verbalizer: Any, part: str) -> None:
    assert part in problems(verbalizer=verbalizer)


def test_fields_and_patterns_may_be_one_string() -> None:
    task = make(fields="text", patterns="{mask}: {text}")
    assert task.fields == ("text",)
    assert [pvp.pattern.source for pvp in task.pvps] == ["{mask}: {text}"]
    assert len(make(patterns=reversed_words).pvps) == 1
    assert make(patterns=Pattern("{mask}: {text}")) == make()
    assert make(classifier_inputs="{text}").classifier_inputs == ("{text}",)


def test_nothing_to_work_with() -> None:
    assert "patterns is empty" in problems(patterns=())
    assert "fields is empty" in problems(fields=())
    assert "holds a name twice" in problems(fields=("text", "text"))
    text = problems(fields=("my text", "mask", 3))
    assert [name for name in ("'my text'", "'mask'", "3") if f"field {name} is no legal name" not in text] == []


def test_pvps_bring_their_own_words_but_share_the_labels() -> None:
    own = PVP(Pattern("{text} {mask}"), Verbalizer({"n": "no", "p": "yes"}))
    assert make(patterns=("{mask}: {text}", own)).pvps[1].verbalizer.words == (("no",), ("yes",))
    assert "has the labels ('p', 'n')" in problems(patterns=("{mask}: {text}", PVP(own.pattern, Verbalizer({"p": "yes", "n": "no"}))))


def test_several_words_per_label() -> None:
    task = make(verbalizer={"n": ["bad", "awful"], "p": "good"})
    assert task.pvps[0].verbalizer.words == (("bad", "awful"), ("good",))


def test_a_function_pattern_gives_its_parts_and_its_name() -> None:
    pattern = make(patterns=(reversed_words,)).pvps[0].pattern
    assert pattern.name == "reversed_words"
    assert pattern.parts({"text": "a b"}) == (MASK, ": ", Text("b a"))


def test_a_function_that_raises_is_named() -> None:
    pattern, line = Pattern(lambda row: [row["nothing"]]), inspect.currentframe().f_lineno  # type: ignore[union-attr]
    with pytest.raises(TaskError, match=rf"'<lambda>': raised KeyError: 'nothing', at {re.escape(__file__)}, line {line}"):
        pattern.parts({"text": "x"})


@pytest.mark.parametrize(
    ("parts", "said"),
    [(["x"], "0 masks"), ([MASK, MASK], "2 masks"), ([MASK, 3], "returned 3"), ([MASK, SEGMENT_BREAK, SEGMENT_BREAK], "2 segment breaks")],
)
def test_a_function_that_returns_something_else_is_told(parts: list[Any], said: str) -> None:
    with pytest.raises(TaskError, match=said):
        Pattern(lambda _row: parts).parts({})


def test_a_function_that_returns_nothing_is_a_task_error() -> None:
    with pytest.raises(TaskError, match="raised TypeError"):
        Pattern(lambda _row: None).parts({})  # type: ignore[arg-type,return-value]


def test_a_callable_without_a_file_is_named_too() -> None:
    with pytest.raises(TaskError, match=r"'function': raised TypeError: .*") as caught:
        Pattern(functools.partial(reversed_words, 1)).parts({})  # type: ignore[call-arg]
    assert "line" not in str(caught.value)


def test_a_module_level_function_pickles_without_an_origin() -> None:
    task = make(patterns=(reversed_words, "{mask} {text}"))
    again = pickle.loads(pickle.dumps(task))
    assert again.pvps[0].pattern.parts({"text": "a b"}) == (MASK, ": ", Text("b a"))
    assert again.labels == task.labels


@pytest.mark.parametrize(
    ("fields", "inputs", "texts"),
    [
        (("a",), None, ("1",)),
        (("a", "b"), None, ("1", "2")),
        (("a", "b", "c"), None, ("1 2 3",)),
        (("a", "b"), ("{b}: {a}",), ("2: 1",)),
    ],
)
def test_classifier_texts(fields: tuple[str, ...], inputs: Any, texts: tuple[str, ...]) -> None:
    task = make(fields=fields, patterns=("{mask} {a}",), classifier_inputs=inputs)
    assert task.classifier_texts({"a": "1", "b": "2", "c": "3"}) == texts


@pytest.mark.parametrize("template", ["{body}", "{text.nothing}", "{text", "{0}", "{text:q}"])
def test_broken_classifier_inputs(template: str) -> None:
    assert f"classifier input {template!r} is no template over text" in problems(classifier_inputs=(template,))


def test_too_many_classifier_inputs() -> None:
    assert "has 3 templates" in problems(classifier_inputs=("{text}", "{text}", "{text}"))


def test_equal_tasks_have_equal_hashes() -> None:
    task = make(patterns=("{mask}: {text}", PVP(Pattern("{text} {mask}"), Verbalizer({"n": ["bad", "poor"], "p": "good"}))))
    again = make(patterns=("{mask}: {text}", PVP(Pattern("{text} {mask}"), Verbalizer({"n": ["bad", "poor"], "p": "good"}))))
    assert task == again
    assert len({task, again, make()}) == 2
    turned = Verbalizer({"p": "good", "n": "bad"})
    assert turned == Verbalizer({"n": "bad", "p": "good"})
    assert hash(turned) == hash(Verbalizer({"n": "bad", "p": "good"}))
