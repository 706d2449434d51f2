"""Processes that carry out units: started when needed, one unit at a time, listened to, replaced, stopped.

They are started as ``python -c``, not by ``multiprocessing``, which imports the user's script again in every process: here a script
needs no ``if __name__ == "__main__"``, since workers import the modules that units name and nothing else.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait

from petkit.canonical import plain
from petkit.errors import RunError, SettingsError
from petkit.executors.messages import Message, packed, unpacked
from petkit.runs import RunFolder
from petkit.units import Unit

__all__ = ["Pool", "Worker"]

BOOT = "import sys; sys.path[:] = sys.argv[2:]; from petkit.executors.worker import main; main(int(sys.argv[1]))"
GRACE = 1.0
"""Seconds between two looks at whether silent workers live. The end of one shows at once, unless a process that it forked goes on."""


@dataclass(eq=False)
class Worker:
    """A place in the pool: the process that has it now, if any, and the unit it is at, if any."""

    device: str | None
    unit: Unit | None = None
    process: subprocess.Popen[bytes] | None = None
    connection: Connection | None = None

    def give(self, unit: Unit, run: RunFolder, key: str) -> None:
        """Have the unit carried out; starts a process if there is none that lives. A death shows when the worker is listened to."""
        if self.process is None or self.process.poll() is not None:
            self.stop()
            self.process, self.connection = _start(self.device)
        self.unit = unit
        task = packed({"unit": plain(vars(unit)), "root": str(run.root), "key": key, "folder": os.getcwd()})
        with suppress(OSError):  # it has just died
            self._connected().send_bytes(task)

    def hear(self) -> Message | None:
        """The next message; None if the process is dead, or closed the connection."""
        try:
            return unpacked(self._connected().recv_bytes())
        except (EOFError, OSError):
            return None

    def silent_and_dead(self) -> bool:
        """Whether the process is at its end and has left nothing to hear."""
        return self.process is not None and self.process.poll() is not None and not self._connected().poll()

    def stop(self) -> int | None:
        """End the process if it lives, at whatever it is; its exit status, negative for a signal. Frees the place."""
        process, connection = self.process, self.connection
        self.unit = self.process = self.connection = None
        if connection is not None:
            connection.close()
        if process is None:
            return None
        process.kill()
        return process.wait()

    def died(self) -> str:
        """Why the process, which was heard no more, is gone: in words that follow "its process". Frees the place."""
        with suppress(subprocess.TimeoutExpired):
            if self.process is not None:
                self.process.wait(GRACE)
        return _how_it_ended(self.stop())

    def _connected(self) -> Connection:
        if self.connection is None:
            raise ValueError("this worker has no process")
        return self.connection


@dataclass
class Pool:
    """Places for ``size`` processes, in turn on ``devices``. Not started before there is something to do."""

    size: int
    devices: Sequence[str] = ()
    workers: list[Worker] = field(init=False)

    def __post_init__(self) -> None:
        places = [self.devices[index % len(self.devices)] if self.devices else None for index in range(self.size)]
        self.workers = [Worker(device) for device in places]

    def idle(self) -> Worker | None:
        """A worker without a unit, one that is started already first; None if there is none."""
        free = [worker for worker in self.workers if worker.unit is None]
        return min(free, key=lambda worker: worker.process is None, default=None)

    def busy(self) -> list[Worker]:
        """The workers that have a unit."""
        return [worker for worker in self.workers if worker.unit is not None]

    def listen(self) -> Iterator[tuple[Worker, Message | None]]:
        """Wait for busy workers; yield each that has something to say with its message, or with None if it is dead."""
        speaking = {worker.connection: worker for worker in self.busy() if worker.connection is not None}
        heard = [speaking[connection] for connection in wait(list(speaking), timeout=GRACE)]  # type: ignore[index]
        silent = [worker for worker in speaking.values() if worker not in heard and worker.silent_and_dead()]
        yield from ((worker, worker.hear()) for worker in heard)
        yield from ((worker, None) for worker in silent)

    def stop(self, *, idle_too: bool) -> bool:
        """End the processes: those at work, or all. Whether one was at work."""
        busy = self.busy()
        for worker in self.workers if idle_too else busy:
            worker.stop()
        return bool(busy)


def _start(device: str | None) -> tuple[subprocess.Popen[bytes], Connection]:
    """A new process and the driver's end of its connection.

    Ctrl-C is blocked meanwhile, here so that no process is lost, and there until it can be ignored: the mask is inherited.
    """
    if not sys.executable:
        raise RunError("cannot start other processes: this interpreter does not know its own path; use one process")
    ours, theirs = Pipe()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with theirs:
            command = [sys.executable, "-c", BOOT, str(theirs.fileno()), *map(str, sys.path)]
            # standard output is kept for results: whatever a library prints there goes to standard error
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=2, pass_fds=[theirs.fileno()], env=os.environ | visible(device)
            )
    except OSError as error:
        ours.close()
        raise RunError(f"cannot start another process: {error}; use fewer workers") from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return process, ours


def visible(device: str | None) -> dict[str, str]:
    """The environment in which ``cuda`` means ``device`` ("cuda:1") of this process, and no other GPU is seen.

    Raises SettingsError if this process is kept from seeing that GPU.
    """
    if device is None:
        return {}
    number = int(device.removeprefix("cuda:"))
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if seen is None:
        return {"CUDA_VISIBLE_DEVICES": str(number)}
    names = [name.strip() for name in seen.split(",") if name.strip()]
    if number >= len(names):
        raise SettingsError(f"device {device!r} is not there: CUDA_VISIBLE_DEVICES is {seen!r}; legal are cuda:0 to cuda:{len(names) - 1}")
    return {"CUDA_VISIBLE_DEVICES": names[number]}


def _how_it_ended(status: int | None) -> str:
    """An exit status in words.

    >>> _how_it_ended(-9), _how_it_ended(3)
    ('was ended by SIGKILL', 'ended with exit status 3')
    """
    if status is not None and status < 0:
        known = {item.value: item.name for item in signal.Signals}
        return f"was ended by {known.get(-status, f'signal {-status}')}"
    return f"ended with exit status {status}"
