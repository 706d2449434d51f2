"""The main job: from labelled rows, raw text and a task to a classifier and a report, in one run folder.

rows -> [adapt] -> untrained patterns -> members -> ensemble -> (iPET: sets -> members -> ensemble)* -> classifier, baselines -> report
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from petkit.arguments import names_arguments
from petkit.backbones.headcheck import head_notice
from petkit.backbones.modelfiles import resolve
from petkit.compute import accelerator, choose_device, computing_on, default_precision, default_threads, default_token_budget
from petkit.data import Labels, Reading, check_classes, draw_shots, separate
from petkit.data.readers import refuse_empty
from petkit.ensemble import member_weights
from petkit.errors import DataError, RunError, SettingsError, raise_problems
from petkit.executors import Executor, OnEvent, run_all, silent
from petkit.files import make_directory, remove, write_json
from petkit.given import Given, by_name, path_of, read_given, told_apart, whole_number
from petkit.loading import load_task
from petkit.objectives.streams import stream
from petkit.plan import CHECKPOINT, CLASSIFIER, SUPERVISED, Planner, sets_name, untrained
from petkit.prechecks import check_checkpoint, check_known, check_patterns, check_strategies, check_words
from petkit.provenance import checkpoint_digest, library_versions, publish
from petkit.pvp import Task
from petkit.report import write_report
from petkit.rowfiles import load_rows, save_rows
from petkit.rows import Rows
from petkit.runs import MANIFEST, RunFolder, recorded
from petkit.settings import Settings, apply_changes, batch_problems, preset, preset_for
from petkit.shortfalls import shortfalls
from petkit.stages import ROWS
from petkit.taskspec import task_spec
from petkit.units import Unit, UnitContext
from petkit.unknowns import unknown_notice
from petkit.withdrawing import withdrawn_if_refused

__all__ = ["Data", "RunResult", "as_recorded", "parameters_of", "rows_unit", "train"]

OnNotice = Callable[[str], None]


def ignore(notice: str) -> None:
    """Drop a notice."""


@dataclass(frozen=True)
class Data:
    """The rows of a run, checked and separated, and what the report says of them."""

    train: Rows
    pool: Rows
    test: Rows
    facts: Mapping[str, Any]

    def parts(self) -> dict[str, Rows]:
        """By name."""
        return {"train": self.train, "pool": self.pool, "test": self.test}


@dataclass(frozen=True)
class RunResult:
    """A finished run: its folder, its report as in report.json, and the classifier's folder (None with ``--method tfidf``)."""

    path: Path
    report: dict[str, Any] = field(repr=False)
    classifier: Path | None


@names_arguments
def train(
    task: Task | str | os.PathLike[str],
    *,
    out: str | os.PathLike[str],
    train: Given | None = None,
    unlabeled: Given | None = (),
    test: Given | None = None,
    model: str | os.PathLike[str] = "builtin",
    preset: str = "auto",
    settings: Mapping[str, Any] | None = None,
    shots: int | None = None,
    columns: Mapping[str, str] | None = None,
    id_column: str | None = None,
    encoding: str | None = None,
    drop_blank: bool = False,
    keep_blank: bool = False,
    quotes: bool = True,
    allow_overlap: bool = False,
    device: str = "auto",
    trust_remote_code: bool = False,
    executor: Executor | None = None,
    on_event: OnEvent = silent,
    on_notice: OnNotice = ignore,
) -> RunResult:
    """Train a classifier. The same call on an unfinished folder goes on where it was stopped.

    Args:
        task: a task, a ready-made task's name, or the path of a task file.
        out: the run folder.
        train, unlabeled, test: each a file or another source, or a list of them (see ``petkit.data.read_rows``); Rows; a data frame; a
            ``datasets.Dataset``; or a mapping of columns, such as ``{"text": texts, "label": labels}``. Labels are names. A list of
            strings is a list of files; unlabelled texts alone are given as ``{"text": texts}``, or as a series or an array.
        model: a checkpoint's folder, a name on the hub, or ``builtin``.
        preset: ``auto`` (by the size of the model), or one of ``petkit.settings.PRESETS``. settings: changes to it by dotted name.
        shots: labelled rows to draw per label, by the seed; None takes all.
        columns, id_column, encoding, drop_blank, keep_blank, quotes: see ``petkit.data.read_rows``.
        allow_overlap: labelled rows may equal test rows; stamped on the report.
        on_event: told of the progress of units. on_notice: told, once each, what the user should know.

    Raises UserError (see ``petkit.errors``) for every mistake of the user's.
    """
    task = task if isinstance(task, Task) else load_task(path_of("task", task))
    device = choose_device(device)
    root = Path(path_of("out", out)).absolute()  # whatever the working directory is meanwhile
    model = path_of("model", model)
    tokenizer = check_checkpoint(model, trust_remote_code=trust_remote_code)
    model = as_recorded(root, model)
    resolved = _settings(root, model, preset, by_name("settings", settings), device)
    check_patterns(task, resolved)
    check_strategies(resolved, model, trust_remote_code=trust_remote_code)
    reading: dict[str, Any] = {"columns": by_name("columns", columns), "id_column": id_column, "quotes": quotes}
    reading |= {"drop_blank": drop_blank, "keep_blank": keep_blank}
    if encoding is not None:
        reading["encoding"] = encoding
    data = read_data(task, resolved, train, unlabeled, test, shots=shots, allow_overlap=allow_overlap, reading=reading)
    _check_data(task, data, resolved)
    if resolved.method != "tfidf":
        parts = {"train": data.train, "pool": data.pool}
        unknown = check_known(task, parts, model, trust_remote_code=trust_remote_code, tokenizer=tokenizer)
        data = replace(data, facts={**data.facts, "unknown_tokens": unknown})
    if resolved.method not in ("supervised", "tfidf"):
        check_words(task, resolved, data.pool, model, trust_remote_code=trust_remote_code, tokenizer=tokenizer)
    notices = _notices(data, model, resolved, begun=(root / MANIFEST).is_file())
    common = {
        "task": task_spec(task),
        "model": model,
        "device": device,
        "settings": resolved.as_dict(),
        "seed": resolved.seed,
        "trust_remote_code": trust_remote_code,
    }
    inputs = {name: rows.fingerprint() for name, rows in data.parts().items() if len(rows)} | {"model": checkpoint_digest(model)}
    with (
        RunFolder.open(root, settings=common, inputs=inputs, versions=library_versions(), hardware=accelerator(device)) as run,
        withdrawn_if_refused(run, prepares=_prepares, also=(INCOMING,)),
    ):
        for notice in notices:  # now that the folder can be used: mistakes come first
            on_notice(notice)
        for change in run.version_changes:
            on_notice(f"version changed since the run began: {change}")
        for notice in computing_on(device, resolved.precision):
            on_notice(notice)
        planner = Planner(task, resolved, {**common, "model_digest": inputs["model"]}, labeled=len(data.train))
        weights = _execute(run, planner, data, executor, on_event, on_notice)
        classifier = _publish(run, planner, weights, common)
        report = write_report(run, planner, weights, data.facts, inputs)
    return RunResult(root, report, classifier)


def _settings(root: Path, model: str, name: str, changes: Mapping[str, Any], device: str) -> Settings:
    """The resolved settings. What depends on the machine (threads, precision) is taken from the run's folder if there is one."""
    base = preset(preset_for(parameters_of(model)) if name == "auto" else name)
    machine: dict[str, Any] = {"threads": default_threads(), "precision": default_precision(device)}
    machine["token_budget"] = default_token_budget(device)
    known = recorded(root).get("settings", {})
    machine |= {name: known[name] for name in ("threads", "precision", "token_budget") if name in known}
    return apply_changes(base, {**machine, **changes})


def as_recorded(root: Path, model: str) -> str:
    """The checkpoint's folder as the run's folder spells it, if it is the same one: ``m``, ``./m`` and ``/here/m`` are no other setting."""
    known = str(recorded(root).get("model") or model)
    ours, theirs = Path(resolve(model)), Path(resolve(known))
    return known if ours.is_dir() and theirs.is_dir() and ours.samefile(theirs) else model


def parameters_of(model: str) -> int:
    """The number of parameters of a local checkpoint, from its safetensors' headers; one on the hub is taken for a large one."""
    from safetensors import safe_open

    folder = Path(resolve(model))
    total = 0
    for file in folder.glob("*.safetensors"):
        with safe_open(file, framework="pt") as tensors:
            total += sum(int(np.prod(tensors.get_slice(name).get_shape())) for name in tensors.keys())  # noqa: SIM118 (not a dict)
    return total or 100_000_000


def read_data(
    task: Task,
    settings: Settings,
    train: Given | None,
    unlabeled: Given | None,
    test: Given | None,
    *,
    shots: int | None,
    allow_overlap: bool,
    reading: Mapping[str, Any],
) -> Data:
    """Read, draw and separate the rows (contract: no test text among the others)."""
    if shots is not None and not whole_number(shots):
        raise SettingsError(f"--shots is {shots!r}, a {type(shots).__name__}; a whole number from 0 on is legal, or none for all rows")
    given = {name: told_apart(name, one, task) for name, one in (("train", train), ("unlabeled", unlabeled), ("test", test))}
    named = {f"--{name}": one for name, one in given.items()}
    refuse_empty(named)
    _check_standard_input(named)
    readings: list[Reading] = []

    def rows_of(name: str, labels: Labels) -> Rows:
        return read_given(name, given[name], task, labels=labels, reading=reading, report=readings.append)

    labeled, pool, tested = rows_of("train", "required"), rows_of("unlabeled", "ignored"), rows_of("test", "optional")
    undrawn = len(labeled)
    if shots is not None and len(labeled):
        rng = stream(settings.seed, "shots")
        labeled = labeled.select(draw_shots(labeled, shots=shots, n_labels=len(task.labels), rng=rng, names=task.labels))
    separated = separate(labeled, pool, tested if len(tested) else None, allow_overlap=allow_overlap)
    pool = separated.pool.with_labels(())
    limit = settings.pool_limit * len(task.labels)
    if len(pool) > limit:
        pool = pool.select(sorted(stream(settings.seed, "pool").permutation(len(pool))[:limit].tolist()))
    facts = {
        "rows": {"train": len(labeled), "pool": len(pool), "test": len(tested), "train_before_draw": undrawn},
        "removed_from_pool": separated.removed_from_pool,
        "labeled_in_pool": separated.labelled_in_pool,
        "overlap": list(separated.overlap),
        "blank_dropped": sum(reading.blank_dropped for reading in readings),
        "test_unlabeled": len(tested) - tested.labeled,
    }
    return Data(labeled, pool, tested, facts)


def _check_standard_input(sources: Mapping[str, Any]) -> None:
    """Raise DataError if ``-`` is given for more than one part; within a part, ``read_rows`` sees to it."""
    flags = [
        flag for flag, given in sources.items() if isinstance(given, tuple) and any(isinstance(one, str) and one == "-" for one in given)
    ]
    if len(flags) > 1:
        raise DataError(f"standard input (-) can be read once, and it is given for {' and '.join(flags)}")


def _check_data(task: Task, data: Data, settings: Settings) -> None:
    """What a method cannot do without, and batches beyond its rows."""
    raise_problems(SettingsError, "settings", batch_problems(settings, labeled=len(data.train), unlabeled=len(data.pool)))
    if len(data.train):
        check_classes(data.train, task)
    if settings.method in ("supervised", "tfidf") and not len(data.train):
        raise DataError(f"--method {settings.method} learns from labelled rows only; {_no_rows(data)}")
    if settings.method not in ("supervised", "tfidf") and len(data.pool) < 2:
        raise DataError(f"--method {settings.method} needs at least 2 unlabelled rows (--unlabeled), and {_pool_left(data)}")
    if settings.adapt_steps and len(data.pool) < 20:
        raise DataError(f"--adapt needs at least 20 unlabelled rows (--unlabeled), and {_pool_left(data)}")


def _no_rows(data: Data) -> str:
    """Why there is no labelled row, and what gives some."""
    drawn = data.facts["rows"]["train_before_draw"]
    return f"--shots 0 takes none of the {drawn} there are: leave it out, or raise it" if drawn else "give some with --train"


def _pool_left(data: Data) -> str:
    """How many unlabelled rows there are, and why no more."""
    removed = data.facts["removed_from_pool"]
    there = f"{len(data.pool)} {'is' if len(data.pool) == 1 else 'are'} there"
    return there + (f"; {removed} more equal a test row and were left out" if removed else "")


def _notices(data: Data, model: str, settings: Settings, *, begun: bool) -> list[str]:
    """What the user should know of the rows and the model. That the model is small is not said again where the run has ``begun``."""
    notices = []
    if model == "builtin" and settings.method != "tfidf" and not begun:
        notices.append(
            "the builtin model is small; on your own data a larger checkpoint does better: train --model with a folder, or a name on the "
            "hub such as FacebookAI/roberta-base, answerdotai/ModernBERT-base or microsoft/mdeberta-v3-base (with --adapt)"
        )
    if data.facts["removed_from_pool"]:
        notices.append(f"{data.facts['removed_from_pool']} unlabelled rows equal a test row and were left out")
    if data.facts["labeled_in_pool"]:
        notices.append(f"{data.facts['labeled_in_pool']} unlabelled rows equal a labelled row; they stay in the pool")
    if data.facts["test_unlabeled"]:
        notices.append(f"{data.facts['test_unlabeled']} of {len(data.test)} test rows have no label and are not scored")
    if data.facts["blank_dropped"]:
        notices.append(f"{data.facts['blank_dropped']} rows with an empty or blank text were dropped (--drop-blank)")
    if data.facts["overlap"]:
        notices.append(f"{len(data.facts['overlap'])} labelled rows equal a test row (--allow-overlap); test scores are too good")
    if unknown := unknown_notice(data.facts.get("unknown_tokens", {})):
        notices.append(unknown)
    if not len(data.train) and settings.method not in ("zero-shot", "ipet"):
        notices.append("no labelled rows: the untrained patterns label the pool (as with --method zero-shot)")
    return notices


def _prepares(name: str) -> bool:
    """Whether a unit comes before all training."""
    return name in (ROWS, CHECKPOINT) or name.startswith("untrained-")


INCOMING = "incoming"
"""Where the rows lie until the unit ``rows`` has taken them."""


def _taking(data: Data) -> Unit:
    """The unit ``rows``."""
    return Unit(ROWS, "petkit.pipeline:rows_unit", {"fingerprints": {name: rows.fingerprint() for name, rows in data.parts().items()}})


def _take_rows(run: RunFolder, unit: Unit, data: Data, carry_out: Callable[[list[Unit]], None]) -> None:
    """Lay the rows ready, and carry out the unit that takes them in."""
    folder = run.root / INCOMING
    if run.check(unit, run.key(unit))[0] != "done":
        make_directory(folder)
        for name, rows in data.parts().items():
            save_rows(folder / f"{name}.parquet", rows)
    carry_out([unit])
    if folder.exists():
        remove(folder)


def rows_unit(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Stage: the run's rows, checked against the fingerprints in ``spec["fingerprints"]``."""
    return take_in(context.root / INCOMING, spec["fingerprints"], context)


def take_in(incoming: Path, fingerprints: Mapping[str, str], context: UnitContext) -> dict[str, Any]:
    """Rows from ``incoming/PART.parquet`` into the unit's folder; record: how many there are. RunError if one's fingerprint is another."""
    counts = {}
    for name, expected in fingerprints.items():
        rows = load_rows(incoming / f"{name}.parquet")
        if rows.fingerprint() != expected:
            raise RunError(f"{incoming / name}.parquet is damaged; run the same command again")
        save_rows(context.out / f"{name}.parquet", rows)
        counts[name] = len(rows)
    return {"rows": counts}


def _execute(
    run: RunFolder,
    planner: Planner,
    data: Data,
    executor: Executor | None,
    on_event: OnEvent,
    on_notice: OnNotice,
) -> list[list[float]]:
    """Run all units; return the members' weights per generation."""

    weights: list[list[float]] = []

    def carry_out(units: list[Unit]) -> None:
        run_all(units, run, executor=executor, on_event=on_event)

    def of_members(generation: int) -> list[float]:
        accuracies = [run.record(untrained(pattern))["weight"] for pattern in planner.pattern_of(generation)]
        weights.append(member_weights(accuracies, planner.settings.weighting))
        return weights[-1]

    taking = _taking(data)
    run.plan([taking, *chain.from_iterable(planner.phases(lambda _: ()))])  # the whole of it, for `petkit status`
    _take_rows(run, taking, data, carry_out)
    for units in planner.phases(of_members):
        carry_out(units)
        for notice in _shown_by(run, units):
            on_notice(notice)
    return weights


def _shown_by(run: RunFolder, units: Sequence[Unit]) -> Iterator[str]:
    """What a phase has shown that the user should know: a head that is not trained, sets that are short."""
    for unit in units:
        if unit.name == CHECKPOINT:
            if notice := head_notice(run.record(CHECKPOINT)["head"], "--adapt trains one on the unlabelled rows"):
                yield notice
        elif unit.name == sets_name(generation := unit.spec.get("generation", 0)):
            yield from (f"generation {generation}: {line}" for line in shortfalls(run.record(unit.name)))


def _publish(run: RunFolder, planner: Planner, weights: list[list[float]], common: Mapping[str, Any]) -> Path | None:
    """``classifier/`` and ``ensemble.json`` under the names that users and ``petkit label`` know."""
    stage = {"supervised": SUPERVISED, "tfidf": None}.get(planner.settings.method, CLASSIFIER)
    if stage is None:
        return None
    publish(run.path(stage) / "model", run.root / "classifier")
    if weights and planner.settings.keep_members == "last" and not (planner.last == 0 and planner.zero_shot):
        members = [
            {"path": f"stages/{name}/model", "pattern": pattern, "weight": weight}
            for name, pattern, weight in zip(planner.names(planner.last), planner.pattern_of(planner.last), weights[-1], strict=True)
        ]
        write_json(run.root / "ensemble.json", {"schema": 1, "task": common["task"], "settings": common["settings"], "members": members})
    return run.root / "classifier"
