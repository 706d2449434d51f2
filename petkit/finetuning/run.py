"""The driver of ``petkit finetune``: reads, checks, carries out, reports. The same call on an unfinished folder goes on with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from petkit.canonical import plain
from petkit.compute import accelerator, choose_device, computing_on, resumed_threads
from petkit.errors import ModelError, SettingsError
from petkit.executors import OnEvent, run_all, silent
from petkit.files import make_directory, remove, write_bytes, write_json
from petkit.finetuning.kind import Kind
from petkit.finetuning.kinds import kind_of
from petkit.finetuning.models import longest_input, open_config, open_tokenizer
from petkit.finetuning.rouge import ROUGE_MISSING, rouge_is_there
from petkit.finetuning.rows import refuse_overlap, save_rows
from petkit.finetuning.settings import FinetuneSettings
from petkit.finetuning.stages import INCOMING, MODEL, PREDICTIONS, ROWS, fingerprint
from petkit.pipeline import as_recorded, ignore
from petkit.prechecks import check_strategy
from petkit.provenance import checkpoint_digest, library_versions, publish
from petkit.runs import RunFolder
from petkit.units import Unit
from petkit.withdrawing import withdrawn_if_refused

__all__ = ["FinetuneResult", "finetune"]

OnNotice = Callable[[str], None]


@dataclass(frozen=True)
class FinetuneResult:
    """A finished run: its folder, its report as in report.json, the model's folder, and the predictions (None without test rows)."""

    path: Path
    report: dict[str, Any]
    model: Path
    predictions: Path | None


def finetune(
    kind: str,
    *,
    model: str,
    train: str,
    out: str | Path,
    test: str | None = None,
    settings: FinetuneSettings | None = None,
    allow_overlap: bool = False,
    on_event: OnEvent = silent,
    on_notice: OnNotice = ignore,
) -> FinetuneResult:
    """Fine-tune a checkpoint in the run folder ``out``; the model ends in ``out/model``, predictions in ``out/predictions.jsonl``.

    Args:
        kind: classify, tag, answer or generate (see ``petkit.finetuning.settings.KINDS``).
        model: a checkpoint's folder, a name on the hub, or ``builtin``. train, test: a source of rows each (see docs/finetune.md).
        settings: None takes the recipe of the kind throughout.
        allow_overlap: training rows may equal test rows; stamped on the report.
        on_event: told of the progress of units. on_notice: told, once each, what the user should know.

    Raises UserError (see ``petkit.errors``) for every mistake of the user's.
    """
    told: list[str] = []
    chosen, root = kind_of(kind), Path(out)
    given = settings or FinetuneSettings()
    model, resolved = as_recorded(root, model), _on_this_machine(root, given.resolved(kind))
    resolved = _fitting(chosen, model, given, resolved)
    check_strategy({"strategy": resolved.strategy}, model)
    rows = {"train": chosen.read(train, resolved), "test": chosen.read(test, resolved) if test is not None else []}
    facts = chosen.facts(rows["train"], rows["test"], resolved)
    overlap = refuse_overlap(rows["train"], rows["test"], allow=allow_overlap)
    common = plain({"kind": kind, "model": model, "settings": asdict(resolved), "facts": facts, "seed": resolved.seed})
    inputs = {part: fingerprint(found) for part, found in rows.items()} | {"model": checkpoint_digest(model)}
    with (
        RunFolder.open(root, settings=common, inputs=inputs, versions=library_versions(), hardware=accelerator(resolved.device)) as run,
        withdrawn_if_refused(run, prepares=lambda name: name == ROWS, also=(INCOMING,)),
    ):
        told += [f"version changed since the run began: {change}" for change in run.version_changes]
        for notice in computing_on(resolved.device, resolved.precision):
            on_notice(notice)  # now, and not in the report, whose run.json has it
        units = _units(common, inputs, tested=bool(rows["test"]))
        _take_rows(run, units[0], rows)
        run_all(units, run, on_event=on_event)
        if (run.root / INCOMING).exists():
            remove(run.root / INCOMING)
        told += _notices(run, resolved, overlap, tested=bool(rows["test"]))
        report = _report(run, common, rows, inputs, overlap, told)
        publish(run.path(MODEL), root / "model")
        if rows["test"]:
            write_bytes(root / "predictions.jsonl", (run.path(PREDICTIONS) / "predictions.jsonl").read_bytes())
        write_json(root / "report.json", report)
    for notice in told:
        on_notice(notice)
    return FinetuneResult(root, report, root / "model", root / "predictions.jsonl" if rows["test"] else None)


def _on_this_machine(root: Path, settings: FinetuneSettings) -> FinetuneSettings:
    """With the device and the number of threads that it is computed with; a run that is resumed keeps its number of threads."""
    return replace(settings, device=choose_device(settings.device), threads=resumed_threads(root, settings.threads))


def _fitting(kind: Kind[Any], model: str, given: FinetuneSettings, resolved: FinetuneSettings) -> FinetuneSettings:
    """Settings that the checkpoint can take: the recipe's length cut to what it reads. Opens its config and tokenizer.

    Raises SettingsError for a given length that is too long, ModelError for a checkpoint that cannot serve.
    """
    config, tokenizer = open_config(model, kind.model_types), open_tokenizer(model)
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


def _units(common: Mapping[str, Any], inputs: Mapping[str, str], *, tested: bool) -> list[Unit]:
    """What has to be done, in order."""
    parts = {part: inputs[part] for part in ("train", "test")}
    units = [Unit(ROWS, "petkit.finetuning.stages:rows_unit", {"kind": common["kind"], "fingerprints": parts})]
    units.append(Unit(MODEL, "petkit.finetuning.stages:model_unit", {**common, "model_digest": inputs["model"]}, needs=(ROWS,)))
    if tested:
        units.append(Unit(PREDICTIONS, "petkit.finetuning.stages:predictions_unit", common, needs=(ROWS, MODEL)))
    return units


def _take_rows(run: RunFolder, unit: Unit, rows: Mapping[str, Sequence[Any]]) -> None:
    """Lay the rows where the first unit finds them, unless it is done."""
    if run.check(unit, run.key(unit))[0] == "done":
        return
    make_directory(run.root / INCOMING)
    for part, found in rows.items():
        save_rows(run.root / INCOMING / f"{part}.jsonl", found)


def _notices(run: RunFolder, settings: FinetuneSettings, overlap: Sequence[str], *, tested: bool) -> list[str]:
    """What the user should know of the rows and of the scores."""
    counts = run.record(MODEL)["counts"]
    notices = [f"{count} {what}" for what, count in counts.items() if count]
    if overlap:
        notices.append(f"{len(overlap)} training rows equal a test row (--allow-overlap); test scores are too good")
    if tested and run.record(PREDICTIONS)["cut"]:
        notices.append(f"{run.record(PREDICTIONS)['cut']} test rows cut to --max-length")
    if tested and run.record(PREDICTIONS)["test"] is None:
        notices.append("nothing is scored: no test row says what is right")
    if tested and settings.target == "text" and not rouge_is_there():
        notices.append(ROUGE_MISSING)
    return notices


def _report(
    run: RunFolder,
    common: Mapping[str, Any],
    rows: Mapping[str, Sequence[Any]],
    inputs: Mapping[str, str],
    overlap: Sequence[str],
    notices: Sequence[str],
) -> dict[str, Any]:
    """report.json."""
    learned = run.record(MODEL)
    names = [ROWS, MODEL, *([PREDICTIONS] if rows["test"] else [])]
    return {
        "schema": 1,
        "kind": "finetuning",
        "task": common["kind"],
        "model": common["model"],
        "settings": common["settings"],
        "labels": common["facts"].get("labels"),
        "rows": {part: len(found) for part, found in rows.items()},
        "inputs": dict(inputs),
        "trained": learned,
        "test": run.record(PREDICTIONS)["test"] if rows["test"] else None,
        "overlap": list(overlap),
        "notices": list(notices),
        "seconds": {name: run.stage_record(name).seconds for name in names},
    }
