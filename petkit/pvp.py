"""Patterns, verbalizers and tasks: plain values, standard library only.

A pattern turns a row into a cloze question (Schick & Schütze 2021a, section 3, arXiv 2001.07676); a verbalizer
maps each label to the words that may fill the gap; a PVP is one of each; a task is what a user writes.

Pattern strings use ``{field}`` and one ``{mask}``; ``||`` starts the second segment; ``{field:transform}``
applies transforms by name (``drop_final_punctuation``, ``lowercase_first``; several with a comma);
``{{`` and ``}}`` are literal braces. A pattern may also be a function of the row (a dict of strings) that returns a
list of ``str`` (literal text), ``Text`` (may be shortened to fit), ``MASK`` and ``SEGMENT_BREAK``.
"""

from __future__ import annotations

import string
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from petkit.choices import legal_are
from petkit.errors import TaskError, raise_problems

__all__ = ["MASK", "PVP", "SEGMENT_BREAK", "TRANSFORMS", "Part", "Pattern", "Task", "Text", "Verbalizer"]


class _Marker(Enum):
    MASK = "{mask}"
    SEGMENT_BREAK = "||"

    def __repr__(self) -> str:
        return self.name


MASK: Final = _Marker.MASK
"""The gap that a label word fills."""
SEGMENT_BREAK: Final = _Marker.SEGMENT_BREAK
"""Where the second segment starts."""


@dataclass(frozen=True)
class Text:
    """A text of the row inside a cloze. Only such parts are ever shortened, and only if ``shorten``."""

    text: str
    shorten: bool = True


Part = str | Text | _Marker
PatternFunction = Callable[[Mapping[str, str]], Sequence[Part]]


def drop_final_punctuation(text: str) -> str:
    """Without final ``. , ; : ! ?`` and blanks (and their full-width forms).

    >>> drop_final_punctuation("It rained. ")
    'It rained'
    """
    return text.rstrip(" \t\n.,;:!?\u3002\uff0c\uff1b\uff1a\uff01\uff1f")


def lowercase_first(text: str) -> str:
    """With the first letter in lower case.

    >>> lowercase_first("It rained")
    'it rained'
    """
    return text[:1].lower() + text[1:]


TRANSFORMS: Final[Mapping[str, Callable[[str], str]]] = {
    "drop_final_punctuation": drop_final_punctuation,
    "lowercase_first": lowercase_first,
}


@dataclass(frozen=True)
class _Slot:
    """A field's place in a pattern string, with the names of its transforms."""

    name: str
    transforms: tuple[str, ...] = ()

    def fill(self, row: Mapping[str, str]) -> Text:
        text = row[self.name]
        for name in self.transforms:
            text = TRANSFORMS[name](text)
        return Text(text)


@dataclass(frozen=True)
class Pattern:
    """One way to ask for the label: a pattern string or a function of the row.

    >>> Pattern("{mask} News: {text}").parts({"text": "Rain."})
    (MASK, ' News: ', Text(text='Rain.', shorten=True))
    >>> Pattern("{a} || {mask}, {b}").parts({"a": "x", "b": "y"})
    (Text(text='x', shorten=True), SEGMENT_BREAK, MASK, ', ', Text(text='y', shorten=True))
    """

    source: str | PatternFunction
    _template: tuple[str | _Slot | _Marker, ...] = field(default=(), init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if isinstance(self.source, str):
            object.__setattr__(self, "_template", _parse(self.source))

    @property
    def name(self) -> str:
        """The pattern as people read it: its string, or the function's name."""
        return self.source if isinstance(self.source, str) else getattr(self.source, "__name__", "function")

    def problems(self, fields: Sequence[str]) -> list[str]:
        """What is wrong with a pattern string for a task with these fields (functions are checked on rows)."""
        if not isinstance(self.source, str):
            return []
        where = f"pattern {self.source!r}"
        slots = [part for part in self._template if isinstance(part, _Slot)]
        found = [f"{where} names {{{s.name}}}; {legal_are(s.name, ['mask', *fields])}" for s in slots if s.name not in fields]
        found += [
            f"{where} uses the transform {name!r}; {legal_are(name, TRANSFORMS)}"
            for s in slots
            for name in s.transforms
            if name not in TRANSFORMS
        ]
        if not slots:
            found.append(f"{where} uses no field; legal are {', '.join(fields)}")
        return found + _structure_problems(where, self._template)

    def parts(self, row: Mapping[str, str]) -> tuple[Part, ...]:
        """The cloze for one row: literals, texts, one ``MASK``, at most one ``SEGMENT_BREAK``.

        Raises TaskError if a pattern function fails or returns something else.
        """
        if isinstance(self.source, str):
            return tuple(part.fill(row) if isinstance(part, _Slot) else part for part in self._template)
        try:
            parts = tuple(self.source(row))
        except Exception as error:
            problem = f"raised {type(error).__name__}: {error}{_line_in(self.source, error)}"
            failure = TaskError(f"pattern function {self.name!r}: {problem}")
            failure.problems = (problem,)
            raise failure from error
        odd = [part for part in parts if not isinstance(part, (str, Text, _Marker))]
        problems = [f"returned {part!r}; legal are str, Text, MASK, SEGMENT_BREAK" for part in odd]
        problems += _structure_problems("the returned list", parts)
        raise_problems(TaskError, f"pattern function {self.name!r}", problems)
        return parts


def _line_in(function: PatternFunction, error: Exception) -> str:
    """At which line of the function's file an error arose, for a message; nothing for a callable that has no file."""
    code = getattr(function, "__code__", None)
    if code is None:
        return ""
    lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == code.co_filename]
    return f", at {code.co_filename}, line {lines[-1] if lines else code.co_firstlineno}"


def _structure_problems(where: str, parts: Sequence[object]) -> list[str]:
    problems = []
    masks, breaks = sum(p is MASK for p in parts), sum(p is SEGMENT_BREAK for p in parts)
    if masks != 1:
        problems.append(f"{where} has {masks} masks; it needs exactly one")
    if breaks > 1:
        problems.append(f"{where} has {breaks} segment breaks (||); at most one is legal")
    return problems


def _parse(source: str) -> tuple[str | _Slot | _Marker, ...]:
    segments = [_parse_segment(segment.strip(), source) for segment in source.split("||")]
    parts = segments[0]
    for segment in segments[1:]:
        parts = [*parts, SEGMENT_BREAK, *segment]
    return tuple(parts)


def _parse_segment(segment: str, source: str) -> list[str | _Slot | _Marker]:
    parts: list[str | _Slot | _Marker] = []
    try:
        for literal, name, spec, conversion in string.Formatter().parse(segment):
            if literal:
                parts.append(literal)
            if name is None:
                continue
            if conversion or not name.isidentifier():
                raise ValueError(f"{{{name}{'!' + conversion if conversion else ''}}} is no field name")
            parts.append(MASK if name == "mask" else _Slot(name, tuple(t.strip() for t in (spec or "").split(",") if t)))
    except ValueError as error:
        raise TaskError(f"pattern {source!r}: {error}; write {{field}} or {{mask}}, and {{{{ for a brace") from error
    return parts


@dataclass(frozen=True)
class Verbalizer:
    """Label words: for each label, in order, one or more words. The order of the labels is the task's.

    >>> Verbalizer({"neg": "bad", "pos": ("good", "great")}).words
    (('bad',), ('good', 'great'))
    """

    mapping: Mapping[str, str | Sequence[str]]

    def __hash__(self) -> int:
        """Equal verbalizers have equal hashes, in whatever order their labels are: two mappings with the same items are equal."""
        return hash(frozenset(zip(self.labels, self.words, strict=True)))

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels in order."""
        return tuple(self.mapping)

    @property
    def words(self) -> tuple[tuple[str, ...], ...]:
        """The words of each label, in the order of ``labels``."""
        return tuple(tuple(w) if isinstance(w, Iterable) and not isinstance(w, str) else (w,) for w in self.mapping.values())

    def problems(self) -> list[str]:
        """Labels without a word, blank words, and words that two labels share."""
        found = [
            f"label {label!r} is a {type(label).__name__}; write {str(label)!r}" for label in self.labels if not isinstance(label, str)
        ]
        found += [f"label {label!r} has no word" for label, words in zip(self.labels, self.words, strict=True) if not words]
        owner: dict[str, str] = {}
        for label, words in zip(self.labels, self.words, strict=True):
            for word in words:
                if not isinstance(word, str) or not word.strip() or word != word.strip():
                    found.append(f"label {label!r} has the word {word!r}; a word is text without blanks around it")
                elif owner.setdefault(word, label) != label:
                    found.append(f"labels {owner[word]!r} and {label!r} share the word {word!r}")
                elif words.count(word) > 1:
                    found.append(f"label {label!r} has the word {word!r} twice")
        return list(dict.fromkeys(found))


@dataclass(frozen=True)
class PVP:
    """A pattern with its verbalizer."""

    pattern: Pattern
    verbalizer: Verbalizer


@dataclass(frozen=True, init=False)
class Task:
    """A classification task: its text fields, its PVPs, and where they come from.

    Args:
        name: what reports call it.
        fields: names of the text fields a row has.
        patterns: pattern strings, pattern functions, or PVPs that bring their own verbalizer.
        verbalizer: label -> word or words, for the patterns that are not PVPs.
        label_column: the data's column that holds the label.
        classifier_inputs: one or two templates for the final classifier, which sees no pattern;
            default: the fields themselves if there are one or two, else all joined by blanks.
        language: BCP 47 tag of the texts. source: citation of patterns and words. description: one line.

    Raises TaskError that names every problem at once.

    >>> Task(name="t", fields=("text",), patterns=("{mask}: {text}",), verbalizer={"n": "bad", "p": "good"}).labels
    ('n', 'p')
    """

    name: str
    fields: tuple[str, ...]
    pvps: tuple[PVP, ...]
    label_column: str
    classifier_inputs: tuple[str, ...]
    language: str
    source: str
    description: str
    origin: str | None
    """What ``petkit.loading.load_task`` was given; None for a task made in memory."""

    def __init__(
        self,
        *,
        name: str,
        fields: Sequence[str],
        patterns: Sequence[str | PatternFunction | Pattern | PVP],
        verbalizer: Mapping[str, str | Sequence[str]] | None = None,
        label_column: str = "label",
        classifier_inputs: Sequence[str] | None = None,
        language: str = "en",
        source: str = "",
        description: str = "",
        origin: str | None = None,
    ) -> None:
        default = Verbalizer(dict(verbalizer or {}))
        pvps, broken = _make_pvps(_listed(patterns), default)
        values = {
            "name": name,
            "fields": _listed(fields),
            "pvps": pvps,
            "label_column": label_column,
            "classifier_inputs": _listed(classifier_inputs or _default_inputs(_listed(fields))),
            "language": language,
            "source": source,
            "description": description,
            "origin": origin,
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)
        raise_problems(TaskError, f"task {name!r}", [*broken, *_task_problems(self)])

    def __reduce_ex__(self, protocol: Any) -> str | tuple[Any, ...]:
        """Pickles by reference where the task was loaded: functions of a user's file exist in no importable module."""
        if self.origin is None:
            return super().__reduce_ex__(protocol)
        from petkit.loading import load_task  # here, since loading imports this module

        return load_task, (self.origin,)

    @property
    def labels(self) -> tuple[str, ...]:
        """The label names; a label's index in rows and scores is its place here."""
        return self.pvps[0].verbalizer.labels

    def classifier_texts(self, row: Mapping[str, str]) -> tuple[str, ...]:
        """The one or two texts that the final classifier sees for a row."""
        return tuple(template.format(**row) for template in self.classifier_inputs)


def _listed(values: Any) -> tuple[Any, ...]:
    """One value or a sequence of them, as a tuple: ``patterns="..."`` means one pattern, not its letters."""
    return (values,) if isinstance(values, (str, PVP, Pattern)) or callable(values) else tuple(values)


def _make_pvps(patterns: Sequence[Any], default: Verbalizer) -> tuple[tuple[PVP, ...], list[str]]:
    """The PVPs, and what is wrong with the patterns that are none."""
    pvps, problems = [], [] if patterns else ["patterns is empty; write at least one"]
    for pattern in patterns:
        try:
            pvps.append(pattern if isinstance(pattern, PVP) else PVP(_make_pattern(pattern), default))
        except TaskError as error:
            problems.append(str(error))
    return tuple(pvps), problems


def _make_pattern(pattern: Any) -> Pattern:
    if isinstance(pattern, Pattern):
        return pattern
    if isinstance(pattern, str) or callable(pattern):
        return Pattern(pattern)
    raise TaskError(f"pattern {pattern!r} is a {type(pattern).__name__}; legal are a string, a function of the row, a Pattern, a PVP")


def _default_inputs(fields: Sequence[str]) -> tuple[str, ...]:
    templates = tuple(f"{{{name}}}" for name in fields)
    return templates if len(templates) <= 2 else (" ".join(templates),)


def _field_problems(fields: Sequence[Any]) -> list[str]:
    problems = [] if fields else ["fields is empty; name at least one text field"]
    odd = [name for name in fields if not isinstance(name, str) or not name.isidentifier() or name == "mask"]
    problems += [f"field {name!r} is no legal name; legal are letters, digits and _, but not mask" for name in odd]
    if len(set(fields)) < len(fields):
        problems.append(f"fields holds a name twice: {', '.join(map(str, fields))}")
    return problems


def _task_problems(task: Task) -> list[str]:
    problems = _field_problems(task.fields)
    if not task.pvps or not all(isinstance(name, str) for name in task.fields):
        return problems
    for pvp in task.pvps:
        problems += pvp.pattern.problems(task.fields)
        if set(pvp.verbalizer.labels) != set(task.labels) or pvp.verbalizer.labels != task.labels:
            problems.append(f"pattern {pvp.pattern.name!r} has the labels {pvp.verbalizer.labels}, the first has {task.labels}")
    for verbalizer in {id(p.verbalizer): p.verbalizer for p in task.pvps}.values():
        problems += verbalizer.problems()
    if len(task.labels) < 2:
        problems.append(f"the verbalizer has {len(task.labels)} labels; it needs at least two")
    problems += _input_problems(task)
    return list(dict.fromkeys(problems))


def _input_problems(task: Task) -> list[str]:
    if len(task.classifier_inputs) > 2:
        return [f"classifier_inputs has {len(task.classifier_inputs)} templates; one or two are legal"]
    known = {name: "" for name in task.fields}
    problems = []
    for template in task.classifier_inputs:
        try:
            template.format(**known)
        except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
            problems.append(f"classifier input {template!r} is no template over {', '.join(task.fields)}: {error!r}")
    return problems
