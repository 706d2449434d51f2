"""A commented task file from a data file: what ``petkit new`` writes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

from petkit.data.hints import NO_HEADER, like_data
from petkit.data.readers import HEADED_FORMATS, iter_records, source_name, source_stem
from petkit.data.text import ENCODING
from petkit.errors import DataError, SettingsError
from petkit.files import write_text
from petkit.guessing import Guess, guess_columns, header_doubt, look_alikes
from petkit.wording import flag_for, many

__all__ = [
    "HEAD_ROWS",
    "column_flags",
    "field_names",
    "header_notes",
    "label_words",
    "look_alike_notes",
    "new_task_file",
    "reading_flags",
    "task_file_text",
]

HEAD_ROWS: Final = 5000
"""How many rows of the data are looked at."""
_LONGEST: Final = 10_000
"""How many characters of a value are looked at: what is longer is a text, and all rows are held."""

_TEMPLATE: Final = '''"""A task for petkit. The file is Python and yours: change what you like, and look at it with `petkit check`."""

from petkit import Task

# Made from {data}, {rows}.
{notes}task = Task(
    name={name},
    # The columns with the text.
    fields={fields},
    # Each pattern asks for the label in other words: {{mask}} is the gap that a label's word fills, {{field}} a text.
    # Two to six that read naturally do best. || starts a second segment, {{{{ and }}}} are braces.
    # {{field:drop_final_punctuation}} and {{field:lowercase_first}} change the text first.
    # A pattern may also be a function of the row; see the documentation.
    patterns=(
{patterns}
    ),
    # For each label the word for the gap, or several: ("good", "great"). Plain words that would make sense there do best.
    verbalizer={{
{words}
    }},
    label_column={label},
    # The language of the texts (en, de, zh-Hans ...; und: not said), for the model card.
    language={language},
)
'''


def new_task_file(
    source: str,
    out: Path,
    *,
    name: str | None = None,
    texts: Sequence[str] = (),
    label: str | None = None,
    force: bool = False,
    encoding: str = ENCODING,
    quotes: bool = True,
) -> Guess:
    """Write a task file for the rows of ``source`` to ``out``, and return what was guessed about its columns.

    Args:
        source: a data file (see ``petkit.data.readers``); its first ``HEAD_ROWS`` rows are read.
        name: the task's name; default: that of the file ``out``, or of the data if ``out`` is ``task.py``.
        texts: the text columns, if the guess is wrong. label: the label column, likewise.
        force: whether to replace a file.
        encoding, quotes: see ``petkit.data.readers.iter_records``.

    Raises SettingsError if ``out`` cannot be used, DataError if the data cannot be read or guessed from.
    """
    _check_out(out, force=force)
    rows, columns = _head(source, encoding, quotes)
    try:
        guess = guess_columns(rows, texts=texts, label=label)
    except DataError as error:
        raise DataError(f"{source_name(source)}: {error}{f'; {NO_HEADER}' if like_data(columns) else ''}") from error
    doubt = header_doubt(guess, columns) if columns and not texts and label is None else None
    if doubt and doubt.strong:
        raise DataError(f"{source_name(source)}: {_no_header(doubt.why, guess)}")
    if doubt:
        guess = replace(guess, maybe_row=doubt.why)
    default = out.stem if out.stem != "task" else source_stem(source)
    write_text(out, task_file_text(guess, name=name or default, data=source, flags=reading_flags(encoding, quotes)))
    return guess


def task_file_text(guess: Guess, *, name: str, data: str, flags: Sequence[str] = ()) -> str:
    """The text of a task file. It loads as it stands, whatever the names of columns and labels. ``flags``: what reading the data takes."""
    fields = field_names(guess.texts)
    words = label_words([value for value, _ in guess.labels])
    return _TEMPLATE.format(
        data=_literal(data),
        rows=f"its first {guess.rows} rows" if guess.rows == HEAD_ROWS else many(guess.rows, "row"),
        notes="".join(f"# {note}\n" for note in [*_flag_notes(flags), *_notes(guess, fields, words)]),
        name=_literal(name),
        fields=f"({', '.join(map(_literal, fields))}{',' if len(fields) == 1 else ''})",
        patterns="\n".join(f"        {_literal(pattern)}," for pattern in _patterns(fields)),
        words="\n".join(_word_line(value, count, words[value]) for value, count in guess.labels),
        label=_literal(guess.label),
        language=_literal("en" if guess.latin else "und"),
    )


def field_names(columns: Sequence[str]) -> tuple[str, ...]:
    """Column names as field names, which pattern strings can name: letters, digits and ``_``, each once, not ``mask``.

    >>> field_names(["text", "Review Text", "mask", "2nd", "review-text"])
    ('text', 'Review_Text', 'mask_text', 'text_2nd', 'review_text')
    """
    names: list[str] = []
    for column in columns:
        name = re.sub(r"\W+", "_", column).strip("_") or "text"
        name = f"{name}_text" if name == "mask" else name
        name = name if name.isidentifier() else f"text_{name}"
        names.append(_unused(name if name.isidentifier() else "text", names, "_"))
    return tuple(names)


def column_flags(columns: Sequence[str]) -> list[str]:
    """The flags that commands need for columns whose names are no field names, as a shell takes them.

    >>> column_flags(["text", "Review Text"])
    ["--column 'Review_Text=Review Text'"]
    """
    named = zip(field_names(columns), columns, strict=True)
    return [flag_for("--column", f"{field}={column}") for field, column in named if field != column]


def reading_flags(encoding: str | None, quotes: bool) -> list[str]:
    """The flags that commands need to read a file as it was read here.

    >>> reading_flags("cp1252", False), reading_flags(None, True)
    (['--encoding cp1252', '--no-quotes'], [])
    """
    named = [flag_for("--encoding", encoding)] if encoding not in (None, ENCODING) else []
    return [*named, *([] if quotes else ["--no-quotes"])]


def look_alike_notes(labels: Sequence[str]) -> list[str]:
    r"""A sentence for each group of labels that look the same, spelt so that they can be told apart.

    >>> for note in look_alike_notes(["caf\u00e9", "cafe\u0301", "good", " good"]):
    ...     print(note)
    'café', 'cafe\u0301' look alike and are different labels, by their blanks or how accents are made up; if one is meant, mend the data.
    'good', ' good' look alike and are different labels, by their blanks or how accents are made up; if one is meant, mend the data.
    """
    rest = "look alike and are different labels, by their blanks or how accents are made up; if one is meant, mend the data."
    return [f"{', '.join(map(_told_apart, group))} {rest}" for group in look_alikes(labels)]


def header_notes(guess: Guess) -> list[str]:
    """A sentence on the first line, if it names the columns and may be a row all the same.

    >>> header_notes(Guess(("Note",), "2023", (("bad", 1), ("good", 1)), 2, 0, maybe_row="'2023' would be the name of a column"))
    ["The first line may be a row: '2023' would be the name of a column; if it is one, add a line with names (text, label) before it."]
    """
    rest = "if it is one, add a line with names (text, label) before it."
    return [f"The first line may be a row: {guess.maybe_row}; {rest}"] if guess.maybe_row else []


def label_words(labels: Sequence[str]) -> dict[str, str]:
    """A word for each label: its name without punctuation, each once.

    >>> label_words(["Sci/Tech", "not_entailment", "5", ":)", ":("])
    {'Sci/Tech': 'Sci Tech', 'not_entailment': 'not entailment', '5': '5', ':)': 'label', ':(': 'label 2'}
    """
    words: dict[str, str] = {}
    for label in labels:
        words[label] = _unused(re.sub(r"[\W_]+", " ", label).strip() or "label", list(words.values()), " ")
    return words


def _unused(name: str, taken: Sequence[str], joint: str) -> str:
    number, found = 2, name
    while found in taken:
        number, found = number + 1, f"{name}{joint}{number}"
    return found


def _is_plain(label: str, word: str) -> bool:
    return label == word and word.isalpha()


def _flag_notes(flags: Sequence[str]) -> list[str]:
    return [f"The data are read with {' '.join(flags)}: add that to each command."] if flags else []


def _no_header(doubt: str, guess: Guess) -> str:
    names = [*(flag_for("--text-column", text) for text in guess.texts), flag_for("--label-column", guess.label)]
    return (
        f"the first line must name the columns, and looks like a row: {doubt}; add a line with names (text, label) before it, "
        f"or, if these are the names, say so with {' '.join(names)}"
    )


def _told_apart(label: str) -> str:
    """A label in quotes, with escapes for what is not seen and for accents that are characters of their own."""
    return "".join(ascii(sign)[1:-1] if _is_accent(sign) else sign for sign in repr(label))


def _is_accent(sign: str) -> bool:
    return unicodedata.category(sign).startswith("M") or not unicodedata.is_normalized("NFC", sign)


def _notes(guess: Guess, fields: Sequence[str], words: dict[str, str]) -> list[str]:
    notes = [
        f"The column {_literal(column)} is the field {field} here: add {flag_for('--column', f'{field}={column}')} to each command."
        for column, field in zip(guess.texts, fields, strict=True)
        if column != field
    ]
    if guess.unlabeled:
        notes.append(f"{guess.unlabeled} of the rows have no label.")
    notes += [f"TODO: {note}" for note in [*header_notes(guess), *look_alike_notes([label for label, _ in guess.labels])]]
    odd = [label for label, word in words.items() if not _is_plain(label, word)]
    if odd:
        notes.append(f"TODO: {len(odd)} of {len(words)} label names are no plain words; write better ones where it says TODO below.")
    return notes


def _patterns(fields: Sequence[str]) -> list[str]:
    text = (" || " if len(fields) == 2 else " ").join(f"{{{name}}}" for name in fields)
    return [f"{{mask}}: {text}", f"{text} ( {{mask}} )", f"[ Category: {{mask}} ] {text}"]


def _word_line(label: str, count: int, word: str) -> str:
    todo = "" if _is_plain(label, word) else "; TODO: a word that says what this label means"
    return f"        {_literal(label)}: {_literal(word)},  # {many(count, 'row')}{todo}"


def _literal(text: str) -> str:
    """The text as a Python string literal on one line."""
    if not text.isprintable():
        return repr(text)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _check_out(out: Path, *, force: bool) -> None:
    if out.suffix != ".py":
        raise SettingsError(f"--out {out}: a task is Python and its file ends in .py")
    if out.is_dir():
        raise SettingsError(f"--out {out} is a folder; name a file in it")
    if out.exists() and not force:
        raise SettingsError(f"--out {out} is there already; choose another name or pass --force")


def _head(source: str, encoding: str, quotes: bool) -> tuple[list[dict[str, Any]], list[str]]:
    """The first ``HEAD_ROWS`` rows, and the columns if the first line names them."""
    formats: list[str] = []
    chunks = iter_records(source, chunk=1000, encoding=encoding, quotes=quotes, on_format=formats.append)
    rows = [_shortened(row) for row in islice(chain.from_iterable(chunks), HEAD_ROWS)]
    return rows, list(rows[0]) if rows and not HEADED_FORMATS.isdisjoint(formats) else []


def _shortened(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value[:_LONGEST] if isinstance(value, str) else value for name, value in row.items()}
