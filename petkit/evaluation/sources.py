"""Which files a study reads: ``--data`` as a folder per task, and the splits that lie ready in it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from petkit.choices import did_you_mean, nearest, not_there
from petkit.errors import DataError, raise_problems
from petkit.wording import verb

__all__ = ["GivenSplit", "Sources", "find_sources", "source_notices"]

_TABLES: Final = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")
_LABELED: Final = (*_TABLES, *(f"{ending}.gz" for ending in _TABLES), ".parquet")
_PARTS: Final = ("train", "test", "unlabeled")
_RAW: Final = (".txt", ".txt.gz")
"""One text per line: there is no place for a label."""


@dataclass(frozen=True)
class GivenSplit:
    """Labelled rows that lie ready, and development rows beside them if there are any."""

    name: str
    train: str
    development: str | None


@dataclass(frozen=True)
class Sources:
    """Where the rows of one task come from. unlabeled: None where no file holds the pool. unread: told to the user."""

    train: str
    test: str
    unlabeled: str | None
    given: tuple[GivenSplit, ...] = ()
    unread: tuple[str, ...] = ()


def find_sources(
    names: Sequence[str], data: Sequence[str], *, given: str | None, unlabeled: str | None = None, test: str | None = None
) -> list[Sources]:
    """The sources of every task, in order.

    Args:
        names: of the tasks. data: ``DIR`` (a task's folder, or the parent of folders called like the tasks) or ``NAME=DIR``.
        given: None to draw splits; ``given``: those of the one folder that holds some; ``given:FOLDER``: those of this one.
        unlabeled, test: files in the place of those in the folders, which are then not looked for.

    Raises DataError that names everything that is missing.
    """
    folders, problems = _folders(names, data)
    found = []
    for name in (name for name in names if name in folders):
        wrong: list[str] = []
        found.append(_sources(folders[name], given, unlabeled, test, wrong))
        problems += [f"task {name!r}: {problem}" for problem in wrong]
    raise_problems(DataError, "--data", problems)
    return found


def source_notices(name: str, sources: Sources, *, pool: str) -> list[str]:
    """What the user should know of a task's files; ``pool``: where its raw rows come from."""
    notices = [_not_read(sources.unread)] if sources.unread else []
    train = Path(sources.train)
    if pool == sources.train and sources.unlabeled is None:
        there = {path.name.partition(".")[0]: path.name for path in _entries(train.parent)}
        near = nearest("unlabeled", there, most=1, alike=0.8)
        other = f" ({there[near[0]]} there is not read)" if near else ""
        notices.append(f"no unlabeled file in {train.parent}{other}, so the pool is {train.name} without its labels; see --unlabeled")
    elif sources.unlabeled is not None and pool != sources.unlabeled:
        notices.append(f"{sources.unlabeled} is not used: the pool comes from the test (--pool-from-test)")
    return [f"task {name!r}: {notice}" for notice in notices]


def _folders(names: Sequence[str], data: Sequence[str]) -> tuple[dict[str, Path], list[str]]:
    """The folder of each task, and what is wrong."""
    named = {one.partition("=")[0]: Path(one.partition("=")[2]).expanduser() for one in data if "=" in one and not Path(one).exists()}
    plain = [Path(one).expanduser() for one in data if "=" not in one or Path(one).exists()]
    problems = [f"{name!r} is none of the tasks {', '.join(names)}{did_you_mean(name, names)}" for name in named if name not in names]
    problems += ["give one DIR, and NAME=DIR for the tasks that lie elsewhere"] if len(plain) > 1 else []
    folders: dict[str, Path] = {}
    for name in names:
        if name in named:
            if _called(named[name], "train")[0]:
                folders[name] = named[name]
            else:
                problems.append(f"{_no_train([named[name]])}{not_there(named[name])}")
            continue
        options = [folder for parent in plain[:1] for folder in (parent / name, *([parent] if len(names) == 1 else []))]
        options = [folder for folder in options if _called(folder, "train")[0]]
        if options:
            folders[name] = options[0]
        else:
            problems.append(_nothing_for(name, plain[:1], alone=len(names) == 1))
    return folders, problems


def _nothing_for(name: str, parents: Sequence[Path], *, alone: bool) -> str:
    if not parents:
        return f"no folder for the task {name!r}; give {name}=DIR"
    parent = parents[0]
    inside = [folder.name for folder in _entries(parent) if _called(folder, "train")[0]]
    there = f"; folders with a train file there: {', '.join(inside[:20])}" if inside else ""
    looked = [parent, parent / name] if alone else [parent / name]
    hint = did_you_mean(name, inside) or not_there(parent)
    return f"{_no_train(looked)}{there}; or give {name}=DIR{hint}"


def _no_train(folders: Sequence[Path]) -> str:
    """That none of the folders has a training file, and what is called so but cannot be one."""
    unread = [str(path) for folder in folders for path in _called(folder, "train")[1]]
    return f"no train file ({_names('train')}) in {' and '.join(map(str, folders))}" + (f"; {_not_read(unread)}" if unread else "")


def _sources(folder: Path, given: str | None, unlabeled: str | None, test: str | None, problems: list[str]) -> Sources:
    """The files of one task; what is wrong with them goes to ``problems``."""
    elsewhere = {"train": None, "test": test, "unlabeled": unlabeled}
    files = {part: elsewhere[part] or _file(folder, part, problems) for part in _PARTS}
    unread = [str(path) for part in _PARTS if not elsewhere[part] for path in _called(folder, part)[1]]
    splits = _given(folder, given, problems) if given else ()
    return Sources(str(files["train"]), str(files["test"]), files["unlabeled"], splits, tuple(unread))


def _file(folder: Path, part: str, problems: list[str]) -> str | None:
    """The one file (or folder that datasets wrote) that is called so. What is wrong with it goes to ``problems``."""
    read, unread = _called(folder, part)
    flag = f"; or name one by --{part}" if part in ("test", "unlabeled") else ""
    if len(read) > 1:
        problems.append(f"{folder} holds {' and '.join(path.name for path in read)}; one {part} file is legal: take the others away{flag}")
    elif not read and (unread or part == "test"):
        why = f"; {_not_read([path.name for path in unread])}" if unread else ""
        problems.append(f"{folder} has no {part} file ({_names(part)}){why}{flag}")
    return str(read[0]) if read else None


def _called(folder: Path, part: str) -> tuple[list[Path], list[Path]]:
    """What is called ``part`` or ``part.*`` in a folder: what can be read as that part, and what cannot."""
    named = [path for path in _entries(folder) if path.name.partition(".")[0] == part]
    read = [path for path in named if _is_read(path, part)]
    return read, [path for path in named if path not in read]


def _entries(folder: Path) -> list[Path]:
    """What is in a folder, in order; nothing of one that is none or cannot be looked into."""
    with contextlib.suppress(OSError):
        return sorted(folder.iterdir())
    return []


def _is_read(path: Path, part: str) -> bool:
    if path.is_dir():
        return (path / "state.json").is_file()  # datasets.save_to_disk wrote it
    ending = path.name.removeprefix(part).lower()
    return path.is_file() and (ending in _LABELED or (part == "unlabeled" and ending in _RAW))


def _names(part: str) -> str:
    """How a file of a part may be called.

    >>> _names("unlabeled")
    'unlabeled.jsonl, .ndjson, .json, .csv, .tsv or .txt, each also .gz, or .parquet'
    """
    texts = [*_TABLES, *_RAW[:1]] if part == "unlabeled" else _TABLES
    return f"{part}{', '.join(texts[:-1])} or {texts[-1]}, each also .gz, or .parquet"


def _not_read(files: Sequence[str]) -> str:
    """Which files are not read, and why where that may not be plain.

    >>> _not_read(["a/train.txt", "a/train.xlsx"])
    'a/train.txt and a/train.xlsx are not read (a .txt file has no labels)'
    """
    why = " (a .txt file has no labels)" if any(file.lower().endswith(_RAW) for file in files) else ""
    return f"{' and '.join(files)} {verb(len(files), 'are')} not read{why}"


def _given(folder: Path, given: str, problems: list[str]) -> tuple[GivenSplit, ...]:
    """Splits in ``FOLDER/NAME/train.*`` or ``FOLDER/train_NAME.*``."""
    wanted = given.partition(":")[2]
    holders = [inside for inside in _entries(folder) if inside.is_dir() and _splits_in(inside, [])]
    chosen = [inside for inside in holders if inside.name == wanted] if wanted else holders
    if len(chosen) == 1:
        return _splits_in(chosen[0], problems)
    names = [inside.name for inside in holders]
    there = f"folders with splits there: {', '.join(names)}" if names else "no folder there holds NAME/train or train_NAME files"
    problems.append(f"{folder}: --splits {given} finds no single folder of splits; {there}{did_you_mean(wanted, names)}")
    return ()


def _splits_in(folder: Path, problems: list[str]) -> tuple[GivenSplit, ...]:
    """The splits of a folder, in order; of files that stand in each other's way ``problems`` are told."""
    places = {inside.name: (inside, "train", "dev") for inside in _entries(folder) if inside.is_dir()}
    flat = {path.name.partition(".")[0].removeprefix("train_") for path in folder.glob("train_*.*")}
    places |= {name: (folder, f"train_{name}", f"dev_{name}") for name in flat if re.fullmatch(r"\w+", name)}
    found = []
    for name in sorted(places, key=_by_number):
        inside, *parts = places[name]
        train = _file(inside, parts[0], problems)
        if train is not None:
            found.append(GivenSplit(f"{folder.name}/{name}", train, _file(inside, parts[1], problems)))
    return tuple(found)


def _by_number(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdecimal() else (1 << 60, name)
