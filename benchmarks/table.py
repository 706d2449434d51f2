"""Figures as a Markdown table, and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from statistics import median
from typing import Any

from benchmarks.contests import Contest
from benchmarks.timing import Timings

__all__ = ["as_dict", "lines"]


def as_dict(contest: Contest, timings: Timings) -> dict[str, Any]:
    """A contest in figures: per way the speed, the ratios (median, least, greatest) and all rounds; demands and whether met."""
    ways: dict[str, dict[str, Any]] = {
        name: {
            "per_second": timings.per_second(name),
            "times": {other: _spread(timings.ratios(name, other)) for other in contest.others if other != name},
            "cpu_seconds": timings.cpu[name],
            "wall_seconds": timings.wall[name],
        }
        for name in timings.cpu
    }
    demands = [{**asdict(demand), "met": _reached(ways[demand.way], demand.other) >= demand.times} for demand in contest.demands]
    return {"name": contest.name, "unit": contest.unit, "others": list(contest.others), "ways": ways, "demands": demands}


def _reached(way: dict[str, Any], other: str | None) -> float:
    found: float = way["per_second"] if other is None else way["times"][other][0]
    return found


def _spread(ratios: list[float]) -> tuple[float, float, float]:
    return median(ratios), ratios[0], ratios[-1]


def lines(found: dict[str, Any]) -> list[str]:
    """The lines of a Markdown table; ratios are the median of the rounds, in brackets the least and the greatest."""
    others = found["others"]
    head = [found["name"], f"{found['unit']}/s", *(f"x {other}" for other in others), "demanded"]
    table = [head, ["---"] * len(head)]
    for name, way in found["ways"].items():
        ratios = [_ratio(way["times"].get(other)) for other in others]
        table.append([name, _number(way["per_second"]), *ratios, _demanded(found["demands"], name)])
    return ["| " + " | ".join(row) + " |" for row in table]


def _ratio(spread: tuple[float, float, float] | None) -> str:
    return "1" if spread is None else f"{spread[0]:.2f} ({spread[1]:.2f} to {spread[2]:.2f})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _demanded(demands: list[dict[str, Any]], way: str) -> str:
    return ", ".join(f"{_asked(d)}: {'met' if d['met'] else 'MISSED'}" for d in demands if d["way"] == way)


def _asked(demand: dict[str, Any]) -> str:
    return f"{demand['times']:,.0f}/s" if demand["other"] is None else f"{demand['times']:g} x {demand['other']}"
