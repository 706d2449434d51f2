"""Several studies as one: the cells of all, compared and corrected together, as if one command had made them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow
import pyarrow.parquet

from petkit.canonical import plain
from petkit.errors import RunError, raise_problems
from petkit.evaluation.alike import shares
from petkit.evaluation.cells import flat as flat_cell
from petkit.evaluation.grid import pooled, split_tag, task_tag
from petkit.evaluation.summary import conclude
from petkit.files import make_directory, staged_directory, write_json, write_parquet
from petkit.report.beside import read_report
from petkit.report.compare import other_questions, pools_differ
from petkit.report.names import shots_name
from petkit.report.page import flat
from petkit.report.study import write_study_report
from petkit.wording import many, verb

__all__ = ["merge_studies", "merged"]

Report = Mapping[str, Any]
_Entry = tuple[str, Mapping[str, Any]]
Correct = dict[tuple[Any, ...], npt.NDArray[np.bool_]]

_KEY: Final = ("task", "shots", "split", "seed", "method")
_UNION: Final = ("tasks", "shots", "seeds", "methods")
_FREE: Final = (*_UNION, "splits", "pool_from_test", "test_limit", "allow_overlap", "adaptation", "merged_from")
"""Parts of ``study`` in which studies to be merged may differ. How many rows ``allow_overlap`` let through, each task's warning says."""


def merge_studies(folders: Sequence[Path], out: Path) -> dict[str, Any]:
    """Merge finished studies into ``out``, a new folder with all that a study's folder has for its readers; return report.json.

    The folder appears whole or not at all. Files of predictions are named anew, by the tasks' places in the merged study.

    Raises:
        RunError: what does not fit together, every reason named; a study lacks its predictions, or has those of other cells; or
            ``out`` is there and not empty.
    """
    out = out.resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out} is {'not empty' if out.is_dir() else 'no folder'}; --out takes a new folder for a merged study")
    reports = {str(folder): read_report(folder) for folder in folders}
    report = merged(reports, lambda name, cell: _correct(Path(name) / cell["predictions"], cell["test"]))
    places = {task["name"]: place for place, task in enumerate(report["tasks"])}
    rows = [flat_cell(cell) for cell in report["cells"]]
    make_directory(out.parent)
    with staged_directory(out) as made:
        make_directory(made / "predictions")
        for (name, cell), kept in zip(_sources(reports), report["cells"], strict=True):
            kept["predictions"] = f"predictions/{_file_name(places[cell['task']], cell)}"
            shutil.copyfile(Path(name) / cell["predictions"], made / kept["predictions"])
        write_parquet(made / "cells.parquet", {name: [row[name] for row in rows] for name in rows[0]})
        write_json(made / "report.json", report)
        write_study_report(report, made)
    return report


def merged(reports: Mapping[str, Report], correct_of: Callable[[str, Mapping[str, Any]], npt.NDArray[np.bool_]]) -> dict[str, Any]:
    """report.json of several studies together.

    Studies may be of other tasks, numbers of labels, splits, seeds or methods; of each task and number of labels every method has to
    have the same splits and seeds. Model and settings have to be the same, and so have what a task asks and the raw rows of methods that
    depend on them.

    Args:
        reports: by name. correct_of: (name, cell) -> which test rows the cell has right: (N,) bool.

    Raises RunError with every reason why they do not fit together.
    """
    raise_problems(RunError, "these studies cannot be merged", list(_problems(reports)))
    first = next(iter(reports.values()))
    sources = list(_sources(reports))
    cells = [cell for _, cell in sources]
    methods = _union(report["study"]["methods"] for report in reports.values())
    correct: Correct = {_key(cell): correct_of(name, cell) for name, cell in sources}
    primary = first["study"]["primary"]
    tasks, draw = list(_tasks(reports).values()), first["study"]["draw"]
    options = {"seed": first["study"]["settings"]["seed"], "draw": draw, "shared": shares(tasks)}
    found = conclude(cells, correct, methods=methods, tasks=tasks, metric=primary["metric"], level=primary["level"], **options)
    report: dict[str, Any] = plain(
        {
            **{name: first[name] for name in ("schema", "kind", "petkit", "versions")},
            "study": _study(reports, cells),
            "tasks": tasks,
            "cells": cells,
            **{name: found[name] for name in ("summary", "comparisons", "power")},
            "gain_from_development": None,
            "errors": [error for report in reports.values() for error in report["errors"]],
            "warnings": _union([*(report["warnings"] for report in reports.values()), list(_remarks(reports))]),
            "measured": _measured(reports, sources),
        }
    )
    return report


def _file_name(place: int, cell: Mapping[str, Any]) -> str:
    """The file of a cell's predictions, which no other cell of the merged study has; ``place`` is its task's."""
    return f"{task_tag(place, cell['task'])}.{split_tag(cell['shots'], cell['split'])}.s{cell['seed']}.{cell['method']}.parquet"


def _correct(path: Path, test: Mapping[str, Any]) -> npt.NDArray[np.bool_]:
    """(N,) which test rows a file of predictions has right; RunError unless they are as many as ``test`` of the cell says."""
    try:
        table = pyarrow.parquet.read_table(path, columns=["truth", "predicted"]).to_pydict()
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise RunError(f"{path} cannot be read; a study is merged with all of its folder predictions/") from error
    right: npt.NDArray[np.bool_] = np.array(table["truth"], dtype=object) == np.array(table["predicted"], dtype=object)
    if (len(right), int(right.sum())) != (test["rows"], round(test["accuracy"] * test["rows"])):
        raise RunError(
            f"{path} has {right.sum()} of {many(len(right), 'row')} right, and report.json says {100 * test['accuracy']:.1f} % "
            f"of {test['rows']}: they are of another cell; merge the studies that this one is made of anew"
        )
    return right


def _key(cell: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(cell[name] for name in _KEY)


def _union(lists: Any) -> list[Any]:
    return list(dict.fromkeys(value for values in lists for value in values))


def _sources(reports: Mapping[str, Report]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every cell once, with the study that it is of: task by task, number of labels, split, seed, method."""
    found = {_key(cell): (name, cell) for name, report in reports.items() for cell in report["cells"]}
    orders = [_union([cell[name] for cell in report["cells"]] for report in reports.values()) for name in _KEY]
    for key in sorted(found, key=lambda key: [order.index(value) for order, value in zip(orders, key, strict=True)]):
        yield found[key]


def _tasks(reports: Mapping[str, Report]) -> dict[str, dict[str, Any]]:
    """Tasks by name, each with the splits of all studies, and with the rows of those whose methods depend on the raw ones."""
    found: dict[str, dict[str, Any]] = {}
    shots = _union(report["study"]["shots"] for report in reports.values())
    for name, entries in _entries(reports).items():
        _, shown = _with_rows_shown(reports, name)[0]
        splits: dict[tuple[int, int], dict[str, Any]] = {}
        for split in (split for _, task in entries for split in task["splits"]):
            place = (shots.index(split["shots"]), split["split"])
            splits[place] = {**split, **splits.get(place, {})}  # an older report says less of the same rows
        common = set(shown).intersection(*(task for _, task in entries))  # what an older one does not say may not be the same
        found[name] = {key: value for key, value in shown.items() if key in common} | {
            "splits": [splits[place] for place in sorted(splits)]
        }
    return found


def _entries(reports: Mapping[str, Report]) -> dict[str, list[_Entry]]:
    """Task -> every study that has it, with its entry of it."""
    found: dict[str, list[_Entry]] = {}
    for name, report in reports.items():
        for task in report["tasks"]:
            found.setdefault(task["name"], []).append((name, task))
    return found


def _with_rows_shown(reports: Mapping[str, Report], task: str) -> list[_Entry]:
    """A task's entries, first that whose rows the merged study shows: the first in which some method depends on the raw rows."""
    return sorted(_entries(reports)[task], key=lambda entry: not _dependent(reports[entry[0]], task))


def _dependent(report: Report, task: str) -> list[str]:
    """The methods of a task whose results depend on its raw rows."""
    methods = dict.fromkeys(cell["method"] for cell in report["cells"] if cell["task"] == task)
    return pooled(methods, adapted=bool(report["study"]["adapt_steps"]))


def _study(reports: Mapping[str, Report], cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    studies = [report["study"] for report in reports.values()]
    adapted = [study["adaptation"] for study in studies if study.get("adaptation")]
    return {
        **studies[0],
        **{name: _union(study[name] for study in studies) for name in _UNION},
        **{
            name: studies[0].get(name) if len({study.get(name) for study in studies}) == 1 else None
            for name in ("pool_from_test", "test_limit")
        },
        "allow_overlap": any(study.get("allow_overlap") for study in studies),
        "splits": len({cell["split"] for cell in cells}),
        "adaptation": {task: figures for each in adapted for task, figures in each.items()} or None,
        "merged_from": [Path(name).name for name in reports],
    }


def _measured(reports: Mapping[str, Report], sources: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """Work added up; the cells in the report's order."""
    parts = {name: report["measured"] for name, report in reports.items()}
    cells = {(name, _key(cell)): cell for name, part in parts.items() for cell in part["cells"]}
    seconds = [part["seconds"] for part in parts.values()]
    return {
        "hardware": next(iter(parts.values()))["hardware"],
        "seconds": None if None in seconds else round(sum(seconds), 1),
        "workers": max((part["workers"] or 1 for part in parts.values()), default=1),
        "cells": [cells[name, _key(cell)] for name, cell in sources],
    }


def _remarks(reports: Mapping[str, Report]) -> Iterator[str]:
    """What a reader of the merged report has to know of it."""
    names, parts = list(reports), list(reports.values())
    for what in ("petkit", "versions"):
        if any(report[what] != parts[0][what] for report in parts):
            yield f"The studies were made with different versions ({what}); those shown are of {Path(names[0]).name}."
    for what in ("pool_from_test", "test_limit"):
        values = [report["study"].get(what) for report in parts]
        if any(value != values[0] for value in values):
            listed = ", ".join(f"{Path(name).name}: {value}" for name, value in zip(names, values, strict=True))
            yield f"The studies differ in {what}: {listed}."
    made = [_made(report) for report in parts]
    if odd := sorted(set().union(*made) - set(made[0]).intersection(*made)):
        yield f"Some of the studies, of another version, do not know {', '.join(odd)}."
    for task, entries in _entries(reports).items():
        yield from _remarks_on(task, _with_rows_shown(reports, task)) if len(entries) > 1 else ()
    if any(report["gain_from_development"] for report in parts):
        yield "What a development set would have gained stands in the single studies' reports."


def _remarks_on(task: str, entries: Sequence[_Entry]) -> Iterator[str]:
    """What was not compared of a task, and in what its rows differ without an effect on any result; the first entry's rows are shown."""
    (first, one), *others = [(Path(name).name, entry) for name, entry in entries]
    if silent := [name for name, entry in ((first, one), *others) if "specification" not in entry]:
        lacking = f"{', '.join(silent)}, of an older version, {verb(len(silent), 'lack')} them"
        yield f"{task}: whether the label words are the same was not compared: {lacking}."
    if odd := [name for name, other in others if pools_differ(one, other)]:
        yield f"{task}: the raw rows shown are those of {first}; {', '.join(odd)} had others, on which none of their results depends."
    if odd := [name for name, other in others if _drawn_from(other) != _drawn_from(one)]:
        yield f"{task}: the rows to draw from that are shown are those of {first}; {', '.join(odd)} drew from others."


def _drawn_from(task: Mapping[str, Any]) -> str | None:
    return (task["data"]["train"] or {}).get("fingerprint")


def _problems(reports: Mapping[str, Report]) -> Iterator[str]:
    """Why the studies do not fit together."""
    if len(reports) < 2:
        yield "merging takes two studies at least"
    others = [name for name, report in reports.items() if report.get("kind", "run") != "study"]
    yield from (f"{name} is a run, not a study" for name in others)
    if others or len(reports) < 2:
        return
    (first, one), *rest = reports.items()
    for name, other in rest:
        mine, theirs = _made(one), _made(other)
        for what in sorted(mine.keys() & theirs.keys()):
            if mine[what] != theirs[what]:
                yield f"{what} is {mine[what]} in {first} and {theirs[what]} in {name}"
    yield from _clashes(reports)
    yield from _gaps(reports)


def _made(report: Report) -> dict[str, str]:
    """What has to be the same, by dotted name."""
    return flat({name: value for name, value in report["study"].items() if name not in _FREE})


def _clashes(reports: Mapping[str, Report]) -> Iterator[str]:
    """Tasks of one name that are not the same, splits of one number with other rows, cells with two results."""
    yield from (line for task, entries in _entries(reports).items() for line in _other_tasks(task, entries))
    yield from (line for task in _entries(reports) for line in _other_pools(reports, task))
    splits: dict[tuple[Any, ...], tuple[str, str]] = {}
    cells: dict[tuple[Any, ...], tuple[str, Any]] = {}
    for name, report in reports.items():
        for task in report["tasks"]:
            for split in task["splits"]:
                where = (task["name"], split["shots"], split["split"])
                other, digest = splits.setdefault(where, (name, split["hash"]))
                if digest != split["hash"]:
                    yield f"{task['name']}: split {split['name']!r} has other rows in {other} than in {name}"
        for cell in report["cells"]:
            other, test = cells.setdefault(_key(cell), (name, cell["test"]))
            if test != cell["test"]:
                rows = shots_name(cell["shots"], report["study"]["draw"])
                place = f"{cell['task']}, {rows}, split {cell['split']}, seed {cell['seed']}, {cell['method']}"
                yield f"{place}: {other} and {name} have other results for the same cell"


def _other_tasks(name: str, entries: Sequence[_Entry]) -> Iterator[str]:
    """In what studies do not mean the same by the task ``name``. They are compared with one that says all of it, if there is one."""
    (first, one), *others = sorted(entries, key=lambda entry: "specification" not in entry[1])
    for other, task in others:
        if what := other_questions(one, task):
            differs = f"{name}: {' and '.join(what)} differ between {first} and {other}"
            yield f"{differs}; make both studies with the same task, or give one of the two tasks another name"
        if one["data"]["test"] != task["data"]["test"]:
            yield f"{name}: test rows differ between {first} and {other}"


def _other_pools(reports: Mapping[str, Report], task: str) -> Iterator[str]:
    """Studies whose methods depend on other raw rows than those of another study."""
    (first, one), *others = _with_rows_shown(reports, task)
    for name, other in others:
        mine, theirs = (_dependent(reports[study], task) for study in (first, name))
        if theirs and pools_differ(one, other):
            yield (
                f"{task}: raw rows (the pool) differ between {first} and {name}, and results depend on them (in {first} {', '.join(mine)}; "
                f"in {name} {', '.join(theirs)}); make one of the two again with the raw rows of the other (--unlabeled)"
            )


def _gaps(reports: Mapping[str, Report]) -> Iterator[str]:
    """Methods that lack splits or seeds which another method has."""
    had: dict[tuple[Any, Any], dict[str, set[tuple[Any, Any]]]] = {}
    draw = next(iter(reports.values()))["study"]["draw"]
    for report in reports.values():
        for cell in report["cells"]:
            place = had.setdefault((cell["task"], cell["shots"]), {})
            place.setdefault(cell["method"], set()).add((cell["split"], cell["seed"]))
    for (task, shots), methods in had.items():
        every = set().union(*methods.values())
        lacking = [method for method, places in methods.items() if places != every]
        if lacking:
            lack = f"{', '.join(lacking)} {verb(len(lacking), 'lack')}"
            yield f"{task}, {shots_name(shots, draw)}: {lack} splits or seeds that other methods have"
