"""Locks end with the process that took them, whatever it has forked, and one who only looks at a lock turns nobody away."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from petkit import locks
from petkit.locks import holder, locked

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
FORKING = multiprocessing.get_context("fork")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".lock"


@contextmanager
def forked(work: Any, *given: Any) -> Iterator[BaseProcess]:
    """A forked process that does ``work(begun, ended, *given)``; the block starts when it has begun and tells it to end."""
    begun, ended = FORKING.Event(), FORKING.Event()
    child = FORKING.Process(target=work, args=(begun, ended, *given))
    child.start()
    try:
        assert begun.wait(30)
        yield child
    finally:
        ended.set()
        child.join(30)


def idle(begun: Any, ended: Any) -> None:
    begun.set()
    ended.wait(60)


def test_a_lock_ends_with_its_block_whatever_was_forked_meanwhile(path: Path) -> None:
    block = locked(path)
    block.__enter__()
    with forked(idle):
        assert holder(path) == f"process {os.getpid()} on {os.uname().nodename}"
        block.__exit__(None, None, None)
        assert holder(path) is None
        with locked(path):
            assert holder(path) is not None


def test_a_copy_of_the_open_lock_file_does_not_keep_the_lock(path: Path) -> None:
    """As a process has one that is being forked in the very moment."""
    with locked(path):
        (descriptor,) = locks._descriptors
        copy = os.dup(descriptor)
    try:
        assert holder(path) is None
    finally:
        os.close(copy)


def leave(begun: Any, ended: Any, block: AbstractContextManager[None]) -> None:
    block.__exit__(None, None, None)
    idle(begun, ended)


def test_a_forked_process_that_leaves_the_block_too_does_not_end_the_lock(path: Path) -> None:
    block = locked(path)
    block.__enter__()
    with forked(leave, block) as child:
        assert holder(path) is not None
    assert child.exitcode == 0
    assert holder(path) is not None
    block.__exit__(None, None, None)
    assert holder(path) is None


def hold_and_fork(begun: Any, ended: Any, path: Path) -> None:
    with locked(path):
        if os.fork() == 0:
            idle(begun, ended)
            os._exit(0)
        time.sleep(60)


def test_a_lock_ends_with_a_process_that_is_killed_though_one_that_it_forked_lives(path: Path) -> None:
    with forked(hold_and_fork, path) as child:
        assert child.pid is not None
        assert holder(path) == f"process {child.pid} on {os.uname().nodename}"
        os.kill(child.pid, signal.SIGKILL)
        child.join()  # with a limit it would wait for the forked one too
        assert holder(path) is None


def test_one_who_looks_for_an_instant_turns_nobody_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.touch()
    with path.open("rb") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        monkeypatch.setattr("petkit.locks.time.sleep", lambda seconds: fcntl.flock(looking, fcntl.LOCK_UN))
        with locked(path):
            assert holder(path) is not None
