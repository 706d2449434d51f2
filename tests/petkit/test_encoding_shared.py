"""One encoder for many readers: which share it, and that a run tokenises a text once for all its patterns and members."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from tokenizers import Encoding

from petkit import Ensemble
from petkit.encoding import Encoder, tokenizing
from petkit.encoding.shared import Encoders, units_encoder
from petkit.pvp import Pattern
from petkit.rows import Rows
from tests.builders import TOKENIZERS, tokenizer
from tests.tiny_runs import tiny_ensemble
from tests.tiny_train import rows, tiny_model, tiny_run

TEXTS = tuple(f"begin one{i} two{i} three{i} end" for i in range(30))


def test_a_row_is_no_longer_than_the_tokenizer_allows() -> None:
    words = deepcopy(tokenizer("wordpiece"))
    words.model_max_length = 40
    assert [Encoders().get(words, max_length=most).max_length for most in (256, 20)] == [40, 20]


@pytest.fixture
def tokenised(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each string was given to a tokenizer."""
    found: Counter[str] = Counter()
    real = tokenizing.encoded

    def counting(backend: Any, texts: Sequence[str], **how: Any) -> Iterator[Encoding]:
        found.update(texts)
        return real(backend, texts, **how)

    monkeypatch.setattr(tokenizing, "encoded", counting)
    return found


def test_equal_tokenizers_share_one_whatever_folder_they_come_from() -> None:
    encoders = Encoders(kept=3)
    first = encoders.get(deepcopy(tokenizer("wordpiece")), max_length=64)
    assert encoders.get(deepcopy(tokenizer("wordpiece")), max_length=64) is first
    others = [encoders.get(tokenizer("wordpiece"), max_length=32), encoders.get(tokenizer("bytelevel"), max_length=64)]
    assert len({id(encoder) for encoder in (first, *others)}) == 3
    assert encoders.get(tokenizer("wordpiece"), max_length=64) is first
    assert encoders.get(tokenizer("wordpiece"), max_length=64, joining="parts") is not first


def test_a_tokenizer_that_would_encode_otherwise_has_its_own() -> None:
    encoders, changed = Encoders(kept=9), deepcopy(tokenizer("wordpiece"))
    first = encoders.get(changed, max_length=64)
    changed.add_tokens(["zzyzx"])
    assert encoders.get(changed, max_length=64) is not first
    assert encoders.get(changed, max_length=64).vocab_size == first.vocab_size + 1


def test_only_the_last_ones_are_kept() -> None:
    encoders = Encoders(kept=1)
    first = encoders.get(tokenizer("wordpiece"), max_length=64)
    encoders.get(tokenizer("wordpiece"), max_length=32)
    assert encoders.get(tokenizer("wordpiece"), max_length=64) is not first


def test_threads_have_their_own() -> None:
    found: list[Encoder] = []

    def ask() -> None:
        found.append(units_encoder(tokenizer("wordpiece"), max_length=64, joining="string"))

    for thread in [Thread(target=ask) for _ in range(2)]:
        thread.start()
        thread.join()
    ask()
    ask()
    assert found[0] is not found[1]
    assert found[2] is found[3]


@pytest.mark.parametrize("name", TOKENIZERS)
def test_what_was_read_before_changes_nothing(name: str) -> None:
    fresh, used = (Encoder(tokenizer(name), max_length=24) for _ in range(2))
    few = Rows(tuple("abc"), {"text": ("A short one.", " ".join(TEXTS), "End")})
    used.clozes(Rows(tuple("ab"), {"text": ("End", " ".join(TEXTS) * 30)}), Pattern("{text} ( {mask} )"), filler="good")
    for pattern in (Pattern("{text} It is {mask}."), Pattern("[ {mask} ] {text}")):
        one, other = (encoder.clozes(few, pattern, masks=2, filler="good") for encoder in (fresh, used))
        assert all(np.array_equal(one.row(i), other.row(i)) for i in range(3))
        assert np.array_equal(one.slots, other.slots)


def test_an_ensemble_tokenises_each_text_once_for_all_members(tmp_path: Path, tokenised: Counter[str]) -> None:
    ensemble = Ensemble.load(tiny_ensemble(tmp_path), device="cpu")
    assert len(ensemble.members) == 2
    ensemble.predict(list(TEXTS))
    assert {tokenised[f" one{i} two{i} three{i}"] for i in range(30)} == {1}


def test_a_run_tokenises_each_text_once_for_all_patterns_and_members(tmp_path: Path, tokenised: Counter[str]) -> None:
    """The original tokenises all of them again for every model."""
    tiny_run(tmp_path / "run", tiny_model(tmp_path / "model"), "pet", unlabeled=rows("pool", TEXTS), settings={"repetitions": 2})
    middles = [f" one{i} two{i} three{i}" for i in range(30)]
    assert {tokenised[middle] for middle in middles} == {1}
