"""From the parts of a cloze to pieces of tokens, in the two ways there are, and what each drops from a cloze too long."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from petkit.encoding.encoded import Encoded, flat_ranges
from petkit.encoding.splicing import Cut, Pieces
from petkit.encoding.tokenizing import Frame, Ids
from petkit.encoding.truncation import drop_from_longest, drop_like_paper
from petkit.pvp import MASK, SEGMENT_BREAK, Part, Text

__all__ = [
    "Cloze",
    "Joined",
    "Joiner",
    "PartsJoiner",
    "StringJoiner",
    "assemble",
    "frame_codes",
    "framed",
    "lengths_of",
    "segments",
    "shortenable",
]

Cloze = list[list[Part]]
"""The parts of one or two segments."""
Kept = list[list[int]]
"""For each segment, for each of its shortenable texts, how many tokens."""


def segments(parts: Iterable[Part]) -> Cloze:
    """The parts on either side of the segment break."""
    found: Cloze = [[]]
    for part in parts:
        if part is SEGMENT_BREAK:
            found.append([])
        else:
            found[-1].append(part)
    return found


def shortenable(cloze: Cloze) -> list[list[str]]:
    """The texts that may be shortened, by segment."""
    return [[part.text for part in parts if isinstance(part, Text) and part.shorten] for parts in cloze]


class Joined(NamedTuple):
    """One row in pieces: ``codes`` (256 x piece + token type), and the places of the gap and of the second segment (-1: none)."""

    codes: list[int]
    gap: int
    second: int


def frame_codes(frame: Frame, special: Callable[[int], int], *, segments: int) -> list[list[int] | int]:
    """The frame of one or two segments as runs of codes, with the token type alone where a segment stands."""
    runs: list[list[int] | int] = [[]]
    for token, kind in frame.of(segments):
        if token is None:
            runs += [kind, []]
        else:
            runs[-1] = [*_run(runs[-1]), (special(token) << 8) | kind]
    return runs


def _run(run: list[int] | int) -> list[int]:
    return run if isinstance(run, list) else []


def framed(runs: Sequence[list[int] | int], found: Sequence[tuple[list[int], int]]) -> Joined:
    """The pieces of one or two segments (each with the gap's place among them or -1) between their special tokens."""
    codes: list[int] = []
    gap = second = -1
    remaining = iter(found)
    for run in runs:
        if isinstance(run, list):
            codes += run
            continue
        pieces, place = next(remaining)
        gap = len(codes) + place if place >= 0 else gap
        second = len(codes)
        codes += [(piece << 8) | run for piece in pieces]
    return Joined(codes, gap, second if len(found) > 1 else -1)


class Joiner(Protocol):
    """A way to join the parts of clozes to pieces."""

    def prepare(self, clozes: Sequence[Cloze]) -> None:
        """Tokenise the texts of these clozes, those not seen before, in one go."""

    def join(self, cloze: Cloze, kept: Kept | None, *, filler: str, masks: int) -> list[tuple[list[int], int]]:
        """Each segment's pieces and the gap's place among them; with ``kept``, of the texts shortened to so many tokens."""

    def counts(self, clozes: Sequence[Cloze]) -> list[Kept]:
        """How many tokens the shortenable texts have by themselves."""

    def start(self, cloze: Cloze, counts: Kept) -> Kept:
        """How many of these tokens are in the cloze before any shortening."""

    def drop(self, kept: Kept, excess: int) -> Kept | None:
        """Drop so many tokens; None if there are too few."""


@dataclass(frozen=True)
class StringJoiner:
    """A ``Joiner``. Each segment is one string: its tokens are those of the filled cloze, gap aside."""

    pieces: Pieces

    def prepare(self, clozes: Sequence[Cloze]) -> None:
        self.pieces.cut(text for cloze in clozes for parts in cloze for text in self._texts(parts))

    def _texts(self, parts: Sequence[Part]) -> list[str]:
        return [p.text for p in parts if isinstance(p, Text) and (p.shorten or not self.pieces.is_long(p.text))]

    def cuts(self, parts: Sequence[Part], kept: Sequence[int] | None = None) -> list[Part | Cut]:
        """The parts with their texts cut, shortened to ``kept`` tokens if given; a long text that must stay whole is left alone."""
        known, lengths = self.pieces.cuts, iter(kept or ())
        found: list[Part | Cut] = []
        for part in parts:
            if not isinstance(part, Text) or not (part.shorten or part.text in known):
                found.append(part)
            elif kept is not None and part.shorten:
                found.append(self.pieces.prefix(part.text, next(lengths)))
            else:
                found.append(known[part.text])
        return found

    def join(self, cloze: Cloze, kept: Kept | None, *, filler: str, masks: int) -> list[tuple[list[int], int]]:
        return [self.pieces.segment(self.cuts(parts, kept[i] if kept else None), filler, masks) for i, parts in enumerate(cloze)]

    def counts(self, clozes: Sequence[Cloze]) -> list[Kept]:
        texts = [shortenable(cloze) for cloze in clozes]
        spans = self.pieces.spans(chain.from_iterable(chain.from_iterable(texts)))
        return [[[len(spans[text].ids) for text in parts] for parts in cloze] for cloze in texts]

    def start(self, cloze: Cloze, counts: Kept) -> Kept:
        texts, limit = shortenable(cloze), self.pieces.limit
        return [
            [min(n, limit) if self.pieces.is_long(text) else n for n, text in zip(numbers, parts, strict=True)]
            for numbers, parts in zip(counts, texts, strict=True)
        ]

    def drop(self, kept: Kept, excess: int) -> Kept | None:
        flat = drop_from_longest([n for parts in kept for n in parts], excess)
        if flat is None:
            return None
        left = iter(flat)
        return [[next(left) for _ in parts] for parts in kept]


@dataclass(frozen=True)
class PartsJoiner:
    """A ``Joiner``. Each part is tokenised by itself and ids are joined, as the original implementation does (preset ``paper``).

    Literals lose the blanks around them, as the original's are written without; for byte-level tokenizers each part, and each
    label word, starts with a space.
    """

    pieces: Pieces

    def prepare(self, clozes: Sequence[Cloze]) -> None:
        self.pieces.spans(text for cloze in clozes for parts in shortenable(cloze) for text in parts if self.pieces.is_long(text))
        for cloze in clozes:
            for part in chain.from_iterable(cloze):
                self._piece(part, 1)
        self.pieces.resolve()

    def _piece(self, part: Part, masks: int) -> int:
        lead = self.pieces.plain.lead
        if part is MASK:
            return self.pieces.gap("x", 0, 1, masks)
        if isinstance(part, Text) and part.shorten and self.pieces.is_long(part.text):
            return self.pieces.beginning(part.text)
        text = part.text if isinstance(part, Text) else str(part).strip()
        return self.pieces.string(lead + text) if text else 0

    def join(self, cloze: Cloze, kept: Kept | None, *, filler: str, masks: int) -> list[tuple[list[int], int]]:  # noqa: ARG002
        found = []
        for i, parts in enumerate(cloze):
            lengths = iter(kept[i]) if kept else None
            pieces = [self._shortened(part, masks, lengths) for part in parts]
            found.append((pieces, parts.index(MASK) if MASK in parts else -1))
        return found

    def _shortened(self, part: Part, masks: int, lengths: Iterator[int] | None) -> int:
        piece = self._piece(part, masks)
        if lengths is None or not isinstance(part, Text) or not part.shorten:
            return piece
        tokens, kept = self.pieces.tokens[piece], next(lengths)
        return piece if kept >= len(tokens) else self.pieces.add(tokens[:kept])

    def counts(self, clozes: Sequence[Cloze]) -> list[Kept]:
        return [[[len(self.pieces.tokens[self._piece(Text(text), 1)]) for text in parts] for parts in shortenable(c)] for c in clozes]

    def start(self, cloze: Cloze, counts: Kept) -> Kept:  # noqa: ARG002
        return counts

    def drop(self, kept: Kept, excess: int) -> Kept | None:
        return drop_like_paper(kept, excess)


class _Flat(NamedTuple):
    codes: NDArray[np.int64]
    """All rows' codes one after the other."""
    used: NDArray[np.int64]
    """The pieces in them, each once."""
    sizes: NDArray[np.int64]
    """Their tokens."""
    which: NDArray[np.int64]
    """For each code, which of ``used``."""
    rows: NDArray[np.int64]
    """(N + 1,), where each row's codes start."""
    before: NDArray[np.int64]
    """How many tokens come before each code, and in all."""


def _flat(tokens: Sequence[Ids], joined: Sequence[Joined]) -> _Flat:
    codes = np.fromiter(chain.from_iterable([row.codes for row in joined]), dtype=np.int64)
    counts = np.array([len(row.codes) for row in joined], dtype=np.int64)
    used, which = np.unique(codes >> 8, return_inverse=True)
    sizes = np.array([len(tokens[piece]) for piece in used.tolist()], dtype=np.int64)
    return _Flat(codes, used, sizes, which, _sums(counts), _sums(sizes[which]))


def _sums(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)])


def lengths_of(tokens: Sequence[Ids], joined: Sequence[Joined]) -> NDArray[np.int64]:
    """(N,) int64, tokens per row."""
    flat = _flat(tokens, joined)
    return np.diff(flat.before[flat.rows])


def assemble(tokens: Sequence[Ids], slots: dict[int, int], joined: Sequence[Joined], *, masks: int, dropped: NDArray[np.int32]) -> Encoded:
    """All rows' pieces as one Encoded; ``slots`` says where in a piece the gap starts. No loop over tokens."""
    flat = _flat(tokens, joined)
    store = np.concatenate([np.zeros(0, dtype=np.int32), *(tokens[piece] for piece in flat.used.tolist())])
    gaps, seconds = (np.array(places, dtype=np.int64) for places in ([row.gap for row in joined], [row.second for row in joined]))
    offsets, starts, lengths = flat.before[flat.rows], flat.rows[:-1], flat.sizes[flat.which]
    inside = np.array([slots[row.codes[row.gap] >> 8] for row in joined] if masks else 0, dtype=np.int64)
    places = (flat.before[starts + gaps] - offsets[:-1] + inside)[:, None] + np.arange(masks)
    second = np.where(seconds < 0, offsets[1:], flat.before[starts + np.maximum(seconds, 0)]) - offsets[:-1]
    return Encoded(
        ids=store[flat_ranges((np.cumsum(flat.sizes) - flat.sizes)[flat.which], lengths)],
        types=np.repeat(flat.codes & 255, lengths).astype(np.uint8),
        offsets=offsets,
        slots=places.astype(np.int32),
        second=second.astype(np.int32),
        dropped=dropped,
    )
