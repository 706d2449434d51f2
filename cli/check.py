"""``petkit check``: what a model sees of a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from petkit.cli.options import (
    AsJson,
    ColumnMap,
    Device,
    DropBlank,
    Encoding,
    KeepBlank,
    ModelName,
    Quotes,
    TaskName,
    TrustRemoteCode,
    pairs,
)
from petkit.cli.reporter import Reporter, print_json
from petkit.errors import SettingsError, TaskError, raise_problems

if TYPE_CHECKING:
    from petkit.checking import CheckReport
    from petkit.pvp import Task
    from petkit.rows import Rows

__all__ = ["check"]


def check(
    task: TaskName,
    model: ModelName = "builtin",
    data: Annotated[str | None, Option(metavar="F", help="Rows to fill the patterns with; labelled ones also give the accuracy.")] = None,
    rows: Annotated[int, Option(metavar="N", help="How many rows to look at, spread over the file.")] = 200,
    show: Annotated[int, Option(metavar="N", help="How many of them to show in each pattern.")] = 2,
    columns: ColumnMap = None,
    encoding: Encoding = None,
    drop_blank: DropBlank = False,
    keep_blank: KeepBlank = False,
    quotes: Quotes = True,
    max_length: Annotated[int, Option(metavar="N", help="Tokens per cloze, at most.")] = 256,
    device: Device = "auto",
    trust_remote_code: TrustRemoteCode = False,
    as_json: AsJson = False,
) -> None:
    """Show every pattern filled in, the tokens of the label words, and all problems at once (exit code 2 if there are any)."""
    from petkit.loading import load_task

    chosen = load_task(task)
    reading = {"columns": pairs(columns, "--column"), "drop_blank": drop_blank, "keep_blank": keep_blank, "quotes": quotes}
    found = _rows(chosen, data, rows, reading | ({"encoding": encoding} if encoding else {}))
    with Reporter(quiet=as_json) as reporter:
        report = _check(chosen, model, found, show, max_length, device, trust_remote_code, reporter)
    if as_json:
        from petkit.cli.checked import record

        print_json(record(report, model))
    else:
        from petkit.cli.checked import show_check

        show_check(report, model)
    raise_problems(TaskError, f"task {report.task.name!r} with model {model}", report.problems)


def _rows(task: Task, data: str | None, most: int, reading: Mapping[str, Any]) -> Rows | None:
    if most < 1:
        raise SettingsError(f"--rows is {most}; at least 1 is legal")
    if data is None:
        return None
    from petkit.checking import spread
    from petkit.data import read_rows

    return spread(read_rows(data, task, labels="optional", **reading), most)


def _check(
    task: Task, model: str, rows: Rows | None, show: int, max_length: int, device: str, trust: bool, reporter: Reporter
) -> CheckReport:
    from petkit.backbones import load_masked_lm, load_tokenizer
    from petkit.checking import check_task
    from petkit.compute import choose_device
    from petkit.executors import Event

    def on_pattern(done: int, total: int) -> None:
        reporter.event(Event("progress", "patterns", done=done, total=total))

    tokenizer = load_tokenizer(model, trust_remote_code=trust)
    opened = None if rows is None else load_masked_lm(model, trust_remote_code=trust).to(choose_device(device))
    return check_task(task, tokenizer, model=opened, rows=rows, shown=show, max_length=max_length, on_pattern=on_pattern)
