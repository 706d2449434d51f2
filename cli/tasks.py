"""``petkit tasks`` and ``petkit new``: the ready-made tasks, and a task file for one's own data."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from petkit.cli.completing import task_names
from petkit.cli.options import Encoding, Quotes
from petkit.cli.reporter import print_json
from petkit.cli.tables import print_table
from petkit.pvp import Task
from petkit.wording import many

__all__ = ["new", "tasks"]


def tasks(
    name: Annotated[
        str | None,
        typer.Argument(help="A task to show in detail: a ready-made name, or a path to a .py file.", autocompletion=task_names),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """List the ready-made tasks, or show one with its patterns and label words."""
    from petkit.loading import load_task, ready_made

    found = [load_task(reference) for reference in ([name] if name else ready_made())]
    if as_json:
        print_json(_record(found[0]) if name else {"tasks": [_record(task) for task in found]})
        return
    print_table(_detail(found[0]) if name else _overview(found), Console())


def new(
    file: Annotated[str, typer.Argument(help="Labelled rows: CSV, TSV, JSONL or parquet.")],
    out: Annotated[Path, typer.Option(help="The task file to write.")] = Path("task.py"),
    text_columns: Annotated[
        list[str] | None,
        typer.Option("--text-column", metavar="COLUMN", help="Holds a text, if the guess is wrong. Repeatable."),
    ] = None,
    label_column: Annotated[
        str | None, typer.Option("--label-column", metavar="COLUMN", help="Holds the label, if the guess is wrong.")
    ] = None,
    encoding: Encoding = None,
    quotes: Quotes = True,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a commented task file for a data file: text columns, labels, patterns to start from."""
    # These read data: not imported for petkit --help
    from petkit.scaffold import column_flags, header_notes, look_alike_notes, new_task_file, reading_flags

    options: dict[str, Any] = {"quotes": quotes} | ({"encoding": encoding} if encoding is not None else {})
    guess = new_task_file(file, out, texts=text_columns or (), label=label_column, force=force, **options)
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text(f"Wrote {out}: texts {', '.join(guess.texts)}; labels in {guess.label}:"))
    for value, count in guess.labels:
        console.print(Text(f"  {value}  {many(count, 'row')}"))
    for note in [*header_notes(guess), *look_alike_notes([value for value, _ in guess.labels])]:
        console.print(Text(f"Note: {note}"))
    flags = [*column_flags(guess.texts), *reading_flags(encoding, quotes)]
    command = " ".join([shlex.join(["petkit", "check", str(out), "--data", file]), *flags])
    console.print(Text(f"Next: change its patterns and words, and look at them with {command}"))


def _record(task: Task) -> dict[str, Any]:
    return {
        "name": task.name,
        "description": task.description,
        "language": task.language,
        "labels": task.labels,
        "fields": task.fields,
        "label_column": task.label_column,
        "classifier_inputs": task.classifier_inputs,
        "pvps": [
            {"pattern": pvp.pattern.name, "words": dict(zip(pvp.verbalizer.labels, pvp.verbalizer.words, strict=True))} for pvp in task.pvps
        ],
        "source": task.source,
        "origin": task.origin,
    }


def _overview(found: list[Task]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption="petkit tasks NAME shows one, with its patterns and words.")
    for header in ("name", "labels", "fields", "patterns", "language", "source"):
        table.add_column(header, no_wrap=header == "name", overflow="fold")
    for task in found:
        labels = ", ".join(task.labels) if len(task.labels) <= 6 else f"{len(task.labels)} labels"
        cells = [task.name, labels, ", ".join(task.fields), str(len(task.pvps)), task.language, _short_source(task.source)]
        table.add_row(*map(Text, cells))
    return table


def _short_source(source: str) -> str:
    """What of a citation fits into a table: the papers' numbers, and whether something is ours."""
    return ", ".join(dict.fromkeys(re.findall(r"arXiv [0-9.]*[0-9]|\bours\b", source))) or source


def _detail(task: Task) -> Table:
    table = Table("pattern", "words", title=Text(f"{task.name}: {task.description}"), show_lines=True)
    table.caption = Text(
        "\n".join([f"fields: {', '.join(task.fields)}; language: {task.language}", f"source: {task.source or 'not said'}"])
    )
    for pvp in task.pvps:
        words = [f"{label}: {', '.join(words)}" for label, words in zip(pvp.verbalizer.labels, pvp.verbalizer.words, strict=True)]
        table.add_row(Text(pvp.pattern.name), Text("\n".join(words)))
    return table
