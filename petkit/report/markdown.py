"""A run's report as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from petkit.report.names import BASELINES, baseline_name, classifier_name, ensemble_name
from petkit.report.study_markdown import escape, table
from petkit.shortfalls import short_labels
from petkit.unknowns import unknown_notice
from petkit.wording import quoted

__all__ = ["markdown", "result_rows", "score_rows"]

Scores = Mapping[str, float] | None


def score_rows(report: Mapping[str, Any]) -> Iterator[tuple[str, Scores, Scores]]:
    """(what, test scores before training, test scores after) for every line of a run's table, in the order of the stages."""
    scores = report["scores"]
    for member in scores["members"]:
        seed = "" if member["seed"] is None else f", seed {member['seed']}"
        generation = f"generation {member['generation']}, " if len(scores["generations"]) > 1 else ""
        yield f"{generation}pattern {member['pattern_index']}{seed}: {member['pattern']}", member["before"], member["after"]
    yield from ((what, None, after) for what, after in result_rows(report))


def result_rows(report: Mapping[str, Any]) -> Iterator[tuple[str, Scores]]:
    """(what, test scores) of the ensembles, the classifier and the baselines that there are."""
    scores = report["scores"]
    for entry in scores["generations"]:
        yield ensemble_name(entry["generation"] if len(scores["generations"]) > 1 else None), entry["ensemble"]
    yield classifier_name(report["method"]), scores["classifier"]
    yield from ((baseline_name(name), found) for name in BASELINES if (found := scores["baselines"].get(name)) is not None)


def markdown(report: Mapping[str, Any]) -> str:
    """The whole report."""
    rows, unlabeled = report["data"]["rows"], report["data"].get("test_unlabeled", 0)
    labels = escape(", ".join(map(quoted, report["labels"])))
    lines = [f"# {escape(report['task'])}: {report['method']}", ""]
    lines += [
        f"{rows['train']} labelled rows, {rows['pool']} unlabelled, {rows['test'] - unlabeled} for the test; labels {labels};"
        f" model `{report['model']}`, seed {report['seed']}, {sum(report['seconds'].values()):.0f} s on {report['device']}.",
        "",
        *_warnings(report),
        "## Test scores",
    ]
    if scored := [_cells(*row) for row in score_rows(report) if any(row[1:])]:
        lines += ["", *table(["", "accuracy before", "accuracy", "macro-F1"], scored)]
    if report["scores"]["classifier"] is None:
        lines += ["", "No labelled test rows were given, so nothing is known of how good the classifier is."]
    for entry in report["scores"]["generations"]:
        if entry.get("agreement") is not None:
            shares = _counts(entry["pool_labels"])
            lines += ["", f"Generation {entry['generation']}: members agree on {entry['agreement']:.0%} of the pool and give it {shares}."]
    lines += _trained(report)
    return "\n".join(lines) + "\n"


def _trained(report: Mapping[str, Any]) -> list[str]:
    """A line on what was not trained in full; reports of earlier versions do not say."""
    trained, found = report.get("trained", {}), []
    units = {"member": "g", "classifier": "classifier", "supervised": "baseline-supervised"}
    for part, beginning in units.items():
        shares = [entry["trained_share"] for name, entry in trained.items() if name.startswith(beginning)]
        if shares and (how := report["settings"][part]["strategy"]) != "full":
            found.append(f"{part} ({how}) {shares[0]:.2%}")
    return ["", f"Trained weights, as a share of all parameters: {', '.join(found)}."] if found else []


def _warnings(report: Mapping[str, Any]) -> list[str]:
    data, found = report["data"], []
    if data["overlap"]:
        found.append(f"**{len(data['overlap'])} labelled rows equal a test row (--allow-overlap): the scores below are too good.**")
    if data["removed_from_pool"]:
        found.append(f"{data['removed_from_pool']} unlabelled rows equal a test row and were left out.")
    if data.get("test_unlabeled"):
        found.append(f"{data['test_unlabeled']} of {data['rows']['test']} test rows have no label and are not scored.")
    if unknown := unknown_notice(data.get("unknown_tokens") or {}):
        found.append(f"{unknown}.")
    for entry in report["scores"]["generations"]:
        if entry.get("short"):
            found.append(escape(f"Generation {entry['generation']}: {short_labels(entry)}."))
    return [*found, ""] if found else []


def _cells(what: str, before: Scores, after: Scores) -> list[str]:
    def shown(scores: Scores, name: str) -> str:
        return "" if scores is None else f"{scores[name]:.3f}"

    return [what, shown(before, "accuracy"), shown(after, "accuracy"), shown(after, "macro_f1")]


def _counts(of: Mapping[str, int]) -> str:
    """Rows of each label."""
    return escape(", ".join(f"{quoted(label)} {count}" for label, count in of.items()))
