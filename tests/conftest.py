"""What every test starts from: one thread, no network, and real rows only where they are at hand."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Before anything imports torch or a tokenizer: these are read at import.
os.environ.update(
    OMP_NUM_THREADS="1",
    MKL_NUM_THREADS="1",
    TOKENIZERS_PARALLELISM="false",
    HF_HUB_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    HF_HUB_DISABLE_PROGRESS_BARS="1",
)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real rows: $PETKIT_DATA, or shared/data beside the checkout. Skips the test where there is none."""
    folder = Path(os.environ.get("PETKIT_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no rows at {folder}; set PETKIT_DATA to a folder that has them")
    return folder


def _is_local(family: int, address: Any) -> bool:
    if family not in (socket.AF_INET, socket.AF_INET6):
        return True
    return str(address[0]) in ("localhost", "::1", "") or str(address[0]).startswith("127.")


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk() -> Iterator[None]:
    """Nothing is synced: that is for power cuts, which no test makes, and takes longer than all else that a tiny run does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_network() -> Iterator[None]:
    """Connections to another machine fail the test, as an exception that `except Exception` does not catch."""

    def refuse(target: object) -> None:
        pytest.fail(f"a test reached for the network: {target}")

    class Guarded(socket.socket):
        def connect(self, address: Any) -> None:
            if not _is_local(self.family, address):
                refuse(address)
            super().connect(address)

        def connect_ex(self, address: Any) -> int:
            if not _is_local(self.family, address):
                refuse(address)
            return super().connect_ex(address)

    def lookup(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host is not None and not _is_local(socket.AF_INET, (host.decode() if isinstance(host, bytes) else host,)):
            refuse(host)
        return found(host, *args, **kwargs)

    found = socket.getaddrinfo
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "socket", Guarded)
        patch.setattr(socket, "getaddrinfo", lookup)
        yield
