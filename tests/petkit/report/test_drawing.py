"""Drawings for a page: the same bytes each time, no colour of their own, words for those who cannot see them, names as text."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from petkit.report import charts, view
from petkit.report.drawing import INK, SERIES, figure, svg
from tests.petkit.report.sample_study import sample_study

SIX_SETS = Path(__file__).parents[3] / "docs" / "studies" / "six_sets" / "report.json"


def drawn(name: str = "a") -> str:
    return charts.draw_methods(view.score_tables(sample_study())[0], name=name)


def test_the_same_bytes_and_well_formed() -> None:
    assert drawn() == drawn()
    assert ElementTree.fromstring(drawn()).tag == "{http://www.w3.org/2000/svg}svg"


def test_colours_are_the_page_s_own() -> None:
    found = drawn()
    assert "var(--series-0)" in found
    assert not [stand_in for stand_in in (INK, *SERIES) if stand_in in found]
    assert set(re.findall(r"#[0-9a-f]{6}\b", found)) == set(), "a colour of its own is unreadable on half of the pages"
    assert "<style" not in found, "a style in a drawing holds for the whole page"


def test_ids_carry_the_figure_s_name() -> None:
    ids = re.findall(r'\bid="([^"]+)"', drawn("b"))
    assert len(ids) == len(set(ids))
    assert all(name.startswith("b-") for name in ids)
    assert set(re.findall(r'href="#([^"]+)"', drawn("b"))) <= set(ids)
    assert set(re.findall(r"url\(#([^)]+)\)", drawn("b"))) <= set(ids)


def test_words_say_what_is_drawn() -> None:
    root = ElementTree.fromstring(drawn())
    space = "{http://www.w3.org/2000/svg}"
    title, words = root.find(f"{space}title"), root.find(f"{space}desc")
    assert title is not None
    assert words is not None
    assert title.text == "mood: accuracy by number of labelled rows"
    row = next(r for r in sample_study()["summary"] if (r["task"], r["shots"], r["method"], r["metric"]) == ("mood", 4, "pet", "accuracy"))
    assert f"PET: 4 per label {100 * row['mean']:.1f} ± {100 * row['sd_splits']:.1f}" in (words.text or "")


def test_no_label_is_cut_at_the_right_edge() -> None:
    """Tick labels in the middle below their tick: half of the width of DejaVu Sans's digits has to fit beside it."""
    report = json.loads(SIX_SETS.read_text("utf-8"))
    tables = [table for metric in ("accuracy", "mcc", "log_loss") for table in view.score_tables(report, metric)]
    beyond = {f"{table.task}, {table.metric}": right_edge(charts.draw_methods(table, name="a")) for table in tables}
    assert {name: edge for name, edge in beyond.items() if edge > 1} == {}


def right_edge(drawing: str) -> float:
    """The furthest end of a label that is centred, as a share of the drawing's width."""
    box = re.search(r'viewBox="0 0 (\S+)', drawing)
    assert box is not None
    found = re.findall(r'font-size: (\d+)px;[^"]*text-anchor: middle[^"]*" x="([\d.]+)"[^>]*rotate\(-0[^>]*>([^<]*)<', drawing)
    assert len(found) > 3
    return max(float(x) + 0.636 * float(size) * len(text) / 2 for size, x, text in found) / float(box[1])


def test_dollars_and_brackets_stay_text() -> None:
    with figure(100, 100) as (found, axes):
        axes.set_xlabel("$x_1$ <b>&")
        text = svg(found, name="n", title="<i>&", text='"q"')
    assert "$x_1$ &lt;b&gt;&amp;" in text
    assert "<title id=\"n-title\">&lt;i&gt;&amp;</title>" in text  # fmt: skip
    assert "<b>" not in text


def test_one_number_of_rows_is_drawn_as_lines() -> None:
    found = charts.draw_methods(view.score_tables(sample_study(shots=(16,)))[0], name="a")
    assert "mood: accuracy, 16 per label" in found
    assert "plain fine-tuning" in found


@pytest.mark.parametrize("metric", ["mcc", "macro_f1"])
def test_other_metrics_are_named(metric: str) -> None:
    found = charts.draw_methods(view.score_tables(sample_study(), metric)[0], name="a")
    assert {"mcc": "Matthews correlation", "macro_f1": "macro-F1 in %"}[metric] in found


def test_every_method_has_a_look_of_its_own() -> None:
    looks = {tuple(charts._style(name, []).items()) for name in charts.METHOD_NAMES}
    assert len(looks) == len(charts.METHOD_NAMES)
    assert charts._style("mine", ["pet", "mine"]) not in [charts._style(name, []) for name in charts.METHOD_NAMES]


def test_missing_values_leave_gaps() -> None:
    report = sample_study()
    patterns = next(p for p in view.patterns(report) if p.method == "zero-shot")
    assert "not known after" in charts.draw_patterns(patterns, name="p")
    growing = [g for g in view.generations(report) if (g.task, g.shots, g.method) == ("mood", 16, "ipet")]
    assert "chosen rows not known" in charts.draw_generations(growing, name="g")
    assert "Calibration error" in charts.draw_reliability(view.reliabilities(report)[0], name="r")
