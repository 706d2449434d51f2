"""What is checked of a study before its folder is made, so that a mistake leaves nothing behind."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from petkit.choices import did_you_mean, legal_are
from petkit.errors import DataError, SettingsError, raise_problems
from petkit.evaluation.grid import DISTILLED, METHODS, PROMPTED
from petkit.evaluation.rows import TaskRows
from petkit.given import whole_number
from petkit.prechecks import check_known, check_patterns, check_words
from petkit.pvp import Task
from petkit.report.names import shots_name
from petkit.rows import Rows
from petkit.settings import Settings, batch_problems
from petkit.unknowns import unknown_notice

__all__ = ["DRAWS", "check_asked", "check_counts", "check_task_rows", "unknown_tokens"]

DRAWS: Final = {"per-class": "per-class", "by-chance": "random"}
"""What ``--draw`` takes, and how reports call it."""


def check_counts(methods: Any, shots: Any, splits: Any, seeds: Any, folds: Any, test_limit: Any, pool_from_test: Any, workers: Any) -> None:
    """Raise SettingsError that names every number that is none or out of range, and what is no list."""
    listed = isinstance(shots, list)
    rules = [
        (not isinstance(methods, str), f"--methods is {methods!r}, one string; a list such as {[methods]!r} is legal"),
        (isinstance(methods, Iterable), f"--methods is {methods!r}; a list of names is legal"),
        (shots is None or listed, f"--shots is {shots!r}; a list of whole numbers such as [4, 16] is legal, or none for 16"),
        (
            shots is None or not listed or all(map(whole_number, shots)),
            f"--shots is {reprlib.repr(shots)}; each must be a whole number, at least 1",
        ),
        (isinstance(splits, str) or whole_number(splits), f"--splits is {splits!r}; a whole number is legal, or given"),
        (whole_number(seeds), f"--seeds is {seeds!r}; a whole number, at least 1, is legal"),
        (whole_number(folds), f"--calibration-folds is {folds!r}; 0 or at least 2 is legal"),
        (
            test_limit is None or (whole_number(test_limit) and test_limit >= 1),
            f"--test-limit is {test_limit!r}; a whole number, at least 1, is legal, or none for all test rows",
        ),
        (
            whole_number(pool_from_test) and pool_from_test >= 0,
            f"--pool-from-test is {pool_from_test!r}; a whole number is legal, 0 for none",
        ),
        (whole_number(workers) and workers >= 1, f"--workers is {workers!r}; a whole number, at least 1, is legal"),
    ]
    raise_problems(SettingsError, "study", [problem for holds, problem in rules if not holds])


def check_asked(
    tasks: Sequence[Task],
    methods: Sequence[str],
    shots: Sequence[int] | None,
    splits: int | str,
    draw: str | None,
    seeds: int,
    folds: int,
) -> None:
    """Raise SettingsError that names everything that makes no sense."""
    names, given = [task.name for task in tasks], isinstance(splits, str)
    unknown = [method for method in methods if method not in METHODS]
    flags = {"--shots": shots, "--draw": draw}
    rules = [
        (bool(tasks), "no task is given"),
        (len(set(names)) == len(names), f"two tasks have the same name ({', '.join(names)})"),
        (bool(methods), f"--methods is empty; legal are {', '.join(METHODS)}"),
        (not unknown, f"--methods: {', '.join(map(repr, unknown))} unknown; {legal_are(unknown, METHODS)}"),
        (isinstance(splits, str) or splits >= 1, f"--splits is {splits}; at least 1 is legal, or given"),
        (
            not isinstance(splits, str) or splits.partition(":")[0] == "given",
            f"--splits is {splits!r}; a number, given or given:FOLDER is legal{did_you_mean(splits, ['given'])}",
        ),
        (shots is None or min(shots, default=0) >= 1, f"--shots is {list(shots or ())}; at least 1 each (zero-shot is a method)"),
        (seeds >= 1, f"--seeds is {seeds}; at least 1 is legal"),
        (draw is None or draw in DRAWS, f"--draw is {draw!r}; {legal_are(draw, DRAWS)}"),
        (folds == 0 or folds >= 2, f"--calibration-folds is {folds}; 0 or at least 2 is legal"),
        *((not given or value is None, f"{flag} goes with drawn splits: given ones are as they are") for flag, value in flags.items()),
    ]
    raise_problems(SettingsError, "study", [problem for holds, problem in rules if not holds])
    if "setfit" in methods:
        from petkit.evaluation.setfit_method import check_setfit

        check_setfit()


def unknown_tokens(tasks: Sequence[Task], rows: Sequence[TaskRows], methods: Sequence[str], model: str, trust: bool) -> dict[str, str]:
    """What is to be told of tokens that the checkpoint's tokenizer does not know, by task. Raises ModelError where it knows none."""
    if not set(methods) - {"tfidf", "majority"}:
        return {}
    labelled = [Rows.concat([one.train for one in of.splits]) for of in rows]  # of all splits, so that one draw alone decides nothing
    parts = {task.name: {"train": train, "pool": of.pool} for task, train, of in zip(tasks, labelled, rows, strict=True)}
    shares = {task.name: check_known(task, parts[task.name], model, trust_remote_code=trust) for task in tasks}
    return {name: notice for name, of in shares.items() if (notice := unknown_notice(of))}


def check_task_rows(
    tasks: Sequence[Task], rows: Sequence[TaskRows], methods: Sequence[str], settings: Settings, model: str, trust: bool, draw: str
) -> None:
    """Raise an error that names every task whose rows do not suffice, or do not go with its patterns, words and batches."""
    problems = []
    for task, of_task in zip(tasks, rows, strict=True):
        check_patterns(task, settings)
        if not len(of_task.test):
            problems.append(f"task {task.name!r}: no test row")
        if len(of_task.pool) < 2 and any(method in DISTILLED for method in methods):
            problems.append(f"task {task.name!r}: pet, ipet and single need unlabelled rows, and {len(of_task.pool)} are there")
        if settings.adapt_steps and len(of_task.pool) < 20:
            problems.append(f"task {task.name!r}: --adapt needs at least 20 unlabelled rows, and {len(of_task.pool)} are there")
        if any(method in PROMPTED for method in methods):
            check_words(task, settings, of_task.some, model, trust_remote_code=trust)
    raise_problems(DataError, "study", problems)
    too_large = [
        line for task, of_task in zip(tasks, rows, strict=True) for line in _batch_problems(task, of_task, methods, settings, draw)
    ]
    raise_problems(SettingsError, "settings", too_large)


def _batch_problems(task: Task, rows: TaskRows, methods: Sequence[str], settings: Settings, draw: str) -> list[str]:
    """Batches beyond a task's rows, each with the methods that would use it; of each number of rows per label the smallest split counts."""
    found: dict[tuple[int | None, str], list[str]] = {}
    trained = [method for method in methods if method in (*DISTILLED, "supervised")]
    for shots in dict.fromkeys(one.split.shots for one in rows.splits):
        labeled = min(len(one.train) for one in rows.splits if one.split.shots == shots)
        for method in trained:
            for line in batch_problems(replace(settings, method=method, baselines=False), labeled=labeled, unlabeled=len(rows.pool)):
                found.setdefault((shots, line), []).append(method)
    return [f"task {task.name!r}, {shots_name(shots, draw)} ({', '.join(used)}): {line}" for (shots, line), used in found.items()]
