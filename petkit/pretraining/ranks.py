"""Several processes on one model: who this one is under torchrun or accelerate, and what rank 0 tells the others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import distributed

from petkit.errors import SettingsError

__all__ = ["Ranks", "barrier", "joined", "ranks", "tell"]

_PATIENCE = timedelta(days=1)  # the others wait while rank 0 reads the text


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


def barrier() -> None:
    """Wait until every rank is here."""
    if ranks().size > 1:
        distributed.barrier()
