"""A study as Markdown, short enough for a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from petkit.report import view, words
from petkit.report.names import METRIC_NAMES, SHARES, method_name

__all__ = ["escape", "study_markdown", "table"]

_MOST = 30
"""Sentences; the page has all."""


def study_markdown(report: Mapping[str, Any]) -> str:
    """What was done, what the comparisons say, warnings, and the tables of scores."""
    return "\n".join([*_words(report), *_tables(report), *_provenance(report)]) + "\n"


def _words(report: Mapping[str, Any]) -> Iterator[str]:
    yield f"# Few-shot study: {', '.join(escape(task['name']) for task in report['tasks'])}"
    yield from ("", escape(words.headline(report)), "")
    lines = [line for _, found in words.sentences(report) for line in found]
    yield from (f"- {escape(line)}" for line in lines[:_MOST])
    if len(lines) > _MOST:
        yield f"- ... and {len(lines) - _MOST} more comparisons in report.html."
    yield from ("", escape(report["power"]["sentence"]))
    gain = (report["gain_from_development"] or {}).get("sentence")
    yield from ("", escape(gain)) if gain else ()
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
    """Text that Markdown leaves alone: no markup, no HTML, no mention of anybody, one line.

    >>> escape("a|b *c* <d> @e")
    'a\\\\|b \\\\*c\\\\* &lt;d&gt; @\\u200be'
    """
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", text).replace("@", "@\u200b")
