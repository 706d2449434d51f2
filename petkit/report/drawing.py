"""From matplotlib's figures to SVG for a page: the same bytes for the same numbers, colours of the page, text as text.

matplotlib is the extra `plots` and is imported when something is drawn. Series are drawn in stand-in colours that become CSS
variables, so that one drawing is right on light and dark pages; ids get the figure's name, so that many fit one page.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["INK", "SERIES", "can_draw", "figure", "svg"]

INK: Final = "#010203"
"""Stands for the colour of text."""

SERIES: Final = tuple(f"#0102{number:02x}" for number in range(0x10, 0x17))
"""Stand for the page's series colours, ``--series-0`` to ``--series-6``."""

_OVERHANG: Final = 14
"""CSS pixels kept free on the right: the layout does not always see the last tick's label, half of which stands beside the axes."""

_FONT = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', 'DejaVu Sans', sans-serif"


def can_draw() -> bool:
    """Whether matplotlib is there.

    >>> isinstance(can_draw(), bool)
    True
    """
    return find_spec("matplotlib") is not None


@contextmanager
def figure(width: float, height: float) -> Iterator[tuple[Figure, Any]]:
    """An empty figure and its axes; sizes in CSS pixels. Nothing global is changed: no pyplot, no current figure."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "petkit",
        "text.parse_math": False,  # a dollar sign in a name is a dollar sign
        "font.family": "DejaVu Sans",  # comes along with matplotlib: measured alike on every machine
        "font.size": 9,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with matplotlib.rc_context(settings):
        layout = ConstrainedLayoutEngine(rect=(0, 0, 1 - _OVERHANG / width, 1))
        found = Figure(figsize=(width / 96, height / 96), dpi=96, layout=layout)
        axes = found.add_subplot()
        axes.grid(color=INK, alpha=0.15, linewidth=0.7)
        axes.set_axisbelow(True)
        yield found, axes


def svg(found: Figure, *, name: str, title: str, text: str) -> str:
    """The figure as an ``<svg>`` element for a page.

    Args:
        name: unique in the page; letters, digits and hyphens. title: what it shows. text: the same in words, for those who cannot see it.
    """
    buffer = io.StringIO()
    found.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    _, _, body = buffer.getvalue().partition("<svg ")
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    attributes, _, content = body.partition(">")
    box = re.search(r'viewBox="([^"]+)"', attributes)
    assert box is not None, "matplotlib gives every drawing a view box"
    content = re.sub(
        r"<!--.*?-->\n?|<defs>\s*<style.*?</style>\s*</defs>\n?", "", content, flags=re.DOTALL
    )  # styles would hold for the page
    content = re.sub(r'\bid="', f'id="{name}-', content)
    content = content.replace("url(#", f"url(#{name}-").replace('href="#', f'href="#{name}-')
    for number, stand_in in enumerate(SERIES):
        content = content.replace(stand_in, f"var(--series-{number})")
    content = content.replace(INK, "currentColor").replace("'DejaVu Sans'", _FONT.replace('"', "'"))
    content = re.sub(r"[ \t]*\n\s*", "\n", content)
    width = float(box[1].split()[2]) * 96 / 72
    head = f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{box[1]}" width="{width:.0f}"'
    label = f'role="img" aria-labelledby="{name}-title {name}-text"'
    words = f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-text">{escape(text)}</desc>'
    return f"{head} {label}>{words}{content}".strip()
