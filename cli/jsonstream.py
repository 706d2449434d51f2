"""Many JSON lines as one JSON object, without holding them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TextIO

__all__ = ["OneObject"]


class OneObject:
    """Takes JSON lines as a binary stream does, one in each write, and prints them as the list ``name`` of one object.

    Nothing is printed before the first line, so that an error until then leaves standard output empty.

    >>> import sys
    >>> stream = OneObject(sys.stdout, "rows")
    >>> written = stream.write(b'{"a": 1}\\n'), stream.write(b'{"a": 2}\\n')
    {"rows": [{"a": 1}, {"a": 2}
    >>> stream.finish({"count": 2})
    ], "count": 2}
    """

    def __init__(self, target: TextIO, name: str) -> None:
        self._target, self._name, self._begun = target, name, False

    def write(self, line: bytes) -> int:
        """Pass on one line."""
        start = ", " if self._begun else f"{{{json.dumps(self._name)}: ["
        self._begun = True
        self._target.write(start + line.decode().rstrip("\n"))
        return len(line)

    def flush(self) -> None:
        """Pass on what is buffered."""
        self._target.flush()

    def finish(self, rest: Mapping[str, Any]) -> None:
        """Close the list, and the object with what else is to be in it; without any line, ``rest`` is the object."""
        values = json.dumps(dict(rest), ensure_ascii=False)
        self._target.write(("], " + values[1:] if self._begun else values) + "\n")
