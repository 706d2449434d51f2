"""A run's report as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["markdown", "score_rows"]

Scores = Mapping[str, float] | None

_BASELINES = {
    "supervised": "baseline: same checkpoint, plain head",
    "tfidf": "baseline: TF-IDF + logistic regression",
    "majority": "baseline: most frequent label",
}
"""Reports of older versions lack the last."""


def score_rows(report: Mapping[str, Any]) -> Iterator[tuple[str, Scores, Scores]]:
    """(what, test scores before training, test scores after) for every line of a run's table, in the order of the stages."""
    scores = report["scores"]
    for member in scores["members"]:
        seed = "" if member["seed"] is None else f", seed {member['seed']}"
        generation = f"generation {member['generation']}, " if len(scores["generations"]) > 1 else ""
        yield f"{generation}pattern {member['pattern_index']}{seed}: {member['pattern']}", member["before"], member["after"]
    for entry in scores["generations"]:
        name = f"ensemble of generation {entry['generation']}" if len(scores["generations"]) > 1 else "ensemble"
        yield name, None, entry["ensemble"]
    yield (
        "classifier" if report["method"] not in ("supervised", "tfidf") else f"classifier ({report['method']})",
        None,
        scores["classifier"],
    )
    for name, what in _BASELINES.items():
        if (found := scores["baselines"].get(name)) is not None:
            yield what, None, found


def markdown(report: Mapping[str, Any]) -> str:
    """The whole report."""
    rows, lines = report["data"]["rows"], [f"# {report['task']}: {report['method']}", ""]
    lines += [
        f"{rows['train']} labelled rows, {rows['pool']} unlabelled, {rows['test']} for the test; labels {', '.join(report['labels'])};"
        f" model `{report['model']}`, seed {report['seed']}, {sum(report['seconds'].values()):.0f} s on {report['device']}.",
        "",
        *_warnings(report),
        "## Test scores",
        "",
        *_table(["", "accuracy before", "accuracy", "macro-F1"], [_cells(*row) for row in score_rows(report)]),
    ]
    if report["scores"]["classifier"] is None:
        lines += ["", "No labelled test rows were given, so nothing is known of how good the classifier is."]
    for entry in report["scores"]["generations"]:
        if entry.get("agreement") is not None:
            shares = ", ".join(f"{label} {count}" for label, count in entry["pool_labels"].items())
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
    for entry in report["scores"]["generations"]:
        if entry.get("short"):
            found.append(f"Generation {entry['generation']}: some labels got fewer rows than their quota ({entry['quota']}).")
    return [*found, ""] if found else []


def _cells(what: str, before: Scores, after: Scores) -> list[str]:
    def shown(scores: Scores, name: str) -> str:
        return "" if scores is None else f"{scores[name]:.3f}"

    return [" ".join(what.splitlines()).replace("|", "\\|"), shown(before, "accuracy"), shown(after, "accuracy"), shown(after, "macro_f1")]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(line)} |" for line in (header, ["---"] * len(header), *rows)]
