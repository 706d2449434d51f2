"""``petkit demo``: the main job on the builtin model and on text that every installation holds."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text
from typer import Option

from petkit.cli.options import AsJson, Device
from petkit.cli.reporter import Reporter, print_json
from petkit.wording import spelt_as

__all__ = ["demo"]

_INTRODUCTION = """\
Which subject is a documentation text about? 8 labels, 8 labelled texts of each, some 1,500 unlabelled ones, read from the Python
packages installed here; names that give the subject away are blanked. The model is the small one that petkit brings along."""


def demo(
    out: Annotated[Path, Option(metavar="DIR", help="The run folder: new, empty, or an unfinished demo to go on with.")] = Path("demo-run"),
    seed: Annotated[int, Option(metavar="N", help="Draws the labelled texts, and all else that is random.")] = 42,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Run the whole method on real text, without any download: a few minutes on a laptop."""
    if not as_json:
        typer.echo(_INTRODUCTION, err=True)
    from petkit.builtin.demo import run_demo

    with Reporter(quiet=as_json) as reporter:
        result = run_demo(out, seed=seed, device=device, on_event=reporter.event, on_notice=reporter.notice)
    classifier = spelt_as(out, result.classifier) if result.classifier else None
    if as_json:
        print_json({**result.report, "path": str(out), "classifier": str(classifier)})
        return
    from petkit.cli.results import show_results

    show_results(result.report, path=out, classifier=classifier, next_step=False)
    Console(highlight=False).print(Text(_own_data(out)), soft_wrap=True)


def _own_data(out: Path) -> str:
    return f"""
Try it:          petkit predict {shlex.quote(str(out))} --text "Find the shortest path between two nodes."
Your own data:   petkit new labelled.csv                      writes task.py: patterns and label words to look through
                 petkit check task.py --data labelled.csv     shows what the model will read
                 petkit train task.py --train labelled.csv --unlabeled raw.txt --test test.csv --out run"""
