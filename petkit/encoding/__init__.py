"""Rows x pattern -> token ids with mask slots; rows -> inputs of the final classifier.

Each segment's filled cloze is tokenised as one string, preceded by one space for byte-level tokenizers (transformers 5 ignores
``add_prefix_space`` in ``encode``), and the filler's tokens are replaced by mask tokens. Special tokens that a text spells out,
such as "[MASK]", stay text. Each text is tokenised once per encoder: ``petkit.encoding.splicing``.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from petkit.choices import legal_are
from petkit.encoding.encoded import Encoded
from petkit.encoding.joining import (
    Cloze,
    Joined,
    Joiner,
    Kept,
    PartsJoiner,
    StringJoiner,
    assemble,
    frame_codes,
    framed,
    lengths_of,
    segments,
    shortenable,
)
from petkit.encoding.splicing import Gap, Pieces, find_gap, gap_string
from petkit.encoding.tokenizing import Ids, is_read_in_part, plain_tokenizer, read_rows
from petkit.encoding.truncation import drop_longest_first
from petkit.errors import SettingsError, TaskError, raise_problems
from petkit.filling import filled
from petkit.pvp import MASK, Pattern, Task
from petkit.rows import Rows
from petkit.wording import shortened

__all__ = ["Encoded", "Encoder", "Joining", "WordGap", "without_empty_second"]

Joining = Literal["string", "parts"]
"""Tokenise each segment as one string, or part by part as the original implementation does (preset ``paper``)."""

_ROWS = 1000


class WordGap(NamedTuple):
    """Words in the gap of one cloze: ``ids`` of each, and what is wrong with them (nothing, usually)."""

    ids: list[tuple[int, ...]]
    problems: list[str]


class Encoder:
    """Encodes rows for one tokenizer, which it never changes. Several threads may use it; they take turns.

    Args:
        tokenizer: a transformers tokenizer with a fast backend, a mask token and a padding token.
        max_length: tokens per row, special tokens included.
        joining: how the parts of a cloze are joined.

    Raises:
        ModelError: for a tokenizer that cannot serve.
        SettingsError: for a ``max_length`` or ``joining`` that is not legal.
    """

    def __init__(self, tokenizer: Any, *, max_length: int = 256, joining: Joining = "string") -> None:
        if joining not in get_args(Joining):
            raise SettingsError(f"joining is {joining!r}; {legal_are(joining, get_args(Joining))}")
        self._plain = plain_tokenizer(tokenizer)
        least, most = self._plain.frame.specials(2) + 1, int(tokenizer.model_max_length)
        if not least <= max_length <= most:
            legal = f"{least} to {most}" if most < 10**9 else f"{least} or more"
            raise SettingsError(f"--max-length is {max_length}; this tokenizer needs {legal}")
        self.max_length, self.joining = max_length, joining
        self._pieces = Pieces(self._plain, limit=max_length)
        self._joiner: Joiner = StringJoiner(self._pieces) if joining == "string" else PartsJoiner(self._pieces)
        self._frames = _frames(self._pieces)
        self._lock = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        """All but the lock, which no copy shares."""
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.RLock())

    @property
    def pad_id(self) -> int:
        """The padding token."""
        return self._plain.pad_id

    @property
    def mask_id(self) -> int:
        """The mask token."""
        return self._plain.mask_id

    @property
    def special_ids(self) -> frozenset[int]:
        """All special tokens, the unknown one included."""
        return self._plain.special_ids

    @property
    def vocab_size(self) -> int:
        """Tokens of the tokenizer, added ones included (a model may have more rows)."""
        return self._plain.vocab_size

    def clozes(self, rows: Rows, pattern: Pattern, *, masks: int = 1, filler: str) -> Encoded:
        """The clozes of N rows, shortened to ``max_length``.

        Shortening (``joining="string"``): tokens are dropped from the end of the longest shortenable text until the row fits
        (ties: the later text). A text shortened to n tokens is the prefix of characters that covers its first n tokens by
        itself; the cloze is tokenised with that as one string, and n lowered until it fits. Masks, literals and
        ``Text(shorten=False)`` stay whole. ``joining="parts"`` drops as the original does: ``truncation.drop_like_paper``.

        Args:
            masks: mask tokens M in the gap.
            filler: a label word; the gap's neighbours are tokenised as they are beside it.

        Returns:
            N rows with ``slots`` (N, M). ``dropped`` counts the tokens that were read: of a text that ``is_cut_off``, not all.

        Raises:
            TaskError: if masks and literals alone are too long, naming pattern, rows and lengths, or if the pattern fails, naming rows.
        """
        if masks < 1:
            raise SettingsError(f"a cloze needs at least 1 mask, not {masks}")
        clozes = [segments(parts) for parts in filled(pattern, rows)]
        with self._lock:
            self._pieces.reset_if_full()
            self._frames = _frames(self._pieces)
            self._joiner.prepare(clozes)
            joined = [self._join(cloze, None, filler, masks) for cloze in clozes]
            self._pieces.resolve()
            dropped = self._shorten(rows, pattern, clozes, joined, filler, masks)
            return assemble(self._pieces.tokens, self._pieces.slots, joined, masks=masks, dropped=dropped)

    def _join(self, cloze: Cloze, kept: Kept | None, filler: str, masks: int) -> Joined:
        found = self._joiner.join(cloze, kept, filler=filler, masks=masks)
        return framed(self._frames[len(found)], found)

    def _lengths(self, joined: Sequence[Joined]) -> list[int]:
        return [int(n) for n in lengths_of(self._pieces.tokens, joined)]

    def _shorten(
        self, rows: Rows, pattern: Pattern, clozes: list[Cloze], joined: list[Joined], filler: str, masks: int
    ) -> NDArray[np.int32]:
        """Replace the rows of ``joined`` that are too long; (N,) int32, how many tokens each row lost."""
        dropped, problems = np.zeros(len(rows), dtype=np.int32), []
        lengths = {i: n for i, n in enumerate(self._lengths(joined)) if n > self.max_length or self._holds_long(clozes[i])}
        counts = dict(zip(lengths, self._joiner.counts([clozes[i] for i in lengths]), strict=True))
        kept = {i: self._joiner.start(clozes[i], counts[i]) for i in lengths}
        while lengths:
            for i, length in list(lengths.items()):
                fewer = self._joiner.drop(kept[i], max(0, length - self.max_length))
                if fewer is None:
                    problems.append(f"row {rows.ids[i]!r} takes {length - _total(kept[i])} tokens besides the texts that may be shortened")
                    del lengths[i]
                    continue
                kept[i], joined[i] = fewer, self._join(clozes[i], fewer, filler, masks)
                dropped[i] = _total(counts[i]) - _total(fewer)
            self._pieces.resolve()
            now = self._lengths([joined[i] for i in lengths])
            lengths = {i: n for i, n in zip(lengths, now, strict=True) if n > self.max_length}
        self._raise_too_long(pattern, problems)
        return dropped

    def _holds_long(self, cloze: Cloze) -> bool:
        return self._pieces.any_long and any(self._pieces.is_long(text) for parts in shortenable(cloze) for text in parts)

    def _raise_too_long(self, pattern: Pattern, problems: list[str]) -> None:
        title = f"pattern {pattern.name!r} does not fit into --max-length {self.max_length} (make it shorter, or raise --max-length)"
        raise_problems(TaskError, title, shortened(problems, what="more rows"))

    def is_cut_off(self, text: str) -> bool:
        """Whether a text is so long that only its beginning is read."""
        return self._plain.separable and is_read_in_part(text, self.max_length)

    def word_ids(self, pattern: Pattern, words: Sequence[str], row: Mapping[str, str]) -> list[tuple[int, ...]]:
        """The tokens of each word in the gap of this row's cloze: what a mask there stands for.

        Raises:
            TaskError: with every problem that ``word_gap`` finds.
        """
        found = self.word_gap(pattern, words, row)
        raise_problems(TaskError, f"pattern {pattern.name!r}", found.problems)
        return found.ids

    def word_gap(self, pattern: Pattern, words: Sequence[str], row: Mapping[str, str]) -> WordGap:
        """As ``word_ids``, with the problems listed: words that are unknown, that merge with a neighbour, or that change one."""
        gaps = self._gaps(segments(pattern.parts(row)), words)
        usual = Counter(_sides(gap) for gap in gaps).most_common(1)
        problems = []
        for word, gap in zip(words, gaps, strict=True):
            if not len(gap.word) or self._plain.unknown_id in gap.word:
                problems.append(f"the word {word!r} is unknown to the tokenizer; take another")
            elif gap.merged:
                problems.append(f"the word {word!r} shares a token with what stands beside {{mask}}; put blanks around {{mask}}")
            elif _sides(gap) != usual[0][0]:
                problems.append(f"the word {word!r} changes the tokens beside {{mask}}; put blanks around {{mask}}, or take another word")
        return WordGap([tuple(gap.word.tolist()) for gap in gaps], list(dict.fromkeys(problems)))

    def _gaps(self, cloze: Cloze, words: Sequence[str]) -> list[Gap]:
        lead = self._plain.lead
        strings = [(lead + word, len(lead), len(lead + word)) for word in words]
        if isinstance(self._joiner, StringJoiner):
            with self._lock:
                self._joiner.prepare([cloze])
                parts = next(self._joiner.cuts(parts) for parts in cloze if MASK in parts)
            strings = [gap_string(lead, parts, word) for word in words]
        spans = self._plain.spans([text for text, _, _ in strings])
        return [find_gap(text, found, start, stop) for (text, start, stop), found in zip(strings, spans, strict=True)]

    def plain(self, rows: Rows, task: Task) -> Encoded:
        """Inputs of the final classifier: one or two texts as ``tokenizer(a, b, truncation=True, max_length=...)`` gives them.

        Equal to that token by token with a tokenizer whose ``split_special_tokens`` is true, as that of a saved classifier is: special
        tokens that a text spells out stay text. (Not there with a unigram vocabulary, which has them as pieces.) An empty second text is
        none, as there. ``slots`` is (N, 0); ``dropped`` is as ``clozes`` has it.
        """
        texts = [without_empty_second(task.classifier_texts(rows.row(i))) for i in range(len(rows))]
        pieces = Pieces(self._plain, limit=self.max_length)
        frames, joined, dropped = _frames(pieces), [], np.zeros(len(rows), dtype=np.int32)
        for start in range(0, len(texts), _ROWS):
            for i, row in enumerate(self._plain_ids(texts[start : start + _ROWS]), start):
                kept = self._fitting([len(ids) for ids in row])
                joined.append(framed(frames[len(row)], [([pieces.add(t[:n].copy())], -1) for t, n in zip(row, kept, strict=True)]))
                dropped[i] = sum(len(ids) for ids in row) - sum(kept)
        return assemble(pieces.tokens, pieces.slots, joined, masks=0, dropped=dropped)

    def _plain_ids(self, texts: Sequence[tuple[str, ...]]) -> list[list[Ids]]:
        enough, room = self.max_length if self._plain.separable else None, self.max_length - self._plain.frame.specials(2)
        return read_rows(self._plain.ids, len, texts, enough=enough, room=room)

    def _fitting(self, lengths: Sequence[int]) -> tuple[int, ...]:
        room = self.max_length - self._plain.frame.specials(len(lengths))
        if len(lengths) == 1:
            return (min(lengths[0], room),)
        return drop_longest_first(lengths[0], lengths[1], room)


def without_empty_second(texts: tuple[str, ...]) -> tuple[str, ...]:
    """A pair whose second text is empty as one text, which is what transformers makes of it.

    >>> without_empty_second(("a", "")), without_empty_second(("", "b"))
    (('a',), ('', 'b'))
    """
    return texts[:1] if len(texts) == 2 and not texts[1] else texts


def _frames(pieces: Pieces) -> dict[int, list[list[int] | int]]:
    return {n: frame_codes(pieces.plain.frame, pieces.special, segments=n) for n in (1, 2)}


def _total(kept: Kept) -> int:
    return sum(sum(parts) for parts in kept)


def _sides(gap: Gap) -> tuple[bytes, bytes]:
    return gap.left.tobytes(), gap.right.tobytes()
