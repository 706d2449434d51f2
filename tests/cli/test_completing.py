"""What the tab key offers: as shells ask, for tasks, methods, presets and settings, without torch."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from petkit.cli.app import app
from petkit.cli.completing import setting_names, study_methods
from petkit.loading import ready_made
from petkit.settings import Settings, apply_changes

PROGRAM = """
import atexit, sys
atexit.register(lambda: print(sorted({"torch", "transformers", "pyarrow"} & set(sys.modules)), file=sys.stderr))
from petkit.cli import main
main()
"""


def offered(words: str, shell: str = "bash") -> list[str]:
    """What is offered for the last word."""
    env = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1), "_TYPER_COMPLETE_ARGS": words}
    env |= {"_PETKIT_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    found = CliRunner().invoke(app, [], prog_name="petkit", env=env)
    assert found.exception is None or isinstance(found.exception, SystemExit)
    return found.stdout.split("\n")[:-1]


@pytest.mark.wheel
def test_the_program_answers_a_shell_without_torch() -> None:
    env = {**os.environ, "COMP_WORDS": "petkit evaluate sst2 --set member.st", "COMP_CWORD": "4", "_PETKIT_COMPLETE": "complete_bash"}
    found = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout.split() == ["member.steps=", "member.strategy="]
    assert found.stderr == "[]\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("petkit ev", ["evaluate"]),
        ("petkit train sst", ["sst2"]),
        ("petkit evaluate sst2 ag_news_", ["ag_news_pair"]),
        ("petkit tasks mnl", ["mnli"]),
        ("petkit check xstance_d", ["xstance_de"]),
        ("petkit train sst2 --method i", ["ipet"]),
        ("petkit evaluate sst2 --methods pet,s", ["pet,single", "pet,supervised", "pet,setfit"]),
        ("petkit train sst2 --preset s", ["superglue", "small"]),
        ("petkit train sst2 --adapt --dev", ["--device"]),
        ("petkit train sst2 --device c", ["cpu", "cuda"]),
        ("petkit objectives electr", ["electra"]),
        ("petkit train ./mine.p", []),
        ("petkit train ", sorted(ready_made())),
        ("petkit new ", []),
    ],
)
def test_what_is_offered(words: str, expected: list[str]) -> None:
    found = [line for line in offered(words) if line]
    assert (sorted(found) if len(expected) > 5 else found) == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script_and_its_answers(shell: str) -> None:
    script = CliRunner().invoke(app, [], prog_name="petkit", env={"_PETKIT_COMPLETE": f"source_{shell}"}).stdout
    assert f"_PETKIT_COMPLETE=complete_{shell}" in script
    assert re.findall(r"superglue|small|paper", "\n".join(offered("petkit train sst2 --preset s", shell))) == ["superglue", "small"]


def test_every_setting_that_is_offered_is_legal() -> None:
    settings = Settings()
    values = settings.as_dict()
    for name in setting_names(""):
        value = values
        for part in name.rstrip("=").split("."):
            value = value[part]
        assert apply_changes(settings, {name.rstrip("="): value}) == settings
    assert len(setting_names("")) > 40


def test_a_method_is_not_offered_twice() -> None:
    assert study_methods("pet,p") == []
    assert study_methods("tfidf,p") == ["tfidf,pet"]


@pytest.mark.parametrize("command", ["train", "evaluate", "new", "finetune", "encode"])
def test_a_command_without_arguments_says_what_it_needs(command: str) -> None:
    found = CliRunner().invoke(app, [command])
    assert found.exit_code == 2
    assert "Missing" in found.output
