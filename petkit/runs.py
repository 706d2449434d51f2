"""The run folder: settings and data it was made with, finished units, and what is left.

    run.json            settings, data fingerprints, versions, hardware
    plan.json           the names of the units, in order; a run that knows what comes later notes it at once
    stages/<name>/      outputs of a finished unit, and its record.json
    work/<name>/        checkpoints of an unfinished unit
    .lock               held while a process works on the folder

The files hold the truth: whoever opens the folder next, after whatever interruption, goes on from them.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from petkit import files
from petkit.canonical import canonical_json, plain
from petkit.choices import not_there
from petkit.errors import RunError, raise_problems
from petkit.files import DamagedFileError
from petkit.locks import holder, locked
from petkit.units import StageRecord, State, Unit, check_stage, stage_folder, unit_key, work_folder

__all__ = ["RunFolder", "RunStatus", "UnitStatus", "read_status", "recorded"]

SCHEMA = 1
"""Version of the folder's layout, in run.json."""

LOCK, MANIFEST, PLAN = ".lock", "run.json", "plan.json"
SECTIONS = {"settings": dict, "inputs": dict, "versions": dict, "hardware": dict, "created": str, "reopened": list}


class UnitStatus(NamedTuple):
    """How far a unit is: ``done``, ``begun`` (checkpoints lie ready), ``todo``, ``changed`` or ``damaged`` (runs again)."""

    name: str
    state: str
    seconds: float | None


@dataclass(frozen=True)
class RunStatus:
    """What ``petkit status`` tells: the content of run.json, who works on the folder now (None: nobody), and the units."""

    root: Path
    manifest: Mapping[str, Any]
    holder: str | None
    units: tuple[UnitStatus, ...]


@dataclass(frozen=True)
class RunFolder:
    """A run folder that this process has opened and locked; made by ``RunFolder.open``. ``made``: whether it was not there before."""

    root: Path
    version_changes: tuple[str, ...] = ()
    made: bool = False

    @classmethod
    @contextmanager
    def open(
        cls,
        path: str | Path,
        *,
        settings: Mapping[str, Any],
        inputs: Mapping[str, str],
        versions: Mapping[str, str],
        hardware: Mapping[str, Any] | None = None,
    ) -> Iterator[RunFolder]:
        """Create the folder, or go on with the one that is there; it stays locked during the block.

        Args:
            path: the folder.
            settings: the resolved settings, JSON. No paths and nothing else that may differ when a run is resumed.
            inputs: fingerprint of each data file by its part: ``{"train": ..., "test": ...}``.
            versions: of petkit and the libraries that matter. Differences are recorded and reported, not refused.
            hardware: facts beyond those that the standard library knows, such as the accelerator.

        Raises:
            RunError: the path is a file, a folder of something else, or not writable; another process is at work on it;
                it was made with other settings or data (every difference is named); run.json is damaged.
        """
        root = Path(path)
        _refuse_foreign(root)
        made = not root.exists()
        files.make_directory(root)
        with locked(root / LOCK):
            files.discard_leftovers(root)
            manifest = _new_manifest(settings, inputs, versions, hardware or {})
            yield cls(root, _agree(root / MANIFEST, manifest), made)

    def key(self, unit: Unit) -> str:
        """The unit's key; the units that it needs must be done."""
        return unit_key(unit, {name: self.stage_record(name).digest for name in unit.needs})

    def check(self, unit: Unit, key: str) -> tuple[State, str]:
        """Whether the unit is done under ``key`` and its outputs are what they were, and if not, why not."""
        return check_stage(stage_folder(self.root, unit.name), key)

    def done(self, name: str) -> bool:
        """Whether the unit ``name`` is finished, its outputs whole."""
        return check_stage(stage_folder(self.root, name))[0] == "done"

    def record(self, name: str) -> dict[str, Any]:
        """What the function of the finished unit ``name`` returned; ``RunError`` if it is not finished."""
        return self.stage_record(name).record

    def path(self, name: str) -> Path:
        """The folder of the finished unit ``name``; ``RunError`` if it is not finished."""
        self.stage_record(name)
        return stage_folder(self.root, name)

    def plan(self, units: Sequence[Unit]) -> None:
        """Note the units to come, for ``read_status``; those planned before stay."""
        known = _read_plan(self.root)
        names = [*known, *(unit.name for unit in units if unit.name not in known)]
        if names != known:
            files.write_json(self.root / PLAN, {"units": names})

    def status(self, units: Sequence[Unit]) -> list[UnitStatus]:
        """The state of each unit. Outputs are compared by size only."""
        return [_unit_status(self.root, unit.name) for unit in units]

    def clear_work(self, name: str) -> None:
        """Remove the checkpoints of a finished unit, if a kill has left any."""
        work = work_folder(self.root, name)
        if work.exists():
            files.remove(work)

    def stage_record(self, name: str) -> StageRecord:
        """Everything in the record of the finished unit ``name``; ``RunError`` if it is not finished."""
        stage = stage_folder(self.root, name)
        if not stage.exists():
            raise RunError(f"{self.root}: stage {name!r} is not finished; run the same command again to finish it")
        return StageRecord.read(stage)


def read_status(path: str | Path) -> RunStatus:
    """Look at a run folder without locking it or changing anything; ``RunError`` if it is not one."""
    root = Path(path)
    if not (root / MANIFEST).exists():
        raise RunError(f"{root} is not a run folder: it has no {MANIFEST}{not_there(root)}")
    manifest = _read_manifest(root / MANIFEST)
    units = tuple(_unit_status(root, name) for name in _read_plan(root))
    return RunStatus(root, manifest, holder(root / LOCK), units)


def recorded(root: Path) -> dict[str, Any]:
    """The settings that the run in a folder was made with; empty where none is."""
    found: dict[str, Any] = _read_manifest(root / MANIFEST)["settings"] if (root / MANIFEST).is_file() else {}
    return found


def _unit_status(root: Path, name: str) -> UnitStatus:
    stage = stage_folder(root, name)
    state, _ = check_stage(stage, hash_up_to=-1)
    if state == "todo":
        return UnitStatus(name, "begun" if work_folder(root, name).exists() else "todo", None)
    return UnitStatus(name, state, StageRecord.read(stage).seconds if state == "done" else None)


def _read_plan(root: Path) -> list[str]:
    """The planned names; none if the file is missing or damaged, since the next run writes it again."""
    try:
        names = files.read_json_checked(root / PLAN).get("units", [])
    except DamagedFileError:
        return []
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _refuse_foreign(root: Path) -> None:
    """Raise if the path is taken by something that is not a run, before anything is written there."""
    with files.naming_errors(root, "read"):
        if root.exists() and not root.is_dir():
            raise RunError(f"{root} is a file; give a folder (--out) that is new, empty, or an unfinished run")
        names = {path.name for path in root.iterdir()} if root.exists() else set()
    other = sorted(name for name in names if name != LOCK and not name.startswith(files.TEMPORARY))
    if other and MANIFEST not in names:
        raise RunError(f"{root} is not empty and not a run (it holds {other[0]}); give a new or empty folder (--out)")


def _new_manifest(
    settings: Mapping[str, Any], inputs: Mapping[str, str], versions: Mapping[str, str], hardware: Mapping[str, Any]
) -> dict[str, Any]:
    known = {"machine": platform.machine(), "system": platform.platform(), "processors": os.cpu_count()}
    manifest: dict[str, Any] = plain(
        {"schema": SCHEMA, "settings": settings, "inputs": inputs, "versions": versions, "hardware": known | dict(hardware)}
    )
    return manifest | {"created": datetime.now(UTC).isoformat(timespec="seconds"), "reopened": []}


def _agree(path: Path, manifest: dict[str, Any]) -> tuple[str, ...]:
    """Write run.json, or compare with the one that is there; the changes of versions since it was last opened."""
    if not path.exists():
        files.write_json(path, manifest)
        return ()
    old = _read_manifest(path)
    problems = [f"setting {line}" for line in _differences(old["settings"], manifest["settings"])]
    problems += _changed_data(old["inputs"], manifest["inputs"])
    title = f"{path.parent} was made with other settings or data; give those it was made with, or another folder (--out)"
    raise_problems(RunError, title, problems)
    last = (old["reopened"] or [old])[-1]
    changed = {name: manifest[name] for name in ("versions", "hardware")}
    if any(last[name] != changed[name] for name in changed):
        files.write_json(path, old | {"reopened": [*old["reopened"], changed | {"opened": manifest["created"]}]})
    return tuple(_differences(last["versions"], changed["versions"]))


def _read_manifest(path: Path) -> dict[str, Any]:
    remedy = "give another folder (--out), or delete this one to start anew"
    try:
        manifest = files.read_json_checked(path)
    except DamagedFileError as error:
        raise DamagedFileError(f"{error}; {remedy}") from error
    if manifest.get("schema") != SCHEMA:
        raise DamagedFileError(f"{path} has schema {manifest.get('schema')!r}, and this petkit reads {SCHEMA}; {remedy}")
    wrong = [name for name, kind in SECTIONS.items() if not isinstance(manifest.get(name), kind)]
    if wrong:
        raise DamagedFileError(f"{path} is damaged: no valid {', '.join(wrong)}; {remedy}")
    return manifest


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """One line ``name: old -> new`` for each value that differs, nested names joined by dots.

    >>> _differences({"seed": 1, "mlm": {"rate": 0.15, "weight": 0.05}}, {"seed": 2, "mlm": {"weight": 0.05}})
    ['mlm.rate: 0.15 -> not given', 'seed: 1 -> 2']
    """
    before, after = _flat(old), _flat(new)
    return [
        f"{name}: {before.get(name, 'not given')} -> {after.get(name, 'not given')}"
        for name in sorted(before | after)
        if before.get(name) != after.get(name)
    ]


def _changed_data(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """One line for each data file that differs.

    >>> _changed_data({"train": "1a", "test": "2b"}, {"train": "1b", "pool": "3c"})
    ['data pool: not given before, given now', 'data test: given before, not given now', 'data train: its content has changed']
    """
    words = {
        (True, True): "its content has changed",
        (False, True): "not given before, given now",
        (True, False): "given before, not given now",
    }
    return [f"data {name}: {words[name in old, name in new]}" for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    result: dict[str, str] = {}
    for name, value in values.items():
        nested = isinstance(value, Mapping) and value
        result |= _flat(value, f"{prefix}{name}.") if nested else {f"{prefix}{name}": canonical_json(value)}
    return result
