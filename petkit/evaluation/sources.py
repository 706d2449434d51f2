"""Which files a study reads: ``--data`` as a folder per task, and the splits that lie ready in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from petkit.choices import did_you_mean, not_there
from petkit.errors import DataError, raise_problems

__all__ = ["GivenSplit", "Sources", "find_sources"]

ENDINGS: Final = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
_WANTED: Final = ", ".join("train" + ending for ending in ENDINGS)


@dataclass(frozen=True)
class GivenSplit:
    """Labelled rows that lie ready, and development rows beside them if there are any."""

    name: str
    train: str
    development: str | None


@dataclass(frozen=True)
class Sources:
    """Where the rows of one task come from."""

    train: str
    test: str
    unlabeled: str | None
    given: tuple[GivenSplit, ...] = ()


def find_sources(names: Sequence[str], data: Sequence[str], *, given: str | None) -> list[Sources]:
    """The sources of every task, in order.

    Args:
        names: of the tasks. data: ``DIR`` (a task's folder, or the parent of folders called like the tasks) or ``NAME=DIR``.
        given: None to draw splits; ``given``: those of the one folder that holds some; ``given:FOLDER``: those of this one.

    Raises DataError that names everything that is missing.
    """
    folders, problems = _folders(names, data)
    found = []
    for name in names:
        if name in folders:
            try:
                found.append(_sources(folders[name], given))
            except DataError as error:
                problems.append(f"task {name!r}: {error}")
    raise_problems(DataError, "--data", problems)
    return found


def _folders(names: Sequence[str], data: Sequence[str]) -> tuple[dict[str, Path], list[str]]:
    """The folder of each task, and what is wrong."""
    named = {one.partition("=")[0]: Path(one.partition("=")[2]).expanduser() for one in data if "=" in one and not Path(one).exists()}
    plain = [Path(one).expanduser() for one in data if "=" not in one or Path(one).exists()]
    problems = [f"{name!r} is none of the tasks {', '.join(names)}{did_you_mean(name, names)}" for name in named if name not in names]
    problems += ["give one DIR, and NAME=DIR for the tasks that lie elsewhere"] if len(plain) > 1 else []
    folders: dict[str, Path] = {}
    for name in names:
        if name in named:
            if _file(named[name], "train") is not None:
                folders[name] = named[name]
            else:
                problems.append(f"no train file ({_WANTED}) in {named[name]}{not_there(named[name])}")
            continue
        options = [folder for parent in plain[:1] for folder in (parent / name, *([parent] if len(names) == 1 else []))]
        options = [folder for folder in options if _file(folder, "train") is not None]
        if options:
            folders[name] = options[0]
        else:
            problems.append(_nothing_for(name, plain[:1], alone=len(names) == 1))
    return folders, problems


def _nothing_for(name: str, parents: Sequence[Path], *, alone: bool) -> str:
    if not parents:
        return f"no folder for the task {name!r}; give {name}=DIR"
    parent = parents[0]
    inside = sorted(folder.name for folder in parent.iterdir() if _file(folder, "train") is not None) if parent.is_dir() else []
    there = f"; folders with a train file there: {', '.join(inside[:20])}" if inside else ""
    looked = f"{parent} and {parent / name}" if alone else f"{parent / name}"
    hint = did_you_mean(name, inside) or not_there(parent)
    return f"no train file ({_WANTED}) in {looked}{there}; or give {name}=DIR{hint}"


def _sources(folder: Path, given: str | None) -> Sources:
    test = _file(folder, "test")
    if test is None:
        raise DataError(f"{folder} has no test file")
    train = _file(folder, "train")
    return Sources(str(train), str(test), _file(folder, "unlabeled"), _given(folder, given) if given else ())


def _file(folder: Path, part: str) -> str | None:
    found = [folder / f"{part}{ending}" for ending in ENDINGS if (folder / f"{part}{ending}").is_file()]
    return str(found[0]) if found else None


def _given(folder: Path, given: str) -> tuple[GivenSplit, ...]:
    """Splits in ``FOLDER/NAME/train.*`` or ``FOLDER/train_NAME.*``."""
    wanted = given.partition(":")[2]
    holders = {inside.name: splits for inside in sorted(folder.iterdir()) if inside.is_dir() and (splits := _splits_in(inside))}
    if wanted in holders:
        return holders[wanted]
    if wanted or len(holders) != 1:
        there = f"folders with splits there: {', '.join(holders)}" if holders else "no folder there holds NAME/train or train_NAME files"
        hint = did_you_mean(wanted, holders)
        raise DataError(f"{folder}: --splits {given} finds no single folder of splits; {there}{hint}")
    return next(iter(holders.values()))


def _splits_in(folder: Path) -> tuple[GivenSplit, ...]:
    nested = {inside.name: (_file(inside, "train"), _file(inside, "dev")) for inside in folder.iterdir() if inside.is_dir()}
    flat = {path.stem.removeprefix("train_"): path for path in folder.glob("train_*.*") if path.suffix in ENDINGS}
    nested |= {name: (str(path), _file(folder, f"dev_{name}")) for name, path in flat.items() if re.fullmatch(r"\w+", name)}
    names = sorted((name for name, (train, _) in nested.items() if train), key=_by_number)
    return tuple(GivenSplit(f"{folder.name}/{name}", str(nested[name][0]), nested[name][1]) for name in names)


def _by_number(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdecimal() else (1 << 60, name)
