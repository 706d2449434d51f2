"""One value of a source as text."""

from __future__ import annotations

import re
import unicodedata
from datetime import date, time, timedelta
from decimal import Decimal
from numbers import Number
from typing import Any, Final
from uuid import UUID

__all__ = ["as_text", "is_blank", "without_point"]

_PLAIN: Final = (str, Number, date, time, timedelta, UUID)
_UNSEEN: Final = frozenset({"Zs", "Zl", "Zp", "Cc", "Cf"})
"""Categories of Unicode whose characters nobody sees. Those of private use and those too new for this Python may be seen."""


def as_text(value: Any, *, whole: bool = False) -> str | None:
    """A value as text: strings as they are, numbers and truth values as JSON writes them, None for null and NaN.

    ``whole`` writes 5.0 as 5, and decimals without zeros at their end (labels). Raises ValueError, saying why, for what is no text:
    lists, arrays, bytes and other objects that are no string, number, truth value, date or time; NUL characters, halves of surrogate pairs.

    >>> as_text("a"), as_text(5), as_text(True), as_text(None), as_text(5.0), as_text(5.0, whole=True)
    ('a', '5', 'true', None, '5.0', '5')
    """
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        value = value.item()
    if value is None or (isinstance(value, _PLAIN) and value != value):
        return None
    if not isinstance(value, _PLAIN):
        raise ValueError(f"a {type(value).__name__}")
    if isinstance(value, bool):
        return "true" if value else "false"
    text = _shortest(value) if whole and isinstance(value, (float, Decimal)) else str(value)
    if "\0" in text:
        raise ValueError(f"a NUL character at position {text.index(chr(0)) + 1}")
    if not text.isascii() and not _encodable(text):
        raise ValueError("half a surrogate pair, which is no character")
    return text


def is_blank(text: str) -> bool:
    r"""Whether a text has no visible character: it is empty, or all blanks, controls and zero-width signs.

    >>> is_blank(" \u200b\n"), is_blank("\u200b."), is_blank("")
    (True, False, True)
    """
    return not text[:1].isalnum() and all(unicodedata.category(sign) in _UNSEEN for sign in text)


def without_point(number: str) -> str:
    """A whole number that is written with a point and one zero, without them; any other text as it is.

    >>> without_point("1.0"), without_point("-12.0"), without_point("1.5"), without_point("01.0"), without_point("v1.0")
    ('1', '-12', '1.5', '01.0', 'v1.0')
    """
    return number[:-2] if re.fullmatch(r"0\.0|-?[1-9][0-9]*\.0", number) else number


def _shortest(number: float | Decimal) -> str:
    """A number without a point where it is whole, and a decimal, whose column in a parquet file sets its digits, as a float is written.

    >>> _shortest(5.0), _shortest(Decimal("5.00")), _shortest(Decimal("0.50")), _shortest(Decimal("100")), _shortest(Decimal("NaN"))
    ('5', '5', '0.5', '100', 'NaN')
    """
    if isinstance(number, float):
        return str(int(number) if number.is_integer() else number)
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
