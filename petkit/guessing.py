"""Which columns of a file are the texts and which is the label: a guess from names and values, for ``petkit.scaffold``."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from petkit.choices import did_you_mean
from petkit.data.hints import like_data
from petkit.data.problems import listed
from petkit.data.values import as_text, without_point
from petkit.errors import DataError
from petkit.wording import shortened

__all__ = ["MAX_LABELS", "Doubt", "Guess", "guess_columns", "header_doubt", "look_alikes"]

MAX_LABELS: Final = 100
"""A column with more values than that is taken for a label column only if it is named."""

_LABEL_NAMES: Final = (
    *("label", "labels", "class", "classes", "category", "target", "y", "gold", "label_name", "class_name", "label_text"),
    *("topic", "sentiment", "intent", "polarity", "stars", "star", "rating", "tag", "type"),
)
"""Usual names of a label column, the surest first."""

_PAIRS: Final = (
    *({"premise", "hypothesis"}, {"question", "passage"}, {"question", "context"}, {"question", "answer"}, {"question", "comment"}),
    *({"title", "body"}, {"title", "content"}, {"title", "description"}, {"title", "text"}, {"title", "abstract"}),
    *({"headline", "body"}, {"headline", "text"}, {"subject", "body"}, {"subject", "message"}, {"query", "document"}),
)
"""Usual names of two texts that belong together."""

_TEXT_NAMES: Final = frozenset(
    {"text", "texts", "sentence", "review", "review_text", "content", "message", "id", "idx"}.union(
        {"tweet", "tweet_text", "comment", "comments", "comment_text", "utterance", "utterances", "post", "email", "feedback"}, *_PAIRS
    )
)
"""Usual names of other columns."""

_QUESTION_MARKS: Final = ("?", "\uff1f", "\u061f")
"""Also those of Chinese and Arabic."""


_HELD: Final[Mapping[type, str]] = {
    **{type(None): "nothing", str: "empty strings", bool: "truth values", int: "numbers", float: "numbers", Decimal: "numbers"},
    **{list: "lists", dict: "objects", bytes: "bytes"},
}
"""What a column without text holds, by the type of a value."""


@dataclass(frozen=True)
class Guess:
    """The columns of a file by what they hold.

    ``labels`` are the values of the column ``label`` with how many rows have each, in natural order;
    ``rows`` were looked at, ``unlabeled`` of them without a label. ``latin``: whether most letters of the texts are.
    ``maybe_row``: why the line that names the columns may be a row all the same; "" where nothing says so.
    """

    texts: tuple[str, ...]
    label: str
    labels: tuple[tuple[str, int], ...]
    rows: int
    unlabeled: int
    latin: bool = True
    maybe_row: str = ""


@dataclass(frozen=True)
class Doubt:
    """Why the first line of a table looks like a row. ``strong``: it is one in all likelihood, not only by one sign."""

    why: str
    strong: bool


def guess_columns(rows: Sequence[Mapping[str, Any]], *, texts: Sequence[str] = (), label: str | None = None) -> Guess:
    """Text columns: the longest on average, with its partner if the two names are a usual pair. Label: by name, else few values.

    Args:
        rows: the head of a file.
        texts: the text columns, if they are known. label: the label column, if it is known.

    Raises DataError if a named column is missing, or if there is nothing to guess from.

    >>> rows = [{"id": 1, "review": "I liked it a lot.", "stars": 5}, {"id": 2, "review": "Never again.", "stars": 1}]
    >>> guess_columns(rows)
    Guess(texts=('review',), label='stars', labels=(('1', 1), ('5', 1)), rows=2, unlabeled=0, latin=True, maybe_row='')
    """
    columns = _columns(rows)
    _check_named(columns, texts, label)
    known = label if label is not None else _label_by_name(columns, taken=texts)
    chosen = tuple(texts) or _text_columns(rows, [name for name in columns if name != known])
    found = known if known is not None else _label_by_values(rows, [name for name in columns if name not in chosen])
    counts = _label_counts(rows, found, named=label is not None)
    unlabeled = len(rows) - sum(count for _, count in counts)
    return Guess(chosen, found, counts, len(rows), unlabeled, _is_latin(str(row.get(name) or "")[:200] for row in rows for name in chosen))


def _is_latin(texts: Iterable[str]) -> bool:
    """Whether at least half of the letters are Latin ones.

    >>> _is_latin(["Gr\u00fc\u00dfe, 12"]), _is_latin(["\u8033\u673a\u4e0d\u9519 ok"]), _is_latin(["12"])
    (True, False, True)
    """
    letters = Counter(sign for text in texts for sign in text if sign.isalpha())
    latin = sum(count for sign, count in letters.items() if unicodedata.name(sign, "").startswith("LATIN"))
    return 2 * latin >= letters.total()


def header_doubt(guess: Guess, columns: Sequence[str]) -> Doubt | None:
    """Why the first line of a table, which should name its ``columns``, looks like a row; None if it does not.

    The label of a first row is most likely that of other rows too. A usual name shows that the line is no row. Surveys name a column by
    its question.

    >>> labels = (("bad", 2), ("good", 3))
    >>> header_doubt(Guess(("A fine day it was",), "good", labels, 5, 0), ["A fine day it was", "good"])
    Doubt(why="'good' would be the name of the label column, and is one of its labels, and 'A fine day it was' that of a text", strong=True)
    >>> header_doubt(Guess(("Note",), "good", labels, 5, 0), ["Note", "good"])
    Doubt(why="'good' would be the name of the label column, and is one of its labels", strong=False)
    >>> header_doubt(Guess(("text",), "good", labels, 5, 0), ["text", "good"])
    """
    found = guess.label.strip() in {label.strip() for label, _ in guess.labels}
    names = [name.strip().lower() for name in columns if not found or name != guess.label]
    if not _TEXT_NAMES.union(_LABEL_NAMES).isdisjoint(names):
        return None
    if found:
        odd = [name for name in guess.texts if not name.strip() or like_data([name])]
        also = f", and {listed(odd)} {'that' if len(odd) == 1 else 'those'} of a text" if odd else ""
        return Doubt(f"{guess.label!r} would be the name of the label column, and is one of its labels{also}", bool(odd))
    odd = [name for name in (*guess.texts, guess.label) if not name.strip() or (like_data([name]) and not _is_question(name))]
    if not odd:
        return None
    why = f"{listed(odd)} would be {'the name of a column' if len(odd) == 1 else 'names of columns'}"
    return Doubt(why, not all(map(str.strip, odd)))


def _is_question(name: str) -> bool:
    return name.rstrip().endswith(_QUESTION_MARKS)


def look_alikes(labels: Sequence[str]) -> list[tuple[str, ...]]:
    """Labels that differ in nothing but blanks, and in how their accents are made up, group by group.

    >>> look_alikes(["good", "good ", "bad", "Bad"])
    [('good', 'good ')]
    """
    groups: dict[str, list[str]] = {}
    for label in labels:
        groups.setdefault(" ".join(unicodedata.normalize("NFC", label).split()), []).append(label)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    if not rows:
        raise DataError("there are no rows to look at")
    if len(columns) < 2:
        raise DataError(f"there is one column only ({columns}); a task file needs labelled rows: a text column and a label column")
    return columns


def _check_named(columns: Sequence[str], texts: Sequence[str], label: str | None) -> None:
    named = [("--text-column", name) for name in texts] + ([("--label-column", label)] if label is not None else [])
    for flag, name in named:
        if name not in columns:
            raise DataError(f"{flag} {name}: there is no such column; the columns are {', '.join(columns)}{did_you_mean(name, columns)}")
    if len(set(texts)) < len(texts):
        raise DataError(f"--text-column names a column twice: {', '.join(texts)}")
    if label in texts:
        raise DataError(f"--label-column {label}: that is a text column already; the columns are {', '.join(columns)}")


def _label_by_name(columns: Sequence[str], *, taken: Sequence[str]) -> str | None:
    free = {name.strip().lower(): name for name in reversed(columns) if name not in taken}
    return next((free[name] for name in _LABEL_NAMES if name in free), None)


def _text_columns(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> tuple[str, ...]:
    lengths = {name: sum(len(row[name]) for row in rows if isinstance(row.get(name), str)) for name in columns}
    longest = max(columns, key=lengths.__getitem__)
    if not lengths[longest]:
        raise DataError(_without_text(rows, columns))
    partner = next((name for name in columns if lengths[name] and _are_a_pair(longest, name)), longest)
    return tuple(name for name in columns if name in (longest, partner))


def _without_text(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    held = {name: _held(row[name] for row in rows if row.get(name) is not None) for name in columns}
    what = ", ".join(shortened([f"{name!r} holds {kind}" for name, kind in held.items()]))
    advice = ", or name the column of numbers that is meant with --text-column" if "numbers" in held.values() else ""
    return f"no column holds text: {what}; a text is a string{advice}"


def _held(values: Iterable[Any]) -> str:
    """What the first of some values is."""
    value = next(iter(values), None)
    return _HELD.get(type(value), f"values of the type {type(value).__name__}")


def _are_a_pair(first: str, second: str) -> bool:
    """Whether two names are a usual pair: premise and hypothesis, text_a and text_b, sentence1 and sentence2."""
    one, two = first.strip().lower(), second.strip().lower()
    if {one, two} in _PAIRS:
        return True
    ends = {one[-1:], two[-1:]}
    return one[:-1] == two[:-1] and len(one) > 1 and ends in ({"1", "2"}, {"a", "b"})


def _label_by_values(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """The column with the fewest values, if they are short and recur; of several the last."""
    kinds: dict[str, int] = {}
    for name in columns:
        values, odd = _label_values(rows, name)
        short = all(len(value) <= 40 for value in values)
        if not odd and short and 2 <= len(set(values)) <= min(MAX_LABELS, len(values) // 2):
            kinds[name] = len(set(values))
    if not kinds:
        raise DataError(f"found no label column among {', '.join(columns) or 'the others'}; name it with --label-column")
    return min(reversed(list(kinds)), key=kinds.__getitem__)


def _label_values(rows: Sequence[Mapping[str, Any]], column: str) -> tuple[list[str], list[str]]:
    """The labels in a column, as ``petkit.data`` reads them, and what is wrong with values that are none.

    Where all are whole numbers that CSV has as ``1.0`` (a null made them so), they are without the point, as from other formats.
    """
    values, odd = [], []
    for row in rows:
        try:
            values.append(as_text(row.get(column), whole=True) or "")
        except ValueError as error:
            odd.append(str(error))
    found = [value for value in values if value.strip()]
    whole = [without_point(value) for value in found]
    return (whole if all(map(str.__ne__, found, whole)) else found), odd


def _label_counts(rows: Sequence[Mapping[str, Any]], column: str, *, named: bool) -> tuple[tuple[str, int], ...]:
    values, odd = _label_values(rows, column)
    if odd:
        raise DataError(f"column {column!r} holds {odd[0]}; a label is text or a number; name another column with --label-column")
    counts = Counter(values)
    if len(counts) < 2:
        raise DataError(
            f"column {column!r} has {len(counts)} label(s) ({', '.join(counts) or 'none'}); a task needs two at least (--label-column)"
        )
    if len(counts) > MAX_LABELS and not (named and len(counts) < len(values)):
        many = f"{len(counts)} different values in {len(rows)} rows"
        raise DataError(f"column {column!r} has {many}; is it the label column? (--label-column)")
    return tuple(sorted(counts.items(), key=lambda item: _natural(item[0])))


def _natural(text: str) -> list[tuple[int, int, str]]:
    """Sorts ``2 stars`` before ``10 stars``."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"([0-9]+)", text) if part]
