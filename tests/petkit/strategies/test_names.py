"""Strategies as settings write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petkit.errors import SettingsError
from petkit.strategies import FORMS, Strategy, strategy


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("full", Strategy()),
        ("gradual", Strategy("gradual")),
        ("last:0", Strategy("last", 0)),
        ("last:12", Strategy("last", 12)),
        ("adapters", Strategy("adapters", 64)),
        ("adapters:8", Strategy("adapters", 8)),
        ("lora", Strategy("lora", 8)),
        ("lora:16", Strategy("lora", 16)),
    ],
)
def test_each_form_is_read(text: str, wanted: Strategy) -> None:
    assert strategy(text) == wanted


@pytest.mark.parametrize(
    "text", ["", "Full", "last", "last:", "last:-1", "last:x", "adapters:0", "lora:", "lora:08", "full:2", "gradual:1", "lora:8 "]
)
def test_anything_else_is_refused_with_the_legal_forms(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        strategy(text)
    assert repr(text) in str(caught.value)
    assert all(form in str(caught.value) for form in FORMS)


@given(st.sampled_from(["last", "adapters", "lora"]), st.integers(1, 9999))
def test_what_is_written_is_read_again(kind: str, number: int) -> None:
    assert str(strategy(f"{kind}:{number}")) == f"{kind}:{number}"
    assert strategy(str(Strategy("gradual"))) == Strategy("gradual")
