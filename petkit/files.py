"""Writing: every file that petkit leaves on disk appears whole or not at all.

A file is written under a temporary name beside its final one, synced, renamed, and the folder is synced. A folder of several
files is made the same way, as one. Nothing else in the library opens a file for writing.

Every point at which a kill or a full disk would leave another picture on disk passes through ``checkpoint_hook``, so that
tests can stop a run at each of them.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from petkit.canonical import hash_json, plain
from petkit.errors import RunError

if TYPE_CHECKING:  # `petkit status` should answer without loading torch or pyarrow
    import pyarrow
    import torch

__all__ = [
    "DamagedFileError",
    "checkpoint_hook",
    "digest",
    "digest_files",
    "discard",
    "discard_leftovers",
    "full_disk",
    "make_directory",
    "naming_errors",
    "observers",
    "open_atomic",
    "read_json_checked",
    "read_tensors_checked",
    "remove",
    "staged_directory",
    "write_bytes",
    "write_json",
    "write_parquet",
    "write_tensors",
    "write_text",
]

TEMPORARY = ".tmp-"
"""How the name of everything unfinished begins."""

observers: list[Callable[[str], None]] = []
"""Called with the name of each write point. Empty except in tests."""


class DamagedFileError(RunError):
    """A file of a run that is cut off or not what its name says."""


def checkpoint_hook(name: str) -> None:
    """Tell the observers that the write point ``name`` is reached; what they raise passes through."""
    for observer in tuple(observers):
        observer(name)


# What goes wrong


_NO_ROOM: Final = {
    errno.ENOSPC: "no space left on the disk of {}; free some and run the same command again",
    errno.EDQUOT: "your quota on the disk of {} is used up; free some space and run the same command again",
    errno.EFBIG: "a file is larger than allowed in {} (ulimit -f, or the file system); raise the limit and run the same command again",
}


def _no_room(error: Exception) -> str | None:
    """What to tell where the disk, the quota or the limit of a file is used up. Libraries in Rust say so in words only: "(os error 28)"."""
    for code, message in _NO_ROOM.items():
        if (isinstance(error, OSError) and error.errno == code) or f"(os error {code})" in str(error):
            return message
    return None


@contextmanager
def full_disk(path: Path) -> Iterator[None]:
    """Turn a full disk, quota or file into a ``RunError`` that says what to do; let every other exception pass."""
    try:
        yield
    except Exception as error:
        message = _no_room(error)
        if message is None:
            raise
        there = next(folder for folder in path.parents if not folder.name.startswith(TEMPORARY))
        raise RunError(message.format(there)) from error


@contextmanager
def naming_errors(path: Path, action: str = "write") -> Iterator[None]:
    """Turn every ``OSError`` into a ``RunError`` that names ``path``."""
    try:
        with full_disk(path):
            yield
    except OSError as error:
        raise RunError(f"cannot {action} {path}: {error.strerror or error}") from error


# One file


def sync(path: Path) -> None:
    """Have the system write a file's content, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that cannot sync a folder
            raise
    finally:
        os.close(descriptor)


def discard(path: Path) -> None:
    """Remove a file, link or folder if it is there. What cannot be removed stays, to be tried again when the run is next opened."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """``discard`` as a write point: for what is no longer needed, rather than for what went wrong."""
    with naming_errors(path, "remove"):
        checkpoint_hook(f"remove {path.name}")
        discard(path)


def _temporary_beside(final: Path) -> Path:
    return final.with_name(f"{TEMPORARY}{final.name[:40]}-{uuid.uuid4().hex[:12]}")


def _rename(temporary: Path, final: Path) -> None:
    checkpoint_hook(f"rename {final.name}")
    os.replace(temporary, final)
    checkpoint_hook(f"renamed {final.name}")
    sync(final.parent)


def _target(path: str | Path) -> Path:
    """The file to replace: behind links, and never a device or a pipe."""
    final = Path(os.path.realpath(path))
    with naming_errors(final):
        if final.exists() and not final.is_file():
            raise RunError(f"cannot write {path}: it is {'a folder' if final.is_dir() else 'not a regular file'}")
    return final


@contextmanager
def open_atomic(path: str | Path) -> Iterator[BinaryIO]:
    """A binary file to write to, which takes the name ``path`` when the block ends and vanishes if the block raises.

    Raises:
        RunError: the folder is missing or not writable, ``path`` is a folder or a device, or the disk is full.
    """
    final = _target(path)
    temporary = _temporary_beside(final)
    try:
        with naming_errors(final):
            checkpoint_hook(f"write {final.name}")
            handle = temporary.open("xb")
        with full_disk(final), handle:
            yield handle
        with naming_errors(final):
            sync(temporary)
            _rename(temporary, final)
    except BaseException:
        discard(temporary)
        raise


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write ``content``; raises as ``open_atomic`` does, and so do all the writers below."""
    with open_atomic(path) as handle:
        handle.write(content)


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` as UTF-8, line ends as they are. Lone surrogates, which UTF-8 lacks, become ``\\udXXX``: legal in JSON."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: str | Path, value: object) -> None:
    """Write ``plain(value)`` as indented JSON with sorted keys."""
    write_text(path, json.dumps(plain(value), sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_parquet(path: str | Path, table: pyarrow.Table | Mapping[str, Any]) -> None:
    """Write an Arrow table, or columns by name (lists or 1-D arrays of equal length), as parquet."""
    import pyarrow
    import pyarrow.parquet

    table = table if isinstance(table, pyarrow.Table) else pyarrow.table(dict(table))
    with open_atomic(path) as handle:
        pyarrow.parquet.write_table(table, handle)


def write_tensors(path: str | Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write tensors of any shape, dtype and device as safetensors. Tied tensors are written once for each name."""
    from safetensors.torch import save

    write_bytes(path, save(_unshared(tensors)))


def _unshared(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors on the CPU, contiguous, no two in one storage: safetensors refuses those."""
    seen: set[int] = set()
    result = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        storage = tensor.untyped_storage().data_ptr()
        result[name] = tensor.clone() if storage in seen else tensor
        seen.add(storage)
    return result


# A folder


def make_directory(path: Path) -> None:
    """Make a folder and those above it, unless they are there."""
    with naming_errors(path, "make the folder"):
        checkpoint_hook(f"make {path.name}")
        path.mkdir(parents=True, exist_ok=True)
        sync(path.parent)


@contextmanager
def staged_directory(path: str | Path) -> Iterator[Path]:
    """A new folder to fill, which takes the name ``path`` whole when the block ends and vanishes if the block raises.

    A folder that has the name already is replaced: moved aside for the instant of the change, then removed.
    """
    final = Path(path)
    staging = _temporary_beside(final)
    try:
        with naming_errors(final):
            checkpoint_hook(f"stage {final.name}")
            staging.mkdir()
        with full_disk(final):
            yield staging
        with naming_errors(final):
            _sync_tree(staging)
            _replace_directory(staging, final)
    except BaseException:
        discard(staging)
        raise


def _sync_tree(folder: Path) -> None:
    for current, _, names in os.walk(folder):
        for name in names:
            sync(Path(current, name))
        sync(Path(current))


def _replace_directory(staging: Path, final: Path) -> None:
    aside = _temporary_beside(final)
    checkpoint_hook(f"aside {final.name}")
    if final.exists():
        os.replace(final, aside)
    try:
        _rename(staging, final)
    finally:
        if aside.exists() and not final.exists():
            os.replace(aside, final)
        discard(aside)


def discard_leftovers(folder: Path) -> None:
    """Remove what killed processes left unfinished in ``folder`` and below. Links are not followed."""
    for current, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            if name.startswith(TEMPORARY):
                discard(Path(current, name))


# Reading back


def read_json_checked(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        DamagedFileError: the file is missing, cut off, or holds something else.
    """
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DamagedFileError(f"{path} is damaged: {error}") from error
    if not isinstance(value, dict):
        raise DamagedFileError(f"{path} is damaged: it holds {type(value).__name__}, not a JSON object")
    return value


def read_tensors_checked(path: Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file to the CPU.

    Raises:
        DamagedFileError: the file is missing, empty, cut off, or something else. Values changed in place are not noticed.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise DamagedFileError(f"{path} is damaged: {error}") from error


def digest(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes, or of the names and bytes of all files in a folder."""
    if path.is_dir():
        return hash_json(digest_files(path))
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def digest_files(folder: Path) -> dict[str, str]:
    """SHA-256 (hex) of every file in a folder and below, by relative name with forward slashes."""
    return {path.relative_to(folder).as_posix(): digest(path) for path in sorted(folder.rglob("*")) if path.is_file()}
