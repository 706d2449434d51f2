"""A study for people: report.html, report.md, report.tex, all made of report.json alone. The same report gives the same bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from markupsafe import Markup

from petkit.canonical import plain
from petkit.files import make_directory, write_text
from petkit.report import charts, view, words
from petkit.report.drawing import can_draw
from petkit.report.latex import study_latex
from petkit.report.names import method_name, shots_name
from petkit.report.page import render, sections
from petkit.report.study_markdown import study_markdown

__all__ = ["study_page", "write_study_report"]

_FEW = 8
"""Up to so many sentences are all shown at once."""

_Item = TypeVar("_Item", view.Patterns, view.Confusion, view.Reliability)


def write_study_report(report: Mapping[str, Any], out: Path) -> list[Path]:
    """Write the pages of a study into the folder ``out``, made if need be; their paths."""
    report = json.loads(json.dumps(plain(report), sort_keys=True))  # as if read back: the same order, so the same bytes
    make_directory(out)
    texts = {"report.html": study_page(report), "report.md": study_markdown(report), "report.tex": study_latex(report)}
    for name, text in texts.items():
        write_text(out / name, text)
    return [out / name for name in texts]


def study_page(report: Mapping[str, Any]) -> str:
    """The HTML page. Without matplotlib its figures are left out, and it says so."""
    drawn, metric = can_draw(), report["study"]["primary"]["metric"]
    draw = _drawing(drawn, report["study"]["draw"])
    growing = _growing(report)
    first, rest = words.findings(report)
    values = {
        "report": report,
        "tasks": [task["name"] for task in report["tasks"]],
        "headline": words.headline(report),
        "lead": words.lead(report),
        "findings": first,
        "rest": rest,
        "rest_open": _count(first) + _count(rest) <= _FEW,
        "undecided": words.undecided(_count(rest)),
        "intervals": words.intervals(report),
        "same": words.same(report),
        "comparisons": [(words.where(report, comparison), comparison) for comparison in report["comparisons"]],
        "gain": report["gain_from_development"],
        "drawn": drawn,
        "legend": words.legend(report),
        "level": words.level_name(report),
        "curves": [
            (draw(charts.draw_methods, table), f"{table.task}: {words.bars(report, metric)}") for table in view.score_tables(report, metric)
        ],
        "grids": [(grid, view.shown(grid)) for grid in view.grids(report, metric)],
        "metrics": view.metric_rows(report),
        "patterns": _by_task(_at_most_shots(report, view.patterns(report)), lambda entry: draw(charts.draw_patterns, entry)),
        "growth": [(draw(charts.draw_generations, found), _caption(found[0], report["study"]["draw"])) for found in growing],
        "generations": view.generations(report),
        "confusions": [(task, [entry for entry, _ in found]) for task, found in _by_task(view.confusions(report), lambda _: None)],
        "reliabilities": _by_task(view.reliabilities(report), lambda entry: draw(charts.draw_reliability, entry)),
        "errors": _errors(report),
        "costs": view.costs(report),
        "left_out": words.costs(report),
        "study": {name: value for name, value in report["study"].items() if name != "settings"},
    }
    shown = {"warnings": report["warnings"], "patterns": values["patterns"], "ensembles": values["generations"]}
    shown |= {"calibration": values["reliabilities"], "errors": values["errors"]}
    return render("study.html.jinja", sections=sections(shown), **values)


def _count(groups: Iterable[tuple[str, list[str]]]) -> int:
    return sum(len(lines) for _, lines in groups)


def _caption(found: view.Generation, draw: str) -> str:
    return f"{found.task}, {method_name(found.method)}, {shots_name(found.shots, draw)}"


def _drawing(drawn: bool, how: str) -> Callable[[Callable[..., str], Any], Markup | None]:
    """Draws a figure under a name of its own, or nothing without matplotlib. ``how`` labelled rows were drawn, it may have to say."""
    numbers = count(1)

    def draw(function: Callable[..., str], found: Any) -> Markup | None:
        return Markup(function(found, name=f"f{next(numbers)}", draw=how)) if drawn else None

    return draw


def _by_task(found: Iterable[_Item], of: Callable[[_Item], Any]) -> list[tuple[str, list[tuple[_Item, Any]]]]:
    groups: dict[str, list[tuple[_Item, Any]]] = {}
    for entry in found:
        groups.setdefault(entry.task, []).append((entry, of(entry)))
    return list(groups.items())


def _at_most_shots(report: Mapping[str, Any], found: Iterable[view.Patterns]) -> list[view.Patterns]:
    return [entry for entry in found if entry.shots == view.most_shots(report, entry.task)]


def _growing(report: Mapping[str, Any]) -> list[list[view.Generation]]:
    """Of each task, the generations of methods that have several, at the largest number of shots."""
    groups: dict[tuple[str, str], list[view.Generation]] = {}
    for entry in view.generations(report):
        if entry.shots == view.most_shots(report, entry.task):
            groups.setdefault((entry.task, entry.method), []).append(entry)
    return [found for found in groups.values() if len(found) > 1]


def _errors(report: Mapping[str, Any]) -> list[tuple[str, str | None, list[dict[str, Any]]]]:
    """(task, language of its texts, its wrong rows)."""
    found = []
    for task in report["tasks"]:
        mine = [{"method": None, "votes": {}, **entry} for entry in report["errors"] if entry["task"] == task["name"]]
        if mine:
            found.append((task["name"], task["text_language"], mine))
    return found
