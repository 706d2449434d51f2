"""What a measurement demands: so many times another way's speed, or so many units a second."""

from __future__ import annotations

import pytest

table = pytest.importorskip("benchmarks.table", reason="benchmarks are in the checkout only, not in the wheel")

from benchmarks.contests import Contest, Demand  # noqa: E402
from benchmarks.timing import Timings  # noqa: E402


@pytest.mark.parametrize(
    ("demand", "said"),
    [
        (Demand("fast", "slow", 3), "3 x slow: met"),
        (Demand("fast", "slow", 5), "5 x slow: MISSED"),
        (Demand("fast", None, 4_000), "4,000/s: met"),
        (Demand("fast", None, 4_001), "4,001/s: MISSED"),
    ],
)
def test_a_demand_is_met_or_missed(demand: Demand, said: str) -> None:
    seconds = {"slow": [0.001] * 3, "fast": [0.00025] * 3}
    found = table.as_dict(Contest("work", "tokens", ("slow",), list, (demand,)), Timings(seconds, seconds))
    assert [one["met"] for one in found["demands"]] == ["met" in said]
    assert table.lines(found)[-1].endswith(f"| {said} |")


def test_every_objective_has_a_least_speed() -> None:
    from benchmarks.objectives import objective_contests
    from petkit.objectives import PRESETS

    (contest,) = [one for one in objective_contests(None) if one.name == "objectives"]  # type: ignore[arg-type]  # nothing is made yet
    assert {(demand.way.partition(",")[0], demand.other, demand.times) for demand in contest.demands} == {
        (name, None, 1_000_000) for name in PRESETS
    }
