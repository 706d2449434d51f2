"""``petkit train``: from labelled and unlabelled rows to a classifier and a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from typer import Option

from petkit.cli.completing import train_methods
from petkit.cli.options import (
    AsJson,
    ChangedSettings,
    ColumnMap,
    Device,
    DropBlank,
    Encoding,
    IdColumn,
    KeepBlank,
    ModelName,
    Preset,
    Quotes,
    TaskName,
    TrustRemoteCode,
    pairs,
)
from petkit.cli.reporter import Reporter, print_json
from petkit.wording import spelt_as

__all__ = ["train"]


def train(
    task: TaskName,
    out: Annotated[Path, Option(metavar="DIR", help="The run folder: new, empty, or an unfinished run to go on with.")],
    train_files: Annotated[
        list[str] | None,
        Option("--train", metavar="F", help="Labelled rows: CSV, TSV, JSONL, parquet, a folder saved by datasets, hub:NAME[:SPLIT], or -."),
    ] = None,
    unlabeled: Annotated[list[str] | None, Option(metavar="F", help="Unlabelled rows. Repeatable.")] = None,
    test: Annotated[str | None, Option(metavar="F", help="Labelled rows for the final score only.")] = None,
    model: ModelName = "builtin",
    method: Annotated[
        str | None,
        Option(metavar="M", help="pet (default), ipet, single, supervised, zero-shot or tfidf.", autocompletion=train_methods),
    ] = None,
    preset: Preset = "auto",
    shots: Annotated[int | None, Option(metavar="N", help="Draw so many labelled rows per label; the others are not used.")] = None,
    seed: Annotated[int | None, Option(metavar="N", help="Of all that is random; default 42.")] = None,
    adapt: Annotated[
        int | None,
        Option("--adapt", metavar="[STEPS]", help="First adapt the checkpoint to the unlabelled rows by masked language modelling."),
    ] = None,
    settings: ChangedSettings = None,
    config: Annotated[Path | None, Option(metavar="run.toml", help="Settings from a file; flags and --set go before it.")] = None,
    max_length: Annotated[int | None, Option(metavar="N", help="Tokens per text, at most; default 256.")] = None,
    columns: ColumnMap = None,
    id_column: IdColumn = None,
    encoding: Encoding = None,
    drop_blank: DropBlank = False,
    keep_blank: KeepBlank = False,
    quotes: Quotes = True,
    allow_overlap: Annotated[
        bool, Option("--allow-overlap", help="Go on if labelled rows are also test rows; the report says so.")
    ] = False,
    device: Device = "auto",
    workers: Annotated[int, Option(metavar="N", min=1, help="Units at a time, each in a process of its own; several GPUs in turn.")] = 1,
    trust_remote_code: TrustRemoteCode = False,
    as_json: AsJson = False,
) -> None:
    """Train a classifier from a few labelled rows and many unlabelled ones. The same command resumes an unfinished run."""
    changes = _changes(config, {"method": method, "seed": seed, "adapt_steps": adapt, "max_length": max_length}, settings)
    mapping = pairs(columns, "--column")
    from petkit.executors import executor_for
    from petkit.pipeline import train

    with Reporter(quiet=as_json) as reporter, executor_for(workers, device=device) as executor:
        result = train(
            task,
            train=tuple(train_files) if train_files else None,
            unlabeled=tuple(unlabeled or ()),
            test=test,
            out=str(out),
            model=model,
            preset=preset,
            settings=changes,
            shots=shots,
            columns=mapping,
            id_column=id_column,
            encoding=encoding,
            drop_blank=drop_blank,
            keep_blank=keep_blank,
            quotes=quotes,
            allow_overlap=allow_overlap,
            device=device,
            trust_remote_code=trust_remote_code,
            executor=executor,
            on_event=reporter.event,
            on_notice=reporter.notice,
        )
    classifier = spelt_as(out, result.classifier) if result.classifier else None
    if as_json:
        paths = {"path": str(out), "classifier": str(classifier) if classifier else None}
        print_json({**result.report, **paths, "notices": reporter.notices})
        return
    from petkit.cli.results import show_results

    show_results(result.report, path=out, classifier=classifier)


def _changes(config: Path | None, flags: dict[str, Any], settings: list[str] | None) -> dict[str, Any]:
    """The settings that differ from the preset: from the file, then from flags, then from --set; the last one counts."""
    from petkit.settings import read_toml

    given = {name: value for name, value in flags.items() if value is not None}
    return {**(read_toml(str(config)) if config else {}), **given, **pairs(settings, "--set")}
