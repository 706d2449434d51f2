"""What a run was made with: versions of the libraries that matter, fingerprints of checkpoints, results under their final name."""

from __future__ import annotations

import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from petkit.files import digest, digest_files, staged_directory
from petkit.units import RECORD

__all__ = ["checkpoint_digest", "library_versions", "publish"]

_LIBRARIES = ("petkit", "torch", "transformers", "tokenizers", "datasets", "scikit-learn", "numpy")


def library_versions() -> dict[str, str]:
    """Versions of Python, petkit and what it computes with; ``absent`` for what is not installed."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def checkpoint_digest(path: str) -> str:
    """SHA-256 (hex) over a checkpoint folder's files; for a name on the hub, the name itself."""
    from petkit.backbones.modelfiles import resolve

    folder = Path(resolve(path))
    return digest(folder) if folder.is_dir() else f"hub:{path}"


def publish(stage: Path, final: Path) -> None:
    """Copy a finished stage's files, without its record, to the folder that users know. Whole or not at all; done once."""
    outputs = {name: value for name, value in digest_files(stage).items() if name != RECORD}
    if final.is_dir() and digest_files(final) == outputs:
        return
    with staged_directory(final) as staging:
        shutil.copytree(stage, staging, dirs_exist_ok=True, ignore=shutil.ignore_patterns(RECORD))
