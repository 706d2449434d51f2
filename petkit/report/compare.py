"""Reports beside each other: what may be compared, one table side by side, and what got worse.

Differences of a study are paired over splits where the splits are the same by their hashes: the paired t interval. Otherwise the two
sets of splits are compared by Welch's test. With one split, or of a method that the splits do not change, there are the intervals over
test rows only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from petkit.errors import RunError, raise_problems
from petkit.evaluation.alike import too_alike
from petkit.evaluation.grid import SEEDLESS, pooled
from petkit.evaluation.statistics import holm, sd, smallest_permutation_p, smallest_sign_flip_p
from petkit.metrics import LOWER_IS_BETTER
from petkit.report.names import METRIC_NAMES, TINY, difference_interval, method_name, number, shots_name
from petkit.wording import verb

__all__ = ["Difference", "check_against", "check_comparable", "difference", "other_questions", "pools_differ", "regressions", "undecided"]

Report = Mapping[str, Any]
Row = Mapping[str, Any]
Float = npt.NDArray[np.float64]


_ASKED: Final = {"labels": "labels", "fields": "fields", "patterns": "patterns", "label_words": "label words"}
"""What a study says of what a task asks, and how it is called."""


_ALIKE: Final = "; the splits share half of their labelled rows or more: not decided"


class Difference(NamedTuple):
    """New minus old; ``how``: ``paired``, ``welch`` or ``rows``. ``p`` and ``interval`` are None where nothing can be said.

    Splits that all differ by as much have no interval either: its width of nothing would claim to know the difference exactly.
    """

    value: float
    interval: tuple[float, float] | None
    p: float | None
    how: str


def check_comparable(reports: Mapping[str, Report]) -> None:
    """Raise RunError if the reports (by name) do not measure the same thing: kind, tasks, labels, test rows; every reason is named."""
    (first, one), *others = reports.items()
    problems = [line for name, other in others for line in _differs(first, one, name, other)]
    raise_problems(RunError, "these reports cannot be compared", problems)


def _differs(first: str, one: Report, name: str, other: Report) -> Iterator[str]:
    if _kind(one) != _kind(other):
        yield f"{first} is a {_kind(one)} and {name} a {_kind(other)}; give several runs, or several studies"
        return
    mine, theirs = _tasks(one), _tasks(other)
    common = [task for task in mine if task in theirs]
    if not common:
        yield f"{first} is about {', '.join(mine)} and {name} about {', '.join(theirs)}: no task in common"
    for task in common:
        for what, a, b in zip(("labels", "test rows"), mine[task], theirs[task], strict=True):
            if a != b:
                yield f"{task}: {what} differ: {_short(a)} in {first}, {_short(b)} in {name}"


def _kind(report: Report) -> str:
    return str(report.get("kind", "run"))


def _tasks(report: Report) -> dict[str, tuple[Any, Any]]:
    """Of each task the labels and the hash of its test rows."""
    if _kind(report) == "run":
        return {report["task"]: (report["labels"], report["data"]["fingerprints"].get("test"))}
    return {task["name"]: (task["labels"], task["data"]["test"]["fingerprint"]) for task in report["tasks"]}


def _short(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)[:12]


def other_questions(one: Row, other: Row) -> list[str]:
    """In what a task of one name, as two studies list it, asks something else; what an older report lacks is not compared.

    >>> one = {"labels": ["n", "p"], "fields": ["text"], "patterns": ["{text} {mask}"], "specification": "a"}
    >>> other_questions(one, {**one, "patterns": ["{mask}: {text}"], "specification": "b"})
    ['patterns']
    >>> other_questions(one, {**one, "specification": "b"})
    ['inputs of the classifier or the file of the pattern functions']
    """
    found = [what for key, what in _ASKED.items() if _differ(one.get(key), other.get(key))]
    rest = _differ(one.get("specification"), other.get("specification"))
    return found or (["inputs of the classifier or the file of the pattern functions"] if rest else [])


def pools_differ(one: Row, other: Row) -> bool:
    """Whether a task's raw rows, as two studies list it, are known not to be the same."""
    return _differ(*((task["data"]["pool"] or {}).get("fingerprint") for task in (one, other)))


def _differ(one: Any, other: Any) -> bool:
    return None not in (one, other) and one != other


def check_against(new: Report, old: Report) -> list[str]:
    """Notices on what ``regressions`` will be able to say, before there are any results: ``new`` has its ``study`` and ``tasks`` only.

    Raises RunError if the studies cannot be compared, or have no (task, shots, method) in common.
    """
    check_comparable({"the new study": new, "the earlier one": old})
    metric, methods = new["study"]["primary"]["metric"], new["study"]["methods"]
    earlier = {(row["task"], row["shots"], row["method"]) for row in old["summary"] if row["metric"] == metric}
    places = dict.fromkeys((task["name"], split["shots"]) for task in new["tasks"] for split in task["splits"])
    common = [place for place in places if any((*place, method) in earlier for method in methods)]
    if not common:
        raise RunError(
            f"these reports cannot be compared: the earlier one has {METRIC_NAMES[metric]} of none of the new study's methods "
            "on the same task and number of labels"
        )
    draw = new["study"]["draw"]
    other = [f"{task}, {shots_name(shots, draw)}" for task, shots in common if not same_splits(new, old, task, shots)]
    return [
        *(f"{where}: the earlier study had other splits, so differences are not paired, and only larger ones are found" for where in other),
        *(
            f"{task}, {shots_name(shots, draw)}: the splits share half of their labelled rows or more, so nothing is called worse by them"
            for task, shots in common
            if too_alike(new, task, shots) or too_alike(old, task, shots)
        ),
        *_made_otherwise(new, old, {name: [m for *place, m in earlier if place[0] == name and m in methods] for name, _ in common}),
    ]


def _made_otherwise(new: Report, old: Report, compared: Mapping[str, list[str]]) -> Iterator[str]:
    """Notices on tasks that ask something else or have other raw rows than in the earlier study; ``compared``: task -> methods."""
    earlier = {task["name"]: task for task in old["tasks"]}
    for task in new["tasks"]:
        name, adapted = task["name"], [bool(report["study"]["adapt_steps"]) for report in (new, old)]
        if name not in compared:
            continue
        if what := other_questions(task, earlier[name]):
            yield f"{name}: the earlier study had other {' and '.join(what)}, so a difference may come from these alone"
        learned = [method_name(m) for m in new["study"]["methods"] if m in pooled(compared[name], adapted=any(adapted))]
        if learned and pools_differ(task, earlier[name]):
            now, before = (_short(of["data"]["pool"]["fingerprint"]) for of in (task, earlier[name]))
            yield (
                f"{name}: the earlier study had other raw rows (hash {before}, now {now}), which {', '.join(learned)} "
                f"{verb(len(learned), 'depend')} on, so a difference may come from these alone"
            )


def difference(new: Row, old: Row, *, paired: bool, level: float, row_levels: tuple[float, float] | None = None) -> Difference | None:
    """Of two rows of ``summary``; None where one has no value.

    Args:
        paired: ``values`` belong to the same splits, in the same order.
        level: of the interval.
        row_levels: of the two rows' ``interval_rows``; None where both are ``level``.
    """
    row_levels = row_levels or (level, level)
    if new["mean"] is None or old["mean"] is None:
        return None
    a, b = (np.asarray([value for value in row["values"] if value is not None]) for row in (new, old))
    value = float(new["mean"] - old["mean"])
    if abs(value) > TINY and _unmoved(new, a, b):
        return _by_rows(value, new, old, level, row_levels)
    if paired and len(a) == len(b) > 1:
        error = float((a - b).std(ddof=1) / math.sqrt(len(a)))
        return _t(float((a - b).mean()), error, len(a) - 1, level, "paired", least=smallest_sign_flip_p(len(a)))
    if not paired and len(a) > 1 and len(b) > 1:
        error, freedom = _welch(a, b)
        return _t(float(a.mean() - b.mean()), error, freedom, level, "welch", least=smallest_permutation_p(len(a), len(b)))
    return _by_rows(value, new, old, level, row_levels)


def _unmoved(row: Row, a: Float, b: Float) -> bool:
    """Whether splits are no sample for a method: it draws on no seed, and no split of either study changes it."""
    return row["method"] in SEEDLESS and not sd(a) and not sd(b)


def _welch(a: Float, b: Float) -> tuple[float, float]:
    """Standard error of the difference of means, and degrees of freedom (Welch 1947): none where neither sample has any spread."""
    parts = [float(x.var(ddof=1) / len(x)) for x in (a, b)]
    error = math.sqrt(sum(parts))
    if error < TINY:
        return error, 0.0
    return error, sum(parts) ** 2 / sum(v**2 / (len(x) - 1) for v, x in zip(parts, (a, b), strict=True))


def _t(value: float, error: float, freedom: float, level: float, how: str, *, least: float | None) -> Difference:
    """A t interval and the p value of no difference. Without any spread there is no t test: the exact test over splits takes its place,
    whose p is then the ``least`` that it can be."""
    if error < TINY:
        same = abs(value) < TINY
        return Difference(value, (value, value) if same else None, 1.0 if same else least, how)
    half = float(stats.t.ppf(0.5 + level / 2, freedom)) * error
    return Difference(value, (value - half, value + half), float(2 * stats.t.sf(abs(value) / error, freedom)), how)


def _by_rows(value: float, new: Row, old: Row, level: float, row_levels: tuple[float, float]) -> Difference:
    """From the widths of the intervals over test rows, which are of ``row_levels``, as if the two were independent."""
    ends = [row["interval_rows"] for row in (new, old)]
    if None in ends:
        return Difference(value, None, None, "rows")
    error = math.hypot(*((high - low) / 2 / _quantile(of) for (low, high), of in zip(ends, row_levels, strict=True)))
    if error < TINY:
        return Difference(value, (value, value), 1.0 if abs(value) < TINY else 0.0, "rows")
    half = _quantile(level) * error
    return Difference(value, (value - half, value + half), float(2 * stats.norm.sf(abs(value) / error)), "rows")


def _quantile(level: float) -> float:
    """Half the width of a normal interval of this level, in standard errors."""
    return float(stats.norm.ppf(0.5 + level / 2))


def same_splits(new: Report, old: Report, task: str, shots: int | None) -> bool:
    """Whether both studies drew the same labelled rows, split by split."""
    hashes = [
        [s["hash"] for t in report["tasks"] if t["name"] == task for s in t["splits"] if s["shots"] == shots] for report in (new, old)
    ]
    return bool(hashes[0]) and hashes[0] == hashes[1]


def regressions(new: Report, old: Report, *, level: float | None = None) -> list[dict[str, Any]]:
    """The (task, shots, method) of both studies that got worse by more than the spread allows, in the primary metric of ``new``.

    Args:
        level: of intervals and tests; None takes that of ``new``. P values are corrected by Holm's method over all that is compared.

    Returns:
        One object each: ``task``, ``shots``, ``method``, ``metric``, ``before``, ``after``, ``difference``, ``interval``, corrected ``p``,
        ``how`` (see ``Difference``) and ``sentence``. Raises RunError if the studies cannot be compared.
    """
    level = level or new["study"]["primary"]["level"]
    worse = [one for one in _worse(new, old, level) if _decided(one[3], level)]
    return [_regression(*one, level=level, draw=new["study"]["draw"]) for one in worse if not _on_alike_splits(one, new, old)]


def undecided(new: Report, old: Report, *, level: float | None = None) -> list[dict[str, Any]]:
    """What is worse without being among ``regressions``, since no test over so few splits could have told; arguments and objects as there.

    It got worse by as much on all splits, which allows no t test, and the exact test cannot go below a p that decides nothing; or a test
    would have decided, but over splits that share too many of their rows.
    """
    level, draw = level or new["study"]["primary"]["level"], new["study"]["draw"]
    found = []
    for one in _worse(new, old, level):
        decided, alike = _decided(one[3], level), _on_alike_splits(one, new, old)
        if (decided and alike) or (one[2].interval is None and not decided):
            found.append(_regression(*one, level=level, draw=draw, doubt=_ALIKE if alike else _doubt(one[2], one[3])))
    return found


def _on_alike_splits(one: tuple[Row, Row, Difference, float | None], new: Report, old: Report) -> bool:
    """Whether the test of a pair is one over splits, and those of one of the studies are too alike for any."""
    after, _, found, _ = one
    return found.how != "rows" and any(too_alike(report, after["task"], after["shots"]) for report in (new, old))


def _decided(p: float | None, level: float) -> bool:
    return p is not None and p < 1 - level


def _worse(new: Report, old: Report, level: float) -> list[tuple[Row, Row, Difference, float | None]]:
    """What is worse, decided or not: its row after and before, the difference, and p corrected over all that is compared."""
    check_comparable({"the new study": new, "the earlier one": old})
    metric = new["study"]["primary"]["metric"]
    pairs = list(_pairs(new, old, level))
    corrected = holm([found.p for _, _, found in pairs])
    sign = -1 if metric in LOWER_IS_BETTER else 1
    return [(*pair, p) for pair, p in zip(pairs, corrected, strict=True) if sign * pair[2].value < -TINY]


def _pairs(new: Report, old: Report, level: float) -> Iterator[tuple[Row, Row, Difference]]:
    metric, row_levels = new["study"]["primary"]["metric"], (new["study"]["primary"]["level"], old["study"]["primary"]["level"])
    earlier = {(row["task"], row["shots"], row["method"]): row for row in old["summary"] if row["metric"] == metric}
    for row in new["summary"]:
        before = earlier.get((row["task"], row["shots"], row["method"]))
        if row["metric"] == metric and before is not None:
            paired = same_splits(new, old, row["task"], row["shots"])
            found = difference(row, before, paired=paired, level=level, row_levels=row_levels)
            if found is not None:
                yield row, before, found


def _regression(after: Row, before: Row, found: Difference, p: float | None, *, level: float, draw: str, doubt: str = "") -> dict[str, Any]:
    """One object of ``regressions``, or with ``doubt`` of ``undecided``."""
    metric = after["metric"]
    ends = difference_interval(metric, found.interval)
    between = f", {100 * level:g} % interval of the difference {ends}" if ends else ""
    where = f"{after['task']}, {shots_name(after['shots'], draw)}"
    sentence = (
        f"{where}: {method_name(after['method'])} is worse than before {_over(after, found.how)}: "
        f"{METRIC_NAMES[metric]} {number(metric, after['mean'])} instead of {number(metric, before['mean'])}{between}"
        f"{doubt}."
    )
    keys = {name: after[name] for name in ("task", "shots", "method", "metric")}
    values = {"before": before["mean"], "after": after["mean"], "difference": found.value, "interval": found.interval, "p": p}
    return {**keys, **values, "how": found.how, "sentence": sentence}


def _over(after: Row, how: str) -> str:
    if how == "rows":
        return "for this split only" if after["splits"] < 2 else f"over the test rows, as none of {after['splits']} splits changes it"
    return f"on the same {after['splits']} splits" if how == "paired" else "on other splits"


def _doubt(found: Difference, p: float | None) -> str:
    """Why nothing is decided.

    >>> _doubt(Difference(-0.1, None, 0.0625, "paired"), 0.125)
    '; always by as much, and then no test over so few splits goes below p = 0.0625 (corrected 0.125): not decided'
    """
    if found.p is None or p is None:
        return "; no interval over test rows is known: not decided"
    corrected = f" (corrected {p:.3g})" if p > found.p else ""
    return f"; always by as much, and then no test over so few splits goes below p = {found.p:.3g}{corrected}: not decided"
