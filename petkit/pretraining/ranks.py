"""Several processes on one model: who this one is under torchrun or accelerate, what rank 0 tells, how all end where one fails."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from petkit.errors import SettingsError, UserError
from petkit.memory import memory_explained

__all__ = [
    "Dismissed",
    "Ranks",
    "awaited",
    "first_says_why",
    "in_turn",
    "joined",
    "leading",
    "means_of_all",
    "ranks",
    "summon",
    "tell",
    "together",
]

T = TypeVar("T")

_PATIENCE = timedelta(days=1)  # the others wait while rank 0 reads the text


class Dismissed(UserError):
    """Another process has failed, and rank 0 says why: this one ends without a word of its own.

    Attributes:
        code: the exit code of rank 0: 2 after a mistake of the user's, else 1.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Ranks:
    """This process's number and how many there are."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether it is the one that writes and reports."""
        return self.rank == 0


def ranks() -> Ranks:
    """Of the group that this process has joined; of one alone if there is none."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return Ranks()
    return Ranks(distributed.get_rank(), distributed.get_world_size())


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Join the group that a launcher (torchrun, accelerate) has set up in the environment; each rank's ``cuda`` is a GPU of its own.

    Without a launcher, and where a group is joined already, nothing is done. Raises SettingsError where the group cannot be joined.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size <= 1 or distributed.is_initialized():
        yield ranks()
        return
    if device.startswith("cuda"):
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    try:
        distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=_PATIENCE)
    except (ValueError, RuntimeError) as error:
        raise SettingsError(f"the {size} processes of the launcher do not find each other: {str(error).splitlines()[0]}") from error
    try:
        yield ranks()
    finally:
        distributed.destroy_process_group()


def tell(value: Any = None) -> Any:
    """What rank 0 gives, on every rank; all have to call it. Alone it is the value itself."""
    if ranks().size == 1:
        return value
    held = [value]
    distributed.broadcast_object_list(held, src=0)
    return held[0]


def together(work: Callable[[], T]) -> T:
    """What ``work`` returns, on every rank; all have to call it, and ``work`` must not wait for other ranks.

    Where it raises on some rank, all ranks end: rank 0 with its own error, or that of the first that has one, the others with
    ``Dismissed``. So nobody waits for a process that is gone. Where there are several, exhausted memory is explained here, so that all
    have the same exit code.
    """
    here = ranks()
    if here.size == 1:
        return work()
    found: Any = None
    error: Exception | None = None
    try:
        with memory_explained("pretraining", __name__):
            found = work()
    except Exception as raised:
        error = raised
    failures: list[tuple[str, int] | None] = [None] * here.size
    distributed.all_gather_object(failures, None if error is None else _failure(error))
    for rank, failure in enumerate(failures):
        if failure is None:
            continue
        if not here.first:
            raise Dismissed(*failure) from error
        raise error if error is not None else _of_another(rank, failure)
    return found  # type: ignore[no-any-return]


def in_turn(work: Callable[[], T]) -> T:
    """As ``together``, rank 0 first: the others find the files that it has made."""
    first = ranks().first
    found = together(lambda: work() if first else None)
    return together(lambda: found if found is not None else work())


@contextmanager
def first_says_why() -> Iterator[None]:
    """For mistakes that all ranks meet at once: rank 0 raises its own, the others ``Dismissed``."""
    try:
        yield
    except UserError as error:
        if ranks().first:
            raise
        raise Dismissed(*_failure(error)) from error


def means_of_all(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Scalars by name, float32 and without gradients: their means over all ranks, which all have to call it with the same names."""
    held = torch.stack([value.detach().float() for value in values.values()])
    distributed.all_reduce(held)
    return dict(zip(values, (held / ranks().size).unbind(), strict=True))


def _failure(error: Exception) -> tuple[str, int]:
    """What other ranks are told: the message, and the exit code that the command line gives it."""
    return (str(error), 2) if isinstance(error, UserError) else (f"{type(error).__name__}: {error}", 1)


def _of_another(rank: int, failure: tuple[str, int]) -> Exception:
    message, code = failure
    return UserError(f"process {rank}: {message}") if code == 2 else RuntimeError(f"process {rank} failed: {message}")


# What rank 0 does alone before the others have something to do


_waiting: ContextVar[bool] = ContextVar("waiting", default=False)
"""Whether the other ranks wait in ``awaited`` for what rank 0 says: inside ``leading``, until ``summon``, which units call deep below."""


@contextmanager
def leading() -> Iterator[None]:
    """On rank 0, while the others are in ``awaited``: an error before ``summon`` dismisses them."""
    before = _waiting.set(True)
    try:
        yield
    except Exception as error:
        if _waiting.get():
            tell({"failure": _failure(error)})
        raise
    finally:
        _waiting.reset(before)


def summon(work: Any) -> None:
    """Tell the others what to do; None for nothing."""
    _waiting.set(False)
    tell({"work": work})


def awaited() -> Any:
    """What rank 0 summons this one to. Raises Dismissed where it failed before."""
    told = tell()
    if "failure" in told:
        raise Dismissed(*told["failure"])
    return told["work"]
