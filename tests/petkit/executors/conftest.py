"""A run folder for the units of a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from petkit.runs import RunFolder


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunFolder]:
    with RunFolder.open(tmp_path / "run", settings={}, inputs={}, versions={}) as opened:
        yield opened
