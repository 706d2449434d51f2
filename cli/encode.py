"""``petkit encode``: vectors of texts, from a pretrained model as it is."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from petkit.cli.options import AsJson, Device, Encoding, IdColumn, Quotes
from petkit.cli.reporter import Reporter, print_json
from petkit.errors import SettingsError

__all__ = ["encode"]


def encode(
    model: Annotated[str, Argument(metavar="MODEL", help="builtin, a local folder, or a name on the hub.")],
    file: Annotated[str, Argument(metavar="FILE", help="Rows with a text: CSV, TSV, JSONL, parquet, ..., or - for standard input.")],
    out: Annotated[Path, Option("--out", metavar="FILE", help="The parquet file to write.")],
    pooling: Annotated[
        str | None, Option("--pooling", metavar="A[,B]", help="cls, mean or both: a vector for each row. Default: all that the model has.")
    ] = None,
    tokens: Annotated[bool, Option("--tokens", help="A row for each token instead: its text, its place, its state.")] = False,
    layer: Annotated[int | None, Option("--layer", metavar="N", help="Whose output: 0 for the embeddings; default: the last.")] = None,
    max_length: Annotated[
        int | None, Option("--max-length", metavar="N", help="Tokens of a row; default: what the model takes, at most 512.")
    ] = None,
    token_budget: Annotated[int, Option("--token-budget", metavar="N", help="Tokens of a batch: less needs less memory.")] = 8192,
    text_column: Annotated[str, Option("--text-column", metavar="COLUMN", help="Holds the text.")] = "text",
    pair_column: Annotated[str | None, Option("--pair-column", metavar="COLUMN", help="Holds a second text: vectors of pairs.")] = None,
    id_column: IdColumn = None,
    encoding: Encoding = None,
    quotes: Quotes = True,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Write what a pretrained model makes of texts: vectors of sentences, pairs or tokens, as parquet."""
    poolings = _check(out, pooling, tokens)
    options: dict[str, Any] = {"columns": {"text": text_column}, "pair": pair_column, "id_column": id_column, "quotes": quotes}
    options |= {"encoding": encoding} if encoding else {}
    from petkit.executors import Event
    from petkit.representationfiles import encode_file
    from petkit.representations import load_vectors
    from petkit.unknowns import unknown_notice

    with Reporter(quiet=as_json) as reporter:
        vectors = load_vectors(model, layer=layer, max_length=max_length, token_budget=token_budget, device=device)
        facts = {"model": model, "layer": layer, "max_length": vectors.max_length}

        def on_rows(done: int) -> None:
            reporter.event(Event("progress", "rows", done=done))

        done = encode_file(vectors, file, out, poolings=poolings, tokens=tokens, facts=facts, on_rows=on_rows, **options)
        if as_json:
            print_json({"out": str(out), **facts, **asdict(done)})
            return
        if done.blank:
            reporter.notice(f"{done.blank} of {done.rows} rows have a blank or missing text; they are encoded all the same")
        if done.cut:
            reporter.notice(f"{done.cut} of {done.rows} rows are longer than {vectors.max_length} tokens and were cut (--max-length)")
        if unknown := unknown_notice({"the texts": done.unknown}):
            reporter.notice(unknown)
        what = f"{done.written} tokens of {done.rows} rows" if tokens else f"{done.rows} rows"
        reporter.say(f"Encoded {what}, {done.width} numbers in {', '.join(done.columns)}: {out}")


def _check(out: Path, pooling: str | None, tokens: bool) -> list[str] | None:
    """The poolings asked for; flags are checked before any model is opened."""
    if out.suffix != ".parquet":
        raise SettingsError(f"--out is {str(out)!r}; a name that ends in .parquet is legal")
    if pooling is None:
        return None
    if tokens:
        raise SettingsError("--tokens writes a state for each token, and --pooling one vector for each row; give one of them")
    return [name.strip() for name in pooling.split(",")]
