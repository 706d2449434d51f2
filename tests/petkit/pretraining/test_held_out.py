"""Text held out that has nothing to measure: told, and never the end of a run that has trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from petkit.errors import DataError
from petkit.pretraining import PretrainSettings, loop, run_pretraining
from tests.builders import docstrings

SMALL: dict[str, Any] = {"vocabulary": 400, "layers": 1, "hidden": 64, "rows": 4, "length": 32, "held_out": 0.01, "steps": 3}


def rows_file(path: Path, texts: list[str]) -> str:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return str(path)


def run(sources: list[str], out: Path, told: list[str] | None = None, **changes: Any) -> dict[str, Any]:
    notices = [] if told is None else told
    return run_pretraining(sources, PretrainSettings(**{**SMALL, **changes}), str(out), on_notice=notices.append)


XLNET: dict[str, Any] = {"arch": "xlnet", "objectives": ("xlnet",)}


def test_a_task_with_nothing_to_measure_is_left_out_and_told(tmp_path: Path) -> None:
    long, tiny = rows_file(tmp_path / "long.jsonl", docstrings()[:40]), rows_file(tmp_path / "tiny.jsonl", ["short note"] * 40)
    told: list[str] = []
    options = {**XLNET, "separate": True, "mixing": "equal", "held_out": 0.03}
    figures = run([long, tiny], tmp_path / "run", told, **options)
    part = "xlnet on tiny/permutation"
    assert list(figures["held_out"]) == ["xlnet on long/permutation", "xlnet on long/permutation_accuracy"]
    assert list(figures["unmeasured"]) == [part]
    assert [notice for notice in told if notice.startswith(f"{part} has no figure")]
    assert "in rows of 32 are too short for --objective xlnet" in figures["unmeasured"][part]
    again: list[str] = []
    assert run([long, tiny], tmp_path / "run", again, **options) == figures
    assert again == told


def test_text_of_which_nothing_can_be_measured_is_refused_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "train", lambda *_, **__: pytest.fail("it trained"))
    words = rows_file(tmp_path / "words.jsonl", ["cat", "dog", "house", "tree", "run"] * 60)
    with pytest.raises(DataError, match=r"nothing can be measured: its \d+ tokens in rows of 8 are too short for --objective xlnet"):
        run([words], tmp_path / "run", **XLNET, length=8)
    assert not list((tmp_path / "run").glob("[!.]*"))


def test_stretches_of_which_no_pair_is_made_are_counted_and_told(tmp_path: Path) -> None:
    texts = [text for i in range(30) for text in (f"One two three {i}. Four five six seven.", f"Nothing but number {i}.")]
    told: list[str] = []
    pairs = {"objectives": ("sop",), "held_out": 0.2}
    figures = run([rows_file(tmp_path / "rows.jsonl", texts)], tmp_path / "run", told, **pairs)
    lost, made = figures["left_out"]["sop"]
    assert 0 < lost <= 30
    assert 0 < made <= 30
    assert told == [f"--objective sop left out {lost} of {lost + made} stretches of the text: a single sentence makes no pair"]
    whole = run([rows_file(tmp_path / "whole.jsonl", texts[::2])], tmp_path / "whole", told, **pairs, length=64, seed=3)
    assert "unmeasured" not in whole


def test_pairs_that_are_mostly_of_two_documents_are_told_and_those_of_nothing_else_refused(tmp_path: Path) -> None:
    told: list[str] = []
    two = rows_file(tmp_path / "two.jsonl", [f"One two three {i}. Four five six seven." for i in range(60)])
    pairs = {"objectives": ("nsp",), "held_out": 0.2}
    share = run([two], tmp_path / "run", told, **pairs)["random_pairs"]["nsp"]
    assert 0.6 < share < 0.75
    assert [notice for notice in told if notice.startswith(f"--objective nsp: {share:.0%} of the pairs are of two documents")]
    long = rows_file(tmp_path / "long.jsonl", [" ".join(f"Word {i} of {n}." for i in range(60)) for n in range(8)])
    assert "random_pairs" not in run([long], tmp_path / "long", told, **pairs, length=48)
    single = rows_file(tmp_path / "single.jsonl", [f"One two three four number {i}" for i in range(60)])
    with pytest.raises(DataError, match=r"--objective nsp: no pair of texts that follow each other can be made; it takes documents of two"):
        run([single], tmp_path / "b", **pairs)
    assert not list((tmp_path / "b").glob("[!.]*"))


MIXED = [f"Nothing but number {i}." for i in range(300)] + [f"One two three {i}. Four five six seven." for i in range(20)]
"""A hundredth of it, as it is drawn, holds single sentences only."""


def test_text_held_out_that_makes_no_pair_leaves_the_other_objectives_their_figures(tmp_path: Path) -> None:
    mixed, told = rows_file(tmp_path / "mixed.jsonl", MIXED), list[str]()
    figures = run([mixed], tmp_path / "run", told, objectives=("mlm", "sop"))
    assert list(figures["held_out"]) == ["mlm/mlm", "mlm/mlm_accuracy"]
    assert list(figures["unmeasured"]) == ["sop"]
    lacking = "sop has no figure for the text held out: --objective sop: no pair can be made; it takes documents of two sentences"
    assert [notice for notice in told if notice.startswith(lacking)]
    assert figures["loss"] == figures["held_out"]["mlm/mlm"]
    with pytest.raises(DataError, match="of the text held out nothing can be measured: --objective sop: no pair can be made"):
        run([mixed], tmp_path / "alone", objectives=("sop",))
    assert not list((tmp_path / "alone").glob("[!.]*"))


def test_what_keeps_pairs_from_being_made_is_named(tmp_path: Path) -> None:
    two = rows_file(tmp_path / "two.jsonl", ["One two three four. Five six seven eight nine."] * 3)
    with pytest.raises(DataError, match=r"--objective sop: no pair can be made; rows of 8 tokens are too short.*raise --length"):
        run([two], tmp_path / "a", objectives=("sop",), length=8)
    single = rows_file(tmp_path / "single.jsonl", ["One two three four five six"] * 9)
    with pytest.raises(DataError, match=r"it takes documents of two sentences at least, and each of this text is a single one"):
        run([single], tmp_path / "b", objectives=("sop",))
    one = rows_file(tmp_path / "one.jsonl", [" ".join(f"Word {i} is here and there." for i in range(500))])
    with pytest.raises(DataError, match=r"two documents at least.*here are 1 \(in the text trained on"):
        run([one], tmp_path / "c", objectives=("nsp",))
