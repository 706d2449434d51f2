"""A study's scores as LaTeX tables (package booktabs)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from petkit.report import view, words
from petkit.report.names import METRIC_NAMES, SHARES, method_name

__all__ = ["latex_escape", "study_latex"]

_SIGNS = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}  # fmt: skip


def study_latex(report: Mapping[str, Any]) -> str:
    """One table environment for each grid of scores."""
    metric = report["study"]["primary"]["metric"]
    tables = ["\n".join(_table(report, grid, number)) for number, grid in enumerate(view.grids(report, metric), 1)]
    return "% \\usepackage{booktabs}\n" + "\n\n".join(tables) + "\n"


def _table(report: Mapping[str, Any], grid: view.Grid, number: int) -> Iterator[str]:
    unit = " in %" if grid.metric in SHARES else ""
    spread = words.SPREAD if any(row["interval_splits"] for row in report["summary"]) else "one split"
    caption = f"{grid.title}: {METRIC_NAMES[grid.metric]}{unit}, {spread}. {words.headline(report)}"
    yield from (r"\begin{table}", r"\centering", rf"\caption{{{latex_escape(caption)}}}", rf"\label{{tab:petkit-{number}}}")
    yield from (rf"\begin{{tabular}}{{l{'r' * len(grid.columns)}}}", r"\toprule")
    yield " & ".join(["method", *map(latex_escape, grid.columns)]) + r" \\"
    yield r"\midrule"
    for method, cells in view.shown(grid):
        yield " & ".join([latex_escape(method_name(method)), *(_number(mean) for mean, _ in cells)]) + r" \\"
    yield from (r"\bottomrule", r"\end{tabular}", r"\end{table}")


def _number(text: str) -> str:
    return f"${text.replace('±', chr(92) + 'pm')}$" if text else "--"


def latex_escape(text: str) -> str:
    """Text as LaTeX prints it.

    >>> print(latex_escape("50 % of a_b ± {c}"))
    50 \\% of a\\_b $\\pm$ \\{c\\}
    """
    return re.sub("|".join(map(re.escape, _SIGNS)), lambda sign: _SIGNS[sign[0]], text).replace("±", r"$\pm$")
