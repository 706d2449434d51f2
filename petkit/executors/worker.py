"""The other side of ``petkit.executors.pool``: a process that carries out one unit after the other until its driver is gone.

It is given ``{"unit", "root", "key", "folder"}`` and says ``{"kind": "progress", "done", "total", "facts"}``, ``{"kind": "finished"}``, or
``{"kind": "failed", ...}`` with what ``messages.described`` tells of the exception.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from petkit.executors.messages import Message, described, packed, unpacked
from petkit.memory import memory_explained
from petkit.units import Unit, perform

__all__ = ["main"]

POLL_SECONDS = 1.0
"""How often a worker looks whether its parent is still there. That is the second line: a closed connection ends it at once."""


def main(descriptor: int) -> None:
    """Carry out what comes through the connection with this descriptor. Does not return before the driver closes it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes of a terminal; the driver decides
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    os.set_inheritable(descriptor, False)
    threading.Thread(target=_end_with_the_driver, args=(descriptor, os.getppid()), daemon=True).start()
    connection = Connection(descriptor)
    while True:
        try:
            task = unpacked(connection.recv_bytes())
        except (EOFError, ConnectionError):
            os._exit(0)
        connection.send_bytes(packed(_carry_out(task, connection)))


def _end_with_the_driver(descriptor: int, parent: int) -> None:
    """End this process, in whatever it is, when the other end of the connection is closed: by the driver, or by its death.

    The parent's number is looked at too, since a process that the driver forked may keep the other end open.
    """
    hang_ups = select.poll()
    hang_ups.register(descriptor, 0)
    while not hang_ups.poll(POLL_SECONDS * 1000) and os.getppid() == parent:
        pass
    os._exit(1)


def _carry_out(task: Message, connection: Connection) -> Message:
    def progress(done: int, total: int | None = None, **facts: Any) -> None:
        connection.send_bytes(packed({"kind": "progress", "done": done, "total": total, "facts": facts}))

    try:
        os.chdir(task["folder"])
        unit = Unit(**{**task["unit"], "needs": tuple(task["unit"]["needs"])})
        with memory_explained(f"unit {unit.name}", unit.function):
            perform(unit, root=Path(task["root"]), key=task["key"], progress=progress)
    except BaseException as error:  # the driver raises it: KeyboardInterrupt by hand and SystemExit included
        return {"kind": "failed", **described(error)}
    finally:
        sys.stdout.flush()  # the driver ends this process without asking
    return {"kind": "finished"}
