"""The typer application: one line for each command."""

from __future__ import annotations

from typing import Annotated

import typer

from petkit.cli.check import check
from petkit.cli.demo import demo
from petkit.cli.encode import encode
from petkit.cli.evaluate import evaluate
from petkit.cli.exits import Commands
from petkit.cli.export import export
from petkit.cli.finetune import finetune
from petkit.cli.objectives import objectives
from petkit.cli.options import AdaptCommand
from petkit.cli.predict import label, predict
from petkit.cli.pretrain import pretrain
from petkit.cli.renamed import EncodeCommand, FinetuneCommand, NewCommand
from petkit.cli.report import report
from petkit.cli.status import status
from petkit.cli.tasks import new, tasks
from petkit.cli.train import train

__all__ = ["app"]

app = typer.Typer(
    name="petkit",
    help="Few-shot text classification by pattern-exploiting training.",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

app.command()(demo)
app.command(cls=AdaptCommand)(train)
app.command(cls=AdaptCommand)(evaluate)
app.command()(predict)
app.command()(label)
app.command()(report)
app.command()(export)
app.command()(status)
app.command()(tasks)
app.command(cls=NewCommand)(new)
app.command()(check)
app.command()(pretrain)
app.command(cls=FinetuneCommand)(finetune)
app.command(cls=EncodeCommand)(encode)
app.command()(objectives)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"petkit {version('petkit')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Few-shot text classification by pattern-exploiting training."""
