"""The figures of a study: learning curves, patterns before and after, generations, reliability. Each returns an SVG element.

Every method has its own marker, line and colour in every figure, so that none is told by colour alone. ``draw`` is that of the
study, as report.json has it: what titles and axes say of labelled rows depends on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from petkit.report.drawing import INK, SERIES, figure, svg
from petkit.report.names import METHOD_NAMES, METRIC_NAMES, SHARES, method_name, on_average, percent, shots_name, spread
from petkit.report.view import Generation, Patterns, Reliability, ScoreTable
from petkit.report.words import SPREAD

__all__ = ["draw_generations", "draw_methods", "draw_patterns", "draw_reliability"]

_MARKERS: Final = "osD^vPXd<>*p"
_LINES: Final = ("-", "--", "-.", ":")


def _style(method: str, others: Sequence[str]) -> dict[str, Any]:
    """A method's look: the same in every figure, whatever else is drawn. One that is not petkit's gets the next free look."""
    known = [*METHOD_NAMES, *(name for name in others if name not in METHOD_NAMES)]
    number = known.index(method)
    return {
        "color": SERIES[number % len(SERIES)],
        "marker": _MARKERS[number % len(_MARKERS)],
        "linestyle": _LINES[number // len(SERIES) % len(_LINES)],
    }


def draw_methods(table: ScoreTable, *, name: str, draw: str = "per-class") -> str:
    """A metric with intervals of one task: curves over the number of labelled rows, or one line per method if there is one number only."""
    return _curves(table, name, draw) if len(table.shots) > 1 and None not in table.shots else _dots(table, name, draw)


def _curves(table: ScoreTable, name: str, draw: str) -> str:
    methods = [method for method, _ in table.rows]
    with figure(440, 290 + 17 * ((len(methods) + 1) // 2)) as (found, axes):
        for number, (method, row) in enumerate(table.rows):
            known = [(k, entry) for k, entry in enumerate(row) if entry is not None and entry["mean"] is not None]
            xs = [k + (number - len(methods) / 2) * 0.035 for k, _ in known]  # side by side, so that bars are told apart
            means = [_scale(table) * entry["mean"] for _, entry in known]
            look = {"label": method_name(method), "markersize": 5, "linewidth": 1.6, "elinewidth": 1, "capsize": 2}
            axes.errorbar(xs, means, yerr=_bars(table, [e for _, e in known]), **look, **_style(method, methods))
        axes.set_xticks(range(len(table.shots)), [str(k) for k in table.shots])
        axes.set_xlabel(f"labelled rows per label{on_average(draw)}")
        axes.set_ylabel(_axis(table))
        found.legend(loc="outside lower center", ncols=2, frameon=False)
        title = f"{table.task}: {METRIC_NAMES[table.metric]} by number of labelled rows"
        return svg(found, name=name, title=title, text=_in_words(table, draw))


def _dots(table: ScoreTable, name: str, draw: str) -> str:
    rows = [(method, row[-1]) for method, row in table.rows if row[-1] is not None and row[-1]["mean"] is not None]
    with figure(440, 80 + 28 * len(rows)) as (found, axes):
        for place, (method, entry) in enumerate(reversed(rows)):
            style = {**_style(method, [m for m, _ in rows]), "linestyle": ""}
            axes.errorbar(
                _scale(table) * entry["mean"], place, xerr=_bars(table, [entry]), markersize=6, elinewidth=1.4, capsize=3, **style
            )
        axes.set_yticks(range(len(rows)), [method_name(method) for method, _ in reversed(rows)])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_xlabel(_axis(table))
        title = f"{table.task}: {METRIC_NAMES[table.metric]}, {shots_name(table.shots[-1], draw)}"
        return svg(found, name=name, title=title, text=_in_words(table, draw))


def _scale(table: ScoreTable) -> int:
    """Shares are drawn as percentages."""
    return 100 if table.metric in SHARES else 1


def _axis(table: ScoreTable) -> str:
    return METRIC_NAMES[table.metric] + (" in %" if table.metric in SHARES else "")


def _bars(table: ScoreTable, entries: Sequence[Mapping[str, Any]]) -> list[list[float]]:
    """Lengths of the error bars below and above, as drawn; never negative, as an interval may lie beside its mean."""
    ends = [entry["interval_splits"] or entry["interval_rows"] or [entry["mean"]] * 2 for entry in entries]
    pairs = list(zip(entries, ends, strict=True))
    below = [max(0.0, _scale(table) * (entry["mean"] - low)) for entry, (low, _) in pairs]
    return [below, [max(0.0, _scale(table) * (high - entry["mean"])) for entry, (_, high) in pairs]]


def _in_words(table: ScoreTable, draw: str) -> str:
    parts = []
    for method, row in table.rows:
        known = zip(table.shots, row, strict=True)
        values = ", ".join(f"{shots_name(k, draw)} {spread(table.metric, e['mean'], e['sd_splits'])}" for k, e in known if e is not None)
        parts.append(f"{method_name(method)}: {values}.")
    return f"{_axis(table)}, {SPREAD}. " + " ".join(parts)


def draw_patterns(found: Patterns, *, name: str, draw: str = "per-class") -> str:
    """Accuracy of each pattern before and after training, joined by a line."""
    rows = list(reversed(found.rows))
    with figure(440, 100 + 26 * len(rows)) as (drawn, axes):
        for place, (_, _, before, after) in enumerate(rows):
            if before is not None and after is not None:
                axes.plot([100 * before, 100 * after], [place, place], color=INK, alpha=0.4, linewidth=1.5, zorder=1)
        for series, marker, column, label in ((SERIES[1], "o", 2, "before training"), (SERIES[0], "D", 3, "after")):
            known = [(row[column], place) for place, row in enumerate(rows) if row[column] is not None]
            if known:
                xs, ys = [100 * float(value or 0) for value, _ in known], [place for _, place in known]
                axes.plot(xs, ys, marker, color=series, markersize=7, label=label, markerfacecolor="none" if column == 2 else series)
        axes.set_yticks(range(len(rows)), [f"pattern {row[0]}" for row in rows])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_xlabel("accuracy in %")
        drawn.legend(loc="outside lower center", ncols=2, frameon=False)
        words = "; ".join(
            f"pattern {i}: {percent(b) or 'not known'} before, {percent(a) or 'not known'} after" for i, _, b, a in found.rows
        )
        title = f"{found.task}: patterns before and after training ({method_name(found.method)}, {shots_name(found.shots, draw)})"
        return svg(drawn, name=name, title=title, text=f"Accuracy in percent. {words}.")


def draw_generations(found: Sequence[Generation], *, name: str, draw: str = "per-class") -> str:
    """Ensemble accuracy on test rows, accuracy of its labels on the raw rows and of the rows chosen from them, by generation."""
    columns = (
        ("ensemble", "ensemble, test rows"),
        ("pool_accuracy", "its labels, raw rows not learned"),
        ("set_accuracy", "labels that members learn from"),
    )
    with figure(440, 290) as (drawn, axes):
        for number, (column, label) in enumerate(columns):
            known = [(entry.generation, 100 * getattr(entry, column)) for entry in found if getattr(entry, column) is not None]
            if known:
                xs, ys = zip(*known, strict=True)
                axes.plot(xs, ys, color=SERIES[number], marker=_MARKERS[number], linestyle=_LINES[number], label=label)
        axes.set_xticks([entry.generation for entry in found])
        axes.set_xlabel("generation")
        axes.set_ylabel("accuracy in %")
        drawn.legend(loc="outside lower center", ncols=1, frameon=False)
        words = " ".join(
            f"Generation {entry.generation}: ensemble {percent(entry.ensemble) or 'not known'}, "
            f"raw rows {percent(entry.pool_accuracy) or 'not known'}, chosen rows {percent(entry.set_accuracy) or 'not known'}."
            for entry in found
        )
        title = f"{found[0].task}: generations of {method_name(found[0].method)}, {shots_name(found[0].shots, draw)}"
        return svg(drawn, name=name, title=title, text=f"Accuracy in percent. {words}")


def draw_reliability(found: Reliability, *, name: str, draw: str = "per-class") -> str:
    """Accuracy against confidence before and after temperature scaling; on the diagonal the two agree."""
    with figure(300, 310) as (drawn, axes):
        axes.plot([0, 100], [0, 100], color=INK, alpha=0.5, linewidth=1, linestyle=":")
        series = (("before scaling", found.before, SERIES[1], "o", "--"), ("after scaling", found.after, SERIES[0], "D", "-"))
        for label, bins, color, marker, line in series:
            if bins:
                xs, ys = [100 * b[1] for b in bins], [100 * b[2] for b in bins]
                hollow = "none" if marker == "o" else color
                axes.plot(
                    xs, ys, color=color, marker=marker, linestyle=line, markersize=5, linewidth=1.3, markerfacecolor=hollow, label=label
                )
        axes.set_xlim(0, 102)
        axes.set_ylim(0, 102)
        axes.set_aspect("equal")
        axes.set_xlabel("confidence in %")
        axes.set_ylabel("accuracy in %")
        drawn.legend(loc="outside lower center", ncols=2, frameon=False)
        after = "" if found.ece_scaled is None else f", after scaling {percent(found.ece_scaled)}"
        over = ", mean over splits and seeds" if found.cells > 1 else ""
        title = f"{found.task}: reliability of {method_name(found.method)}, {shots_name(found.shots, draw)}"
        return svg(
            drawn,
            name=name,
            title=title,
            text=f"Calibration error in percent {percent(found.ece)}{after}{over}. The bins are in the table below.",
        )
