"""Rates of mixed data sets."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare

from petkit.errors import SettingsError
from petkit.objectives import draw_sources, equal_rates, mixing_rates


def test_rates_by_hand() -> None:
    np.testing.assert_allclose(mixing_rates([10, 30, 60]), [0.1, 0.3, 0.6])
    np.testing.assert_allclose(mixing_rates([10, 30, 1000], cap=60), [0.1, 0.3, 0.6])
    np.testing.assert_allclose(mixing_rates([1, 4, 1000], cap=16, temperature=2.0), [1 / 7, 2 / 7, 4 / 7])
    np.testing.assert_allclose(equal_rates(4), [0.25] * 4)


@pytest.mark.parametrize("temperature", [1e-3, 1.0, 1e6])
def test_extreme_temperatures_are_numbers(temperature: float) -> None:
    rates = mixing_rates([1, 10**12, 10**12], temperature=temperature)
    assert rates.sum() == pytest.approx(1.0)
    assert np.isfinite(rates).all()
    if temperature > 1:
        np.testing.assert_allclose(rates, 1 / 3, rtol=1e-4)


def test_draws_have_the_rates_and_depend_on_the_step_only() -> None:
    rates = np.array([0.1, 0.3, 0.6])
    drawn = np.concatenate([draw_sources(rates, seed=1, step=step, rows=100) for step in range(200)])
    assert chisquare(np.bincount(drawn, minlength=3), rates * len(drawn)).pvalue > 1e-4
    assert (draw_sources(rates, seed=1, step=7, rows=100) == drawn[700:800]).all()
    assert (draw_sources(np.array([0.0, 1.0]), seed=1, step=0, rows=50) == 1).all()


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(SettingsError, match=r"(?s)3 problems.*data set 1 has 0.*cap is 0.*temperature is -1"):
        mixing_rates([5, 0], cap=0, temperature=-1.0)
    with pytest.raises(SettingsError, match="no data set"):
        mixing_rates([])
