"""Words of languages without spaces: a segmenter runs once, in preprocessing, and leaves a flag per token."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from petkit.errors import DataError, SettingsError

__all__ = ["chinese_segmenter", "segmented"]

Segment = Callable[[str], list[str]]


def segmented(texts: Iterable[str], tokenizer: Any, segment: Segment) -> Iterator[tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]]:
    """For each text its token ids (T,) int32, without special tokens, and (T,) bool, which tokens begin a word of the segmenter.

    ``petkit.objectives.unit_ids`` makes word ids of the flags, for whole words, n-grams and all else that goes by words.

    Args:
        tokenizer: a fast transformers tokenizer. segment: text -> its words, which joined give the text again.
    """
    for text in texts:
        found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        words = segment(text)
        if "".join(words) != text:
            raise DataError(f"the segmenter's words do not add up to the text: {text[:40]!r} became {words[:8]}")
        ends = np.cumsum([len(word) for word in words])
        word = np.searchsorted(ends, [start for start, _ in found["offset_mapping"]], side="right")
        yield np.array(found["input_ids"], dtype=np.int32), np.diff(word, prepend=-1) != 0


def chinese_segmenter() -> Segment:
    """jieba's words for Chinese. Raises SettingsError where it is not installed."""
    try:
        import jieba
    except ImportError as error:
        raise SettingsError("Chinese words need jieba, which is not installed: pip install petkit[zh]") from error
    jieba.setLogLevel(logging.WARNING)
    cut: Segment = jieba.lcut
    return cut
