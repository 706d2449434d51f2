"""Options that several commands share, and how `name=value` flags are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from petkit.cli.completing import devices, presets, setting_names, task_names
from petkit.errors import SettingsError, raise_problems

__all__ = [
    "ADAPT_STEPS",
    "AdaptCommand",
    "AsJson",
    "ChangedSettings",
    "ColumnMap",
    "Deterministic",
    "Device",
    "DropBlank",
    "Encoding",
    "Format",
    "IdColumn",
    "KeepBlank",
    "ModelName",
    "OutFile",
    "Preset",
    "Quotes",
    "RunFolderPath",
    "TaskName",
    "TextArguments",
    "Threads",
    "TrustRemoteCode",
    "pairs",
]

ADAPT_STEPS = 500
"""What ``--adapt`` means without a number."""

TaskName = Annotated[
    str,
    typer.Argument(metavar="TASK", help="A ready-made name (see petkit tasks) or a path to a .py file.", autocompletion=task_names),
]
RunFolderPath = Annotated[Path, typer.Argument(metavar="DIR", help="The folder that petkit train wrote (--out).")]
ModelName = Annotated[str, typer.Option("--model", metavar="MODEL", help="builtin, a local folder, or a name on the hub.")]
Device = Annotated[str, typer.Option("--device", metavar="D", help="auto, cpu, cuda, cuda:N or mps.", autocompletion=devices)]
Preset = Annotated[
    str, typer.Option(metavar="P", help="auto (by the model's size), small, large, paper or superglue.", autocompletion=presets)
]
ChangedSettings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, e.g. member.steps=200. Repeatable.", autocompletion=setting_names),
]
Deterministic = Annotated[
    bool, typer.Option("--deterministic", help="By kernels that give the same numbers every time; slower, and of use on a GPU only.")
]
Threads = Annotated[
    int | None,
    typer.Option("--threads", metavar="N", help="Of the CPU; default: the run's, else all, 8 at most; or OMP_NUM_THREADS."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
ColumnMap = Annotated[
    list[str] | None,
    typer.Option("--column", metavar="FIELD=COL", help="The column that holds a field (or label), if named otherwise. Repeatable."),
]
IdColumn = Annotated[str | None, typer.Option("--id-column", metavar="COLUMN", help="A column of unique row ids.")]
Encoding = Annotated[str | None, typer.Option("--encoding", metavar="NAME", help="Of text files; default UTF-8.")]
DropBlank = Annotated[bool, typer.Option("--drop-blank", help="Leave out rows with a blank text, and say how many.")]
KeepBlank = Annotated[bool, typer.Option("--keep-blank", help="Take rows with a blank text as they are.")]
Quotes = Annotated[bool, typer.Option("--quotes/--no-quotes", help="Whether quotes enclose cells in CSV and TSV.")]
TrustRemoteCode = Annotated[bool, typer.Option("--trust-remote-code", help="Run Python code that the checkpoint brings along.")]
OutFile = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to write; default: standard output.")]
Format = Annotated[str | None, typer.Option("--format", metavar="jsonl|csv", help="Default: by the ending of --out, else jsonl.")]
TextArguments = Annotated[
    list[str] | None,
    typer.Option("--text", metavar="T", help="A text to label instead of a file. Repeatable; a row of two fields takes two."),
]


def pairs(values: Sequence[str] | None, flag: str) -> dict[str, str]:
    """`name=value` flags as a dict. Raises SettingsError that names every one that is none, and every name given twice.

    >>> pairs(["member.steps=20", "note=a=b"], "--set")
    {'member.steps': '20', 'note': 'a=b'}
    """
    split = [value.partition("=") for value in values or ()]
    names = [name.strip() for name, _, _ in split]
    problems = [f"{name!r} is no NAME=VALUE" for name, sign, _ in split if not sign or not name.strip()]
    problems += [f"{name!r} is given twice" for name in dict.fromkeys(names) if name and names.count(name) > 1]
    raise_problems(SettingsError, flag, problems)
    return {name: value.strip() for name, (_, _, value) in zip(names, split, strict=True)}


class AdaptCommand(TyperCommand):
    """A command whose ``--adapt`` may stand without its number."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Write the number that a bare ``--adapt`` means."""
        following = [*args, ""][1:]
        bare = [arg == "--adapt" and not after.lstrip("-").isdigit() for arg, after in zip(args, following, strict=True)]
        filled = [f"--adapt={ADAPT_STEPS}" if is_bare else arg for arg, is_bare in zip(args, bare, strict=True)]
        return list(super().parse_args(ctx, filled))
