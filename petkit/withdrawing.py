"""Runs that are taken back: a mistake of the user's that ends one before anything was trained leaves the folder free."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from petkit.checkpoints import CHECKPOINT_FILE
from petkit.errors import RunError, UserError
from petkit.files import remove
from petkit.runs import MANIFEST, PLAN, RunFolder

__all__ = ["withdrawn_if_refused"]


@contextmanager
def withdrawn_if_refused(run: RunFolder, *, prepares: Callable[[str], bool], also: tuple[str, ...] = ()) -> Iterator[None]:
    """Take a run back that a ``UserError`` ends before anything was trained: the corrected command needs an empty folder.

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
        raise


def _trained(run: RunFolder, prepares: Callable[[str], bool]) -> bool:
    finished = (path.name for path in (run.root / "stages").glob("*"))
    return not all(prepares(name) for name in finished) or any((run.root / "work").glob(f"*/*/{CHECKPOINT_FILE}"))
