"""What a shell offers when the tab key is pressed: names and values, from modules that import neither torch nor transformers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["devices", "objective_names", "presets", "setting_names", "study_methods", "task_names", "train_methods"]


def task_names(incomplete: str) -> list[str]:
    """Ready-made tasks. Where none fits, shells offer files, such as those of tasks."""
    from petkit.loading import ready_made

    return _beginning(ready_made(), incomplete)


def train_methods(incomplete: str) -> list[str]:
    """Methods of ``petkit train``."""
    from petkit.settings import METHODS

    return _beginning(METHODS, incomplete)


def study_methods(incomplete: str) -> list[str]:
    """Methods of ``petkit evaluate``, the last one of several with commas; those before it are not offered again."""
    from petkit.evaluation.grid import METHODS

    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{method}" for method in _beginning(METHODS, last) if method not in before.split(",")]


def presets(incomplete: str) -> list[str]:
    """Presets, and ``auto``."""
    from petkit.settings import PRESETS

    return _beginning(["auto", *PRESETS], incomplete)


def setting_names(incomplete: str) -> list[str]:
    """Settings by dotted name, up to the sign before the value."""
    from petkit.settings import Settings

    return _beginning([f"{name}=" for name in _dotted(Settings().as_dict())], incomplete)


def objective_names(incomplete: str) -> list[str]:
    """Pretraining objectives."""
    from petkit.objectives.presets import PRESETS

    return _beginning(PRESETS, incomplete)


def devices(incomplete: str) -> list[str]:
    """Devices, without a look at which are there."""
    return _beginning(["auto", "cpu", "cuda", "mps"], incomplete)


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _dotted(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Names of nested values.

    >>> _dotted({"seed": 1, "member": {"steps": 2}})
    ['seed', 'member.steps']
    """
    return [
        name
        for key, value in values.items()
        for name in (_dotted(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [f"{prefix}{key}"])
    ]
