"""Temporary files of an output that killed processes left behind."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

__all__ = ["remove_leftovers", "temporary_beside"]


def temporary_beside(path: Path) -> Path:
    """Where this process writes ``path`` until it is whole: ``.NAME.PID.tmp`` in the same folder."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files of ``path`` whose process is gone: it was killed before it could."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.([1-9][0-9]{{0,8}})\.tmp")
    with suppress(OSError):  # a folder that cannot be listed, a file that is another user's
        for name in os.listdir(path.parent):
            found = pattern.fullmatch(name)
            if found and _is_gone(int(found[1])):
                (path.parent / name).unlink()


def _is_gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:  # another user's
        return False
    return False
