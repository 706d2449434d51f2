"""The demo's rows: documentation texts of the installed packages, labelled by the subject of their module.

Read from the machine each time (parsed, never imported), in a fixed order that hashes of the objects' names give.
An object's name alone decides whether its text is a test, development or train row (``corpus.split_of``);
near-duplicates are removed within and across the parts, so no train row is close to a test or development row.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final, Literal

from petkit.builtin.corpus import split_of
from petkit.builtin.demo_text import BLANK, running_text
from petkit.builtin.docs import docstrings_in, find_package, sources_of
from petkit.builtin.subjects import SUBJECTS, Subject
from petkit.data.draws import draw_shots
from petkit.data.overlap import normalise
from petkit.errors import DataError, raise_problems
from petkit.objectives.streams import stream
from petkit.rows import Rows

__all__ = ["PER_LABEL", "demo_parts", "demo_rows", "labeled_rows"]

Part = Literal["test", "development", "train"]

PER_LABEL: Final[Mapping[Part, int]] = MappingProxyType({"test": 60, "development": 40, "train": 200})
"""Rows of each subject at most, by part. Read in this order: what is near a test row is in no other part."""
NEAR: Final = 0.5
"""Two texts are near-duplicates if they share at least this much of the smaller one's word triples, or begin alike."""
_OPENING = 7
"""Words that make two beginnings alike."""
_LARGEST_FILE = 750_000
"""Bytes. Larger sources are tables of numbers or take long to parse for the few texts used of them."""


@dataclass(frozen=True)
class _Candidate:
    name: str
    label: int
    part: str
    text: str

    @property
    def rank(self) -> tuple[bool, bytes]:
        """Public objects first (their texts are written for readers), then in an order as good as random."""
        return self.name.rpartition(".")[2].startswith("_"), hashlib.sha256(self.name.encode()).digest()


def demo_rows(part: Part) -> Rows:
    """Labelled rows of one part: field ``text``, the object's qualified name as id, labels in the order of ``SUBJECTS``.

    Raises DataError if the installed packages hold too few texts of a subject.
    """
    return demo_parts()[part]


@cache
def demo_parts() -> Mapping[Part, Rows]:
    """All three parts, read once per process (a few seconds)."""
    named = {candidate.name: candidate for candidate in _candidates()}  # a name defined twice counts once
    candidates = sorted(named.values(), key=lambda candidate: candidate.rank)
    seen = _Seen()
    parts = {part: _rows(_chosen(candidates, part, most, seen)) for part, most in PER_LABEL.items()}
    _check_enough(parts)
    return MappingProxyType(parts)


def labeled_rows(rows: Rows, *, per_label: int, seed: int) -> tuple[Rows, Rows]:
    """``per_label`` labelled rows of each subject, drawn with ``seed``, and the other rows without labels (the pool)."""
    drawn = draw_shots(
        rows, shots=per_label, n_labels=len(SUBJECTS), rng=stream(seed, "demo", "labelled"), names=[s.name for s in SUBJECTS]
    )
    rest = sorted(set(range(len(rows))) - set(drawn))
    return rows.select(drawn), rows.select(rest).with_labels(())


def _candidates() -> Iterator[_Candidate]:
    models = _model_names()
    for label, subject in enumerate(SUBJECTS):
        for package in subject.packages:
            yield from _texts(package, subject, label, models)


def _texts(package: str, subject: Subject, label: int, names: frozenset[str]) -> Iterator[_Candidate]:
    for module, path in sources_of(package):
        if not subject.holds(module) or path.stat().st_size > _LARGEST_FILE:
            continue
        for doc in docstrings_in(module, path):
            if "__" in doc.qualname:
                continue
            text = running_text(doc.text, own=doc.qualname.rpartition(".")[2], names=names)
            if text is not None:
                yield _Candidate(doc.name, label, split_of(doc), text)


def _model_names() -> frozenset[str]:
    """Names of the model families of transformers, as lower-case letters: its folders."""
    base = find_package("transformers.models")
    folders = [path.name for path in base.iterdir() if path.is_dir()] if base else []
    return frozenset(name.replace("_", "") for name in folders) - {"auto"}


class _Seen:
    """The texts kept so far, by their beginnings and word triples."""

    def __init__(self) -> None:
        self._openings: set[tuple[str, ...]] = set()
        self._holders: dict[tuple[str, ...], list[int]] = {}
        self._sizes: list[int] = []

    def near(self, text: str) -> bool:
        """Whether a kept text is a near-duplicate of this one."""
        words = _words(text)
        if tuple(words[:_OPENING]) in self._openings:
            return True
        triples = _triples(words)
        shared = Counter(holder for triple in triples for holder in self._holders.get(triple, ()))
        return any(count >= NEAR * min(len(triples), self._sizes[holder]) for holder, count in shared.items())

    def keep(self, text: str) -> None:
        """Remember a text."""
        words = _words(text)
        triples = _triples(words)
        self._openings.add(tuple(words[:_OPENING]))
        for triple in triples:
            self._holders.setdefault(triple, []).append(len(self._sizes))
        self._sizes.append(len(triples))


def _words(text: str) -> list[str]:
    return [word for raw in normalise(text).split() if (word := raw.strip(".,;:!?()\"'"))]


def _triples(words: list[str]) -> set[tuple[str, ...]]:
    words = [word for word in words if word != BLANK]
    return {tuple(words[i : i + 3]) for i in range(max(1, len(words) - 2))}


def _chosen(candidates: Iterable[_Candidate], part: str, most: int, seen: _Seen) -> Iterator[_Candidate]:
    taken: Counter[int] = Counter()
    for candidate in candidates:
        if candidate.part == part and taken[candidate.label] < most and not seen.near(candidate.text):
            seen.keep(candidate.text)
            taken[candidate.label] += 1
            yield candidate


def _rows(chosen: Iterable[_Candidate]) -> Rows:
    kept = list(chosen)
    return Rows(ids=tuple(c.name for c in kept), fields={"text": tuple(c.text for c in kept)}, labels=tuple(c.label for c in kept))


def _check_enough(parts: Mapping[Part, Rows]) -> None:
    problems = []
    for part, rows in parts.items():
        counts, least = Counter(rows.labels), PER_LABEL[part] // 4
        short = [f"{subject.name} ({counts[label]})" for label, subject in enumerate(SUBJECTS) if counts[label] < least]
        problems += [f"fewer than {least} {part} texts about {', '.join(short)}"] if short else []
    raise_problems(DataError, "the installed packages hold too little documentation; reinstall petkit's dependencies", problems)
