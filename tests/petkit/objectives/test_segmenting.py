"""Chinese words: a segmenter's words as flags on tokens, before training; whole words and n-grams of them."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest

from petkit.errors import DataError, SettingsError
from petkit.objectives import Vocabulary, chinese_segmenter, gather_rows, preset, segmented, stream, unit_ids
from tests.builders import tokenizer

TEXT = "\u6211\u7231\u5317\u4eac\u5929\u5b89\u95e8, numpy \u597d"  # 我爱北京天安门, numpy 好
CUT = ["\u6211", "\u7231", "\u5317\u4eac", "\u5929\u5b89\u95e8", ",", " ", "numpy", " ", "\u597d"]


def words_of(name: str) -> tuple[list[str], list[bool]]:
    ((ids, begins),) = segmented([TEXT], tokenizer(name), lambda text: CUT)
    assert (ids.dtype, begins.dtype) == (np.int32, np.bool_)
    return tokenizer(name).convert_ids_to_tokens(ids.tolist()), begins.tolist()


def test_characters_of_a_word_belong_together() -> None:
    tokens, begins = words_of("wordpiece")
    assert len(tokens) == len(begins)
    assert begins[:7] == [True, True, True, False, True, False, False]
    assert tokens[7] == ","
    assert begins[7:9] == [True, True]


@pytest.mark.parametrize("name", ["bytelevel", "unigram"])
def test_pieces_that_are_parts_of_characters_too(name: str) -> None:
    tokens, begins = words_of(name)
    assert sum(begins) <= len(CUT)
    assert begins[0]
    assert len(tokens) == len(begins)


def test_words_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(DataError, match="do not add up"):
        list(segmented([TEXT], tokenizer("wordpiece"), str.split))
    ((nothing, flags),) = segmented([""], tokenizer("wordpiece"), lambda text: [])
    assert len(nothing) == len(flags) == 0


@pytest.mark.parametrize("name", ["chinese-words", "chinese-ngram", "ernie"])
def test_given_units_are_selected_whole_and_asked_for(name: str) -> None:
    words = tokenizer("wordpiece")
    vocabulary = Vocabulary.of(words)
    ids = np.array([[words.cls_token_id, *vocabulary.ordinary[:12], words.sep_token_id]] * 200)
    begins = np.zeros(ids.shape, dtype=bool)
    begins[:, [0, 1, 3, 6, 7, 11, 13]] = True
    units = unit_ids(begins)
    batch = preset(name, rate=0.4).batch(ids, ids >= 0, vocabulary, stream(1), words=units)
    chosen = np.zeros(ids.shape, dtype=bool)
    chosen.reshape(-1)[batch.positions] = True
    for unit in range(2, 7):
        mine = chosen[units == unit].reshape(200, -1)
        assert (mine.all(axis=1) == mine.any(axis=1)).all()
        assert 0 < mine.mean() < 1
    with pytest.raises(SettingsError, match=f"--objective {name} goes by units that come with the text"):
        preset(name).batch(ids, ids >= 0, vocabulary, stream(1))


def test_flags_are_gathered_as_tokens_are() -> None:
    flags = np.array([True, False, True, True, False, False])
    rows, valid = gather_rows(flags, np.array([0, 3]), np.array([3, 3]), pad_id=1, before=1, after=1)
    assert unit_ids(rows.astype(bool)).tolist() == [[1, 2, 2, 3, 4], [1, 2, 2, 2, 3]]
    assert valid.all()


def test_without_jieba_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jieba", None)
    with pytest.raises(SettingsError, match=r"pip install petkit\[zh\]"):
        chinese_segmenter()


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jieba") is None, reason="jieba is not installed: pip install petkit[zh]")
def test_jieba_cuts_words() -> None:
    """In a process of its own: jieba's import gives warnings, which here are errors."""
    code = f"import json; from petkit.objectives import chinese_segmenter; print(json.dumps(chinese_segmenter()({TEXT!r})))"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == CUT
    assert done.stderr == ""
