"""Clozes from texts that are tokenised once: exact, and most of the work is shared between patterns.

A *safe boundary* (``tokenizing.BOUNDARY``) is a single space between two letters, digits or ASCII marks. The tokenizers served here
split there, so tokens(left + " " + right) = tokens(left) + tokens(" " + right) (checked once per tokenizer; ``Plain.separable``). Each text
is cut at its first and last safe boundary: the middle is tokenised once and kept; the short strings that arise at the joints
(last word + literal + filler + literal + first word) are cut at their own safe boundaries and tokenised once per spelling. A
text without safe boundaries (one word, Chinese) becomes part of such a string as a whole. Of a text of many times as many
characters as a cloze has tokens only the beginning is tokenised, up to a safe boundary.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np

from petkit.encoding.tokenizing import BOUNDARY, Ids, Plain, Spans, is_long
from petkit.pvp import MASK, Part, Text

__all__ = ["Cut", "Gap", "Pieces", "Segment", "find_gap", "gap_string"]

_LAST: Final = re.compile(r".*(?<=[!-~\w]) (?=[!-~\w])", re.DOTALL)
_KEPT_BYTES: Final = 500_000_000
"""Pieces are forgotten before a call once they take about so much memory."""
_ENTRY: Final = 200
"""Bytes of one piece or spelling besides its tokens or characters: the array, its place in a list and in a dictionary."""


class Cut(NamedTuple):
    """A text cut at its outer safe boundaries; ``middle`` is a piece, or -1 if ``head`` is all of the text."""

    head: str
    middle: int = -1
    tail: str = ""


class Gap(NamedTuple):
    """Tokens of a filled string: ``left``, the filler's own, ``right``; ``merged`` if a token reaches over the filler's edge."""

    left: Ids
    word: Ids
    right: Ids
    merged: bool


Segment = Sequence[Part | Cut]
"""The parts of one segment: literals, the mask, and texts, cut or not."""


def find_gap(text: str, spans: Spans, start: int, stop: int) -> Gap:
    """Which tokens belong to the filler ``text[start:stop]``: those that overlap it or the one space before it.

    That space is the word's in byte-level and SentencePiece tokenizers, whether it is one token with it or stands alone.
    """
    low = start - 1 if start and text[start - 1] == " " else start
    inside = np.flatnonzero((spans.ends > low) & (spans.starts < stop))
    first, last = (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (int(np.sum(spans.ends <= low)),) * 2
    before = text[int(spans.starts[first]) : low] if first < last else ""
    after = text[stop : int(spans.ends[last - 1])] if first < last else ""
    return Gap(spans.ids[:first], spans.ids[first:last], spans.ids[last:], bool(before.strip() or after.strip()))


class Pieces:
    """Token sequences by number, each made once: middles of texts, short strings, strings with the gap in them.

    New strings are only noted; ``resolve`` tokenises all of them in one go. The beginning of a text of many times ``limit`` characters
    is tokenised with places at once and cut off after ``limit`` tokens, since no cloze can hold more.
    """

    def __init__(self, plain: Plain, *, limit: int) -> None:
        self.plain, self.limit = plain, limit
        self.reset()

    def is_long(self, text: str) -> bool:
        """Whether ``cut`` cuts the text off."""
        return is_long(text, self.limit)

    def reset(self) -> None:
        """Forget everything; numbers given out before are void."""
        self.tokens: list[Ids] = [np.zeros(0, dtype=np.int32)]
        self.slots: dict[int, int] = {}
        self._kept_bytes = 0
        self._strings: dict[str, int] = {}
        self._gaps: dict[tuple[str, int, int, int], int] = {}
        self._windows: dict[tuple[str, int, int, int], tuple[list[int], int]] = {}
        self._open_strings: list[tuple[int, str]] = []
        self._open_gaps: list[tuple[int, tuple[str, int, int, int]]] = []
        self.cuts: dict[str, Cut] = {}
        self.any_long = False
        self._spans: dict[str, Spans] = {}
        self._beginnings: dict[str, int] = {}
        self._specials: dict[int, int] = {}

    def reset_if_full(self) -> None:
        """Bound the memory of a long stream of calls."""
        if self._kept_bytes > _KEPT_BYTES:
            self.reset()

    def add(self, ids: Ids) -> int:
        """A new piece of known tokens."""
        self.tokens.append(ids)
        self._kept_bytes += ids.nbytes + _ENTRY
        return len(self.tokens) - 1

    def special(self, token: int) -> int:
        """The piece of one special token."""
        if token not in self._specials:
            self._specials[token] = self.add(np.array([token], dtype=np.int32))
        return self._specials[token]

    def string(self, text: str) -> int:
        """The piece of a string that stands on its own."""
        found = self._strings.get(text)
        if found is None:
            found = self._strings[text] = self.add(self.tokens[0])
            self._kept_bytes += len(text) + _ENTRY
            self._open_strings.append((found, text))
        return found

    def gap(self, text: str, start: int, stop: int, masks: int) -> int:
        """The piece of a string with a filler at ``start:stop``, which ``masks`` mask tokens replace.

        Where filler and neighbours share a token, both sides are tokenised apart, as around a mask token in plain text.
        """
        key = (text, start, stop, masks)
        found = self._gaps.get(key)
        if found is None:
            found = self._gaps[key] = self.add(self.tokens[0])
            self._kept_bytes += len(text) + _ENTRY
            self._open_gaps.append((found, key))
        return found

    def resolve(self) -> None:
        """Tokenise every string noted since the last time."""
        for (piece, _), ids in zip(self._open_strings, self.plain.ids([text for _, text in self._open_strings]), strict=True):
            self._set(piece, ids)
        spans = self.plain.spans([text for _, (text, *_) in self._open_gaps])
        for (piece, (text, start, stop, masks)), found in zip(self._open_gaps, spans, strict=True):
            gap = find_gap(text, found, start, stop)
            left, right = self._sides(text, start, stop) if gap.merged else (gap.left, gap.right)
            self._set(piece, np.concatenate([left, np.full(masks, self.plain.mask_id, dtype=np.int32), right]))
            self.slots[piece] = len(left)
        self._open_strings, self._open_gaps = [], []

    def _set(self, piece: int, ids: Ids) -> None:
        self.tokens[piece] = ids
        self._kept_bytes += ids.nbytes

    def _sides(self, text: str, start: int, stop: int) -> tuple[Ids, Ids]:
        left, right = self.plain.ids([text[:start].removesuffix(" "), text[stop:]])
        return left, right

    def segment(self, parts: Segment, filler: str, masks: int) -> tuple[list[int], int]:
        """The pieces of one segment as one string, and the place of the one with the gap among them (-1 if it has none)."""
        found: list[int] = []
        window, start, place = self.plain.lead, -1, -1
        for part in parts:
            if part is MASK:
                start = len(window)
                window += filler
            elif isinstance(part, Cut):
                window += part.head
                if part.middle < 0:
                    continue
                place = self._window(found, window, start, filler, masks, place)
                found.append(part.middle)
                window, start = part.tail, -1
            else:
                window += part.text if isinstance(part, Text) else str(part)
        if window != self.plain.lead or found:
            place = self._window(found, window, start, filler, masks, place)
        return found, place

    def _window(self, found: list[int], window: str, start: int, filler: str, masks: int, place: int) -> int:
        """Append the pieces of a string at a joint; the gap's place, if it is in this string, else ``place``.

        Splits are remembered by spelling. That saves little (some 5 % of a further pattern's time on news texts).
        """
        key = (window, start, len(filler), masks)
        pieces, gap = self._windows.get(key) or self._windows.setdefault(key, self._split(*key))
        found += pieces
        return place if start < 0 else len(found) - len(pieces) + gap

    def _split(self, window: str, start: int, size: int, masks: int) -> tuple[list[int], int]:
        """A string at a joint, cut at its outer safe boundaries (never inside the filler), and the gap's place among the pieces."""
        self._kept_bytes += len(window) + _ENTRY
        stop = start + size if start >= 0 else 0
        low, high = 0, len(window)
        if self.plain.separable:
            first = BOUNDARY.search(window, 0, start + 1 if start >= 0 else high)
            last = _LAST.match(window, max(0, stop - 1))
            low = first.start() if first else 0
            high = max(low, last.end() - 1) if last else high
        before = [self.string(window[:low])] if low else []
        after = [self.string(window[high:])] if high < len(window) else []
        if start >= 0:
            return [*before, self.gap(window[low:high], start - low, stop - low, masks), *after], len(before)
        return [*before, *([self.string(window[low:high])] if low < high else []), *after], -1

    def cut(self, texts: Iterable[str]) -> None:
        """Cut each text into ``cuts``; new middles are tokenised at once."""
        new = [text for text in dict.fromkeys(texts) if text not in self.cuts]
        self._kept_bytes += sum(map(len, new)) + _ENTRY * len(new)
        long = [text for text in new if self.is_long(text)]
        self.spans(long)
        self.cuts.update({text: self.prefix(text, self.limit) for text in long})
        self.any_long |= bool(long)
        self._cut_short([text for text in new if text not in self.cuts])

    def _cut_short(self, texts: Sequence[str]) -> None:
        places = [(text, *_outer_boundaries(text)) for text in texts] if self.plain.separable else []
        middles = [(text, i, j) for text, i, j in places if i >= 0]
        self.cuts.update({text: Cut(text) for text in texts})
        for (text, i, j), ids in zip(middles, self.plain.ids([text[i:j] for text, i, j in middles]), strict=True):
            self.cuts[text] = Cut(text[:i], self.add(ids), text[j:])

    def spans(self, texts: Iterable[str]) -> dict[str, Spans]:
        """Tokens of each text by itself (after the lead), with places in the text. More than ``texts``; not to be changed.

        Of a long text these are the tokens of a beginning, more than ``limit``, or all there are.
        """
        new = [text for text in dict.fromkeys(texts) if text not in self._spans]
        long, short = [text for text in new if self.is_long(text)], [text for text in new if not self.is_long(text)]
        shift = len(self.plain.lead)
        for some, enough in ((long, self.limit), (short, None)):
            led = [self.plain.lead + text if text else "" for text in some]
            for text, found in zip(some, self.plain.spans(led, enough=enough), strict=True):
                places = np.maximum(found.starts - shift, 0), np.maximum(found.ends - shift, 0)
                self._spans[text] = Spans(found.ids, *places)
                self._kept_bytes += 3 * found.ids.nbytes + 4 * _ENTRY
        return self._spans

    def beginning(self, text: str) -> int:
        """The piece of a long text's tokens, as many as ``spans`` has."""
        found = self._beginnings.get(text)
        if found is None:
            found = self._beginnings[text] = self.add(self.spans([text])[text].ids)
        return found

    def prefix(self, text: str, kept: int) -> Cut:
        """The prefix of ``text`` that covers its first ``kept`` tokens (``spans`` must know the text), cut without tokenising it."""
        spans = self._spans[text]
        short, ends = text[: spans.reach(kept)], spans.ends[:kept]
        i, j = _outer_boundaries(short) if self.plain.separable and bool(np.all(np.diff(ends) >= 0)) else (-1, -1)
        if i < 0:
            return Cut(short)
        low, high = np.searchsorted(ends, [i, j], side="right")
        return Cut(short[:i], self.add(spans.ids[low:high]), short[j:])


def _outer_boundaries(text: str) -> tuple[int, int]:
    """The places of the first and the last safe boundary (they may be one), or (-1, -1)."""
    first = BOUNDARY.search(text)
    last = _LAST.match(text) if first else None
    return (first.start(), last.end() - 1) if first and last else (-1, -1)


def gap_string(lead: str, parts: Segment, filler: str) -> tuple[str, int, int]:
    """The filler with what stands around it up to the nearest middles of texts, and where it starts and stops in that."""
    window, start = lead, -1
    for part in parts:
        if part is MASK:
            start = len(window)
            window += filler
        elif isinstance(part, Cut):
            window += part.head
            if part.middle >= 0 and start >= 0:
                break
            window = window if part.middle < 0 else part.tail
        else:
            window += part.text if isinstance(part, Text) else str(part)
    return window, start, start + len(filler)
