"""The report for people: the right numbers in the right rows, and nothing that breaks the table."""

from __future__ import annotations

from typing import Any

import pytest

from petkit.report.markdown import markdown, score_rows


def scores(accuracy: float) -> dict[str, float]:
    return {"accuracy": accuracy, "macro_f1": accuracy / 2}


def member(generation: int, pattern: str, index: int, seed: int | None, before: Any, after: Any) -> dict[str, Any]:
    return {"generation": generation, "pattern": pattern, "pattern_index": index, "seed": seed, "before": before, "after": after}


def report_of(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "task": "mood",
        "method": "ipet",
        "labels": ["sad", "glad"],
        "seed": 7,
        "model": "builtin",
        "device": "cpu",
        "data": {"rows": {"train": 4, "pool": 30, "test": 9}, "overlap": [], "removed_from_pool": 0},
        "seconds": {"a": 1.4, "b": 2.2},
        "scores": {
            "members": [
                member(0, "{a} || {mask} | {b}", 0, 0, scores(0.1), scores(0.2)),
                member(0, "{mask}\n{a}", 1, 0, scores(0.3), scores(0.4)),
                member(1, "{a} || {mask} | {b}", 0, 0, scores(0.1), scores(0.5)),
            ],
            "generations": [
                {"generation": 0, "ensemble": scores(0.6), "agreement": 0.754, "pool_labels": {"sad": 10, "glad": 20}},
                {"generation": 1, "ensemble": scores(0.7), "agreement": None, "quota": {"sad": 8, "glad": 8}, "short": {"m": {"glad": 3}}},
            ],
            "ensemble": scores(0.7),
            "classifier": scores(0.8),
            "baselines": {"majority": scores(0.33), "supervised": scores(0.42), "tfidf": scores(0.41)},
        },
    }
    return {**found, **changes}


def table_of(text: str) -> list[list[str]]:
    """Cells by row; an escaped pipe is part of a cell."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip().replace("\0", "|") for cell in line.replace("\\|", "\0").strip("|").split("|")] for line in lines]


def test_rows_follow_the_stages() -> None:
    assert [row[0] for row in score_rows(report_of())] == [
        "generation 0, pattern 0, seed 0: {a} || {mask} | {b}",
        "generation 0, pattern 1, seed 0: {mask}\n{a}",
        "generation 1, pattern 0, seed 0: {a} || {mask} | {b}",
        "ensemble of generation 0",
        "ensemble of generation 1",
        "classifier",
        "baseline: plain fine-tuning",
        "baseline: TF-IDF + logistic regression",
        "baseline: most frequent label",
    ]


def test_reports_of_older_versions_lack_the_most_frequent_label() -> None:
    report = report_of()
    older = {**report["scores"], "baselines": {"supervised": scores(0.42), "tfidf": None}}
    assert [row[0] for row in score_rows({**report, "scores": older})][-2:] == ["classifier", "baseline: plain fine-tuning"]


def test_one_generation_needs_no_number() -> None:
    report = report_of()
    only = {**report["scores"], "members": report["scores"]["members"][:1], "generations": report["scores"]["generations"][:1]}
    names = [row[0] for row in score_rows({**report, "scores": only})]
    assert names[:3] == ["pattern 0, seed 0: {a} || {mask} | {b}", "ensemble", "classifier"]


def test_the_table_holds_the_numbers_and_pipes_and_line_breaks_do_no_harm() -> None:
    table = table_of(markdown(report_of()))
    assert table[0] == ["", "accuracy before", "accuracy", "macro-F1"]
    assert {len(row) for row in table} == {4}
    assert table[2:] == [
        ["generation 0, pattern 0, seed 0: {a} || {mask} | {b}", "0.100", "0.200", "0.100"],
        ["generation 0, pattern 1, seed 0: {mask} {a}", "0.300", "0.400", "0.200"],
        ["generation 1, pattern 0, seed 0: {a} || {mask} | {b}", "0.100", "0.500", "0.250"],
        ["ensemble of generation 0", "", "0.600", "0.300"],
        ["ensemble of generation 1", "", "0.700", "0.350"],
        ["classifier", "", "0.800", "0.400"],
        ["baseline: plain fine-tuning", "", "0.420", "0.210"],
        ["baseline: TF-IDF + logistic regression", "", "0.410", "0.205"],
        ["baseline: most frequent label", "", "0.330", "0.165"],
    ]


def test_markup_in_names_is_text_everywhere() -> None:
    report = report_of(task="<b>mood</b>", labels=["*sad*", "glad"])
    report["scores"]["members"][0]["pattern"] = "[ _{mask}_ ] {a}"
    report["scores"]["generations"][0]["pool_labels"] = {"*sad*": 10, "glad": 20}
    report["scores"]["generations"][1] |= {"quota": {"*sad*": 8, "glad": 8}, "short": {"m": {"*sad*": 3}}}
    text = markdown(report)
    assert text.startswith("# &lt;b&gt;mood&lt;/b&gt;: ipet\n")
    assert text.count(r"\*sad\*") == 3 == text.count("sad")
    assert r"| generation 0, pattern 0, seed 0: \[ \_{mask}\_ \] {a} |" in text


def test_what_is_told_around_the_table() -> None:
    text = markdown(report_of())
    assert text.startswith("# mood: ipet\n")
    assert "4 labelled rows, 30 unlabelled, 9 for the test; labels sad, glad; model `builtin`, seed 7, 4 s on cpu." in text
    assert "Generation 0: members agree on 75% of the pool and give it sad 10, glad 20." in text
    assert "Generation 1: some labels got fewer rows than their quota, at worst 'glad' 5 of 8.\n" in text
    assert "Generation 1: members agree" not in text
    assert "nothing is known" not in text


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            {"overlap": ["a", "b"], "removed_from_pool": 0},
            "**2 labelled rows equal a test row (--allow-overlap): the scores below are too good.**",
        ),
        ({"overlap": [], "removed_from_pool": 5}, "5 unlabelled rows equal a test row and were left out."),
    ],
)
def test_overlap_is_stamped_on_the_report(data: dict[str, Any], said: str) -> None:
    before, _, _ = markdown(report_of(data={**report_of()["data"], **data})).partition("## Test scores")
    assert said in before


def test_without_scores_it_says_that_nothing_is_known() -> None:
    none: dict[str, Any] = {
        "members": [member(0, "{mask} {a}", 0, None, None, None)],
        "generations": [{"generation": 0, "ensemble": None, "agreement": 1.0, "pool_labels": {"sad": 1, "glad": 2}}],
        "ensemble": None,
        "classifier": None,
        "baselines": {"supervised": None, "tfidf": None},
    }
    text = markdown(report_of(scores=none, method="zero-shot"))
    assert "No labelled test rows were given" in text
    assert table_of(text) == [], "blanks tell nothing"


def test_names_that_hold_commas_stand_in_quotes() -> None:
    report = report_of(labels=["sad, blue", "glad"])
    report["scores"]["generations"][0]["pool_labels"] = {"sad, blue": 10, "glad": 20}
    text = markdown(report)
    assert "; labels 'sad, blue', glad; model" in text
    assert "give it 'sad, blue' 10, glad 20." in text


@pytest.mark.parametrize("method", ["supervised", "tfidf"])
def test_a_baseline_as_method_is_named(method: str) -> None:
    none: dict[str, Any] = {
        "members": [],
        "generations": [],
        "ensemble": None,
        "classifier": scores(0.5),
        "baselines": {"supervised": None, "tfidf": None},
    }
    assert [row[0] for row in score_rows(report_of(scores=none, method=method))] == [f"classifier ({method})"]
