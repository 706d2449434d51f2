"""Guards for what a checkout hides: unlisted packages, imports that work here only, and names that do not belong in the repository."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
MAPPED = ("patterns", "verbalizers", "cli")
SOURCES = ("petkit", *MAPPED)

if not (ROOT / "petkit").is_dir():
    pytest.skip("these tests read the checkout", allow_module_level=True)


@cache
def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _modules(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def _imports(nodes: Iterator[ast.AST], package: str) -> Iterator[tuple[str, int]]:
    """Full names of what `nodes` import, with their lines; `package` is where relative imports start."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((name.name, node.lineno) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parts, *([node.module] if node.module else [])])
            yield from ((f"{base}.{name.name}", node.lineno) for name in node.names)


def _at_import(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when a module is imported: not function bodies, not blocks for type checkers."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            continue
        yield child
        yield from _at_import(child)


def _package(path: Path) -> str:
    parts = path.relative_to(ROOT).parts[:-1]
    return ".".join(parts if parts[0] == "petkit" else ("petkit", *parts))


def _offences(path: Path, names: tuple[str, ...], nodes: Iterator[ast.AST]) -> list[str]:
    place = path.relative_to(ROOT)
    found = _imports(nodes, _package(path))
    return [f"{place}:{line}: {name}" for name, line in found if any(f"{name}.".startswith(f"{banned}.") for banned in names)]


# Packages


def test_every_package_is_listed() -> None:
    packages = {_package(path) for path in _modules(*SOURCES) if path.name == "__init__.py"}
    assert packages == set(_project()["tool"]["setuptools"]["packages"]), "tool.setuptools.packages and the folders differ"


def test_every_folder_of_modules_is_a_package() -> None:
    bare = {str(path.parent.relative_to(ROOT)) for path in _modules(*SOURCES) if not (path.parent / "__init__.py").is_file()}
    assert bare == set(), "folders of modules without an __init__.py never reach the wheel"


@pytest.mark.parametrize("name", MAPPED)
def test_nothing_stands_in_the_way_of_a_mapped_package(name: str) -> None:
    assert not (ROOT / "petkit" / f"{name}.py").exists()
    assert not (ROOT / "petkit" / name).exists()


def test_data_files_are_of_kinds_that_the_wheel_takes() -> None:
    root, globs = ROOT / "petkit", _project()["tool"]["setuptools"]["package-data"]["petkit"]
    covered = {path for pattern in globs for path in root.glob(pattern)}
    others = [path for path in root.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc") and path.name != "py.typed"]
    left_out = [path for path in others if path not in covered]
    assert left_out == [], "files that package-data does not cover are missing from the wheel"


def test_the_readme_is_shown_with_the_package() -> None:
    assert _project()["project"].get("readme") == ("README.md" if (ROOT / "README.md").exists() else None)


def test_type_checkers_can_follow_the_mapped_packages() -> None:
    links = {path.name: path.resolve() for path in (ROOT / "typings" / "petkit").iterdir()}
    assert links == {name: ROOT / name for name in MAPPED}, "typings/petkit holds one link for each mapped package, nothing else"
    assert all((ROOT / "typings" / "petkit" / name).readlink() == Path("..", "..", name) for name in MAPPED)


# Imports


@pytest.mark.parametrize("path", _modules("petkit"), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_core_is_quiet_and_alone(path: Path) -> None:
    tree = _tree(path)
    assert _offences(path, ("typer", "rich", "click"), ast.walk(tree)) == [], "the core draws nothing"
    assert _offences(path, tuple(f"petkit.{name}" for name in MAPPED), _at_import(tree)) == [], "the core imports these when it runs only"
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    assert [node.lineno for node in calls if node.func.id == "print"] == [], "the core prints nothing"  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", _modules(*SOURCES, "tests", "benchmarks"), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_import_works_in_a_checkout_only(path: Path) -> None:
    assert _offences(path, MAPPED, ast.walk(_tree(path))) == [], "import petkit.patterns, petkit.verbalizers, petkit.cli"


def test_no_module_pickles() -> None:
    names = ("pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal")
    assert [found for path in _modules(*SOURCES) for found in _offences(path, names, ast.walk(_tree(path)))] == []


def test_offences_are_found() -> None:
    code = "import patterns.ag\nfrom . import cli\nfrom ..x import y\ndef f():\n    import petkit.cli.app\n"
    imports = list(_imports(ast.walk(ast.parse(code)), "petkit.objectives"))
    assert sorted(imports) == [("patterns.ag", 1), ("petkit.cli.app", 5), ("petkit.objectives.cli", 2), ("petkit.x.y", 3)]
    assert ("petkit.cli.app", 5) not in list(_imports(_at_import(ast.parse(code)), "petkit.objectives"))


# Dependencies

OPTIONAL = ("zh", "plots", "compare", "onnx", "lora", "rouge", "tensorboard")


def _requirements(*extras: str) -> list[Requirement]:
    optional = _project()["project"]["optional-dependencies"]
    return [Requirement(line) for line in [*_project()["project"]["dependencies"], *(line for name in extras for line in optional[name])]]


def _pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines if not line.startswith("#"))}


def test_the_tested_set_satisfies_the_bounds() -> None:
    outside = [str(need) for need in _requirements("dev") if _pins().get(canonicalize_name(need.name), "0") not in need.specifier]
    assert outside == [], "constraints.txt lacks these, or pins a version outside their bounds"


def test_the_tested_set_keeps_within_the_bounds_of_the_extras() -> None:
    pinned = [(need, _pins().get(canonicalize_name(need.name))) for need in _requirements(*OPTIONAL)]
    assert [str(need) for need, version in pinned if version is not None and version not in need.specifier] == []


def test_the_tested_set_pins_releases_that_any_machine_can_take() -> None:
    assert _pins()["torch"] == "2.13.0"
    odd = [name for name, version in _pins().items() if not re.fullmatch(r"[0-9.]+(post[0-9]+)?", version)]
    assert odd == ["sphinx-basic-ng"]  # a dependency of the pages' theme, released as 1.0.0b2 since 2023 and nothing after


def test_every_imported_package_is_a_dependency() -> None:
    declared = {canonicalize_name(need.name) for need in _requirements(*OPTIONAL)}
    homes = metadata.packages_distributions()
    found = {name.split(".")[0] for path in _modules(*SOURCES) for name, _ in _imports(ast.walk(_tree(path)), _package(path))}
    others = found - sys.stdlib_module_names - {"petkit"}
    undeclared = {name for name in others if not {canonicalize_name(home) for home in homes.get(name, [name])} & declared}
    assert undeclared == set(), "imported, but not among the dependencies in pyproject.toml"


# Names

NAMED = {
    "a package index": r"py" + r"pi\.org|python" + r"hosted|index" + r"-url|find" + r"-links|\bana" + r"conda\.(org|com)",
    "a download host": r"https?://(download|downloads|dl|cdn|files|mirror|mirrors|raw|s3|storage)[.-]",
    "a path of one machine": r"(?<![\w.~}/*-])/(work|root|opt|home|Users|mnt|scratch)/[\w.]",
}
TEXT = {".py", ".md", ".txt", ".toml", ".json", ".yml", ".yaml", ".cfg", ".ini", ".sh", ".html", ".jinja", ".j2", ".csv", ""}


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, timeout=30)
    if listed.returncode:
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and path.suffix in TEXT and path.stat().st_size < 2_000_000]


def _named(text: str) -> list[str]:
    return [f"{what}: {found.group()}" for what, pattern in NAMED.items() for found in re.finditer(pattern, text)]


def test_no_file_names_an_index_a_host_or_a_machine() -> None:
    named = {str(path.relative_to(ROOT)): _named(path.read_text(encoding="utf-8")) for path in _tracked()}
    assert {name: found for name, found in named.items() if found} == {}


@pytest.mark.parametrize(
    "text",
    [
        "see /ho" + "me/ann/x",
        "'/wo" + "rk/x.csv'",
        "pip install --index" + "-url x",
        "https://down" + "load.example.org/x",
        "https://py" + "pi.org",
    ],
)
def test_names_are_found(text: str) -> None:
    assert len(_named(text)) == 1


@pytest.mark.parametrize("text", ["runs/work/x", "and/or/work/x", "https://example.org/home/x", "$HOME/work/x", "~/wo" + "rk/data"])
def test_ordinary_text_is_no_name(text: str) -> None:
    assert _named(text) == []
