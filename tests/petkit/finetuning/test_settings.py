"""Settings: recipes, what each kind takes, every mistake at once."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from petkit.errors import SettingsError
from petkit.finetuning import KINDS, RECIPES, FinetuneSettings
from petkit.finetuning.settings import settings_from


def test_the_recipe_of_mrpc_is_the_published_one() -> None:
    found = FinetuneSettings().resolved("classify")
    assert (found.epochs, found.batch, found.learning_rate, found.max_length) == (3, 32, 2e-5, 128)
    loop = found.training(3668)
    assert loop.steps == 344  # three epochs of 3668 pairs in batches of 32, one after the other: 343.9
    assert (loop.schedule, loop.warmup) == ("linear", 0.1)
    assert loop.rate(34) == 1.0
    assert loop.rate(17) == pytest.approx(18 / 35)
    assert loop.rate(343) == pytest.approx(1 / (344 - 35))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_ready_with_its_recipe(kind: str) -> None:
    found = FinetuneSettings().resolved(kind)
    assert all(getattr(found, name) == value for name, value in RECIPES[kind].items())
    assert settings_from(json.loads(json.dumps(asdict(found)))) == found
    assert found.resolved(kind) == found


def test_steps_take_the_place_of_epochs() -> None:
    found = FinetuneSettings(steps=7).resolved("tag")
    assert (found.epochs, found.updates(1000)) == (None, 7)
    assert FinetuneSettings(epochs=0.5, batch=8).resolved("tag").updates(33) == 3
    assert FinetuneSettings(epochs=1.1, batch=1).updates(50) == 55, "1.1 * 50 is a little more in binary"
    with pytest.raises(SettingsError, match="epochs and steps are both given"):
        FinetuneSettings(steps=7, epochs=1.0).resolved("tag")


def test_settings_of_another_kind_are_refused() -> None:
    with pytest.raises(SettingsError) as caught:
        FinetuneSettings(stride=4, beams=2, n_best=3, fields=("a",)).resolved("classify")
    message = str(caught.value)
    assert "stride is a setting of tag and answer, not of classify" in message
    assert "beams is a setting of generate, not of classify" in message
    assert "n_best is a setting of answer, not of classify" in message
    assert "3 problems" in message


def test_only_what_is_there_can_be_chosen() -> None:
    with pytest.raises(SettingsError, match="strategy is 'adaptor'; legal are full, last:N, gradual, adapters"):
        FinetuneSettings(strategy="adaptor").resolved("classify")
    with pytest.raises(SettingsError, match="'guess'; legal are classify, tag, answer, generate"):
        FinetuneSettings().resolved("guess")


@pytest.mark.parametrize(
    ("kind", "wrong", "parts"),
    [
        ("classify", {"fields": ("a", "b", "c")}, ["fields (--text-column) is ['a', 'b', 'c']; one column or two are legal"]),
        ("classify", {"fields": ("a", "a")}, ["each column is named once"]),
        ("classify", {"fields": ("",)}, ["each column is named once"]),
        ("classify", {"epochs": 0.0, "batch": 0}, ["epochs is 0.0", "batch is 0"]),
        ("classify", {"accumulate": 5}, ["accumulate is 5; a divisor of batch (32) is legal"]),
        ("classify", {"accumulate": 0}, ["accumulate is 0; at least 1"]),
        ("classify", {"learning_rate": -1.0, "schedule": "up", "precision": "int3"}, ["learning_rate is -1.0", "'up'", "'int3'"]),
        ("classify", {"max_length": 2, "threads": 0, "token_budget": 0}, ["max_length is 2", "threads is 0", "token_budget is 0"]),
        ("tag", {"stride": 200}, ["stride is 200; 0 or more and less than max_length (128) is legal"]),
        ("answer", {"n_best": 0, "longest_answer": 0}, ["n_best is 0", "longest_answer is 0"]),
        ("answer", {"null_threshold": float("inf")}, ["null_threshold is inf"]),
        ("answer", {"null_threshold": 1.5}, ["null_threshold is 1.5, and every question has an answer; it goes with --no-answer"]),
        ("generate", {"target": "answer", "fields": ("passage",)}, ["target answer reads columns called question, context and answers"]),
        ("generate", {"target": "answer", "label_column": "a"}, ["--text-column and --label-column"]),
        ("generate", {"target": "song", "beams": 0, "longest_target": 0}, ["target is 'song'", "beams is 0", "longest_target is 0"]),
        ("generate", {"fields": ()}, ["fields (--text-column) is empty"]),
        ("generate", {"steps": 0}, ["steps is 0"]),
    ],
)
def test_every_mistake_is_named(kind: str, wrong: dict[str, object], parts: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        FinetuneSettings(**wrong).resolved(kind)  # type: ignore[arg-type]
    for part in parts:
        assert part in str(caught.value)
