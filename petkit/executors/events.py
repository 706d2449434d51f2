"""What an executor tells while it works."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Event", "OnEvent", "silent"]


@dataclass(frozen=True)
class Event:
    """Something that happened to a unit.

    ``started``, ``progress`` (with ``done``, ``total``, ``facts``), ``finished`` (with ``seconds``), ``skipped`` (done before), and
    ``rerun`` (was done, but cannot be used, or lost its process: ``reason``), which precedes ``started``.
    """

    kind: Literal["started", "progress", "finished", "skipped", "rerun"]
    unit: str
    done: int | None = None
    total: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    reason: str = ""


OnEvent = Callable[[Event], None]


def silent(event: Event) -> None:
    """Ignore the event."""
