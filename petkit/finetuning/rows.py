"""Rows to fine-tune on: one kind of value for each kind of task, kept as JSON lines in the run folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from petkit.data import normalise
from petkit.errors import DataError
from petkit.files import write_text

__all__ = ["LabelledText", "Question", "SourceText", "TaggedSentence", "load_rows", "refuse_overlap", "refuse_unlabelled", "save_rows"]

R = TypeVar("R", "LabelledText", "TaggedSentence", "Question", "SourceText")


@dataclass(frozen=True)
class LabelledText:
    """One text, or a pair of them, with its label (None: not known)."""

    id: str
    texts: Sequence[str]
    label: str | None

    @property
    def content(self) -> Sequence[str]:
        """What must not be in the training rows and in the test rows."""
        return self.texts

    @property
    def labelled(self) -> bool:
        """Whether it says what is right."""
        return self.label is not None


@dataclass(frozen=True)
class TaggedSentence:
    """W words with a tag each (None: not known)."""

    id: str
    tokens: Sequence[str]
    tags: Sequence[str] | None

    @property
    def content(self) -> Sequence[str]:
        """See ``LabelledText``."""
        return self.tokens

    @property
    def labelled(self) -> bool:
        """See ``LabelledText``."""
        return self.tags is not None


@dataclass(frozen=True)
class Question:
    """A question about a context. ``answers`` are spans of it that begin at ``starts``; none: it has no answer; None: not known."""

    id: str
    context: str
    question: str
    answers: Sequence[str] | None
    starts: Sequence[int]

    @property
    def content(self) -> Sequence[str]:
        """See ``LabelledText``."""
        return (self.question, self.context)

    @property
    def labelled(self) -> bool:
        """See ``LabelledText``."""
        return self.answers is not None


@dataclass(frozen=True)
class SourceText:
    """A text and what may be written for it: the first of ``targets`` is learned, all of them count in a test (None: not known)."""

    id: str
    source: str
    targets: Sequence[str] | None

    @property
    def content(self) -> Sequence[str]:
        """See ``LabelledText``."""
        return (self.source,)

    @property
    def labelled(self) -> bool:
        """See ``LabelledText``."""
        return bool(self.targets)


def save_rows(path: Path, rows: Sequence[LabelledText | TaggedSentence | Question | SourceText]) -> None:
    """One JSON object per row."""
    write_text(path, as_lines(asdict(row) for row in rows))


def as_lines(records: Iterable[Any]) -> str:
    """JSON lines."""
    return "".join(json.dumps(record, ensure_ascii=False, sort_keys=True) + "\n" for record in records)


def load_rows(path: Path, kind: Callable[..., R]) -> list[R]:
    """What ``save_rows`` wrote; none if there is no file."""
    if not path.exists():
        return []
    return [kind(**json.loads(line)) for line in path.read_text("utf-8").split("\n") if line]


def refuse_unlabelled(development: Sequence[R]) -> None:
    """DataError if no development row says what is right: then they are of no use."""
    if not any(row.labelled for row in development):
        raise DataError(f"--development takes labelled rows, and none of its {len(development)} says what is right")


_CALLED: Final = {"train": "training", "development": "development", "test": "test"}


def refuse_overlap(rows: Sequence[R], others: Sequence[R], *, parts: tuple[str, str], allow: bool) -> list[str]:
    """The ids of rows that equal one of the others (blanks and case do not count); DataError if there are any, unless allowed.

    ``parts``: what both are: train, development or test.
    """
    known = {_key(row): row.id for row in others}
    found = {row.id: known[key] for row in rows if (key := _key(row)) in known}
    if found and not allow:
        named = ", ".join(f"{name!r} is {other!r}" for name, other in list(found.items())[:5])
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        raise DataError(
            f"{_CALLED[parts[0]]} rows must not be {_CALLED[parts[1]]} rows (blanks and case do not count), and {len(found)} are: "
            f"{named}{more}; remove them from --{parts[0]} or --{parts[1]}, or give --allow-overlap, which the report will say"
        )
    return list(found)


def _key(row: LabelledText | TaggedSentence | Question | SourceText) -> tuple[str, ...]:
    return tuple(normalise(text) for text in row.content)
