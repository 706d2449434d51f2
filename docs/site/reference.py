"""The reference: commands from their own help, Python names from their docstrings. Nothing is written by hand, so nothing can drift."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import textwrap
from typing import Any

import typer

from petkit.cli.app import app

__all__ = ["MODULES", "command_page", "commands", "module_page"]

MODULES = (
    "petkit",
    "petkit.data",
    "petkit.metrics",
    "petkit.objectives",
    "petkit.pretraining",
    "petkit.finetuning",
    "petkit.representations",
    "petkit.executors",
    "petkit.errors",
)
"""The modules that users call. Their `__all__` says which names."""


def commands() -> dict[str, Any]:
    """Name -> command, in the order of `petkit --help`."""
    return dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def command_page() -> str:
    """All commands in Markdown: usage, arguments, options with their defaults."""
    group = typer.main.get_command(app)
    parts = ["# Commands", f"{_prose(group.help)} This page is what `petkit COMMAND --help` says.", _options(group, "petkit")]
    for name, command in commands().items():
        context = command.context_class(command, info_name=f"petkit {name}")
        usage = " ".join([f"petkit {name}", *command.collect_usage_pieces(context)])
        parts += [f"## petkit {name}", _prose(command.help), f"```text\n{usage}\n```", _options(command, f"petkit {name}")]
    return "\n\n".join(part for part in parts if part) + "\n"


def _options(command: Any, name: str) -> str:
    context = command.context_class(command, info_name=name)
    records = [parameter.get_help_record(context) for parameter in command.get_params(context)]
    rows = [f"| `{_cell(names)}` | {_prose(_cell(text))} |" for names, text in filter(None, records)]
    return "\n".join(["| | |", "|---|---|", *rows])


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|")


def _prose(text: str | None) -> str:
    """Help text with flags set as code: `--` would become a dash."""
    return re.sub(r"(?<![\w`-])(--[a-z][\w-]*)", r"`\1`", inspect.cleandoc(text or "")).replace("[", "\\[").replace("*", "\\*")


def module_page(name: str) -> str:
    """A module's public names in reStructuredText, for autodoc. What petkit takes from petkit.errors stands there only."""
    module = importlib.import_module(name)
    elsewhere = set(importlib.import_module("petkit.errors").__all__) if name == "petkit" else set()
    names = [one for one in module.__all__ if one not in elsewhere]
    blocks = [_directive(name, one, getattr(module, one)) for one in sorted(names, key=lambda one: _kind(getattr(module, one)))]
    head = f"{name}\n{'=' * len(name)}\n\n.. automodule:: {name}\n"
    more = "\nExceptions are in :doc:`reference-petkit-errors`.\n" if elsewhere else ""
    return head + more + "\n" + "\n".join(blocks)


def _kind(value: object) -> int:
    return 0 if inspect.isroutine(value) else 1 if inspect.isclass(value) else 2


def _directive(module: str, name: str, value: object) -> str:
    directive = ("autofunction", "autoclass", "py:data")[_kind(value)]
    if directive == "py:data":
        return f".. py:data:: {module}.{name}\n\n{textwrap.indent(_words_on(name, value), '   ')}\n"
    if inspect.isclass(value) and issubclass(value, BaseException):
        return f".. autoexception:: {module}.{name}\n   :show-inheritance:\n"
    return f".. {directive}:: {module}.{name}\n" + ("   :members:\n" if directive == "autoclass" else "")


def _words_on(name: str, value: object) -> str:
    """The docstring below a constant, from the module that defines it: an object has none of its own."""
    from sphinx.pycode import ModuleAnalyzer

    for home in sorted(one for one in sys.modules if one.startswith("petkit.")):
        if getattr(sys.modules[home], name, None) is value:
            lines = ModuleAnalyzer.for_module(home).find_attr_docs().get(("", name))
            if lines:
                return "\n".join(lines)
    return f"A {type(value).__name__}."
