"""``petkit export``: the classifier as ONNX, and onto the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from typer import Option

from petkit.cli.options import AsJson, RunFolderPath
from petkit.cli.reporter import Reporter, print_json
from petkit.errors import SettingsError

__all__ = ["export"]

Onnx = Annotated[bool, Option("--onnx", help="Write model.onnx for onnxruntime (extra onnx), compared with the original on real rows.")]
Int8 = Annotated[bool, Option("--int8", help="Also model.int8.onnx with 8-bit weights, and what that costs.")]
Out = Annotated[Path | None, Option("--out", metavar="DIR", help="The folder for the ONNX files; default: DIR/onnx.")]
Push = Annotated[
    str | None, Option("--push-to", metavar="hub:NAME", help="Upload the classifier and its card. Nothing is sent without it.")
]
Private = Annotated[bool, Option("--private", help="With --push-to: a new repository is private.")]


def export(
    path: RunFolderPath,
    onnx: Onnx = False,
    int8: Int8 = False,
    out: Out = None,
    push_to: Push = None,
    private: Private = False,
    as_json: AsJson = False,
) -> None:
    """Write a run's classifier as ONNX, or upload it."""
    _check(onnx, int8, out, push_to, private)
    from petkit.exporting import export_onnx
    from petkit.publishing import push_to_hub

    done: dict[str, Any] = {"onnx": None, "pushed": None}
    with Reporter(quiet=as_json) as reporter:
        if onnx:
            made = export_onnx(path, out or path / "onnx", int8=int8)
            done["onnx"] = made.as_dict()
            for line in () if as_json else _lines(done["onnx"]):
                reporter.say(line)
        if push_to:
            done["pushed"] = push_to_hub(path, push_to, private=private, folder=done["onnx"] and done["onnx"]["path"])
            reporter.say(f"Uploaded: {done['pushed']}")
    if as_json:
        print_json(done)


def _check(onnx: bool, int8: bool, out: Path | None, push_to: str | None, private: bool) -> None:
    """Refuse flags without what they go with, before any model is opened."""
    from petkit.errors import raise_problems

    problems = [] if onnx or push_to else ["nothing to do: give --onnx, --push-to hub:NAME or both"]
    problems += [f"{flag} goes with --onnx" for flag, given in (("--int8", int8), ("--out", out)) if given and not onnx]
    problems += ["--private goes with --push-to"] if private and not push_to else []
    raise_problems(SettingsError, "petkit export", problems)
    if push_to:
        from petkit.publishing import hub_name

        hub_name(push_to)


def _lines(made: dict[str, Any]) -> list[str]:
    what = {"test": "the run's test rows", "pool": "the run's unlabelled rows", "examples": "example sentences (no run is around)"}
    lines = [f"Wrote {made['path']}. Compared on {made['compared']} of {what[made['rows']]}:"]
    for form in made["forms"]:
        accuracy = "" if form["accuracy"] is None else f", accuracy {form['accuracy']:.3f}"
        lines.append(
            f"  {form['file']}: {form['bytes'] / 1e6:.1f} MB, {form['milliseconds']:.1f} ms a text, same label on "
            f"{form['agreement']:.1%}, probabilities differ by {form['difference']:.1g} at most{accuracy}"
        )
    return lines
