"""What a study's report shows, gathered from report.json: the same tables for HTML, Markdown, LaTeX and the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from petkit.report.names import METRIC_NAMES, SAME, interval, shots_name, spread, without_width

__all__ = [
    "Confusion",
    "Cost",
    "Generation",
    "Grid",
    "Patterns",
    "Reliability",
    "ScoreTable",
    "confusions",
    "costs",
    "generations",
    "grids",
    "metric_rows",
    "most_shots",
    "patterns",
    "pooled_bins",
    "reliabilities",
    "same_on_all_splits",
    "score_tables",
    "shown",
]

Report = Mapping[str, Any]
Row = Mapping[str, Any]


@dataclass(frozen=True)
class ScoreTable:
    """One task and metric: ``rows`` holds for each method one summary (or None) for each of ``shots``."""

    task: str
    metric: str
    shots: tuple[int | None, ...]
    rows: tuple[tuple[str, tuple[Row | None, ...]], ...]


@dataclass(frozen=True)
class Grid:
    """Score tables as they are printed: methods down; shots of one task across, or tasks where each has one number of shots only."""

    title: str
    metric: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Row | None, ...]], ...]


@dataclass(frozen=True)
class Cost:
    """Means over the cells of a method at the largest number of shots; None where nothing is known."""

    method: str
    seconds: float | None
    trained_steps: float | None
    forward_tokens: float | None
    peak_memory: float | None
    size: float | None
    p50: float | None
    p95: float | None


@dataclass(frozen=True)
class Patterns:
    """Mean accuracies of each pattern before and after training, over splits, seeds and (the first generation's) members."""

    task: str
    shots: int | None
    method: str
    rows: tuple[tuple[int, str, float | None, float | None], ...]


@dataclass(frozen=True)
class Generation:
    """Means over splits and seeds of what a generation is worth; None where nothing is known."""

    task: str
    shots: int | None
    method: str
    generation: int
    ensemble: float | None
    agreement: float | None
    pool_accuracy: float | None
    set_accuracy: float | None


MOST_LABELS: Final = 30
"""Up to so many labels a page shows a confusion matrix in full; of more, the ``MOST_PAIRS`` that were confused most often."""
MOST_PAIRS: Final = 20


@dataclass(frozen=True)
class Confusion:
    """Test rows over all splits and seeds: ``counts[true][predicted]``."""

    task: str
    shots: int | None
    method: str
    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    @property
    def in_full(self) -> bool:
        """Whether the matrix is small enough to be shown."""
        return len(self.labels) <= MOST_LABELS

    def confused(self) -> list[tuple[str, str, int, float]]:
        """(true label, what was predicted, rows, their share of the label's rows) of the pairs confused most often."""
        found = [
            (true, predicted, count, count / sum(row))
            for i, (true, row) in enumerate(zip(self.labels, self.counts, strict=True))
            for j, (predicted, count) in enumerate(zip(self.labels, row, strict=True))
            if i != j and count
        ]
        return sorted(found, key=lambda pair: -pair[2])[:MOST_PAIRS]

    def per_class(self) -> list[tuple[str, float | None, float | None, float | None, int]]:
        """(label, precision, recall, F1, rows) from the counts; None where nothing was predicted, no row is there, or neither."""
        chosen, rows = [sum(column) for column in zip(*self.counts, strict=True)], [sum(row) for row in self.counts]
        hits = [self.counts[i][i] for i in range(len(self.labels))]
        return [
            (label, hit / c if c else None, hit / n if n else None, 2 * hit / (c + n) if c + n else None, n)
            for label, hit, c, n in zip(self.labels, hits, chosen, rows, strict=True)
        ]


@dataclass(frozen=True)
class Reliability:
    """Bins of all splits and seeds together: (count, confidence, accuracy) of those with rows, before and after scaling.

    The calibration errors are means over ``cells`` (splits and seeds), not those of the bins taken together.
    """

    task: str
    shots: int | None
    method: str
    ece: float | None
    ece_scaled: float | None
    before: tuple[tuple[int, float, float], ...]
    after: tuple[tuple[int, float, float], ...]
    cells: int = 1


def score_tables(report: Report, metric: str = "accuracy") -> list[ScoreTable]:
    """One table for each task, methods in the study's order, shots ascending."""
    found = {(row["task"], row["shots"], row["method"]): row for row in report["summary"] if row["metric"] == metric}
    tables = []
    for task in dict.fromkeys(key[0] for key in found):
        shots = sorted({key[1] for key in found if key[0] == task}, key=lambda value: -1 if value is None else value)
        methods = [method for method in report["study"]["methods"] if any((task, k, method) in found for k in shots)]
        rows = tuple((method, tuple(found.get((task, k, method)) for k in shots)) for method in methods)
        tables.append(ScoreTable(task, metric, tuple(shots), rows))
    return tables


def grids(report: Report, metric: str = "accuracy") -> list[Grid]:
    """One grid for each task, or a single one with the tasks as columns if none has several numbers of shots."""
    tables, draw = score_tables(report, metric), report["study"]["draw"]
    if len(tables) > 1 and len({table.shots for table in tables}) == 1 and len(tables[0].shots) == 1:
        return [_across_tasks(tables, draw)]
    return [Grid(table.task, metric, tuple(shots_name(k, draw) for k in table.shots), table.rows) for table in tables]


def _across_tasks(tables: Sequence[ScoreTable], draw: str) -> Grid:
    """The last column is the mean over tasks, for methods that have them all."""
    columns = (*(table.task for table in tables), "mean over tasks")
    rows = []
    for method in dict.fromkeys(method for table in tables for method, _ in table.rows):
        found = [dict(table.rows).get(method, (None,))[0] for table in tables]
        known = [row["mean"] for row in found if row is not None and row["mean"] is not None]
        mean = {"mean": sum(known) / len(known), "sd_splits": None, "interval_splits": None, "interval_rows": None} if known else None
        rows.append((method, (*found, mean if len(known) == len(found) else None)))
    return Grid(shots_name(tables[0].shots[0], draw), tables[0].metric, columns, tuple(rows))


def metric_rows(report: Report) -> list[tuple[str, int | None, list[tuple[str, list[tuple[str, Row | None]]]]]]:
    """For each task at its largest number of shots: (method, every metric with its summary)."""
    found = {(row["task"], row["shots"], row["method"], row["metric"]): row for row in report["summary"]}
    tables = []
    for task in dict.fromkeys(row["task"] for row in report["summary"]):
        shots = most_shots(report, task)
        methods = [m for m in report["study"]["methods"] if any(key[:3] == (task, shots, m) for key in found)]
        rows = [(method, [(metric, found.get((task, shots, method, metric))) for metric in METRIC_NAMES]) for method in methods]
        tables.append((task, shots, rows))
    return tables


def costs(report: Report) -> list[Cost]:
    """Of each method, over all tasks at their largest number of shots."""
    wanted = {task: most_shots(report, task) for task in {cell["task"] for cell in report["cells"]}}
    keys = ("task", "shots", "split", "seed", "method")
    measured = {tuple(cell[key] for key in keys): cell for cell in report["measured"]["cells"]}
    found = []
    for method in report["study"]["methods"]:
        cells = [cell for cell in report["cells"] if cell["method"] == method and cell["shots"] == wanted[cell["task"]]]
        seen = [measured.get(tuple(cell[key] for key in keys), {}) for cell in cells]
        latency = [one.get("latency_ms") or {} for one in seen]
        if cells:
            found.append(
                Cost(
                    method=method,
                    seconds=_mean(one.get("seconds") for one in seen),
                    trained_steps=_mean(cell["counts"]["trained_steps"] for cell in cells),
                    forward_tokens=_mean(cell["counts"]["forward_tokens"] for cell in cells),
                    peak_memory=_mean(one.get("peak_memory_bytes") for one in seen),
                    size=_mean(cell["size_bytes"] for cell in cells),
                    p50=_mean(one.get("p50") for one in latency),
                    p95=_mean(one.get("p95") for one in latency),
                )
            )
    return found


def most_shots(report: Report, task: str) -> int | None:
    """The largest number of labelled rows per label in a task's cells; None if the splits were given."""
    known = [cell["shots"] for cell in report["cells"] if cell["task"] == task and cell["shots"] is not None]
    return max(known, default=None)


def patterns(report: Report) -> list[Patterns]:
    """Patterns of each task, shots and method, generation 0."""
    found = []
    for key, cells in _groups(report, lambda cell: bool(cell["members"])):
        members = [member for cell in cells for member in cell["members"] if member["generation"] == 0]
        rows = []
        for index in sorted({member["pattern_index"] for member in members}):
            mine = [member for member in members if member["pattern_index"] == index]
            rows.append((index, mine[0]["pattern"], _mean(m["before"] for m in mine), _mean(m["after"] for m in mine)))
        found.append(Patterns(*key, tuple(rows)))
    return found


def generations(report: Report) -> list[Generation]:
    """Each generation of each task, shots and method that has an ensemble."""
    found = []
    for key, cells in _groups(report, lambda cell: bool(cell["generations"])):
        entries = [entry for cell in cells for entry in cell["generations"]]
        for number in sorted({entry["generation"] for entry in entries}):
            mine = [entry for entry in entries if entry["generation"] == number]
            means = [_mean(entry[name] for entry in mine) for name in ("ensemble", "agreement", "pool_accuracy", "set_accuracy")]
            found.append(Generation(*key, number, *means))
    return found


def confusions(report: Report) -> list[Confusion]:
    """Of each task and method at the largest number of shots; splits and seeds added up."""
    labels = {task["name"]: tuple(task["labels"]) for task in report["tasks"]}
    wanted = {task: most_shots(report, task) for task in labels}
    found = []
    for key, cells in _groups(report, lambda cell: cell["shots"] == wanted[cell["task"]]):
        matrices = [cell["test"]["confusion"] for cell in cells]
        size = range(len(labels[key[0]]))
        found.append(Confusion(*key, labels[key[0]], tuple(tuple(sum(m[i][j] for m in matrices) for j in size) for i in size)))
    return found


def reliabilities(report: Report) -> list[Reliability]:
    """Of each task and method at the largest number of shots, where bins are known."""
    wanted = {key: most_shots(report, key) for key in {cell["task"] for cell in report["cells"]}}
    found = []
    for key, cells in _groups(report, lambda cell: bool(cell["shots"] == wanted[cell["task"]] and cell["test"].get("reliability"))):
        tests = [cell["test"] for cell in cells]
        before = pooled_bins([test["reliability"] for test in tests])
        after = pooled_bins([test["reliability_scaled"] for test in tests if test.get("reliability_scaled")])
        means = (_mean(test["ece"] for test in tests), _mean(test.get("ece_scaled") for test in tests))
        found.append(Reliability(*key, *means, before, after, len(cells)))
    return found


def pooled_bins(bins: Sequence[Sequence[Row]]) -> tuple[tuple[int, float, float], ...]:
    """Bins of several cells as one: (rows, mean confidence, accuracy) in order, without those that nothing fell into.

    >>> half = {"count": 1, "confidence": 0.6, "accuracy": 0.0}
    >>> pooled_bins([[half], [{"count": 3, "confidence": 0.8, "accuracy": 1.0}]])
    ((4, 0.75, 0.75),)
    """
    found = []
    for together in zip(*bins, strict=True):
        count = sum(one["count"] for one in together)
        if count:
            known = [one for one in together if one["count"]]
            means = [sum(one["count"] * one[name] for one in known) / count for name in ("confidence", "accuracy")]
            found.append((count, round(means[0], 12), round(means[1], 12)))
    return tuple(found)


def shown(table: ScoreTable | Grid) -> list[tuple[str, list[tuple[str, str]]]]:
    """For each method (mean ± sd, interval) of each shots: the interval over splits, or over test rows if there is one split.

    Where all splits come out the same it is ``SAME``.
    """
    return [
        (
            method,
            [
                ("", "")
                if row is None
                else (
                    spread(table.metric, row["mean"], row["sd_splits"]),
                    SAME if same_on_all_splits(row) else interval(table.metric, row["interval_splits"] or row["interval_rows"]),
                )
                for row in cells
            ],
        )
        for method, cells in table.rows
    ]


def same_on_all_splits(row: Row) -> bool:
    """Whether several splits of a row of ``summary`` have one value: then its interval over splits has no width.

    >>> same_on_all_splits({"interval_splits": [0.5, 0.5]}), same_on_all_splits({"interval_splits": None})
    (True, False)
    """
    return without_width(row["interval_splits"])


def _groups(report: Report, wanted: Callable[[Row], bool]) -> list[tuple[tuple[str, int | None, str], list[Row]]]:
    """The wanted cells by (task, shots, method), in the order in which they come."""
    groups: dict[tuple[str, int | None, str], list[Row]] = {}
    for cell in report["cells"]:
        if wanted(cell):
            groups.setdefault((cell["task"], cell["shots"], cell["method"]), []).append(cell)
    return list(groups.items())


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
