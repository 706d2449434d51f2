"""What stages share: a run's rows, and that rows which are gone are not taken for rows that never were."""

from __future__ import annotations

from pathlib import Path

import pytest

from petkit.errors import RunError
from petkit.pvp import Task
from petkit.stages import Stage
from petkit.units import stage_folder
from tests.petkit.stage_runs import context_for, deposit, spec_of, texts, tiny_settings

TASK = Task(name="tone", fields=("text",), patterns="{mask}: {text}", verbalizer={"negative": "bad", "positive": "good"})


def test_rows_that_a_record_names_and_that_are_gone_are_told(tmp_path: Path) -> None:
    deposit(tmp_path, train=texts(4, labels=2), pool=texts(3))
    stage = Stage.of(spec_of(TASK, tiny_settings()), context_for(tmp_path, "unit"))
    assert (len(stage.rows("train")), len(stage.rows("pool")), len(stage.rows("test"))) == (4, 3, 0)
    (stage_folder(tmp_path, "rows") / "pool.parquet").unlink()
    with pytest.raises(RunError, match=r"pool\.parquet is missing, which the unit rows made; run the same command again"):
        stage.rows("pool")
