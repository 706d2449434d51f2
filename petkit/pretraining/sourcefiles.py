"""The files that a source of raw text stands for: which they are, and that each of them can be read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from petkit.choices import not_there
from petkit.errors import DataError, raise_problems
from petkit.wording import shortened

__all__ = ["BUILTIN", "HUB", "ending", "saved", "source_files"]

BUILTIN: Final = "builtin:docs"
HUB: Final = "hub:"
_ENDINGS: Final = (".txt", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
"""Of the files for which a folder stands, all but parquet also with ``.gz``."""


def source_files(source: str) -> list[Path]:
    """The files that a source is read from, sorted; none for text that is not in files of the user's.

    Raises DataError if there is no such file, or none in a folder that can be read, naming those entries of a folder that cannot, and for
    standard input, which cannot be read twice.
    """
    path = Path(source)
    if source == "-":
        raise DataError("standard input can be read once only, and the text is read several times; save it to a file")
    if source == BUILTIN or source.startswith(HUB):
        return []
    if not os.path.exists(path):  # Path.exists raises on names that are too long
        raise DataError(f"{source}: no such file or folder{not_there(source)}")
    if not path.is_dir():
        if (why := _trouble(path)) is not None:
            raise DataError(f"{source}: {why}; give a file that can be read several times")
        return [path]
    found, closed = _walk(path)
    files = found if saved(path) else [file for file in found if ending(file) in _ENDINGS]
    _refuse_unreadable(source, files, closed)
    if not files:
        raise DataError(f"{source}: the folder holds no text; files that end in {', '.join(_ENDINGS)} are read")
    return files


def ending(path: Path) -> str:
    """The file's format, ``.txt`` for ``a.txt.gz``."""
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix == ".gz" else suffix


def saved(path: Path) -> bool:
    """Whether this is a folder that ``datasets`` saved."""
    return any((path / name).is_file() for name in ("state.json", "dataset_dict.json"))


def _walk(folder: Path) -> tuple[list[Path], list[str]]:
    """Files at any depth, in the order of their paths, without hidden ones, and the folders that cannot be listed. Links to folders are
    not followed."""
    found: list[Path] = []
    closed: list[str] = []
    for current, folders, names in os.walk(folder, onerror=lambda error: closed.append(f"{error.filename}: {error.strerror or error}")):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(current, name) for name in names if not name.startswith(".")]
    return sorted(found, key=lambda path: path.relative_to(folder).parts), closed


def _refuse_unreadable(source: str, files: list[Path], closed: list[str]) -> None:
    problems = [*closed, *(f"{file}: {why}" for file in files if (why := _trouble(file)) is not None)]
    raise_problems(DataError, f"{source}: not all of the folder can be read", shortened(problems, most=10))


def _trouble(file: Path) -> str | None:
    """Why a file cannot be read several times, if it cannot."""
    if not os.path.exists(file):
        return "a link to a file that is not there"
    if not os.path.isfile(file):
        return "no regular file"
    return None if os.access(file, os.R_OK) else "no permission to read it"
