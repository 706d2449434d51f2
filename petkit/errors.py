"""The exception tree.

    PetkitError
    └── UserError            the user's mistake; the command line exits with 2 and prints no traceback
        ├── DataError        a file, a column, a row, a label
        ├── TaskError        a task file, a pattern, a verbalizer
        ├── SettingsError    a flag or a setting
        ├── ModelError       a checkpoint or a tokenizer
        └── RunError         a run folder: locked, made with other settings
            └── petkit.files.DamagedFileError    a file of a run that is cut off or not what its name says

Anything else that escapes is a failure of petkit's own and keeps its traceback (exit code 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

__all__ = [
    "DataError",
    "ModelError",
    "PetkitError",
    "RunError",
    "SettingsError",
    "TaskError",
    "UserError",
    "raise_problems",
]


class PetkitError(Exception):
    """Base of every exception that petkit raises on purpose."""


class UserError(PetkitError):
    """A mistake that the user can mend: what is wrong, where, and what is legal; one by one in ``problems`` if there are several."""

    problems: tuple[str, ...] = ()


class DataError(UserError):
    """A file, column, row or label that cannot be used."""


class TaskError(UserError):
    """A task file, pattern or verbalizer that cannot be used."""


class SettingsError(UserError):
    """A setting outside its legal range, or settings that contradict each other."""


class ModelError(UserError):
    """A checkpoint or tokenizer that cannot be used."""


class RunError(UserError):
    """A run folder that is locked, damaged, or made with other settings or data."""


def raise_problems(kind: type[UserError], title: str, problems: Sequence[str]) -> None:
    """Raise ``kind`` with every problem in one message; do nothing if there is none.

    >>> raise_problems(TaskError, "task 'x'", [])
    >>> raise_problems(TaskError, "task 'x'", ["no pattern", "no label"])
    Traceback (most recent call last):
    ...
    petkit.errors.TaskError: task 'x': 2 problems
      - no pattern
      - no label
    """
    if not problems:
        return
    _raise(kind, title, problems)


def _raise(kind: type[UserError], title: str, problems: Sequence[str]) -> NoReturn:
    lines = "\n".join(f"  - {problem}" for problem in problems)
    error = kind(f"{title}: {problems[0]}" if len(problems) == 1 else f"{title}: {len(problems)} problems\n{lines}")
    error.problems = tuple(problems)
    raise error
