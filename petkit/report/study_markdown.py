"""A study as Markdown, short enough for a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from petkit.report import view, words
from petkit.report.names import METRIC_NAMES, SHARES, method_name

__all__ = ["escape", "study_markdown", "table"]

_LINKED = re.compile(r"@|#(?=\d)|\bGH-(?=\d)|\b(?:https?|ftp|mailto|xmpp):|\bwww(?=\.)", re.IGNORECASE)
"""Behind these a character without width goes: GitHub makes links of what would follow."""

_MOST = 30
"""Sentences; the page has all."""


def study_markdown(report: Mapping[str, Any]) -> str:
    """What was done, what the comparisons say, warnings, and the tables of scores."""
    return "\n".join([*_words(report), *_tables(report), *_provenance(report)]) + "\n"


def _words(report: Mapping[str, Any]) -> Iterator[str]:
    yield f"# Few-shot study: {', '.join(escape(task['name']) for task in report['tasks'])}"
    yield from ("", escape(words.headline(report)), "")
    first, rest = (
        [f"- {escape(words.whole(name, line))}" for name, lines in groups for line in lines] for groups in words.findings(report)
    )
    lead = words.lead(report)
    yield from (lead,) if lead else first[:_MOST]
    shown = rest[: max(0, _MOST - len(first))]
    if shown:
        yield from ("", f"<details><summary>{words.undecided(len(rest))}</summary>", "", *shown, "", "</details>")
    if len(first) + len(rest) > _MOST:
        yield from ("", f"... and {len(first) + len(rest) - _MOST} more comparisons in report.html.")
    rule = words.intervals(report)
    yield from ("", escape(rule)) if rule else ()
    yield from ("", escape(report["power"]["sentence"]))
    gain = report["gain_from_development"] or {}
    yield from ("", escape(gain["sentence"])) if gain else ()
    choices = [choice["sentence"] for choice in gain.get("choices", ()) if "sentence" in choice]  # older reports have one text for all
    yield from ("", *(f"- {escape(line)}" for line in choices)) if choices else ()
    yield from ("", "**Warnings**", "", *(f"- {escape(line)}" for line in report["warnings"])) if report["warnings"] else ()


def _tables(report: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", "## Scores")
    for grid in view.grids(report, report["study"]["primary"]["metric"]):
        unit = " in %" if grid.metric in SHARES else ""
        yield from ("", f"**{escape(grid.title)}**: {METRIC_NAMES[grid.metric]}{unit}, {words.legend(report)}", "")
        rows = [
            [method_name(method), *(f"{mean} ({ends})" if ends else mean for mean, ends in cells)] for method, cells in view.shown(grid)
        ]
        yield from table(["method", *grid.columns], rows)
    same = words.same(report)
    yield from ("", escape(same)) if same else ()


def _provenance(report: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", "## Data", "")
    parts = ("train", "pool", "test")
    rows = [
        [task["name"], *(f"{p['rows']} ({(p['fingerprint'] or '')[:12]})" if (p := task["data"][part]) else "" for part in parts)]
        for task in report["tasks"]
    ]
    yield from table(["task", "labelled, to draw from (hash)", "raw (hash)", "test (hash)"], rows)
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items() if version)
    yield from ("", f"Versions: {escape(versions)}.")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table in GitHub's Markdown; the first column is text, the others are numbers."""
    lines = [[escape(cell) for cell in row] for row in (header, *rows)]
    rule = ["---", *["---:"] * (len(header) - 1)]
    return [f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:])]


def escape(text: str) -> str:
    """Text that Markdown leaves alone, in pull requests too: no markup, HTML, formula, link, mention or number of an issue; one line.

    >>> escape("a|b *c* <d> @e ~~f~~ $g$")
    'a\\\\|b \\\\*c\\\\* &lt;d&gt; @\\u200be \\\\~\\\\~f\\\\~\\\\~ \\\\$g\\\\$'
    >>> escape("owner/repo#12, C# and https://x.org")
    'owner/repo#\\u200b12, C# and https:\\u200b//x.org'
    """
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*_\[\]|~$])", r"\\\1", text)
    return _LINKED.sub(lambda found: f"{found[0]}\u200b", text)
