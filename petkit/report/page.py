"""HTML pages from templates: one file each, nothing fetched, no script. Whatever comes from rows, labels or names stays text."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from petkit.canonical import canonical_json
from petkit.report import names
from petkit.wording import quoted

__all__ = ["SECTIONS", "TEMPLATES", "flat", "render", "sections", "size"]

TEMPLATES: Final = Path(__file__).parent / "templates"
SECTIONS: Final = {
    "summary": "Summary",
    "warnings": "Warnings",
    "scores": "Scores",
    "patterns": "Patterns before and after training",
    "ensembles": "Ensembles and generations",
    "confusion": "Confusion matrices",
    "calibration": "Calibration",
    "errors": "What it gets wrong",
    "cost": "Cost",
    "data": "Data",
    "settings": "Settings, versions, hardware",
}
"""Sections of a page and their titles, in order."""


def sections(shown: Mapping[str, object]) -> list[tuple[str, str]]:
    """(id, title) of a page's sections: those of which ``shown`` has something, and those that it does not name.

    >>> [name for name, _ in sections({"warnings": [], "errors": ["x"], "cost": None})]
    ['summary', 'scores', 'patterns', 'ensembles', 'confusion', 'calibration', 'errors', 'data', 'settings']
    """
    return [(name, title) for name, title in SECTIONS.items() if shown.get(name, True)]


def render(template: str, **values: Any) -> str:
    """The page that ``template`` (a file of ``templates/``) makes of ``values``. SVG that petkit drew goes in as ``Markup``."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    words = (names.interval, names.difference_interval, names.method_name, names.shots_name)
    for function in (*words, names.number, names.percent, names.pvalue, names.signed, quoted):
        found.filters[function.__name__] = function
    found.filters |= {"size": size, "count": count, "flat": flat, "breakable": breakable}
    found.globals |= {"METRIC_NAMES": names.METRIC_NAMES, "SHARES": names.SHARES}
    return found


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested values by dotted name, sorted, each as text.

    >>> flat({"seed": 1, "member": {"steps": 2, "labels": ["a"]}})
    {'member.labels': '["a"]', 'member.steps': '2', 'seed': '1'}
    """
    found: dict[str, str] = {}
    for name, value in sorted(values.items()):
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value if isinstance(value, str) else canonical_json(value)
    return found


def size(amount: float | None) -> str:
    """Bytes in the unit that fits.

    >>> size(900), size(17_400_000), size(None)
    ('900 B', '17.4 MB', '')
    """
    if amount is None:
        return ""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if amount >= factor:
            return f"{amount / factor:.1f} {unit}"
    return f"{amount:.0f} B"


def count(amount: float | None, digits: int = 0) -> str:
    """A number with thousands set apart; empty if it is not known.

    >>> count(400000), count(3.14159, 1), count(None)
    ('400,000', '3.1', '')
    """
    return "" if amount is None else f"{amount:,.{digits}f}"


def breakable(text: str) -> Markup:
    """Text that may be broken behind slashes, underscores, dots and hyphens: long names fit narrow windows.

    >>> breakable("a_b<")
    Markup('a_<wbr>b&lt;')
    """
    escaped = str(Markup.escape(text))
    for mark in "/_.-":
        escaped = escaped.replace(mark, f"{mark}<wbr>")
    return Markup(escaped)
