"""Whole tiny runs with each strategy: members, their ensemble, iPET, the classifier, the report; killed, they end the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers

from petkit.backbones import load_masked_lm
from petkit.errors import SettingsError
from petkit.losses import mix_scores, soft_labels
from petkit.prechecks import check_strategies
from petkit.predicting import Ensemble
from petkit.rowfiles import load_scores
from petkit.settings import Settings, apply_changes
from tests.builders import tiny_masked_lm
from tests.tiny_train import checkpoint_every_step, observing, snapshot, tiny_data, tiny_model, tiny_run

STRATEGIES = ("last:1", "gradual", "adapters:4", "lora:2")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"))


def settings_of(how: str) -> dict[str, Any]:
    """The classifiers take what they may."""
    plain = "last:1" if how.startswith("adapters") else how
    return {"patterns": "0", "member.strategy": how, "classifier.strategy": plain, "supervised.strategy": plain}


@pytest.mark.slow
@pytest.mark.parametrize("how", STRATEGIES)
def test_a_whole_run_with_generations(how: str, model: Path, tmp_path: Path) -> None:
    if how.startswith("lora"):
        pytest.importorskip("peft")
    done = tiny_run(tmp_path / "run", model, settings=settings_of(how))
    units = {"g0-p0-s0", "g1-p0-s0", "classifier", "baseline-supervised"}
    assert set(done.report["trained"]) == units
    for unit in units:
        found = done.report["trained"][unit]
        assert found["trained_share"] == pytest.approx(found["trained_parameters"] / found["parameters"], abs=1e-6)
        assert (found["trained_share"] < 1) == (how != "gradual")
    share = done.report["trained"]["g0-p0-s0"]["trained_share"]
    assert f"member ({how}) {share:.2%}" in (tmp_path / "run" / "report.md").read_text("utf-8")
    ensemble = Ensemble.load(tmp_path / "run")
    pool = tiny_data()["unlabeled"]
    scores = load_scores(tmp_path / "run" / "stages" / "g1-p0-s0" / "pool.parquet")
    np.testing.assert_allclose(ensemble.predict_proba(pool), soft_labels(mix_scores([scores], [1.0]), temperature=1.0), atol=1e-5)
    served: Any = transformers.pipeline("text-classification", model=str(tmp_path / "run" / "classifier"), device="cpu")
    assert {row["label"] for row in served(list(pool.fields["text"][:4]), truncation=True)} <= {"negative", "positive"}


@pytest.mark.slow
def test_only_members_with_adapters_keep_more_than_a_plain_model(model: Path, tmp_path: Path) -> None:
    tiny_run(tmp_path / "run", model, "pet", settings=settings_of("adapters:4"))
    member, classifier = (tmp_path / "run" / place / "config.json" for place in ("stages/g0-p0-s0/model", "classifier"))
    assert json.loads(member.read_text("utf-8"))["model_type"] == "petkit.adapted"
    assert json.loads(classifier.read_text("utf-8"))["model_type"] == "bert"
    assert any(".adapter." in name for name, _ in load_masked_lm(str(member.parent)).named_parameters())


class Stop(BaseException):
    """The kill."""


@pytest.mark.slow
@pytest.mark.parametrize("how", STRATEGIES)
def test_a_run_that_is_stopped_in_training_ends_with_the_files_of_an_undisturbed_one(how: str, model: Path, tmp_path: Path) -> None:
    if how.startswith("lora"):
        pytest.importorskip("peft")
    seen = []

    def stop_once(point: str) -> None:
        if point == "renamed training.safetensors":
            seen.append(point)
            if len(seen) % 2:
                raise Stop

    options: dict[str, Any] = {"settings": {**settings_of(how), "member.steps": 4, "classifier.steps": 4}}
    with checkpoint_every_step():
        tiny_run(tmp_path / "whole", model, "pet", **options)
        for _ in range(20):
            try:
                with observing(stop_once):
                    tiny_run(tmp_path / "stopped", model, "pet", **options)
                break
            except Stop:
                continue
    assert len(seen) > 3
    assert snapshot(tmp_path / "stopped") == snapshot(tmp_path / "whole")


def changed(**changes: str) -> Settings:
    return apply_changes(Settings(), {name.replace("__", "."): value for name, value in changes.items()})


def test_layers_that_are_not_there_are_refused_before_a_folder_is_made(model: Path, tmp_path: Path) -> None:
    check_strategies(changed(member__strategy="last:1", classifier__strategy="gradual"), str(model), trust_remote_code=False)
    with pytest.raises(SettingsError, match=r"classifier.strategy is last:2; model .* has 1 layers, so last:0 to last:1 are legal"):
        tiny_run(tmp_path / "run", model, settings={"classifier.strategy": "last:2"})
    assert not (tmp_path / "run").exists()


def test_alberts_shared_layers_count_once(tmp_path: Path) -> None:
    albert = tiny_masked_lm("albert", tmp_path, num_hidden_layers=4, num_hidden_groups=2)
    check_strategies(changed(member__strategy="last:2"), str(albert), trust_remote_code=False)
    with pytest.raises(SettingsError, match="has 2 layers"):
        check_strategies(changed(member__strategy="last:3"), str(albert), trust_remote_code=False)


def test_a_missing_package_is_told_before_a_folder_is_made(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("petkit.strategies.lora.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"petkit\[lora\]"):
        tiny_run(tmp_path / "run", model, settings={"member.strategy": "lora"})
    assert not (tmp_path / "run").exists()
