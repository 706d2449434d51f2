"""`petkit objectives`, and the list in the documents, which is the same table."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from petkit.cli.app import app
from petkit.cli.objectives import shown
from petkit.objectives import PRESETS, plain_objectives

runner = CliRunner()
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "objectives.md"
NAMES = list(PRESETS)  # as imported: what another test registers is not in the documents


def petkit(*arguments: str, code: int = 0) -> str:
    found = runner.invoke(app, ["objectives", *arguments], env={"COLUMNS": "200"})
    assert found.exit_code == code, found.output
    return found.stdout if code == 0 else found.stderr


def test_all_objectives_are_listed_with_what_they_do_their_numbers_and_source() -> None:
    found = json.loads(petkit("--json"))["objectives"]
    assert [row["name"] for row in found] == list(PRESETS)
    assert all(row["summary"] and "20" in row["source"] for row in found)
    by_name = {row["name"]: row for row in found}
    assert by_name["t5"]["numbers"] == {"rate": 0.15, "mean": 3.0}
    assert by_name["xlnet"]["numbers"] == {"lengths": "1/n, 1 to 5", "alpha": 6, "beta": 1, "blocks": 2}
    assert by_name["electra"]["numbers"]["discriminator_weight"] == 50.0
    assert {row["name"] for row in found if row["plain"]} == set(plain_objectives())


def test_the_table_has_every_name_and_stars_those_that_can_be_trained_with() -> None:
    found = petkit()
    for name in PRESETS:
        assert re.search(rf"^ ?{re.escape(name)}( \*)? ", found, re.MULTILINE), name
    assert "whole-word *" in found
    assert "t5 *" not in found
    assert "petkit pretrain takes all, ernie with --units; member.objective those with a *" in found


def test_one_alone_and_an_unknown_one() -> None:
    assert json.loads(petkit("nsp", "--json"))["summary"].endswith("1 is random")
    assert petkit("span", code=2).startswith("Error: objective 'span' is unknown; legal are mlm, ")


@pytest.mark.skipif(not DOCUMENT.is_file(), reason="reads the checkout")
def test_the_list_in_the_documents_is_the_table() -> None:
    text = DOCUMENT.read_text("utf-8")
    for name in NAMES:
        star = " *" if name in plain_objectives() else ""
        row = PRESETS[name]
        assert f"| `{name}`{star} | {row.summary} | {shown(row)} | {row.source} |\n" in text
    assert len(re.findall(r"^\| `", text, re.MULTILINE)) == len(NAMES)
