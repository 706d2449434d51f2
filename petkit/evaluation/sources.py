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
from petkit.wording import NAMED_PLACES, shortened, verb

__all__ = ["GivenSplit", "Sources", "find_sources", "source_notices"]

_TABLES: Final = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")
_LABELED: Final = (*_TABLES, *(f"{ending}.gz" for ending in _TABLES), ".parquet")
_RAW: Final = (".txt", ".txt.gz")
"""One text per line: there is no place for a label."""

_SPLIT_NAME: Final = re.compile(r"\w+")
"""NAME of ``train_NAME``: ``train_1.old.csv`` is a copy rather than a further split."""


@dataclass(frozen=True)
class GivenSplit:
    """Labelled rows that lie ready, and development rows beside them if there are any."""

    name: str
    train: str
    development: str | None


@dataclass(frozen=True)
class Sources:
    """Where the rows of one task come from. unlabeled: None where no such file is read. unread: told to the user."""

    train: str
    test: str
    unlabeled: str | None
    given: tuple[GivenSplit, ...] = ()
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Wanted:
    """What is asked for of each task's folder, as ``find_sources`` describes it."""

    given: str | None
    unlabeled: str | None
    test: str | None
    pool_from_test: bool
    development: bool


@dataclass(frozen=True)
class _Held:
    """What a folder of splits holds: those that can be read, what is wrong with them, and what is called like one and is not read."""

    splits: tuple[GivenSplit, ...]
    problems: tuple[str, ...]
    unread: tuple[str, ...]


def find_sources(
    names: Sequence[str],
    data: Sequence[str],
    *,
    given: str | None,
    unlabeled: str | None = None,
    test: str | None = None,
    pool_from_test: bool = False,
    development: bool = True,
) -> list[Sources]:
    """The sources of every task, in order.

    Args:
        names: of the tasks. data: ``DIR`` (a task's folder, or the parent of folders called like the tasks) or ``NAME=DIR``.
        given: None to draw splits; ``given``: those of the one folder that holds some; ``given:FOLDER``: those of this one.
        unlabeled, test: files in the place of those in the folders, which are then not looked for.
        pool_from_test: no unlabeled file is looked for. development: whether dev files of given splits are.

    Raises DataError that names everything that is missing: train and test. Of what need not be there, files that are not read are
    told as ``Sources.unread``.
    """
    wanted = _Wanted(given, unlabeled, test, pool_from_test, development)
    folders, problems = _folders(names, data)
    found = []
    for name in (name for name in names if name in folders):
        wrong: list[str] = []
        found.append(_sources(folders[name], wanted, wrong))
        problems += [f"task {name!r}: {problem}" for problem in wrong]
    raise_problems(DataError, "--data", problems)
    return found


def source_notices(name: str, sources: Sources, *, pool: str) -> list[str]:
    """What the user should know of a task's files; ``pool``: where its raw rows come from."""
    notices = [_not_read(sources.unread)] if sources.unread else []
    train = Path(sources.train)
    if pool == sources.train and sources.unlabeled is None:
        there = {path.name.partition(".")[0]: path.name for path in _entries(train.parent) if str(path) not in sources.unread}
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


def _sources(folder: Path, wanted: _Wanted, problems: list[str]) -> Sources:
    """The files of one task; what is wrong with them goes to ``problems``."""
    unread: list[str] = []
    train = _file(folder, "train", problems, unread)
    test = wanted.test or _file(folder, "test", problems, unread)
    raw = wanted.unlabeled
    if raw is None and not wanted.pool_from_test:
        raw = _file(folder, "unlabeled", problems, unread, needed=False)
    splits = _given(folder, wanted.given, wanted.development, problems, unread) if wanted.given else ()
    return Sources(str(train), str(test), raw, splits, tuple(unread))


def _file(folder: Path, part: str, problems: list[str], unread: list[str], *, needed: bool = True) -> str | None:
    """The one file (or folder that datasets wrote) that is called so.

    What is wrong with it goes to ``problems``; what is called so and cannot be read is wrong only where a file is ``needed`` and none
    is there, and goes to ``unread``.
    """
    read, others = _called(folder, part)
    unread += [str(path) for path in others]
    flag = f"; or name one by --{part}" if part in ("test", "unlabeled") else ""
    if len(read) > 1:
        problems.append(f"{folder} holds {' and '.join(path.name for path in read)}; one {part} file is legal: take the others away{flag}")
    elif needed and not read:
        why = f"; {_not_read([path.name for path in others])}" if others else ""
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

    >>> _not_read(["train.txt", "train.xlsx", "train"])
    'train.txt, train.xlsx and train are not read (a .txt file has no labels)'
    """
    few = len(files) <= NAMED_PLACES
    listed = " and ".join(filter(None, (", ".join(files[:-1]), files[-1]))) if few else ", ".join(shortened(files))
    why = ["a .txt file has no labels"] if any(file.lower().endswith(_RAW) for file in files) else []
    why += ["NAME in train_NAME is letters, digits and _"] if any(_is_misnamed(Path(file).name) for file in files) else []
    return f"{listed} {verb(len(files), 'are')} not read" + (f" ({'; '.join(why)})" if why else "")


def _given(folder: Path, given: str, development: bool, problems: list[str], unread: list[str]) -> tuple[GivenSplit, ...]:
    """Splits in ``FOLDER/NAME/train.*`` or ``FOLDER/train_NAME.*``."""
    wanted = given.partition(":")[2]
    held = {inside.name: _splits_in(inside, development) for inside in _entries(folder) if inside.is_dir()}
    names = [name for name, one in held.items() if one.splits]
    chosen = [name for name in names if name == wanted] if wanted else names
    if len(chosen) == 1:
        problems += held[chosen[0]].problems
        unread += held[chosen[0]].unread
        return held[chosen[0]].splits
    there = f"folders with splits there: {', '.join(names)}" if names else "no folder there holds NAME/train or train_NAME files"
    others = [file for name, one in held.items() if name == wanted or not (wanted or names) for file in one.unread]
    why = f"; {_not_read(others)}" if others else ""
    problems.append(f"{folder}: --splits {given} finds no single folder of splits; {there}{why}{did_you_mean(wanted, names)}")
    return ()


def _splits_in(folder: Path, development: bool) -> _Held:
    """The splits of a folder, in order; folders and files in it that are none stand in no one's way."""
    places = {inside.name: (inside, "train", "dev") for inside in _entries(folder) if inside.is_dir()}
    files = [path for path in folder.glob("train_*.*") if path.is_file()]
    names = {path: _split_name(path.name) for path in files}
    places |= {name: (folder, f"train_{name}", f"dev_{name}") for name in names.values() if name}
    problems: list[str] = []
    unread = [str(path) for path, name in names.items() if not name]
    found = []
    for name in sorted(places, key=_by_number):
        inside, *parts = places[name]
        train = _file(inside, parts[0], problems, unread, needed=False)
        if train is not None:
            other = _file(inside, parts[1], problems, unread, needed=False) if development else None
            found.append(GivenSplit(f"{folder.name}/{name}", train, other))
    return _Held(tuple(found), tuple(problems), tuple(sorted(set(unread))))


def _split_name(file: str) -> str | None:
    """NAME of a file ``train_NAME.*`` that can be read; None for others.

    >>> [_split_name(file) for file in ("train_1.csv.gz", "train_log.txt", "train_0.5.csv")]
    ['1', None, None]
    """
    name = _unended(file).removeprefix("train_")
    return name if _SPLIT_NAME.fullmatch(name) else None


def _is_misnamed(file: str) -> bool:
    return file.startswith("train_") and _unended(file) != file and _split_name(file) is None


def _unended(file: str) -> str:
    """The name without an ending of labelled rows; the whole where it has none."""
    return next((file[: -len(ending)] for ending in _LABELED if file.lower().endswith(ending)), file)


def _by_number(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdecimal() else (1 << 60, name)
