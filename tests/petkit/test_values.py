"""Values as text: what they are written as, and what is none."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pytest

from petkit.data.values import as_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.float32("nan"), None),
        (float("nan"), None),
        (pd.NaT, None),
        (np.int64(3), "3"),
        (np.bool_(True), "true"),
        (np.str_("a"), "a"),
        (np.float64(0.5), "0.5"),
        (Decimal("1.50"), "1.50"),
        (datetime.date(2020, 1, 2), "2020-01-02"),
        (pd.Timestamp("2020-01-02 03:04"), "2020-01-02 03:04:00"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_numbers_times_and_nothing_are_written_plainly(value: Any, text: str | None) -> None:
    assert as_text(value) == text


@pytest.mark.parametrize("value", [["a"], np.array(["a", "b"]), np.array([]), object(), Path("a"), b"a", {"a"}, pd.Series(["a"])])
def test_what_is_no_text_is_refused_by_its_kind(value: Any) -> None:
    with pytest.raises(ValueError, match=f"an? {type(value).__name__}"):
        as_text(value)
