"""SetFit: what is said where its package is missing or does not fit, and a cell where it is there."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from petkit.errors import SettingsError
from petkit.evaluation import setfit_method
from tests.builders import sentences
from tests.petkit.evaluation.tiny_study import tiny_data, tiny_study, write
from tests.tiny_train import tiny_model


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setfit_method, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"needs setfit and accelerate, not installed here: install petkit\[compare\]"):
        setfit_method.check_setfit()


def test_a_package_that_does_not_go_with_transformers_is_no_failure_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
            if name == "setfit":
                raise ImportError("cannot import name 'gone' from 'transformers'")
            return None

    monkeypatch.setattr(setfit_method, "find_spec", lambda name: ModuleSpec(name, None))
    monkeypatch.delitem(sys.modules, "setfit", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(SettingsError, match=r"cannot be imported with transformers .*cannot import name 'gone'.*leave setfit out"):
        setfit_method.check_setfit()


def test_of_a_single_label_that_one_is_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setfit_method, "check_setfit", lambda: None)  # nothing is trained, so the package is not needed
    data, model = tiny_data(tmp_path / "data"), tiny_model(tmp_path / "model")
    write(data / "one" / "1" / "train.jsonl", sentences()[60:63], every=1)
    write(data / "one" / "1" / "dev.jsonl", sentences()[63:66])
    options: dict[str, Any] = {"methods": ("setfit",), "splits": "given:one", "shots": None, "measure_development_gain": True}
    found = tiny_study(tmp_path / "out", data, model, **options)
    (cell,) = found.report["cells"]
    assert set(pq.read_table(found.path / cell["predictions"])["predicted"].to_pylist()) == {"positive"}
    assert cell["counts"]["trained_steps"] == 0


@pytest.mark.slow
@pytest.mark.skipif(find_spec("setfit") is None, reason="setfit is not installed (extra compare)")
def test_a_cell_of_setfit(tmp_path: Path) -> None:
    options: dict[str, Any] = {"methods": ("setfit",), "shots": (2,), "splits": 1, "measure_development_gain": True, "seeds": 2}
    data, model = tiny_data(tmp_path / "data"), tiny_model(tmp_path / "model")
    one, other = (tiny_study(tmp_path / name, data, model, **options) for name in ("one", "other"))
    (first, second) = one.report["cells"]
    assert first["counts"] == {"trained_steps": 10, "trained_tokens": None, "forward_tokens": None}
    found = [[pq.read_table(study.path / c["predictions"])["p:positive"].to_pylist() for c in (first, second)] for study in (one, other)]
    assert found[0][0] != found[0][1]  # the seed counts
    assert found[0] == found[1]
