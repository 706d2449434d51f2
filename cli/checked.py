"""A ``CheckReport`` for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.text import Text

from petkit.checking import CheckReport, ClozeView, PatternCheck, WordCheck
from petkit.unknowns import unknown_notice

__all__ = ["abridged", "record", "show_check"]


def record(report: CheckReport, model: str) -> dict[str, Any]:
    """The report as JSON."""
    return {
        "task": report.task.name,
        "model": model,
        "labels": list(report.task.labels),
        "fields": list(report.task.fields),
        "rows": report.rows,
        "labelled": report.labelled,
        "unknown_tokens": report.unknown,
        "head": None if report.head is None else asdict(report.head),
        "patterns": [asdict(check) for check in report.patterns],
        "problems": list(report.problems),
    }


def show_check(report: CheckReport, model: str, console: Console | None = None) -> None:
    """Print the report, pattern by pattern."""
    console = console or Console(highlight=False)
    _show(console, _headline(report, model))
    if report.head is not None:
        _show(console, _head(report))
    if not report.of_rows and (notice := _unknown(report)):
        _show(console, f"Tokenizer: {notice}.")
    for problem in report.of_rows:
        _show(console, f"PROBLEM: {problem}")
    for number, check in enumerate(report.patterns):
        console.print()
        console.print(Text(f"Pattern {number}: {check.pattern}", style="bold"))
        for line in _pattern(check, report.rows, room=max(40, console.width)):
            _show(console, line, indent="  ")
    if not report.problems:
        console.print()
        console.print(Text("No problem of patterns and words found." if _unknown(report) else "No problem found."))


def _show(console: Console, line: str, indent: str = "") -> None:
    """Print a line wrapped, every part of it indented."""
    for part in Text(line).wrap(console, console.width - len(indent)):
        part.rstrip()
        console.print(Text(indent) + part)


def abridged(text: str, mask: str, room: int) -> str:
    """A cloze on a few lines: its ends, and what stands around the mask.

    >>> abridged("a very long text about nothing at all [MASK] and more of it", "[MASK]", 24)
    'a very long text…at all [MASK] and more of it'
    """
    left, found, right = text.replace("\n", " ").partition(mask)
    return _middle_out(left, room) + found + _middle_out(right, room)


def _middle_out(text: str, room: int) -> str:
    """The text, or its first and last characters.

    >>> _middle_out("abcdefghij", 6), _middle_out("abc", 6)
    ('abcd…ij', 'abc')
    """
    if len(text) <= room:
        return text
    last = room // 3
    return text[: room - last].rstrip() + "…" + text[len(text) - last :].lstrip()


def _headline(report: CheckReport, model: str) -> str:
    rows = f"{report.rows} rows, {report.labelled} of them labelled" if report.rows else "no rows (--data), so a made-up one is shown"
    return f"{report.task.name} with {model}: {len(report.patterns)} patterns, {len(report.task.labels)} labels; {rows}"


def _unknown(report: CheckReport) -> str | None:
    return unknown_notice({"the rows": report.unknown})


def _head(report: CheckReport) -> str:
    if report.head is None or report.head.status == "trained":
        return f"Masked-LM head: trained; {report.head.detail}" if report.head else ""
    if _unknown(report):
        return f"Masked-LM head: {report.head.status}; {report.head.detail}."
    if report.head.status == "unclear":
        advice = "Where texts are unlike what a model has read, petkit train --adapt on many unlabelled ones helps"
    else:
        advice = "PET learns little from it; petkit train --adapt trains one on the unlabelled rows first"
    return f"Masked-LM head: {report.head.status}; {report.head.detail}. {advice}."


def _pattern(check: PatternCheck, rows: int, *, room: int) -> Iterator[str]:
    for view in check.clozes:
        yield from _cloze(view, room)
    yield "words: " + "; ".join(_words(check.words))
    if check.shortened:
        yield f"shortened: {check.shortened} of {rows} rows, by {_count(check)} tokens in all"
    if check.scores is not None:
        yield f"before any training: accuracy {check.scores['accuracy']:.3f}, macro-F1 {check.scores['macro_f1']:.3f}"
    for problem in check.problems:
        yield f"PROBLEM: {problem}"


def _cloze(view: ClozeView, room: int) -> Iterator[str]:
    masks = view.mask * len(view.slots)
    gap = view.mask if len(view.slots) == 1 else f"{len(view.slots)}x{view.mask}"
    yield f"{view.row}: {abridged(view.text, masks, room).replace(masks, gap, 1)}"
    slots = ", ".join(map(str, view.slots))
    yield f"{view.tokens} tokens, mask at {slots}" + (f"; {_count(view)} tokens dropped to fit" if view.dropped else "")


def _count(lost: ClozeView | PatternCheck) -> str:
    return f"at least {lost.dropped}" if lost.at_least else str(lost.dropped)


def _words(words: tuple[WordCheck, ...]) -> Iterator[str]:
    """``Sci/Tech: Tech = tech``, with a sum of tokens where a word has several."""
    for word in words:
        yield f"{word.label}: {word.word} = {' + '.join(word.tokens) or 'nothing'}"
