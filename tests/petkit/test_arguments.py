"""Flags in messages are told to Python callers as arguments, and to nobody else."""

from __future__ import annotations

import pytest

import petkit
from petkit.arguments import in_python, names_arguments
from petkit.errors import DataError, SettingsError


def test_the_note_is_of_the_error_and_not_of_its_message() -> None:
    with pytest.raises(SettingsError) as refused:
        petkit.train("ag_news", out="out", device="abacus")
    assert str(refused.value).startswith("--device is 'abacus'")
    assert "in Python" not in str(refused.value)
    assert refused.value.__notes__ == ["in Python --device is device"]
    with pytest.raises(SettingsError) as refused:
        petkit.evaluate("ag_news", data="data", out="out", workers=0)
    assert refused.value.__notes__ == ["in Python --workers is workers"]


def test_flags_that_are_no_argument_of_the_function_are_left_alone() -> None:
    assert in_python("--adapt, --force; a--device, --", ["device", "settings"]) == "in Python --adapt is settings={'adapt_steps': N}"
    assert in_python("nothing", ["device"]) == ""


def test_an_error_that_passes_two_functions_has_one_note() -> None:
    @names_arguments
    def inner(device: str) -> None:
        raise DataError(f"--device {device}")

    @names_arguments
    def outer(device: str) -> None:
        inner(device)

    with pytest.raises(DataError) as refused:
        outer("x")
    assert len(refused.value.__notes__) == 1


def test_functions_keep_their_names() -> None:
    assert (petkit.train.__name__, petkit.train.__qualname__, petkit.evaluate.__name__) == ("train", "train", "evaluate")
    with pytest.raises(TypeError, match=r"^train\(\) got an unexpected keyword argument 'presett'"):
        petkit.train("ag_news", out="out", presett="small")  # type: ignore[call-arg]
