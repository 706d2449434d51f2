"""The installed package is whole. `make check` runs this against the wheel, where PETKIT_EXPECT names the environment it sits in."""

from __future__ import annotations

import importlib
import os
import pkgutil
import subprocess
import sys
import tomllib
from importlib import metadata, resources
from pathlib import Path

import pytest

pytestmark = pytest.mark.wheel

PARTS = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["packages"]
MAPPED = ("patterns", "verbalizers", "cli")
HEAVY = {"torch", "transformers", "datasets", "sklearn", "scipy", "pandas", "pyarrow", "typer", "rich"}


def _files(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts}


def _python(code: str) -> str:
    return subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout.strip()


@pytest.mark.parametrize("name", PARTS)
def test_parts_come_from_where_they_should(name: str) -> None:
    expected = os.environ.get("PETKIT_EXPECT")
    if expected is None:
        pytest.skip("only for a wheel: PETKIT_EXPECT is not set")
    found = importlib.import_module(name).__file__
    assert found is not None
    assert Path(found).resolve().is_relative_to(Path(expected).resolve())


@pytest.mark.parametrize(("name", "folder"), [("petkit", "petkit"), *((f"petkit.{name}", name) for name in MAPPED)])
def test_every_file_arrives(name: str, folder: str) -> None:
    checkout = os.environ.get("PETKIT_CHECKOUT")
    if checkout is None:
        pytest.skip("only for a wheel: PETKIT_CHECKOUT is not set")
    installed = _files(Path(str(resources.files(name))))
    arrived = {path for path in installed if name != "petkit" or path.parts[0] not in MAPPED}
    assert arrived == _files(Path(checkout) / folder)


@pytest.mark.parametrize("name", PARTS)
def test_every_module_can_be_imported(name: str) -> None:
    names = [module.name for module in pkgutil.iter_modules(importlib.import_module(name).__path__, f"{name}.")]
    assert [module for module in names if not module.endswith(".__main__") and importlib.import_module(module).__name__ != module] == []


def test_every_ready_made_task_loads() -> None:
    from petkit.loading import load_task, ready_made

    assert len(ready_made()) > 20
    assert [name for name in ready_made() if load_task(name).name != name] == []


@pytest.mark.parametrize("name", ["petkit", "petkit.patterns", "petkit.verbalizers", "petkit.cli"])
def test_types_are_announced(name: str) -> None:
    assert resources.files(name).joinpath("py.typed").is_file()


def test_the_command_tells_its_version() -> None:
    (entry,) = metadata.distribution("petkit").entry_points.select(group="console_scripts")
    code = f"import sys, {entry.module} as cli; sys.argv = ['petkit', '--version']; cli.{entry.attr}()"
    assert (entry.name, _python(code)) == ("petkit", f"petkit {metadata.version('petkit')}")


def test_importing_petkit_is_light() -> None:
    loaded = set(_python("import sys, petkit; print(*sorted({name.split('.')[0] for name in sys.modules}))").split())
    assert "petkit" in loaded
    assert not loaded & HEAVY
