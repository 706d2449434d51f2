"""``petkit evaluate``: a few-shot study over tasks, numbers of labels, splits, seeds and methods."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text
from typer import Option

from petkit.cli.completing import study_methods, task_names
from petkit.cli.exits import REGRESSION
from petkit.cli.options import (
    AsJson,
    ChangedSettings,
    ColumnMap,
    Device,
    DropBlank,
    Encoding,
    KeepBlank,
    ModelName,
    Preset,
    TrustRemoteCode,
    pairs,
)
from petkit.cli.reporter import print_json
from petkit.cli.studies import StudyReporter, show_study
from petkit.errors import SettingsError
from petkit.wording import many

__all__ = ["evaluate"]


def evaluate(
    tasks: Annotated[
        list[str],
        typer.Argument(metavar="TASK...", help="Ready-made names (see petkit tasks) or paths to .py files.", autocompletion=task_names),
    ],
    data: Annotated[
        list[str],
        Option(
            metavar="DIR",
            help="A folder with train and test files (.jsonl, .csv, .tsv, .parquet) and maybe unlabeled (.txt too); for several tasks the "
            "folder that holds one such folder called like each, or NAME=DIR, repeatable.",
        ),
    ],
    out: Annotated[Path, Option(metavar="DIR", help="The study's folder: new, empty, or an unfinished study to go on with.")],
    model: ModelName = "builtin",
    shots: Annotated[str | None, Option(metavar="N,N", help="Labelled rows per label; default 16.")] = None,
    splits: Annotated[
        str, Option(metavar="N", help="How many draws of the labelled rows; or given, given:FOLDER: splits in DIR/FOLDER/NAME/train files.")
    ] = "5",
    seeds: Annotated[int, Option(metavar="N", min=1, help="Trainings per split, which differ in seed only.")] = 1,
    methods: Annotated[
        str,
        Option(
            metavar="M,M",
            help="Of pet, ipet, single, supervised, linear-probe, tfidf, setfit, zero-shot, label-embedding, majority; "
            "default: pet, supervised, linear-probe, tfidf, majority.",
            show_default=False,
            autocompletion=study_methods,
        ),
    ] = "pet,supervised,linear-probe,tfidf,majority",
    draw: Annotated[
        str | None,
        Option(
            metavar="HOW",
            help="per-class (default), or by-chance: as many rows in all, with the imbalance of the training file.",
        ),
    ] = None,
    unlabeled: Annotated[str | None, Option(metavar="F", help="The pool; default: the unlabeled file, else the training file.")] = None,
    test: Annotated[str | None, Option(metavar="F", help="The test, in the place of the test file.")] = None,
    test_limit: Annotated[int | None, Option(metavar="N", min=1, help="Score on so many test rows, drawn by the seed.")] = None,
    pool_from_test: Annotated[
        int, Option(metavar="N", min=0, help="Take so many test rows, by the hash of their text, as the pool; they leave the test.")
    ] = 0,
    adapt: Annotated[
        int | None, Option("--adapt", metavar="[STEPS]", help="First adapt the checkpoint to each task's pool; all methods start there.")
    ] = None,
    preset: Preset = "auto",
    settings: ChangedSettings = None,
    measure_development_gain: Annotated[
        bool,
        Option("--measure-development-gain", help="Also measure what choosing by development rows would have gained. No result changes."),
    ] = False,
    calibration_folds: Annotated[
        int, Option(metavar="N", min=0, help="Further trainings of plain fine-tuning per cell, for its temperature; 0 for none.")
    ] = 2,
    columns: ColumnMap = None,
    encoding: Encoding = None,
    drop_blank: DropBlank = False,
    keep_blank: KeepBlank = False,
    no_quotes: Annotated[bool, Option("--no-quotes", help="Quotes mean nothing in CSV and TSV: they enclose no cells.")] = False,
    allow_overlap: Annotated[
        bool,
        Option("--allow-overlap", help="Go on if labelled or development rows of given splits are also test rows; the report says so."),
    ] = False,
    workers: Annotated[int, Option(metavar="N", min=1, help="Units at a time, each in a process of its own; several GPUs in turn.")] = 1,
    device: Device = "auto",
    against: Annotated[
        Path | None, Option(metavar="DIR", help="An earlier study: end with exit code 3 if this one is worse on the same cells.")
    ] = None,
    trust_remote_code: TrustRemoteCode = False,
    as_json: AsJson = False,
) -> None:
    """Compare methods on few labels, over several splits, and say what the differences are worth. The same command resumes.

    The labelled rows of each split come from the training file, the pool is that file without labels, and the test is scored once per
    cell. No development set is used. Exit codes: 0, 2 for a mistake of yours, 1 for a failure of petkit, 3 for a regression (--against),
    130 when interrupted, 143 by SIGTERM.
    """
    changes = {**({"adapt_steps": adapt} if adapt is not None else {}), **pairs(settings, "--set")}
    mapping = pairs(columns, "--column")
    earlier = read_earlier(against) if against else None
    from petkit.evaluation.study import evaluate as run_study
    from petkit.executors import executor_for

    with StudyReporter(quiet=as_json) as reporter, executor_for(workers, device=device) as executor:
        result = run_study(
            tasks,
            data=data,
            out=str(out),
            model=model,
            shots=None if shots is None else numbers(shots, "--shots"),
            splits=int(splits) if splits.isdecimal() else splits,
            seeds=seeds,
            methods=[name.strip() for name in methods.split(",") if name.strip()],
            draw=draw,
            preset=preset,
            settings=changes,
            unlabeled=unlabeled,
            test=test,
            test_limit=test_limit,
            pool_from_test=pool_from_test,
            measure_development_gain=measure_development_gain,
            calibration_folds=calibration_folds,
            columns=mapping,
            drop_blank=drop_blank,
            keep_blank=keep_blank,
            encoding=encoding,
            quotes=not no_quotes,  # a pair of flags would leave no room for --measure-development-gain in 80 columns
            allow_overlap=allow_overlap,
            against=earlier,
            device=device,
            trust_remote_code=trust_remote_code,
            executor=executor,
            workers=workers,
            on_progress=reporter.progress,
            on_notice=reporter.notice,
        )
    found = compared(result.report, earlier) if earlier is not None else {}
    if as_json:
        print_json({**result.report, "path": str(out), "notices": reporter.notices, **found})
    else:
        show_compared(result.report, out, found)
    if found.get("regressions"):
        raise typer.Exit(REGRESSION)


def compared(new: Mapping[str, Any], earlier: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """What ``--against`` finds: ``regressions``, and what is worse where too few splits could decide (``undecided``)."""
    from petkit.report.compare import regressions, undecided

    return {"regressions": regressions(new, earlier), "undecided": undecided(new, earlier)}


def show_compared(report: Mapping[str, Any], path: Path, found: Mapping[str, list[dict[str, Any]]]) -> None:
    """The study, and what ``--against`` found: that nothing is worse is said only where all could be decided."""
    worse, open_ones = found.get("regressions"), found.get("undecided", [])
    show_study(report, path=path, regressions=worse or None if open_ones else worse)
    if open_ones:
        title = f"Worse than in the earlier study, without a decision: {many(len(open_ones), 'score')}"
        lines = [title, *(f"  {one['sentence']}" for one in open_ones)]
        Console(highlight=False).print(Text("\n".join(lines)), soft_wrap=True)


def numbers(text: str, flag: str) -> list[int]:
    """Whole numbers with commas between them.

    >>> numbers("4, 16", "--shots")
    [4, 16]
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    wrong = [part for part in parts if not part.isdecimal()]
    if wrong or not parts:
        raise SettingsError(f"{flag} {text!r}: whole numbers with commas between them are legal, such as 4,16")
    return [int(part) for part in parts]


def read_earlier(folder: Path) -> dict[str, Any]:
    """The report of the study to compare with. Raises RunError if there is none that this petkit reads."""
    from petkit.report.beside import read_report

    return read_report(folder, study_for="--against")
