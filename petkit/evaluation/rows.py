"""The rows of a study: read, separated and drawn before anything is written; then units that leave them in the run folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from petkit.data import Reading, normalise, read_rows, separate
from petkit.errors import DataError, raise_problems
from petkit.evaluation.alike import with_shared
from petkit.evaluation.grid import Split
from petkit.evaluation.sources import GivenSplit, Sources
from petkit.evaluation.splits import SplitRows, drawn_splits, duplicates, nominal_shots, split_of
from petkit.objectives.streams import stream
from petkit.pipeline import INCOMING, take_in
from petkit.pvp import Task
from petkit.rows import UNLABELED, Rows
from petkit.units import UnitContext
from petkit.wording import many, verb

__all__ = ["Draws", "TaskRows", "read_task", "rows_unit"]


@dataclass(frozen=True)
class Draws:
    """How splits are made: ``draw`` is ``per-class``, ``random`` or ``given``."""

    shots: tuple[int, ...]
    splits: int
    draw: str
    seed: int
    development: bool = False


@dataclass(frozen=True)
class TaskRows:
    """The rows of a task: pool without labels, its truth (empty where it is not known), test, splits; and facts for the report.

    The facts are of rows that are used, all limits applied. ``train`` is what splits are drawn from: None where they are given.
    """

    pool: Rows
    truth: tuple[int, ...]
    test: Rows
    splits: tuple[SplitRows, ...]
    facts: Mapping[str, Any]

    @property
    def some(self) -> Rows:
        """Rows to look at beforehand: the pool, or labelled ones where there is none; never the test."""
        return self.pool if len(self.pool) else self.splits[0].train


def read_task(
    task: Task,
    sources: Sources,
    draws: Draws,
    *,
    pool_limit: int,
    test_limit: int | None = None,
    pool_from_test: int = 0,
    allow_overlap: bool = False,
    reading: Mapping[str, Any],
) -> TaskRows:
    """Read a task's files, keep test text out of all others, and make the splits.

    Args:
        pool_limit: rows per label. test_limit: rows, drawn by the seed.
        pool_from_test: so many test rows, chosen by the hash of their text, are the pool and leave the test.

    Raises DataError.
    """

    def rows_of(source: str, labels: Any, report: Callable[[Reading], None] | None = None) -> Rows:
        return read_rows(source, task, labels=labels, report=report, **reading)

    train, tested = rows_of(sources.train, "required"), rows_of(sources.test, "required")
    pool = rows_of(sources.unlabeled, "ignored").with_labels(()) if sources.unlabeled and not pool_from_test else train
    if pool_from_test:
        pool, tested = _carved(tested, pool_from_test)
    tested = _limited(tested, test_limit, draws.seed, "test")
    nothing, given = train.select([]), bool(sources.given)
    candidates, walled = separate(nothing, train, tested, allow_overlap=False), separate(nothing, pool, tested, allow_overlap=False)
    raw = _limited(walled.pool, pool_limit * len(task.labels), draws.seed, "pool")
    made = with_shared(_splits(task, sources.given, candidates.pool, draws, rows_of))
    overlap = _refuse_overlap(made, tested, allow_overlap)
    learned = [one.train for one in made] if given else [candidates.pool]
    facts = {
        "train": None if given else _part(candidates.pool, task),
        "pool": {**_part(raw.with_labels(()), task), "class_counts": _counts(raw, task)},
        "test": _part(tested, task),
        "removed_from_pool": walled.removed_from_pool,
        "removed_from_train": 0 if given else candidates.removed_from_pool,
        "overlap": overlap,
        "development_overlap": _refuse_by_test(made, tested, allow_overlap),
        "duplicates": {"train": sum(map(_repeated, learned)), "pool": _repeated(raw), "test": _repeated(tested)},
        "notes": _notes(task, [one.split for one in made] if given else []),
        "sources": {"train": sources.train, "pool": _pool_source(sources, pool_from_test), "test": sources.test},
    }
    return TaskRows(raw.with_labels(()), raw.labels, tested, tuple(made), facts)


def _pool_source(sources: Sources, carved: int) -> str:
    return sources.test if carved else sources.unlabeled or sources.train


def _carved(test: Rows, count: int) -> tuple[Rows, Rows]:
    """Pool and remaining test: the rows with the lowest hashes of their text, whatever their order in the file."""
    if not 0 < count < len(test):
        raise DataError(f"--pool-from-test {count}: the test has {len(test)} rows, and some must remain")
    hashes = [hashlib.sha256("\x1f".join(key).encode("utf-8", "surrogatepass")).hexdigest() for key in _keys(test)]
    order = sorted(range(len(test)), key=lambda i: (hashes[i], i))
    return test.select(sorted(order[:count])), test.select(sorted(order[count:]))


def _limited(rows: Rows, limit: int | None, seed: int, name: str) -> Rows:
    if limit is None or len(rows) <= limit:
        return rows
    return rows.select(sorted(stream(seed, name).permutation(len(rows))[:limit].tolist()))


def _splits(task: Task, given: Sequence[GivenSplit], candidates: Rows, draws: Draws, rows_of: Callable[..., Rows]) -> list[SplitRows]:
    if not given:
        how = {"shots": draws.shots, "splits": draws.splits, "draw": draws.draw, "seed": draws.seed, "development": draws.development}
        return drawn_splits(candidates, task.labels, **how)  # type: ignore[arg-type]
    made = []
    for number, one in enumerate(given):
        train = rows_of(one.train, "required")
        if draws.development and one.development is None:
            raise DataError(f"{one.name} has no dev file beside its train file, so no gain from development rows can be measured")
        others = rows_of(one.development, "required") if draws.development else train.select([])
        made.append(SplitRows(split_of(train, task.labels, number, one.name, shots=None), train, others))
    shots = nominal_shots([one.split.class_counts for one in made])  # one column of the table
    return [replace(one, split=replace(one.split, shots=shots)) for one in made]


def _notes(task: Task, given: Sequence[Split]) -> list[str]:
    """What the report says of given splits that come close to a number of rows per label."""
    short = [split for split in given if split.shots is not None and min(split.class_counts) < split.shots]
    if not short:
        return []
    least = min(min(split.class_counts) for split in short)
    return [f"{task.name}: in {len(short)} of {len(given)} given splits a label has fewer rows than {short[0].shots}: at least {least}."]


def _refuse_overlap(splits: Sequence[SplitRows], test: Rows, allow: bool) -> int:
    """How many labelled rows equal a test row; DataError if there are some and that is not allowed."""
    return sum(len(separate(one.train, one.train.select([]), test, allow_overlap=allow).overlap) for one in splits)


def _refuse_by_test(splits: Sequence[SplitRows], test: Rows, allow: bool) -> int:
    """How many development rows equal a test row, by which would be chosen what it measures; DataError like ``_refuse_overlap``."""
    nothing = test.select([])
    found = {one.split.name: len(separate(one.development, nothing, test, allow_overlap=True).overlap) for one in splits}
    problems = [
        f"{name}: {many(count, 'development row')} {verb(count, 'equal')} a test row; remove {'it' if count == 1 else 'them'} from the dev "
        "file or the test, or give --allow-overlap, which the report will say"
        for name, count in found.items()
        if count
    ]
    raise_problems(DataError, "--measure-development-gain", [] if allow else problems)
    return sum(found.values())


def _repeated(rows: Rows) -> int:
    """How many rows repeat an earlier one; of given splits each is looked at by itself."""
    return duplicates(_keys(rows))


def _keys(rows: Rows) -> list[tuple[str, ...]]:
    return [tuple(normalise(text) for text in texts) for texts in zip(*rows.fields.values(), strict=True)]


def _part(rows: Rows, task: Task) -> dict[str, Any]:
    return {"rows": len(rows), "fingerprint": rows.fingerprint(), "class_counts": _counts(rows, task)}


def _counts(rows: Rows, task: Task) -> list[int] | None:
    """Rows per label; None where labels are not known."""
    known = np.asarray([label for label in rows.labels if label != UNLABELED], dtype=np.int64)
    counts: list[int] = np.bincount(known, minlength=len(task.labels)).tolist()
    return counts if len(known) else None


def rows_unit(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Stage: rows from ``incoming/NAME/``, checked against ``spec["fingerprints"]``. Record: how many there are."""
    return take_in(context.root / INCOMING / context.name, spec["fingerprints"], context)
