"""The documentation text that the builtin model may learn from: everything but the demo's test and development rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from petkit.builtin.docs import Docstring, bucket, docstrings, prose, standard_library

__all__ = ["DEVELOPMENT", "PACKAGES", "TEST", "split_of", "training_documents"]

PACKAGES = (
    *("torch", "scipy", "pandas", "networkx", "sympy", "sklearn", "transformers", "numpy", "pyarrow", "datasets", "huggingface_hub"),
    *("rich", "typer", "click", "fsspec", "joblib", "jinja2", "mpmath", "pygments", "tqdm", "pip", "setuptools"),
)
"""Packages that an installation of petkit brings, in the order in which they are read; the standard library follows."""

TEST, DEVELOPMENT = range(0, 12), range(12, 20)
"""Hash buckets (of 100) of the objects whose texts are the demo's test and development rows; the rest is labelled rows and pool."""


def split_of(doc: Docstring) -> str:
    """ "test", "development" or "train", by the hash of the object's qualified name alone."""
    number = bucket(doc.name)
    return "test" if number in TEST else "development" if number in DEVELOPMENT else "train"


def training_documents() -> Iterator[list[str]]:
    """Each object's prose as a list of paragraphs: no held-out object, and no paragraph that also stands in one.

    Paragraphs that occur more than once (inherited or copied docstrings) are kept once.
    """
    docs = [doc for package in (*PACKAGES, *standard_library()) for doc in docstrings(package)]
    seen = {_key(paragraph) for doc in docs if split_of(doc) != "train" for paragraph in prose(doc.text).split("\n\n")}
    for doc in docs:
        if split_of(doc) != "train":
            continue
        paragraphs = [p for p in prose(doc.text).split("\n\n") if p and _key(p) not in seen]
        seen.update(_key(p) for p in paragraphs)
        if paragraphs:
            yield paragraphs


def _key(paragraph: str) -> bytes:
    return hashlib.sha256(" ".join(paragraph.lower().split()[:24]).encode()).digest()[:12]
