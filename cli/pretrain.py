"""``petkit pretrain``: a language model from raw text, new or from a checkpoint."""

from __future__ import annotations

import json
import os
import shlex
import time
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from rich.text import Text
from typer import Argument, Exit, Option

from petkit.choices import did_you_mean
from petkit.cli.options import AsJson, Deterministic, Device, Threads
from petkit.cli.reporter import Reporter, print_json, spelled
from petkit.errors import SettingsError, raise_problems
from petkit.wording import spelt_as

__all__ = ["pretrain"]

_NUMBERS = ("layers", "hidden", "heads", "intermediate")
"""What ``--size`` names, the first two always."""
_GRACE = 2.0
"""Seconds: a launcher stops all processes when one has ended."""


def pretrain(
    files: Annotated[
        list[str],
        Argument(
            metavar="FILES...",
            help="Raw text: .txt (paragraphs or lines), JSONL, CSV or parquet, folders of them, or builtin:docs.",
        ),
    ],
    out: Annotated[Path, Option(metavar="DIR", help="The run folder; the checkpoint ends in DIR/model.")],
    objective: Annotated[
        str, Option(metavar="NAME[,NAME]", help="What to learn: a name of petkit objectives; several take turns.")
    ] = "mlm",
    arch: Annotated[
        str | None, Option(metavar="NAME", help="Of a new model: bert (default), roberta, albert, electra, modernbert, t5, bart, gpt2, ...")
    ] = None,
    size: Annotated[
        str | None,
        Option(
            metavar="SIZE",
            help="Of a new model: tiny, mini (default), small, medium, base, or layers=N,hidden=N (also heads=N, intermediate=N).",
        ),
    ] = None,
    init: Annotated[str | None, Option(metavar="CHECKPOINT", help="Go on from a checkpoint instead of from scratch.")] = None,
    teacher: Annotated[str | None, Option(metavar="CHECKPOINT", help="What the objective distilbert learns from.")] = None,
    tokenizer: Annotated[str | None, Option(metavar="DIR", help="Instead of the checkpoint's, or of a new one.")] = None,
    vocab_size: Annotated[int | None, Option(metavar="N", help="Pieces of a new tokenizer, at most; default: 8192.")] = None,
    keep_words: Annotated[
        list[str] | None,
        Option(
            metavar="WORDS",
            help="Words that a new tokenizer keeps whole: A,B,C, or builtin for the ready-made tasks' label words. Repeatable.",
        ),
    ] = None,
    steps: Annotated[int, Option(metavar="N", help="Updates.")] = 10_000,
    learning_rate: Annotated[float, Option(metavar="X", help="The largest, after the warm-up.")] = 1e-3,
    warmup: Annotated[
        float, Option(metavar="X", help="With a rising rate: a share of the steps below 1, a number of steps from 1 on.")
    ] = 0.06,
    schedule: Annotated[
        str, Option(metavar="NAME", help="After the warm-up: linear (to 0), constant, or trapezoid (to 0 in the last fifth).")
    ] = "linear",
    weight_decay: Annotated[float, Option(metavar="X", help="Of the weights, not of biases and norms.")] = 0.01,
    dropout: Annotated[float, Option(metavar="X", help="While pretraining; the checkpoint says 0.1, for fine-tuning.")] = 0.0,
    mask_rate: Annotated[float | None, Option(metavar="X", help="Share of tokens to predict; default: the objective's.")] = None,
    rows: Annotated[int, Option(metavar="N", help="Rows per update, of all processes together.")] = 32,
    accumulate: Annotated[int, Option(metavar="N", help="Parts in which an update's rows go through the model, to save memory.")] = 1,
    length: Annotated[int, Option(metavar="N", help="Tokens per row.")] = 128,
    long_length: Annotated[int | None, Option(metavar="N", help="Tokens per row in the last tenth of the steps.")] = None,
    separate: Annotated[bool, Option("--separate", help="Every file is a data set of its own; they take turns.")] = False,
    mixing: Annotated[str, Option(metavar="NAME", help="How often data sets and objectives come up: proportional (by rows), or equal.")] = (
        "proportional"
    ),
    mix_cap: Annotated[int | None, Option(metavar="N", help="Rows at which a data set counts no more.")] = None,
    mix_temperature: Annotated[float, Option(metavar="X", help="1 is proportional; the higher, the more equal.")] = 1.0,
    held_out: Annotated[float, Option(metavar="X", help="Share of the text that only measures the loss.")] = 0.01,
    measure_every: Annotated[
        int | None, Option(metavar="N", help="Updates between two measurements; default: a tenth of all, at least 200; 0: at the end only.")
    ] = None,
    units: Annotated[
        str | None,
        Option(
            metavar="COLUMN",
            help="For ernie: where each text's phrases or entities stand, as a list of pairs of its characters, start and end.",
        ),
    ] = None,
    text_column: Annotated[str, Option(metavar="COLUMN", help="Where the text stands in files with columns.")] = "text",
    encoding: Annotated[str | None, Option(metavar="NAME", help="Of text files; default UTF-8.")] = None,
    no_quotes: Annotated[bool, Option("--no-quotes", help="Quotes enclose no cells in CSV and TSV: they are text.")] = False,
    cache: Annotated[Path | None, Option(metavar="DIR", help="Where tokenised text is kept for other runs; default: DIR/tokens.")] = None,
    precision: Annotated[
        str | None, Option(metavar="NAME", help="float32, or bfloat16 autocast; default: bfloat16 on a GPU that has it, else float32.")
    ] = None,
    gradient_checkpointing: Annotated[
        bool, Option("--gradient-checkpointing", help="Compute layers again in the backward pass, which saves memory.")
    ] = False,
    compile_layers: Annotated[bool, Option("--compile", help="Layers by torch.compile; needs a C++ compiler on the CPU.")] = False,
    workers: Annotated[int, Option(metavar="N", help="Processes that make batches beside the one that trains.")] = 0,
    half: Annotated[bool, Option("--half", help="Save in half precision.")] = False,
    tensorboard: Annotated[bool, Option("--tensorboard", help="Also write the curves to DIR/tensorboard.")] = False,
    seed: Annotated[int, Option(metavar="N", help="Of all that is random.")] = 42,
    device: Device = "auto",
    threads: Threads = None,
    deterministic: Deterministic = False,
    as_json: AsJson = False,
) -> None:
    """Pretrain a language model on raw text, from scratch or from a checkpoint (--init).

    Under torchrun or accelerate launch several processes train one model.
    """
    from petkit.compute import choose_device, default_precision
    from petkit.pretraining import PretrainSettings

    where = choose_device(device)
    _check_new(init, tokenizer, {"--arch": arch, "--size": size}, {"--vocab-size": vocab_size, "--keep-words": keep_words})
    settings = PretrainSettings(
        steps=steps,
        objectives=_objectives(objective),
        mask_rate=mask_rate,
        units=units,
        init=init,
        arch=arch or "bert",
        **_size(size or "mini"),
        tokenizer=tokenizer,
        teacher=teacher,
        vocabulary=PretrainSettings.vocabulary if vocab_size is None else vocab_size,
        keep=_keep(keep_words),
        rows=rows,
        length=length,
        long_length=long_length,
        max_positions=max(256, length, long_length or 0),
        accumulate=accumulate,
        separate=separate,
        mixing=mixing,  # type: ignore[arg-type]  # checked there, as is the schedule
        mix_cap=mix_cap,
        mix_temperature=mix_temperature,
        learning_rate=learning_rate,
        warmup=warmup,
        schedule=schedule,  # type: ignore[arg-type]
        weight_decay=weight_decay,
        dropout=dropout,
        held_out=held_out,
        measure_every=measure_every,
        gradient_checkpointing=gradient_checkpointing,
        compile=compile_layers,
        workers=workers,
        precision=precision or default_precision(where),
        device=where,
        threads=threads,
        deterministic=deterministic,
        seed=seed,
    )
    reading = {"column": text_column, "quotes": not no_quotes, **({"encoding": encoding} if encoding is not None else {})}
    places: dict[str, Any] = {**reading, "half": half, "cache": str(cache) if cache else None, "tensorboard": tensorboard}
    if figures := _pretrained(files, settings, out, places, quiet=as_json):  # only rank 0 has any
        (print_json if as_json else _show)(figures)


def _check_new(init: str | None, tokenizer: str | None, model: dict[str, Any], words: dict[str, Any]) -> None:
    """Raise SettingsError for options of a new model, or of a new tokenizer, where there is none. By flag; None and nothing: not given."""
    problems = []
    if init is not None:
        problems += [f"{flag} is for a new model; --init takes a checkpoint's own" for flag, value in model.items() if value]
    if init is not None or tokenizer is not None:
        whose = "--init takes a checkpoint's own" if tokenizer is None else "--tokenizer names one"
        problems += [f"{flag} is for a new tokenizer; {whose}" for flag, value in words.items() if value]
    raise_problems(SettingsError, "pretrain", problems)


def _pretrained(files: list[str], settings: Any, out: Path, places: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    """The figures of a run, with what it ``measured``; {} on other ranks than 0."""
    from petkit.pretraining import measured, run_pretraining
    from petkit.pretraining.ranks import Dismissed

    with Reporter(quiet=quiet or os.environ.get("RANK", "0") != "0") as reporter:
        try:
            figures = run_pretraining(files, settings, str(out), **places, on_event=reporter.event, on_notice=reporter.notice)
        except Dismissed as error:  # the first process of several says why, if the launcher leaves it the time
            time.sleep(_GRACE)
            raise Exit(error.code) from None
    if not figures:
        return {}
    found = measured(out)
    return {**figures, "model": str(spelt_as(Path(out), Path(figures["model"]))), **({"measured": found} if found else {})}


def _objectives(text: str) -> tuple[str, ...]:
    """The names of ``NAME[,NAME]``."""
    names = tuple(name.strip() for name in text.split(","))
    if "" in names:
        raise SettingsError(f"--objective is {text!r}, in which a name is empty; one name is legal, or several with commas between them")
    return names


def _size(text: str) -> dict[str, Any]:
    """Layers, hidden size and the like of a name, or of ``layers=N,hidden=N``.

    >>> _size("tiny"), _size("layers=3, hidden=192, heads=6")
    ({'layers': 2, 'hidden': 128}, {'layers': 3, 'hidden': 192, 'heads': 6})
    """
    from petkit.pretraining import SIZES

    if text in SIZES:
        layers, hidden = SIZES[text]
        return {"layers": layers, "hidden": hidden}
    parts = [(name, value) for name, _, value in (part.strip().partition("=") for part in text.split(","))]
    if (why := _no_size(parts)) is not None:
        legal = f"legal are {', '.join(SIZES)}, and layers=N,hidden=N[,heads=N][,intermediate=N]"
        raise SettingsError(f"--size is {text!r}{why}; {legal}{did_you_mean(text, SIZES)}")
    return {name: int(value) for name, value in parts}


def _no_size(parts: list[tuple[str, str]]) -> str | None:
    """What is wrong with numbers by name, if something is.

    >>> _no_size([("layers", "2")]), _no_size([("layers", "2"), ("hidden", "x")]), _no_size([("layers", "2"), ("hidden", "64")])
    (', without hidden', ", where hidden is 'x'", None)
    """
    given = [name for name, _ in parts]
    if not set(given) & set(_NUMBERS):
        return ""  # neither a name nor numbers
    if unknown := [name for name in given if name not in _NUMBERS]:
        return f", with {unknown[0]!r} in it"
    if missing := [name for name in ("layers", "hidden") if name not in given]:
        return f", without {missing[0]}"
    if twice := [name for name in _NUMBERS if given.count(name) > 1]:
        return f", with {twice[0]} twice"
    return next((f", where {name} is {value!r}" for name, value in parts if not value.isdecimal()), None)


def _keep(values: list[str] | None) -> tuple[str, ...]:
    """The words of ``--keep-words``, each once."""
    from petkit.builtin import label_words

    lists = [label_words() if value == "builtin" else [word.strip() for word in value.split(",")] for value in values or ()]
    return tuple(dict.fromkeys(word for words in lists for word in words if word))


def _show(figures: dict[str, Any]) -> None:
    console = Console(highlight=False)
    share = f"{figures['held_out_tokens']:,} of {figures['text_tokens']:,} tokens"
    console.print(Text(f"Held-out text ({share}): {spelled(figures['held_out'])}"))
    if "held_out_before" in figures:
        console.print(Text(f"Before: {spelled(figures['held_out_before'])}"))
    if "rates" in figures:
        console.print(Text(f"Rates: {spelled(figures['rates'])}"))
    if "tokens_per_second" in figures.get("measured", {}):
        console.print(Text(f"Speed: {_speed(figures['measured'])}"))
    console.print(Text(f"Model: {figures['model']}"), soft_wrap=True)
    if _fills_gaps(Path(figures["model"])):
        console.print(Text(f"Next: petkit train TASK --model {shlex.quote(str(figures['model']))} ..."), soft_wrap=True)


def _speed(measured: dict[str, Any]) -> str:
    """Tokens, and rows or pairs by objective, a second.

    >>> _speed({"tokens_per_second": 12345.6, "objectives": {"mlm": {"rows_per_second": 60.2}}})
    '12,346 tokens/s, 60.2 rows/s'
    >>> _speed({"tokens_per_second": 900.0, "objectives": {"mlm": {"rows_per_second": 4.0}, "nsp": {"pairs_per_second": 3.0}}})
    '900 tokens/s, mlm 4.0 rows/s, nsp 3.0 pairs/s'
    """
    parts = [
        f"{f'{name} ' if len(measured['objectives']) > 1 else ''}{value:,.1f} {unit.removesuffix('_per_second')}/s"
        for name, found in measured["objectives"].items()
        for unit, value in found.items()
    ]
    return ", ".join([f"{measured['tokens_per_second']:,.0f} tokens/s", *parts])


def _fills_gaps(model: Path) -> bool:
    """Whether it is of a family that petkit train takes."""
    from petkit.backbones import FAMILIES

    config = model / "config.json"
    return config.is_file() and json.loads(config.read_text("utf-8")).get("model_type") in FAMILIES
