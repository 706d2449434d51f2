"""Documentation texts of the Python packages that the installation itself brings.

Sources are parsed, never imported or run, so reading them has no side effects and needs no optional dependency.
Nothing is copied: the texts are read from the machine each time.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import re
import sysconfig
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Docstring", "bucket", "docstrings", "docstrings_in", "find_package", "prose", "sources_of", "standard_library"]

_SKIPPED_FOLDERS = {"tests", "test", "testing", "_vendor", "vendor", "__pycache__", "site-packages", "idlelib", "lib2to3"}


@dataclass(frozen=True)
class Docstring:
    """One documentation text: the module and the object that it documents, and its text as written."""

    module: str
    qualname: str
    text: str

    @property
    def name(self) -> str:
        """The qualified name, module first."""
        return f"{self.module}.{self.qualname}".rstrip(".")


def bucket(name: str, *, buckets: int = 100) -> int:
    """A number in 0..buckets-1 from the SHA-256 of a qualified name: the same on every machine and version.

    >>> bucket("json.dumps") == bucket("json.dumps")
    True
    """
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % buckets


def docstrings(package: str) -> Iterator[Docstring]:
    """Every docstring below an installed package or module, in a fixed order; none if it is not installed."""
    for module, path in sources_of(package):
        yield from docstrings_in(module, path)


def sources_of(package: str) -> Iterator[tuple[str, Path]]:
    """(module, file) of every source of an installed package or module, in a fixed order, tests and vendored copies left out."""
    spec = find_package(package)
    if spec is None:
        return
    if spec.suffix == ".py":
        yield package, spec
        return
    for path in sorted(spec.rglob("*.py")):
        parts = path.relative_to(spec).with_suffix("").parts
        if _SKIPPED_FOLDERS.isdisjoint(parts[:-1]) and not parts[-1].startswith("test_"):
            yield ".".join([package, *(parts[:-1] if parts[-1] == "__init__" else parts)]), path


def find_package(package: str) -> Path | None:
    """The folder or file of a package, without importing it (``find_spec`` of a submodule would import its parent)."""
    top, *rest = package.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None or spec.origin is None:
        return None
    origin = _frozen_source(top) if spec.origin == "frozen" else Path(spec.origin)
    if not rest and origin.name != "__init__.py":
        return origin if origin.suffix == ".py" else None
    base = origin.parent.joinpath(*rest)
    if base.is_dir():
        return base
    return base.with_suffix(".py") if base.with_suffix(".py").is_file() else None


def _frozen_source(module: str) -> Path:
    """Where the source of a module that the interpreter carries compiled (os, codecs, ...) lies in the standard library."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    return next((path for path in (folder / module / "__init__.py", folder / f"{module}.py") if path.is_file()), folder / module)


def standard_library() -> list[str]:
    """Names of the standard library's modules that are written in Python."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    modules = [p.stem for p in folder.glob("*.py")] + [p.parent.name for p in folder.glob("*/__init__.py")]
    return sorted(name for name in modules if name not in _SKIPPED_FOLDERS and not name.startswith("_"))


def docstrings_in(module: str, path: Path) -> Iterator[Docstring]:
    """Every docstring of one source file; none if it cannot be parsed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return
    yield from _walk(module, "", tree)


def _walk(module: str, qualname: str, node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Docstring]:
    text = ast.get_docstring(node, clean=False)
    if text and text.strip():
        yield Docstring(module, qualname, inspect.cleandoc(text))
    for child in node.body:
        if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from _walk(module, f"{qualname}.{child.name}".lstrip("."), child)


_MARKUP = re.compile(r":[a-z]+:`~?([^`<]*?)(?: ?<[^`>]*>)?`|`{1,2}([^`]*)`{1,2}|\*\*([^*\n]+)\*\*")
_DROPPED_LINE = re.compile(r"^\s*(>>>|\.\.\. |\.\. |[-=~^*#+|]{3,}|:[a-z]+:\s|$)")


def prose(text: str) -> str:
    """The running text of a docstring: markup unwrapped; code, rules and directives dropped.

    >>> prose("Return the :class:`~a.Graph` of ``x``.\\n\\n>>> f(1)\\n2")
    'Return the a.Graph of x.\\n\\n2'
    """
    paragraphs: list[list[str]] = [[]]
    for line in _MARKUP.sub(lambda m: next(g for g in (*m.groups(), "") if g is not None), text).splitlines():
        if not line.strip():
            paragraphs.append([])
        elif not _DROPPED_LINE.match(line):
            paragraphs[-1].append(" ".join(line.split()))
    return "\n\n".join(" ".join(lines) for lines in paragraphs if lines)
