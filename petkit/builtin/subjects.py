"""The subjects of the demo: which part of the installed software a documentation text is about."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["SUBJECTS", "Subject"]


@dataclass(frozen=True)
class Subject:
    """A label of the demo: its name, the label word, the packages read, and the modules of them that count."""

    name: str
    word: str
    packages: tuple[str, ...]
    modules: str = ""

    def holds(self, module: str) -> bool:
        """Whether a module is about this subject."""
        return re.search(self.modules, module) is not None


SUBJECTS: Final = (
    Subject("graphs", "graph", ("networkx",)),
    Subject("algebra", "algebra", ("sympy",), r"^sympy\.(core|polys|matrices|solvers|simplify|series|integrals|functions|calculus|ntheory)"),
    Subject("tables", "table", ("pandas",), r"^pandas\.(core|io)"),
    Subject("statistics", "statistics", ("scipy.stats",)),
    Subject("networks", "network", ("torch.nn",), r"^torch\.nn\.(modules|functional|parallel|utils|init)"),
    Subject("images", "image", ("transformers",), r"\.image_(processing|transforms|utils)"),
    Subject("text", "text", ("transformers",), r"\.tokenization_"),
    Subject("files", "file", ("os", "shutil", "pathlib", "zipfile", "tarfile", "tempfile", "glob", "fileinput", "fsspec", "io", "gzip", "filecmp")),
)
"""In the order of the labels."""
