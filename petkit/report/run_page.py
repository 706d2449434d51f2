"""One training run as a page: report.html, made of the run's report.json alone. Reports of older versions lack some sections."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from markupsafe import Markup
from scipy.stats import binomtest

from petkit.canonical import plain
from petkit.report import charts, view
from petkit.report.drawing import can_draw
from petkit.report.markdown import score_rows
from petkit.report.names import BASELINES, METRIC_NAMES, baseline_name, ensemble_name, method_name, percent
from petkit.report.page import render, sections
from petkit.shortfalls import short_labels
from petkit.unknowns import unknown_notice

__all__ = ["run_page", "run_summary", "run_warnings"]

_WHAT = {"classifier": "classifier", "ensemble": ensemble_name(None), **{name: baseline_name(name) for name in BASELINES}}
_FEW = 100


def run_page(report: Mapping[str, Any]) -> str:
    """The HTML page."""
    report = json.loads(json.dumps(plain(report), sort_keys=True))  # as if read back: the same order, so the same bytes
    drawn = can_draw()
    tests = _tests(report)
    curves = [_reliability(report, name, test) for name, test in tests.items() if test["reliability"]]
    patterns = _patterns(report)
    values = {
        "report": report,
        "title": f"{report['task']}: {method_name(report['method'])}",
        "summary": run_summary(report),
        "warnings": run_warnings(report),
        "drawn": drawn,
        "rows": [(what, before, after, _wilson(after, _tested(report))) for what, before, after in score_rows(report) if before or after],
        "tests": tests,
        "patterns": patterns,
        "pattern_figure": Markup(charts.draw_patterns(patterns, name="p")) if drawn and patterns else None,
        "growth": _growth(report, drawn),
        "generations": report["scores"]["generations"],
        "confusions": [(name, _confusion(report, name, test)) for name, test in tests.items()],
        "reliabilities": [
            (found, Markup(charts.draw_reliability(found, name=f"r{number}")) if drawn else None) for number, found in enumerate(curves)
        ],
        "errors": report.get("errors") or [],
        "metric_names": METRIC_NAMES,
    }
    keys = {"warnings": "warnings", "scores": "rows", "patterns": "patterns", "ensembles": "generations"}
    shown = {name: values[key] for name, key in keys.items()}
    shown |= {"confusion": tests, "calibration": curves, "errors": values["errors"], "cost": None}
    return render("run.html.jinja", sections=sections(shown), **values)


def run_summary(report: Mapping[str, Any]) -> list[str]:
    """The run in sentences."""
    rows, found, tested = report["data"]["rows"], report["scores"]["classifier"], _tested(report)
    lines = [
        f"{method_name(report['method'])} learnt {len(report['labels'])} labels from {rows['train']} labelled and {rows['pool']} raw rows "
        f"with the model {report['model']}, seed {report['seed']}."
    ]
    if found is None:
        return [*lines, "No labelled test rows were given, so nothing is known of how good the classifier is."]
    low, high = _wilson(found, tested)
    lines.append(
        f"The classifier gets {percent(found['accuracy'])} % of {tested} test rows right (95 % interval over test rows "
        f"{percent(low)} to {percent(high)} %), macro-F1 {percent(found['macro_f1'])} %."
    )
    lines.append(
        "That is one draw of labelled rows and one seed: other labelled rows may do better or worse by more than this interval says; "
        "petkit evaluate measures that."
    )
    return [*lines, *_against_baselines(report)]


def _against_baselines(report: Mapping[str, Any]) -> Iterator[str]:
    for name in BASELINES:
        what = f"The {method_name(name)} for every row" if name == "majority" else f"On the same labelled rows, {method_name(name)}"
        found = report["scores"]["baselines"].get(name)
        if found is not None and name != report["method"]:
            gap = 100 * (report["scores"]["classifier"]["accuracy"] - found["accuracy"])
            yield f"{what} gets {percent(found['accuracy'])} %: a difference of {gap:+.1f} points."


def run_warnings(report: Mapping[str, Any]) -> list[str]:
    """What a reader should know before believing the numbers."""
    data, found = report["data"], []
    if data["overlap"]:
        found.append(f"{len(data['overlap'])} labelled rows equal a test row (--allow-overlap): the scores are too good.")
    if data["removed_from_pool"]:
        found.append(f"{data['removed_from_pool']} raw rows equal a test row and were left out.")
    if data.get("test_unlabeled"):
        found.append(f"{data['test_unlabeled']} of {data['rows']['test']} test rows have no label and are not scored.")
    if data.get("blank_dropped"):
        found.append(f"{data['blank_dropped']} rows with a blank text were left out.")
    names = {"train": "labelled", "pool": "raw", "test": "test"}
    found += [f"{count} {names[part]} rows repeat another one." for part, count in (data.get("duplicates") or {}).items() if count]
    if 0 < _tested(report) < _FEW:
        found.append(f"The test has {_tested(report)} rows only: small differences cannot be told.")
    for part, counts in (data.get("class_counts") or {}).items():
        if counts and max(counts) > 3 * max(1, min(counts)):
            most, least = (report["labels"][counts.index(end(counts))] for end in (max, min))
            found.append(
                f"Labels are skewed in the {names[part]} rows: {max(counts)} of {most!r}, {min(counts)} of {least!r}; see macro-F1."
            )
    if unknown := unknown_notice(data.get("unknown_tokens") or {}):
        found.append(f"{unknown}.")
    if report["head"] and report["head"]["status"] in ("missing", "untrained"):
        found.append(f"The checkpoint's masked-LM head is {report['head']['status']}: {report['head']['detail']}.")
    lacking = [entry for entry in report["scores"]["generations"] if entry.get("short")]
    return [*found, *(f"Generation {entry['generation']}: {short_labels(entry)}." for entry in lacking)]


def _tests(report: Mapping[str, Any]) -> dict[str, Any]:
    """All metrics by what they are of; a baseline that is the classifier itself is not shown twice."""
    known = report.get("tests") or {}
    return {what: known[name] for name, what in _WHAT.items() if known.get(name) and name != report["method"]}


def _tested(report: Mapping[str, Any]) -> int:
    """Labelled test rows."""
    test = (report.get("tests") or {}).get("classifier")
    return int(test["rows"] if test else report["data"]["rows"]["test"])


def _wilson(score: Mapping[str, float] | None, rows: int) -> tuple[float | None, float | None]:
    """Wilson's 95 % interval of an accuracy over test rows."""
    if score is None or not rows:
        return None, None
    found = binomtest(round(score["accuracy"] * rows), rows).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)


def _patterns(report: Mapping[str, Any]) -> view.Patterns | None:
    """Means over seeds of the first generation; None where nothing is scored."""
    cell = {**_cell(report), "members": [{**member, **_accuracies(member)} for member in report["scores"]["members"]]}
    found = view.patterns({"cells": [cell]})
    return found[0] if found and any(before is not None or after is not None for _, _, before, after in found[0].rows) else None


def _accuracies(member: Mapping[str, Any]) -> dict[str, float | None]:
    return {when: member[when]["accuracy"] if member[when] else None for when in ("before", "after")}


def _cell(report: Mapping[str, Any]) -> dict[str, Any]:
    return {"task": report["task"], "shots": None, "method": report["method"]}


def _growth(report: Mapping[str, Any], drawn: bool) -> Markup | None:
    found = [
        view.Generation(
            report["task"],
            None,
            report["method"],
            entry["generation"],
            entry["ensemble"]["accuracy"] if entry["ensemble"] else None,
            entry["agreement"],
            None,
            None,
        )
        for entry in report["scores"]["generations"]
    ]
    known = any(entry.ensemble is not None for entry in found)
    return Markup(charts.draw_generations(found, name="g")) if drawn and known and len(found) > 1 else None


def _confusion(report: Mapping[str, Any], name: str, test: Mapping[str, Any]) -> view.Confusion:
    counts = tuple(tuple(row) for row in test["confusion"])
    return view.Confusion(report["task"], None, name, tuple(report["labels"]), counts)


def _reliability(report: Mapping[str, Any], name: str, test: Mapping[str, Any]) -> view.Reliability:
    bins = [view.pooled_bins([found]) if (found := test.get(key)) else () for key in ("reliability", "reliability_scaled")]
    return view.Reliability(report["task"], None, name, test["ece"], test.get("ece_scaled"), bins[0], bins[1])
