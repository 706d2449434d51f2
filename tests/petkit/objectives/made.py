"""What the tests of objectives share: a small vocabulary of numbers, rows with frames and padding, counting of calls."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from petkit.objectives import TokenRows, Vocabulary, stream

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

PAD, BOS, EOS, UNK, MASK = range(5)
SIZE, SENTINELS = 400, tuple(range(399, 299, -1))
_SPECIAL = np.isin(np.arange(SIZE), [PAD, BOS, EOS, UNK, MASK, *SENTINELS])
WORDS = Vocabulary(
    mask_id=MASK,
    pad_id=PAD,
    special=_SPECIAL,
    starts_word=(np.arange(SIZE) % 4 != 0) | _SPECIAL,  # a quarter of the pieces go on with a word
    alone=_SPECIAL,
    ordinary=np.flatnonzero(~_SPECIAL),
    bos_id=BOS,
    eos_id=EOS,
    cls_id=BOS,
    sep_id=EOS,
    sentinels=SENTINELS,
    stops=np.arange(SIZE) % 10 == 5,
)


def framed(lengths: Sequence[int], width: int, *, seed: int = 0) -> tuple[Ints, Bools]:
    """Rows ``<s> text </s>`` with texts of these lengths of ordinary tokens, padded: ids and valid."""
    ids = np.full((len(lengths), width), PAD, dtype=np.int64)
    for row, length in enumerate(lengths):
        text = stream(seed, "text", row).choice(WORDS.ordinary, size=length)
        ids[row, : length + 2] = [BOS, *text, EOS]
    return ids, np.arange(width)[None, :] < np.array(lengths)[:, None] + 2


def rows_of(sizes: Sequence[Sequence[int]], *, holes: Sequence[Sequence[int]] = ()) -> TokenRows:
    """Rows of words of these sizes, tokens numbered from 10; ``holes`` are positions that may not be selected."""
    width = max(sum(row) for row in sizes)
    words = np.zeros((len(sizes), width), dtype=np.int64)
    maskable = np.zeros(words.shape, dtype=bool)
    for row, counts in enumerate(sizes):
        words[row, : sum(counts)] = np.repeat(np.arange(len(counts)), counts)
        maskable[row, : sum(counts)] = True
    for row, places in enumerate(holes):
        maskable[row, list(places)] = False
    ids = np.broadcast_to(np.arange(10, 10 + width), words.shape).copy()
    return TokenRows(ids, maskable, words)


def calls(action: Callable[[], object]) -> int:
    """Function calls, Python's and C's, that an action makes. What a garbage collection calls is not the action's."""
    count = 0

    def hook(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    action()  # what it imports or keeps is there the second time
    collects = gc.isenabled()
    gc.disable()
    sys.setprofile(hook)
    try:
        action()
    finally:
        sys.setprofile(None)
        if collects:
            gc.enable()
    return count
