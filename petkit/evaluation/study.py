"""A few-shot study: a grid of cells (task, shots, split, seed, method) in one run folder, resumable unit by unit.

rows, splits -> estimate -> [adapt] -> untrained patterns -> every cell -> report
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from petkit.arguments import names_arguments
from petkit.backbones.headcheck import head_notice
from petkit.compute import accelerator, choose_device, computing_on, default_precision, default_token_budget
from petkit.data.readers import refuse_empty
from petkit.errors import DataError, raise_problems
from petkit.evaluation.alike import alike_notices
from petkit.evaluation.cells import Results
from petkit.evaluation.checks import DRAWS, check_asked, check_counts, check_task_rows, unknown_tokens
from petkit.evaluation.estimate import Speed, measure_speed, seconds_of, text_tokens
from petkit.evaluation.grid import DISTILLED, Study, TaskPlan, in_order
from petkit.evaluation.planning import Plan, Weights
from petkit.evaluation.progress import OnProgress, Tracker, unheard
from petkit.evaluation.reporting import task_entries, write_report
from petkit.evaluation.rows import Draws, TaskRows, read_task
from petkit.evaluation.sources import Sources, find_sources, source_notices
from petkit.executors import Executor, run_all
from petkit.files import make_directory, remove
from petkit.given import by_name, items_of, path_of, paths_of
from petkit.loading import load_task
from petkit.memory import memory_explained
from petkit.pipeline import INCOMING, OnNotice, as_recorded, ignore, parameters_of
from petkit.plan import CHECKPOINT
from petkit.prechecks import check_checkpoint, check_strategies
from petkit.provenance import checkpoint_digest, library_versions
from petkit.pvp import Task
from petkit.report.compare import check_against
from petkit.rowfiles import save_rows
from petkit.rows import Rows
from petkit.runs import MANIFEST, RunFolder, read_status
from petkit.settings import Settings, apply_changes, preset_for
from petkit.settings import preset as preset_of
from petkit.taskspec import task_spec
from petkit.units import Unit

__all__ = ["DEFAULT_METHODS", "StudyResult", "evaluate"]

DEFAULT_METHODS = ("pet", "supervised", "linear-probe", "tfidf", "majority")


@dataclass(frozen=True)
class StudyResult:
    """A finished study: its folder, and its report as in report.json."""

    path: Path
    report: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class _Checked:
    """A study in which everything is read and checked, and nothing written. ``facts`` of each task's rows go into the report."""

    study: Study
    rows: Sequence[TaskRows]
    facts: Mapping[str, Mapping[str, Any]]
    asked: dict[str, Any]
    notices: list[str]
    model: str
    device: str
    trust: bool


@names_arguments
def evaluate(
    tasks: Task | str | os.PathLike[str] | Iterable[Task | str | os.PathLike[str]],
    *,
    data: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    model: str | os.PathLike[str] = "builtin",
    shots: Iterable[int] | None = None,
    splits: int | str = 5,
    seeds: int = 1,
    methods: Iterable[str] = DEFAULT_METHODS,
    draw: str | None = None,
    preset: str = "auto",
    settings: Mapping[str, Any] | None = None,
    unlabeled: str | os.PathLike[str] | None = None,
    test: str | os.PathLike[str] | None = None,
    test_limit: int | None = None,
    pool_from_test: int = 0,
    measure_development_gain: bool = False,
    calibration_folds: int = 2,
    columns: Mapping[str, str] | None = None,
    drop_blank: bool = False,
    keep_blank: bool = False,
    encoding: str | None = None,
    quotes: bool = True,
    allow_overlap: bool = False,
    against: Mapping[str, Any] | None = None,
    device: str = "auto",
    trust_remote_code: bool = False,
    executor: Executor | None = None,
    workers: int = 1,
    on_progress: OnProgress = unheard,
    on_notice: OnNotice = ignore,
) -> StudyResult:
    """Compare methods on few-shot splits. The same call on an unfinished folder goes on where it was stopped.

    Args:
        tasks: ready-made names, paths of task files, or tasks. data: ``DIR`` or ``NAME=DIR`` (see ``petkit.evaluation.sources``).
        shots: labelled rows per label; None for 16.
        splits: how many draws, or ``given`` or ``given:FOLDER`` for those that lie in the data's folder.
        seeds: of training, per split; they count on from the setting ``seed``, which draws the splits.
        methods: of ``petkit.evaluation.METHODS``.
        draw: ``per-class`` (None too), or ``by-chance``: shots x labels rows, imbalance kept. Given splits take neither shots nor draw.
        preset, settings: as ``petkit.train`` takes them. unlabeled, test: files in the place of those in ``data``.
        test_limit: test rows, at most. pool_from_test: so many test rows are the pool, and leave the test.
        measure_development_gain: also find out what choosing by development rows would have gained; no result changes.
        calibration_folds: for the temperature of plain fine-tuning, so many further trainings per cell; 0 for none.
        against: report.json of an earlier study; whether the two can be compared is checked before anything is trained.
        executor, workers: where units run, and how many at a time that is (for the estimate of time).
        on_progress: told of every unit and of how far the study is. on_notice: told, once each, what the user should know.

    Raises UserError (see ``petkit.errors``) for every mistake of the user's.
    """
    began, counts, several = time.monotonic(), items_of(shots), items_of(tasks)
    check_counts(methods, shots if counts is None else counts, splits, seeds, calibration_folds, test_limit, pool_from_test, workers)
    seeds, calibration_folds, pool_from_test, workers = map(int, (seeds, calibration_folds, pool_from_test, workers))  # numpy's too
    test_limit, counts = test_limit and int(test_limit), counts and list(map(int, counts))
    device = choose_device(device)
    root = Path(path_of("out", out)).absolute()  # whatever the working directory is meanwhile
    loaded = [task if isinstance(task, Task) else load_task(path_of("task", task)) for task in ([tasks] if several is None else several)]
    methods = in_order(methods)
    given = splits if isinstance(splits, str) else None
    check_asked(loaded, methods, counts, splits, draw, seeds, calibration_folds)
    model = path_of("model", model)
    unlabeled, test = (path_of(name, one) if one is not None else None for name, one in (("unlabeled", unlabeled), ("test", test)))
    if set(methods) - {"tfidf", "majority"}:
        check_checkpoint(model, trust_remote_code=trust_remote_code)
    model = as_recorded(root, model)
    resolved, chosen_preset = _settings(root, model, preset, by_name("settings", settings), device)
    check_strategies(resolved, model, trust_remote_code=trust_remote_code)
    how, number = ("given", 0) if given is not None else (DRAWS[draw or "per-class"], int(splits))
    draws = Draws(tuple(dict.fromkeys(counts or (16,))), number, how, resolved.seed, measure_development_gain)
    places = paths_of("data", data)
    refuse_empty({"--data": places, "--unlabeled": unlabeled, "--test": test})
    looked_for = {"pool_from_test": pool_from_test > 0, "development": measure_development_gain}
    sources = find_sources([task.name for task in loaded], places, given=given, unlabeled=unlabeled, test=test, **looked_for)
    reading: dict[str, Any] = {"columns": by_name("columns", columns), "drop_blank": drop_blank, "keep_blank": keep_blank, "quotes": quotes}
    reading |= {"encoding": encoding} if encoding is not None else {}
    options: dict[str, Any] = {"test_limit": test_limit, "pool_from_test": pool_from_test}
    rows = _read(loaded, sources, draws, **options, pool_limit=resolved.pool_limit, allow_overlap=allow_overlap, reading=reading)
    facts, notices = _found(loaded, sources, rows, unknown_tokens(loaded, rows, methods, model, trust_remote_code), how)
    check_task_rows(loaded, rows, methods, resolved, model, trust_remote_code, how)
    plans = tuple(_task_plan(task, index, rows[index], model, resolved, trust_remote_code) for index, task in enumerate(loaded))
    seed_numbers = tuple(range(resolved.seed, resolved.seed + seeds))
    study = Study(plans, seed_numbers, methods, resolved, preset_of(chosen_preset), calibration_folds, measure_development_gain)
    asked = _asked(study, model, chosen_preset, draws, options, allow_overlap)
    if against is not None:
        notices = [*check_against({"kind": "study", "study": asked, "tasks": task_entries(study, facts)}, against), *notices]
    checked = _Checked(study, rows, facts, asked, notices, model, device, trust_remote_code)
    return StudyResult(root, _carried_out(checked, root, executor, workers, on_progress, on_notice, began=began))


def _found(
    tasks: Sequence[Task], sources: Sequence[Sources], rows: Sequence[TaskRows], unknown: Mapping[str, str], draw: str
) -> tuple[dict[str, Mapping[str, Any]], list[str]]:
    """What the report and the user are told of each task's rows; ``unknown`` is that of ``unknown_tokens``."""
    facts: dict[str, Mapping[str, Any]] = {}
    notices: list[str] = []
    for task, files, of in zip(tasks, sources, rows, strict=True):
        facts[task.name] = of.facts
        notices += source_notices(task.name, files, pool=of.facts["sources"]["pool"])
        notices += alike_notices(f"task {task.name!r}", [one.split for one in of.splits], of.facts["train"], draw)
        if task.name in unknown:
            notices.append(f"task {task.name}: {unknown[task.name]}")
            facts[task.name] = {**of.facts, "notes": [*of.facts["notes"], f"{task.name}: {unknown[task.name]}."]}
    return facts, notices


def _carried_out(
    checked: _Checked,
    root: Path,
    executor: Executor | None,
    workers: int,
    on_progress: OnProgress,
    on_notice: OnNotice,
    *,
    began: float,
) -> dict[str, Any]:
    """The report of a study whose units are carried out, or found done, in the folder ``root``."""
    study, model, device = checked.study, checked.model, checked.device
    digest, parts = checkpoint_digest(model), _parts(study, checked.rows)
    common = {"model": model, "device": device, "trust_remote_code": checked.trust, "model_digest": digest}
    plan = Plan(study, common, {unit: {name: r.fingerprint() for name, r in of.items()} for unit, of in parts.items()})
    record = {**checked.asked, "tasks": [task_spec(of.task) for of in study.tasks], "model": model, "device": device}
    inputs = {f"{unit}/{name}": value for unit, of in plan.fingerprints.items() for name, value in of.items()} | {"model": digest}
    with RunFolder.open(root, settings=record, inputs=inputs, versions=library_versions(), hardware=accelerator(device)) as run:
        for change in run.version_changes:
            on_notice(f"version changed since the study began: {change}")
        for notice in (*checked.notices, *computing_on(device, study.settings.precision)):
            on_notice(notice)
        driver = _Driver(run, plan, executor, workers, on_progress, on_notice)
        driver.take_rows(parts)
        driver.estimate(checked.rows, model, device, checked.trust)
        results = driver.carry_out()
        return write_report(results, checked.facts, checked.asked, _measured(root, workers, time.monotonic() - began))


def _measured(root: Path, workers: int, seconds: float) -> dict[str, Any]:
    """What differs from machine to machine and from call to call; ``seconds`` are those of this call."""
    status = read_status(root)
    return {
        "hardware": dict(status.manifest["hardware"]),
        "seconds": round(sum(unit.seconds or 0.0 for unit in status.units), 1),
        "seconds_of_last_call": round(seconds, 1),
        "workers": workers,
    }


def _settings(root: Path, model: str, chosen: str, changes: Mapping[str, Any], device: str) -> tuple[Settings, str]:
    """The settings and the name of the preset. One thread for each process, since cells run side by side; what depends on the
    machine is taken from the study's folder if there is one."""
    name = preset_for(parameters_of(model)) if chosen == "auto" else chosen
    machine: dict[str, Any] = {"threads": 1, "precision": default_precision(device), "token_budget": default_token_budget(device)}
    if (root / MANIFEST).is_file():
        recorded = read_status(root).manifest["settings"].get("settings", {})
        machine |= {key: recorded[key] for key in machine if key in recorded}
    return apply_changes(preset_of(name), {**machine, **changes}), name


def _read(tasks: Sequence[Task], sources: Sequence[Sources], draws: Draws, **options: Any) -> list[TaskRows]:
    """Every task's rows; DataError with the problems of all tasks."""
    found, problems = [], []
    for task, source in zip(tasks, sources, strict=True):
        try:
            found.append(read_task(task, source, draws, **options))
        except DataError as error:
            problems.append(f"task {task.name!r}: {error}")
    raise_problems(DataError, "study", problems)
    return found


def _task_plan(task: Task, index: int, rows: TaskRows, model: str, settings: Settings, trust: bool) -> TaskPlan:
    tokens = text_tokens(model, task, rows.some, settings, trust_remote_code=trust)
    return TaskPlan(task, index, tuple(one.split for one in rows.splits), tokens, len(rows.pool), len(rows.test))


def _asked(study: Study, model: str, preset_name: str, draws: Draws, options: Mapping[str, Any], allow_overlap: bool) -> dict[str, Any]:
    """How the study was asked for, as in the report and in run.json."""
    splits = [split for plan in study.tasks for split in plan.splits]
    return {
        "tasks": [plan.task.name for plan in study.tasks],
        "shots": list(dict.fromkeys(split.shots for split in splits)),
        "splits": len({split.split for split in splits}),
        "seeds": list(study.seeds),
        "methods": list(study.methods),
        "model": model,
        "adapt_steps": study.settings.adapt_steps or None,
        "preset": preset_name,
        "draw": draws.draw,
        "settings": study.settings.as_dict(),
        "primary": {"metric": "accuracy", "level": 0.95},
        "test_limit": options["test_limit"],
        "pool_from_test": options["pool_from_test"] or None,
        "calibration_folds": study.folds,
        "development": study.development,
        "allow_overlap": allow_overlap,
    }


def _parts(study: Study, rows: Sequence[TaskRows]) -> dict[str, dict[str, Rows]]:
    """Unit -> part -> rows. The pool's labels lie in a unit of their own, which no other unit reads."""
    parts: dict[str, dict[str, Rows]] = {}
    for plan, of_task in zip(study.tasks, rows, strict=True):
        parts[f"{plan.tag}.rows"] = {"pool": of_task.pool, "test": of_task.test}
        if of_task.truth:
            parts[f"{plan.tag}.truth"] = {"truth": of_task.pool.with_labels(of_task.truth)}
        for one in of_task.splits:
            own = {"train": one.train} | ({"development": one.development} if study.development else {})
            parts[f"{plan.tag}.{one.split.tag}.rows"] = own
    return parts


@dataclass
class _Driver:
    """Carries a study's units out, phase by phase."""

    run: RunFolder
    plan: Plan
    executor: Executor | None
    workers: int
    on_progress: OnProgress
    on_notice: Callable[[str], None]
    tracker: Tracker | None = None

    def take_rows(self, parts: Mapping[str, Mapping[str, Rows]]) -> None:
        """Carry out the units that hold rows. Small work, so in this process, untold."""
        units = self.plan.takes()
        folder = self.run.root / INCOMING
        for unit in units:
            if self.run.check(unit, self.run.key(unit))[0] != "done":
                make_directory(folder / unit.name)
                for name, rows in parts[unit.name].items():
                    save_rows(folder / unit.name / f"{name}.parquet", rows)
        run_all(units, self.run)
        if folder.exists():
            remove(folder)

    def estimate(self, rows: Sequence[TaskRows], model: str, device: str, trust: bool) -> None:
        """Tell how long it may take, and be ready to tell how far it is."""
        units = [*self.plan.preparing(), *self.plan.cells({})]
        self.run.plan(units)
        left = [unit for unit in units if not (self.run.root / "stages" / unit.name).exists()]
        speed = Speed(0.0, 0.0, 0.0)
        study = self.plan.study
        if left and set(study.methods) - {"tfidf", "majority"}:
            task, some = study.tasks[0].task, rows[0].some
            with memory_explained("the estimate of time", "petkit.evaluation.estimate:measure_speed"):
                speed = measure_speed(model, task, some, study.settings, device=device, trust_remote_code=trust)
        expected = {unit.name: seconds_of(unit, study.tasks, speed) for unit in left}
        cells = {g.cell(m): self._own(g.tag, self.plan.units_of(g, m)) for g in study.groups for m in study.methods}
        self.tracker = Tracker(expected, cells, self.workers, self.on_progress)
        self.on_progress(self.tracker.now())

    def _own(self, tag: str, units: Iterable[str]) -> tuple[str, ...]:
        """Those of a cell's units that no other split or seed shares, and its result."""
        names = tuple(units)
        return (*(name for name in names[:-1] if name.startswith(tag + ".")), names[-1])

    def carry_out(self) -> Results:
        """All units."""
        self._all(self.plan.preparing())
        self._look_at_heads()
        weights = self._weights()
        self._all(self.plan.cells(weights))
        return Results(self.run, self.plan, weights)

    def _all(self, units: Sequence[Unit]) -> None:
        if self.tracker is None:
            raise ValueError("estimate comes first")
        run_all(units, self.run, executor=self.executor, on_event=self.tracker.event)

    def _weights(self) -> Weights:
        if not any(method in DISTILLED for method in self.plan.study.methods):
            return {}
        names = list(dict.fromkeys(group.of_split for group in self.plan.study.groups))
        return {name: self.run.record(f"{name}.weights")["weights"] for name in names}

    def _look_at_heads(self) -> None:
        for plan in self.plan.study.tasks:
            name = f"{plan.tag}.{CHECKPOINT}"
            if self.run.done(name) and (notice := head_notice(self.run.record(name)["head"], "see --adapt")):
                self.on_notice(f"task {plan.task.name}: {notice}")
