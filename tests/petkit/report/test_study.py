"""The pages of a study: the right numbers, the same bytes, whole without matplotlib, and hostile text stays text."""

from __future__ import annotations

import copy
import itertools
import json
import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from petkit.report import study, view, words
from petkit.report.latex import study_latex
from petkit.report.page import SECTIONS, TEMPLATES
from petkit.report.study import study_page, write_study_report
from petkit.report.study_markdown import escape, study_markdown
from tests.petkit.report.sample_study import EVIL, sample_study

SMALL = {"tasks": ("mood", "support & <complaints>"), "methods": ("pet", "ipet", "tfidf"), "splits": 2}


class Page(HTMLParser):
    """What a browser would see: tags with attributes in order, and the text of each kind of element."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.wrong: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "wbr", "use", "path"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in ("path", "use"):
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@cache
def page(drawn: bool = False) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "can_draw", lambda: drawn)
        return study_page(sample_study(**SMALL))


def text_of(html: str) -> str:
    return " ".join("".join(text for tag, text in Page(html).texts if tag != "style").split())


def test_numbers_of_the_summary_are_in_the_page() -> None:
    report = sample_study(**SMALL)
    row = next(r for r in report["summary"] if (r["task"], r["shots"], r["method"], r["metric"]) == ("mood", 16, "ipet", "accuracy"))
    low, high = (f"{100 * end:.1f}" for end in row["interval_splits"])
    assert f"iPET{100 * row['mean']:.1f}" not in page()
    assert f"{100 * row['mean']:.1f} ± {100 * row['sd_splits']:.1f}{low} to {high}" in text_of(page())
    for comparison in report["comparisons"]:
        assert comparison["sentence"].removeprefix(f"{comparison['task']}, ") in text_of(page())
    assert report["power"]["sentence"] in text_of(page())
    assert words.headline(report) in text_of(page())


@pytest.mark.wheel
def test_every_part_of_the_report_has_its_section() -> None:
    titles = [text for tag, text in Page(page()).texts if tag == "h2"]
    assert titles == list(SECTIONS.values())
    report = sample_study(**SMALL)
    for name in ("warnings", "errors"):
        report[name] = []
    for cell in report["cells"]:
        cell["members"], cell["generations"] = [], []
        cell["test"]["reliability"] = cell["test"]["reliability_scaled"] = None
    left = study_page(report)
    assert [text for tag, text in Page(left).texts if tag == "h2"] == [
        "Summary", "Scores", "Confusion matrices", "Cost", "Data", "Settings, versions, hardware",
    ]  # fmt: skip


def test_costs_say_what_they_leave_out() -> None:
    report = sample_study(**SMALL)
    assert words.costs(report) == "Training steps, but not seconds, leave out trainings that only serve a temperature.", "an older report"
    assert words.costs(report) in page()
    for cell in report["measured"]["cells"]:
        cell["calibration_seconds"] = 1.5
    assert words.costs(report) == "Training steps and seconds leave out trainings that only serve a temperature."


def test_hostile_text_stays_text() -> None:
    found = Page(page())
    assert EVIL in "".join(text for _, text in found.texts)
    assert [tag for tag, _ in found.tags if tag in ("script", "img", "i", "b", "iframe", "link", "object")] == []
    assert not [name for _, attributes in found.tags for name in attributes if name.startswith("on")]


@pytest.mark.slow
def test_label_words_stand_beside_their_patterns_where_the_report_has_them() -> None:
    report = sample_study(tasks=("mood",), shots=(4,), splits=2)
    (task,) = report["tasks"]
    task["label_words"][1] = {"negative": ["<b>bad</b>"], "positive": ["good", "well, well"]}
    html = study_page(report)
    assert "negative: &lt;b&gt;bad&lt;/b&gt;; positive: good, &#39;well, well&#39;</td>" in html
    assert task["specification"][:16] in html
    del task["label_words"], task["specification"]
    assert "label words" not in study_page(report), "reports of older versions"


def test_nothing_is_fetched() -> None:
    found = Page(page(drawn=True))
    targets = [value for _, attributes in found.tags for name, value in attributes.items() if name in ("href", "src", "xlink:href")]
    assert targets
    assert [target for target in targets if not (target or "").startswith("#")] == []
    assert "url(" not in re.sub(r"url\(#", "", page(drawn=True))
    assert "@import" not in page()


@pytest.mark.slow
def test_the_page_is_well_formed_and_its_links_lead_somewhere() -> None:
    found = Page(page(drawn=True))
    assert (found.wrong, found.open) == ([], [])
    ids = [value for _, attributes in found.tags for name, value in attributes.items() if name == "id"]
    assert len(ids) == len(set(ids))
    links = {(a.get("href") or "")[1:] for a in found.all("a")}
    assert links <= set(ids)


@pytest.mark.slow
def test_those_who_do_not_see_the_page_find_their_way() -> None:
    found = Page(page(drawn=True))
    assert found.all("html")[0]["lang"] == "en"
    assert [name for name in ("header", "nav", "main", "footer") if len(found.all(name)) != 1] == []
    assert found.all("a")[0] == {"class": "skip", "href": "#content"}
    levels = [int(tag[1]) for tag, _ in found.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels)), "a level of headings is left out"
    assert len(found.all("caption")) == len(found.all("table"))
    assert all(attributes.get("scope") in ("col", "row") for attributes in found.all("th"))
    scrolling = [attributes for attributes in found.all("div") if attributes.get("class") == "scroll"]
    assert len(scrolling) == len(found.all("table"))
    assert all(a.get("tabindex") == "0" and a.get("role") == "group" and a.get("aria-label") for a in scrolling)
    assert not [attributes for _, attributes in found.tags if attributes.get("role") == "region"], (
        "a landmark for each table buries the others"
    )
    labels = [a["aria-label"] for a in scrolling]
    assert len(labels) == len(set(labels)), "tables of one name cannot be told apart"
    drawings = found.all("svg")
    assert drawings
    ids = {attributes.get("id") for _, attributes in found.tags}
    assert all(a["role"] == "img" and set((a["aria-labelledby"] or "").split()) <= ids for a in drawings)


@pytest.mark.slow
def test_without_matplotlib_tables_remain_and_the_page_says_how_to_get_figures() -> None:
    assert "petkit[plots]" in page()
    assert Page(page()).all("svg") == []
    assert len(Page(page()).all("table")) == len(Page(page(drawn=True)).all("table"))
    assert "petkit[plots]" not in page(drawn=True)


def test_the_same_report_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "can_draw", lambda: False)
    report = sample_study(**SMALL)
    (tmp_path / "report.json").write_text(json.dumps(report, sort_keys=True), "utf-8")
    before = copy.deepcopy(report)
    first = write_study_report(report, tmp_path / "a")
    second = write_study_report(json.loads((tmp_path / "report.json").read_text("utf-8")), tmp_path / "b")
    assert [path.name for path in first] == ["report.html", "report.md", "report.tex"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert report == before, "what is shown is not changed"


def with_mean(**changes: Any) -> dict[str, Any]:
    """A study of three tasks, its first comparison a mean over those that have both methods at 16 per label: not ``ag_news``."""
    report = sample_study(splits=2, methods=("pet", "tfidf"))
    report["comparisons"] = [c for c in report["comparisons"] if (c["task"], c["shots"]) != ("ag_news", 16)]
    mean = {"task": None, "shots": 16, "sentence": "Mean of 2 tasks, 16 per label: as much as that.", "verdict": "no difference"}
    report["comparisons"].insert(0, {**report["comparisons"][0], **mean, **changes})
    return report


def test_a_mean_names_its_tasks() -> None:
    report = with_mean()
    mean = report["comparisons"][0]
    assert words.where(report, mean) == "Mean of 2 tasks (all but ag_news)"
    assert words.where(report, {**mean, "left_out": ["mood"]}) == "Mean of 1 task (support & <complaints>)"
    assert words.where(report, {**mean, "shots": 4}) == "Mean of all 3 tasks"
    assert "- Mean of 2 tasks (all but ag\\_news), 16 per label: as much as that." in study_markdown(report).splitlines()
    assert "Mean of 2 tasks (all but ag_news)" in [text for tag, text in Page(study_page(report).replace("<wbr>", "")).texts if tag == "h3"]


def test_means_and_decided_differences_come_first() -> None:
    report = with_mean()
    for number, comparison in enumerate(report["comparisons"][1:]):
        comparison["verdict"] = ("behind", "no difference", "too few splits")[number % 3]
    first, rest = words.findings(report)
    assert [len(report["comparisons"]), sum(len(lines) for _, lines in first), sum(len(lines) for _, lines in rest)] == [6, 3, 3]
    assert first[0] == ("Mean of 2 tasks (all but ag_news)", ["16 per label: as much as that."])
    together = [words.whole(name, line) for name, lines in (*first[1:], *rest) for line in lines]
    assert sorted(together) == sorted(c["sentence"] for c in report["comparisons"][1:])
    shown, _, left = study_markdown(report).partition("<details><summary>3 comparisons without a decided difference</summary>")
    assert (shown.count("\n- "), left.partition("</details>")[0].count("\n- ")) == (3, 3)


@pytest.mark.parametrize(("copies", "is_open"), [(1, True), (3, False)])
def test_what_decides_nothing_is_folded_away_where_it_is_much(copies: int, is_open: bool) -> None:
    report = sample_study(tasks=("mood",), shots=(16,), splits=2, methods=("pet", "tfidf", "majority", "ipet"))
    report["comparisons"] = [{**c, "verdict": "no difference"} for c in report["comparisons"]] * copies
    found = Page(study_page(report))
    assert f"{3 * copies} comparisons without a decided difference" in [text.strip() for tag, text in found.texts if tag == "summary"]
    assert ("open" in found.all("details")[0]) == is_open
    assert "No comparison decides a difference." in text_of(study_page(report))
    assert "\n\nNo comparison decides a difference.\n\n<details>" in study_markdown(report)


def test_it_is_said_once_that_intervals_are_taken_alone() -> None:
    number = len(sample_study(**SMALL)["comparisons"])
    said = f"Each interval is taken alone. Ahead and behind are decided by the test corrected for all {number} comparisons (Holm)"
    assert text_of(page()).count(said) == 1
    one = sample_study(tasks=("mood",), shots=(16,), splits=2, methods=("pet", "tfidf"))
    assert words.intervals(one) is None, "with one comparison there is nothing to correct"


def test_scores_that_no_split_changes_have_no_interval() -> None:
    report = sample_study(tasks=("mood",), shots=(16,), splits=2, methods=("pet", "zero-shot", "majority"))
    assert words.same(report) is None
    for row in report["summary"]:
        if row["method"] != "pet":
            row.update(mean=0.525, sd_splits=0.0, interval_splits=[0.525, 0.525], values=[0.525, 0.525])
    found = text_of(study_page(report))
    assert found.count("52.5 ± 0.0same on all splits") == 2
    assert "52.5 to 52.5" not in found
    assert "No labelled row is used by untrained patterns: no split can change that." in found
    assert "Other splits may give other scores of most frequent label." in found
    assert "| untrained patterns | 52.5 ± 0.0 (same on all splits) |" in study_markdown(report)


def test_the_headline_says_where_splits_were_given() -> None:
    report = sample_study(**SMALL)
    assert "with 4 and 16 labelled rows per label: " in words.headline(report)
    report["study"]["shots"] = [16, None]
    assert "with 16 labelled rows per label, or as given: " in words.headline(report)
    report["study"]["shots"] = [None]
    assert "with labelled rows as given: " in words.headline(report)


def test_rows_drawn_by_chance_are_so_many_per_label_on_average_everywhere() -> None:
    report = sample_study(**{**SMALL, "tasks": ("mood",)})
    report["study"]["draw"] = "random"
    for comparison in report["comparisons"]:
        comparison["sentence"] = comparison["sentence"].replace(" per label", " per label on average")
    labels = len(report["tasks"][0]["labels"])
    assert f"with 4 and 16 labelled rows per label on average ({4 * labels} and {16 * labels} in all): " in words.headline(report)
    texts = study_page(report), study_markdown(report), study_latex(report)
    for text in texts:
        assert "per label on average" in text
        assert [found for found in re.findall(r"\b(?:4|16|rows) per label\b(?! on average)", text)] == []
    two = report | {"tasks": [*report["tasks"], report["tasks"][0] | {"name": "other", "labels": ["a", "b", "c", "d", "e", "f", "g"]}]}
    assert "labelled rows per label on average: " in words.headline(two)


def test_calibration_errors_are_said_to_be_means() -> None:
    found = next(entry for entry in view.reliabilities(sample_study(**SMALL)) if entry.method == "pet")
    assert found.cells == 2
    assert "calibration errors are means over splits and seeds" in text_of(page())


@pytest.mark.slow
def test_figures_say_what_they_show() -> None:
    captions = [text for tag, text in Page(page(drawn=True)).texts if tag == "figcaption"]
    assert "mood: mean accuracy in %; bars are the 95 % interval over splits" in captions
    assert len([text for text in captions if text.endswith("% (mean over splits and seeds)")]) == 6
    assert "mood, iPET, 16 per label" in captions
    report = sample_study(tasks=("mood",), shots=(16,), splits=1, methods=("pet", "tfidf"))
    assert words.bars(report, "mcc") == "mean Matthews correlation; bars are the 95 % interval over test rows"


def test_markdown_for_pull_requests() -> None:
    report = sample_study(**SMALL)
    found = study_markdown(report)
    row = next(r for r in report["summary"] if (r["task"], r["shots"], r["method"], r["metric"]) == ("mood", 4, "ipet", "accuracy"))
    low, high = (f"{100 * end:.1f}" for end in row["interval_splits"])
    assert f"| iPET | {100 * row['mean']:.1f} ± {100 * row['sd_splits']:.1f} ({low} to {high}) |" in found
    assert "<complaints>" not in found
    assert re.sub(r"&(amp|lt|gt);", "", found).count("&") == 0
    tables = [line for line in found.splitlines() if line.startswith("|")]
    assert {line.count("|") - line.count(r"\|") for line in tables} <= {4, 5}


def test_markdown_says_how_many_comparisons_it_leaves_out() -> None:
    report = sample_study()
    assert len(report["comparisons"]) == 30
    report["comparisons"] *= 2
    assert "and 30 more comparisons" in study_markdown(report)
    assert study_markdown(report).count("\n- ") == 30 + len(report["warnings"])


def test_markdown_folds_nothing_away_where_there_is_no_room() -> None:
    report = sample_study()
    for comparison in report["comparisons"]:
        comparison["verdict"] = "ahead"
    report["comparisons"] += [{**comparison, "verdict": "no difference"} for comparison in report["comparisons"][:2]]
    found = study_markdown(report)
    assert "<details>" not in found
    assert "\n\n... and 2 more comparisons in report.html.\n" in found
    assert "No comparison decides" not in found


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("~~x~~", r"\~\~x\~\~"),
        ("$x$", r"\$x\$"),
        ("see #12", "see #\u200b12"),
        ("a/b#1", "a/b#\u200b1"),
        ("GH-3", "GH-\u200b3"),
        ("https://x.org", "https:\u200b//x.org"),
        ("www.x.org", "www\u200b.x.org"),
        ("me@x.org", "me@\u200bx.org"),
        ("C# # a, https at 12:30", "C# # a, https at 12:30"),
    ],
)
def test_nothing_becomes_a_link_a_formula_or_struck_out(text: str, wanted: str) -> None:
    assert escape(text) == wanted


def test_latex_is_escaped_and_balanced() -> None:
    report: dict[str, Any] = sample_study(**SMALL)
    found = study_latex(report)
    assert found.count(r"\begin{") == found.count(r"\end{") == 4
    assert r"support \& \textless{}complaints\textgreater{}" in found
    row = next(r for r in report["summary"] if (r["task"], r["shots"], r["method"], r["metric"]) == ("mood", 4, "pet", "accuracy"))
    assert rf"PET & ${100 * row['mean']:.1f} \pm {100 * row['sd_splits']:.1f}$ &" in found
    body = [line for line in found.splitlines() if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in body} == {2}


def test_tasks_stand_side_by_side_where_there_is_one_number_of_rows() -> None:
    (grid,) = view.grids(sample_study(shots=(16,), splits=2))
    assert grid.columns == ("mood", "ag_news", "support & <complaints>", "mean over tasks")
    means = [row["mean"] for row in dict(grid.rows)["pet"] if row]
    assert means[3] == pytest.approx(sum(means[:3]) / 3)


def test_one_split_says_so() -> None:
    report = sample_study(tasks=("mood",), shots=(16,), splits=1, methods=("pet", "tfidf"))
    found = text_of(study_page(report))
    assert "Nothing is compared" in found
    assert "Nothing is compared" in study_markdown(report)
    assert "one split: nothing is known of other splits" in found


# Colours


def palettes() -> dict[str, dict[str, str]]:
    style = (TEMPLATES / "style.css").read_text("utf-8")
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    assert len(blocks) == 3
    return {name: dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for name, block in zip(("light", "dark", "print"), blocks, strict=True)}


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_computed_right() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_colours_can_be_read(scheme: str) -> None:
    found = palettes()[scheme]
    text = [("ink", p) for p in ("paper", "raised", "heat", "alert")] + [(c, "paper") for c in ("muted", "link")] + [("link", "raised")]
    assert [pair for pair in text if contrast(found[pair[0]], found[pair[1]]) < 4.5] == [], "WCAG AA: 4.5 for text"
    lines = [*(f"series-{n}" for n in range(7)), "focus", "alert-line"]
    assert [name for name in lines if contrast(found[name], found["paper"]) < 3] == [], "WCAG AA: 3 for what is drawn"
