"""The ensemble: weights, mixing, and that its files are all it takes to do it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from petkit.ensemble import agreement, ensemble_unit, member_weights
from petkit.losses import mix_scores
from petkit.rowfiles import load_scores, save_scores
from petkit.units import stage_folder
from tests.petkit.stage_runs import context_for, deposit, spec_of, texts, tiny_settings
from tests.tiny_runs import TOPICS

POOL, TEST = texts(8, name="u"), texts(6, start=8, labels=3, name="t")


def members(root: Path, count: int, test: Any = TEST) -> list[str]:
    """Members with random scores, and one that is no part of the ensemble."""
    deposit(root, pool=POOL, test=test)
    names = [f"g0-p{i}-s0" for i in range(count)]
    for seed, name in enumerate([*names, "g0-p9-s9"]):
        rng = np.random.default_rng(seed)
        stage_folder(root, name).mkdir()
        for part, rows in (("pool", POOL), ("test", test)):
            scores = rng.normal(0, 2, (len(rows), 3)).astype(np.float32)
            save_scores(stage_folder(root, name) / f"{part}.parquet", rows.ids, TOPICS.labels, scores)
    return names


def run(root: Path, names: list[str], weights: list[float]) -> dict[str, Any]:
    spec = spec_of(TOPICS, tiny_settings(), members=names, weights=weights)
    return ensemble_unit(spec, context_for(root, "g0-ensemble", *names))


@pytest.mark.parametrize(
    ("accuracies", "weighting", "wanted"),
    [
        ([0.25, 0.5], "weighted", [0.25, 0.5]),
        ([0.25, 0.5], "uniform", [1.0, 1.0]),
        ([0.25, None], "weighted", [1.0, 1.0]),
        ([None, None], "weighted", [1.0, 1.0]),
        ([0.0, 0.0], "weighted", [0.0, 0.0]),
    ],
)
def test_weights_are_accuracies_where_all_are_known(accuracies: list[float | None], weighting: str, wanted: list[float]) -> None:
    assert member_weights(accuracies, weighting) == wanted


def test_agreement_is_the_mean_over_pairs() -> None:
    """Votes 0 0 1 1, 0 0 1 0 and 1 0 1 0: pairs agree on 3, 2 and 3 of 4 rows."""
    votes = [[0, 0, 1, 1], [0, 0, 1, 0], [1, 0, 1, 0]]
    scores = [np.eye(2, dtype=np.float32)[v] for v in votes]
    assert agreement(scores) == pytest.approx((0.75 + 0.5 + 0.75) / 3)
    assert agreement(scores[:1]) == 1.0
    assert agreement([scores[0], scores[0] * 7]) == 1.0


def test_the_members_named_are_mixed_and_no_others(tmp_path: Path) -> None:
    """The original takes every folder that lies there, stale ones too."""
    names = members(tmp_path, 3)
    record = run(tmp_path, names, [0.5, 0.25, 0.25])
    for part, rows in (("pool", POOL), ("test", TEST)):
        parts = [pq.read_table(stage_folder(tmp_path, name) / f"{part}.parquet").to_pandas() for name in names]
        wanted = sum(w * p.drop(columns="id").to_numpy() for w, p in zip((0.5, 0.25, 0.25), parts, strict=True))
        table = pq.read_table(stage_folder(tmp_path, "g0-ensemble") / f"{part}.parquet")
        assert table.column_names == ["id", "score:World", "score:Sports", "score:Business"]
        assert {str(table.schema.field(n).type) for n in table.column_names[1:]} == {str(pa.float32())}
        assert tuple(table["id"].to_pylist()) == rows.ids
        np.testing.assert_allclose(load_scores(stage_folder(tmp_path, "g0-ensemble") / f"{part}.parquet"), wanted, rtol=1e-5)
    best = load_scores(stage_folder(tmp_path, "g0-ensemble") / "test.parquet").argmax(axis=1)
    assert record["test"]["accuracy"] == pytest.approx(np.mean(best == np.array(TEST.labels)))


def test_the_files_are_enough_to_do_it_again(tmp_path: Path) -> None:
    """Other weights from the same files, without a model, and the first result to the bit."""
    names = members(tmp_path, 3)
    run(tmp_path, names, [0.2, 0.3, 0.1])
    kept = [load_scores(stage_folder(tmp_path, name) / "pool.parquet") for name in names]
    again = mix_scores(kept, [0.2, 0.3, 0.1])
    np.testing.assert_array_equal(again, load_scores(stage_folder(tmp_path, "g0-ensemble") / "pool.parquet"))
    assert not np.array_equal(again, mix_scores(kept, [1.0, 1.0, 1.0]))


def test_the_record_tells_what_the_pool_gets(tmp_path: Path) -> None:
    names = members(tmp_path, 2)
    record = run(tmp_path, names, [1.0, 1.0])
    best = load_scores(stage_folder(tmp_path, "g0-ensemble") / "pool.parquet").argmax(axis=1)
    assert record["pool_labels"] == {label: int((best == i).sum()) for i, label in enumerate(TOPICS.labels)}
    assert 0 <= record["agreement"] <= 1


def test_all_weights_zero_and_no_labelled_test_rows(tmp_path: Path) -> None:
    """The original divides by zero."""
    names = members(tmp_path, 2, test=texts(0))
    assert run(tmp_path, names, [0.0, 0.0])["test"] is None
    kept = [load_scores(stage_folder(tmp_path, name) / "pool.parquet") for name in names]
    found = load_scores(stage_folder(tmp_path, "g0-ensemble") / "pool.parquet")
    np.testing.assert_allclose(found, np.mean(kept, axis=0), rtol=1e-5, atol=1e-6)
    assert load_scores(stage_folder(tmp_path, "g0-ensemble") / "test.parquet").shape == (0, 3)
