"""Warnings of scikit-learn that are not shown, and those that are."""

from __future__ import annotations

import warnings

import pytest
from sklearn.exceptions import ConvergenceWarning

from petkit.baselines import moot_warnings_ignored


def test_only_what_nobody_can_mend_is_ignored() -> None:
    with moot_warnings_ignored():
        warnings.warn("lbfgs failed to converge", ConvergenceWarning, stacklevel=1)
        warnings.warn("The number of unique classes is greater than 50% of the number of samples.", UserWarning, stacklevel=1)
        with pytest.raises(UserWarning, match="something else"):
            warnings.warn("something else", UserWarning, stacklevel=1)
    with pytest.raises(ConvergenceWarning):
        warnings.warn("lbfgs failed to converge", ConvergenceWarning, stacklevel=1)
