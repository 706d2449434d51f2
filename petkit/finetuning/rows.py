"""Rows to fine-tune on: one kind of value for each kind of task, kept as JSON lines in the run folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from petkit.data import normalise
from petkit.errors import DataError
from petkit.files import write_text

__all__ = ["LabelledText", "Question", "SourceText", "TaggedSentence", "load_rows", "refuse_overlap", "save_rows"]

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


def refuse_overlap(train: Sequence[R], test: Sequence[R], *, allow: bool) -> list[str]:
    """The ids of training rows that equal a test row (blanks and case do not count); DataError if there are any, unless allowed."""
    tested = {_key(row): row.id for row in test}
    found = {row.id: tested[key] for row in train if (key := _key(row)) in tested}
    if found and not allow:
        named = ", ".join(f"{name!r} is {other!r}" for name, other in list(found.items())[:5])
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        raise DataError(
            f"training rows must not be test rows (blanks and case do not count), and {len(found)} are: {named}{more}; remove them from "
            "--train or --test, or give --allow-overlap, which the report will say"
        )
    return list(found)


def _key(row: LabelledText | TaggedSentence | Question | SourceText) -> tuple[str, ...]:
    return tuple(normalise(text) for text in row.content)
