"""One value of a source as text."""

from __future__ import annotations

from typing import Any

__all__ = ["as_text"]


def as_text(value: Any, *, whole: bool = False) -> str | None:
    """A value as text: strings as they are, numbers and truth values as JSON writes them, None for null and NaN.

    ``whole`` writes 5.0 as 5 (labels). Raises ValueError, saying why, for what is no text: lists, objects, bytes,
    NUL characters, halves of surrogate pairs.

    >>> as_text("a"), as_text(5), as_text(True), as_text(None), as_text(5.0), as_text(5.0, whole=True)
    ('a', '5', 'true', None, '5.0', '5')
    """
    if value is None or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, (list, tuple, dict, set, bytes)):
        raise ValueError(f"a {type(value).__name__}")
    if isinstance(value, bool):
        return "true" if value else "false"
    if whole and isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value)
    if "\0" in text:
        raise ValueError(f"a NUL character at position {text.index(chr(0)) + 1}")
    if not text.isascii() and not _encodable(text):
        raise ValueError("half a surrogate pair, which is no character")
    return text


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
