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


# Modules of plumbing (decorators, caches, registries) are left out: no reader could tell from their texts what they serve.
_GRAPHS = r"^networkx\.(algorithms|classes|generators|linalg|convert|relabel)\b"
_ALGEBRA = (
    r"^sympy\.(?!.*benchmarks)(polys|matrices|combinatorics|solvers\.(?!ode|pde|benchmarks)\w+|"
    r"core\.(expr|exprtools|numbers|power|mul|add|function|mod|symbol)$)"
)
_TABLES = (
    r"^pandas\.core\.(frame|series|generic|base|indexing|resample|indexes|groupby|reshape|window|methods)\b|"
    r"^pandas\.io\.(parsers|excel|sql|html|stata|pytables|json|parquet|formats)\b"
)
_STATISTICS = r"^(scipy\.stats|statistics|sklearn\.(covariance|mixture))\b|^torch\.distributions\.(?!utils)"
_STATISTICS_FROM = ("scipy.stats", "statistics", "torch.distributions", "sklearn.covariance", "sklearn.mixture")
_IMAGES = (
    r"^scipy\.|^sklearn\.feature_extraction\.image|^datasets\.features\.(image|video)|"
    r"^transformers\.((image|video)_\w+|pipelines\.(image|object|depth|mask|video|zero_shot_(image|object)|visual)\w*|"
    r"models\.\w+\.image_processing_(?!pil_)\w+)$"
)
_TEXT = (
    r"^(textwrap|difflib|string|shlex|html|re|rich\.(text|markup|_wrap|cells|highlighter|emoji)|jinja2\.filters)\b|"
    r"^sklearn\.feature_extraction\.(text|_hash)|^pandas\.core\.strings|"
    r"^transformers\.(tokenization_\w+|generation\.(logits_process|stopping_criteria|streamers)|models\.\w+\.tokenization_\w+)$"
)
_FILES = (
    r"^(shutil|pathlib|zipfile|tarfile|tempfile|glob|fileinput|gzip|filecmp|bz2|lzma|_pyio|importlib\.resources)\b|"
    r"^fsspec\.(?!gui|conftest|callbacks|config|prefetcher|registry|asyn|parquet|transaction)|"
    r"^huggingface_hub\.(hf_file_system|file_download|_buckets|_local_folder|utils\._(cache|paths|fixes)\w*)$|"
    r"^datasets\.(download|filesystems|utils\.(file_utils|extract|_filelock))"
)
_FILES_FROM = (
    *("shutil", "pathlib", "zipfile", "tarfile", "tempfile", "glob", "fileinput", "gzip", "filecmp", "bz2", "lzma", "_pyio"),
    *("importlib.resources", "fsspec", "huggingface_hub", "datasets"),
)
_TEXT_FROM = (
    *("transformers", "sklearn.feature_extraction", "pandas.core.strings", "difflib", "textwrap", "string", "re", "shlex", "html"),
    *("rich", "jinja2"),
)

SUBJECTS: Final = (
    Subject("graphs", "graph", ("networkx",), _GRAPHS),
    Subject("algebra", "algebra", ("sympy",), _ALGEBRA),
    Subject("tables", "table", ("pandas.core", "pandas.io"), _TABLES),
    Subject("statistics", "statistics", _STATISTICS_FROM, _STATISTICS),
    Subject("networks", "network", ("torch.nn", "torch.optim", "torch.ao.nn", "sklearn.neural_network")),
    Subject("images", "image", ("scipy.ndimage", "transformers", "sklearn.feature_extraction", "datasets.features"), _IMAGES),
    Subject("text", "text", _TEXT_FROM, _TEXT),
    Subject("files", "file", _FILES_FROM, _FILES),
)
"""In the order of the labels."""
