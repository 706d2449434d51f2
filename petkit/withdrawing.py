"""Runs that are taken back: a mistake of the user's that ends one before anything was trained leaves the folder free."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from petkit.checkpoints import CHECKPOINT_FILE
from petkit.errors import RunError, UserError
from petkit.files import remove
from petkit.runs import LOCK, MANIFEST, PLAN, RunFolder

__all__ = ["withdrawn_if_refused"]


@contextmanager
def withdrawn_if_refused(run: RunFolder, *, prepares: Callable[[str], bool], also: tuple[str, ...] = ()) -> Iterator[None]:
    """Take a run back that a ``UserError`` ends before anything was trained: the corrected command needs an empty folder. A folder that
    the run has made goes too, unless something of others' is in it.

    Something was trained where a unit is finished that does more than prepare, or a checkpoint of one lies ready: then all stays. It stays
    too after a ``RunError``, which is about the folder itself.

    Args:
        prepares: whether a unit of this name only prepares. also: what the run may have put into the folder beside what every run has.
    """
    try:
        yield
    except UserError as error:
        if not isinstance(error, RunError) and not _trained(run, prepares):
            for name in ("stages", "work", *also, PLAN, MANIFEST):
                remove(run.root / name)
            _leave(run.root, made=run.made)
        raise


def _leave(root: Path, *, made: bool) -> None:
    """Without the lock, if nothing else is there; that the lock is gone is noticed by whoever waits for it (see ``locked``)."""
    if [path.name for path in root.iterdir()] == [LOCK]:
        remove(root / LOCK)
        with suppress(OSError):
            if made:
                root.rmdir()


def _trained(run: RunFolder, prepares: Callable[[str], bool]) -> bool:
    finished = (path.name for path in (run.root / "stages").glob("*"))
    return not all(prepares(name) for name in finished) or any((run.root / "work").glob(f"*/*/{CHECKPOINT_FILE}"))
