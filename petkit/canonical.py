"""Values as JSON in one form: what is recorded, compared and hashed."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from typing import Any

__all__ = ["canonical_json", "hash_json", "plain"]


def plain(value: Any) -> Any:
    """A copy of ``value`` in JSON's own types: numpy numbers and arrays, tuples and paths become numbers, lists and strings.

    NaN and the infinities, which JSON lacks, become null. Keys are strings. Whatever has no order or no obvious form is refused.

    >>> plain({"scores": (1, 0.5, float("nan"))})
    {'scores': [1, 0.5, None]}
    >>> plain({"labels": {"a", "b"}})
    Traceback (most recent call last):
    ...
    TypeError: set cannot be written as JSON
    """
    if isinstance(value, Mapping):
        return {_key(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (bool, str)):
        return str(value) if isinstance(value, str) else value
    if hasattr(value, "tolist") and not isinstance(value, (int, float)):  # numpy and torch
        return plain(value.tolist())
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"JSON keys are strings, not {type(key).__name__}: {key!r}")
    return str(key)


def canonical_json(value: object) -> str:
    """``plain(value)`` as JSON in one form: keys sorted, no spaces, ASCII. Equal values, equal text; made for hashing.

    >>> canonical_json({"b": 0.1, "a": [True, "ü"]})
    '{"a":[true,"\\\\u00fc"],"b":0.1}'
    """
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def hash_json(value: object) -> str:
    """SHA-256 (hex) of ``canonical_json(value)``."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
