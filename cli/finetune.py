"""``petkit finetune``: a checkpoint on labelled rows alone: labels, tags, answers, texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from rich.text import Text
from typer import Argument, Option

from petkit.cli.options import AsJson, Deterministic, Device, Encoding, ModelName, Quotes, Threads
from petkit.cli.reporter import Reporter, print_json, spelled
from petkit.wording import spelt_as

__all__ = ["finetune"]


def finetune(
    kind: Annotated[str, Argument(metavar="KIND", help="classify, tag (words), answer (spans of a context) or generate (text to text).")],
    train: Annotated[str, Option("--train", metavar="F", help="Labelled rows; see docs/finetune.md for what each kind reads.")],
    out: Annotated[Path, Option(metavar="DIR", help="The run folder: new, empty, or an unfinished run; the model ends in DIR/model.")],
    model: ModelName = "builtin",
    test: Annotated[str | None, Option(metavar="F", help="Rows for predictions and scores, never trained on.")] = None,
    development: Annotated[
        str | None,
        Option(metavar="F", help="Labelled rows, scored apart from the test; of --no-answer they fit the threshold, nothing else."),
    ] = None,
    epochs: Annotated[float | None, Option(metavar="X", help="Passes over the training rows; default 3.")] = None,
    steps: Annotated[int | None, Option(metavar="N", help="Updates, instead of --epochs.")] = None,
    batch: Annotated[int | None, Option(metavar="N", help="Rows per update; default 32.")] = None,
    accumulate: Annotated[int, Option(metavar="N", help="Parts of a batch, one after the other: less memory.")] = 1,
    learning_rate: Annotated[float | None, Option(metavar="X", help="The largest, after the warm-up; default: the kind's.")] = None,
    warmup: Annotated[float, Option(metavar="X", help="Share of the steps (from 1 on: their number) with a rising rate.")] = 0.1,
    schedule: Annotated[str, Option(metavar="NAME", help="After the warm-up: linear (to 0), constant, or trapezoid.")] = "linear",
    weight_decay: Annotated[float, Option(metavar="X", help="Of the weights, not of biases and norms.")] = 0.01,
    max_length: Annotated[int | None, Option(metavar="N", help="Tokens per row, or per window of a long text.")] = None,
    stride: Annotated[int | None, Option(metavar="N", help="tag, answer: tokens that neighbouring windows share.")] = None,
    text_columns: Annotated[
        list[str] | None,
        Option("--text-column", metavar="COLUMN", help="classify, generate: holds a text; default text. Repeatable: two make a pair."),
    ] = None,
    label_column: Annotated[
        str | None, Option(metavar="COLUMN", help="classify, generate: label, or what is to be written; default label.")
    ] = None,
    token_column: Annotated[str | None, Option(metavar="COLUMN", help="tag: lists of words; default tokens.")] = None,
    tag_column: Annotated[str | None, Option(metavar="COLUMN", help="tag: lists of BIO tags; default tags.")] = None,
    no_answer: Annotated[bool, Option("--no-answer", help="answer: a question may have none.")] = False,
    null_threshold: Annotated[
        float | None,
        Option(
            metavar="X",
            help="answer: none if the null score is more than X above the best answer's; default: fitted on --development, else 0.",
        ),
    ] = None,
    n_best: Annotated[int | None, Option(metavar="N", help="answer: candidates listed per question; default 20.")] = None,
    longest_answer: Annotated[int | None, Option(metavar="N", help="answer: tokens of one at most; default 30.")] = None,
    target: Annotated[str | None, Option(metavar="WHAT", help="generate: label, similarity, answer, or text (default).")] = None,
    prefix: Annotated[str | None, Option(metavar="TEXT", help="generate: what every source text begins with.")] = None,
    longest_target: Annotated[int | None, Option(metavar="N", help="generate: tokens to write at most; default 64.")] = None,
    beams: Annotated[int | None, Option(metavar="N", help="generate: of beam search; default 4.")] = None,
    strategy: Annotated[
        str, Option(metavar="NAME", help="Which weights learn: full, last:N, gradual, adapters[:WIDTH], lora[:RANK].")
    ] = "full",
    allow_overlap: Annotated[
        bool, Option("--allow-overlap", help="Go on if training, development and test rows share some; the report says so.")
    ] = False,
    encoding: Encoding = None,
    quotes: Quotes = True,
    precision: Annotated[
        str | None, Option(metavar="NAME", help="float32, or bfloat16 autocast; default: bfloat16 on a GPU that has it, else float32.")
    ] = None,
    seed: Annotated[int, Option(metavar="N", help="Of all that is random.")] = 42,
    device: Device = "auto",
    threads: Threads = None,
    deterministic: Deterministic = False,
    as_json: AsJson = False,
) -> None:
    """Fine-tune a checkpoint on labelled rows. The same command resumes an unfinished run."""
    given: dict[str, Any] = {
        "epochs": epochs,
        "steps": steps,
        "batch": batch,
        "accumulate": accumulate,
        "learning_rate": learning_rate,
        "warmup": warmup,
        "schedule": schedule,
        "weight_decay": weight_decay,
        "max_length": max_length,
        "stride": stride,
        "fields": tuple(text_columns) if text_columns else None,
        "label_column": label_column,
        "token_column": token_column,
        "tag_column": tag_column,
        "no_answer": no_answer or None,
        "null_threshold": null_threshold,
        "n_best": n_best,
        "longest_answer": longest_answer,
        "target": target,
        "prefix": prefix,
        "longest_target": longest_target,
        "beams": beams,
        "strategy": strategy,
        "threads": threads,
        "deterministic": deterministic,
        "seed": seed,
    }
    from petkit import finetuning
    from petkit.compute import choose_device, default_precision

    where = choose_device(device)
    settings = finetuning.FinetuneSettings(**given, device=where, precision=precision or default_precision(where))
    with Reporter(quiet=as_json) as reporter:
        result = finetuning.finetune(
            kind,
            model=model,
            train=train,
            test=test,
            development=development,
            out=out,
            settings=settings,
            allow_overlap=allow_overlap,
            encoding=encoding,
            quotes=quotes,
            on_event=reporter.event,
            on_notice=reporter.notice,
        )
    named = {"model_folder": result.model, "predictions": result.predictions, "development_predictions": result.development_predictions}
    paths = {"path": str(out), "predictions": None} | {name: str(spelt_as(Path(out), path)) for name, path in named.items() if path}
    print_json({**result.report, **paths}) if as_json else _show(result.report, paths)


def _show(report: dict[str, Any], paths: dict[str, Any]) -> None:
    console = Console(highlight=False)
    predictions = {"Predictions": paths["predictions"], "Predictions of development rows": paths.get("development_predictions")}
    lines = [
        *(_scores(report) or ["Nothing is scored: no test rows say what is right (--test)."]),
        f"Model: {paths['model_folder']}",
        *(f"{name}: {path}" for name, path in predictions.items() if path),
        f"Report: {Path(paths['path']) / 'report.json'}",
    ]
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def _scores(report: dict[str, Any]) -> list[str]:
    from petkit.report.names import FINETUNING_NAMES

    scored = {"Development": report.get("development"), "Test": report["test"]}
    return [f"{name}: {spelled(scores, FINETUNING_NAMES)}" for name, scores in scored.items() if scores is not None]
