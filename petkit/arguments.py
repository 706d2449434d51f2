"""What flags are called in Python: messages name flags, and a note on the error says which argument each one is.

The note is of the exception (PEP 678), not of its message: tracebacks show it below the message, and the command line does not.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Collection
from typing import Final, ParamSpec, TypeVar

from petkit.errors import UserError

__all__ = ["in_python", "names_arguments"]

_P = ParamSpec("_P")
_T = TypeVar("_T")
_FLAG: Final = re.compile(r"(?<![\w-])--([a-z]+(?:-[a-z]+)*)\b")
_OTHERS: Final = {
    "adapt": ("settings", "settings={'adapt_steps': N}"),
    "column": ("columns", "columns={'FIELD': 'COLUMN'}"),
    "config": ("settings", "settings"),
    "max-length": ("settings", "settings={'max_length': N}"),
    "method": ("settings", "settings={'method': NAME}"),
    "no-quotes": ("quotes", "quotes=False"),
    "seed": ("settings", "settings={'seed': N}"),
    "set": ("settings", "settings={NAME: VALUE}"),
}
"""Flags that are called otherwise in Python: the argument, and how it is written."""


def in_python(message: str, arguments: Collection[str]) -> str:
    """What the flags of a message are called as arguments of a function; empty if none of them is one.

    >>> in_python("--allow-overlap or --column text=review, but not --force", ["allow_overlap", "columns"])
    "in Python --allow-overlap is allow_overlap, --column is columns={'FIELD': 'COLUMN'}"
    """
    found = {}
    for flag in _FLAG.findall(message):
        argument, written = _OTHERS.get(flag, (flag.replace("-", "_"),) * 2)
        if argument in arguments:
            found[flag] = written
    return f"in Python {', '.join(f'--{flag} is {written}' for flag, written in found.items())}" if found else ""


def names_arguments(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """The function, whose UserErrors carry a note on the flags that they name."""
    arguments = inspect.signature(function).parameters

    @functools.wraps(function)
    def noting(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return function(*args, **kwargs)
        except UserError as error:
            note = in_python(str(error), arguments)
            if note and note not in getattr(error, "__notes__", ()):
                error.add_note(note)
            raise

    return noting
