"""The run folder: what is recorded, what its status says, and that it may be moved."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from petkit.errors import RunError
from petkit.runs import RunFolder, read_status
from tests.petkit.runs.toy_runs import NAMES, OPENING, of_kind, resume, toy


def test_versions_are_recorded_and_reported_not_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    toy.run(folder)
    newer = OPENING | {"versions": {"petkit": "0.1.0", "torch": "2.14.0"}}
    for expected in [('torch: "2.13.0" -> "2.14.0"',), ()]:
        with RunFolder.open(folder, **newer) as run:
            assert run.version_changes == expected
    manifest = read_status(folder).manifest
    assert manifest["versions"] == toy.VERSIONS
    assert [entry["versions"] for entry in manifest["reopened"]] == [newer["versions"]]
    assert of_kind(resume(folder), "skipped") == NAMES


def test_hardware_is_recorded(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "run", **OPENING, hardware={"accelerator": "none"}):
        pass
    hardware = read_status(tmp_path / "run").manifest["hardware"]
    assert hardware["accelerator"] == "none"
    assert hardware["processors"] == os.cpu_count()


def test_moved_folder_goes_on(tmp_path: Path, reference: dict[str, object]) -> None:
    toy.run(tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    assert of_kind(resume(tmp_path / "elsewhere"), "skipped") == NAMES
    assert toy.snapshot(tmp_path / "elsewhere") == reference


def test_link_to_a_folder_is_a_folder(tmp_path: Path, reference: dict[str, object]) -> None:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "scratch")
    toy.run(tmp_path / "run")
    assert toy.snapshot(tmp_path / "scratch") == reference


def test_status_before_during_and_after(tmp_path: Path, points: list[str]) -> None:
    folder = tmp_path / "run"
    with pytest.raises(RunError, match="not a run folder"):
        read_status(folder)
    seen = []
    toy.run(
        folder, on_event=lambda event: seen.append([unit.state for unit in read_status(folder).units]) if event.kind == "started" else None
    )
    assert seen == [["done"] * i + ["todo"] * (4 - i) for i in range(4)]
    status = read_status(folder)
    assert [unit.name for unit in status.units] == NAMES
    assert all(unit.state == "done" and unit.seconds is not None for unit in status.units)
    assert status.manifest["settings"] == toy.SETTINGS
    table = folder / "stages" / "table" / "table.parquet"
    os.truncate(table, table.stat().st_size - 1)
    assert read_status(folder).units[1][:2] == ("table", "damaged")
    (folder / "plan.json").write_text("{")
    assert read_status(folder).units == ()


def test_records_and_paths(tmp_path: Path) -> None:
    toy.run(tmp_path / "run")
    with RunFolder.open(tmp_path / "run", **OPENING) as run:
        assert run.record("words") == {"words": 5}
        assert json.loads((run.path("words") / "words.json").read_bytes())["nothing"] is None
        assert run.done("words")
        assert not run.done("nobody")
        assert [unit.state for unit in run.status(toy.units())] == ["done"] * 4
        for ask in (run.record, run.path):
            with pytest.raises(RunError, match="stage 'nobody' is not finished"):
                ask("nobody")


def test_no_pickle_on_disk(reference: dict[str, object]) -> None:
    suffixes = {Path(name).suffix for name in reference}
    assert suffixes == {".json", ".parquet", ".safetensors", ".txt"}
    assert not any(isinstance(content, bytes) and content.startswith((b"\x80", b"PK")) for content in reference.values())
