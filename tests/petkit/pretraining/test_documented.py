"""The examples of docs/pretraining.md run as they stand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import XLNetConfig, XLNetLMHeadModel

from petkit.objectives import stream
from tests.petkit.pretraining.learners.tiny import vocabulary, words

LONG = ("garden", "letter", "winter", "father", "morning", "village", "carriage", "question", "sister", "answer", "weather", "evening") * 2
PAGE = Path(__file__).resolve().parents[3] / "docs" / "pretraining.md"


def examples(section: str) -> dict[str, Any]:
    """The names that the Python blocks of a section define."""
    if not PAGE.is_file():
        pytest.skip("this test reads the checkout")
    text = re.split(r"^## ", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    part = next(part for part in text if part.startswith(f"{section}\n"))
    names: dict[str, Any] = {"__name__": "documented"}
    for block in re.findall(r"^```python\n(.*?)^```$", part, re.MULTILINE | re.DOTALL):
        exec(compile(block, str(PAGE), "exec", dont_inherit=True), names)
    return names


def text_file(folder: Path) -> Path:
    """A text of more than 200 rows of 32 pieces."""
    lines = [f"The {one} of the {other} was {one}er than any {other}ing before." for one in LONG for other in LONG]
    (folder / "text.txt").write_text("\n\n".join(lines), "utf-8")
    return folder / "text.txt"


def test_the_model_without_transformers_and_its_probe(tmp_path: Path) -> None:
    names = examples("A language model without transformers")
    rows = stream(0, "text").choice(vocabulary().ordinary, size=(40, 12))
    learner = names["learn_both_ways"](rows, words(), steps=2)
    before = {name: value.clone() for name, value in learner.model.state_dict().items()}
    probe = names["Probe"](learner.model, 2)
    ids = torch.from_numpy(rows)
    shares = names["fit"](probe, ids, ids % 2, steps=3)
    assert len(shares) == 3
    assert sum(shares) == pytest.approx(1)
    assert max(shares) > 1 / 3
    assert all(torch.equal(before[name], value) for name, value in learner.model.state_dict().items())
    shares = names["which_layer_knows"](text_file(tmp_path), steps=2)
    assert {name: len(of) for name, of in shares.items()} == {"this one": 3, "the next one": 3}


def test_a_long_text_in_segments(tmp_path: Path) -> None:
    names = examples("Long texts in segments")
    model = XLNetLMHeadModel(XLNetConfig(vocab_size=len(words()), d_model=16, n_layer=2, n_head=2, d_inner=24))
    ids = stream(0, "text").choice(vocabulary().ordinary, size=200)
    learner = names["learn_in_segments"](model, ids, words(), rows=4, length=13, steps=6)
    assert learner.state()["states"].shape == (2, 24, 4, 16)  # 6 batches, 4 a time of the text: the second of the second time
    learner = names["learn_a_file"](text_file(tmp_path), rows=4, length=13, steps=2)
    assert learner.state()["states"].shape == (1, 24, 4, 64)
