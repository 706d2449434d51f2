"""The driver of ``petkit finetune``: reads, checks, carries out, reports. The same call on an unfinished folder goes on with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from petkit.canonical import plain
from petkit.compute import accelerator, choose_device, computing_on, resumed_threads
from petkit.data.text import ENCODING
from petkit.errors import ModelError, SettingsError
from petkit.executors import OnEvent, run_all, silent
from petkit.files import make_directory, remove, write_bytes, write_json
from petkit.finetuning.kind import Kind
from petkit.finetuning.kinds import kind_of
from petkit.finetuning.models import longest_input, open_config, open_tokenizer
from petkit.finetuning.outcome import notices_of, publish_model, report_of
from petkit.finetuning.rows import refuse_overlap, refuse_unlabelled, save_rows
from petkit.finetuning.settings import FinetuneSettings
from petkit.finetuning.stages import DEVELOPMENT, INCOMING, MODEL, PREDICTIONS, ROWS, fingerprint
from petkit.pipeline import as_recorded, ignore
from petkit.prechecks import check_strategy, unknown_in
from petkit.provenance import checkpoint_digest, library_versions
from petkit.runs import RunFolder
from petkit.units import Unit
from petkit.unknowns import REMEDY, unknown_notice
from petkit.withdrawing import withdrawn_if_refused

__all__ = ["FinetuneResult", "finetune"]

OnNotice = Callable[[str], None]

PAIRS = (("train", "test"), ("development", "test"), ("development", "train"))
"""Parts that share no row: of the first none is in the second."""

FILES = {PREDICTIONS: "predictions.jsonl", DEVELOPMENT: "development-predictions.jsonl"}
"""Units that predict, and where users find the predictions."""


@dataclass(frozen=True)
class FinetuneResult:
    """A finished run: its folder, its report as in report.json, the model's folder, and the predictions (None without test rows).

    ``development_predictions``: those of the development rows, None without.
    """

    path: Path
    report: dict[str, Any]
    model: Path
    predictions: Path | None
    development_predictions: Path | None = None


def finetune(
    kind: str,
    *,
    model: str | PathLike[str],
    train: str | PathLike[str],
    out: str | Path,
    test: str | PathLike[str] | None = None,
    development: str | PathLike[str] | None = None,
    settings: FinetuneSettings | None = None,
    allow_overlap: bool = False,
    encoding: str | None = None,
    quotes: bool = True,
    on_event: OnEvent = silent,
    on_notice: OnNotice = ignore,
) -> FinetuneResult:
    """Fine-tune a checkpoint in the run folder ``out``; the model ends in ``out/model``, predictions in ``out/predictions.jsonl``.

    Args:
        kind: classify, tag, answer or generate (see ``petkit.finetuning.settings.KINDS``).
        model: a checkpoint's folder, a name on the hub, or ``builtin``. train, test: a source of rows each (see docs/finetune.md).
        development: a source of labelled rows, predicted and scored after training. They fit the null threshold of answers if a question
            may have none and no threshold is given, and decide nothing else.
        settings: None takes the recipe of the kind throughout.
        encoding, quotes: of text files (None: UTF-8), and whether ``"`` encloses cells in CSV and TSV.
        allow_overlap: training, development and test rows may equal each other; stamped on the report.
        on_event: told of the progress of units. on_notice: told, once each, what the user should know.

    Raises UserError (see ``petkit.errors``) for every mistake of the user's.
    """
    told: list[str] = []
    chosen, root = kind_of(kind), Path(out).absolute()  # whatever the working directory is meanwhile
    given = settings or FinetuneSettings()
    model, resolved = as_recorded(root, fspath(model)), _on_this_machine(root, given.resolved(kind))
    config, tokenizer = open_config(model, chosen.model_types), open_tokenizer(model)
    resolved = _fitting(model, config, tokenizer, given, resolved)
    check_strategy({"strategy": resolved.strategy}, model)
    read = partial(chosen.read, settings=resolved, encoding=ENCODING if encoding is None else encoding, quotes=quotes)
    rows = {"train": read(fspath(train)), "test": read(fspath(test)) if test is not None else []}
    facts = chosen.facts(rows["train"], rows["test"], resolved)
    if development is not None:
        rows["development"] = read(fspath(development))
        _check_development(chosen, rows, resolved)
        resolved = _left_open(resolved, given)
    overlaps = {
        (one, other): refuse_overlap(rows[one], rows[other], parts=(one, other), allow=allow_overlap) for one, other in PAIRS if one in rows
    }
    unknown = _unknown(tokenizer, model, rows)
    common = plain({"kind": kind, "model": model, "settings": asdict(resolved), "facts": facts, "seed": resolved.seed})
    inputs = {part: fingerprint(found) for part, found in rows.items()} | {"model": checkpoint_digest(model)}
    with (
        RunFolder.open(root, settings=common, inputs=inputs, versions=library_versions(), hardware=accelerator(resolved.device)) as run,
        withdrawn_if_refused(run, prepares=lambda name: name == ROWS, also=(INCOMING,)),
    ):
        told += [f"version changed since the run began: {change}" for change in run.version_changes]
        for notice in (*computing_on(resolved.device, resolved.precision), *unknown):
            on_notice(notice)  # now; the device is not in the report, since run.json has it
        units = _units(common, inputs, tested=bool(rows["test"]), developed="development" in rows)
        _take_rows(run, units[0], rows)
        run_all(units, run, on_event=on_event)
        if (run.root / INCOMING).exists():
            remove(run.root / INCOMING)
        names = [unit.name for unit in units]
        told += notices_of(run, names, resolved, overlaps)
        report = report_of(run, names, common, rows, inputs, overlaps, [*unknown, *told])
        publish_model(run, names)
        predicted = {name: root / file for name, file in FILES.items() if name in names}
        for name, file in predicted.items():
            write_bytes(file, (run.path(name) / "predictions.jsonl").read_bytes())
        write_json(root / "report.json", report)
    for notice in told:
        on_notice(notice)
    return FinetuneResult(root, report, root / "model", predicted.get(PREDICTIONS), predicted.get(DEVELOPMENT))


def _check_development(kind: Kind[Any], rows: Mapping[str, Sequence[Any]], settings: FinetuneSettings) -> None:
    """Raise DataError for development rows of which none is labelled, or that do not fit the training rows."""
    refuse_unlabelled(rows["development"])
    kind.facts(rows["train"], rows["development"], settings)


def _left_open(settings: FinetuneSettings, given: FinetuneSettings) -> FinetuneSettings:
    """With the null threshold, if one plays a part and none is given, left to the development rows: None."""
    return replace(settings, null_threshold=None) if settings.no_answer and given.null_threshold is None else settings


def _on_this_machine(root: Path, settings: FinetuneSettings) -> FinetuneSettings:
    """With the device and the number of threads that it is computed with; a run that is resumed keeps its number of threads."""
    return replace(settings, device=choose_device(settings.device), threads=resumed_threads(root, settings.threads))


def _unknown(tokenizer: Any, model: str, rows: Mapping[str, Sequence[Any]]) -> list[str]:
    """What the user should know of the tokens that the tokenizer does not know.

    Raises ModelError if it knows no token of any part.
    """
    found = {part: unknown_in(tokenizer, [row.content for row in part_rows]) for part, part_rows in rows.items()}
    shares = {f"the {part} rows" if part != "train" else "the training rows": share for part, share in found.items() if share is not None}
    if shares and min(shares.values()) == 1:
        raise ModelError(f"model {model!r}: its tokenizer knows no token of {' and '.join(shares)}; {REMEDY}")
    return [notice] if (notice := unknown_notice(shares)) else []


def _fitting(model: str, config: Any, tokenizer: Any, given: FinetuneSettings, resolved: FinetuneSettings) -> FinetuneSettings:
    """Settings that the checkpoint can take: the recipe's length cut to what it reads.

    Raises SettingsError for a given length that is too long, ModelError for a checkpoint that cannot serve.
    """
    if len(tokenizer) > config.vocab_size:
        raise ModelError(
            f"model {model!r}: its tokenizer has {len(tokenizer)} tokens and its weights {config.vocab_size}; they do not belong together"
        )
    limits = [limit for limit in (longest_input(config), tokenizer.model_max_length) if limit is not None]
    longest, wanted = min([int(limit) for limit in limits if limit < 10**9], default=None), resolved.max_length or 0
    if longest is None or wanted <= longest:
        return resolved
    if given.max_length is not None:
        raise SettingsError(f"--max-length is {wanted}; {model} reads {longest} tokens at most")
    stride = None if resolved.stride is None or given.stride is not None else min(resolved.stride, longest // 4)
    return replace(resolved, max_length=longest, stride=resolved.stride if stride is None else stride)


def _units(common: Mapping[str, Any], inputs: Mapping[str, str], *, tested: bool, developed: bool) -> list[Unit]:
    """What has to be done, in order."""
    parts = {part: inputs[part] for part in ("train", "test", "development") if part in inputs}
    units = [Unit(ROWS, "petkit.finetuning.stages:rows_unit", {"kind": common["kind"], "fingerprints": parts})]
    units.append(Unit(MODEL, "petkit.finetuning.stages:model_unit", {**common, "model_digest": inputs["model"]}, needs=(ROWS,)))
    if developed:
        units.append(Unit(DEVELOPMENT, "petkit.finetuning.stages:development_unit", common, needs=(ROWS, MODEL)))
    if tested:
        needs = (ROWS, MODEL, DEVELOPMENT) if developed else (ROWS, MODEL)
        units.append(Unit(PREDICTIONS, "petkit.finetuning.stages:predictions_unit", common, needs=needs))
    return units


def _take_rows(run: RunFolder, unit: Unit, rows: Mapping[str, Sequence[Any]]) -> None:
    """Lay the rows where the first unit finds them, unless it is done."""
    if run.check(unit, run.key(unit))[0] == "done":
        return
    make_directory(run.root / INCOMING)
    for part, found in rows.items():
        save_rows(run.root / INCOMING / f"{part}.jsonl", found)
