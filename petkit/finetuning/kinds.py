"""The table of kinds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from petkit.finetuning.answer import ANSWER
from petkit.finetuning.classify import CLASSIFY
from petkit.finetuning.generate import GENERATE
from petkit.finetuning.kind import Kind
from petkit.finetuning.settings import check_kind
from petkit.finetuning.tag import TAG

__all__ = ["TABLE", "kind_of"]

TABLE: Final[Mapping[str, Kind[Any]]] = {kind.name: kind for kind in (CLASSIFY, TAG, ANSWER, GENERATE)}


def kind_of(name: str) -> Kind[Any]:
    """The kind of that name; SettingsError if there is none."""
    check_kind(name)
    return TABLE[name]
