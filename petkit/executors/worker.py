"""The other side of ``petkit.executors.pool``: a process that carries out one unit after the other until its driver is gone.

What it says to the driver, each pickled: ``("progress", done, total, facts)``, ``("finished",)``, or ``("failed", ...)`` as ``failure``
makes it.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import sys
import threading
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from petkit.errors import UserError
from petkit.units import perform

__all__ = ["failure", "main", "raised"]

POLL_SECONDS = 1.0
"""How often a worker looks whether its parent is still there. That is the second line: a closed connection ends it at once."""


class WorkerTraceback(Exception):
    """Where in the worker it was raised: the text of the traceback, as the cause of the exception that the driver raises."""

    def __str__(self) -> str:
        return f"in another process:\n\n{self.args[0]}"


def main(descriptor: int) -> None:
    """Carry out what comes through the connection with this descriptor. Does not return before the driver closes it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes of a terminal; the driver decides
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    os.set_inheritable(descriptor, False)
    threading.Thread(target=_end_with_the_driver, args=(descriptor, os.getppid()), daemon=True).start()
    connection = Connection(descriptor)
    while True:
        try:
            task = connection.recv_bytes()
        except (EOFError, ConnectionError):
            os._exit(0)
        connection.send_bytes(_carry_out(task, connection))


def _end_with_the_driver(descriptor: int, parent: int) -> None:
    """End this process, in whatever it is, when the other end of the connection is closed: by the driver, or by its death.

    The parent's number is looked at too, since a process that the driver forked may keep the other end open.
    """
    hang_ups = select.poll()
    hang_ups.register(descriptor, 0)
    while not hang_ups.poll(POLL_SECONDS * 1000) and os.getppid() == parent:
        pass
    os._exit(1)


def _carry_out(task: bytes, connection: Connection) -> bytes:
    def progress(done: int, total: int | None = None, **facts: Any) -> None:
        connection.send_bytes(pickle.dumps(("progress", done, total, facts)))

    try:
        unit, root, key, folder = pickle.loads(task)
        os.chdir(folder)
        perform(unit, root=root, key=key, progress=progress)
    except BaseException as error:  # the driver raises it: KeyboardInterrupt by hand and SystemExit included
        return failure(error)
    finally:
        sys.stdout.flush()  # the driver ends this process without asking
    return pickle.dumps(("finished",))


def failure(error: BaseException) -> bytes:
    """The message that a unit raised ``error``: ("failed", pickled or None, whether it is a UserError, its words, its traceback)."""
    words = "".join(traceback.format_exception_only(error)).strip()
    trace = "".join(traceback.format_exception(error))
    facts = (isinstance(error, UserError), str(error) if isinstance(error, UserError) else words, trace)
    try:
        pickled = pickle.dumps(error)
        pickle.loads(pickled)  # some can be written and not read
    except Exception:
        pickled = None
    return pickle.dumps(("failed", pickled, *facts))


def raised(pickled: bytes | None, users: bool, words: str, trace: str) -> BaseException:
    """The exception of a ``failure``, its traceback as its cause; one of the same words if it cannot be carried over."""
    error: BaseException = UserError(words) if users else RuntimeError(words)
    if pickled is not None:
        with suppress(Exception):  # what it needs is perhaps not there in the driver
            error = pickle.loads(pickled)
    error.__cause__ = WorkerTraceback(trace)
    return error
