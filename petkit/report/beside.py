"""Several runs or studies in one table, side by side: as values, as Markdown and as a page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from petkit.canonical import plain
from petkit.choices import not_there
from petkit.errors import RunError, SettingsError, raise_problems
from petkit.files import make_directory, read_json_checked, write_json, write_text
from petkit.report.compare import check_comparable, difference, same_splits
from petkit.report.markdown import score_rows
from petkit.report.names import METRIC_NAMES, SAME, SHARES, difference_interval, method_name, shots_name, signed, spread
from petkit.report.page import flat, render
from petkit.report.run_page import run_page
from petkit.report.study_markdown import escape, table
from petkit.report.words import SPREAD

__all__ = ["compared", "legend", "read_report", "render_again", "write_comparison"]

SCHEMA = 1
"""Version of comparison.json, and of the reports that are read."""


_HOW: Final = {
    "paired": ("paired", "Student's, over the same splits"),
    "welch": ("Welch", "the splits are not the same"),
    "rows": ("test rows", "for these splits only"),
}
"""How the interval of a difference was found: as it stands in a cell, and as the legend explains it."""


def read_report(folder: Path, *, study_for: str | None = None) -> dict[str, Any]:
    """The report.json of a run or study; RunError if there is none, or one that this petkit does not read.

    Args:
        study_for: the flag that takes studies alone; None takes runs too.
    """
    path = folder / "report.json"
    if not path.is_file():
        raise RunError(f"{folder}: no report.json there; give the folder of a finished run or study{not_there(folder)}")
    report = read_json_checked(path)
    if report.get("kind") == "finetuning":
        raise RunError(f"{folder} is a fine-tuning run, which has no page; its scores are in {path} and were shown by petkit finetune")
    if report.get("schema") != SCHEMA or report.get("kind", "run") not in ("run", "study"):
        what = f"schema {report.get('schema')!r} and kind {report.get('kind', 'run')!r}"
        raise RunError(f"{path} has {what}; this petkit reads schema {SCHEMA} of runs and studies")
    if study_for and report.get("kind") != "study":
        raise RunError(f"{study_for} {folder}: its report is not one of petkit evaluate")
    if lacking := [key for key in _required(report.get("kind", "run")) if key not in report]:
        raise RunError(f"{path} lacks {', '.join(lacking)}; give the folder of a finished run or study, as petkit wrote it")
    return report


def _required(kind: str) -> list[str]:
    """The keys that every report of a kind has, by its schema."""
    schema = read_json_checked(Path(__file__).parent / "schema" / f"{kind}.schema.json")
    return list(schema["required"])


def render_again(report: Mapping[str, Any], out: Path) -> list[Path]:
    """The pages of a run or a study, into ``out``; their paths."""
    from petkit.report.markdown import markdown
    from petkit.report.study import write_study_report

    if report.get("kind") == "study":
        return write_study_report(report, out)
    make_directory(out)
    write_text(out / "report.html", run_page(report))
    write_text(out / "report.md", markdown(report))
    return [out / "report.html", out / "report.md"]


def compared(folders: list[Path]) -> dict[str, Any]:
    """The reports of the folders side by side, as in comparison.json. Raises if they cannot be compared, with every reason."""
    names = [str(folder) for folder in folders]
    raise_problems(SettingsError, "petkit report", [f"{name} is given twice" for name in dict.fromkeys(names) if names.count(name) > 1])
    reports = {name: read_report(Path(name)) for name in names}
    check_comparable(reports)
    kind = next(iter(reports.values())).get("kind", "run")
    rows = list(_studies(reports) if kind == "study" else _runs(reports))
    what = "comparison of studies" if kind == "study" else "comparison of runs"
    level = next(iter(reports.values()))["study"]["primary"]["level"] if kind == "study" else None
    found: dict[str, Any] = plain(
        {"schema": SCHEMA, "kind": what, "names": names, "level": level, "rows": rows, "settings": _settings(reports)}
    )
    return found


def _runs(reports: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Lines of the runs' tables that are of the same thing, in the order in which they come."""
    scores = {name: {what: after for what, _, after in score_rows(report) if after} for name, report in reports.items()}
    for what in dict.fromkeys(what for found in scores.values() for what in found):
        cells = [{"mean": scores[name][what]["accuracy"]} if what in scores[name] else None for name in reports]
        yield {"what": what, "metric": "accuracy", "cells": _with_differences(cells)}


def _studies(reports: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """(task, shots, method) in the primary metric of the first study."""
    first = next(iter(reports.values()))
    primary = first["study"]["primary"]
    found = {
        name: {(row["task"], row["shots"], row["method"]): row for row in report["summary"] if row["metric"] == primary["metric"]}
        for name, report in reports.items()
    }
    for task, shots, method in dict.fromkeys(key for rows in found.values() for key in rows):
        cells: list[dict[str, Any] | None] = []
        base = next(iter(found.values())).get((task, shots, method))
        for name, report in reports.items():
            row = found[name].get((task, shots, method))
            cell = None if row is None else {key: row[key] for key in ("mean", "sd_splits", "splits")}
            if cell is not None and cells and base is not None and row is not None:
                gap = difference(row, base, paired=same_splits(report, first, task, shots), level=primary["level"])
                cell |= {"difference": gap.value, "interval": gap.interval, "how": gap.how} if gap else {}
            cells.append(cell)
        yield {
            "what": f"{task}, {shots_name(shots, first['study']['draw'])}: {method_name(method)}",
            "metric": primary["metric"],
            "cells": cells,
        }


def _with_differences(cells: list[dict[str, Any] | None]) -> list[dict[str, Any] | None]:
    base = cells[0]
    return [
        cell if cell is None or base is None or not i else {**cell, "difference": cell["mean"] - base["mean"]}
        for i, cell in enumerate(cells)
    ]


def _settings(reports: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str | None]]:
    """What differs in how they were made: by dotted name, one value for each report."""
    values = {name: flat(_made(report)) for name, report in reports.items()}
    names = sorted({name for found in values.values() for name in found})
    every = {name: [found.get(name) for found in values.values()] for name in names}
    return {name: found for name, found in every.items() if len(set(found)) > 1} | _of_tasks(reports)


def _of_tasks(reports: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str | None]]:
    """What differs in tasks that several studies have, like ``_settings``; what a study does not know, or lacks the task of, is None."""
    found: dict[str, list[str | None]] = {}
    studies = [{task["name"]: _asked(task) for task in report.get("tasks", ())} for report in reports.values()]
    for task in dict.fromkeys(name for study in studies for name in study):
        for what in dict.fromkeys(what for study in studies for what in study.get(task, ())):
            values = [study.get(task, {}).get(what) for study in studies]
            if len(set(values) - {None}) > 1:
                found[f"tasks.{task}.{what}"] = values
    return found


def _asked(task: Mapping[str, Any]) -> dict[str, str | None]:
    """What a study says of a task's questions and rows; the labels and the test rows are the same, or nothing is compared."""
    words = list(dict.fromkeys(_text(of) for of in task.get("label_words", ())))
    return {
        "fields": _text(task["fields"]),
        "patterns": _text(task["patterns"]),
        "label_words": ", ".join(words) or None,
        "specification": task.get("specification"),
        **{f"hashes.{part}": (task["data"][part] or {}).get("fingerprint") for part in ("train", "pool")},
    }


def _text(value: Any) -> str:
    """JSON in one form that can be read in every script."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _made(report: Mapping[str, Any]) -> dict[str, Any]:
    if report.get("kind") == "study":
        return {"study": report["study"], "versions": report["versions"]}
    keys = ("method", "model", "seed", "device", "settings", "versions")
    return {**{key: report[key] for key in keys}, "rows": report["data"]["rows"], "hashes": report["data"]["fingerprints"]}


def shown_cell(metric: str, cell: Mapping[str, Any] | None) -> tuple[str, str]:
    """Mean ± standard deviation, and the difference to the first report with its interval and how that was found."""
    if cell is None:
        return "", ""
    gap, ends = signed(metric, cell.get("difference")), cell.get("interval")
    return spread(metric, cell["mean"], cell.get("sd_splits")), f"{gap} ({_between(metric, ends, cell['how'])})" if cell.get("how") else gap


def _between(metric: str, ends: Sequence[float] | None, how: str) -> str:
    """The interval of a difference and how it was found.

    >>> _between("accuracy", [-0.01, 0.02], "welch"), _between("accuracy", [0.0, 0.0], "paired"), _between("accuracy", [0.0, 0.0], "rows")
    ('-1.0 to 2.0, Welch', 'same on all splits', 'no interval, test rows')
    """
    found = difference_interval(metric, ends)
    return SAME if (found, how) == (SAME, "paired") else f"{'no interval' if found in ('', SAME) else found}, {_HOW[how][0]}"


def legend(found: Mapping[str, Any]) -> str:
    """What stands in the cells of a comparison, as in comparison.json."""
    metric = found["rows"][0]["metric"] if found["rows"] else "accuracy"
    cells = [cell for row in found["rows"] for cell in row["cells"] if cell]
    several = any(cell.get("sd_splits") is not None for cell in cells)
    hows = [how for how in _HOW if any(cell.get("how") == how for cell in cells)]
    what = f"{METRIC_NAMES[metric]}{' in %' if metric in SHARES else ''}{f', {SPREAD}' if several else ''}"
    level = [f"{100 * found['level']:g} %"] if found.get("level") else []
    between = f" and its interval ({'; '.join([*level, *(': '.join(_HOW[how]) for how in hows)])})" if hows else ""
    return f"{what}; below, the difference to {found['names'][0]}{between}"


def write_comparison(found: Mapping[str, Any], out: Path) -> list[Path]:
    """comparison.html, comparison.md and comparison.json into ``out``; their paths."""
    make_directory(out)
    rows = [(row["what"], [shown_cell(row["metric"], cell) for cell in row["cells"]]) for row in found["rows"]]
    caption, sections = legend(found), [("scores", "Scores"), ("settings", "What differs in how they were made")]
    values = {"found": found, "rows": rows, "caption": caption, "sections": sections}
    write_text(out / "comparison.html", render("comparison.html.jinja", **values))
    lines = [[what, *(f"{mean} [{gap}]" if gap else mean for mean, gap in cells)] for what, cells in rows]
    made = [[name, *(value or "" for value in row)] for name, row in found["settings"].items()]
    text = [
        f"# {found['kind'].capitalize()}",
        "",
        escape(caption),
        "",
        *table(["", *found["names"]], lines),
        "",
        "## What differs",
        "",
    ]
    write_text(out / "comparison.md", "\n".join([*text, *table(["", *found["names"]], made)]) + "\n")
    write_json(out / "comparison.json", found)
    return [out / f"comparison.{ending}" for ending in ("html", "md", "json")]
