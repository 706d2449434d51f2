"""One process at a time: a lock that the system releases when its holder ends, however it ends."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from petkit.errors import RunError
from petkit.files import checkpoint_hook, naming_errors

__all__ = ["holder", "locked"]

TRIES = 5
PAUSE = 0.02
"""Seconds between tries: ``holder`` takes the lock for an instant, and that should not turn a starting run away."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file ``path`` (flock, made if missing) during the block.

    Raises:
        RunError: another process holds it, which the message names, or has just removed it with all that the folder held.
    """
    with naming_errors(path):
        checkpoint_hook(f"lock {path.name}")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        with naming_errors(path, "lock"):
            if not _take(descriptor):
                raise RunError(f"{path.parent} is in use by {_name(path)}; wait until it ends, or give another folder (--out)")
            if not _is_there(path, descriptor):
                raise RunError(f"{path.parent} was in use by a run that has just been taken back; give the command again")
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode(), 0)
        yield
    finally:
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
    except BlockingIOError:
        return _name(path)
    except OSError:
        return None
    return None


def _name(path: Path) -> str:
    try:
        facts = json.loads(path.read_bytes())
        return f"process {facts['pid']} on {facts['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
