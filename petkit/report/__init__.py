"""What finished runs and studies say of themselves: report.json for programs, report.html, report.md and report.tex for people."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from petkit.report.run import SCHEMA, build_report, write_report

__all__ = ["SCHEMA", "build_report", "write_report"]


def __getattr__(name: str) -> Any:
    """Loaded when first asked for: what only renders needs no torch, which runs need."""
    if name not in __all__:
        raise AttributeError(f"module 'petkit.report' has no attribute {name!r}")
    return getattr(importlib.import_module("petkit.report.run"), name)
