"""Where a run begins: positions that were not trained start as copies of those that were, and a checkpoint's own head is found."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer

from petkit.errors import SettingsError
from petkit.objectives import preset
from petkit.pretraining import PretrainSettings, repeat_positions, run_pretraining, texts
from petkit.pretraining.architectures import new_model
from petkit.pretraining.learners import learner_for
from petkit.pretraining.tokenizers import new_tokenizer
from tests.builders import docstrings, tiny_masked_lm
from tests.petkit.pretraining.learners.tiny import OF_ARCHITECTURE, tiny, vocabulary, words


def tables(model: Any, name: str) -> list[torch.Tensor]:
    return [module.weight for path, module in model.named_modules() if path.endswith(name)]


def made(arch: str) -> Any:
    row = preset(OF_ARCHITECTURE[arch][0])
    return new_model(arch, words(), layers=2, hidden=32, heads=2, max_positions=40, dropout=0.0, seed=1, objectives=[row])


@pytest.mark.parametrize(
    ("arch", "name", "first", "count"),
    [
        ("bert", "position_embeddings", 0, 1),
        ("albert", "position_embeddings", 0, 1),
        ("distilbert", "position_embeddings", 0, 1),
        ("electra", "position_embeddings", 0, 1),
        ("roberta", "position_embeddings", vocabulary().pad_id + 1, 1),
        ("bart", "embed_positions", 2, 2),
        ("gpt2", "wpe", 0, 1),
    ],
)
def test_longer_rows_start_from_the_positions_that_are_trained(arch: str, name: str, first: int, count: int) -> None:
    model = made(arch)
    before = [table.detach().clone() for table in tables(model, name)]
    repeat_positions(model, 16)
    after = tables(model, name)
    assert len(after) == count
    for old, new in zip(before, after, strict=True):
        assert len(new) == first + 40
        assert torch.equal(new[: first + 16], old[: first + 16])  # what is trained, and what stands before it
        assert torch.equal(new[first + 16 : first + 32], old[first : first + 16])
        assert torch.equal(new[first + 32 :], old[first : first + 8])


@pytest.mark.parametrize("arch", ["deberta-v2", "modernbert", "t5", "xlnet"])
def test_a_model_without_learned_positions_stays_as_it_is(arch: str) -> None:
    model = made(arch)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    repeat_positions(model, 16)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_boundary_head_is_found_where_the_checkpoint_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a name that is no path yet, too: ``~`` here, as ``builtin``."""
    model = tiny("bert", "spanbert")
    saved = learner_for(preset("spanbert"), model, vocabulary(), seed=1)
    saved.save(tmp_path / "model")
    monkeypatch.setenv("HOME", str(tmp_path))
    opened, other = (learner_for(preset("spanbert"), model, vocabulary(), seed=2, init=init) for init in ("~/model", None))
    kept, found, new = (dict(learner.boundary.state_dict()) for learner in (saved, opened, other))
    assert all(torch.equal(found[name], kept[name]) for name in kept)
    assert not torch.equal(new["first.weight"], kept["first.weight"])


SMALL: dict[str, Any] = {"layers": 1, "hidden": 64, "rows": 4, "length": 24, "held_out": 0.1, "steps": 2, "vocabulary": 500}


@pytest.fixture
def source(tmp_path: Path) -> str:
    path = tmp_path / "text.txt"
    path.write_text("\n\n".join(docstrings()[:40]))
    return str(path)


def saved(folder: Path, kind: Any, size: int = 500, **more: Any) -> str:
    new_tokenizer(kind, lambda: docstrings()[:40], size=size, **more).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize(("arch", "objective"), [("bart", "t5"), ("t5", "bart"), ("bart", "span-collapse")])
def test_objectives_of_the_other_text_to_text_model_get_their_tokens(arch: str, objective: str, source: str, tmp_path: Path) -> None:
    settings = PretrainSettings(**SMALL, arch=arch, objectives=(objective,))
    assert run_pretraining([source], settings, str(tmp_path / "run"))["held_out"]["denoising"] > 0


def test_a_given_tokenizer_that_lacks_tokens_is_refused_before_it_reads_text(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "split_tokens", lambda *_, **__: pytest.fail("it read the text"))
    bart, t5 = saved(tmp_path / "bart", "bytelevel"), saved(tmp_path / "t5", "unigram")
    for arch, objective, path, named in (
        ("bart", "t5", bart, r"--objective t5 needs 1 or more sentinels \(<extra_id_0>, ...; it has 0\)"),
        ("t5", "bart", t5, "--objective bart needs a bos token and a mask token"),
    ):
        settings = PretrainSettings(**SMALL, arch=arch, objectives=(objective,), tokenizer=path)
        with pytest.raises(SettingsError, match=rf"the tokenizer of {path} does not do \(--tokenizer names another\): {named}"):
            run_pretraining([source], settings, str(tmp_path / f"run {arch}"))
        assert not list((tmp_path / f"run {arch}").glob("[!.]*"))


def test_a_tokenizer_larger_than_the_checkpoint_is_refused(source: str, tmp_path: Path) -> None:
    init = str(tiny_masked_lm("bert", tmp_path / "init"))
    large = AutoTokenizer.from_pretrained(init)
    large.add_tokens([f"extra{i}" for i in range(1000)])
    large.save_pretrained(tmp_path / "large")
    settings = PretrainSettings(**SMALL, init=init, tokenizer=str(tmp_path / "large"))
    with pytest.raises(SettingsError, match=rf"it has \d+ tokens, and {init} embeddings for \d+"):
        run_pretraining([source], settings, str(tmp_path / "run"))


def test_a_tokenizer_with_other_numbers_than_the_checkpoints_is_told(source: str, tmp_path: Path) -> None:
    init, told = str(tiny_masked_lm("bert", tmp_path / "init")), list[str]()
    small = saved(tmp_path / "small", "wordpiece", size=200)
    for name, tokenizer in (("other", small), ("own", init)):
        settings = PretrainSettings(**SMALL, init=init, tokenizer=tokenizer)
        run_pretraining([source], settings, str(tmp_path / name), on_notice=told.append)
    (notice,) = told
    assert f"tokens of --tokenizer {small} are other ones in {init} or unknown there" in notice


@pytest.mark.parametrize(
    ("whole", "objective", "told"),
    [
        (AutoModelForMaskedLM, "mlm", None),
        (AutoModel, "mlm", r"lacks \d+ weights of the head that --objective trains \(cls\.predictions\."),
        (AutoModelForMaskedLM, "nsp", r"cls\.seq_relationship\."),
    ],
)
def test_a_head_that_the_checkpoint_lacks_is_told(whole: Any, objective: str, told: str | None, source: str, tmp_path: Path) -> None:
    init, notices = tiny_masked_lm("bert", tmp_path / "init"), list[str]()
    whole.from_pretrained(init).save_pretrained(init)
    settings = PretrainSettings(**SMALL, init=str(init), objectives=(objective,))
    run_pretraining([source], settings, str(tmp_path / "run"), on_notice=notices.append)
    found = [notice for notice in notices if "start at random" in notice]
    assert len(found) == (told is not None)
    assert told is None or re.search(told, found[0])
    again = list[str]()
    settings = PretrainSettings(**SMALL, init=str(tmp_path / "run" / "model"), objectives=(objective,))
    run_pretraining([source], settings, str(tmp_path / "again"), on_notice=again.append)
    assert not [notice for notice in again if "start at random" in notice]
