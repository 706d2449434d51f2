"""What a study's report shows: the tables against numbers counted from the cells by hand, and the sample against the schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from petkit.report import view
from tests.petkit.report.sample_study import METHODS, ROWS, sample_study

SCHEMAS = Path(view.__file__).parent / "schema"
SIX_SETS = Path(__file__).parents[3] / "docs" / "studies" / "six_sets" / "report.json"


@pytest.mark.wheel
def test_the_sample_is_what_the_schema_says() -> None:
    jsonschema.validate(sample_study(), json.loads((SCHEMAS / "study.schema.json").read_text("utf-8")))


@pytest.mark.parametrize("name", ["study", "run"])
def test_schemas_are_schemas(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads((SCHEMAS / f"{name}.schema.json").read_text("utf-8")))


def described(node: Any, place: str = "") -> Iterator[tuple[str, bool]]:
    """Every property of a schema with its place, and whether it has a description."""
    if isinstance(node, dict):
        for name, found in node.get("properties", {}).items() if isinstance(node.get("properties"), dict) else ():
            yield f"{place}.{name}", bool(found.get("description"))
        for name, found in node.items():
            yield from described(found, place if name in ("properties", "items", "anyOf") else f"{place}.{name}")
    elif isinstance(node, list):
        for found in node:
            yield from described(found, place)


def test_every_key_of_a_study_s_report_is_described() -> None:
    found = list(described(json.loads((SCHEMAS / "study.schema.json").read_text("utf-8"))))
    assert len(found) > 180
    assert [place for place, has in found if not has] == []


def unknown(value: Any, schema: Any, node: Any, place: str) -> Iterator[str]:
    """Keys of a value that its schema does not name; values under ``additionalProperties`` of a kind have names of their own."""
    while "$ref" in node:
        node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    if "anyOf" in node:
        node = next(one for one in node["anyOf"] if one.get("type") != "null")
        yield from unknown(value, schema, node, place) if value is not None else ()
    elif isinstance(value, list) and "items" in node:
        for entry in value:
            yield from unknown(entry, schema, node["items"], f"{place}[]")
    elif isinstance(value, dict) and "properties" in node:
        for name, entry in value.items():
            if name in node["properties"]:
                yield from unknown(entry, schema, node["properties"][name], f"{place}.{name}")
            else:
                yield f"{place}.{name}"


def test_a_real_study_has_no_key_that_the_schema_does_not_name() -> None:
    report, schema = json.loads(SIX_SETS.read_text("utf-8")), json.loads((SCHEMAS / "study.schema.json").read_text("utf-8"))
    jsonschema.validate(report, schema)
    assert set(unknown(report, schema, schema, "")) == set()
    report["cells"][0]["test"]["extra"] = report["summary"][0]["more"] = 1
    assert set(unknown(report, schema, schema, "")) == {".cells[].test.extra", ".summary[].more"}


def test_score_tables_keep_the_order_of_methods_and_sort_shots() -> None:
    report = sample_study(shots=(16, 4))
    tables = view.score_tables(report)
    assert [table.task for table in tables] == [task["name"] for task in report["tasks"]]
    assert tables[0].shots == (4, 16)
    assert [method for method, _ in tables[0].rows] == list(METHODS)
    mine = [c["test"]["accuracy"] for c in report["cells"] if (c["task"], c["shots"], c["method"]) == ("mood", 16, "ipet")]
    row = dict(tables[0].rows)["ipet"][1]
    assert row is not None
    assert row["mean"] == pytest.approx(np.mean(mine))


def test_a_method_that_is_missing_somewhere_leaves_a_gap() -> None:
    report = sample_study()
    report["summary"] = [row for row in report["summary"] if (row["task"], row["shots"], row["method"]) != ("mood", 4, "pet")]
    table = view.score_tables(report)[0]
    assert dict(table.rows)["pet"][0] is None
    assert view.shown(table)[0][1][0] == ("", "")


def test_patterns_are_means_over_splits_of_the_first_generation() -> None:
    report = sample_study()
    found = next(p for p in view.patterns(report) if (p.task, p.shots, p.method) == ("mood", 16, "ipet"))
    cells = [c for c in report["cells"] if (c["task"], c["shots"], c["method"]) == ("mood", 16, "ipet")]
    members = [m for c in cells for m in c["members"] if m["pattern_index"] == 1 and m["generation"] == 0]
    assert len(members) == 5
    assert found.rows[1][2] == pytest.approx(np.mean([m["before"] for m in members]))
    assert found.rows[1][3] == pytest.approx(np.mean([m["after"] for m in members]))


def test_generations_grow() -> None:
    found = [g for g in view.generations(sample_study()) if (g.task, g.shots, g.method) == ("mood", 16, "ipet")]
    assert [g.generation for g in found] == [0, 1, 2]
    assert found[0].set_accuracy is None
    assert found[2].ensemble is not None
    assert found[0].ensemble is not None
    assert found[2].ensemble > found[0].ensemble


def test_confusions_add_up_over_splits() -> None:
    found = [c for c in view.confusions(sample_study()) if c.task == "ag_news"]
    assert {c.shots for c in found} == {16}
    assert all(sum(map(sum, c.counts)) == 5 * ROWS for c in found)


def test_pairs_that_were_confused_come_by_how_often() -> None:
    found = view.Confusion("t", None, "pet", ("a", "b", "c"), ((1, 3, 0), (0, 4, 0), (5, 0, 0)))
    assert found.confused() == [("c", "a", 5, 1.0), ("a", "b", 3, 0.75)]
    many = view.Confusion("t", None, "pet", tuple(map(str, range(31))), ((1,) * 31,) * 31)
    assert (found.in_full, many.in_full, len(many.confused())) == (True, False, view.MOST_PAIRS)


def test_scores_of_each_label_are_those_of_scikit_learn() -> None:
    counts = ((5, 1, 0), (2, 3, 0), (1, 0, 0))
    truth, predicted = zip(*[(i, j) for i in range(3) for j in range(3) for _ in range(counts[i][j])], strict=True)
    wanted = zip(*precision_recall_fscore_support(truth, predicted, zero_division=0), strict=True)
    found = view.Confusion("t", 4, "pet", ("a", "b", "c"), counts).per_class()
    assert [tuple(0.0 if value is None else value for value in row[1:]) for row in found] == [pytest.approx(tuple(row)) for row in wanted]
    assert found[2][1:] == (None, 0.0, 0.0, 1), "never predicted: precision is not known"


def test_bins_weigh_by_their_rows() -> None:
    def one(count: int, confidence: float | None, accuracy: float | None) -> dict[str, float | int | None]:
        return {"count": count, "confidence": confidence, "accuracy": accuracy}

    found = view.pooled_bins([[one(0, None, None), one(1, 0.6, 1.0)], [one(0, None, None), one(3, 0.8, 0.0)]])
    assert found == ((4, 0.75, 0.25),)
