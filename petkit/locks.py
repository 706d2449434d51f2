"""One process at a time: a lock that the system releases when its holder ends, however it ends."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from petkit.errors import RunError
from petkit.files import checkpoint_hook, naming_errors

__all__ = ["holder", "locked"]

TRIES = 5
PAUSE = 0.02
"""Seconds between tries: ``holder`` takes the lock for an instant, and that should not turn a starting run away."""

_descriptors: Final[set[int]] = set()
"""Of the lock files that this process has open."""


def _leave_to_parent() -> None:
    """A forked process shares its parent's locks, and would keep them beyond the parent's end: it closes its copies."""
    while _descriptors:
        os.close(_descriptors.pop())


os.register_at_fork(after_in_child=_leave_to_parent)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file ``path`` (flock, made if missing) during the block.

    Raises:
        RunError: someone else holds it, whom the message names, or has just removed it with all that the folder held.
    """
    with naming_errors(path):
        checkpoint_hook(f"lock {path.name}")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    _descriptors.add(descriptor)
    try:
        with naming_errors(path, "lock"):
            if not _take(descriptor):
                raise RunError(f"{path.parent} is in use by {_other(path)}; wait until it ends, or give another folder (--out)")
            if not _is_there(path, descriptor):
                raise RunError(f"{path.parent} was in use by a run that has just been taken back; give the command again")
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(_own()).encode(), 0)
        yield
    finally:
        if descriptor in _descriptors:  # else this is a forked process, and the lock its parent's
            _descriptors.remove(descriptor)
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # also where a process that is being forked has a copy still
            os.close(descriptor)


def _take(descriptor: int) -> bool:
    for attempt in range(TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(PAUSE if attempt + 1 < TRIES else 0)
        else:
            return True
    return False


def _is_there(path: Path, descriptor: int) -> bool:
    """Whether the open lock file still has its name: who holds another one that others cannot see holds nothing."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def holder(path: Path) -> str | None:
    """Who holds the lock file ``path`` now ("process 12 on host"), or None."""
    try:
        with path.open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(handle, fcntl.LOCK_UN)
    except BlockingIOError:
        return _name(path)
    except OSError:
        return None
    return None


def _other(path: Path) -> str:
    """The holder for a message to one who would like to be it."""
    name = _name(path)
    return f"another run of this process ({name})" if name == _process(_own()) else name


def _name(path: Path) -> str:
    try:
        return _process(json.loads(path.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _own() -> dict[str, Any]:
    return {"pid": os.getpid(), "host": socket.gethostname()}


def _process(facts: Mapping[str, Any]) -> str:
    return f"process {facts['pid']} on {facts['host']}"
