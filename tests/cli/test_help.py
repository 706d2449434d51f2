"""Every command explains itself, at any width, without colours when piped."""

from __future__ import annotations

import re

import pytest
import typer
from typer.testing import CliRunner

from petkit.cli.app import app

COMMANDS = [command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands]
runner = CliRunner()


@pytest.mark.wheel
def test_the_commands_are_there() -> None:
    assert {"train", "predict", "label", "status", "tasks", "new", "check", "pretrain"} <= set(COMMANDS)


@pytest.mark.parametrize("width", ["100", "60"])
@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command: str, width: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", width)
    found = runner.invoke(app, [command, "--help"])
    assert found.exit_code == 0
    assert "\x1b" not in found.output
    assert max(len(line) for line in found.output.splitlines()) <= int(width)


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_is_cut_off_on_a_usual_terminal(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = runner.invoke(app, [command, "--help"]).output
    parameters = typer.main.get_command(app).commands[command].params  # type: ignore[attr-defined]
    flags = {name for parameter in parameters for name in (*parameter.opts, *parameter.secondary_opts) if name.startswith("--")}
    assert flags <= set(re.findall(r"--[a-z0-9-]+", shown))
    assert "…" not in shown
    assert "[default: (" not in shown, "what typer makes of a default that is given in words"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_says_what_it_does(command: str) -> None:
    parameters = typer.main.get_command(app).commands[command].params  # type: ignore[attr-defined]
    silent = [parameter.name for parameter in parameters if not getattr(parameter, "help", None)]
    assert silent == []


@pytest.mark.parametrize("command", ["train", "predict", "label", "status", "tasks", "check", "pretrain"])
def test_results_come_as_json_if_wanted(command: str) -> None:
    parameters = typer.main.get_command(app).commands[command].params  # type: ignore[attr-defined]
    assert "--json" in [name for parameter in parameters for name in parameter.opts]
