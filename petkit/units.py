"""Units of work: what a stage is, its key, its record, and how one is carried out.

A unit is all JSON and paths, so that it can be carried out in this process, in another one or on another machine alike. Its folder
``stages/<name>`` appears by one rename, with ``record.json`` in it: the folder is there and complete, or the unit is not done.
"""

from __future__ import annotations

import importlib
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from petkit import files
from petkit.canonical import hash_json, plain
from petkit.files import DamagedFileError
from petkit.memory import peak_memory
from petkit.objectives.streams import seed_for

__all__ = ["CODE_VERSION", "Progress", "StageRecord", "Unit", "UnitContext", "check_stage", "perform", "unit_key"]

CODE_VERSION = 5
"""Part of every key. Raised when a stage computes something else from the same specification: finished units then run again."""

VERIFIED_BYTES = 64 * 2**20
"""Outputs up to this size are hashed when a run is resumed. Of larger ones only the size is compared."""

RECORD = "record.json"
State = Literal["done", "todo", "changed", "damaged"]


class Progress(Protocol):
    """Told how far a unit is: ``done`` of ``total`` steps (total None if unknown), and facts such as the loss."""

    def __call__(self, done: int, total: int | None = None, **facts: Any) -> None: ...


@dataclass(frozen=True)
class Unit:
    """One unit of work.

    Attributes:
        name: also the name of its folder: letters, digits, ``.``, ``_`` and ``-``.
        function: ``"package.module:function"``, called as ``function(spec, context) -> record``.
        spec: all that decides the result and is not a file; JSON. ``"seed"`` in it feeds ``UnitContext.seed_for``.
        needs: names of the units whose outputs this one reads; they come earlier.
        files: other files that it reads: path -> digest.
        aside: what it is told beside, which changes nothing of its outputs, such as where a cache lies; JSON, and not part of the key.
    """

    name: str
    function: str
    spec: Mapping[str, Any]
    needs: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    aside: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", self.name):
            raise ValueError(f"unit name {self.name!r}: letters, digits, '.', '_' and '-' are legal, at most 100 of them")
        if not re.fullmatch(r"[\w.]+:\w+", self.function):
            raise ValueError(f"unit {self.name}: function {self.function!r} is not of the form 'package.module:function'")
        object.__setattr__(self, "spec", plain(self.spec))


@dataclass(frozen=True)
class UnitContext:
    """What a unit's function is given beside its specification.

    Attributes:
        name: the unit's name.
        root: the run folder.
        out: an empty folder for the outputs. It becomes the unit's folder when the function returns.
        work: a folder that survives a kill, for checkpoints; removed when the unit is done.
        progress: to be called now and then.
        measured: to be filled with what the function measures of itself, such as latency; not part of the result.
        aside: the unit's.
    """

    name: str
    root: Path
    out: Path
    work: Path
    progress: Progress
    seed: int | None
    needed: Mapping[str, Path]
    measured: dict[str, Any] = field(default_factory=dict)
    aside: Mapping[str, Any] = field(default_factory=dict)

    def need(self, name: str) -> Path:
        """The folder of the finished unit ``name``, one of those that the unit declares."""
        if name not in self.needed:
            raise ValueError(f"unit {self.name} does not declare that it needs {name!r}; it declares {sorted(self.needed)}")
        return self.needed[name]

    def seed_for(self, *names: str | int) -> int:
        """A seed for one purpose, from ``spec["seed"]`` and ``names``. Units with one seed share it, whatever their names."""
        if self.seed is None:
            raise ValueError(f"unit {self.name} has no 'seed' in its specification")
        return seed_for(self.seed, *names)


@dataclass(frozen=True)
class StageRecord:
    """``record.json``: what was done, what came of it, and how long it took.

    ``record`` is what the function returned. It counts as an output, so it holds only what the specification decides: no times.
    ``measured`` holds what differs from machine to machine: ``peak_memory_bytes``, and what the function measured of itself.
    """

    key: str
    spec: dict[str, Any]
    record: dict[str, Any]
    outputs: dict[str, str]
    sizes: dict[str, int]
    seconds: float
    finished: str
    measured: dict[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the outputs and the record: part of the key of units that need this one."""
        return hash_json({"record": self.record, "outputs": self.outputs})

    @staticmethod
    def read(stage: Path) -> StageRecord:
        """Read a stage's record; raises ``DamagedFileError`` if it is missing or not one."""
        values = files.read_json_checked(stage / RECORD)
        dicts = [values.get(name) for name in ("spec", "record", "outputs", "sizes")]
        values.setdefault("measured", {})  # records made before there was any
        if set(values) != {item.name for item in fields(StageRecord)} or not all(isinstance(value, dict) for value in dicts):
            raise DamagedFileError(f"{stage / RECORD} is damaged: it is not the record of a unit")
        return StageRecord(**values)


def unit_key(unit: Unit, needed: Mapping[str, str]) -> str:
    """SHA-256 (hex) of all that decides a unit's outputs. ``needed`` holds ``StageRecord.digest`` of each unit that it needs."""
    facts = {"function": unit.function, "spec": unit.spec, "needs": needed, "files": unit.files}
    return hash_json({"code_version": CODE_VERSION, **facts})


def stage_folder(root: Path, name: str) -> Path:
    """Where the finished unit ``name`` lies."""
    return root / "stages" / name


def work_folder(root: Path, name: str) -> Path:
    """Where the unit ``name`` keeps its checkpoints, in one folder for each key."""
    return root / "work" / name


def check_stage(stage: Path, key: str | None = None, *, hash_up_to: int = VERIFIED_BYTES) -> tuple[State, str]:
    """The state of a unit's folder and the reason: its record is compared with ``key`` (if given) and with its files.

    Sizes are always compared; files of at most ``hash_up_to`` bytes are hashed too.
    """
    if not stage.exists():
        return "todo", "not done yet"
    try:
        record = StageRecord.read(stage)
    except DamagedFileError as error:
        return "damaged", str(error)
    if key is not None and record.key != key:
        return "changed", "its specification or what it reads has changed"
    problem = _damage(stage, record, hash_up_to)
    return ("damaged", problem) if problem else ("done", "")


def _damage(stage: Path, record: StageRecord, hash_up_to: int) -> str:
    for name, expected in record.outputs.items():
        path = stage / name
        size = path.stat().st_size if path.is_file() else None
        if size is None:
            return f"output {name} is missing"
        if size != record.sizes.get(name):
            return f"output {name} has {size} bytes instead of {record.sizes.get(name)}"
        if size <= hash_up_to and files.digest(path) != expected:
            return f"output {name} has changed since it was written"
    return ""


def perform(unit: Unit, *, root: Path, key: str, progress: Progress) -> StageRecord:
    """Carry out one unit in this process: call its function, and make its folder in the run folder ``root``.

    The caller holds the run's lock and has seen to it that the units needed are done. A full disk raises ``RunError``;
    whatever else the function raises passes through, and leaves nothing but its checkpoints.
    """
    function = _resolve(unit.function)
    work = _prepare_work(root, unit.name, key)
    started = time.monotonic()
    files.make_directory(root / "stages")
    with files.staged_directory(stage_folder(root, unit.name)) as out:
        needed = {name: stage_folder(root, name) for name in unit.needs}
        context = UnitContext(unit.name, root, out, work, progress, unit.spec.get("seed"), needed, aside=unit.aside)
        with peak_memory() as memory:
            result = function(plain(unit.spec), context)
        measured = {"peak_memory_bytes": memory.peak, **context.measured}
        record = _record(unit, key, out, result, seconds=time.monotonic() - started, measured=measured)
        files.write_json(out / RECORD, asdict(record))
    files.remove(work.parent)
    return record


def _resolve(reference: str) -> Callable[[dict[str, Any], UnitContext], Mapping[str, Any]]:
    module, _, name = reference.partition(":")
    function: Callable[[dict[str, Any], UnitContext], Mapping[str, Any]] = getattr(importlib.import_module(module), name)
    return function


def _prepare_work(root: Path, name: str, key: str) -> Path:
    """The folder for checkpoints under this key; those of another key are of no use and go."""
    work = work_folder(root, name) / key[:16]
    files.make_directory(work)
    for other in work.parent.iterdir():
        if other != work:
            files.discard(other)
    return work


def _record(unit: Unit, key: str, out: Path, result: object, *, seconds: float, measured: dict[str, Any]) -> StageRecord:
    if not isinstance(result, Mapping):
        raise TypeError(f"unit {unit.name}: {unit.function} returned {type(result).__name__}, not a record")
    outputs = files.digest_files(out)
    if RECORD in outputs:
        raise ValueError(f"unit {unit.name}: {unit.function} wrote {RECORD}, a name kept for its record")
    sizes = {name: (out / name).stat().st_size for name in outputs}
    finished = datetime.now(UTC).isoformat(timespec="seconds")
    return StageRecord(key, plain(unit.spec), plain(result), outputs, sizes, round(seconds, 3), finished, plain(measured))
