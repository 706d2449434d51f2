"""Flags under the names that they had before: they work as ever, and help does not show them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from typer.core import TyperCommand

__all__ = ["EncodeCommand", "FinetuneCommand", "NewCommand"]

Spelling = Callable[[str], list[str]]
"""The value of an old flag -> how that is said now."""


def called(name: str) -> Spelling:
    """A flag that only has another name now."""
    return lambda value: [f"{name}={value}"]


def _written_anew(args: Sequence[str], old: Mapping[str, Spelling]) -> Iterator[str]:
    """The arguments, with ``--old VALUE`` and ``--old=VALUE`` as they are said now.

    >>> list(_written_anew(["a", "--text", "body", "--label=y", "--text"], {"--text": called("--x"), "--label": called("--y")}))
    ['a', '--x=body', '--y=y', '--text']
    """
    rest = iter(args)
    for arg in rest:
        name, sign, value = arg.partition("=")
        if name not in old:
            yield arg
        elif (following := value if sign else next(rest, None)) is not None:
            yield from old[name](following)
        else:
            yield arg


def _renaming(old: Mapping[str, Spelling]) -> type[TyperCommand]:
    """A command with old flags, which are written anew before anything is parsed."""

    class Renaming(TyperCommand):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            return list(super().parse_args(ctx, list(_written_anew(args, old))))

    return Renaming


def _split(value: str) -> list[str]:
    return [f"--text-column={name.strip()}" for name in value.split(",")]


def _by_role(value: str) -> list[str]:
    role, _, column = value.partition("=")
    return [f"--{role.strip()}-column={column.strip()}"]


NewCommand: Final = _renaming({"--text": called("--text-column"), "--label": called("--label-column")})
FinetuneCommand: Final = _renaming({"--fields": _split})
"""``--fields A,B``."""
EncodeCommand: Final = _renaming({"--pair": called("--pair-column"), "--column": _by_role})
"""``--column text=COLUMN``."""
