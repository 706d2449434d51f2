"""Which objectives go by units that the vocabulary does not show, and where these come from: a segmenter, or spans given with the text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from petkit.errors import SettingsError
from petkit.objectives import PRESETS

__all__ = ["check_units", "goes_by_segmenter", "goes_by_spans", "goes_by_units"]


def goes_by_units(objective: Any) -> bool:
    """Whether it, or the masked objective in it, needs units that come with the batch."""
    return any(getattr(one, "given_units", False) for one in (objective, getattr(objective, "masked", None)))


def goes_by_segmenter(objective: Any) -> bool:
    """Whether its units are the words of a Chinese segmenter, as its name says: ``chinese-...``."""
    return str(objective.name).startswith("chinese-")


def goes_by_spans(objective: Any) -> bool:
    """Whether its units are spans that come with the text."""
    return goes_by_units(objective) and not goes_by_segmenter(objective)


def check_units(objectives: Sequence[Any], units: str | None) -> None:
    """Raise SettingsError unless ``units``, the column of spans, is given where an objective goes by spans, and only there.

    Tokens keep one kind of units: a segmenter's words and spans in the same run are refused too.
    """
    spans = [row.name for row in objectives if goes_by_spans(row)]
    words = [row.name for row in objectives if goes_by_segmenter(row)]
    if units is not None and not spans:
        legal = [row.name for row in PRESETS.values() if goes_by_spans(row)]
        raise SettingsError(f"units is {units!r}; --units is legal with --objective {' or '.join(legal)}, which goes by a column's units")
    if spans and words:
        raise SettingsError(
            f"--objective {spans[0]} goes by a column's units and {words[0]} by a segmenter's words; a run has one kind of units: "
            "train one after the other (--init)"
        )
    if spans and units is None:
        raise SettingsError(f"--objective {spans[0]} goes by units that must come with the text; --units names the column of their spans")
