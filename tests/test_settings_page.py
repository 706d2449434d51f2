"""docs/settings.md is true: it names every setting, with what is legal and its value in every preset, and its TOML files are read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from petkit.compute import default_token_budget
from petkit.errors import SettingsError
from petkit.objectives import plain_objectives
from petkit.objectives.presets import adapting_objectives
from petkit.settings import PRESETS, Settings, apply_changes, read_toml

PAGE = Path(__file__).resolve().parent.parent / "docs" / "settings.md"
if not PAGE.is_file():
    pytest.skip("these tests read the checkout", allow_module_level=True)

PARTS = ("member", "classifier", "supervised")
OF_MACHINE = {"threads", "precision", "token_budget"}

LEGAL = {
    "a whole number": (("0", "7"), ("0.5", "x")),
    "a whole number, at least 0": (("0", "7"), ("-1", "0.5")),
    "a whole number, at least 1": (("1", "7"), ("0", "1.5")),
    "a whole number, at least 1, or none": (("1", "7", "none"), ("0", "1.5")),
    "a whole number, at least 8, at most `token_budget`": (("8", "8192"), ("7", "8193")),
    "a whole number, at least `max_length`": (("256",), ("255",)),
    "whole numbers from 0, with commas between them; empty for all": (("", "0", "0,2"), ("x", "0.5")),
    "a number, at least 0": (("0", "2.5"), ("-0.1", "inf")),
    "a number above 0": (("0.1", "7"), ("0", "-1")),
    "a number above 0, or none": (("0.1", "7", "none"), ("0",)),
    "a number above 0, below 1": (("1e-9", "0.9"), ("0", "1")),
    "a number above 0, at most 1": (("1e-9", "1"), ("0", "1.1")),
    "a number above 0, at most 1, or none": (("1e-9", "1", "none"), ("0", "1.1")),
    "a number above 1": (("1.1", "7"), ("1",)),
    "a number from 0 to 1": (("0", "1"), ("-0.1", "1.1")),
    "a number from 0, below 1": (("0", "0.9"), ("-0.1", "1")),
    "an objective with a star": (plain_objectives(), ("spanbert", "t5")),
    "an objective with a star, or `spanbert`": (adapting_objectives(), ("t5",)),
}
"""What the page says is legal -> values that are, and some that are not."""


def rows() -> Iterator[tuple[str, str, str]]:
    """Name, what is legal, and the default of every setting on the page; of a setting that three parts have, three times."""
    for line in PAGE.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        name = re.fullmatch(r"`([\w.]+)`", cells[0])
        if name and len(cells) == 4:
            yield name[1], cells[2], cells[3]
        elif name and len(cells) == 6:
            yield from ((f"{part}.{name[1]}", cells[2], default) for part, default in zip(PARTS, cells[3:], strict=True))


ROWS = list(rows())
BY_NAME = {name: (legal, default) for name, legal, default in ROWS}


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


def with_value(name: str, text: str) -> Any:
    """The value that a setting has once it is given so."""
    return flat(apply_changes(Settings(), {name: "" if text == "all" else text}).as_dict())[name]


def test_every_setting_is_there_once() -> None:
    assert sorted(name for name, _, _ in ROWS) == sorted(flat(Settings().as_dict()))


@pytest.mark.parametrize("name", [name for name in BY_NAME if name not in OF_MACHINE])
def test_defaults_and_presets_are_those_of_the_code(name: str) -> None:
    first, *others = BY_NAME[name][1].split("; ")
    told = {preset: first for preset in PRESETS} | dict(other.split(" ", 1) for other in others)
    assert set(told) == set(PRESETS)
    wanted = {preset: flat(settings.as_dict())[name] for preset, settings in PRESETS.items()}
    assert {preset: with_value(name, text) for preset, text in told.items()} == wanted
    assert with_value(name, first) == flat(Settings().as_dict())[name] == wanted["large"]


def test_what_depends_on_the_machine_is_set_by_no_preset() -> None:
    for name in OF_MACHINE:
        assert len({flat(settings.as_dict())[name] for settings in PRESETS.values()}) == 1
    assert BY_NAME["token_budget"][1] == f"{default_token_budget('cpu')} on a CPU, {default_token_budget('cuda')} on a GPU"


def refusal(name: str, text: str) -> str:
    """The message about a value that is not legal."""
    with pytest.raises(SettingsError, match=re.escape(name)) as caught:
        with_value(name, text)
    return str(caught.value)


@pytest.mark.parametrize("name", [name for name, (legal, _) in BY_NAME.items() if not legal.startswith("`")])
def test_what_is_legal_is_accepted_and_nothing_else(name: str) -> None:
    good, bad = LEGAL[BY_NAME[name][0]]
    for value in good:
        with_value(name, value)
    for value in bad:
        refusal(name, value)


@pytest.mark.parametrize("name", [name for name, (legal, _) in BY_NAME.items() if legal.startswith("`")])
def test_the_words_that_are_legal_are_all_there(name: str) -> None:
    words = re.findall(r"`(.+?)`", BY_NAME[name][0])
    told = refusal(name, "other").partition("; ")[2]
    if name.endswith(".strategy") and not name.startswith("member."):
        words.remove("adapters[:WIDTH]")
    assert told.startswith("true or false is legal" if words == ["true", "false"] else f"legal are {', '.join(words)}")


def test_files_of_settings_are_read_and_say_the_same(tmp_path: Path) -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    read = []
    for block in blocks:
        (tmp_path / "settings.toml").write_text(block, "utf-8")
        read.append(apply_changes(Settings(), read_toml(str(tmp_path / "settings.toml"))))
    assert read[0] == read[1]
    assert (read[0].method, read[0].patterns, read[0].member.strategy, read[0].ipet.generations) == ("ipet", (0, 2), "lora:8", None)
