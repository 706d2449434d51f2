"""``petkit pretrain``: a masked language model from raw text, new or from a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from rich.text import Text
from typer import Argument, Option

from petkit.cli.options import AsJson, Device
from petkit.cli.reporter import Reporter, print_json, spelled
from petkit.errors import SettingsError

__all__ = ["pretrain"]


def pretrain(
    files: Annotated[
        list[str],
        Argument(metavar="FILES...", help="Raw text: .txt, folders of .txt, JSONL, CSV or parquet (one text per row), or builtin:docs."),
    ],
    out: Annotated[Path, Option(metavar="DIR", help="The run folder; the checkpoint ends in DIR/model.")],
    objective: Annotated[
        str, Option(metavar="NAME", help="What to learn: mlm, whole-word, ngram, ...; those with a star in petkit objectives.")
    ] = "mlm",
    init: Annotated[str | None, Option(metavar="CHECKPOINT", help="Go on from a checkpoint instead of from scratch.")] = None,
    size: Annotated[str, Option(metavar="SIZE", help="tiny, mini, small, medium, base, or layers=N,hidden=N.")] = "mini",
    vocab_size: Annotated[int, Option(metavar="N", help="Word pieces of a new tokenizer, at most.")] = 8192,
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
    mask_rate: Annotated[float | None, Option(metavar="X", help="Share of tokens to predict; default: the objective's.")] = None,
    rows: Annotated[int, Option(metavar="N", help="Rows per update.")] = 32,
    length: Annotated[int, Option(metavar="N", help="Tokens per row.")] = 128,
    long_length: Annotated[int | None, Option(metavar="N", help="Tokens per row in the last tenth of the steps.")] = None,
    text_column: Annotated[str, Option(metavar="COLUMN", help="Where the text stands in files with columns.")] = "text",
    precision: Annotated[
        str | None, Option(metavar="NAME", help="float32, or bfloat16 autocast; default: bfloat16 on a GPU that has it, else float32.")
    ] = None,
    half: Annotated[bool, Option("--half", help="Save in half precision.")] = False,
    seed: Annotated[int, Option(metavar="N", help="Of all that is random.")] = 42,
    device: Device = "auto",
    threads: Annotated[int | None, Option(metavar="N", help="Of the CPU; default: as torch chooses.")] = None,
    as_json: AsJson = False,
) -> None:
    """Pretrain a masked language model on raw text, from scratch or from a checkpoint (--init)."""
    from petkit.compute import choose_device, default_precision
    from petkit.pretraining import PretrainSettings, run_pretraining

    _use_threads(threads)
    layers, hidden = _size(size)
    where = choose_device(device)
    settings = PretrainSettings(
        steps=steps,
        objective=objective,
        mask_rate=mask_rate,
        init=init,
        layers=layers,
        hidden=hidden,
        vocabulary=vocab_size,
        keep=_keep(keep_words),
        rows=rows,
        length=length,
        long_length=long_length,
        max_positions=max(256, length, long_length or 0),
        learning_rate=learning_rate,
        warmup=warmup,
        schedule=schedule,  # type: ignore[arg-type]  # checked there
        weight_decay=weight_decay,
        precision=precision or default_precision(where),
        device=where,
        seed=seed,
    )
    with Reporter(quiet=as_json) as reporter:
        figures = run_pretraining(files, settings, str(out), column=text_column, half=half, on_event=reporter.event)
    print_json(figures) if as_json else _show(figures)


def _use_threads(threads: int | None) -> None:
    if threads is None:
        return
    if threads < 1:
        raise SettingsError(f"--threads is {threads}; at least 1 is legal")
    import torch

    torch.set_num_threads(threads)


def _size(text: str) -> tuple[int, int]:
    """Layers and hidden size of a name, or of ``layers=N,hidden=N``.

    >>> _size("tiny"), _size("layers=3, hidden=192")
    ((2, 128), (3, 192))
    """
    from petkit.pretraining import SIZES

    if text in SIZES:
        return SIZES[text]
    values = dict(part.strip().split("=", 1) for part in text.split(",") if "=" in part)
    if set(values) != {"layers", "hidden"} or not all(value.isdigit() for value in values.values()):
        raise SettingsError(f"--size is {text!r}; legal are {', '.join(SIZES)}, and layers=N,hidden=N")
    return int(values["layers"]), int(values["hidden"])


def _keep(values: list[str] | None) -> tuple[str, ...]:
    """The words of ``--keep-words``, each once."""
    from petkit.builtin import label_words

    lists = [label_words() if value == "builtin" else [word.strip() for word in value.split(",")] for value in values or ()]
    return tuple(dict.fromkeys(word for words in lists for word in words if word))


def _show(figures: dict[str, Any]) -> None:
    console = Console(highlight=False)
    console.print(Text(f"Held-out text: {spelled({name: figures[name] for name in ('loss', 'accuracy')})} (masked tokens)"))
    console.print(Text(f"Model: {figures['model']}"), soft_wrap=True)
    console.print(Text(f"Next: petkit train TASK --model {figures['model']} ..."), soft_wrap=True)
